"""Runs are compared by what their summaries, experiments and resamples hold."""

from __future__ import annotations

from typing import Any

import pytest

from mlwf.errors import UsageError
from mlwf.modules.comparison import RunFiles, compare_runs, find_worse

FOLDS = ("fold_0_test", "fold_1_test")


def make_run(
    accuracy: float = 0.8,
    *,
    config: dict[str, Any] | None = None,
    rows: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    resamples: list[float | None] | None = None,
    drawn: str = "0",
    **summary: Any,
) -> RunFiles:
    """Make a run with an accuracy on a test set, and in two folds."""
    test = {"metric": "accuracy", "source": "test", "slice": None, "value": accuracy, "n_rows": 40, "rows": ["test"]}
    folds = {"source": "cross_validation", "rows": FOLDS, "folds": [accuracy, accuracy + 0.1], "n_rows": 60}
    kept = {name: {"n_rows": 30, "content": name} for name in ("fold_0_train", "fold_1_train", *FOLDS, "test", "train")}
    values = [accuracy - 0.1, accuracy, accuracy + 0.1] if resamples is None else resamples
    return RunFiles(
        {"rows": {**kept, **(rows or {})}, "data": data or {}, "scores": [test, {**test, **folds}], **summary},
        config or {},
        [{"source": "test", "slice": None, "metric": "accuracy", "n_units": 40, "drawn": drawn, "values": values}]
        if values
        else [],
    )


def refusal(run: RunFiles, source: str = "test") -> tuple[str, str]:
    """Give why a run is not compared with one of the defaults."""
    scores = compare_runs([make_run(), run]).scores
    (refused,) = [score["refused"]["B"] for score in scores if score["source"] == source]
    return refused["code"], refused["message"]


def test_only_keys_that_differ_are_listed():
    one = {
        "name": "a",
        "model": {"algorithm": "svc", "hyperparameters": {"C": 1}},
        "gates": [{"min": 0.5, "metric": "f1"}],
    }
    other = {"name": "a", "model": {"algorithm": "svc"}, "gates": [{"min": 0.6, "metric": "f1"}], "on_error": "fail"}
    found = compare_runs([make_run(config=one), make_run(config=other)]).configuration
    assert {each["key"]: each["values"] for each in found} == {
        "model.hyperparameters.C": {"A": 1},
        "gates.0.min": {"A": 0.5, "B": 0.6},
        "on_error": {"B": "fail"},
    }


def test_features_are_compared_column_by_column():
    one = {"features": [{"type": "numeric", "columns": ["age", "fare"], "scaler": "standard"}]}
    other = {
        "features": [
            {"type": "numeric", "columns": ["age"], "scaler": "robust"},
            {"type": "categorical", "columns": ["sex"]},
            {"type": "numeric", "columns": ["fare"], "scaler": "standard"},
        ]
    }
    found = compare_runs([make_run(config=one), make_run(config=other)]).configuration
    assert {each["key"]: each["values"] for each in found} == {
        "features.age.scaler": {"A": "standard", "B": "robust"},
        "features.sex": {"B": {"type": "categorical"}},
    }


def test_true_is_not_one():
    found = compare_runs([make_run(config={"a": True}), make_run(config={"a": 1})]).configuration
    assert [each["key"] for each in found] == ["a"]


def test_what_was_chosen_and_how_phases_ended_is_compared():
    one = make_run(versions={"mlwf": "1"}, tuning={"best_params": {"classifier__C": 1}})
    other = make_run(versions={"mlwf": "2"}, threshold={"value": 0.4})
    assert {each["key"]: each["values"] for each in compare_runs([one, other]).others} == {
        "chosen.params.classifier__C": {"A": 1},
        "chosen.threshold": {"B": 0.4},
        "versions.mlwf": {"A": "1", "B": "2"},
    }


