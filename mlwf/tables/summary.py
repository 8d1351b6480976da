"""One run: what was done, every score with how it was got, and whether to trust it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.tables.blocks import marked, with_alarm
from mlwf.tables.facts import facts_of
from mlwf.tables.judgement import best_slices, judgement_shown, judgement_written
from mlwf.tables.scores import notes_of, scores_shown, scores_written
from mlwf.tables.verdicts import findings_shown, findings_written, gates_shown, gates_verdict, gates_written
from mlwf.tables.wording import STATUS_STYLES, duration, escaped, markdown_row, sentence
from mlwf.text import printable_in


def summary_table(summary: Mapping[str, Any]) -> RenderableType:
    """Show a run, from the content of its summary.json."""
    summary = printable_in(summary)
    return Group(
        _head(summary),
        Text(),
        _facts(summary),
        *scores_shown(summary),
        *judgement_shown(summary),
        *_notes(summary),
        *findings_shown(summary),
        *_warnings(summary),
        # Last, so that a terminal that has scrolled away still ends with the verdict.
        *gates_shown(summary),
    )


def summary_markdown(summary: Mapping[str, Any]) -> str:
    """Write a run as Markdown, for a pull request or the page of a CI job; the gates come first."""
    summary = printable_in(summary)
    ending = ", ".join(filter(None, [_ending(summary), gates_verdict(summary).plain]))
    lines = [f"## {escaped(summary.get('name', ''))} {ending}", *gates_written(summary)]
    lines += ["", f"Run `{summary.get('run_id', '')}`", "", markdown_row(["", ""]), markdown_row(["---", "---"])]
    for fact in facts_of(summary):
        text = escaped(fact.text)
        lines.append(markdown_row([f"**{fact.label}**", f"**{text}**" if fact.tone else marked(text)]))
    lines += [*scores_written(summary), *judgement_written(summary)]
    if notes := notes_of(summary, slices=best_slices(summary)):
        lines += ["", *(f"- {marked(sentence(note.plain))}" for note in notes)]
    lines += findings_written(summary)
    if warnings := summary.get("warnings"):
        lines += ["", "### Warnings", "", *(f"- {sentence(warning)}" for warning in warnings)]
    return "\n".join(lines) + "\n"


def _head(summary: Mapping[str, Any]) -> Text:
    style = STATUS_STYLES.get(summary.get("status", ""), "")
    name, run_id = str(summary.get("name", "")), str(summary.get("run_id", ""))
    verdict = gates_verdict(summary)
    ending = Text.assemble((_ending(summary), style), ", " if verdict else "", verdict)
    return Text.assemble((name, "bold"), " ", ending, "  ", (run_id, "dim"))


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
        table.add_row(Text(fact.label, style), with_alarm(Text(fact.text, style)))
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
