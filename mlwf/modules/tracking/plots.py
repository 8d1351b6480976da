"""The plots of a run, as matplotlib figures that need no screen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import raise_if_bug
from mlwf.evaluation.calibration_error import class_reliability
from mlwf.evaluation.curves import classes_with_curves
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.tracking.canvas import (
    COLORS,
    GREY,
    INK,
    MOST_INSIDE,
    Curve,
    legend,
    new_figure,
    save_figure,
    sentence,
    short,
    styled,
    unit_square,
    width_of,
)
from mlwf.results import CalibrationError, CalibrationResult, Evaluation, Importances, ReliabilityBin
from mlwf.text import format_share

logger = logging.getLogger(__name__)

MOST_FEATURES = 20
MOST_NUMBERED = 12
"""Classes up to which a confusion matrix has its numbers written in it."""

IMPORTANCE_OF = {"brier_score": "Rise of the Brier score", "accuracy": "Fall of the accuracy"}

_AXIS = "Predicted probability (bins with as many rows each; bars: 95 % intervals)"


def draw_plots(
    folder: Path,
    evaluations: Sequence[Evaluation],
    *,
    importances: Importances | None = None,
    positive_class: Any = None,
    calibration: CalibrationResult | None = None,
) -> None:
    """Draw all plots of a run into a folder, as PNG; one that cannot be drawn is left out with a warning in the log.

    Plots of an evaluation lie in a folder of its source when there are several.
    """
    if importances is not None:
        _draw(folder, lambda: _only("feature_importances.png", importance_figure(importances)))
    if calibration is not None:
        _draw(folder, lambda: _only("calibration.png", calibration_figure(calibration)))
    for evaluation in evaluations:
        draw = partial(evaluation_figures, evaluation.y, evaluation.predictions, note=evaluation.note)
        place = folder / evaluation.source if len(evaluations) > 1 else folder
        _draw(place, partial(draw, positive_class=positive_class))


def importance_figure(importances: Importances) -> Any:
    """Draw the importances of the raw columns with their intervals, the greatest first; None where there are none."""
    if not importances.available:
        return None
    shown = importances.columns[:MOST_FEATURES]
    n_all = len(importances.columns)
    with styled():
        note = sentence(importances.note, f"{len(shown)} of {n_all} columns" if len(shown) < n_all else "")
        figure, axes = new_figure("Permutation importances", note, height=1.3 + 0.27 * len(shown))
        places = range(len(shown))
        axes.barh(places, [each.value for each in shown], color=COLORS[0], height=0.7)
        for place, each in enumerate(shown):
            if each.interval is not None:
                axes.hlines(place, each.interval.low, each.interval.high, color=INK, linewidth=1.4)
        axes.set_yticks(places, [short(" + ".join(each.columns), 40) for each in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlabel(f"{IMPORTANCE_OF[importances.metric]} when the column is shuffled (lines: 95 % intervals)")
    return figure


def evaluation_figures(
    y: Any, predictions: Predictions, *, positive_class: Any = None, note: str = ""
) -> dict[str, Any]:
    """Draw how predictions compare with the labels `y`; `note` says how they were got and stands in each plot.

    Gives figures by file name: `confusion_matrix.png`; `roc_curve.png` and `precision_recall_curve.png` when there
    are scores; `reliability_curve.png` when there are probabilities. Curves of more than two classes are one-vs-rest.
    """
    y = np.asarray(y)
    with styled():
        figures = {"confusion_matrix.png": _confusion(y, predictions, note)}
        curves, left_out = _curves(y, predictions, positive_class)
        if curves:
            subtitle = sentence(note, left_out)
            figures["roc_curve.png"] = _roc(curves, subtitle)
            figures["precision_recall_curve.png"] = _precision_recall(curves, subtitle)
            if predictions.proba is not None:
                figures["reliability_curve.png"] = _reliability(curves, subtitle)
    return figures


def _draw(folder: Path, draw: Callable[[], Mapping[str, Any]]) -> None:
    try:
        with styled():
            for name, figure in draw().items():
                folder.mkdir(parents=True, exist_ok=True)
                save_figure(figure, folder / name)
    except Exception as error:
        raise_if_bug(error)
        logger.warning("Drawing plots failed (%s). Proceeding without.", error)
        logger.debug("details", exc_info=error)


def _only(name: str, figure: Any) -> dict[str, Any]:
    return {} if figure is None else {name: figure}


def _curves(y: NDArray[Any], predictions: Predictions, positive_class: Any) -> tuple[list[Curve], str]:
    """Give the curves to draw, and what is left out."""
    classes = list(predictions.classes)
    scores = predictions.proba if predictions.proba is not None else predictions.decision
    if scores is None:
        return [], ""
    if scores.ndim == 1:  # decision values for the second of two classes
        scores = np.column_stack([-scores, scores])
    counts = [int(np.sum(y == label)) for label in classes]
    positive = classes.index(positive_class) if len(classes) == 2 and positive_class is not None else None
    curves = [
        Curve(str(classes[index]), np.asarray(y == classes[index]), scores[:, index], COLORS[place])
        for place, index in enumerate(classes_with_curves(counts, len(y), positive=positive))
    ]
    if len(classes) == 2:
        return curves, ""
    rest = f"the {len(curves)} most frequent of {len(classes)} classes" if len(curves) < len(classes) else ""
    return curves, sentence("one class against the rest", rest)


def _confusion(y: NDArray[Any], predictions: Predictions, note: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap
    from sklearn.metrics import confusion_matrix

    labels = [*predictions.classes, *sorted(set(y) - set(predictions.classes), key=str)]
    counts = confusion_matrix(y, predictions.labels, labels=labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.2 + 0.55 * len(labels), 11.0)
    figure, axes = new_figure("Confusion matrix", sentence(note, "shares of each true class"), side + 1.4, side + 0.7)
    blues = LinearSegmentedColormap.from_list("blues", ["#f5f8fc", "#9fc0e4", COLORS[0]])
    image = axes.imshow(shares, cmap=blues, vmin=0, vmax=1)
    step = -(-len(labels) // 40)
    names = [short(str(label), 22) for label in labels][::step]
    long = max(map(len, names)) > 4 and len(labels) > 3
    size = 9 if len(labels) <= 20 else 7
    axes.set_xticks(range(0, len(labels), step), names, rotation=45 if long else 0, fontsize=size, color=INK)
    for tick in axes.get_xticklabels():
        tick.set(ha="right" if long else "center", rotation_mode="anchor" if long else "default")
    axes.set_yticks(range(0, len(labels), step), names, fontsize=size, color=INK)
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=18, format=lambda share, _: f"{share:.0%}")
    bar.outline.set_visible(False)
    if len(labels) <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.6 else INK
            text = f"{count:,}\n{format_share(float(shares[row, column]))}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9, linespacing=1.3)
    return figure


def _roc(curves: Sequence[Curve], note: str) -> Any:
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, axes = new_figure("ROC curve", note, width_of(len(curves)), 6.2)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 4)))
    for curve in curves:
        false, true, _ = roc_curve(curve.is_class, curve.score)
        label = f"{short(curve.label, 24)}  (AUC {roc_auc_score(curve.is_class, curve.score):.3f})"
        axes.plot(false, true, color=curve.color, label=label)
    unit_square(axes, "False positive rate", "True positive rate")
    legend(axes, len(curves), "lower right")
    return figure


def _precision_recall(curves: Sequence[Curve], note: str) -> Any:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = new_figure("Precision and recall", note, width_of(len(curves)), 6.2)
    for curve in curves:
        precision, recall, _ = precision_recall_curve(curve.is_class, curve.score)
        label = f"{short(curve.label, 24)}  (AP {average_precision_score(curve.is_class, curve.score):.3f})"
        axes.plot(recall, precision, color=curve.color, label=label, drawstyle="steps-post")
        axes.axhline(curve.is_class.mean(), color=curve.color, linewidth=1, linestyle=(0, (1, 3)))
    axes.plot([], [], color=GREY, linewidth=1, linestyle=(0, (1, 3)), label="share of the class")
    unit_square(axes, "Recall", "Precision")
    legend(axes, len(curves), "lower left")
    return figure


def _reliability(curves: Sequence[Curve], note: str) -> Any:
    """Draw predicted probabilities against the share of rows for which they came true, and how many there are."""
    from sklearn.metrics import brier_score_loss

    figure, (axes, below) = new_figure(
        "Reliability of the probabilities", note, width_of(len(curves)), 7.4, rows=(4, 1)
    )
    _draw_perfect(axes)
    for curve in curves:
        label = f"{short(curve.label, 24)}  (Brier {brier_score_loss(curve.is_class, curve.score):.3f})"
        _draw_bins(
            axes, class_reliability(curve.score, curve.is_class), label, curve.color, faint=len(curves) > MOST_INSIDE
        )
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
    outcome = f"{kept}: {calibration.reason}" if calibration.reason else kept
    with styled():
        figure, axes = new_figure(
            f"Calibration ({calibration.method})", sentence(calibration.note, outcome), width_of(len(drawn)), 6.6
        )
        _draw_perfect(axes)
        for name, error in drawn.items():
            color = COLORS[0] if name == "after" else COLORS[1]
            _draw_bins(axes, error.reliability, _label(name, error), color)
        unit_square(axes, _AXIS, "Share of rows for which it came true")
        legend(axes, len(drawn), "upper left")
    return figure


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
