"""`python -m mlwf` is the command `mlwf`."""

from __future__ import annotations

from mlwf.cli import main

main()
