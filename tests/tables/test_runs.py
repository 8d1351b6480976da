# ruff: noqa: E501 (rows of Markdown tables are long)
from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from mlwf.tables import runs_markdown, runs_table

ROWS: list[dict[str, Any]] = [
    {
        "run_id": "20261123-191500-4f2a",
        "name": "adult-income",
        "status": "degraded",
        "started_at": "2026-11-23T19:15:00+00:00",
        "seconds": 134.2,
        "algorithm": "hist_gradient_boosting",
        "rows": 39073,
        "score": {"metric": "accuracy", "source": "cross_validation", "value": 0.87412},
        "test": {"metric": "accuracy", "source": "test", "value": 0.8755},
        "gates": None,
    },
    {
        "run_id": "20261123-181500-0001",
        "name": "penguins",
        "status": "running",
        "started_at": "2026-11-23T18:15:00+00:00",
        "seconds": None,
        "algorithm": None,
        "rows": None,
        "score": None,
        "test": None,
    },
]


def gated(gates: str) -> list[dict[str, Any]]:
    return [{**ROWS[0], "status": "done", "gates": gates}]


def shown(width: int, rows: list[dict[str, Any]] = ROWS) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(runs_table(rows))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_runs_table_whole(width):
    assert shown(width) == WHOLE[width]


@pytest.mark.parametrize(
    ("gates", "told"), [("met", "done, gates met"), ("not met", "done, gate not met")], ids=["met", "not met"]
)
def test_gates_are_told_beside_the_status(gates, told):
    assert told in shown(100, gated(gates))
    assert f"| {told} |" in runs_markdown(gated(gates))


def test_a_narrow_terminal_folds_what_is_said_of_the_gates():
    assert shown(60, gated("not met")) == NARROW


def test_a_run_whose_gates_are_not_met_is_red():
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=True, color_system="standard", no_color=False).print(
        runs_table(gated("not met"))
    )
    assert "\x1b[1;31mdone, gate not met" in file.getvalue()


def test_runs_markdown_whole():
    assert runs_markdown(ROWS) == WHOLE_AS_MARKDOWN


NARROW = """\
Run                   Name        Status               Score
20261123-191500-4f2a  adult-inco  done,      accuracy 0.8741
                      me          gate not
                                  met
"""

WHOLE = {
    60: """\
Run                   Name         Status              Score
20261123-191500-4f2a  adult-incom  degraded  accuracy 0.8741
                      e
20261123-181500-0001  penguins     running                 -
""",
    80: """\
Run                   Name          Status              Score             Test
20261123-191500-4f2a  adult-income  degraded  accuracy 0.8741  accuracy 0.8755
20261123-181500-0001  penguins      running                 -                -
""",
    120: """\
Run                   Name          Status              Score             Test        Time  Algorithm
20261123-191500-4f2a  adult-income  degraded  accuracy 0.8741  accuracy 0.8755  2 min 14 s  hist_gradient_boosting
20261123-181500-0001  penguins      running                 -                -           -  -
""",
}

WHOLE_AS_MARKDOWN = """\
| Run | Name | Status | Score | Test | Time | Algorithm | Started |
| --- | --- | --- | ---: | ---: | ---: | --- | --- |
| 20261123-191500-4f2a | adult-income | degraded | accuracy 0.8741 | accuracy 0.8755 | 2 min 14 s | hist_gradient_boosting | 2026-11-23 19:15 |
| 20261123-181500-0001 | penguins | running | - | - | - | - | 2026-11-23 18:15 |
"""
