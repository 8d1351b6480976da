"""One fit contains the smaller ones: each stage is compared to the bit with a plain fit of that stage."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from functools import partial
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine import staged_ensembles as module
from mlwf.engine.model_file import load_model, save_model
from mlwf.engine.staged_ensembles import (
    is_resumable,
    may_be_resumable,
    resume,
    stage_parameter,
    staged_predictions,
    truncated,
)
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.specs.catalogue import ALGORITHMS

INFOS = {
    info.load_class(): info for info in ALGORITHMS.values() if info.stages is not None and info.stages.library is None
}
"""The algorithms of scikit-learn of which one fit holds smaller ones, by class."""
STAGES = (1, 3, 7, 10)
SEED: dict[str, Any] = {"random_state": 5}
N_TRAIN = 240


def _data(n_classes: int, labels: str, *, seed: int = 0, n_rows: int = 300) -> tuple[Any, Any]:
    X, y = make_classification(
        n_rows, 8, n_informative=6, n_classes=n_classes, n_clusters_per_class=1, flip_y=0.1, random_state=seed
    )
    X[:, 0] = np.digitize(X[:, 0], [-1, 0, 1])
    return X, y if labels == "integers" else np.array([f"class {code}" for code in y])


TABLES = {
    "two classes": _data(2, "integers"),
    "two named classes": _data(2, "strings", seed=1),
    "three classes": _data(3, "integers", seed=2),
    "three named classes": _data(3, "strings", seed=3),
}
TWO, THREE = TABLES["two named classes"], TABLES["three classes"]

STOPS = {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.3, "learning_rate": 0.8}
SETTINGS: dict[type, list[dict[str, Any]]] = {
    GradientBoostingClassifier: [
        {},
        {"init": "zero"},
        {"subsample": 0.5},
        {"max_features": "sqrt", "max_depth": 5},
        {"subsample": 0.7, "max_features": 0.5, "max_leaf_nodes": 6, "ccp_alpha": 0.001},
        {"n_iter_no_change": 2, "learning_rate": 0.8, "validation_fraction": 0.3},
        {"n_iter_no_change": 1, "subsample": 0.5, "max_features": 2, "tol": 0.02},
        {"n_iter_no_change": 50, "learning_rate": 0.8},
        {"random_state": np.int64(7), "subsample": 0.9},
    ],
    HistGradientBoostingClassifier: [
        {},
        {"max_features": 0.4},
        {"class_weight": "balanced", "l2_regularization": 0.5, "max_leaf_nodes": 5},
        {"categorical_features": [0], "max_bins": 16},
        {"interaction_cst": [[0, 1, 2], [3, 4, 5, 6, 7]]},
        {"interaction_cst": "pairwise", "max_features": 0.5},
        STOPS,
        {**STOPS, "max_features": 0.5},
        {**STOPS, "validation_fraction": None, "tol": 0.05},
        {**STOPS, "scoring": "accuracy"},
        {**STOPS, "scoring": "neg_log_loss", "class_weight": "balanced"},
        {**STOPS, "scoring": None},
        {**STOPS, "scoring": "balanced_accuracy", "validation_fraction": None, "max_features": 0.5},
        {**STOPS, "n_iter_no_change": 50},
    ],
    RandomForestClassifier: [
        {},
        {"class_weight": "balanced_subsample", "max_depth": 3},
        {"max_samples": 0.5, "max_features": None},
        {"bootstrap": False, "criterion": "entropy", "n_jobs": 1},
    ],
    ExtraTreesClassifier: [{}, {"class_weight": "balanced", "max_depth": 4}, {"bootstrap": True, "max_samples": 50}],
}
CASES = [(kind, setting) for kind, settings in SETTINGS.items() for setting in settings]
CASE_IDS = [f"{kind.__name__} {setting}" for kind, setting in CASES]
PUBLIC = (
    "classes_",
    "feature_importances_",
    "n_estimators_",
    "n_features_in_",
    "n_iter_",
    "oob_improvement_",
    "oob_score_",
    "oob_scores_",
    "train_score_",
    "validation_score_",
)


def _fit(kind: type, setting: dict[str, Any], stage: int, X: Any, y: Any, **keywords: Any) -> Any:
    classifier = kind(**SEED | setting)
    return clone(classifier).set_params(**{INFOS[kind].rounds: stage}).fit(X, y, **keywords)


def _state(model: Any) -> dict[str, Any]:
    """Collect a model's public fitted state, and all of its trees."""
    state = {name: getattr(model, name) for name in PUBLIC if hasattr(model, name)}
    trees = getattr(model, INFOS[type(model)].stages.attributes[0])
    own = {name for name, value in vars(model).items() if not inspect.ismethod(value)}
    return state | {"params": model.get_params(), "n_trees": np.shape(trees), "attributes": own}


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same to the bit, in type and memory layout too."""
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.strides) == (other.dtype, other.shape, other.strides) and np.array_equal(
            one, other
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) is type(other) and (one == other or joblib.hash(one) == joblib.hash(other))


def _assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not _is_same(one[name], other[name])] == []


def _assert_predicts_same(said: Predictions, plain: Predictions) -> None:
    _assert_same(vars(said), vars(plain))


def _assert_exact(kind: type, setting: dict[str, Any], X: Any, y: Any, **keywords: Any) -> Any:
    longest = _fit(kind, setting, STAGES[-1], X[:N_TRAIN], y[:N_TRAIN], **keywords)
    in_one_pass = staged_predictions(longest, X[N_TRAIN:], STAGES)
    for stage, said in zip(STAGES, in_one_pass, strict=True):
        plain = _fit(kind, setting, stage, X[:N_TRAIN], y[:N_TRAIN], **keywords)
        cut = truncated(longest, stage)
        _assert_same(_state(cut), _state(plain))
        _assert_predicts_same(predict(cut, X[N_TRAIN:]), predict(plain, X[N_TRAIN:]))
        _assert_predicts_same(said, predict(plain, X[N_TRAIN:]))
    return longest


@pytest.mark.parametrize("table", ["two named classes", "three classes"])
@pytest.mark.parametrize(("kind", "setting"), CASES, ids=CASE_IDS)
def test_truncated_is_a_plain_fit_of_that_stage(kind, setting, table):
    assert stage_parameter(kind(**SEED | setting), N_TRAIN) == INFOS[kind].rounds
    _assert_exact(kind, setting, *TABLES[table])


@pytest.mark.parametrize("table", ["two classes", "three named classes"])
@pytest.mark.parametrize("kind", INFOS)
def test_truncated_is_exact_whatever_the_labels_are(kind, table):
    _assert_exact(kind, {}, *TABLES[table])


@pytest.mark.parametrize("table", ["two classes", "two named classes"])
@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (GradientBoostingClassifier, {"loss": "exponential", "subsample": 0.8}),
        (HistGradientBoostingClassifier, {"monotonic_cst": [0, 1, -1, 0, 0, 0, 1, 0], "max_features": 0.5}),
        (HistGradientBoostingClassifier, {**STOPS, "scoring": "roc_auc"}),
        (RandomForestClassifier, {"monotonic_cst": [0, 1, -1, 0, 0, 0, 1, 0]}),
    ],
    ids=["exponential loss", "monotonic histogram", "histogram by ranks", "monotonic forest"],
)
def test_truncated_is_exact_for_what_takes_two_classes_alone(kind, setting, table):
    assert stage_parameter(kind(**SEED | setting), N_TRAIN) == INFOS[kind].rounds
    _assert_exact(kind, setting, *TABLES[table])


@pytest.mark.parametrize("kind", INFOS)
def test_truncated_is_exact_with_weighted_rows(kind):
    weight = np.random.default_rng(0).integers(0, 4, N_TRAIN) / 2
    _assert_exact(kind, {}, *THREE, sample_weight=weight)


@pytest.mark.parametrize("setting", [STOPS, {**STOPS, "scoring": "roc_auc"}], ids=["loss", "scorer"])
def test_truncated_is_exact_with_weighted_rows_and_early_stopping(setting):
    weight = np.random.default_rng(0).integers(1, 4, N_TRAIN) / 2
    _assert_exact(HistGradientBoostingClassifier, setting, *TWO, sample_weight=weight)


@pytest.mark.parametrize("kind", INFOS)
def test_truncated_is_exact_for_twelve_classes(kind):
    # From eight on, numpy sums a row of a C-ordered array in another order than one of an F-ordered array.
    X, y = make_classification(300, 8, n_informative=8, n_redundant=0, n_classes=12, n_clusters_per_class=1)
    _assert_exact(kind, {}, X, y)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (GradientBoostingClassifier, {"n_iter_no_change": 1, "learning_rate": 1.0, "max_features": 3}),
        (HistGradientBoostingClassifier, {**STOPS, "n_iter_no_change": 1}),
        (HistGradientBoostingClassifier, {**STOPS, "n_iter_no_change": 1, "scoring": "f1_macro"}),
    ],
    ids=["gradient boosting", "histogram by loss", "histogram by scorer"],
)
def test_truncated_is_exact_wherever_the_fit_stops(kind, setting, seed):
    _assert_exact(kind, {**setting, "random_state": seed}, *_data(2 + seed % 2, "integers", seed=seed))


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (GradientBoostingClassifier, {"n_iter_no_change": 1, "learning_rate": 1.0, "subsample": 0.5}),
        (HistGradientBoostingClassifier, {**STOPS, "n_iter_no_change": 1}),
    ],
    ids=["gradient boosting", "histogram"],
)
def test_truncated_after_an_early_stop_is_all_there_is(kind, setting):
    longest = _assert_exact(kind, setting, *TWO)
    trees = INFOS[kind].stages.attributes[0]
    assert len(getattr(truncated(longest, 10), trees)) == len(getattr(longest, trees)) < 10


def test_truncated_is_exact_where_many_rows_make_it_stop_early():
    X, y = _data(2, "integers", n_rows=10_400)
    classifier = HistGradientBoostingClassifier(
        learning_rate=1.5, max_iter=9, n_iter_no_change=1, scoring="accuracy", random_state=0
    )
    longest = clone(classifier).fit(X, y)
    assert longest.do_early_stopping_
    assert 2 <= longest.n_iter_ < 9
    for stage in (2, longest.n_iter_, 8):
        plain = clone(classifier).set_params(max_iter=stage).fit(X, y)
        _assert_same(_state(truncated(longest, stage)), _state(plain))
        _assert_predicts_same(predict(truncated(longest, stage), X), predict(plain, X))


BOOSTERS = [(kind, setting) for kind, setting in CASES if "Gradient" in kind.__name__]
STOPPING = {"n_iter_no_change", "early_stopping"}


def _assert_continues(kind: type, setting: dict[str, Any], X: Any, y: Any, **keywords: Any) -> None:
    begun = _fit(kind, setting, 3, X, y, **keywords)
    before = joblib.hash(begun)
    assert is_resumable(begun)
    assert may_be_resumable(kind())
    continued = resume(begun).set_params(**{INFOS[kind].rounds: 10}).fit(X, y, **keywords)
    plain = _fit(kind, setting, 10, X, y, **keywords)
    _assert_same(_state(continued.set_params(warm_start=False)), _state(plain))
    _assert_predicts_same(predict(continued, X), predict(plain, X))
    assert joblib.hash(begun) == before


@pytest.mark.parametrize("table", ["two named classes", "three classes"])
@pytest.mark.parametrize(("kind", "setting"), BOOSTERS, ids=[str(each) for each in BOOSTERS])
def test_a_resumed_booster_is_a_plain_fit_of_all_its_rounds(kind, setting, table):
    X, y = TABLES[table]
    if STOPPING & setting.keys():
        assert not is_resumable(_fit(kind, setting, 3, X, y))
    else:
        _assert_continues(kind, setting, X, y)


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, HistGradientBoostingClassifier])
def test_a_booster_is_resumed_with_weighted_rows_and_missing_values(kind):
    X, y = TWO
    X = np.where(X > 2, np.nan, X) if kind is HistGradientBoostingClassifier else X
    _assert_continues(kind, {}, X, y, sample_weight=np.linspace(0.1, 2.0, len(y)))


CATEGORICAL = {"categorical_features": [0, 2]}


def test_truncated_and_resumed_are_exact_with_categories():
    X, y = TWO
    X = np.where(np.isin(np.arange(X.shape[1]), CATEGORICAL["categorical_features"]), np.abs(X * 3).round() % 9, X)
    _assert_exact(HistGradientBoostingClassifier, CATEGORICAL, X, y)
    _assert_continues(HistGradientBoostingClassifier, CATEGORICAL, X, y)


def test_what_is_no_booster_is_not_resumable():
    X, y = TWO
    for kind in INFOS.keys() - {GradientBoostingClassifier, HistGradientBoostingClassifier}:
        assert not is_resumable(_fit(kind, {}, 3, X, y))
        assert not may_be_resumable(kind())
    assert not may_be_resumable(LogisticRegression())


@pytest.mark.parametrize("kind", INFOS)
def test_truncated_leaves_the_model_as_it_was(kind):
    X, y = THREE
    setting = {"subsample": 0.5} if kind is GradientBoostingClassifier else {}
    longest = _fit(kind, setting, 10, X, y)
    before, state = joblib.hash(longest), copy.copy(vars(longest))
    predict(truncated(longest, 3), X)
    staged_predictions(longest, X, [3])
    assert joblib.hash(longest) == before
    assert all(vars(longest)[name] is value for name, value in state.items())


def test_truncated_keeps_no_later_tree():
    X, y = THREE
    cut = truncated(_fit(GradientBoostingClassifier, {}, 10, X, y), 3)
    assert cut.estimators_.base is None


@pytest.mark.parametrize(
    "kind",
    [GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier, ExtraTreesClassifier],
)
def test_truncated_survives_its_model_file(kind, tmp_path):
    X, y = TABLES["three named classes"]
    save_model(truncated(_fit(kind, {}, 10, X, y), 3), tmp_path / "model.skops")
    loaded, plain = load_model(tmp_path / "model.skops"), _fit(kind, {}, 3, X, y)
    _assert_same(_state(loaded), _state(plain))
    _assert_predicts_same(predict(loaded, X), predict(plain, X))


@pytest.mark.parametrize("kind", INFOS)
def test_staged_predictions_takes_stages_in_any_order(kind):
    X, y = TWO
    longest = _fit(kind, {}, 10, X, y)
    for stage, said in zip((7, 1, 7), staged_predictions(longest, X, [7, 1, 7]), strict=True):
        _assert_predicts_same(said, predict(truncated(longest, stage), X))
    assert staged_predictions(longest, X, []) == []


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, HistGradientBoostingClassifier])
def test_staged_predictions_breaks_ties_as_the_booster_does(kind):
    X, y = np.zeros((40, 1)), np.array(["no", "yes"] * 20)
    longest = _fit(kind, {}, 3, X, y)
    (said,) = staged_predictions(longest, X, [2])
    assert not said.decision.any()
    _assert_predicts_same(said, predict(truncated(longest, 2), X))


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier, GradientBoostingClassifier])
@pytest.mark.parametrize("form", [pd.DataFrame, scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, np.asfortranarray])
def test_staged_predictions_takes_what_the_model_takes(kind, form):
    X, y = form(THREE[0]), THREE[1]
    if isinstance(X, pd.DataFrame):
        X.columns = [f"x{column}" for column in X.columns]
    longest = _fit(kind, {}, 10, X, y)
    for stage, said in zip((3, 10), staged_predictions(longest, X, (3, 10)), strict=True):
        _assert_predicts_same(said, predict(truncated(longest, stage), X))


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier, HistGradientBoostingClassifier])
def test_staged_predictions_takes_missing_values(kind):
    X, y = THREE[0].copy(), THREE[1]
    X[::3, 2] = np.nan
    _assert_exact(kind, {}, X, y)


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        (GradientBoostingClassifier, np.nan, np.asarray),
        (RandomForestClassifier, np.inf, np.asarray),
        (ExtraTreesClassifier, -np.inf, np.asarray),
        (RandomForestClassifier, np.nan, scipy.sparse.csr_matrix),
    ],
    ids=["boosting of missing values", "forest of infinity", "extra trees of infinity", "sparse missing values"],
)
def test_staged_predictions_refuses_what_the_model_refuses(kind, value, form):
    X, y = TWO
    longest = _fit(kind, {}, 3, form(X), y)
    spoilt = form(np.where(np.arange(8) == 2, value, X))
    messages = []
    for say in (predict, partial(staged_predictions, stages=[3])):
        with pytest.raises(ValueError, match="X contains") as refused:
            say(longest, spoilt)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]


class Derived(RandomForestClassifier):
    """Somebody's own forest, which may do anything."""


