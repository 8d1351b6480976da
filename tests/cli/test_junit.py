"""Gates and findings are tests to a CI server."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from mlwf.cli.boundary import run
from mlwf.cli.junit import Outcome, write_junit

SUMMARY = {
    "run_id": "r1",
    "name": "x & <y>",
    "started_at": "2026-11-28T06:50:00+00:00",
    "seconds": 1.25,
    "phases": [{"name": "tune", "status": "done"}],
    "gates": [
        {"asked": "accuracy at least 0.9", "got": "0.95", "passed": True, "source": "test", "note": ""},
        {"asked": "ece at most 0.1", "got": "0.2", "passed": False, "source": None, "note": "a\x1b[1m\nb"},
    ],
    "findings": [
        {"code": "leakage", "severity": "error", "message": "closed_at"},
        {"code": "leakage", "severity": "error", "message": "paid \ud800"},
    ],
}


def written(path, *outcomes):
    write_junit(outcomes, path)
    return ET.parse(path).getroot()


def test_a_run_its_gates_and_its_findings_are_tests(tmp_path):
    (suite,) = written(tmp_path / "r.xml", Outcome("x.yaml", SUMMARY))
    assert suite.attrib == {
        "name": "x & <y>",
        "time": "1.250",
        "timestamp": "2026-11-28T06:50:00+00:00",
        "tests": "5",
        "failures": "1",
        "errors": "0",
        "skipped": "2",
    }
    assert [
        (case.get("name"), [(each.tag, each.get("message"), each.text) for each in case]) for case in suite[1:]
    ] == [
        ("run", []),
        ("accuracy at least 0.9 on the test set", []),
        ("ece at most 0.1", [("failure", "got 0.2", "a\\x1b[1m\nb")]),
        ("leakage", [("skipped", "error: closed_at", None)]),
        ("leakage 2", [("skipped", "error: paid \\ud800", None)]),
    ]


def test_a_degraded_run_is_skipped_and_one_that_failed_is_an_error(tmp_path):
    degraded = {**SUMMARY, "gates": [], "phases": [{"name": "tune", "status": "degraded", "reason": "no time"}]}
    one, other = written(
        tmp_path / "r.xml", Outcome("x", degraded), Outcome("e.yaml", failure="e.yaml:1:1  x: unknown")
    )
    assert one.find("testcase/skipped").get("message") == "degraded: tune: no time"
    assert (other.get("name"), other.get("errors"), other.find("testcase/error").get("message")) == (
        "e.yaml", "1", "e.yaml:1:1  x: unknown",
    )  # fmt: skip


@pytest.mark.parametrize("configs", [["e.yaml"], ["e.yaml", "e.yaml"]], ids=["one", "several"])
def test_what_failed_is_written_too(configs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.yaml").write_text("data: {path: t.csv, target: y}\nx: 1\n")
    assert run(["train", *configs, "--quiet", "--junit", "r.xml"]) == 2
    suites = ET.parse("r.xml").getroot()
    messages = [suite.find("testcase/error").get("message") for suite in suites]
    assert len(messages) == len(configs)
    assert all(each.startswith("e.yaml:2:1  x: unknown key") for each in messages)


def test_a_folder_that_is_not_there_is_refused_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "e.yaml", "--junit", "no/r.xml"]) == 2
    err = "no/r.xml: its folder does not exist; accepted: a file in a folder that is there\n"
    assert capsys.readouterr().err == err
