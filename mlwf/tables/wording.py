"""How numbers and counts are written, and what Markdown must not take for its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlwf.text import pluralize

if TYPE_CHECKING:
    from mlwf.results import RecordSize

counted = pluralize

NOTHING = "-"
NOT_AVAILABLE = "n/a"
GOOD, DOUBTFUL, BAD, QUIET = "bold green", "bold yellow", "bold red", "dim"
STATUS_STYLES = {
    "done": GOOD,
    "degraded": DOUBTFUL,
    "unfinished": DOUBTFUL,
    "running": "bold cyan",
    "failed": BAD,
    "killed": BAD,
}
SOURCES = {"test": "Test set", "train_test": "Hold-out", "cross_validation": "Cross-validation"}
"""Where a number comes from, the most trustworthy first."""
SAME_ROWS = re.compile(r"\b[\w ]+ on the same rows")
"""The labels of a number that is judged by rows on which something was chosen."""
MARKS = re.compile(r"[\\|*`]|(?<=\])\(|(?<!\w)_+|_+(?!\w)")
"""What Markdown would take for its own; underscores inside a word it leaves alone."""
LABEL = "tuned on the same rows"
"""The label that must not be missed: it is said of the number that flatters most."""
ANY_LABEL = re.compile(LABEL, re.IGNORECASE)


def duration(seconds: float | None) -> str:
    """Say how long something took.

    >>> [duration(seconds) for seconds in (0.04, 4.52, 45.2, 134, 3725)]
    ['0.0 s', '4.5 s', '45 s', '2 min 14 s', '1 h 02 min']
    """
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s" if minutes else f"{left} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def size_told(size: RecordSize) -> str:
    """Say how much the record of fits holds.

    >>> from mlwf.results import RecordSize
    >>> [size_told(size) for size in (RecordSize(320, 1, 4_200_000), RecordSize(0, 0, 0))]
    ['320 fits, 1 model, 4.2 MB', '0 fits, 0 models, 0.0 MB']
    """
    return f"{counted(size.n_fits, 'fit')}, {counted(size.n_models, 'model')}, {size.n_bytes / 1e6:,.1f} MB"


def number(value: float | None) -> str:
    """Write a score with four decimals; one that would vanish behind them in powers of ten.

    >>> [number(value) for value in (0.98554, 0.00001, 0.0, -0.5, None)]
    ['0.9855', '1.0e-05', '0.0000', '-0.5000', '-']
    """
    if value is None:
        return NOTHING
    return f"{value:.1e}" if 0 < abs(value) < 0.00005 else f"{value:.4f}"


def signed(value: float) -> str:
    """Write a difference.

    >>> [signed(value) for value in (0.113, -0.00001, 0.0)]
    ['+0.1130', '-1.0e-05', '+0.0000']
    """
    return number(value) if value < 0 else f"+{number(value)}"


def span(interval: Mapping[str, Any] | None) -> str:
    """Write where a number lies.

    >>> [span(interval) for interval in ({"low": 0.87051, "high": 0.8762}, None)]
    ['0.8705 – 0.8762', 'n/a']
    """
    return f"{number(interval['low'])} – {number(interval['high'])}" if interval else NOT_AVAILABLE


def percent(share: float) -> str:
    """Write a confidence as it is spoken of.

    >>> percent(0.95)
    '95 %'
    """
    return f"{100 * share:g} %"


def labels_of(note: str) -> list[str]:
    """Find the labels in what is said of a number.

    >>> labels_of("3-fold cross-validation of 275 rows, shuffled; tuned on the same rows; weighted by w")
    ['tuned on the same rows']
    """
    return SAME_ROWS.findall(note)


def markdown_row(cells: Iterable[str]) -> str:
    """Write a row of a Markdown table from cells that are escaped."""
    return f"| {' | '.join(cells)} |"


def sentence(text: object) -> str:
    """Write a sentence of ours for Markdown: what stands in it in backticks is code."""
    return escaped(text).replace("\\`", "`") if str(text).count("`") % 2 == 0 else escaped(text)


def escaped(text: object) -> str:
    r"""Write a text so that Markdown shows it as it is, line breaks included.

    >>> print(escaped("<=50K | a*b `c` [d](e) _f_g_"))
    &lt;=50K \| a\*b \`c\` [d]\(e) \_f_g\_
    """
    marked = str(text).replace("&", "&amp;").replace("<", "&lt;")
    return MARKS.sub(lambda mark: re.sub(".", r"\\\g<0>", mark[0]), marked).replace("\n", "<br>")