UNKNOWN = {
    "another class": LogisticRegression(),
    "a single tree": DecisionTreeClassifier(random_state=0),
    "bagging": BaggingClassifier(**SEED),
    "adaptive boosting": AdaBoostClassifier(**SEED),
    "a derived class": Derived(random_state=0),
    "warm start of gradient boosting": GradientBoostingClassifier(warm_start=True, **SEED),
    "warm start of histogram boosting": HistGradientBoostingClassifier(warm_start=True, **SEED),
    "warm start of a forest": RandomForestClassifier(warm_start=True, **SEED),
    "out-of-bag score of a forest": RandomForestClassifier(oob_score=True, **SEED),
    "out-of-bag scorer of a forest": ExtraTreesClassifier(oob_score=max, bootstrap=True, **SEED),
    "two jobs of a forest": RandomForestClassifier(n_jobs=2, **SEED),
    "all cores of a forest": ExtraTreesClassifier(n_jobs=-1, **SEED),
    "a model to begin with": GradientBoostingClassifier(init=LogisticRegression(), **SEED),
    "own scorer that stops": HistGradientBoostingClassifier(
        early_stopping=True, scoring=get_scorer("accuracy"), **SEED
    ),
    "no stage at all": GradientBoostingClassifier(n_estimators=0, **SEED),
    "a numpy integer": RandomForestClassifier(n_estimators=np.int64(10), **SEED),
    "half a stage": HistGradientBoostingClassifier(max_iter=1.5, **SEED),
    "a truth value": HistGradientBoostingClassifier(max_iter=True, **SEED),
}


