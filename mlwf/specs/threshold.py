"""The `threshold` section: from which probability on a row is called positive."""

from __future__ import annotations

from mlwf.specs import catalogue
from mlwf.specs.base import Spec


class ThresholdSpec(Spec):
    """The threshold of a model of two classes, chosen on out-of-fold predictions; it travels with the model."""

    enabled: bool = True
    """Whether to choose one at all; the classifier's own is a probability of one half."""
    scoring: str = "balanced_accuracy"
    """scikit-learn scorer of labels that the threshold shall make best, such as f1."""


ONE_SIDED = {"recall"}
"""Scorers that are best when every row is called positive."""


def threshold_scorers() -> list[str]:
    """List the scorers that can choose a threshold, sorted: those of labels, for two classes."""
    return [
        name
        for name in catalogue.scorer_names()
        if catalogue.needs_labels(name) and not catalogue.multiclass_only(name) and name not in ONE_SIDED
    ]
