"""What is drawn is what scikit-learn draws, and each draw has the variants that are written."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import ParameterSampler

from mlwf.engine.engine import Engine
from mlwf.modules.tuning import list_candidates, tune
from mlwf.modules.tuning.distributions import LogRandint, draw
from mlwf.specs.tuning import OptunaSearchSpec, RandomizedSearchSpec
from mlwf.splitting.rows import Table
from mlwf.splitting.splitters import fold_splitter


def test_lograndint_draws_integers_as_often_below_a_value_as_its_logarithm_says():
    drawn = np.array([LogRandint(1, 1025).rvs(np.random.RandomState(seed)) for seed in range(400)])
    assert drawn.min() >= 1
    assert drawn.max() < 1025
    assert 0.4 < (drawn < 32).mean() < 0.6
    assert all(type(value) is int for value in drawn.tolist())


def test_lograndint_of_one_integer_draws_that():
    assert {LogRandint(3, 4).rvs(np.random.RandomState(seed)) for seed in range(20)} == {3}


def test_variants_follow_the_draw_that_they_are_of():
    space = {"a": {"uniform": [0.0, 1.0]}, "b": {"each": [1, 2]}, "c": {"each": ["x", "y"]}}
    plain = list(ParameterSampler({"a": stats.uniform(0, 1), "space": [0]}, 3, random_state=5))
    assert draw([space], 3, 5) == [
        {"a": params["a"], "b": b, "c": c} for params in plain for b in (1, 2) for c in ("x", "y")
    ]


def test_variants_are_those_of_the_map_that_was_drawn():
    spaces = [{"a": [1, 2, 3], "b": {"each": [1, 2]}}, {"a": [7, 8, 9]}]
    drawn = draw(spaces, 6, 0)
    assert Counter(params["a"] for params in drawn) == Counter([1, 1, 2, 2, 3, 3, 7, 8, 9])
    assert all(("b" in params) == (params["a"] < 4) for params in drawn)


def test_nothing_but_variants_is_one_draw():
    spec = RandomizedSearchSpec(param_distributions={"n_estimators": {"each": [1, 2]}}, n_iter=5)
    assert list_candidates(spec) == [{"n_estimators": 1}, {"n_estimators": 2}]


def test_max_candidates_counts_variants():
    space = {"max_depth": [1, 2], "n_estimators": {"each": [1, 2]}}
    spec = RandomizedSearchSpec(param_distributions=space, n_iter=2, max_candidates=3)
    assert len(list_candidates(spec)) == 3


@pytest.fixture
def search(data):
    """Give what searches for a booster and counts the fits."""
    X, y = data()
    table = Table(X, y)
    folds = fold_splitter("stratified_kfold", n_splits=3, random_state=0)

    def run(spec):
        with Engine(table) as engine:
            result = tune(spec, GradientBoostingClassifier(random_state=0), table, table.all_rows, folds, engine)
            return result, engine.counts

    return run


SPACE = {
    "learning_rate": {"loguniform": [0.01, 0.3]},
    "max_depth": {"lograndint": [1, 5]},
    "n_estimators": {"each": [2, 4, 8]},
}


def test_variants_of_rounds_share_one_fit(search):
    result, counts = search(RandomizedSearchSpec(param_distributions=SPACE, n_iter=4, scoring="neg_log_loss"))
    assert result.n_candidates == 12
    assert counts.asked == 36
    assert counts.fitted == 12


def test_optuna_tries_all_variants_of_what_it_proposes(search):
    pytest.importorskip("optuna")
    result, counts = search(OptunaSearchSpec(param_distributions=SPACE, n_iter=10, scoring="neg_log_loss"))
    params = result.cv_results["params"]
    assert len(params) == 30
    assert [each["n_estimators"] for each in params] == [2, 4, 8] * 10
    proposed = [(each["learning_rate"], each["max_depth"]) for each in params]
    assert proposed[::3] == proposed[1::3] == proposed[2::3]
    assert len(set(proposed)) == 10
    # What is given up is given up with all of its variants.
    given_up = np.isnan(result.cv_results["mean_test_score"]).reshape(10, 3)
    assert (given_up.all(axis=1) == given_up.any(axis=1)).all()
    assert counts.fitted * 3 == counts.asked


def test_optuna_stops_at_the_most_candidates(search):
    pytest.importorskip("optuna")
    spec = OptunaSearchSpec(param_distributions=SPACE, n_iter=10, max_candidates=7, scoring="neg_log_loss")
    assert search(spec)[0].n_candidates == 7