def test_scores_of_the_same_rows_have_a_paired_difference():
    scores = compare_runs([make_run(), make_run(0.9, resamples=[0.8, 0.9, 1.1]), make_run(0.7)]).scores
    assert [(score["source"], sorted(score["differences"]), score["refused"]) for score in scores] == [
        ("test", ["B", "C"], {}),
        ("cross_validation", ["B", "C"], {}),
    ]
    test, folds = (score["differences"]["B"] for score in scores)
    assert (test["value"], test["interval"]["method"]) == (pytest.approx(0.1), "bootstrap of rows")
    # All folds agree, and no width at all would claim certainty.
    assert (folds["value"], folds["interval"]) == (pytest.approx(0.1), None)


@pytest.mark.parametrize(
    ("run", "source", "expected"),
    [
        pytest.param(
            make_run(rows={"test": {"n_rows": 40, "content": "x"}}), "test",
            ("other_rows", "B was judged on other rows than A (40)"), id="rows",
        ),
        pytest.param(
            make_run(rows={FOLDS[1]: {"n_rows": 30, "content": "x"}}), "cross_validation",
            ("other_folds", "B was judged on other folds of the same rows as A"), id="folds",
        ),
        pytest.param(
            make_run(rows={"test": {"n_rows": 40}}), "test",
            ("rows_unknown", "B has not kept which rows it was judged on"), id="an older run",
        ),
        pytest.param(
            make_run(resamples=[]), "test",
            ("resamples_unknown", "B has not kept accuracy of resamples of its rows"), id="no resamples",
        ),
        pytest.param(
            make_run(drawn="1"), "test",
            ("other_resamples", "B drew other resamples than A, as with another numpy"), id="another numpy",
        ),
        pytest.param(
            make_run(data={"positive_class": "no"}), "test",
            ("other_positive_class", "B has another positive class than A"), id="positive class",
        ),
        pytest.param(
            make_run(data={"sample_weight": "w"}), "cross_validation",
            ("other_weights", "B weighs the rows otherwise than A"), id="weights",
        ),
        pytest.param(
            make_run(data={"groups": "person"}), "test",
            ("other_units", "one of A and B has groups of rows, and the other has not"), id="groups",
        ),
        pytest.param(
            make_run(scores=[]), "test", ("not_judged", "B has no score on the test set"), id="no test set",
        ),
    ],
)  # fmt: skip
def test_scores_that_cannot_be_compared_say_why(run, source, expected):
    assert refusal(run, source) == expected


def test_gates_are_listed_that_are_not_met_or_not_asked_of_all():
    gates = [{"asked": asked, "source": "test", "got": "0.8", "passed": True, "note": ""} for asked in ("a", "b", "c")]
    missed = {**gates[1], "passed": False}
    found = compare_runs([make_run(gates=gates), make_run(gates=[gates[0], missed])]).gates
    assert [(gate["asked"], {label: each["passed"] for label, each in gate["verdicts"].items()}) for gate in found] == [
        ("b", {"A": True, "B": False}),
        ("c", {"A": True}),
    ]


def test_findings_are_listed_that_not_all_have():
    findings = [{"code": code, "severity": "info", "message": "m", "see": ""} for code in ("leakage", "rare_class")]
    found = compare_runs([make_run(findings=findings), make_run(findings=findings[1:]), make_run(findings=findings)])
    assert [(each["code"], each["runs"]) for each in found.findings] == [("leakage", ["A", "C"])]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(make_run(0.5, resamples=[0.3, 0.4, 0.6]), {"B": None}, id="worse"),
        pytest.param(make_run(0.7, resamples=[0.6, 0.7, 1.0]), {}, id="worse by chance"),
        pytest.param(make_run(0.9, resamples=[0.8, 0.9, 1.1]), {}, id="better"),
        pytest.param(make_run(0.8), {}, id="equal"),
        pytest.param(
            make_run(rows={"test": {"n_rows": 40, "content": "x"}}),
            {"B": "B was judged on other rows than A (40)"},
            id="other rows",
        ),
    ],
)
def test_find_worse_looks_at_the_best_rows_that_both_have(run, expected):
    assert find_worse(compare_runs([make_run(), run]), "accuracy") == expected


def test_find_worse_refuses_a_metric_that_no_run_has():
    with pytest.raises(UsageError, match=r"^--fail-if-worse acuracy: these runs have .*; did you mean accuracy\?$"):
        find_worse(compare_runs([make_run(), make_run()]), "acuracy")
