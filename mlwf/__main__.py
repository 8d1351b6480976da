"""`python -m mlwf` is the command `mlwf`."""

from __future__ import annotations

from mlwf.cli import main

# The workers of a Dask cluster on this machine import the main module again.
if __name__ == "__main__":
    main()
