"""Whatever the estimator, the scorer and the splitter: the search gives scikit-learn's results to the bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from mlwf.modules.tuning import create_tuning
from mlwf.specs.tuning import GridSearchSpec, RandomizedSearchSpec
from mlwf.splitting.rows import Split

ESTIMATORS = {
    "boosting": (
        GradientBoostingClassifier(random_state=0),
        {"classifier__n_estimators": [3, 9], "classifier__max_depth": [1, None]},
    ),
    "histogram boosting": (
        HistGradientBoostingClassifier(min_samples_leaf=5, random_state=0),
        {"classifier__max_iter": [2, 4], "classifier__learning_rate": [0.1, 0.5]},
    ),
    "forest": (
        RandomForestClassifier(random_state=0),
        {"classifier__n_estimators": [3, 6], "classifier__max_features": ["sqrt", 0.5]},
    ),
    "trees": (
        ExtraTreesClassifier(4, random_state=0),
        {"classifier__max_depth": [2, None], "scaler": ["passthrough"]},
    ),
    "linear": (LogisticRegression(), [{"classifier__C": [0.1, 1.0]}, {"scaler__with_mean": [True, False]}]),
    "no probabilities": (SVC(), {"classifier__C": [0.1, 1.0], "classifier__kernel": ["rbf", "linear"]}),
    "ties": (KNeighborsClassifier(), {"classifier__n_neighbors": [5, 5, 3]}),
    "a failing candidate": (KNeighborsClassifier(), {"classifier__n_neighbors": [500, 3, 5]}),
}
SCORERS = {
    "labels": ("accuracy", None),
    "probabilities": ("neg_log_loss", None),
    "several": (["accuracy", "roc_auc", "f1_macro"], "f1_macro"),
}
SPLITTERS = {
    "stratified": StratifiedKFold(4, shuffle=True, random_state=3),
    "repeated": pytest.param(RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=3), marks=pytest.mark.slow),
    "time": TimeSeriesSplit(3),
}


def splitter(folds):
    """Cut as scikit-learn's splitter does."""
    return lambda table, rows: tuple(
        Split(rows.take(train), rows.take(test)) for train, test in folds.split(table.X_of(rows), table.y_of(rows))
    )


def assert_same_search(ours, theirs, X, assert_same_results):
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert (ours.best_index_, ours.best_params_) == (theirs.best_index_, theirs.best_params_)
    assert ours.best_score_ == theirs.best_score_
    assert np.array_equal(ours.best_estimator_.predict(X), theirs.best_estimator_.predict(X))


@pytest.mark.parametrize("folds", SPLITTERS.values(), ids=SPLITTERS)
@pytest.mark.parametrize(("scoring", "refit"), SCORERS.values(), ids=SCORERS)
@pytest.mark.parametrize(("classifier", "grid"), ESTIMATORS.values(), ids=ESTIMATORS)
def test_grid_equals_scikit_learn(pipeline, data, assert_same_results, classifier, grid, scoring, refit, folds):
    if isinstance(classifier, SVC) and scoring == "neg_log_loss":
        scoring = "average_precision"  # it has no probabilities
    X, y = data()
    ours = create_tuning(GridSearchSpec(param_grid=grid, scoring=scoring, refit=refit))
    ours.splitter = splitter(folds)
    with warnings.catch_warnings():
        # scikit-learn warns of the fits that fail.
        warnings.simplefilter("ignore")
        theirs = GridSearchCV(pipeline(classifier), grid, scoring=scoring, refit=refit or True, cv=folds).fit(X, y)
        ours.fit(pipeline(classifier), X, y)
    assert_same_search(ours, theirs, X, assert_same_results)


@pytest.mark.parametrize("folds", SPLITTERS.values(), ids=SPLITTERS)
@pytest.mark.parametrize(("scoring", "refit"), [SCORERS["probabilities"], SCORERS["several"]], ids=["one", "several"])
@pytest.mark.parametrize("name", ["boosting", "linear", "a failing candidate"])
def test_random_equals_scikit_learn(pipeline, data, assert_same_results, name, scoring, refit, folds):
    X, y = data()
    classifier, space = ESTIMATORS[name]
    spec = RandomizedSearchSpec(param_distributions=space, n_iter=3, scoring=scoring, refit=refit)
    ours = create_tuning(spec, random_state=5)
    ours.splitter = splitter(folds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = RandomizedSearchCV(
            pipeline(classifier), space, n_iter=3, scoring=scoring, refit=refit or True, cv=folds, random_state=5
        ).fit(X, y)
    ours.fit(pipeline(classifier), X, y)
    assert_same_search(ours, theirs, X, assert_same_results)


def test_a_metric_that_fails_in_a_fold_is_scored_as_scikit_learn_does(pipeline, data, assert_same_results):
    X, y = data()
    # The first of these folds holds one class alone: roc_auc is not defined there, accuracy is.
    order = np.argsort(y, kind="stable")
    X, y, scoring = X[order], y[order], ["accuracy", "roc_auc"]
    grid, folds = {"classifier__n_neighbors": [3, 5]}, KFold(4)
    ours = create_tuning(GridSearchSpec(param_grid=grid, scoring=scoring, refit="accuracy"))
    ours.splitter = splitter(folds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GridSearchCV(pipeline(KNeighborsClassifier()), grid, scoring=scoring, refit="accuracy", cv=folds)
        theirs.fit(X, y)
        ours.fit(pipeline(KNeighborsClassifier()), X, y)
    assert np.isnan(theirs.cv_results_["mean_test_roc_auc"]).all()
    assert_same_search(ours, theirs, X, assert_same_results)
