"""Runs beside each other, as a terminal and a pull request show them."""

from __future__ import annotations

from typing import Any

import pytest

from mlwf.provenance import Protocol, Provenance
from mlwf.tables.comparison_tables import comparison_markdown, comparison_table


def make_run(label: str, **others: Any) -> dict[str, Any]:
    known = {"run_id": f"20260101-120000-000{label}", "name": "birds", "status": "done", "gates": None}
    fits = {"asked": 12, "fitted": 8, "recorded": 4}
    return {"label": label, "algorithm": "svc", "registered": None, "seconds": 1.5, "fits": fits, **known, **others}


def make_score(
    values: dict[str, float], differences: dict[str, tuple[float, float, float]], **others: Any
) -> dict[str, Any]:
    """Make a score; a difference is its value and the ends of its interval."""
    provenance = Provenance("test", 40, Protocol("test_set")).to_dict()
    return {
        "source": "test",
        "metric": "accuracy",
        "slice": None,
        "values": {label: {"value": value, "provenance": provenance} for label, value in values.items()},
        "differences": {
            label: {
                "value": value,
                "interval": {"low": low, "high": high, "level": 0.95, "method": "bootstrap of rows"},
                "distinguishable": not low <= 0 <= high,
            }
            for label, (value, low, high) in differences.items()
        },
        "refused": {},
        **others,
    }


def make_comparison(n_runs: int = 2, **others: Any) -> dict[str, Any]:
    empty = {key: [] for key in ("configuration", "others", "scores", "slices", "gates", "findings")}
    return {"runs": [make_run(label) for label in "ABCDEF"[:n_runs]], **empty, **others}


def key(path: list[Any], **values: Any) -> dict[str, Any]:
    return {"key": ".".join(map(str, path)), "path": path, "values": values}


def test_columns_that_changed_alike_stand_in_one_line(draw):
    changed = [key(["features", f"x{number}", "scaler"], A="robust") for number in range(6)]
    shown = draw([comparison_table(make_comparison(configuration=changed))])
    assert "features of x0, x1, x2, x3 and 2 more: scaler  robust  -" in shown


def test_a_key_of_many_runs_has_a_column(draw):
    swept = [key(["model", "C"], **{label: number for number, label in enumerate("ABCDEF")})]
    shown = draw([comparison_table(make_comparison(6, configuration=swept))])
    assert "     model.C\n  A  0\n  B  1\n" in shown


def test_differences_that_may_be_chance_are_marked(draw):
    score = make_score({"A": 0.8, "B": 0.9}, {"B": (0.1, -0.02, 0.2)})
    shown = draw([comparison_table(make_comparison(scores=[score]))])
    assert "accuracy 0.8000 0.9000 +0.1000 ? -0.0200 – 0.2000" in " ".join(shown.split())
    assert "? where that may be" in shown


def test_runs_that_predict_the_same_are_not_doubtful(draw):
    score = make_score({"A": 0.8, "B": 0.8}, {})
    score["differences"] = {"B": {"value": 0.0, "interval": None, "distinguishable": None}}
    shown = draw([comparison_table(make_comparison(scores=[score]))])
    assert "?" not in shown
    assert "Configuration: no key differs\n" in shown


def test_why_scores_are_not_compared_stands_beside_their_rows(draw):
    refused = {"B": {"code": "other_rows", "message": "B was judged on other rows than A (40)"}}
    score = make_score({"A": 0.8, "B": 0.8}, {}, refused=refused)
    assert "Test set of 40 rows: B was judged on other rows than A (40)\n" in draw(
        [comparison_table(make_comparison(scores=[score]))]
    )


def test_only_the_clearest_slices_are_shown(draw):
    slices = [
        make_score(
            {"A": 0.5, "B": 0.6},
            {"B": (0.1, 0.01 if number < 40 else -0.1, 0.1 + number / 100)},
            slice=f"x = {number:02}",
        )
        for number in range(1, 51)
    ]
    shown = draw([comparison_table(make_comparison(slices=slices))])
    assert "Slices that changed (test set, the 30 clearest of 39)" in shown
    assert "x = 30: accuracy" in shown
    assert "x = 31: accuracy" not in shown
    assert "Of 50 scores of slices about one in twenty differs by chance alone." in shown


def test_a_narrow_terminal_keeps_ids_whole(draw):
    shown = draw([comparison_table(make_comparison())], 60)
    assert "20260101-120000-000A" in shown
    assert "asked for" not in shown


@pytest.mark.parametrize("name", ["a --> b", "<script>", "ä\n"])
def test_the_mark_of_a_comment_is_one_line_whatever_the_name(name):
    comparison = make_comparison()
    comparison["runs"][-1]["name"] = name
    mark, heading, *_ = comparison_markdown(comparison).splitlines()
    assert (mark.startswith("<!-- mlwf compare "), mark.index("-->")) == (True, len(mark) - 3)
    assert heading.endswith(": no metric could be compared")
    assert "<script>" not in heading
