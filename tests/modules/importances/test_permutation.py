"""What matters to a model, measured on rows that it did not see, in columns as the table has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from mlwf.modules.importances import HeldOutRows, Predict, as_predict, group_columns, measure_importances
from mlwf.modules.importances.permutation import MOST_PARTS, shuffled_copies

DRAW = np.random.default_rng(0)
N = 600
SIGNAL, NOISE = DRAW.normal(size=N), DRAW.normal(size=N)
CITY = DRAW.choice(["Bergen", "Lyon", "Turin"], N)
Y = (SIGNAL + (CITY == "Lyon") + DRAW.normal(0, 0.5, N) > 0).astype(int)
X = pd.DataFrame({"signal": SIGNAL, "noise": NOISE, "city": CITY})
CLASSES = np.array([0, 1])


@pytest.fixture(scope="module")
def model():
    encode = ColumnTransformer(
        [("numbers", StandardScaler(), ["signal", "noise"]), ("city", OneHotEncoder(), ["city"])]
    )
    return Pipeline([("encode", encode), ("classifier", LogisticRegression())]).fit(X[:300], Y[:300])


def held_out(model, rows=X[300:], y=Y[300:], **more):
    return HeldOutRows(as_predict(model, CLASSES), rows.reset_index(drop=True), y, **more)


def test_the_columns_that_the_labels_depend_on_come_first(model):
    found = measure_importances([held_out(model)], group_columns(X), random_state=0)

    assert [column.columns for column in found.columns] == [("signal",), ("city",), ("noise",)]
    signal, _, noise = found.columns
    assert signal.interval.low < signal.value < signal.interval.high
    assert signal.interval.low > 0
    assert noise.interval.low <= 0 <= noise.interval.high
    assert (found.metric, found.n_rows, found.n_held_out, found.n_repeats) == ("brier_score", 300, 300, 5)
    assert not found.is_cut


def test_the_values_are_those_of_scikit_learn_up_to_chance(model):
    ours = measure_importances([held_out(model)], group_columns(X), random_state=0)
    theirs = permutation_importance(
        model, X[300:], Y[300:], scoring="neg_brier_score", n_repeats=30, random_state=0
    ).importances_mean
    values = {column.columns[0]: column.value for column in ours.columns}
    assert [values[name] for name in X] == pytest.approx(theirs.tolist(), abs=0.015)


def test_the_same_seed_gives_the_same_numbers(model):
    first, again, other = (
        measure_importances([held_out(model)], group_columns(X), random_state=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_a_model_without_probabilities_is_measured_by_its_accuracy(model):
    svc = Pipeline([("encode", model[0]), ("classifier", SVC())]).fit(X[:300], Y[:300])
    found = measure_importances([held_out(svc)], group_columns(X), random_state=0)
    assert found.metric == "accuracy"
    assert found.score == pytest.approx(svc.score(X[300:], Y[300:]))
    assert found.columns[0].columns == ("signal",)


def test_each_fold_is_predicted_by_its_own_model(model):
    folds = [held_out(model, X[300:450], Y[300:450]), held_out(model, X[450:], Y[450:])]
    found = measure_importances(folds, group_columns(X), random_state=0)
    assert (found.n_models, found.n_rows) == (2, 300)
    assert found.columns[0].columns == ("signal",)


def test_rows_of_weight_zero_are_left_out(model):
    weight = np.where(np.arange(300) < 200, 1.0, 0.0)
    found = measure_importances([held_out(model, weight=weight)], group_columns(X), random_state=0)
    assert (found.n_rows, found.n_held_out) == (200, 300)


def test_whole_groups_of_rows_make_wider_intervals(model):
    plain, grouped = (
        measure_importances([held_out(model, units=units)], group_columns(X), random_state=0)
        for units in (None, np.arange(300) // 30)
    )
    assert grouped.columns[0].interval.method == "bootstrap of groups"
    assert plain.columns[0].value == grouped.columns[0].value


def test_columns_that_go_together_are_shuffled_together():
    both = X.assign(again=2 * X["signal"] + 0.01 * X["noise"])
    groups = {group.columns: group.association for group in group_columns(both)}
    assert set(groups) == {("signal", "again"), ("noise",), ("city",)}
    assert groups["signal", "again"] > 0.99
    assert groups["noise",] is None


def test_a_column_of_categories_goes_together_with_the_numbers_that_it_names():
    frame = X.assign(code=X["city"].map({"Bergen": 1, "Lyon": 2, "Turin": 3}), town=X["city"].str.lower())
    assert [group.columns for group in group_columns(frame)] == [("signal",), ("noise",), ("city", "code", "town")]


def test_a_model_that_predicts_slowly_is_asked_for_fewer_rows(model):
    slow = HeldOutRows(as_predict(model, CLASSES), X[300:].reset_index(drop=True), Y[300:])
    found = measure_importances([slow], group_columns(X), random_state=0, seconds=1e-6)
    assert found.is_cut
    assert (found.n_rows, found.n_repeats) == (150, 1)


def test_of_a_wide_table_the_columns_that_matter_are_searched_for():
    wide = pd.DataFrame(DRAW.normal(size=(300, 400)), columns=[f"x{at}" for at in range(400)])
    calls = []

    def predict(rows):
        calls.append(len(rows))
        positive = 1 / (1 + np.exp(-3 * rows["x7"] - 2 * rows["x333"]))
        return np.column_stack([1 - positive, positive])

    y = (DRAW.random(300) < predict(wide)[:, 1]).astype(int)
    found = measure_importances([HeldOutRows(Predict(predict), wide, y)], group_columns(wide), random_state=0)

    assert [column.columns for column in found.columns[:2]] == [("x7",), ("x333",)]
    assert sorted(name for column in found.columns for name in column.columns) == sorted(wide)
    assert len(found.columns) < MOST_PARTS
    assert not found.is_cut


@pytest.mark.parametrize("as_array", [False, True], ids=["frame", "array"])
def test_shuffled_copies_change_the_named_columns_alone(as_array):
    rows = np.arange(6.0).reshape(3, 2)
    rows = rows if as_array else pd.DataFrame(rows, columns=["a", "b"])
    stacked = np.asarray(shuffled_copies(rows, [((0,), np.array([2, 1, 0])), ((0, 1), np.array([1, 2, 0]))]))
    assert stacked.tolist() == [[4, 1], [2, 3], [0, 5], [2, 3], [4, 5], [0, 1]]
