"""Headed tables, made once and shown twice, on a terminal and as Markdown; how numbers are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlwf.provenance import COMPARED, LABELS, Provenance
from mlwf.specs.catalogue import SOURCES
from mlwf.text import pluralize

if TYPE_CHECKING:
    from mlwf.results import CacheSize

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
MARKS = re.compile(r"[\\|*`]|(?<=\])\(|(?<!\w)_+|_+(?!\w)")
"""What Markdown would take for its own; underscores inside a word it leaves alone."""
COMPARED_LABELS = [LABELS[choice] for choice in COMPARED]
"""The label that must not be missed: of scores on rows that the hyperparameters were chosen on."""
ANY_LABEL = re.compile("|".join(COMPARED_LABELS), re.IGNORECASE)


def moment(iso: str) -> str:
    """Write a moment, as ISO 8601 has it, in the time of this machine."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M}"


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


def describe_cache_size(size: CacheSize) -> str:
    """Say how much the fit cache holds.

    >>> from mlwf.results import CacheSize
    >>> [describe_cache_size(size) for size in (CacheSize(320, 1, 4_200_000), CacheSize(0, 0, 0))]
    ['320 fits, 1 model, 4.2 MB', '0 fits, 0 models, 0.0 MB']
    """
    return f"{pluralize(size.n_fits, 'fit')}, {pluralize(size.n_models, 'model')}, {size.n_bytes / 1e6:,.1f} MB"


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
    """Write an interval.

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


def source_label(row: Mapping[str, Any]) -> str:
    """Name where the number of a score or a gate comes from; empty when it is not known."""
    source = row.get("source")
    return SOURCES[source].label if source in SOURCES else str(source or "")


def provenance_of(number: Mapping[str, Any]) -> Provenance | None:
    """Give how a number of a summary was got; None where a version wrote it that kept the sentence alone."""
    try:
        return Provenance.from_dict(number["provenance"])
    except (KeyError, TypeError):
        return None


def labels_of(number: Mapping[str, Any]) -> list[str]:
    """List the labels of a number that is computed on rows on which something was chosen.

    >>> labels_of({"source": "cross_validation", "chosen": {"features": ["train", "train"]}})
    ['features inferred on the same rows']
    """
    if provenance := provenance_of(number):
        return [LABELS[choice] for choice in provenance.labels]
    if number.get("tuned_on_same_rows"):
        return [LABELS["hyperparameters"]]
    # What was chosen on all rows that are trained on was chosen on those that a fold holds out.
    chosen = (number.get("chosen") or {}) if number.get("source") in (None, "cross_validation") else {}
    return [label for choice, label in LABELS.items() if "train" in chosen.get(choice, ())]


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


DOUBT = "?"
"""Stands behind a difference that may be none."""
METHODS = {
    "corrected resampled t": "corrected resampled t over the folds",
    "bootstrap of rows": "bootstrap of the rows",
    "bootstrap of groups": "bootstrap of whole groups of rows",
}
"""By which method intervals are got, in words."""
ALARM = f"{DOUBTFUL} reverse"


@dataclass(frozen=True)
class Block:
    """A table below a heading."""

    title: str
    how: str
    """The rest of the heading."""
    columns: Sequence[str]
    """Their headings; empty ones are not shown."""
    rows: Sequence[Sequence[Text]]
    n_words: int = 1
    """How many of the columns, from the left, hold words; the others hold numbers."""
    first_width: int = 0
    """Least width of the first column."""


@dataclass(frozen=True)
class FirstThatFits:
    """The first of some renderables that the terminal is wide enough for, or the last."""

    choices: Sequence[RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        boundless = options.update(max_width=10_000)
        widths = ((Measurement.get(console, boundless, each).maximum, each) for each in self.choices)
        yield next((each for width, each in widths if width <= options.max_width), self.choices[-1])


def render_block(block: Block, *narrower: Block) -> Iterator[RenderableType]:
    """Show a block, or the first of the narrower ones that fits."""
    heading = with_alarm(Text.assemble((block.title, "bold"), block.how))
    yield from (Text(), heading, Padding(FirstThatFits([_table(each) for each in (block, *narrower)]), (0, 0, 0, 2)))


def block_markdown(block: Block) -> list[str]:
    """Write a block as lines of Markdown."""
    ruler = ["---" if at < block.n_words else "---:" for at in range(len(block.columns))]
    rows = [markdown_row(marked(escaped(cell.plain.strip())) for cell in cells) for cells in block.rows]
    return [
        "",
        f"**{escaped(block.title)}**{marked(escaped(block.how))}",
        "",
        markdown_row(map(escaped, block.columns)),
        markdown_row(ruler),
        *rows,
    ]


def with_alarm(text: Text) -> Text:
    """Make the label that must not be missed stand out."""
    alarmed = text.copy()
    alarmed.highlight_regex(ANY_LABEL, ALARM)
    return alarmed


def marked(text: str) -> str:
    """Make the label that must not be missed stand out in a line of Markdown."""
    return ANY_LABEL.sub(r"**\g<0>**", text)


def stacked(block: Block, *places: Sequence[int]) -> Block:
    """Make a block narrower: columns that are named together stand in one, below each other."""
    columns = ["\n".join(block.columns[at] for at in group) for group in places]
    rows = [[Text("\n").join(cells[at] for at in group if cells[at]) for group in places] for cells in block.rows]
    return replace(block, columns=columns, rows=rows)


def _table(block: Block) -> Table:
    table = Table(box=None, show_header=any(block.columns), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for at, column in enumerate(block.columns):
        is_word = at < block.n_words
        table.add_column(
            column,
            justify="left" if is_word else "right",
            # Words may fold where the terminal is too narrow; half a number is a wrong number.
            no_wrap=not is_word,
            overflow="fold",
            min_width=block.first_width if at == 0 else None,
        )
    for cells in block.rows:
        table.add_row(*cells)
    return table
