"""The command line: `python -m tinydiff`."""
