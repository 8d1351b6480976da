"""Scores are those of scikit-learn on the same folds, beside those of the class shares, or say why there is none."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from sklearn.datasets import load_iris, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    get_scorer,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)
from sklearn.model_selection import StratifiedKFold
from sklearn.model_selection import cross_validate as theirs
from sklearn.svm import SVC

from mlwf.engine.out_of_fold import TrainedModel
from mlwf.engine.requests import FitRequest
from mlwf.errors import FitError, TimeUpError
from mlwf.evaluation.predictions import Predictions, gather, predict
from mlwf.modules.validation import cross_validate, default_metrics, evaluate
from mlwf.splitting.rows import Rows, Table
from mlwf.splitting.splitters import fold_splitter
from tests.provenances import ON_FOLDS, ON_TEST
from tests.reference_fitter import ReferenceFitter

FOLDS = fold_splitter("stratified_kfold", n_splits=4, shuffle=False, random_state=0)
MODEL = LogisticRegression(max_iter=1000)


def make_train_fn(model):
    def run(split, fit):
        (result,) = fit([FitRequest(model, {}, split.train, (split.test,))])
        if result.error:
            raise FitError(result.error)
        return TrainedModel(result.predictions[0])

    return run


def validated(model, table, *, metrics, rows=None, n_jobs=1, folds=FOLDS, provenance=ON_FOLDS, **options):
    with ReferenceFitter(table, n_jobs=n_jobs) as fit:
        return cross_validate(
            make_train_fn(model),
            table,
            rows or table.all_rows,
            folds,
            fit,
            metrics=metrics,
            provenance=provenance,
            **options,
        )


@pytest.fixture(scope="module")
def binary():
    return Table(*make_classification(120, 5, flip_y=0.2, random_state=0))


BINARY = ["accuracy", "f1", "precision", "roc_auc", "average_precision", "balanced_accuracy", "matthews_corrcoef"]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_scores_of_two_classes_equal_scikit_learns(binary, n_jobs):
    evaluation = validated(MODEL, binary, metrics=BINARY, n_jobs=n_jobs)
    expected = theirs(MODEL, binary.X, binary.y, cv=4, scoring=BINARY)
    for score in evaluation.scores:
        assert score.folds == tuple(expected[f"test_{score.metric}"])
        assert score.value == np.mean(expected[f"test_{score.metric}"])
        assert score.std == np.std(expected[f"test_{score.metric}"])


def test_scores_of_three_classes_equal_scikit_learns():
    table = Table(*load_iris(return_X_y=True))
    metrics = ["accuracy", "f1_macro", "roc_auc_ovr", "roc_auc_ovo"]
    evaluation = validated(MODEL, table, metrics=metrics)
    expected = theirs(MODEL, table.X, table.y, cv=4, scoring=metrics)
    assert {score.metric: score.folds for score in evaluation.scores} == {
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
    evaluation = validated(MODEL, binary, metrics=metrics)
    expected = theirs(DummyClassifier(strategy="prior"), binary.X, binary.y, cv=4, scoring=metrics)
    assert {score.metric: score.baseline for score in evaluation.scores} == {
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
    evaluation = validated(MODEL, binary, metrics=["roc_auc", "accuracy", "roc_auc"])
    assert [score.metric for score in evaluation.scores] == ["accuracy", "roc_auc"]


def test_predictions_are_in_the_order_of_the_rows_and_out_of_fold(binary):
    rows = Rows(np.arange(119, 9, -1))
    evaluation = validated(MODEL, binary, metrics=["accuracy"], rows=rows)
    expected = np.empty(110, dtype=int)
    for train, test in StratifiedKFold(4).split(np.zeros(110), binary.y_of(rows)):
        fold_model = LogisticRegression(max_iter=1000).fit(binary.X[rows.index[train]], binary.y[rows.index[train]])
        expected[test] = fold_model.predict(binary.X[rows.index[test]])
    assert np.array_equal(evaluation.predictions.labels, expected)
    assert np.array_equal(evaluation.y, binary.y_of(rows))
    assert {score.n_rows for score in evaluation.scores} == {110}


def test_a_metric_that_cannot_be_computed_is_reported_and_the_others_stay(binary):
    evaluation = validated(SVC(), binary, metrics=["log_loss", "roc_auc"])
    assert [score.value is None for score in evaluation.scores] == [False, True, False]
    assert evaluation.scores[1].folds == ()
    assert list(evaluation.problems) == ["log_loss"]
    assert evaluation.problems["log_loss"].startswith("log_loss could not be computed in fold 1: ")
    assert evaluation.value("log_loss") is None
    assert evaluation.value("recall") is None


@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_a_metric_that_is_not_defined_is_reported_rather_than_nan(binary):
    some = binary.y == 1
    model = LogisticRegression().fit(binary.X, binary.y)
    predicted = Predictions(model.classes_, model.predict(binary.X[some]), model.predict_proba(binary.X[some]))
    evaluation = evaluate(
        predicted,
        binary.y[some],
        weight=None,
        baseline=predicted,
        metrics=["roc_auc", "log_loss"],
        provenance=ON_TEST,
    )
    accuracy, roc_auc, log_loss = evaluation.scores
    assert accuracy.value == get_scorer("accuracy")(model, binary.X[some], binary.y[some])
    assert (roc_auc.value, roc_auc.baseline) == (None, None)
    assert log_loss.value == pytest.approx(-np.log(predicted.proba[:, 1]).mean())
    assert evaluation.problems == {"roc_auc": "roc_auc could not be computed: it is not defined for rows like these"}


def test_a_fit_that_fails_fails_the_validation(binary):
    with pytest.raises(FitError, match="ValueError: Solver lbfgs supports"):
        validated(LogisticRegression(l1_ratio=1.0), binary, metrics=["accuracy"])


def test_folds_without_time_are_left_out_which_every_score_says(binary):
    told = replace(ON_FOLDS, rows=("a", "b", "c", "d"), selected_on={"hyperparameters": ("k", "l", "m", "n")})
    whole = validated(MODEL, binary, metrics=["f1"], provenance=told)
    late = {split.train.digest for number, split in enumerate(FOLDS(binary, binary.all_rows)) if number in (1, 2)}

    def train(split, fit):
        if split.train.digest in late:
            raise TimeUpError("not finished: the time was up")
        return make_train_fn(MODEL)(split, fit)

    with ReferenceFitter(binary) as fit:
        part = cross_validate(train, binary, binary.all_rows, FOLDS, fit, metrics=["f1"], provenance=told)
    for score, of_all in zip(part.scores, whole.scores, strict=True):
        assert score.folds == (of_all.folds[0], of_all.folds[3])
        assert score.n_rows == 60
    assert (part.provenance.n_rows, part.rows, part.provenance.n_folds_left_out) == (60, ("a", "d"), 2)
    assert part.chosen == {"hyperparameters": ("k", "n")}
    assert part.note.endswith("without 2 folds that the time limit left no time for")
    assert len(part.predictions.labels) == len(part.y) == 60


def test_one_fold_is_no_cross_validation(binary):
    first = FOLDS(binary, binary.all_rows)[0].train.digest

    def train(split, fit):
        if split.train.digest != first:
            raise TimeUpError("not finished: the time was up")
        return make_train_fn(MODEL)(split, fit)

    with ReferenceFitter(binary) as fit, pytest.raises(TimeUpError, match=r"^there was time for 1 of 4 folds$"):
        cross_validate(train, binary, binary.all_rows, FOLDS, fit, metrics=["f1"], provenance=ON_FOLDS)


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


# Intervals and differences


REPEATED = fold_splitter("repeated_stratified_kfold", n_splits=4, n_repeats=3, random_state=0)


def corrected(values, test_to_train, greatest=np.inf):
    """Give the ends of the corrected resampled t, as Nadeau and Bengio write it."""
    half = t.ppf(0.975, len(values) - 1) * np.sqrt((1 / len(values) + test_to_train) * np.var(values, ddof=1))
    return pytest.approx((np.mean(values) - half, min(np.mean(values) + half, greatest)))


@pytest.mark.parametrize("folds", [FOLDS, REPEATED], ids=["once", "repeated"])
def test_an_interval_of_cross_validation_allows_for_shared_training_rows(binary, folds):
    for score in validated(MODEL, binary, metrics=["roc_auc", "log_loss"], folds=folds).scores:
        # 30 rows of 120 are held out in each fold; no share is above 1.
        greatest = np.inf if score.metric == "log_loss" else 1
        assert (score.interval.low, score.interval.high) == corrected(score.folds, 1 / 3, greatest)
        assert (score.interval.level, score.interval.method) == (0.95, "corrected resampled t")
        assert score.n_rows == 120


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "neg_log_loss"])
def test_a_difference_from_the_baseline_is_taken_fold_by_fold_and_greater_is_better(binary, metric):
    score = validated(MODEL, binary, metrics=[metric]).scores[-1]
    floor = validated(DummyClassifier(strategy="prior"), binary, metrics=[metric]).scores[-1]
    assert score.baseline == floor.value
    gains = (-1 if metric == "log_loss" else 1) * (np.array(score.folds) - np.array(floor.folds))
    assert score.difference.value == pytest.approx(gains.mean())
    assert (score.difference.interval.low, score.difference.interval.high) == corrected(gains, 1 / 3)
    assert score.difference.value > 0
    assert score.difference.distinguishable is (metric == "accuracy")


def test_noise_is_not_distinguishable_from_the_baseline():
    random = np.random.default_rng(3)
    table = Table(random.normal(size=(120, 4)), random.integers(0, 2, 120))
    score = validated(MODEL, table, metrics=["accuracy"]).scores[0]
    assert score.difference.interval.low < 0 < score.difference.interval.high
    assert score.difference.distinguishable is False


def test_folds_that_agree_give_no_interval():
    table = Table(np.repeat([0.0, 1.0], 60).reshape(-1, 1), np.repeat([0, 1], 60))
    score = validated(MODEL, table, metrics=["accuracy"]).scores[0]
    assert score.folds == (1.0,) * 4
    assert score.interval is None
    assert (score.difference.value, score.difference.interval, score.difference.distinguishable) == (0.5, None, None)


def test_nothing_is_reported_of_doing_better_than_the_baseline_in_what_it_is_good_at(binary):
    score = validated(MODEL, binary, metrics=["ece"]).scores[-1]
    assert score.baseline < 0.1
    assert score.difference is None


def held_out(table, groups=None, **options):
    """Judge the second half of the rows by a model of the first."""
    half = len(table) // 2
    held_out = Rows(np.arange(half, len(table)))
    predicted, floor = (
        predict(model.fit(table.X[:half], table.y[:half]), table.X_of(held_out))
        for model in (LogisticRegression(), DummyClassifier(strategy="prior"))
    )
    told = {"metrics": ["accuracy", "log_loss"], "provenance": ON_TEST, **options}
    return evaluate(
        predicted, table.y_of(held_out), weight=table.weight_of(held_out), baseline=floor, groups=groups, **told
    )


def test_an_interval_on_rows_that_are_evaluated_once_is_of_a_bootstrap(binary):
    accuracy, loss = held_out(binary).scores
    for score in (accuracy, loss):
        assert (score.interval.method, score.interval.level) == ("bootstrap of rows", 0.95)
        assert score.interval.low < score.value < score.interval.high
        assert (score.std, score.folds, score.n_rows) == (None, (), 60)
    # Of a share of 60 rows, the binomial distribution knows about as much.
    width = 2 * 1.96 * np.sqrt(accuracy.value * (1 - accuracy.value) / 60)
    assert accuracy.interval.high - accuracy.interval.low == pytest.approx(width, rel=0.2)
    assert accuracy.difference.value == pytest.approx(accuracy.value - accuracy.baseline)
    assert loss.difference.value == pytest.approx(loss.baseline - loss.value)
    assert loss.difference.distinguishable


def test_rows_of_one_group_are_drawn_together(binary):
    # Each row stands there four times, which is no more evidence.
    table = Table(np.repeat(binary.X, 4, axis=0), np.repeat(binary.y, 4))
    of_rows, of_groups = (held_out(table, groups).scores[0].interval for groups in (None, np.repeat(np.arange(60), 4)))
    assert (of_rows.method, of_groups.method) == ("bootstrap of rows", "bootstrap of groups")
    assert of_groups.high - of_groups.low == pytest.approx(2 * (of_rows.high - of_rows.low), rel=0.2)


def test_rows_without_weight_are_no_evidence(binary):
    weighted = dataclasses.replace(binary, weight=(np.arange(120) % 4 == 0).astype(float))
    all_rows, quarter = (held_out(table).scores[0].interval for table in (binary, weighted))
    assert quarter.high - quarter.low > 1.5 * (all_rows.high - all_rows.low)


def test_predictions_of_one_row_are_drawn_together(binary):
    evaluation = validated(
        MODEL, binary, metrics=["accuracy"], folds=REPEATED, slices={"all": np.ones(120, dtype=bool)}
    )
    assert evaluation.slices[0].interval.method == "bootstrap of groups"


# Slices


def test_slices_are_scored_on_the_predictions_of_all_folds_together(binary):
    slices = {"first": np.arange(120) < 50, "even": np.arange(120) % 2 == 0}
    table = dataclasses.replace(binary, weight=np.linspace(0.5, 2, 120))
    evaluation = validated(MODEL, table, metrics=["roc_auc"], slices=slices)
    floor = validated(DummyClassifier(strategy="prior"), table, metrics=["accuracy"]).predictions.labels
    found = {(score.slice, score.metric): score for score in evaluation.slices}
    assert list(found) == [(name, metric) for name in slices for metric in ("accuracy", "roc_auc")]
    for name, mask in slices.items():
        y, weight = table.y[mask], {"sample_weight": table.weight[mask]}
        accuracy, roc_auc = found[name, "accuracy"], found[name, "roc_auc"]
        assert accuracy.value == accuracy_score(y, evaluation.predictions.labels[mask], **weight)
        assert roc_auc.value == roc_auc_score(y, evaluation.predictions.proba[mask, 1], **weight)
        assert accuracy.n_rows == roc_auc.n_rows == mask.sum()
        assert accuracy.note == f"{ON_FOLDS.note}; all folds together"
        assert accuracy.interval.method == "bootstrap of rows"
        assert accuracy.interval.low < accuracy.value < accuracy.interval.high
        assert (accuracy.std, accuracy.folds) == (None, ())
        assert accuracy.baseline == accuracy_score(y, floor[mask], **weight)
        assert accuracy.difference.value == pytest.approx(accuracy.value - accuracy.baseline)


@pytest.mark.parametrize("folds", [FOLDS, REPEATED], ids=["once", "repeated"])
def test_a_slice_of_few_rows_or_one_class_has_no_value(binary, folds):
    slices = {
        "30 rows": np.arange(120) < 30,
        "29 rows": np.arange(120) < 29,
        "one class": binary.y == 1,
        "no rows": np.zeros(120, dtype=bool),
    }
    evaluation = validated(MODEL, binary, metrics=["accuracy", "log_loss"], slices=slices, folds=folds)
    assert [score.value is None for score in evaluation.slices] == [False] * 2 + [True] * 6
    # However often a row was predicted, it is one row.
    assert [score.n_rows for score in evaluation.slices[::2]] == [30, 29, binary.y.sum(), 0]
    nothing = evaluation.slices[-1]
    assert (nothing.metric, nothing.interval, nothing.baseline, nothing.difference) == ("log_loss", None, None, None)


def test_slices_of_other_rows_than_all_find_their_rows(binary):
    rows = Rows(np.arange(119, 9, -1))
    mask = np.arange(120) < 60
    evaluation = validated(MODEL, binary, metrics=["accuracy"], rows=rows, slices={"low": mask})
    inside = mask[rows.index]
    assert evaluation.slices[0].n_rows == 50
    assert evaluation.slices[0].value == accuracy_score(evaluation.y[inside], evaluation.predictions.labels[inside])


def test_a_held_out_slice_is_scored_alone(binary):
    mask = np.arange(60) < 40
    evaluation = held_out(binary, slices={"first": mask, "few": ~mask})
    scores = {(score.slice, score.metric): score for score in evaluation.slices}
    loss = log_loss(binary.y[60:100], evaluation.predictions.proba[:40])
    assert scores["first", "log_loss"].value == pytest.approx(loss)
    assert scores["first", "log_loss"].provenance == ON_TEST
    assert (scores["few", "log_loss"].value, scores["few", "log_loss"].n_rows) == (None, 20)


# Classes


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_classes_are_reported_as_scikit_learn_does(weighted):
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"], dtype=object)[y]
    table = Table(X[:, :1], names, np.linspace(0.1, 3, 150) if weighted else None)
    evaluation = validated(MODEL, table, metrics=["accuracy"])
    predicted = evaluation.predictions.labels
    parts = precision_recall_fscore_support(names, predicted, sample_weight=table.weight)
    expected = list(zip(*(part.tolist() for part in parts[:3]), strict=True))
    assert [(each.precision, each.recall, each.f1) for each in evaluation.classes] == expected
    assert [(each.label, each.n_rows) for each in evaluation.classes] == [("a", 50), ("b", 50), ("c", 50)]
    # The matrix counts rows, whatever they weigh.
    assert [list(row) for row in evaluation.confusion] == confusion_matrix(names, predicted).tolist()


def test_a_class_that_is_never_predicted_has_no_precision(binary):
    evaluation = validated(DummyClassifier(strategy="constant", constant=0), binary, metrics=["accuracy"])
    zero, one = evaluation.classes
    assert (one.precision, one.recall) == (None, 0.0)
    assert (zero.precision, zero.recall) == ((binary.y == 0).mean(), 1.0)


def test_a_class_that_does_not_occur_among_the_evaluated_rows_has_no_recall(binary):
    known = Table(binary.X, np.r_[binary.y[:60], np.ones(60, dtype=int)])
    zero, one = held_out(known, metrics=["accuracy"]).classes
    assert (zero.n_rows, zero.recall, one.n_rows) == (0, None, 60)


def test_rows_that_were_evaluated_several_times_are_counted_once(binary):
    evaluation = validated(MODEL, binary, metrics=["accuracy"], folds=REPEATED)
    assert sum(each.n_rows for each in evaluation.classes) == 120
    # The matrix counts the predicted labels.
    assert sum(map(sum, evaluation.confusion)) == len(evaluation.y) == 360


# Circumstances and choices


def test_every_score_carries_its_provenance(binary):
    told = replace(ON_FOLDS, selected_on={"hyperparameters": ("train",) * 3}, labels=("hyperparameters",))
    evaluation = validated(MODEL, binary, metrics=["f1"], provenance=told, slices={"s": np.arange(120) < 9})
    note = "3-fold stratified cross-validation of 90 rows, shuffled; tuned on the same rows"
    assert (evaluation.source, evaluation.note) == ("cross_validation", note)
    assert [score.provenance for score in evaluation.scores] == [told] * 2
    assert [score.provenance for score in evaluation.slices] == [replace(told, is_pooled=True)] * 2
    for score in evaluation.scores + evaluation.slices:
        assert (score.source, score.rows, score.chosen) == ("cross_validation", told.rows, told.selected_on)
        assert score.tuned_on_same_rows is True


def test_choices_are_those_of_each_fold_in_order(binary):
    def choosing(split, fit):
        return dataclasses.replace(make_train_fn(MODEL)(split, fit), params={"first": int(split.test.index[0])})

    with ReferenceFitter(binary) as fit:
        evaluation = cross_validate(
            choosing,
            binary,
            binary.all_rows,
            FOLDS,
            fit,
            metrics=["accuracy"],
            choices=lambda trained: trained.params,
            provenance=ON_FOLDS,
        )
    splits = FOLDS(binary, binary.all_rows)
    assert evaluation.choices == tuple({"first": split.test.index[0]} for split in splits)
    assert validated(MODEL, binary, metrics=["accuracy"]).choices == ()
