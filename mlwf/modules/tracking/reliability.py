"""How often what was predicted came true: the reliability of probabilities, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlwf.evaluation.calibration_error import reliability_bins
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.tracking.canvas import (
    COLORS,
    GREY,
    MOST_INSIDE,
    Curve,
    legend,
    new_figure,
    sentence,
    short,
    styled,
    unit_square,
    width_of,
)
from mlwf.results import CalibrationError, CalibrationResult, ReliabilityBin

_AXIS = "Predicted probability (bins with as many rows each; bars: 95 % intervals)"


def reliability_curve(curves: Sequence[Curve], note: str) -> Any:
    """Draw predicted probabilities against the share of rows for which they came true, and how many there are."""
    from sklearn.metrics import brier_score_loss

    figure, (axes, below) = new_figure(
        "Reliability of the probabilities", note, width_of(len(curves)), 7.4, rows=(4, 1)
    )
    _draw_perfect(axes)
    for curve in curves:
        label = f"{short(curve.label, 24)}  (Brier {brier_score_loss(curve.is_class, curve.score):.3f})"
        _draw_bins(axes, _bins_of(curve), label, curve.color, faint=len(curves) > MOST_INSIDE)
        below.hist(curve.score, bins=40, range=(0, 1), histtype="step", color=curve.color, linewidth=1.4)
    unit_square(axes, "", "Share of the class among the rows")
    axes.tick_params(labelbottom=False)
    legend(axes, len(curves), "upper left")
    below.set(xlabel=_AXIS, ylabel="Rows")
    below.sharex(axes)
    return figure


def calibration_figure(calibration: CalibrationResult) -> Any:
    """Draw the reliability before and after calibration; None where it was not measured."""
    measured = {"before": calibration.before, "after": calibration.after}
    drawn = {name: error for name, error in measured.items() if error is not None and error.reliability}
    if not drawn:
        return None
    kept = "kept" if calibration.kept else "not kept"
    verdict = f"{kept}: {calibration.reason}" if calibration.reason else kept
    with styled():
        figure, axes = new_figure(
            f"Calibration ({calibration.method})", sentence(calibration.note, verdict), width_of(len(drawn)), 6.6
        )
        _draw_perfect(axes)
        for name, error in drawn.items():
            color = COLORS[0] if name == "after" else COLORS[1]
            _draw_bins(axes, error.reliability, _label(name, error), color)
        unit_square(axes, _AXIS, "Share of rows for which it came true")
        legend(axes, len(drawn), "upper left")
    return figure


def _bins_of(curve: Curve) -> Sequence[ReliabilityBin]:
    classes = np.array([False, True])
    proba = np.column_stack([1 - curve.score, curve.score])
    return reliability_bins(Predictions(classes, curve.score >= 0.5, proba), curve.is_class, positive_class=True)


def _label(name: str, error: CalibrationError) -> str:
    return f"{name}  (log loss {error.log_loss:.3f}, Brier {error.brier_score:.3f}, ECE {error.ece:.3f})"


def _draw_perfect(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 4)), label="perfect")


def _draw_bins(axes: Any, bins: Sequence[ReliabilityBin], label: str, color: str, *, faint: bool = False) -> None:
    """Draw a curve through the bins with a bar for each; faint bars where many curves would hide each other."""
    predicted, observed = [each.predicted for each in bins], [each.observed for each in bins]
    low, high = [each.low for each in bins], [each.high for each in bins]
    axes.vlines(predicted, low, high, color=color, linewidth=1.4, alpha=0.2 if faint else 0.45)
    axes.plot(predicted, observed, marker="o", markersize=4, color=color, label=label)
