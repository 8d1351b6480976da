"""How numbers and counts are written, and what Markdown must not take for its own."""

from __future__ import annotations

from collections.abc import Iterable

NOTHING = "-"
STATUS_STYLES = {
    "done": "bold green",
    "degraded": "bold yellow",
    "unfinished": "bold yellow",
    "running": "bold cyan",
    "failed": "bold red",
    "killed": "bold red",
}


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


def number(value: float | None) -> str:
    """Write a score with four decimals; one that would vanish behind them in powers of ten.

    >>> [number(value) for value in (0.98554, 0.00001, 0.0, -0.5, None)]
    ['0.9855', '1.0e-05', '0.0000', '-0.5000', '-']
    """
    if value is None:
        return NOTHING
    return f"{value:.1e}" if 0 < abs(value) < 0.00005 else f"{value:.4f}"


def counted(count: int | None, noun: str) -> str:
    """Say a count with its noun; nothing when it is unknown.

    >>> [counted(count, "row") for count in (1, 39073, None)]
    ['1 row', '39,073 rows', '']
    """
    return "" if count is None else f"{count:,} {noun}{'' if count == 1 else 's'}"


def markdown_row(cells: Iterable[str]) -> str:
    """Write a row of a Markdown table from cells that are escaped."""
    return f"| {' | '.join(cells)} |"


def escaped(text: object) -> str:
    r"""Write a text so that Markdown shows it as it is, line breaks included.

    >>> escaped("<=50K | a*b")
    '&lt;=50K \\| a\\*b'
    """
    marked = str(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")
    return marked.replace("\n", "<br>")
