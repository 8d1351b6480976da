"""What all plots share: colours, titles, legends, axes."""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.processes import SharedState

MOST_INSIDE = 4
"""Curves up to which the legend stands inside the plot."""

COLORS = ("#1f5fa8", "#d1603d", "#2f8f6b", "#8a5aa8", "#c29a1f", "#3aa0b8", "#b0486f", "#6b7280")
INK, GREY, GRID = "#1f2933", "#667085", "#e4e7ec"
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#98a2b3",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.color": GRID,
    "legend.fontsize": 9,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.8,
    "text.color": INK,
    # A class may be called "$50K"; a pair of dollars would be read as a formula.
    "text.parse_math": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
}
DPI = 144


@dataclass(frozen=True, eq=False)
class Curve:
    """One class against the rest."""

    label: str
    is_class: NDArray[np.bool_]
    score: NDArray[np.float64]
    """Greater for a likelier class: a probability, or a decision value."""
    color: str


def new_figure(
    title: str, note: str, width: float = 7.2, height: float = 4.8, *, rows: Sequence[int] = (1,)
) -> tuple[Any, Any]:
    """Make a figure with a title and a note beneath it, and axes over each other, as high as `rows` say."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots(len(rows), 1, height_ratios=list(rows))
    figure.suptitle(title, x=0.015, ha="left", fontsize=13, fontweight="bold")
    first = axes[0] if len(rows) > 1 else axes
    if note:
        lines = textwrap.fill(note[:1].upper() + note[1:], int(width * 12))
        first.set_title(lines, loc="left", fontsize=9, color=GREY, pad=10)
    return figure, axes


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG.

    `Figure.savefig` gives the same file, and draws everything twice when there is a layout to compute.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(path)


def width_of(n_curves: int) -> float:
    """Give how wide a figure must be for its curves and their legend."""
    return 6.4 if n_curves <= MOST_INSIDE else 9.6


def legend(axes: Any, n_curves: int, place: str) -> None:
    """Put the legend into the plot, or beside it when it is long."""
    if n_curves <= MOST_INSIDE:
        axes.legend(loc=place)
    else:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def unit_square(axes: Any, xlabel: str, ylabel: str) -> None:
    """Let both axes go from 0 to 1."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=xlabel, ylabel=ylabel)
    axes.set_aspect("equal" if xlabel else "auto")


def sentence(*parts: str) -> str:
    """Join what there is."""
    return "; ".join(part for part in parts if part)


def short(text: str, longest: int) -> str:
    """Cut a long text, and keep its end: names often differ there."""
    return text if len(text) <= longest else f"{text[: longest - 9]}…{text[-8:]}"


def styled() -> AbstractContextManager[None]:
    """Draw in the style of mlwf, without warnings."""
    return _STYLED.held()


@contextmanager
def _in_our_style() -> Iterator[None]:
    from matplotlib import rc_context

    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with rc_context(_STYLE), warnings.catch_warnings():
            # A name in letters that the font does not have, say; the plot is drawn all the same.
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


_STYLED = SharedState(_in_our_style)
"""matplotlib's style belongs to the process, not to a thread."""
