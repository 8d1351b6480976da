"""Scores are those of scikit-learn on the same folds, beside those of the class shares, or say why there is none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold
from sklearn.model_selection import cross_validate as theirs
from sklearn.svm import SVC

from mlwf.engine.asks import Ask, Predictions, gather
from mlwf.engine.chain import Trained
from mlwf.engine.plain import PlainFitter
from mlwf.engine.rows import Rows, Table
from mlwf.engine.splitters import fold_splitter
from mlwf.errors import FitError
from mlwf.modules.validation import Circumstances, cross_validate, default_metrics, judge

FOLDS = fold_splitter("stratified_kfold", n_splits=4, shuffle=False, random_state=0)
CIRCUMSTANCES = Circumstances("cross_validation", "4 folds")
MODEL = LogisticRegression(max_iter=1000)


def chain(model):
    def run(split, fit):
        (answer,) = fit([Ask(model, {}, split.train, (split.test,))])
        if answer.error:
            raise FitError(answer.error)
        return Trained(answer.predictions[0])

    return run


def validated(model, table, *, metrics, rows=None, n_jobs=1, **options):
    with PlainFitter(table, n_jobs=n_jobs) as fit:
        return cross_validate(
            chain(model),
            table,
            rows or table.all_rows,
            FOLDS,
            fit,
            metrics=metrics,
            circumstances=CIRCUMSTANCES,
            **options,
        )


@pytest.fixture(scope="module")
def binary():
    return Table(*make_classification(120, 5, flip_y=0.2, random_state=0))


BINARY = ["accuracy", "f1", "precision", "roc_auc", "average_precision", "balanced_accuracy", "matthews_corrcoef"]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_scores_of_two_classes_equal_scikit_learns(binary, n_jobs):
    judgement = validated(MODEL, binary, metrics=BINARY, n_jobs=n_jobs)
    expected = theirs(MODEL, binary.X, binary.y, cv=4, scoring=BINARY)
    for score in judgement.scores:
        assert score.folds == tuple(expected[f"test_{score.metric}"])
        assert score.value == np.mean(expected[f"test_{score.metric}"])
        assert score.std == np.std(expected[f"test_{score.metric}"])


def test_scores_of_three_classes_equal_scikit_learns():
    table = Table(*load_iris(return_X_y=True))
    metrics = ["accuracy", "f1_macro", "roc_auc_ovr", "roc_auc_ovo"]
    judgement = validated(MODEL, table, metrics=metrics)
    expected = theirs(MODEL, table.X, table.y, cv=4, scoring=metrics)
    assert {score.metric: score.folds for score in judgement.scores} == {
        name: tuple(expected[f"test_{name}"]) for name in metrics
    }


@pytest.mark.parametrize(
    ("metric", "scorer"), [("log_loss", "neg_log_loss"), ("brier_score", "neg_brier_score")], ids=["log_loss", "brier"]
)
def test_losses_are_in_their_natural_sign(binary, metric, scorer):
    score = validated(MODEL, binary, metrics=[metric]).scores[-1]
    expected = theirs(MODEL, binary.X, binary.y, cv=4, scoring=scorer)["test_score"]
    assert score.folds == tuple(-expected)
    assert score.value > 0


def test_the_baseline_is_scikit_learns_dummy_on_the_same_folds(binary):
    metrics = ["accuracy", "roc_auc", "neg_log_loss"]
    judgement = validated(MODEL, binary, metrics=metrics)
    expected = theirs(DummyClassifier(strategy="prior"), binary.X, binary.y, cv=4, scoring=metrics)
    assert {score.metric: score.baseline for score in judgement.scores} == {
        name: np.mean(expected[f"test_{name}"]) for name in metrics
    }


def test_the_baseline_knows_how_frequent_classes_are_when_they_are_weighted_alike(binary):
    y = np.where(np.arange(len(binary.y)) % 4 == 0, 1, 0)
    baseline = {
        weight: [
            score.baseline
            for score in validated(MODEL, Table(binary.X, y, class_weight=weight), metrics=["accuracy"]).scores
        ]
        for weight in (None, "balanced")
    }
    assert baseline["balanced"] == baseline[None]
    assert baseline[None] == [0.75]


def test_accuracy_is_always_reported_first(binary):
    judgement = validated(MODEL, binary, metrics=["roc_auc", "accuracy", "roc_auc"])
    assert [score.metric for score in judgement.scores] == ["accuracy", "roc_auc"]


def test_predictions_are_in_the_order_of_the_rows_and_out_of_fold(binary):
    rows = Rows(np.arange(119, 9, -1))
    judgement = validated(MODEL, binary, metrics=["accuracy"], rows=rows)
    expected = np.empty(110, dtype=int)
    for train, test in StratifiedKFold(4).split(np.zeros(110), binary.y_of(rows)):
        fold_model = LogisticRegression(max_iter=1000).fit(binary.X[rows.index[train]], binary.y[rows.index[train]])
        expected[test] = fold_model.predict(binary.X[rows.index[test]])
    assert np.array_equal(judgement.predictions.labels, expected)
    assert np.array_equal(judgement.y, binary.y_of(rows))
    assert {score.n_rows for score in judgement.scores} == {110}


def test_a_metric_that_cannot_be_computed_is_told_and_the_others_stay(binary):
    judgement = validated(SVC(), binary, metrics=["log_loss", "roc_auc"])
    assert [score.value is None for score in judgement.scores] == [False, True, False]
    assert judgement.scores[1].folds == ()
    (problem,) = judgement.problems
    assert problem.startswith("log_loss could not be computed in fold 1: ")
    assert judgement.value("log_loss") is None
    assert judgement.value("recall") is None


@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_a_metric_that_is_not_defined_is_told_rather_than_nan(binary):
    some = binary.y == 1
    model = LogisticRegression().fit(binary.X, binary.y)
    said = Predictions(model.classes_, model.predict(binary.X[some]), model.predict_proba(binary.X[some]))
    judgement = judge(
        said,
        binary.y[some],
        weight=None,
        baseline=said,
        metrics=["roc_auc", "log_loss"],
        circumstances=Circumstances("test", "rows of one class"),
    )
    accuracy, roc_auc, log_loss = judgement.scores
    assert accuracy.value == get_scorer("accuracy")(model, binary.X[some], binary.y[some])
    assert (roc_auc.value, roc_auc.baseline) == (None, None)
    assert log_loss.value == pytest.approx(-np.log(said.proba[:, 1]).mean())
    assert judgement.problems == ("roc_auc could not be computed: it is not defined for rows like these",)


def test_a_fit_that_fails_fails_the_validation(binary):
    with pytest.raises(FitError, match="ValueError: Solver lbfgs supports"):
        validated(LogisticRegression(l1_ratio=1.0), binary, metrics=["accuracy"])


def test_predictions_of_models_that_know_other_classes_are_not_put_together():
    parts = [Predictions(np.array(known), np.array([0]), np.ones((1, 2))) for known in ([0, 1], [0, 2])]
    with pytest.raises(FitError, match="the folds learn different classes"):
        gather(parts, [np.array([0]), np.array([1])])


@pytest.mark.parametrize(
    ("classes", "has_probabilities", "metrics"),
    [
        ([0, 1], True, ["accuracy", "balanced_accuracy", "roc_auc", "log_loss"]),
        ([0, 1], False, ["accuracy", "balanced_accuracy", "roc_auc"]),
        ([0, 1, 2], True, ["accuracy", "balanced_accuracy", "roc_auc_ovr", "log_loss"]),
        ([0, 1, 2], False, ["accuracy", "balanced_accuracy"]),
    ],
)
def test_default_metrics_are_those_that_the_model_serves(classes, has_probabilities, metrics):
    assert default_metrics(np.array(classes), has_probabilities=has_probabilities) == metrics
