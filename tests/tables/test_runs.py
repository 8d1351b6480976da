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


def shown(width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(runs_table(ROWS))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_runs_table_whole(width):
    assert shown(width) == WHOLE[width]


def test_runs_markdown_whole():
    assert runs_markdown(ROWS) == WHOLE_AS_MARKDOWN


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
