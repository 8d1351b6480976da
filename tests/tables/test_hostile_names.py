"""Names of columns and classes that would break a terminal or a table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from mlwf.tables import runs_markdown, runs_table, summary_markdown, summary_table
from mlwf.text import is_hidden

HOSTILE = "\x1b[31mred\x9b\u202e\0\n\t|`a` *b* __c__ [d](e) \\| <b>"
LONG = "x" * 5_000


def summary_of(name: str) -> dict[str, Any]:
    """Make a summary in which every name and text is the given one."""
    report = {"label": name, "n_rows": 3, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    score = {"metric": "accuracy", "source": "test", "value": 0.5, "n_rows": 3, "note": name}
    return {
        "run_id": "r1",
        "name": name,
        "status": "degraded",
        "seconds": 1.0,
        "error": name,
        "summary": {"model_name": name, "algorithm": "svc", "n_features": 2},
        "data": {"source": name, "rows": 3, "columns": 2, "target": name, "classes": {name: 3}, "positive_class": name},
        "features": {"used": [{"type": "numeric", "columns": [name]}], "left_out": {name: name}},
        "tuning": {
            "strategy": "grid", "n_candidates": 1, "cv_folds": 3, "best_params": {name: name}, "scoring": "f1",
            "best_score": 0.5,
        },
        "threshold": {"value": 0.5, "scoring": "f1", "score": 0.5, "default_score": 0.5, "note": name},
        "tracking": {"tracking_uri": name, "run_id": name, "registered_model": name, "alias": name},
        "phases": [{"name": "tune", "status": "degraded", "reason": name, "seconds": 1.0}],
        "scores": [score],
        "slices": [{**score, "slice": name}],
        "classes": [{"source": "test", "report": [report, report], "confusion": [[1, 2], [0, 3]]}],
        "gates": [{"asked": name, "got": name, "passed": False, "source": "test", "note": name}],
        "findings": [{"severity": "warning", "code": "rare_class", "message": name}],
        "warnings": [name],
    }  # fmt: skip


def row_of(name: str) -> dict[str, Any]:
    score = {"metric": name, "value": 0.5}
    return {"run_id": name, "name": name, "status": name, "algorithm": name, "score": score, "test": score}


def on_terminal(renderable: Any) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


@pytest.mark.parametrize("name", [HOSTILE, LONG], ids=["hostile", "long"])
@pytest.mark.parametrize(
    "show",
    [
        lambda name: on_terminal(summary_table(summary_of(name))),
        lambda name: summary_markdown(summary_of(name)),
        lambda name: on_terminal(runs_table([row_of(name)])),
        lambda name: runs_markdown([row_of(name)]),
    ],
    ids=["summary", "summary markdown", "runs", "runs markdown"],
)
def test_names_cannot_break_what_is_shown(show, name):
    told = show(name)
    assert {character for character in told if is_hidden(character)} <= {"\n"}
    assert len(told) < 25_000
    assert "x" * 1_000 not in told


def test_names_cannot_break_a_markdown_table():
    lines = summary_markdown(summary_of(HOSTILE)).splitlines()
    tables = re.findall(r"(?:^\|.*\n)+", "\n".join(lines) + "\n", re.MULTILINE)
    assert len(tables) >= 4
    for table in tables:
        # A bar that is not escaped begins a cell; an escaped backslash before it does not escape it.
        counts = {len(re.findall(r"\|", re.sub(r"\\.", "", row))) for row in table.splitlines()}
        assert len(counts) == 1, table
    assert "<b>" not in "\n".join(lines)


def test_names_with_blanks_at_their_ends_are_quoted():
    told = on_terminal(summary_table(summary_of(" a ")))
    assert re.search(r"^Target +' a ': ' a ' 3 \(100%\); positive class ' a '", told, re.MULTILINE)
    assert re.search(r"^  ' a ' +3 +0\.5000", told, re.MULTILINE)
