"""The phases of a run in order, for the command line and for Python alike."""
