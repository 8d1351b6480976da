"""The tables themselves: one run, a plan, many runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.tables.blocks import (
    BAD,
    NOTHING,
    STATUS_STYLES,
    FirstThatFits,
    duration,
    escaped,
    markdown_row,
    marked,
    moment,
    number,
    sentence,
    with_alarm,
)
from mlwf.tables.descriptions import findings_markdown, gates_markdown, gates_outcome, render_findings, render_gates
from mlwf.tables.leaderboard import leaderboard_markdown, render_leaderboard
from mlwf.tables.score_tables import (
    best_slices,
    details_markdown,
    notes_of,
    render_details,
    render_scores,
    scores_markdown,
)
from mlwf.tables.summary_rows import summary_rows
from mlwf.text import printable_in

PLAN_COLUMNS = {"Phase": "name", "One by one": "asked", "To fit": "fits", "Recorded": "recorded"}
"""What a column is called, and what it shows of a phase: the fits of a naive script, those that are left to make, and
those that earlier runs have cached."""

RUN_COLUMNS = ("Run", "Name", "Status", "Score", "Test", "Time", "Algorithm", "Started")
FEWEST = 4
RIGHT = {"Score", "Test", "Time"}
GATES = {"met": "gates met", "not met": "gate not met"}


def summary_table(summary: Mapping[str, Any]) -> RenderableType:
    """Show a run, from the content of its summary.json."""
    summary = printable_in(summary)
    return Group(
        _head(summary),
        Text(),
        _fields(summary),
        *render_leaderboard(summary),
        *render_scores(summary),
        *render_details(summary),
        *_notes(summary),
        *render_findings(summary),
        *_warnings(summary),
        # Last, so that a terminal that has scrolled away still ends with the verdict.
        *render_gates(summary),
    )


def summary_markdown(summary: Mapping[str, Any]) -> str:
    """Write a run as Markdown, for a pull request or the page of a CI job; the gates come first."""
    summary = printable_in(summary)
    ending = ", ".join(filter(None, [_ending(summary), gates_outcome(summary).plain]))
    lines = [f"## {escaped(summary.get('name', ''))} {ending}", *gates_markdown(summary)]
    lines += ["", f"Run `{summary.get('run_id', '')}`", "", markdown_row(["", ""]), markdown_row(["---", "---"])]
    for field in summary_rows(summary):
        text = escaped(field.text)
        lines.append(markdown_row([f"**{field.label}**", f"**{text}**" if field.tone else marked(text)]))
    lines += [*leaderboard_markdown(summary), *scores_markdown(summary), *details_markdown(summary)]
    if notes := notes_of(summary, slices=best_slices(summary)):
        lines += ["", *(f"- {marked(sentence(note.plain))}" for note in notes)]
    lines += findings_markdown(summary)
    if warnings := summary.get("warnings"):
        lines += ["", "### Warnings", "", *(f"- {sentence(warning)}" for warning in warnings)]
    return "\n".join(lines) + "\n"


def runs_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show runs, a row each; a narrow terminal shows fewer columns."""
    rows = printable_in(rows)
    return FirstThatFits([_table(rows, RUN_COLUMNS[:count]) for count in range(len(RUN_COLUMNS), FEWEST - 1, -1)])


def runs_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write runs as a Markdown table."""
    lines = [markdown_row(RUN_COLUMNS), markdown_row(["---:" if column in RIGHT else "---" for column in RUN_COLUMNS])]
    for row in printable_in(rows):
        cells = run_cells(row)
        lines.append(markdown_row([escaped(cells[column]) for column in RUN_COLUMNS]))
    return "\n".join(lines) + "\n"


def plan_table(phases: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show the fits of each phase, and of all."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in PLAN_COLUMNS:
        table.add_column(column, justify="left" if column == "Phase" else "right", no_wrap=True)
    *rows, total = _rows(phases)
    for row in rows:
        table.add_row(*row)
    table.add_row(*(Text(cell, "bold") for cell in total))
    return table


def plan_markdown(phases: Sequence[Mapping[str, Any]]) -> str:
    """Write the fits of each phase as a Markdown table."""
    lines = [markdown_row(PLAN_COLUMNS), markdown_row(["---", *["---:"] * (len(PLAN_COLUMNS) - 1)])]
    return "\n".join([*lines, *(markdown_row(row) for row in _rows(phases))]) + "\n"


def _head(summary: Mapping[str, Any]) -> Text:
    style = STATUS_STYLES.get(summary.get("status", ""), "")
    name, run_id = str(summary.get("name", "")), str(summary.get("run_id", ""))
    outcome = gates_outcome(summary)
    ending = Text.assemble((_ending(summary), style), ", " if outcome else "", outcome)
    return Text.assemble((name, "bold"), " ", ending, "  ", (run_id, "dim"))


def _ending(summary: Mapping[str, Any]) -> str:
    seconds, status = summary.get("seconds"), str(summary.get("status", ""))
    how = "after" if status in {"failed", "killed"} else "in"
    return status if seconds is None else f"{status} {how} {duration(seconds)}"


def _fields(summary: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for field in summary_rows(summary):
        style = STATUS_STYLES.get(field.tone, "")
        table.add_row(Text(field.label, style), with_alarm(Text(field.text, style)))
    return table


def _notes(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    if notes := notes_of(summary, slices=best_slices(summary)):
        yield from (Text(), *notes)


def _warnings(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    if warnings := summary.get("warnings"):
        listed = Table.grid(padding=(0, 1, 0, 0))
        for warning in warnings:
            listed.add_row("-", Text(str(warning)))
        yield from (Text(), Text("Warnings", STATUS_STYLES["degraded"]), listed)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        # Names alone may fold, and what stands beside a status: of a run id every character is needed.
        justify: JustifyMethod = "right" if column in RIGHT else "left"
        table.add_column(column, justify=justify, no_wrap=column not in {"Name", "Status"}, overflow="fold")
    for row in rows:
        cells = run_cells(row)
        styles = {"Status": BAD if row.get("gates") == "not met" else STATUS_STYLES.get(str(row.get("status")), "")}
        table.add_row(*(Text(cells[column], styles.get(column, "")) for column in columns))
    return table


def run_cells(row: Mapping[str, Any]) -> dict[str, str]:
    score, test, verdict = row.get("score"), row.get("test"), GATES.get(row.get("gates") or "")
    started = row.get("started_at")
    return {
        "Run": str(row["run_id"]),
        "Name": str(row.get("name") or ""),
        "Status": ", ".join(filter(None, [str(row.get("status") or ""), verdict, *(row.get("aliases") or [])])),
        "Score": f"{score['metric']} {number(score.get('value'))}" if score else NOTHING,
        "Test": f"{test['metric']} {number(test.get('value'))}" if test else NOTHING,
        "Time": duration(row.get("seconds")),
        "Algorithm": str(row.get("algorithm") or NOTHING),
        "Started": moment(started) if started else NOTHING,
    }


def _rows(phases: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    rows = [[str(phase["name"]), *(f"{phase[key]:,}" for key in _counts())] for phase in phases if phase["asked"]]
    return [*rows, ["all", *(f"{sum(phase[key] for phase in phases):,}" for key in _counts())]]


def _counts() -> list[str]:
    return [key for key in PLAN_COLUMNS.values() if key != "name"]
