"""Training: settings, the loop, saving and resuming, pushing while it trains."""
