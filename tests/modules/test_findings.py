"""Findings: what is reported, and what is not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from mlwf.evaluation.predictions import Predictions
from mlwf.modules.findings import FindingInputs, find, search_leaks
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.results import CalibrationResult, Difference, Evaluation, Interval, LeakSearch, Score, TuningResult
from mlwf.specs.features import BooleanFeatureSpec, CategoricalFeatureSpec, FeatureSpec, NumericFeatureSpec
from mlwf.specs.tuning import GridSearchSpec, RandomizedSearchSpec
from mlwf.splitting.rows import Rows, Split, Table
from mlwf.splitting.splitters import fold_splitter, holdout_splitter
from tests.provenances import BY_SOURCE, ON_TEST
from tests.reference_fitter import ReferenceFitter


def build_probe(column: str | int, spec: FeatureSpec) -> Pipeline:
    changed: dict[str, Any] = {"columns": [column], "imputer": None, "fill_value": None}
    if isinstance(spec, CategoricalFeatureSpec):
        changed["encoder"] = "target"
    tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=5, random_state=0)
    return Pipeline([("preprocessor", build_preprocessor([spec.model_copy(update=changed)])), ("classifier", tree)])


def make_table(n_rows: int = 40, **changed: Any) -> Table:
    draw = np.random.default_rng(0)
    return replace(Table(pd.DataFrame({"x": draw.normal(size=n_rows)}), np.arange(n_rows) % 2), **changed)


def make_inputs(table: Table | None = None, **changed: Any) -> FindingInputs:
    table = make_table() if table is None else table
    features = changed.pop("features", None)
    default: dict[str, Any] = {
        "rows": table.all_rows,
        "splits": (),
        "leaks": None,
        "identifiers": {},
        "evaluations": (),
        "tuned": None,
        "tuning": None,
        "algorithm": "gradient_boosting",
        "calibration": None,
        "digests": np.arange(len(table), dtype=np.uint64),
        "test_digests": None,
        "degraded": {},
    }
    inputs = FindingInputs(table=table, **(default | changed))
    return inputs if features is None else replace(inputs, leaks=search(inputs, features))


def search(inputs: FindingInputs, features: Any, **options: Any) -> LeakSearch:
    with ReferenceFitter(inputs.table) as fit:
        return search_leaks(inputs.table, inputs.rows, inputs.splits, features, fit, build_probe=build_probe, **options)


def found(inputs: FindingInputs, code: str) -> list[tuple[str, str]]:
    named = find(inputs)
    assert {finding.see for finding in named if finding.code == code} <= {f"README.md#{code}"}
    return [(finding.severity, finding.message) for finding in named if finding.code == code]


def folds(table: Table, kind: str = "stratified_kfold", **options: Any) -> tuple[Split, ...]:
    return fold_splitter(kind, **options)(table, table.all_rows)


# Leakage


def changed_labels(y: Any, share: float, draw: Any) -> Any:
    """Copy the labels, a share of them changed."""
    y, classes = y.copy(), np.unique(y)
    some = draw.choice(len(y), round(share * len(y)), replace=False)
    y[some] = [draw.choice(classes[classes != label]) for label in y[some]]
    return y


def missing_third(values: Any, draw: Any) -> Any:
    values = values.astype(float)
    values[draw.random(len(values)) < 1 / 3] = np.nan
    return values


def missing_for(y: Any, draw: Any) -> Any:
    return np.where(changed_labels(y, 0.02, draw) == 0, np.nan, draw.normal(size=len(y)))


def flag_or_nothing(y: Any, draw: Any) -> Any:
    return np.where(y == 0, None, True)


def codes_of(y: Any, draw: Any) -> Any:
    return np.array([f"c{(17 * label + 29 * draw.integers(40)) % 997}" for label in y], dtype=object)


NUMERIC, BOOLEAN = NumericFeatureSpec(columns=["leak"]), BooleanFeatureSpec(columns=["leak"])
ONEHOT = CategoricalFeatureSpec(columns=["leak"])
ALL_ROWS = r"by itself\)"
LEAKS = {
    "a copy with 2 % noise": (lambda y, draw: changed_labels(y, 0.02, draw), NUMERIC, ALL_ROWS),
    "a copy with nulls": (
        missing_third,
        NumericFeatureSpec(columns=["leak"], imputer="mean"),
        r"by itself, in the 6\d % of rows that have it\)",
    ),
    "missing for one class": (missing_for, NUMERIC, ALL_ROWS),
    "a flag that one class has": (flag_or_nothing, BOOLEAN, ALL_ROWS),
    "many codes of each class": (codes_of, ONEHOT, ALL_ROWS),
}


@pytest.mark.parametrize("how", ["cross_validation", "hold-out", "none"])
@pytest.mark.parametrize(("leak", "spec", "words"), LEAKS.values(), ids=LEAKS)
def test_a_column_that_gives_the_target_away_is_an_error(leak, spec, words, how):
    X, y = make_classification(800, 4, flip_y=0.2, random_state=0)
    X = pd.DataFrame(X, columns=list("abcd")).assign(leak=leak(y, np.random.default_rng(0)))
    table = Table(X, y)
    splits = {
        "cross_validation": folds(table),
        "hold-out": holdout_splitter(test_size=0.2, random_state=0)(table, table.all_rows),
        "none": (),
    }[how]
    rows = splits[0].train if how == "hold-out" else table.all_rows
    features = [NumericFeatureSpec(columns=list("abcd")), spec]
    ((severity, message),) = found(make_inputs(table, rows=rows, splits=splits, features=features), "leakage")
    assert severity == "error"
    expected = rf"leak predicts the target almost alone \(ROC AUC (0\.9[789]\d|1\.000) {words}: "
    assert re.match(expected, message), message
    assert message.endswith(": is it known when the prediction is made?")


def test_a_noisy_copy_of_three_classes_is_found():
    X, y = load_wine(return_X_y=True, as_frame=True)
    table = Table(X.assign(leak=changed_labels(y.to_numpy(), 0.02, np.random.default_rng(0))), y.to_numpy())
    inputs = make_inputs(table, splits=folds(table), features=[NumericFeatureSpec(columns=list(table.X))])
    assert [message.partition(" (")[0] for _, message in found(inputs, "leakage")] == [
        "leak predicts the target almost alone"
    ]


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine], ids=["breast cancer", "wine"])
def test_a_strong_honest_column_is_no_leak(load):
    X, y = load(return_X_y=True, as_frame=True)
    table = Table(X, y.to_numpy())
    features = [NumericFeatureSpec(columns=list(X))]
    assert found(make_inputs(table, splits=folds(table), features=features), "leakage") == []


@pytest.mark.parametrize("random_state", [2, 9])
def test_a_small_hold_out_that_flatters_a_column_does_not_make_it_a_leak(random_state):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    table = Table(X, y.to_numpy())
    splits = holdout_splitter(test_size=0.2, random_state=random_state)(table, table.all_rows)
    # By these 114 rows alone its ROC AUC is 0.980 and 0.994.
    features = [NumericFeatureSpec(columns=["worst concave points"])]
    inputs = make_inputs(table, rows=splits[0].train, splits=splits, features=features)
    assert found(inputs, "leakage") == []


def test_penguins_have_no_leak(penguins):
    table = Table(penguins.drop(columns="species"), penguins["species"].to_numpy())
    numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    features = [NumericFeatureSpec(columns=numbers), CategoricalFeatureSpec(columns=["island", "sex"])]
    assert found(make_inputs(table, splits=folds(table), features=features), "leakage") == []


def test_suspect_columns_are_reported_by_strength_and_by_position_in_an_array():
    X, y = load_iris(return_X_y=True)
    table = Table(np.column_stack([X[:, 0], changed_labels(y, 0.02, np.random.default_rng(0)), y]), y)
    inputs = make_inputs(table, splits=folds(table), features=[NumericFeatureSpec(columns=[0, 1, 2])])
    named = [message.partition(" predicts")[0] for _, message in found(inputs, "leakage")]
    assert named == ["column 2", "column 1"]


def test_names_of_columns_of_an_array_stand_in_the_order_of_the_specs():
    y = np.arange(100) % 2
    table = Table(np.column_stack([np.random.default_rng(0).normal(size=100), y]), y)
    features = [NumericFeatureSpec(columns=["noise"]), NumericFeatureSpec(columns=["copy"])]
    named = [
        message.partition(" predicts")[0] for _, message in found(make_inputs(table, features=features), "leakage")
    ]
    assert named == ["copy"]


def test_a_leak_is_found_where_every_group_has_one_class():
    groups = np.repeat(np.arange(12), 6)
    y = groups % 2
    table = Table(pd.DataFrame({"x": np.random.default_rng(0).normal(size=72), "leak": y}), y, groups=groups)
    inputs = make_inputs(
        table, splits=folds(table, "leave_one_group_out"), features=[NumericFeatureSpec(columns=["x", "leak"])]
    )
    assert [message.partition(" predicts")[0] for _, message in found(inputs, "leakage")] == ["leak"]


def test_without_validation_a_column_that_knows_the_group_is_evaluated_on_other_groups():
    groups = np.repeat(np.arange(60), 10)
    y = np.random.default_rng(0).integers(2, size=60)[groups]
    table = Table(pd.DataFrame({"person": groups}), y, groups=groups)
    features = [CategoricalFeatureSpec(columns=["person"])]
    assert found(make_inputs(table, features=features), "leakage") == []
    assert found(make_inputs(replace(table, groups=None), features=features), "leakage") != []


def test_too_few_rows_of_a_class_give_no_finding():
    y = np.array([1] * 9 + [0] * 91)
    table = Table(pd.DataFrame({"leak": y}), y)
    assert found(make_inputs(table, splits=folds(table), features=[NUMERIC]), "leakage") == []


def test_a_probe_that_fails_is_no_finding():
    table = make_table(X=pd.DataFrame({"leak": ["not a number"] * 40}))
    assert found(make_inputs(table, splits=folds(table), features=[NUMERIC]), "leakage") == []


def test_a_probe_learns_from_a_sample_of_many_rows_and_from_one_column():
    y = np.arange(60_000) % 2
    draw = np.random.default_rng(0)
    table = Table(pd.DataFrame({"a": draw.normal(size=60_000), "copy": changed_labels(y, 0.01, draw)}), y)
    requests: list[Any] = []
    inputs = make_inputs(table, splits=folds(table, n_splits=2))
    with ReferenceFitter(table) as fit:
        done = search_leaks(
            table,
            inputs.rows,
            inputs.splits,
            [NumericFeatureSpec(columns=["a", "copy"])],
            lambda asked: requests.extend(asked) or fit(asked),
            build_probe=build_probe,
        )
    (request,) = requests
    assert [len(request.train), len(request.predict[0])] == [20_000, 20_000]
    assert np.isin(request.train.index, inputs.splits[0].train.index).all()
    assert list(request.table.X) == ["copy"]
    named = (done.columns, done.suspects, done.probed, done.rows, done.rows_learnt_from, done.rows_judged)
    assert named == (2, 1, 1, 60_000, 20_000, 20_000)


def test_of_many_leaks_the_strongest_are_probed_and_the_others_reported_together():
    draw = np.random.default_rng(0)
    y = np.arange(600) % 2
    noise = draw.normal(size=(600, 40))
    leaks = {f"leak {k:02d}": y + noise[:, k] / 10 for k in range(40)}
    table = Table(pd.DataFrame({"x": draw.normal(size=600), **leaks}), y)
    done = search(make_inputs(table, splits=folds(table)), [NumericFeatureSpec(columns=list(table.X))])
    assert (done.suspects, done.probed, len(done.leaks), done.not_probed) == (40, 30, 40, 10)
    *single, others = found(replace(make_inputs(table), leaks=done), "leakage")
    assert len(single) == 30
    names = sorted(leak.column for leak in done.leaks if not leak.is_probed)
    quick = "(ROC AUC 1.00 or more by a quick look at each)"
    message = f"{', '.join(names[:3])} and 7 more seem to predict the target almost alone too {quick}"
    assert others == ("error", message)


def test_the_screen_reports_how_far_it_is():
    table = make_table(200)
    steps: list[Any] = []
    search(
        make_inputs(table, splits=folds(table)),
        [NumericFeatureSpec(columns=["x"])],
        on_columns=lambda *step: steps.append(step),
    )
    assert steps == [(1, 1)]


def test_folds_of_one_row_are_not_requested_one_by_one():
    y = np.arange(100) % 2
    table = Table(pd.DataFrame({"leak": y}), y, groups=np.arange(100))
    requests: list[Any] = []
    with ReferenceFitter(table) as fit:
        done = search_leaks(
            table,
            table.all_rows,
            folds(table, "leave_one_group_out"),
            [NUMERIC],
            lambda asked: requests.extend(asked) or fit(asked),
            build_probe=build_probe,
        )
    assert (len(requests), [leak.column for leak in done.leaks]) == (5, ["leak"])


# Identifiers and duplicates


def test_a_used_identifier_is_a_warning():
    inputs = make_inputs(identifiers={"name": "all 891 values are different"})
    message = (
        "name is a feature and looks like an identifier (all 891 values are different): new rows will have other values"
    )
    assert found(inputs, "identifier") == [("warning", message)]


def test_twins_across_a_split_are_counted_once_for_each_evaluated_row():
    digests = np.arange(40, dtype=np.uint64)
    digests[1] = digests[0]
    digests[4] = digests[2]  # both in one fold, so neither was learnt from when the other was judged
    table = make_table(fold=np.arange(40) % 2)
    inputs = make_inputs(table, splits=folds(table, "predefined_split"), digests=digests)
    recalled = "have an identical twin among the rows learnt from: they are recalled, not predicted"
    assert found(inputs, "duplicates") == [("warning", f"2 of 40 validation rows (5.0 %) {recalled}")]


def test_few_twins_are_for_information_and_those_of_the_test_set_count():
    table = make_table(400)
    splits = [Split(Rows(np.arange(100, 400)), Rows(np.arange(100)))]
    digests = np.arange(400, dtype=np.uint64)
    test_digests = np.append(np.arange(1_000, 3_999, dtype=np.uint64), np.uint64(150))
    inputs = make_inputs(table, rows=splits[0].train, splits=splits, digests=digests, test_digests=test_digests)
    recalled = "have an identical twin among the rows learnt from: they are recalled, not predicted"
    assert found(inputs, "duplicates") == [("info", f"1 of 3,000 test rows (under 0.1 %) {recalled}")]
    digests[:2] = 200
    both = f"2 of 100 validation rows (2.0 %) and 1 of 3,000 test rows (under 0.1 %) {recalled}"
    assert found(inputs, "duplicates") == [("warning", both)]


def test_rows_that_differ_are_no_duplicates():
    table = make_table()
    assert found(make_inputs(table, splits=folds(table)), "duplicates") == []


# The baseline


def make_score(metric: str, value: float, baseline: float, distinguishable: bool | None, **changed: Any) -> Score:
    gain = baseline - value if metric == "log_loss" else value - baseline
    interval = None if distinguishable is None else Interval(gain - 0.1, gain + 0.1, 0.95, "stratified bootstrap")
    default: dict[str, Any] = {
        "provenance": ON_TEST,
        "n_rows": 40,
        "interval": interval,
        "difference": Difference(gain, interval, distinguishable),
    }
    return Score(metric=metric, value=value, baseline=baseline, **(default | changed))


def make_evaluation(source: Any = "test", scores: Any = (), predictions: Any = None, y: Any = None) -> Evaluation:
    labels = np.repeat([0, 1], 50)
    return Evaluation(
        provenance=BY_SOURCE[source],
        scores=tuple(scores),
        predictions=predictions or Predictions(np.array([0, 1]), labels),
        y=labels if y is None else y,
    )


def test_a_model_that_nothing_sets_apart_from_the_baseline_is_an_error():
    scores = [make_score("accuracy", 0.61, 0.6, False), make_score("log_loss", 0.71, 0.66, True)]
    named = (
        "no better than a model that knows only the class shares, as far as can be told on the test set: "
        "accuracy 0.6100 against 0.6000, log_loss 0.7100 against 0.6600"
    )
    inputs = make_inputs(evaluations=[make_evaluation(scores=scores)])
    assert found(inputs, "no_better_than_baseline") == [("error", named)]


BETTER = make_score("roc_auc", 0.8, 0.5, True)
SAME = make_score("accuracy", 0.61, 0.6, False)


@pytest.mark.parametrize(
    "scores",
    [
        pytest.param([SAME, BETTER], id="one metric is better"),
        pytest.param([make_score("accuracy", 0.6, 0.6, None)], id="none could be judged"),
        pytest.param([SAME, make_score("roc_auc", 1.0, 0.5, None)], id="one that could not be judged may be better"),
        pytest.param([make_score("accuracy", 0.6, 0.6, None, difference=None)], id="none could be compared"),
    ],
)
def test_a_model_that_may_be_better_than_the_baseline_is_not_blamed(scores):
    inputs = make_inputs(evaluations=[make_evaluation(scores=scores)])
    assert found(inputs, "no_better_than_baseline") == []


def test_recall_above_the_zero_of_the_majority_class_proves_nothing():
    scores = [SAME, make_score("recall", 0.3, 0.0, True), make_score("f1_macro", 0.5, 0.4, True)]
    inputs = make_inputs(evaluations=[make_evaluation(scores=scores)])
    assert [message.rpartition(": ")[2] for _, message in found(inputs, "no_better_than_baseline")] == [
        "accuracy 0.6100 against 0.6000"
    ]


def test_the_test_set_is_what_counts():
    validated, tested = make_evaluation("cross_validation", [BETTER]), make_evaluation("test", [SAME])
    assert found(make_inputs(evaluations=[validated, tested]), "no_better_than_baseline") != []
    assert found(make_inputs(evaluations=[tested, validated]), "no_better_than_baseline") != []
    assert found(make_inputs(evaluations=[validated]), "no_better_than_baseline") == []


# Edges of the search


def make_tuned(*best: dict[str, Any], scoring: str = "accuracy", suffix: str = "score") -> TuningResult:
    """Make the result of a search that found these candidates equally good, and one worse than them."""
    params = [*best, {}]
    ranks = np.array([1] * len(best) + [len(params)])
    results = {"params": params, f"rank_test_{suffix}": ranks}
    return TuningResult("grid", scoring, best[0], 0.9, 0, len(params), 0, 5, results)


def edges(space: Any, *best: dict[str, Any], random: bool = False, **changed: Any) -> list[str]:
    tuning: Any = RandomizedSearchSpec(param_distributions=space) if random else GridSearchSpec(param_grid=space)
    inputs = make_inputs(tuned=make_tuned(*best), tuning=tuning, **changed)
    assert {severity for severity, _ in found(inputs, "grid_edge")} <= {"info"}
    return [message for _, message in found(inputs, "grid_edge")]


def test_the_best_value_at_an_end_of_its_list_is_reported_with_the_way_to_go():
    space = {"classifier__n_estimators": [50, 200, 100], "classifier__learning_rate": [0.01, 0.03, 0.1]}
    assert edges(space, {"classifier__n_estimators": 200, "classifier__learning_rate": 0.01}) == [
        "classifier__n_estimators = 200 was best, the highest of the values tried: try higher ones too",
        "classifier__learning_rate = 0.01 was best, the lowest of the values tried: try lower ones too",
    ]


@pytest.mark.parametrize(
    ("space", "best"),
    [
        pytest.param({"classifier__max_depth": [2, 3, 5]}, {"classifier__max_depth": 3}, id="in the middle"),
        pytest.param({"classifier__max_depth": [3, 5, 5]}, {"classifier__max_depth": 5}, id="two values"),
        pytest.param({"classifier__max_depth": [1, 2, 3]}, {"classifier__max_depth": 1}, id="the least there is"),
        pytest.param(
            {"classifier__subsample": [0.5, 0.7, 1.0]}, {"classifier__subsample": 1.0}, id="the most there is"
        ),
        pytest.param({"classifier__max_depth": [3, 5, 9, None]}, {"classifier__max_depth": 9}, id="no limit was tried"),
        pytest.param(
            {"classifier__max_depth": [3, 5, 9, None]}, {"classifier__max_depth": None}, id="no limit is best"
        ),
        pytest.param(
            {"classifier__max_features": ["sqrt", "log2", None]}, {"classifier__max_features": "sqrt"}, id="no numbers"
        ),
        pytest.param(
            {"preprocessor__numeric__imputer__n_neighbors": [1, 3, 5]},
            {"preprocessor__numeric__imputer__n_neighbors": 1},
            id="of the preprocessor",
        ),
    ],
)
def test_a_value_that_need_not_go_further_is_no_edge(space, best):
    assert edges(space, best) == []


def test_a_value_at_an_end_is_no_edge_when_one_in_the_middle_is_as_good():
    space = {"classifier__max_depth": [2, 3, 5]}
    assert edges(space, {"classifier__max_depth": 2}, {"classifier__max_depth": 3}) == []


def test_the_edge_is_that_of_the_grid_which_the_best_candidate_is_of():
    space = [{"classifier__max_depth": [1, 2, 3]}, {"classifier__max_depth": [4, 5, 6]}]
    assert edges(space, {"classifier__max_depth": 4}) == [
        "classifier__max_depth = 4 was best, the lowest of the values tried: try lower ones too"
    ]


def test_a_value_that_every_candidate_was_tried_with_has_the_edges_of_a_list():
    space = {"classifier__n_estimators": {"each": [50, 100, 200]}}
    assert edges(space, {"classifier__n_estimators": 200}, random=True) == [
        "classifier__n_estimators = 200 was best, the highest of the values tried: try higher ones too"
    ]


def test_a_search_by_several_scorers_is_evaluated_by_the_one_that_chose():
    tuned = make_tuned({"classifier__max_depth": 9}, scoring="f1", suffix="f1")
    tuning = GridSearchSpec(param_grid={"classifier__max_depth": [3, 5, 9]}, scoring=["accuracy", "f1"], refit="f1")
    assert len(found(make_inputs(tuned=tuned, tuning=tuning), "grid_edge")) == 1


@pytest.mark.parametrize(
    ("name", "distribution", "best", "named"),
    [
        ("learning_rate", {"loguniform": [0.001, 1.0]}, 0.9, "upper end of loguniform [0.001, 1.0]: widen it upwards"),
        (
            "learning_rate",
            {"loguniform": [0.001, 1.0]},
            0.0011,
            "lower end of loguniform [0.001, 1.0]: widen it downwards",
        ),
        ("learning_rate", {"loguniform": [0.001, 1.0]}, 0.05, None),
        ("learning_rate", {"uniform": [0.1, 1.1]}, 1.06, "upper end of uniform [0.1, 1.1]: widen it upwards"),
        ("learning_rate", {"uniform": [0.1, 1.1]}, 1.04, None),
        ("subsample", {"uniform": [0.5, 1.0]}, 0.99, None),
        ("validation_fraction", {"uniform": [0.1, 1.0]}, 0.99, None),
        ("n_estimators", {"randint": [50, 150]}, 148, "upper end of randint [50, 150]: widen it upwards"),
        ("max_depth", {"randint": [2, 9]}, 8, "upper end of randint [2, 9]: widen it upwards"),
        ("max_depth", {"randint": [2, 9]}, 7, None),
        ("max_depth", {"randint": [1, 9]}, 1, None),
        ("max_depth", {"randint": [2, 4]}, 3, None),
        ("max_depth", {"lograndint": [2, 257]}, 250, "upper end of lograndint [2, 257]: widen it upwards"),
        ("max_depth", {"lograndint": [2, 257]}, 200, None),
        ("max_depth", {"lograndint": [2, 4]}, 3, None),
    ],
)
def test_a_value_near_an_end_of_its_distribution_is_reported(name, distribution, best, named):
    name = f"classifier__{name}"
    expected = [] if named is None else [f"{name} = {best} was best, near the {named}"]
    assert edges({name: distribution}, {name: best}, random=True) == expected


# Classes, probabilities, phases


def test_a_class_with_few_evaluated_rows_is_a_warning():
    y = np.array(["a"] * 30 + ["b"] * 29)
    table = make_table(59, y=y)
    inputs = make_inputs(table, evaluations=[make_evaluation(y=y)])
    message = "fewer than 30 scored rows on the test set: b (29); what the scores say of it may be chance"
    assert found(inputs, "rare_class") == [("warning", message)]


def test_many_rare_classes_are_one_finding():
    y = np.array(["a"] * 40 + [name for name in "bcdef" for _ in range(ord(name) - ord("a"))])
    inputs = make_inputs(make_table(len(y), y=y), evaluations=[make_evaluation("train_test", y=y[y != "d"])])
    message = (
        "fewer than 30 scored rows on the hold-out: d (0), b (1), c (2) and 2 more; "
        "what the scores say of such classes may be chance"
    )
    assert found(inputs, "rare_class") == [("warning", message)]


def test_rows_that_are_evaluated_again_make_a_class_no_less_rare():
    table = make_table()
    splits = folds(table, "repeated_stratified_kfold", n_repeats=3)
    index = np.sort(np.concatenate([split.test.index for split in splits]))
    inputs = make_inputs(table, splits=splits, evaluations=[make_evaluation("cross_validation", y=table.y[index])])
    assert found(inputs, "rare_class")[0][1].startswith("fewer than 30 scored rows in cross-validation: 0 (20), 1 (20)")


def evaluation_with(sharpness: float, n_rows: int = 1_000) -> Evaluation:
    """Judge probabilities that are right with a sharpness of 1, and too sure of themselves above."""
    draw = np.random.default_rng(0)
    right = draw.dirichlet([0.7, 0.7], size=n_rows)
    y = (draw.random(n_rows) < right[:, 1]).astype(int)
    proba = right**sharpness
    proba /= proba.sum(axis=1, keepdims=True)
    return make_evaluation(predictions=Predictions(np.array([0, 1]), proba.argmax(axis=1), proba), y=y)


@pytest.mark.parametrize(("sharpness", "severity"), [(1.5, "info"), (4, "warning")], ids=["somewhat", "much"])
def test_probabilities_that_are_off_and_were_not_calibrated_are_reported(sharpness, severity):
    ((named, message),) = found(make_inputs(evaluations=[evaluation_with(sharpness)]), "uncalibrated")
    assert named == severity
    start, _, rest = message.partition(" off")
    assert 0.05 < float(start.removeprefix("the probabilities are ")) < 0.2
    assert rest == " on average on the test set (expected calibration error): add a calibration section"


def test_probabilities_whose_calibration_failed_are_reported_so():
    inputs = make_inputs(evaluations=[evaluation_with(4)], degraded={"calibrate": "too few rows"})
    ((_, message),) = found(inputs, "uncalibrated")
    assert message.endswith(": see why calibration failed")


def test_right_probabilities_of_few_rows_are_not_blamed_for_chance():
    evaluation = evaluation_with(1, n_rows=150)
    assert found(make_inputs(evaluations=[evaluation]), "uncalibrated") == []


def test_probabilities_that_calibration_was_tried_on_are_not_reported():
    tried = CalibrationResult("sigmoid", ensemble=True, cv_folds=5, holdout=None, n_rows=100, kept=False)
    inputs = make_inputs(evaluations=[evaluation_with(4)], calibration=tried)
    assert found(inputs, "uncalibrated") == []


def test_a_model_without_probabilities_is_not_reported_to_be_calibrated():
    assert found(make_inputs(evaluations=[make_evaluation()]), "uncalibrated") == []


def test_a_degraded_phase_is_a_warning_with_its_reason():
    inputs = make_inputs(degraded={"tune": "none of the 4 candidates could be scored"})
    message = "tune was given up, and the run went on without it: none of the 4 candidates could be scored"
    assert found(inputs, "degraded") == [("warning", message)]


# All together


def everything() -> FindingInputs:
    y = np.arange(40) % 2
    table = Table(pd.DataFrame({"leak": y}), y)
    return make_inputs(
        table,
        features=[NUMERIC],
        identifiers={"leak": "why"},
        evaluations=[make_evaluation(scores=[SAME], y=np.repeat([0, 1], [80, 20]))],
        tuned=make_tuned({"classifier__max_depth": 9}),
        tuning=GridSearchSpec(param_grid={"classifier__max_depth": [3, 5, 9]}),
        degraded={"calibrate": "why"},
    )


def test_findings_are_in_order_of_severity():
    named = find(everything())
    assert [(finding.severity, finding.code) for finding in named] == [
        ("error", "leakage"),
        ("error", "no_better_than_baseline"),
        ("warning", "identifier"),
        ("warning", "rare_class"),
        ("warning", "degraded"),
        ("info", "grid_edge"),
    ]
    assert named[1].see == "README.md#no_better_than_baseline"


def test_what_is_ignored_is_not_reported():
    ignored = ["leakage", "no_better_than_baseline", "identifier", "rare_class", "grid_edge"]
    assert [finding.code for finding in find(everything(), ignore=ignored)] == ["degraded"]


def test_a_run_with_nothing_to_see_has_no_findings():
    assert find(make_inputs()) == ()
