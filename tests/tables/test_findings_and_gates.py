# ruff: noqa: E501 (rows of Markdown tables are long)
from __future__ import annotations

import pytest

from mlwf.tables.descriptions import findings_markdown, gates_markdown, gates_outcome, render_findings, render_gates

FINDINGS = {
    "findings": [
        {"code": "rare_class", "severity": "info", "message": "class c has 12 rows", "see": "README.md#rare_class"},
        {"code": "grid_edge", "severity": "warning", "message": "the best C is the largest of its grid", "see": ""},
        {"code": "leakage", "severity": "error", "message": "tail_length alone tells a|b [bold]apart[/]", "see": ""},
    ]
}
MET = {"asked": "accuracy at least 0.9", "got": "0.9891", "passed": True, "source": "cross_validation", "note": ""}
MISSED = {
    "asked": "log_loss better than models:/adult@champion",
    "got": "better by -0.0012 [-0.0031, 0.0008]",
    "passed": False,
    "source": "test",
    "note": "compared on 9,769 rows",
}
NO_FINDING = {"asked": "no finding leakage", "got": "none", "passed": True, "source": None, "note": ""}
GATES = {"gates": [MET, MISSED, NO_FINDING]}


def test_findings_whole(draw):
    assert draw(render_findings(FINDINGS), 60) == FINDINGS_WHOLE


def test_findings_as_markdown_whole():
    assert "\n".join(findings_markdown(FINDINGS)) == FINDINGS_AS_MARKDOWN


def test_findings_are_as_loud_as_they_are_grave(draw):
    told = draw(render_findings(FINDINGS), colour=True)
    assert "\x1b[1;31merror" in told
    assert "\x1b[1;33mwarning" in told
    assert "\x1b[2minfo" in told


@pytest.mark.parametrize("width", [140, 60])
def test_gates_whole(draw, width):
    assert draw(render_gates(GATES), width) == GATES_WHOLE[width]


def test_gates_as_markdown_whole():
    assert "\n".join(gates_markdown(GATES)) == GATES_AS_MARKDOWN


@pytest.mark.parametrize(
    ("gates", "told", "style"),
    [
        ([], "", ""),
        ([MET], "1 gate met", "bold green"),
        ([MET, NO_FINDING], "2 gates met", "bold green"),
        ([MISSED], "1 gate not met", "bold red"),
        ([MET, MISSED], "1 of 2 gates not met", "bold red"),
    ],
    ids=["none", "one met", "all met", "one missed", "some missed"],
)
def test_verdict_of_all_gates(gates, told, style):
    verdict = gates_outcome({"gates": gates})
    assert (verdict.plain, verdict.style) == (told, style)


def test_verdicts_are_coloured(draw):
    told = draw(render_gates(GATES), colour=True)
    assert "\x1b[1;32mmet" in told
    assert "\x1b[1;31mnot met" in told


def test_a_gate_met_by_a_number_that_flatters_is_labelled_aloud(draw):
    gates = {"gates": [{**MET, "note": "tuned on the same rows"}]}
    assert "\x1b[1;2;7;33mtuned on the same rows" in draw(render_gates(gates), colour=True)
    assert "| **tuned on the same rows** |" in "\n".join(gates_markdown(gates))


@pytest.mark.parametrize("summary", [{}, {"findings": [], "gates": []}], ids=["old", "none"])
def test_without_findings_and_gates_nothing_is_said(summary):
    said = [render_findings(summary), findings_markdown(summary), render_gates(summary), gates_markdown(summary)]
    assert [list(each) for each in said] == [[], [], [], []]


FINDINGS_WHOLE = """\

Findings
error    leakage: tail_length alone tells a|b [bold]apart[/]
warning  grid_edge: the best C is the largest of its grid
info     rare_class: class c has 12 rows
See README, What the findings mean.
"""

FINDINGS_AS_MARKDOWN = """\

### Findings

- **error** `leakage`: tail_length alone tells a\\|b [bold]apart[/]
- **warning** `grid_edge`: the best C is the largest of its grid
- **info** `rare_class`: class c has 12 rows

See README, What the findings mean."""

GATES_WHOLE = {
    140: """\

Gates
  verdict  asked                                        got                                  where             note
  met      accuracy at least 0.9                        0.9891                               Cross-validation
  not met  log_loss better than models:/adult@champion  better by -0.0012 [-0.0031, 0.0008]  Test set          compared on 9,769 rows
  met      no finding leakage                           none
""",
    60: """\

Gates
  met      accuracy at least 0.9
           got: 0.9891 (cross-validation)
  not met  log_loss better than models:/adult@champion
           got: better by -0.0012 [-0.0031, 0.0008] (test
           set)
           compared on 9,769 rows
  met      no finding leakage
           got: none
""",
}

GATES_AS_MARKDOWN = """\

**Gates**

| verdict | asked | got | where | note |
| --- | --- | --- | --- | --- |
| ✅ met | accuracy at least 0.9 | 0.9891 | Cross-validation |  |
| ❌ not met | log_loss better than models:/adult@champion | better by -0.0012 [-0.0031, 0.0008] | Test set | compared on 9,769 rows |
| ✅ met | no finding leakage | none |  |  |"""
