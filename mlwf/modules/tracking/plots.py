"""The plots of a run, as matplotlib figures that need no screen."""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.engine.asks import Predictions
from mlwf.modules.tracking.importances import read_importances
from mlwf.results import Judgement

logger = logging.getLogger(__name__)

MOST_CURVES = 8
"""One-vs-rest curves in a plot; with more classes, those of the most frequent ones."""
MOST_INSIDE = 4
"""Curves up to which the legend stands inside the plot."""
MOST_FEATURES = 20
MOST_NUMBERED = 12
"""Classes up to which a confusion matrix has its numbers written in it."""

_COLORS = ("#1f5fa8", "#d1603d", "#2f8f6b", "#8a5aa8", "#c29a1f", "#3aa0b8", "#b0486f", "#6b7280")
_INK, _GREY, _GRID = "#1f2933", "#667085", "#e4e7ec"
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#98a2b3",
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.color": _GRID,
    "legend.fontsize": 9,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.8,
    "text.color": _INK,
    # A class may be called "$50K"; a pair of dollars would be read as a formula.
    "text.parse_math": False,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
}
_DPI = 144


@dataclass(frozen=True, eq=False)
class _Curve:
    """One class against the rest."""

    label: str
    is_class: NDArray[np.bool_]
    score: NDArray[np.float64]
    """Greater for a likelier class: a probability, or a decision value."""
    color: str


def draw_plots(folder: Path, model: Any, judgements: Sequence[Judgement], *, positive_class: Any = None) -> None:
    """Draw all plots of a run into a folder, as PNG; one that cannot be drawn is left out and said in the log.

    Plots of a judgement lie in a folder of its source when there are several.
    """
    _draw(folder, lambda: _importances_of(model))
    for judgement in judgements:
        draw = partial(evaluation_figures, judgement.y, judgement.predictions, note=judgement.note)
        place = folder / judgement.source if len(judgements) > 1 else folder
        _draw(place, partial(draw, positive_class=positive_class))


def importance_figure(model: Any) -> Any:
    """Draw the importances that a fitted model offers itself, the greatest first; None when it offers none."""
    found = read_importances(model)
    if found is None:
        return None
    shown = np.argsort(-found.values, kind="stable")[:MOST_FEATURES]
    note = found.note if len(shown) == len(found.names) else f"{found.note}; {len(shown)} of {len(found.names)} columns"
    with _styled():
        figure, axes = _canvas("Feature importances", note, height=1.3 + 0.27 * len(shown))
        names = [_short(found.names[index], 40) for index in shown]
        axes.barh(range(len(shown)), found.values[shown], color=_COLORS[0], height=0.7)
        axes.set_yticks(range(len(shown)), names)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=_INK)
        axes.set_xlabel("Importance" if "impurity" in found.note else "Absolute coefficient")
    return figure


def evaluation_figures(
    y: Any, predictions: Predictions, *, positive_class: Any = None, note: str = ""
) -> dict[str, Any]:
    """Draw how predictions compare with the labels `y`; `note` says how they were got and stands in each plot.

    Gives figures by file name: `confusion_matrix.png`; `roc_curve.png` and `precision_recall_curve.png` when there
    are scores; `reliability_curve.png` when there are probabilities. Curves of more than two classes are one-vs-rest.
    """
    y = np.asarray(y)
    with _styled():
        figures = {"confusion_matrix.png": _confusion(y, predictions, note)}
        curves, left_out = _curves(y, predictions, positive_class)
        if curves:
            subtitle = _sentence(note, left_out)
            figures["roc_curve.png"] = _roc(curves, subtitle)
            figures["precision_recall_curve.png"] = _precision_recall(curves, subtitle)
            if predictions.proba is not None:
                figures["reliability_curve.png"] = _reliability(curves, subtitle)
    return figures


def _draw(folder: Path, draw: Callable[[], Mapping[str, Any]]) -> None:
    try:
        with _styled():
            for name, figure in draw().items():
                folder.mkdir(parents=True, exist_ok=True)
                figure.savefig(folder / name, dpi=_DPI)
    except Exception as error:
        logger.warning("Drawing plots failed (%s). Proceeding without.", error)
        logger.debug("details", exc_info=error)


def _importances_of(model: Any) -> dict[str, Any]:
    figure = importance_figure(model)
    return {} if figure is None else {"feature_importances.png": figure}


def _curves(y: NDArray[Any], predictions: Predictions, positive_class: Any) -> tuple[list[_Curve], str]:
    """Give the curves to draw, and what is left out."""
    classes = list(predictions.classes)
    scores = predictions.proba if predictions.proba is not None else predictions.decision
    if scores is None:
        return [], ""
    if scores.ndim == 1:  # decision values for the second of two classes
        scores = np.column_stack([-scores, scores])
    if len(classes) == 2:
        positive = len(classes) - 1 if positive_class is None else classes.index(positive_class)
        chosen = [positive]
    else:
        counts = [int(np.sum(y == label)) for label in classes]
        chosen = sorted(range(len(classes)), key=lambda index: -counts[index])[:MOST_CURVES]
        chosen = sorted(index for index in chosen if counts[index])
    curves = [
        _Curve(str(classes[index]), np.asarray(y == classes[index]), scores[:, index], _COLORS[place])
        for place, index in enumerate(chosen)
    ]
    # A curve needs rows of the class and rows of another one.
    curves = [curve for curve in curves if 0 < curve.is_class.sum() < len(y)]
    if len(classes) == 2:
        return curves, ""
    rest = f"the {len(curves)} most frequent of {len(classes)} classes" if len(curves) < len(classes) else ""
    return curves, _sentence("one class against the rest", rest)


