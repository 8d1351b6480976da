"""Halving is scikit-learn's HalvingGridSearchCV: the same candidates on each rung, the same scores, the same best."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from mlwf.engine.requests import Leaderboard
from mlwf.errors import FitError
from mlwf.evaluation.predictions import predict
from mlwf.modules.tuning import HalvingSearch, create_tuning
from mlwf.modules.tuning.halving import plan_rungs, rounds_parameter
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.tuning import HalvingSearchSpec

SHAPES = {"classifier__max_depth": [1, 2, 3], "classifier__learning_rate": [0.05, 0.1, 0.3, 1.0]}
BY_ROUNDS = {
    "boosting": (GradientBoostingClassifier(random_state=0), SHAPES, "classifier__n_estimators"),
    "histogram boosting": (
        HistGradientBoostingClassifier(min_samples_leaf=5, random_state=0),
        SHAPES,
        "classifier__max_iter",
    ),
    "forest": (
        RandomForestClassifier(random_state=0),
        [{"classifier__max_depth": [1, 2, 4]}, {"classifier__max_features": [1, 3]}],
        "classifier__n_estimators",
    ),
}
BY_ROWS = {
    "linear": (LogisticRegression(), {"classifier__C": [0.001, 0.1, 1.0, 10.0], "scaler__with_mean": [True, False]}),
    "ties": (KNeighborsClassifier(), {"classifier__n_neighbors": [3, 3, 5, 5, 7, 7, 9]}),
    "failing candidates": (KNeighborsClassifier(), {"classifier__n_neighbors": [500, 3, 40, 5, 7]}),
}


def assert_same_halving(ours, theirs, X, assert_same_results):
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert (ours.best_index_, ours.best_params_) == (theirs.best_index_, theirs.best_params_)
    assert ours.best_score_ == theirs.best_score_
    assert np.array_equal(ours.best_estimator_.predict_proba(X), theirs.best_estimator_.predict_proba(X))


@pytest.mark.parametrize(
    ("scoring", "factor"),
    [
        ("neg_log_loss", 3),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("neg_log_loss", 2), ("accuracy", 3), ("accuracy", 2)]
        ),
    ],
)
@pytest.mark.parametrize(("classifier", "grid", "resource"), BY_ROUNDS.values(), ids=BY_ROUNDS)
def test_halving_by_rounds_equals_scikit_learn(
    pipeline, data, assert_same_results, classifier, grid, resource, scoring, factor
):
    X, y = data()
    spec = HalvingSearchSpec(param_grid=grid, scoring=scoring, factor=factor, max_resources=20, cv_folds=3)
    ours = create_tuning(spec, random_state=4).fit(pipeline(classifier), X, y)
    theirs = HalvingGridSearchCV(
        pipeline(classifier),
        grid,
        scoring=scoring,
        factor=factor,
        resource=resource,
        max_resources=20,
        cv=3,
        random_state=4,
        return_train_score=False,
    ).fit(X, y)
    assert isinstance(ours, HalvingSearch)
    assert_same_halving(ours, theirs, X, assert_same_results)


def test_a_rung_continues_the_boosters_of_the_one_before(pipeline, data, monkeypatch):
    grown = []
    grow = GradientBoostingClassifier._fit_stage
    monkeypatch.setattr(
        GradientBoostingClassifier,
        "_fit_stage",
        lambda self, *given, **named: grown.append(1) or grow(self, *given, **named),
    )
    X, y = data()
    spec = HalvingSearchSpec(param_grid=SHAPES, factor=3, max_resources=18, cv_folds=3)
    search = create_tuning(spec, random_state=4).fit(pipeline(GradientBoostingClassifier(random_state=0)), X, y)
    assert list(zip(search.cv_results_["n_resources"], search.cv_results_["iter"], strict=True)) == [
        *[(2, 0)] * 12,
        *[(6, 1)] * 4,
        *[(18, 2)] * 2,
    ]
    # A candidate on the second rung grows four rounds more in each fold, one on the third twelve; the best is refitted.
    assert len(grown) == 3 * (12 * 2 + 4 * 4 + 2 * 12) + 18


@pytest.mark.parametrize(("kind", "n_kept"), [("boosting", [4, 2, 1]), ("forest", [1, 1])])
def test_a_rung_holds_the_models_of_several_candidates_only_to_continue_them(pipeline, data, monkeypatch, kind, n_kept):
    seen, take_ranked_models = [], Leaderboard.take_ranked_models
    monkeypatch.setattr(
        Leaderboard, "take_ranked_models", lambda self: seen.append(self.n_kept) or take_ranked_models(self)
    )
    X, y = data()
    classifier, grid, _ = BY_ROUNDS[kind]
    spec = HalvingSearchSpec(param_grid=grid, factor=3, max_resources=18, cv_folds=3)
    create_tuning(spec, random_state=4).fit(pipeline(classifier), X, y)
    assert seen == n_kept


# Of rows that lack a class, mlwf has a log loss and scikit-learn none: with three classes there are such.
@pytest.mark.parametrize(("n_classes", "scoring"), [(2, "neg_log_loss"), (3, "accuracy")], ids=["two", "three classes"])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize(("classifier", "grid"), BY_ROWS.values(), ids=BY_ROWS)
def test_halving_by_rows_equals_scikit_learn(
    pipeline, data, assert_same_results, classifier, grid, factor, n_classes, scoring
):
    X, y = data(n_classes=n_classes, n_samples=200)
    spec = HalvingSearchSpec(param_grid=grid, scoring=scoring, factor=factor, cv_folds=4)
    with warnings.catch_warnings():
        # scikit-learn warns of the fits that fail.
        warnings.simplefilter("ignore")
        theirs = HalvingGridSearchCV(
            pipeline(classifier),
            grid,
            scoring=scoring,
            factor=factor,
            cv=4,
            random_state=4,
            return_train_score=False,
        ).fit(X, y)
    ours = create_tuning(spec, random_state=4).fit(pipeline(classifier), X, y)
    assert_same_halving(ours, theirs, X, assert_same_results)


def test_rows_are_the_resource_where_the_spec_says_so(pipeline, data):
    X, y = data()
    grid = {"classifier__n_estimators": [2, 4, 6]}
    spec = HalvingSearchSpec(param_grid=grid, resource="n_samples", max_resources=90, cv_folds=3)
    search = create_tuning(spec).fit(pipeline(GradientBoostingClassifier(random_state=0)), X, y)
    assert search.cv_results_["n_resources"].tolist() == [30, 30, 30, 90]
    assert search.result_.inexact == "halving by n_samples: 3 candidates with 30, 1 with 90"
    # Only some rows are predicted: there are no predictions of all of them.
    assert search.result_.out_of_fold is None


def test_the_most_rounds_are_those_of_the_model(pipeline, data):
    X, y = data()
    spec = HalvingSearchSpec(param_grid={"classifier__max_depth": [1, 2, 3]}, cv_folds=3)
    classifier = GradientBoostingClassifier(n_estimators=12, random_state=0)
    search = create_tuning(spec).fit(pipeline(classifier), X, y)
    assert search.cv_results_["params"] == [
        {"classifier__max_depth": 1, "classifier__n_estimators": 4},
        {"classifier__max_depth": 2, "classifier__n_estimators": 4},
        {"classifier__max_depth": 3, "classifier__n_estimators": 4},
        search.best_params_,
    ]
    assert search.best_params_["classifier__n_estimators"] == 12
    result = search.result_
    assert result.n_candidates == 3
    assert result.inexact == "halving by classifier__n_estimators: 3 candidates with 4, 1 with 12"
    assert result.cpu_seconds > 0
    summary = result.summary()
    assert (summary["inexact"], summary["cpu_seconds"]) == (result.inexact, result.cpu_seconds)


def test_the_out_of_fold_predictions_are_those_of_the_last_rung(pipeline, data):
    X, y = data()
    spec = HalvingSearchSpec(param_grid={"classifier__max_depth": [1, 2, 3]}, max_resources=9, cv_folds=3)
    search = create_tuning(spec).fit(pipeline(GradientBoostingClassifier(random_state=0)), X, y)
    out_of_fold = search.result_.out_of_fold
    assert np.array_equal(out_of_fold.rows.index, np.arange(len(y)))
    first = out_of_fold.folds[0]
    others = np.setdiff1d(np.arange(len(y)), first)
    model = pipeline(GradientBoostingClassifier(random_state=0)).set_params(**search.best_params_)
    expected = predict(model.fit(X[others], y[others]), X[first])
    assert np.array_equal(out_of_fold.predictions.proba[first], expected.proba)


def test_several_scorers_are_reported_and_one_chooses(pipeline, data):
    X, y = data()
    grid = {"classifier__max_depth": [1, 2, 3]}
    several = HalvingSearchSpec(param_grid=grid, max_resources=9, scoring=["accuracy", "roc_auc"], refit="roc_auc")
    one = HalvingSearchSpec(param_grid=grid, max_resources=9, scoring="roc_auc")
    estimator = pipeline(GradientBoostingClassifier(random_state=0))
    ours, alone = create_tuning(several).fit(estimator, X, y), create_tuning(one).fit(estimator, X, y)
    assert ours.cv_results_["params"] == alone.cv_results_["params"]
    assert np.array_equal(ours.cv_results_["mean_test_roc_auc"], alone.cv_results_["mean_test_score"])
    assert "mean_test_accuracy" in ours.cv_results_


def test_too_few_rows_are_reported(pipeline, data):
    X, y = data()
    spec = HalvingSearchSpec(param_grid={"classifier__C": [0.1, 1.0]}, max_resources=15)
    with pytest.raises(FitError, match=r"^halving by rows begins with 20 of them at least; there are 15$"):
        create_tuning(spec).fit(pipeline(LogisticRegression()), X, y)


@pytest.mark.parametrize(
    ("classifier", "resource"),
    [(SVC(), "classifier__max_iter"), (LogisticRegression(), "classifier__rounds")],
    ids=["no limit", "no parameter"],
)
def test_a_resource_without_an_end_is_reported(pipeline, data, classifier, resource):
    X, y = data()
    spec = HalvingSearchSpec(param_grid={"classifier__C": [0.1, 1.0]}, resource=resource)
    message = rf"^halving by {resource}: the pipeline does not say how many; write tuning\.max_resources$"
    with pytest.raises(FitError, match=message):
        create_tuning(spec).fit(pipeline(classifier), X, y)


@pytest.mark.parametrize(("algorithm", "info"), ALGORITHMS.items(), ids=ALGORITHMS)
def test_rounds_are_a_parameter_of_what_grows_in_stages(pipeline, algorithm, info):
    classifier = info.load_class()(**info.presets)
    grows = "n_estimators" in classifier.get_params() or hasattr(classifier, "staged_predict")
    assert bool(info.rounds) == grows
    assert info.rounds is None or info.rounds in classifier.get_params()
    assert rounds_parameter(classifier) == info.rounds
    assert rounds_parameter(pipeline(classifier)) == (info.rounds and f"classifier__{info.rounds}")


@pytest.mark.parametrize(
    ("n_candidates", "factor", "smallest", "most", "rungs"),
    [
        (27, 3, 1, 100, [3, 9, 27, 81]),
        (16, 3, 1, 200, [22, 66, 198]),
        (2, 3, 1, 100, [100]),
        (64, 2, 40, 100, [40, 80]),
        (1, 3, 1, 7, [7]),
        # log(243, 3) is a little less than 5
        (243, 3, 1, 243, [3, 9, 27, 81, 243]),
    ],
    ids=["a power", "between", "one rung", "little resource", "one candidate", "rounding"],
)
def test_rungs(n_candidates, factor, smallest, most, rungs):
    assert plan_rungs(n_candidates, factor=factor, smallest=smallest, most=most) == rungs
