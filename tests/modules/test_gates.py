"""Gates: what was asked, what there is, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mlwf.modules.gates import KINDS, Comparison, GateKind, check_gates, check_gates_can_be_met
from mlwf.provenance import ScoredBeforeRefit
from mlwf.results import Difference, Evaluation, Finding, GateResult, Interval, Score
from mlwf.specs.experiment import GateSpec
from tests.provenances import BY_SOURCE, ON_FOLDS, ON_HOLDOUT, ON_TEST

CHAMPION = "models:/adult-income@champion"


def make_interval(low: float, high: float) -> Interval:
    return Interval(low, high, 0.95, "bootstrap of rows")


def make_score(metric: str = "roc_auc", value: float | None = 0.9278, **changed: Any) -> Score:
    default: dict[str, Any] = {
        "provenance": ON_TEST,
        "std": None,
        "folds": (),
        "interval": make_interval(0.9241, 0.9312),
        "baseline": 0.5,
        "difference": Difference(0.03, make_interval(0.02, 0.04), distinguishable=True),
        "n_rows": 200,
    }
    return Score(metric=metric, value=value, **{**default, **changed})


def make_evaluation(*scores: Score, slices: tuple[Score, ...] = (), problems: Mapping[str, str] = {}) -> Evaluation:
    provenance = (*scores, *slices)[0].provenance
    return Evaluation(provenance, scores, None, None, problems=problems, slices=slices)


def no_champion(uri: str, metric: str, source: str) -> Comparison:
    raise AssertionError("no gate asks for a champion")


def check(gate: dict[str, Any], *evaluations: Evaluation, findings: Any = (), compare: Any = no_champion) -> GateResult:
    (found,) = check_gates([GateSpec(**gate)], evaluations=evaluations, findings=findings, compare=compare)
    return found


def say(result: GateResult) -> tuple[str, str, bool]:
    return result.asked, result.got, result.passed


GOT = "0.9278 [0.9241, 0.9312]"


@pytest.mark.parametrize(
    ("gate", "asked", "got", "passed"),
    [
        ({"min": 0.92}, "roc_auc at least 0.92", GOT, True),
        ({"min": 0.93}, "roc_auc at least 0.93", GOT, False),
        ({"max": 0.93}, "roc_auc at most 0.93", GOT, True),
        ({"max": 0.92}, "roc_auc at most 0.92", GOT, False),
        ({"min": 0.9, "max": 0.95}, "roc_auc at least 0.9 and at most 0.95", GOT, True),
        ({"min": 0.9, "max": 0.91}, "roc_auc at least 0.9 and at most 0.91", GOT, False),
        ({"min": 0.95, "max": 0.99}, "roc_auc at least 0.95 and at most 0.99", GOT, False),
        (
            {"min": 0.925, "bound": "lower"},
            "roc_auc at least 0.925 (lower end of its 95 % interval)",
            GOT,
            False,
        ),
        ({"max": 0.93, "bound": "upper"}, "roc_auc at most 0.93 (upper end of its 95 % interval)", GOT, False),
        ({"max": 0.935, "bound": "upper"}, "roc_auc at most 0.935 (upper end of its 95 % interval)", GOT, True),
        (
            {"beats": "baseline", "by": 0.02},
            "roc_auc better than the baseline by 0.02",
            "better by 0.0300 [0.0200, 0.0400]",
            True,
        ),
        (
            {"beats": "baseline", "by": 0.025, "bound": "lower"},
            "roc_auc better than the baseline by 0.025 (lower end of the difference's 95 % interval)",
            "better by 0.0300 [0.0200, 0.0400]",
            False,
        ),
    ],
    ids=str,
)
def test_gate_holds_a_number_or_an_end_of_its_interval(gate, asked, got, passed):
    assert say(check({"metric": "roc_auc", **gate}, make_evaluation(make_score()))) == (asked, got, passed)


@pytest.mark.parametrize(
    ("by", "difference", "asked", "got", "passed"),
    [
        (None, 0.0, "better than the baseline", "0.0000", False),
        (None, 1e-17, "better than the baseline", "0.0000", False),
        (None, 0.00002, "better than the baseline", "0.00002", True),
        (None, -0.01, "better than the baseline", "-0.0100", False),
        (0.0, 0.0, "at least as good as the baseline", "0.0000", True),
        (0.0, -1e-17, "at least as good as the baseline", "0.0000", True),
        (0.02, 0.58 - 0.56, "better than the baseline by 0.02", "0.0200", True),
        (0.02, 0.01999, "better than the baseline by 0.02", "0.01999", False),
    ],
)
def test_gate_to_beat_the_baseline_is_strict_unless_it_says_by_how_much(by, difference, asked, got, passed):
    score = make_score(difference=Difference(difference, None, None))
    gate = {"metric": "roc_auc", "beats": "baseline", "by": by}
    assert say(check(gate, make_evaluation(score))) == (f"roc_auc {asked}", f"better by {got}", passed)


@pytest.mark.parametrize(("value", "got", "passed"), [(0.919996, "0.919996", False), (0.92, "0.9200", True)])
def test_gate_shows_as_many_digits_as_the_outcome_needs(value, got, passed):
    found = check({"metric": "roc_auc", "min": 0.92}, make_evaluation(make_score(value=value, interval=None)))
    assert (found.got, found.passed) == (got, passed)


@pytest.mark.parametrize(
    ("sources", "asked", "source"),
    [
        (("cross_validation", "test"), None, "test"),
        (("train_test", "test"), None, "test"),
        (("train_test",), None, "train_test"),
        (("cross_validation",), None, "cross_validation"),
        (("cross_validation", "test"), "cross_validation", "cross_validation"),
    ],
)
def test_gate_is_on_the_source_it_names_or_the_best_there_is(sources, asked, source):
    evaluations = [make_evaluation(make_score(provenance=BY_SOURCE[each])) for each in sources]
    assert check({"metric": "roc_auc", "min": 0.9, "source": asked}, *evaluations).source == source


@pytest.mark.parametrize(
    ("gate", "evaluation", "got"),
    [
        (
            {"min": 0.1, "bound": "lower"},
            make_evaluation(make_score(value=1.0, interval=None, folds=(1.0, 1.0), std=0.0)),
            "1.0000, no interval: all folds agree",
        ),
        (
            {"min": 0.1, "bound": "lower"},
            make_evaluation(make_score(value=1.0, interval=None)),
            "1.0000, no interval: all resamples agree, or it is undefined in most",
        ),
        (
            {"min": 0.1},
            make_evaluation(
                make_score(value=None), problems={"roc_auc": "roc_auc could not be computed: one class only"}
            ),
            "roc_auc could not be computed: one class only",
        ),
        ({"min": 0.1}, make_evaluation(make_score("accuracy")), "the run has not computed it"),
        (
            {"beats": "baseline"},
            make_evaluation(make_score(difference=None)),
            "not compared: there is no baseline to compare with",
        ),
        (
            {"beats": "baseline", "bound": "lower"},
            make_evaluation(make_score(difference=Difference(0.1, None, None))),
            "better by 0.1000, no interval: nothing to compute its spread from",
        ),
        ({"min": 0.1, "source": "train_test"}, make_evaluation(make_score()), "the run has no hold-out"),
    ],
    ids=["folds agree", "resamples agree", "no value", "no score", "no difference", "no spread", "no source"],
)
def test_gate_on_what_does_not_exist_is_not_met(gate, evaluation, got):
    found = check({"metric": "roc_auc", **gate}, evaluation)
    assert (found.got, found.passed) == (got, False)


def test_gate_without_any_evaluation_is_not_met():
    found = check({"metric": "roc_auc", "min": 0})
    assert found.got == "the run has no test set; the run has no hold-out; the run has no cross-validation"
    assert (found.passed, found.source) == (False, None)


WOMEN = make_score("recall", 0.79, slice="sex = Female", interval=None)
MEN = make_score("recall", 0.85, slice="sex = Male", interval=None)
FEW = make_score("recall", None, slice="sex = Other", interval=None, n_rows=12)
OLD = make_score("recall", 0.6, slice="age > 60", interval=None)


@pytest.mark.parametrize(
    ("asked", "slices", "got", "passed"),
    [
        ("sex=Female", (WOMEN, MEN), "0.7900", False),
        ("sex == Male", (WOMEN, MEN), "0.8500", True),
        ("age > 60", (WOMEN, MEN, OLD), "0.6000", False),
        ("sex", (WOMEN, MEN, OLD), "0.7900 where sex = Female", False),
        ("sex", (MEN, OLD), "0.8500 where sex = Male", True),
        ("sex", (MEN, FEW), "n/a: 12 rows are too few, or of one class where sex = Other", False),
        ("age > 70", (WOMEN, MEN, OLD), "the run has not computed it", False),
    ],
)
def test_gate_on_a_slice_holds_the_slice_or_every_value_of_its_column(asked, slices, got, passed):
    found = check(
        {"metric": "recall", "min": 0.8, "slice": asked}, make_evaluation(make_score("recall"), slices=slices)
    )
    assert (found.got, found.passed) == (got, passed)


@pytest.mark.parametrize(
    ("asked", "words"), [('"sex"=="Female"', "where sex = Female"), ("sex", "for each value of sex")]
)
def test_gate_on_a_slice_names_it(asked, words):
    gate = {"metric": "recall", "min": 0.8, "slice": asked, "bound": "lower"}
    found = check(gate, make_evaluation(make_score("recall"), slices=(WOMEN,)))
    assert found.asked == f"recall at least 0.8 {words} (lower end of its 95 % interval)"


def test_gate_without_a_slice_is_on_all_rows():
    assert check({"metric": "recall", "min": 0.9}, make_evaluation(make_score("recall"), slices=(WOMEN,))).passed


LEAKAGE = Finding("leakage", "error", "balance alone tells the target", "#leakage")


@pytest.mark.parametrize(
    ("code", "got", "passed"), [("leakage", "balance alone tells the target", False), ("identifier", "none", True)]
)
def test_gate_on_a_finding_is_met_when_there_is_none(code, got, passed):
    found = check({"finding": code}, findings=[LEAKAGE])
    assert found == GateResult(f"no finding {code}", got, passed, None)


def test_gate_on_a_finding_that_was_not_looked_for_is_not_met():
    found = check({"finding": "leakage"}, findings=None)
    assert found == GateResult("no finding leakage", "findings could not be looked for", passed=False, source=None)


@pytest.mark.parametrize(
    ("provenance", "note"),
    [
        (ON_TEST, ""),
        (ON_FOLDS, ""),
        (
            replace(ON_FOLDS, labels=("hyperparameters",), weighted_by="w; how often"),
            "tuned on the same rows; weighted by w; how often",
        ),
        (
            replace(ON_HOLDOUT, before_refit=ScoredBeforeRefit(None, 0.25)),
            "of the model before the refit (threshold 0.2500)",
        ),
    ],
    ids=["test set", "folds", "tuned and weighted", "before a refit"],
)
def test_gate_notes_what_must_be_known_beside_its_number(provenance, note):
    found = check({"metric": "roc_auc", "min": 0}, make_evaluation(make_score(provenance=provenance)))
    assert found.note == note


@pytest.mark.parametrize(
    ("comparison", "got", "passed"),
    [
        (
            Comparison(Difference(0.004, make_interval(-0.001, 0.009), distinguishable=False), "on 90 rows"),
            "better by 0.0040 [-0.0010, 0.0090]",
            True,
        ),
        (Comparison(Difference(-0.004, None, None), "on 90 rows"), "better by -0.0040", False),
        (
            Comparison(None, "on 90 rows", "it was trained on these rows"),
            "not compared: it was trained on these rows",
            False,
        ),
    ],
    ids=["better", "worse", "refused"],
)
def test_gate_to_beat_a_champion_takes_the_comparison(comparison, got, passed):
    asked: list[tuple[str, str, str]] = []

    def compare(*question: str) -> Comparison:
        asked.append(question)  # type: ignore[arg-type]
        return comparison

    scores = [
        make_evaluation(make_score("log_loss", provenance=BY_SOURCE[source]))
        for source in ("cross_validation", "train_test")
    ]
    found = check({"metric": "log_loss", "beats": CHAMPION}, *scores, compare=compare)
    assert say(found) == (f"log_loss better than {CHAMPION}", got, passed)
    assert (found.source, found.note) == ("train_test", "on 90 rows")
    assert asked == [(CHAMPION, "log_loss", "train_test")]


def test_gates_are_answered_in_their_order():
    gates = [GateSpec(finding="leakage"), GateSpec(metric="roc_auc", min=0.9), GateSpec(metric="roc_auc", min=0.99)]
    found = check_gates(gates, evaluations=[make_evaluation(make_score())], findings=[], compare=no_champion)
    assert [result.passed for result in found] == [True, True, False]


NO_ROWS = (
    "gates.1.metric: has no rows to be computed on: there is neither a validation nor a test set; "
    "set validation.strategy, or give test rows"
)
NO_OTHER_ROWS = (
    f"gates.1.beats: is '{CHAMPION}', a registered model, which is compared on a test set or a hold-out only; "
    "give test rows, or set validation.strategy: train_test"
)
METRICS = ["accuracy", "roc_auc_ovr", "log_loss"]


@pytest.mark.parametrize(
    ("gate", "sources", "problem"),
    [
        (
            {"metric": "roc_auc", "min": 0.9},
            {"test"},
            "gates.1.metric: is 'roc_auc', which the run does not compute; did you mean roc_auc_ovr?",
        ),
        (
            {"metric": "accuracy", "min": 0.9, "source": "test"},
            {"cross_validation"},
            "gates.1.source: is 'test', and the run has no test set; accepted: cross_validation",
        ),
        (
            {"metric": "accuracy", "min": 0.9},
            set(),
            NO_ROWS,
        ),
        (
            {"metric": "accuracy", "beats": CHAMPION},
            {"cross_validation"},
            NO_OTHER_ROWS,
        ),
        (
            {"metric": "accuracy", "min": 0.9, "slice": "sex = Femal"},
            {"test"},
            "gates.1.slice: is 'sex = Femal', which is no slice of these rows; did you mean sex = Female?",
        ),
    ],
    ids=["metric", "source", "no source", "champion", "slice"],
)
def test_gate_on_what_the_run_will_not_compute_is_reported_before(gate, sources, problem):
    gates = [GateSpec(metric="accuracy", min=0.5, source=next(iter(sources), "test")), GateSpec(**gate)]
    slices = {"sex = Female", "sex = Male", "age > 60"}
    found = check_gates_can_be_met(gates, metrics=METRICS, sources=sources, slices=slices)
    assert [str(each) for each in found if each.key.startswith("gates.1")] == [problem]


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "accuracy", "min": 0.9, "source": "cross_validation"},
        {"metric": "log_loss", "beats": CHAMPION},
        {"metric": "accuracy", "min": 0.9, "slice": "sex"},
        {"metric": "accuracy", "min": 0.9, "slice": '"sex"="Male"'},
        {"metric": "accuracy", "min": 0.9, "slice": "age>60"},
        {"finding": "leakage"},
    ],
    ids=str,
)
def test_gate_on_what_the_run_will_compute_is_no_problem(gate):
    slices = {"sex = Female", "sex = Male", "age > 60"}
    sources = {"test", "cross_validation"}
    assert check_gates_can_be_met([GateSpec(**gate)], metrics=METRICS, sources=sources, slices=slices) == []


def test_a_kind_of_gate_is_an_entry(monkeypatch):
    """A toy kind before the others takes the gates that it includes, and leaves the others to their kinds."""

    def check_name(gate, inputs):
        return GateResult("a name", gate.metric, passed=len(inputs.evaluations) == 1, source=None)

    named = GateKind(lambda gate: gate.metric == "named", check_name)
    monkeypatch.setattr("mlwf.modules.gates.KINDS", {"named": named, **KINDS})
    evaluation = make_evaluation(make_score())
    assert say(check({"metric": "named", "min": 0}, evaluation)) == ("a name", "named", True)
    assert say(check({"metric": "roc_auc", "min": 0.92}, evaluation)) == ("roc_auc at least 0.92", GOT, True)