@pytest.mark.parametrize("classifier", UNKNOWN.values(), ids=UNKNOWN)
def test_stage_parameter_is_none_where_it_is_not_known_to_be_exact(classifier):
    assert stage_parameter(classifier, 100) is None


@pytest.mark.parametrize("kind", INFOS)
@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)], ids=["none", "generator"])
def test_stage_parameter_is_none_without_an_integer_seed(kind, seed):
    assert stage_parameter(kind(random_state=seed), 100) is None


@pytest.mark.parametrize("kind", INFOS)
@pytest.mark.parametrize("seed", [3, np.int32(3), np.uint64(3)], ids=["int", "int32", "uint64"])
def test_stage_parameter_takes_every_integer_seed(kind, seed):
    assert stage_parameter(kind(random_state=seed), 100) == INFOS[kind].rounds


@pytest.mark.parametrize(("n_rows", "name"), [(10_000, "max_iter"), (10_001, None)])
def test_stage_parameter_minds_an_own_scorer_only_where_it_decides(n_rows, name):
    classifier = HistGradientBoostingClassifier(scoring=get_scorer("accuracy"), random_state=0)
    assert stage_parameter(classifier, n_rows) == name


def test_stage_parameter_is_none_where_histogram_boosters_cannot_be_cut(monkeypatch):
    info = INFOS[HistGradientBoostingClassifier]
    other = replace(info, stages=replace(info.stages, attributes=("_of_another_version",)))
    monkeypatch.setitem(ALGORITHMS, "hist_gradient_boosting", other)
    module._cuts_rounds.cache_clear()
    try:
        assert stage_parameter(HistGradientBoostingClassifier(random_state=0), 100) is None
    finally:
        module._cuts_rounds.cache_clear()
