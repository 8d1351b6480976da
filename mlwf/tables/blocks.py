"""Headed tables, told once and shown twice: on a terminal of any width, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlwf.tables.wording import ANY_LABEL, DOUBTFUL, escaped, markdown_row

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
class FirstFitting:
    """The first of some renderables that the terminal is wide enough for, or the last."""

    choices: Sequence[RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        boundless = options.update(max_width=10_000)
        widths = ((Measurement.get(console, boundless, each).maximum, each) for each in self.choices)
        yield next((each for width, each in widths if width <= options.max_width), self.choices[-1])


def shown(block: Block, *narrower: Block) -> Iterator[RenderableType]:
    """Show a block, or the first of the narrower ones that fits."""
    heading = with_alarm(Text.assemble((block.title, "bold"), block.how))
    yield from (Text(), heading, Padding(FirstFitting([_table(each) for each in (block, *narrower)]), (0, 0, 0, 2)))


def written(block: Block) -> list[str]:
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
