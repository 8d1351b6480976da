"""What came of the questions that a fitter was asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """What came of the asks of a run."""

    asked: int = 0
    """Asks: a naive script would make a fit for each."""
    fitted: int = 0
    """Fits that were made."""
    recorded: int = 0
    """Asks that an earlier run had answered."""