def _confusion(y: NDArray[Any], predictions: Predictions, note: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap
    from sklearn.metrics import confusion_matrix

    labels = [*predictions.classes, *sorted(set(y) - set(predictions.classes), key=str)]
    counts = confusion_matrix(y, predictions.labels, labels=labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.2 + 0.55 * len(labels), 11.0)
    figure, axes = _canvas("Confusion matrix", _sentence(note, "shares of each true class"), side + 1.4, side + 0.7)
    blues = LinearSegmentedColormap.from_list("blues", ["#f5f8fc", "#9fc0e4", _COLORS[0]])
    image = axes.imshow(shares, cmap=blues, vmin=0, vmax=1)
    step = -(-len(labels) // 40)
    names = [_short(str(label), 22) for label in labels][::step]
    long = max(map(len, names)) > 4 and len(labels) > 3
    size = 9 if len(labels) <= 20 else 7
    axes.set_xticks(range(0, len(labels), step), names, rotation=45 if long else 0, fontsize=size, color=_INK)
    for tick in axes.get_xticklabels():
        tick.set(ha="right" if long else "center", rotation_mode="anchor" if long else "default")
    axes.set_yticks(range(0, len(labels), step), names, fontsize=size, color=_INK)
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=18, format=lambda share, _: f"{share:.0%}")
    bar.outline.set_visible(False)
    if len(labels) <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.6 else _INK
            text = f"{count:,}\n{shares[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9, linespacing=1.3)
    return figure


def _roc(curves: Sequence[_Curve], note: str) -> Any:
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, axes = _canvas("ROC curve", note, _width(curves), 6.2)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 4)))
    for curve in curves:
        false, true, _ = roc_curve(curve.is_class, curve.score)
        label = f"{_short(curve.label, 24)}  (AUC {roc_auc_score(curve.is_class, curve.score):.3f})"
        axes.plot(false, true, color=curve.color, label=label)
    _unit_square(axes, "False positive rate", "True positive rate")
    _legend(axes, curves, "lower right")
    return figure


def _precision_recall(curves: Sequence[_Curve], note: str) -> Any:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = _canvas("Precision and recall", note, _width(curves), 6.2)
    for curve in curves:
        precision, recall, _ = precision_recall_curve(curve.is_class, curve.score)
        label = f"{_short(curve.label, 24)}  (AP {average_precision_score(curve.is_class, curve.score):.3f})"
        axes.plot(recall, precision, color=curve.color, label=label, drawstyle="steps-post")
        axes.axhline(curve.is_class.mean(), color=curve.color, linewidth=1, linestyle=(0, (1, 3)))
    axes.plot([], [], color=_GREY, linewidth=1, linestyle=(0, (1, 3)), label="share of the class")
    _unit_square(axes, "Recall", "Precision")
    _legend(axes, curves, "lower left")
    return figure


def _reliability(curves: Sequence[_Curve], note: str) -> Any:
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss

    figure, (axes, below) = _canvas("Reliability of the probabilities", note, _width(curves), 7.4, rows=(4, 1))
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 4)), label="perfect")
    for curve in curves:
        # Bins with as many rows each: equally wide ones leave some with a handful of rows, and they jump about.
        observed, predicted = calibration_curve(curve.is_class, curve.score, n_bins=10, strategy="quantile")
        label = f"{_short(curve.label, 24)}  (Brier {brier_score_loss(curve.is_class, curve.score):.3f})"
        axes.plot(predicted, observed, marker="o", markersize=4, color=curve.color, label=label)
        below.hist(curve.score, bins=40, range=(0, 1), histtype="step", color=curve.color, linewidth=1.4)
    _unit_square(axes, "", "Share of the class among the rows")
    axes.tick_params(labelbottom=False)
    _legend(axes, curves, "upper left")
    below.set(xlabel="Predicted probability (ten bins with as many rows each)", ylabel="Rows")
    below.sharex(axes)
    return figure


def _canvas(
    title: str, note: str, width: float = 7.2, height: float = 4.8, *, rows: Sequence[int] = (1,)
) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots(len(rows), 1, height_ratios=list(rows))
    figure.suptitle(title, x=0.015, ha="left", fontsize=13, fontweight="bold")
    first = axes[0] if len(rows) > 1 else axes
    if note:
        lines = textwrap.fill(note[:1].upper() + note[1:], int(width * 12))
        first.set_title(lines, loc="left", fontsize=9, color=_GREY, pad=10)
    return figure, axes


def _width(curves: Sequence[_Curve]) -> float:
    return 6.4 if len(curves) <= MOST_INSIDE else 9.6


def _legend(axes: Any, curves: Sequence[_Curve], place: str) -> None:
    """Put the legend into the plot, or beside it when it is long."""
    if len(curves) <= MOST_INSIDE:
        axes.legend(loc=place)
    else:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _unit_square(axes: Any, xlabel: str, ylabel: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=xlabel, ylabel=ylabel)
    axes.set_aspect("equal" if xlabel else "auto")


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 9]}…{text[-8:]}"


@contextmanager
def _styled() -> Iterator[None]:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # A name in letters that the font does not have, say; the plot is drawn all the same.
        warnings.simplefilter("ignore")
        yield
