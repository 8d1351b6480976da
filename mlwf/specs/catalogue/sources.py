"""Where a score comes from: the rows of a test set, of a hold-out, or of cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["test", "train_test", "cross_validation"]


@dataclass(frozen=True)
class SourceInfo:
    """How a source is named, and what it is good for."""

    label: str
    """Its name at the beginning of a line; inside a sentence `in_text`."""
    where: str
    """Where something is the case: `on the test set`."""
    metric_prefix: str
    """What the names of its metrics in MLflow begin with."""
    is_unseen: bool = True
    """Whether no model of an earlier run can have learnt from its rows."""

    @property
    def in_text(self) -> str:
        """Its name inside a sentence."""
        return self.label.lower()

    @property
    def lacking(self) -> str:
        """Say that a run has no such rows."""
        return f"the run has no {self.in_text}"


SOURCES: dict[Source, SourceInfo] = {
    "test": SourceInfo("Test set", "on the test set", "test"),
    "train_test": SourceInfo("Hold-out", "on the hold-out", "val"),
    "cross_validation": SourceInfo("Cross-validation", "in cross-validation", "cv", is_unseen=False),
}
"""The most trustworthy first."""

UNSEEN: tuple[Source, ...] = tuple(source for source, info in SOURCES.items() if info.is_unseen)
"""Sources on whose rows a registered model can be compared."""


def rank_of(source: Source) -> int:
    """Rank a source by how much its scores can be trusted; 0 is the best."""
    return [*SOURCES].index(source)
