"""The search gives what scikit-learn's searches give, bit for bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from mlwf.errors import FitError
from mlwf.modules.tuning import GridSearch, RandomizedSearch, create_tuning, list_candidates
from mlwf.specs.tuning import GridSearchSpec, RandomizedSearchSpec

GRIDS = {
    "boosting": (
        GradientBoostingClassifier(random_state=0),
        {"classifier__n_estimators": [3, 9], "classifier__max_depth": [1, None]},
    ),
    "forest": (
        RandomForestClassifier(5, random_state=0),
        {"classifier__max_features": ["sqrt", 0.5], "classifier__max_depth": [2, 3]},
    ),
    "several": (LogisticRegression(), [{"classifier__C": [0.1, 1.0]}, {"scaler__with_mean": [True, False]}]),
    "ties": (KNeighborsClassifier(), {"classifier__n_neighbors": [5, 5, 3]}),
}


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "neg_log_loss"])
@pytest.mark.parametrize(("classifier", "grid"), GRIDS.values(), ids=GRIDS)
def test_grid_search_equals_grid_search_cv(pipeline, data, assert_same_results, classifier, grid, scoring):
    X, y = data()
    ours = create_tuning(GridSearchSpec(param_grid=grid, scoring=scoring, cv_folds=4)).fit(pipeline(classifier), X, y)
    theirs = GridSearchCV(pipeline(classifier), grid, scoring=scoring, cv=4).fit(X, y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == theirs.best_score_
    assert ours.best_index_ == theirs.best_index_
    assert np.array_equal(ours.get_best_estimator().predict_proba(X), theirs.best_estimator_.predict_proba(X))


def test_grid_search_equals_grid_search_cv_with_several_scorers_and_classes(pipeline, data, assert_same_results):
    X, y = data(n_classes=3)
    grid = {"classifier__C": [0.01, 1.0, 100.0]}
    scoring = ["accuracy", "roc_auc_ovr", "f1_macro"]
    spec = GridSearchSpec(param_grid=grid, scoring=scoring, refit="f1_macro")
    ours = GridSearch(spec, n_jobs=2).fit(pipeline(LogisticRegression()), X, y)
    theirs = GridSearchCV(pipeline(LogisticRegression()), grid, scoring=scoring, refit="f1_macro").fit(X, y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_


def test_randomized_search_equals_randomized_search_cv(pipeline, data, assert_same_results):
    X, y = data()
    written = {
        "classifier__learning_rate": {"loguniform": [0.01, 0.3]},
        "classifier__subsample": {"uniform": [0.5, 1.0]},
        "classifier__n_estimators": {"randint": [2, 9]},
        "classifier__max_depth": [1, 2],
    }
    distributions = {
        "classifier__learning_rate": stats.loguniform(0.01, 0.3),
        "classifier__subsample": stats.uniform(0.5, 0.5),
        "classifier__n_estimators": stats.randint(2, 9),
        "classifier__max_depth": [1, 2],
    }
    estimator = pipeline(GradientBoostingClassifier(random_state=0))
    spec = RandomizedSearchSpec(param_distributions=written, n_iter=4)
    ours = RandomizedSearch(spec, random_state=5).fit(estimator, X, y)
    theirs = RandomizedSearchCV(estimator, distributions, n_iter=4, random_state=5, cv=5).fit(X, y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)


def test_grid_search_scores_failed_fits_as_scikit_learn_does(pipeline, data, assert_same_results):
    X, y = data()
    grid = {"classifier__n_neighbors": [500, 3]}
    ours = GridSearch(GridSearchSpec(param_grid=grid)).fit(pipeline(KNeighborsClassifier()), X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GridSearchCV(pipeline(KNeighborsClassifier()), grid, cv=5).fit(X, y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.result_.n_failed == 5


def test_grid_search_reports_why_when_every_candidate_failed(pipeline, data):
    X, y = data()
    search = GridSearch(GridSearchSpec(param_grid={"classifier__n_neighbors": [400, 500]}))
    with pytest.raises(FitError, match=r"^none of the 2 candidates could be scored: ValueError: Expected n_neighbors"):
        search.fit(pipeline(KNeighborsClassifier()), X, y)


def test_randomized_search_tries_a_small_space_whole():
    spec = RandomizedSearchSpec(param_distributions={"classifier__C": [1.0, 2.0]}, n_iter=10)
    assert len(list_candidates(spec)) == 2


def test_results_summary_has_its_keys(pipeline, data):
    X, y = data()
    search = GridSearch(GridSearchSpec(param_grid={"classifier__C": [1.0]})).fit(pipeline(LogisticRegression()), X, y)
    summary = search.get_results_summary()
    assert summary == {
        "strategy": "grid",
        "scoring": "accuracy",
        "best_params": {"classifier__C": 1.0},
        "best_score": search.best_score_,
        "n_candidates": 1,
        "n_failed": 0,
        "cv_folds": 5,
        "note": "",
        "provenance": None,
        "rows": [],
        "chosen": {},
    }


def test_the_best_candidates_out_of_fold_predictions_are_kept(pipeline, data):
    X, y = data()
    grid = GridSearchSpec(param_grid={"classifier__C": [1e-3, 1.0]})
    search = GridSearch(grid).fit(pipeline(LogisticRegression()), X, y)
    best = pipeline(LogisticRegression(C=search.best_params_["classifier__C"]))
    expected = cross_val_predict(best, X, y, cv=5, method="predict_proba")
    assert np.array_equal(search.result_.out_of_fold.predictions.proba, expected)
    assert [len(fold) for fold in search.result_.out_of_fold.folds] == [len(y) // 5] * 5
