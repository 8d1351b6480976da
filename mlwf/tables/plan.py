"""What a run would fit, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.tables.wording import markdown_row

COLUMNS = {"Phase": "name", "One by one": "asked", "To fit": "fits", "Recorded": "recorded"}
"""What a column is called, and what it shows of a phase: the fits of a naive script, those that are left to make, and
the answers that earlier runs have left."""


def plan_table(phases: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show the fits of each phase, and of all."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "Phase" else "right", no_wrap=True)
    *rows, total = _rows(phases)
    for row in rows:
        table.add_row(*row)
    table.add_row(*(Text(cell, "bold") for cell in total))
    return table


def plan_markdown(phases: Sequence[Mapping[str, Any]]) -> str:
    """Write the fits of each phase as a Markdown table."""
    lines = [markdown_row(COLUMNS), markdown_row(["---", *["---:"] * (len(COLUMNS) - 1)])]
    return "\n".join([*lines, *(markdown_row(row) for row in _rows(phases))]) + "\n"


def _rows(phases: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    rows = [[str(phase["name"]), *(f"{phase[key]:,}" for key in _counts())] for phase in phases if phase["asked"]]
    return [*rows, ["all", *(f"{sum(phase[key] for phase in phases):,}" for key in _counts())]]


def _counts() -> list[str]:
    return [key for key in COLUMNS.values() if key != "name"]
