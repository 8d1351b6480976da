"""Many runs: a row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.tables.blocks import FirstFitting
from mlwf.tables.wording import BAD, NOTHING, STATUS_STYLES, duration, escaped, markdown_row, number
from mlwf.text import printable_in

COLUMNS = ("Run", "Name", "Status", "Score", "Test", "Time", "Algorithm", "Started")
FEWEST = 4
RIGHT = {"Score", "Test", "Time"}
GATES = {"met": "gates met", "not met": "gate not met"}


def runs_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show runs, a row each; a narrow terminal shows fewer columns."""
    rows = printable_in(rows)
    return FirstFitting([_table(rows, COLUMNS[:count]) for count in range(len(COLUMNS), FEWEST - 1, -1)])


def runs_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write runs as a Markdown table."""
    lines = [markdown_row(COLUMNS), markdown_row(["---:" if column in RIGHT else "---" for column in COLUMNS])]
    for row in printable_in(rows):
        cells = _run_cells(row)
        lines.append(markdown_row([escaped(cells[column]) for column in COLUMNS]))
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        # Names alone may fold, and what is said beside a status: of a run id every character is needed.
        justify: JustifyMethod = "right" if column in RIGHT else "left"
        table.add_column(column, justify=justify, no_wrap=column not in {"Name", "Status"}, overflow="fold")
    for row in rows:
        cells = _run_cells(row)
        styles = {"Status": BAD if row.get("gates") == "not met" else STATUS_STYLES.get(str(row.get("status")), "")}
        table.add_row(*(Text(cells[column], styles.get(column, "")) for column in columns))
    return table


def _run_cells(row: Mapping[str, Any]) -> dict[str, str]:
    score, test = row.get("score"), row.get("test")
    started = row.get("started_at")
    return {
        "Run": str(row["run_id"]),
        "Name": str(row.get("name") or ""),
        "Status": ", ".join(filter(None, [str(row.get("status") or ""), GATES.get(row.get("gates") or "")])),
        "Score": f"{score['metric']} {number(score.get('value'))}" if score else NOTHING,
        "Test": f"{test['metric']} {number(test.get('value'))}" if test else NOTHING,
        "Time": duration(row.get("seconds")),
        "Algorithm": str(row.get("algorithm") or NOTHING),
        "Started": f"{datetime.fromisoformat(started).astimezone():%Y-%m-%d %H:%M}" if started else NOTHING,
    }
