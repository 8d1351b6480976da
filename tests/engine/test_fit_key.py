"""A fit has the same key wherever and whenever it is requested, and another when anything changes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler, TargetEncoder
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine.fit_key import FitKeyBuilder, is_reproducible
from mlwf.engine.requests import FitRequest
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.specs.features import CategoricalFeatureSpec, DateFeatureSpec, NumericFeatureSpec
from mlwf.splitting.rows import Rows, Table

TABLE = Table(np.arange(40.0).reshape(20, 2), np.arange(20) % 2, digest="table")
TRAIN = Rows(np.arange(15))


def pipeline(classifier):
    return Pipeline([("preprocessor", StandardScaler()), ("classifier", classifier)])


def key(model, params=(), *, table=TABLE, train=TRAIN, **options):
    return FitKeyBuilder().identify(FitRequest(model, dict(params), train, **options), table).key


BOOSTER = GradientBoostingClassifier(random_state=0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((pipeline(BOOSTER), {}), (pipeline(GradientBoostingClassifier(random_state=0)), {})),
        ((pipeline(BOOSTER), {"classifier__max_depth": 3}), (pipeline(BOOSTER), {})),
        (
            (pipeline(BOOSTER), {"classifier__max_depth": 2, "classifier__learning_rate": 0.2}),
            (pipeline(BOOSTER), {"classifier__learning_rate": 0.2, "classifier__max_depth": 2}),
        ),
        ((pipeline(BOOSTER), {"preprocessor__with_mean": True}), (pipeline(BOOSTER), {})),
        ((pipeline(LogisticRegression()), {"classifier": BOOSTER}), (pipeline(BOOSTER), {})),
    ],
    ids=["built again", "default said", "order", "default of a step said", "step set"],
)
def test_key_is_that_of_the_same_fit(one, other):
    assert key(*one) == key(*other)


def test_key_differs_by_all_that_changes_a_fit():
    base = pipeline(BOOSTER)
    keys = [
        key(base),
        key(base, {"classifier__max_depth": 2}),
        key(base, {"classifier__n_estimators": 7}),
        key(base, {"preprocessor__with_mean": False}),
        key(pipeline(GradientBoostingClassifier(random_state=1))),
        key(pipeline(RandomForestClassifier(random_state=0))),
        key(base, train=Rows(np.arange(14))),
        key(base, train=Rows(np.arange(15)[::-1])),
        key(base, table=Table(TABLE.X, TABLE.y, digest="another table")),
        key(base, table=Table(TABLE.X, TABLE.y, class_weight="balanced", digest="table")),
    ]
    assert len(set(keys)) == len(keys)


def test_class_weights_do_not_change_a_fit_that_ignores_them():
    weighted = Table(TABLE.X, TABLE.y, class_weight="balanced", digest="table")
    assert key(pipeline(BOOSTER), table=weighted, class_weighted=False) == key(pipeline(BOOSTER), class_weighted=False)


def test_candidates_that_one_fit_serves_are_one_group():
    one, other, third = (
        FitKeyBuilder().identify(FitRequest(pipeline(BOOSTER), params, TRAIN), TABLE)
        for params in ({"classifier__n_estimators": 5}, {"classifier__n_estimators": 9}, {"classifier__max_depth": 9})
    )
    assert one.group == other.group != third.group
    assert one.preparation == other.preparation == third.preparation
    assert (one.stage, other.stage) == (("n_estimators", 5), ("n_estimators", 9))


SEEDED = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (pipeline(BOOSTER), True),
        (pipeline(GradientBoostingClassifier()), False),
        (pipeline(GradientBoostingClassifier(random_state=np.random.RandomState(0))), False),
        (pipeline(RandomForestClassifier(random_state=np.int64(3))), True),
        (pipeline(LogisticRegression()), True),
        (pipeline(LogisticRegression(solver="saga")), False),
        (DummyClassifier(strategy="prior"), True),
        (DummyClassifier(strategy="stratified"), False),
        (ColumnTransformer([("quantile", QuantileTransformer(), [0])]), False),
        (ColumnTransformer([("target", TargetEncoder(cv=SEEDED), [0])]), True),
        (BaggingClassifier(DecisionTreeClassifier(), random_state=0), False),
    ],
)
def test_is_reproducible_knows_what_draws_anew_each_time(estimator, expected):
    assert is_reproducible(estimator) is expected


class Foreign(LogisticRegression):
    """A class of somebody else."""


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (pipeline(Foreign()), {}),
        (pipeline(BOOSTER), {"classifier__no_such": 1}),
        (pipeline(BOOSTER), {"classifier": "no estimator"}),
        (Pipeline([("classifier", BOOSTER)], memory="somewhere"), {}),
    ],
    ids=["foreign class", "unknown parameter", "no estimator", "cached pipeline"],
)
def test_what_cannot_be_taken_apart_is_left_to_a_plain_fit(model, params):
    assert FitKeyBuilder().identify(FitRequest(model, params, TRAIN), TABLE) is None


PRINT_KEY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_fit_key import real_key
print(real_key())
"""


def real_key():
    """Give the key of a fit of a pipeline as mlwf builds them, with every kind of step."""
    features = [
        NumericFeatureSpec(columns=["a", "b"], scaler="quantile"),
        CategoricalFeatureSpec(columns=["c"], encoder="onehot"),
        CategoricalFeatureSpec(columns=["d"], encoder="target", imputer="most_frequent"),
        DateFeatureSpec(columns=["e"], parts=["year", "month"]),
    ]
    model = Pipeline([("preprocessor", build_preprocessor(features)), ("classifier", BOOSTER)])
    return key(model, {"classifier__max_depth": 2})


def test_key_is_the_same_in_another_process_with_another_hash_seed():
    keys = {
        subprocess.run(
            [sys.executable, "-c", PRINT_KEY, Path(__file__).parent],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert keys == {real_key()}
