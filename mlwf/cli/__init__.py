"""The command line: load, call, show, exit code."""

from __future__ import annotations

from mlwf.cli.boundary import main

__all__ = ["main"]
