"""One run: what was done, every score with how it was got, and the warnings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlwf.tables.facts import facts_of
from mlwf.tables.wording import STATUS_STYLES, counted, duration, escaped, markdown_row, number

SOURCES = {"cross_validation": "Cross-validation", "train_test": "Hold-out", "test": "Test set"}
NOTES = {
    "std": "±: the standard deviation over the folds.",
    "baseline": "Baseline: the same metric of a model that knows only how frequent each class is.",
}
"""What a column of the scores means, by its key."""


def summary_table(summary: Mapping[str, Any]) -> RenderableType:
    """Show a run, from the content of its summary.json."""
    return Group(_head(summary), Text(), _facts(summary), *_scores(summary), *_warnings(summary))


def summary_markdown(summary: Mapping[str, Any]) -> str:
    """Write a run as Markdown, for a pull request or the page of a CI job."""
    lines = [f"## {escaped(summary.get('name', ''))} {_ending(summary)}", "", f"Run `{summary.get('run_id', '')}`", ""]
    lines += [markdown_row(["", ""]), markdown_row(["---", "---"])]
    for fact in facts_of(summary):
        text = escaped(fact.text)
        lines.append(markdown_row([f"**{fact.label}**", f"**{text}**" if fact.tone else text]))
    for group in _groups(summary):
        ruler = ["---", *["---:"] * (len(group.columns) - 1)]
        lines += ["", f"**{group.source}**{escaped(group.how)}", "", markdown_row(group.columns), markdown_row(ruler)]
        lines += [markdown_row(map(escaped, cells)) for cells in group.rows]
    if notes := _notes(summary):
        lines += ["", " ".join(notes)]
    if warnings := summary.get("warnings"):
        lines += ["", "### Warnings", "", *(f"- {escaped(warning)}" for warning in warnings)]
    return "\n".join(lines) + "\n"


def _head(summary: Mapping[str, Any]) -> Text:
    style = STATUS_STYLES.get(summary.get("status", ""), "")
    name, run_id = str(summary.get("name", "")), str(summary.get("run_id", ""))
    return Text.assemble((name, "bold"), " ", (_ending(summary), style), "  ", (run_id, "dim"))


def _ending(summary: Mapping[str, Any]) -> str:
    seconds, status = summary.get("seconds"), str(summary.get("status", ""))
    how = "after" if status in {"failed", "killed"} else "in"
    return status if seconds is None else f"{status} {how} {duration(seconds)}"


def _facts(summary: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for fact in facts_of(summary):
        style = STATUS_STYLES.get(fact.tone, "")
        table.add_row(Text(fact.label, style), Text(fact.text, style))
    return table


def _scores(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    groups = _groups(summary)
    # One width for the names, so that the scores of all groups stand below each other.
    width = max((len(cells[0]) for group in groups for cells in group.rows), default=0)
    for group in groups:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column(group.columns[0], no_wrap=True, min_width=width)
        for column in group.columns[1:]:
            table.add_column(column, justify="right", no_wrap=True)
        for cells in group.rows:
            table.add_row(*map(Text, cells))
        yield from (Text(), Text.assemble((group.source, "bold"), group.how), Padding(table, (0, 0, 0, 2)))
    if notes := _notes(summary):
        yield from (Text(), *(Text(note, "dim") for note in notes))


def _warnings(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    if warnings := summary.get("warnings"):
        listed = Table.grid(padding=(0, 1, 0, 0))
        for warning in warnings:
            listed.add_row("-", Text(str(warning)))
        yield from (Text(), Text("Warnings", STATUS_STYLES["degraded"]), listed)


@dataclass(frozen=True)
class _Group:
    """Scores that were got in the same way."""

    source: str
    how: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _groups(summary: Mapping[str, Any]) -> list[_Group]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for score in summary.get("scores") or []:
        groups.setdefault(_heading(score), []).append(score)
    return [_group(source, how, scores) for (source, how), scores in groups.items()]


def _heading(score: Mapping[str, Any]) -> tuple[str, str]:
    """Say what rows a score is of, and the rest of how it was got."""
    source = SOURCES.get(score["source"], str(score["source"]))
    note, n_rows = str(score.get("note") or ""), score.get("n_rows")
    if (match := re.match(r"(.*?[\d,]+ rows\b)(.*)", note)) and source.lower() in match[1].lower():
        return f"{match[1][0].upper()}{match[1][1:]}", match[2]
    told = n_rows is None or f"{n_rows} rows" in note or f"{n_rows:,} rows" in note
    return source, ("" if told else f" ({counted(n_rows, 'row')})") + (f": {note}" if note else "")


def _group(source: str, how: str, scores: Iterable[Mapping[str, Any]]) -> _Group:
    cells = [
        {
            "metric": str(score["metric"]),
            "score": number(score.get("value")),
            "±": "" if score.get("std") is None else number(score["std"]),
            "baseline": "" if score.get("baseline") is None else number(score["baseline"]),
        }
        for score in scores
    ]
    columns = [column for column in cells[0] if any(row[column] for row in cells)]
    return _Group(source, how, columns, [[row[column] for column in columns] for row in cells])


def _notes(summary: Mapping[str, Any]) -> list[str]:
    scores = summary.get("scores") or []
    return [note for key, note in NOTES.items() if any(score.get(key) is not None for score in scores)]
