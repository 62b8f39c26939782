"""Frames become pictures: what the player draws, plots, and runs as files."""
