"""What a run may find about itself. The checks are functions of `mlwf.modules.findings.find`, by the same codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The gravest first."""


@dataclass(frozen=True)
class FindingInfo:
    """What is known of a finding."""

    severities: tuple[Severity, ...]
    """How grave it can be."""
    meaning: str = ""
    """What it means and what to do about it: the paragraph that `README.md` has under its code."""


FINDINGS: dict[str, FindingInfo] = {
    "leakage": FindingInfo(
        ("error",),
        "A single column predicts the target almost alone: a small tree that knows only this column reaches a ROC "
        "AUC of 0.97 or more on rows it did not see, or on those that have a value. A column being missing counts "
        "too. Such a column is often written after the outcome is known (a closing date, a status code), and the "
        "model will fail where it is not there yet. Ask when the column gets its value; if that is after the "
        "prediction, add it to `data.drop`. In a problem that is truly that easy, ignore the finding.",
    ),
    "identifier": FindingInfo(
        ("warning",),
        "A feature looks like a key: its values all, or nearly all, differ. What a model learns from it cannot "
        "hold for new rows. Add it to `data.drop`, or leave it out of `features`.",
    ),
    "duplicates": FindingInfo(
        ("warning", "info"),
        "Rows that are evaluated have an identical twin, target included, among the rows that were learnt from. "
        "Their predictions are recalled, so the score is better than it will be on new rows; from 1 % of the "
        "scored rows on it is a warning. Remove the repeats. If they are the same person or thing seen twice, name"
        " its column in `data.groups`. In a table of a few columns with few values, twins may be honest.",
    ),
    "no_better_than_baseline": FindingInfo(
        ("error",),
        "No reported metric is distinguishably better than a model that knows only how frequent each class is. "
        "Precision, recall and F1 do not count, because guessing at random beats the majority class by them. There"
        " may be nothing to learn, too few rows to show it, or a mistake in joining the target to the rows.",
    ),
    "grid_edge": FindingInfo(
        ("info",),
        "The best value of a hyperparameter lies at an end of what the search tried, and scikit-learn would accept"
        " values beyond. Widen the list or the distribution in the direction that is named, and search again.",
    ),
    "rare_class": FindingInfo(
        ("warning",),
        "A class has fewer than 30 scored rows. Whatever a score says of it may be chance. Collect more rows, or "
        "validate by cross-validation rather than by a small hold-out.",
    ),
    "uncalibrated": FindingInfo(
        ("warning", "info"),
        "The model's probabilities were not calibrated, and differ from what came true by more than 0.05 on "
        "average, and by more than chance explains. That matters wherever probabilities are compared with costs or"
        " thresholds. Add a `calibration` section; it ships only where it helps.",
    ),
    "degraded": FindingInfo(
        ("warning",),
        "A step failed and the run went on without it, so the model is not what the experiment asked for. The "
        "reason stands beside it. `on_error: fail` stops there next time.",
    ),
    "drift": FindingInfo(
        ("warning",),
        "New rows, of `mlwf evaluate`, are distributed otherwise than those of the training: the Jensen-Shannon "
        "distance of a column, or of the predictions, is 0.1 or more, and more than chance explains (a chi-squared "
        "test, corrected for the number of columns). The model may fail on what it has not seen; where the scores "
        "fell as well, train again with newer rows. A date moves on by itself.",
    ),
}
"""By code, in the order in which findings of one severity are listed."""
