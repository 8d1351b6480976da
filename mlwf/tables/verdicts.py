"""Whether to trust a run: what a person should look at first, and the gates that it meets or does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.tables.blocks import Block, shown, with_alarm, written
from mlwf.tables.wording import BAD, DOUBTFUL, GOOD, QUIET, SOURCES, counted, sentence

SEVERITY_STYLES = {"error": BAD, "warning": DOUBTFUL, "info": QUIET}
"""How loud a finding is, the loudest first."""
READ_ON = "README, What the findings mean"


def findings_shown(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show the findings, the gravest first, and where to read on."""
    findings = _findings(summary)
    if not findings:
        return
    listed = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        style = SEVERITY_STYLES.get(finding["severity"], "")
        quiet = QUIET if style == QUIET else ""
        told = Text.assemble((str(finding["code"]), quiet or "bold"), ": ", str(finding["message"]), style=quiet)
        listed.add_row(Text(str(finding["severity"]), style), told)
    yield from (Text(), Text("Findings", SEVERITY_STYLES.get(findings[0]["severity"], "bold")), listed)
    yield Text(f"See {READ_ON}.", QUIET)


def findings_written(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write the findings as lines of Markdown."""
    if findings := _findings(summary):
        yield from ("", "### Findings", "")
        for finding in findings:
            yield f"- **{finding['severity']}** `{finding['code']}`: {sentence(finding['message'])}"
        yield from ("", f"See {READ_ON}.")


def gates_verdict(summary: Mapping[str, Any]) -> Text:
    """Say in a few words whether the gates are met; nothing without gates."""
    gates = summary.get("gates") or []
    missed = sum(not gate["passed"] for gate in gates)
    if missed:
        return Text(f"{missed} of {counted(len(gates), 'gate')} not met" if len(gates) > 1 else "1 gate not met", BAD)
    return Text(f"{counted(len(gates), 'gate')} met", GOOD) if gates else Text()


def gates_shown(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show what each gate asked for and what it got."""
    if gates := summary.get("gates"):
        block = _gates(gates, met="met", missed="not met")
        listed = [[cells[0], _in_words(gate)] for cells, gate in zip(block.rows, gates, strict=True)]
        yield from shown(block, Block(block.title, block.how, ["", ""], listed, n_words=2))


def gates_written(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write what each gate asked for and what it got as lines of Markdown."""
    if gates := summary.get("gates"):
        yield from written(_gates(gates, met="✅ met", missed="❌ not met"))


def _findings(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    loudest = list(SEVERITY_STYLES)
    findings: Sequence[Mapping[str, Any]] = summary.get("findings") or []
    return sorted(findings, key=lambda each: loudest.index(each["severity"]) if each["severity"] in loudest else 0)


def _gates(gates: Sequence[Mapping[str, Any]], *, met: str, missed: str) -> Block:
    columns = ["verdict", "asked", "got", "where", "note"]
    rows = [
        [
            Text(met, GOOD) if gate["passed"] else Text(missed, BAD),
            Text(str(gate["asked"])),
            Text(str(gate["got"]), "" if gate["passed"] else BAD),
            Text(SOURCES.get(gate.get("source") or "", "")),
            _note(gate),
        ]
        for gate in gates
    ]
    told = [at for at in range(len(columns)) if at < 3 or any(cells[at] for cells in rows)]
    return Block("Gates", "", [columns[at] for at in told], [[cells[at] for at in told] for cells in rows], len(told))


def _in_words(gate: Mapping[str, Any]) -> Text:
    where = f" ({SOURCES[gate['source']].lower()})" if gate.get("source") in SOURCES else ""
    got = Text(f"got: {gate['got']}{where}", "" if gate["passed"] else BAD)
    return Text("\n").join(filter(None, [Text(str(gate["asked"])), got, _note(gate)]))


def _note(gate: Mapping[str, Any]) -> Text:
    return with_alarm(Text(str(gate.get("note") or ""), QUIET))
