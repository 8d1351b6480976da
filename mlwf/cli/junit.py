"""What became of experiments as a JUnit XML file, which CI servers show as tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from mlwf.atomic import writing
from mlwf.cli.run_lookup import from_here
from mlwf.specs.catalogue import SOURCES
from mlwf.text import printable, redact


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment."""

    title: str
    """What it is called where it has no summary."""
    summary: Mapping[str, Any] | None = None
    """None where it did not end."""
    failure: str = ""
    """Why it did not end."""


def write_junit(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write a suite for each experiment: a test that it ran, one for each gate, and one for each finding.

    A gate that is not met is a failure, and an experiment that did not end an error. A finding is a test that is
    skipped, with its message: it is to be seen, and does not fail the job.
    """
    suites = ET.Element("testsuites", name="mlwf")
    for outcome in outcomes:
        _add_suite(suites, outcome)
    ET.indent(suites)
    with writing(path) as draft:
        ET.ElementTree(suites).write(draft, encoding="utf-8", xml_declaration=True)


def _add_suite(suites: ET.Element, outcome: Outcome) -> None:
    summary = outcome.summary or {}
    name = str(summary.get("name") or outcome.title)
    suite = _add(suites, "testsuite", name=name, time=f"{summary.get('seconds') or 0:.3f}")
    if summary:
        suite.set("timestamp", str(summary.get("started_at") or ""))
        _add(_add(suite, "properties"), "property", name="run_id", value=str(summary.get("run_id") or ""))
    ran = _add(suite, "testcase", classname=name, name="run", time=suite.get("time", "0"))
    if outcome.summary is None:
        _add(ran, "error", message=outcome.failure)
    for phase in summary.get("phases") or []:
        if phase["status"] == "degraded":
            _add(ran, "skipped", message=f"degraded: {phase['name']}: {phase.get('reason') or ''}")
            break  # a test is skipped once
    for gate in summary.get("gates") or []:
        where = f" {SOURCES[gate['source']].where}" if gate.get("source") in SOURCES else ""
        case = _add(suite, "testcase", classname=f"{name}.gates", name=f"{gate['asked']}{where}", time="0")
        if not gate.get("is_checked", True):
            _add(case, "skipped", message=f"not checked: {gate['got']}")
        elif not gate["passed"]:
            _add(case, "failure", message=f"got {gate['got']}").text = _plain(gate.get("note") or "") or None
    codes: dict[str, int] = {}
    for finding in summary.get("findings") or []:
        code = str(finding["code"])
        number = codes[code] = codes.get(code, 0) + 1
        title = code if number == 1 else f"{code} {number}"
        case = _add(suite, "testcase", classname=f"{name}.findings", name=title, time="0")
        _add(case, "skipped", message=f"{finding['severity']}: {finding['message']}")
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind, counted in {"failure": "failures", "error": "errors", "skipped": "skipped"}.items():
        suite.set(counted, str(sum(case.find(kind) is not None for case in cases)))


def _add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, {key: _plain(value) for key, value in attributes.items()})


def _plain(text: str) -> str:
    """Write a text of characters that XML can hold, without secrets."""
    return "\n".join(printable(redact(from_here(line))) for line in text.split("\n"))
