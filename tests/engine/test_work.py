"""A worker fits once, and what it hands on can be used and saved."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from mlwf.engine.model_file import load_model, save_model
from mlwf.engine.work import Job, PreparedRows, run_job, run_job_in_worker

X, Y = make_classification(200, 5, random_state=0)
PREPARED = PreparedRows(X[:150], Y[:150], None, {"test": X[150:], "train": X[:150]})


def job(classifier, stages=(), *, stage_name=None, keep_model=True):
    return Job(classifier, stage_name, tuple(stages), ("test", "train"), keep_model, 1)


def test_one_fit_predicts_as_the_fits_of_all_stages():
    done = run_job(job(GradientBoostingClassifier(random_state=0), (2, 5), stage_name="n_estimators"), PREPARED)
    for stage, said in zip((2, 5), done.predictions, strict=True):
        plain = GradientBoostingClassifier(n_estimators=stage, random_state=0).fit(X[:150], Y[:150])
        assert np.array_equal(said["test"].proba, plain.predict_proba(X[150:]))
        assert np.array_equal(said["train"].decision, plain.decision_function(X[:150]))
    assert done.model.n_estimators == 5


@pytest.mark.parametrize("run", [run_job, run_job_in_worker])
def test_a_fit_that_was_begun_is_continued(run):
    classifier = GradientBoostingClassifier(subsample=0.5, random_state=0)
    begun = run_job(job(classifier, (2,), stage_name="n_estimators"), PREPARED).model
    done = run(replace(job(classifier, (4, 6), stage_name="n_estimators"), resumable=begun), PREPARED)
    assert (begun.n_estimators, done.model.n_estimators, done.model.warm_start) == (2, 6, False)
    assert all(
        np.array_equal(one.tree_.value, other.tree_.value)
        for one, other in zip(begun.estimators_[:, 0], done.model.estimators_[:2, 0], strict=True)
    )
    for stage, said in zip((4, 6), done.predictions, strict=True):
        plain = GradientBoostingClassifier(n_estimators=stage, subsample=0.5, random_state=0).fit(X[:150], Y[:150])
        assert np.array_equal(said["test"].proba, plain.predict_proba(X[150:]))


def test_a_fit_that_fails_has_its_error():
    done = run_job(job(LogisticRegression(C=-1.0)), PREPARED)
    assert done.error.startswith("InvalidParameterError: The 'C' parameter of LogisticRegression must be")
    assert done.predictions == ()


def test_a_model_that_nobody_wants_is_not_handed_on():
    assert run_job(job(LogisticRegression(), keep_model=False), PREPARED).model is None


@pytest.mark.parametrize("scoring", ["accuracy", None, "loss"])
def test_a_booster_that_a_scorer_stopped_can_be_saved(tmp_path, scoring):
    booster = HistGradientBoostingClassifier(
        max_iter=60, early_stopping=True, scoring=scoring, n_iter_no_change=2, random_state=0
    )
    done = run_job(job(booster, (3, 60), stage_name="max_iter"), PREPARED)
    save_model(done.model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    plain = booster.fit(X[:150], Y[:150])
    assert plain.n_iter_ < 60
    assert np.array_equal(loaded.predict_proba(X), plain.predict_proba(X))


def test_what_is_warned_of_in_another_process_is_brought_along():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = run_job_in_worker(job(LogisticRegression(max_iter=1)), PREPARED)
    assert [category for category, _ in done.warnings] == [ConvergenceWarning]
    assert done.error is None
