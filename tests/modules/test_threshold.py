"""The threshold is the one that a search by scikit-learn's metrics finds, on rows that the model did not see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_curve,
)
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mlwf.engine.model_file import load_model, save_model
from mlwf.engine.out_of_fold import OutOfFold, TrainedModel, stack
from mlwf.engine.requests import FitRequest
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.modules.threshold import MOST_CANDIDATES, choose_threshold, with_threshold
from mlwf.results import ThresholdResult
from mlwf.specs.experiment import ThresholdSpec, threshold_scorers
from mlwf.splitting.rows import Rows, Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

N = 60
RANDOM = np.random.default_rng(4)
X = pd.DataFrame(RANDOM.normal(size=(N, 3)), columns=["a", "b", "c"])
# One in three, and far from certain, so that one half is seldom the best.
IS_YES = X["a"].to_numpy() + RANDOM.normal(0, 1, N) > 0.45
Y = np.where(IS_YES, "yes", "no").astype(object)
WEIGHT = RANDOM.uniform(0.2, 3, N)
TABLE = Table(X, Y, time=np.arange(N))

LOGISTIC = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression())])
SVM = Pipeline([("scaler", StandardScaler()), ("classifier", SVC(kernel="linear"))])

METRICS = {
    "accuracy": lambda y, predicted, positive, weight: accuracy_score(y, predicted, sample_weight=weight),
    "balanced_accuracy": lambda y, predicted, positive, weight: balanced_accuracy_score(
        y, predicted, sample_weight=weight
    ),
    "f1": lambda y, predicted, positive, weight: f1_score(y, predicted, pos_label=positive, sample_weight=weight),
    "f1_macro": lambda y, predicted, positive, weight: f1_score(y, predicted, average="macro", sample_weight=weight),
    "precision": lambda y, predicted, positive, weight: precision_score(
        y, predicted, pos_label=positive, sample_weight=weight, zero_division=0
    ),
    "recall": lambda y, predicted, positive, weight: recall_score(
        y, predicted, pos_label=positive, sample_weight=weight
    ),
    "matthews_corrcoef": lambda y, predicted, positive, weight: matthews_corrcoef(y, predicted, sample_weight=weight),
}


def out_of_fold(model, table=TABLE, kind="stratified_kfold", n_splits=3):
    """Judge rows by models that did not see them."""
    splits = fold_splitter(kind, n_splits=n_splits, n_repeats=2)(table, table.all_rows)
    with ReferenceFitter(table) as fit:
        fit_results = fit([FitRequest(model, {}, split.train, (split.test,)) for split in splits])
    return stack(fit_results, splits, Rows(np.unique(np.concatenate([split.test.index for split in splits]))))


def predicting(scores, folds=None, rows=None):
    """Put scores in the form of predictions of the classes no and yes."""
    scores = np.asarray(scores, dtype=float)
    labels = np.where(scores >= 0.5, "yes", "no").astype(object)
    predictions = Predictions(np.array(["no", "yes"], object), labels, np.column_stack([1 - scores, scores]))
    at = np.arange(len(scores))
    return OutOfFold(Rows(at if rows is None else np.asarray(rows)), predictions, folds or (at[::2], at[1::2]))


class Search:
    """What is to be found, by trying every threshold on every fold with scikit-learn's metrics."""

    def __init__(self, held_out, scoring, positive="yes", weight=None, y=Y):
        column = held_out.predictions.classes.tolist().index(positive)
        if held_out.predictions.proba is None:
            self.scores, self.own = held_out.predictions.decision * (1 if column else -1), 0.0
        else:
            self.scores, self.own = held_out.predictions.proba[:, column], 0.5
        self.rows, self.positive = held_out.rows.index, positive
        self.other = "no" if positive == "yes" else "yes"
        self.y, self.weight = y[self.rows], None if weight is None else weight[self.rows]
        self.metric = METRICS[scoring]
        seen = np.unique(self.scores)
        self.candidates = [*((seen[1:] + seen[:-1]) / 2), self.own]

    def labels(self, at, threshold):
        return np.where(self.scores[at] >= threshold, self.positive, self.other).astype(object)

    def score(self, at, labels):
        return self.metric(self.y[at], labels, self.positive, None if self.weight is None else self.weight[at])

    def best(self, at):
        rates = np.array([self.score(at, self.labels(at, threshold)) for threshold in self.candidates])
        ties = np.flatnonzero(rates > rates.max() - 1e-9)
        return self.candidates[min(ties, key=lambda tie: abs(self.candidates[tie] - self.own))]

    def crossed(self, folds, ordered=False):
        """Give the score of each fold's rows by the threshold of the others, and the usual score of those rows."""
        held_out, predicted = [], []
        for number, fold in enumerate(folds):
            others = [other for at, other in enumerate(folds) if (at < number if ordered else at != number)]
            at = np.sort(np.concatenate([*others, []]).astype(int))
            at = at[[self.rows[position] not in set(self.rows[fold]) for position in at]] if len(at) else at
            if len(at):
                held_out.append(fold)
                predicted.append(self.labels(fold, self.best(at)))
        held_out = np.concatenate(held_out)
        return self.score(held_out, np.concatenate(predicted)), self.score(held_out, self.labels(held_out, self.own))


def assert_found(found, search, folds, ordered=False):
    assert found.value == pytest.approx(search.best(np.arange(len(search.scores))))
    score, default_score = search.crossed(folds, ordered)
    assert found.score == pytest.approx(score)
    assert found.default_score == pytest.approx(default_score)


# The choice


CASES = {
    "probabilities": (LOGISTIC, "f1", "yes", None, "stratified_kfold"),
    "the first class is positive": (LOGISTIC, "f1", "no", None, "stratified_kfold"),
    "decision values": (SVM, "balanced_accuracy", "yes", None, "stratified_kfold"),
    "decision values for the first class": (SVM, "f1", "no", None, "stratified_kfold"),
    "weights": (LOGISTIC, "balanced_accuracy", "yes", WEIGHT, "stratified_kfold"),
    "weights for the first class": (SVM, "precision", "no", WEIGHT, "stratified_kfold"),
    "repeats with weights": (LOGISTIC, "f1_macro", "yes", WEIGHT, "repeated_stratified_kfold"),
    "correlation": (LOGISTIC, "matthews_corrcoef", "yes", None, "stratified_kfold"),
    "recall": (LOGISTIC, "recall", "yes", None, "stratified_kfold"),
    "time": (LOGISTIC, "accuracy", "yes", None, "time_series_split"),
}


@pytest.mark.parametrize(("model", "scoring", "positive", "weight", "kind"), CASES.values(), ids=CASES)
def test_choose_threshold_finds_what_a_search_by_scikit_learns_metrics_finds(model, scoring, positive, weight, kind):
    table = dataclasses.replace(TABLE, weight=weight)
    held_out, ordered = out_of_fold(model, table, kind), kind == "time_series_split"
    found = choose_threshold(
        ThresholdSpec(scoring=scoring), held_out, table, positive_class=None if positive == "yes" else positive,
        ordered=ordered,
    )  # fmt: skip
    assert_found(found, Search(held_out, scoring, positive, weight), held_out.folds, ordered)
    assert found.scoring == scoring
    assert found.response == ("decision_function" if model is SVM else "predict_proba")
    assert found.n_rows == len(set(held_out.rows.index))


def test_a_chosen_threshold_does_better_than_one_half_where_the_classes_are_unequal():
    found = choose_threshold(ThresholdSpec(scoring="balanced_accuracy"), out_of_fold(LOGISTIC), TABLE)
    assert found.value < 0.45
    assert found.score > found.default_score


@pytest.mark.parametrize("scoring", threshold_scorers())
def test_every_scorer_that_is_accepted_can_choose(scoring):
    found = choose_threshold(ThresholdSpec(scoring=scoring), out_of_fold(LOGISTIC), TABLE)
    assert 0 < found.value < 1
    assert np.isfinite([found.score, found.default_score]).all()


@pytest.mark.parametrize(
    ("negatives", "positives", "scoring", "value"),
    [
        ([0.1, 0.2], [0.8, 0.9], "accuracy", 0.5),
        ([0.1, 0.2], [0.3, 0.4], "accuracy", 0.25),
        ([0.6, 0.7], [0.8, 0.9], "accuracy", 0.75),
        ([0.1, 0.2], [0.4, 0.9], "recall", 0.3),
        ([0.1, 0.3], [0.6, 0.9], "recall", 0.5),
        ([0.1, 0.7], [0.8, 0.9, 0.95], "precision", 0.75),
        ([0.4], [0.4], "f1", 0.5),
    ],
    ids=["one half", "below", "above", "recall below", "recall one half", "precision above", "no two scores"],
)
def test_among_equals_the_threshold_nearest_to_the_classifiers_own_is_taken(negatives, positives, scoring, value):
    held_out = predicting([*negatives, *positives])
    table = Table(None, np.array(["no"] * len(negatives) + ["yes"] * len(positives), object))
    assert choose_threshold(ThresholdSpec(scoring=scoring), held_out, table).value == pytest.approx(value)


@pytest.mark.parametrize("scoring", ["accuracy", "balanced_accuracy", "f1", "recall_weighted"])
def test_weights_that_are_all_alike_change_nothing(scoring):
    random = np.random.default_rng(0)
    for _ in range(15):
        y = random.random(90) < 0.3
        # Two decimals make many thresholds equally good but for the rounding of sums.
        held_out = predicting(np.round(np.clip(random.normal(0.35 + 0.2 * y, 0.2), 0, 1), 2))
        y = np.where(y, "yes", "no").astype(object)
        plain, weighted = (
            choose_threshold(ThresholdSpec(scoring=scoring), held_out, Table(None, y, weight))
            for weight in (None, np.full(90, 0.1))
        )
        assert weighted.value == plain.value
        assert weighted.score == pytest.approx(plain.score)


def test_many_different_scores_are_tried_at_their_quantiles():
    random = np.random.default_rng(0)
    is_yes = random.random(4000) < 0.3
    scores = np.clip(random.normal(0.35 + 0.2 * is_yes, 0.15), 0.001, 0.999)
    table = Table(None, np.where(is_yes, "yes", "no").astype(object))
    found = choose_threshold(ThresholdSpec(scoring="balanced_accuracy"), predicting(scores), table)
    false_positive_rate, true_positive_rate, _ = roc_curve(is_yes, scores)
    finest = ((true_positive_rate + 1 - false_positive_rate) / 2).max()
    assert len(np.unique(scores)) > MOST_CANDIDATES
    assert finest - 0.005 < balanced_accuracy_score(is_yes, scores >= found.value) <= finest


def test_in_order_a_fold_is_evaluated_by_the_threshold_of_earlier_ones():
    folds = tuple(np.array_split(np.arange(30), 3))
    random = np.random.default_rng(2)
    y = np.where(random.random(30) < 0.4, "yes", "no").astype(object)
    held_out = predicting(np.clip(random.normal(0.3 + 0.3 * (y == "yes"), 0.2), 0, 1), folds)
    # What is judged last is turned round: it chooses nothing, and the scores of all other rows stay.
    for turned in (y, np.where(np.arange(30) < 20, y, np.where(y == "yes", "no", "yes"))):
        found = choose_threshold(ThresholdSpec(scoring="accuracy"), held_out, Table(None, turned), ordered=True)
        search = Search(held_out, "accuracy", y=turned)
        predicted = [
            search.labels(folds[1], search.best(folds[0])),
            search.labels(folds[2], search.best(np.arange(20))),
        ]
        assert found.score == pytest.approx((np.concatenate(predicted) == turned[10:]).mean())


@pytest.mark.parametrize("ordered", [False, True], ids=["one fold", "one fold in order"])
def test_a_threshold_that_no_other_rows_can_evaluate_has_no_score(ordered):
    held_out = predicting([0.1, 0.2, 0.3, 0.4], (np.arange(4),))
    table = Table(None, np.array(["no", "no", "yes", "yes"], object))
    found = choose_threshold(ThresholdSpec(), held_out, table, ordered=ordered)
    assert found.value == pytest.approx(0.25)
    assert np.isnan([found.score, found.default_score]).all()


# The model


CALIBRATED = CalibratedClassifierCV(SVM, cv=StratifiedKFold(3))
LABELS = {
    "texts": ["no", "yes"],
    "texts of NumPy": np.array(["no", "yes"]),
    "booleans": [False, True],
    "numbers": [-3, 7],
}


@pytest.mark.parametrize("positive", [0, 1], ids=["first class", "last class"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("model", [LOGISTIC, SVM, CALIBRATED], ids=["logistic", "svc", "calibrated svc"])
def test_with_threshold_ships_a_model_that_predicts_what_is_reported(tmp_path, model, labels, positive):
    dtype = object if isinstance(labels, list) and isinstance(labels[0], str) else None
    y = np.array(labels, dtype)[IS_YES.astype(int)]
    fitted = clone(model).fit(X, y)
    predicted = predict(fitted, X)
    response = "decision_function" if model is SVM else "predict_proba"
    scores = predicted.decision * (1 if positive else -1) if model is SVM else predicted.proba[:, positive]
    value = float(np.sort(scores)[N // 6])  # a row's very score, which is enough
    threshold = ThresholdResult("f1", value, response, 0.5, 0.5, N)
    settled = with_threshold(
        TrainedModel(predicted, model=fitted), threshold, positive_class=np.array(labels, dtype)[positive]
    )

    expected = FixedThresholdClassifier(
        fitted, threshold=value, pos_label=labels[positive], response_method=response
    ).predict(X)
    assert settled.predictions.labels.tolist() == expected.tolist() == settled.model.predict(X).tolist()
    assert settled.predictions.labels.tolist() != predicted.labels.tolist()
    assert settled.predictions.labels.dtype == predicted.classes.dtype
    assert settled.threshold is threshold
    save_model(settled.model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    assert loaded.predict(X).tolist() == expected.tolist()
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c"]
    assert loaded.n_features_in_ == 3
    assert np.array_equal(getattr(loaded, response)(X), getattr(fitted, response)(X))


def test_the_last_class_is_positive_unless_another_is_named():
    fitted = clone(LOGISTIC).fit(X, Y)
    threshold = ThresholdResult("f1", 0.3, "predict_proba", 0.5, 0.5, N)
    plain, named = (
        with_threshold(TrainedModel(predict(fitted, X), model=fitted), threshold, positive_class=positive)
        for positive in (None, "yes")
    )
    assert plain.model.pos_label == named.model.pos_label == "yes"
    assert np.array_equal(plain.predictions.labels, named.predictions.labels)


def test_with_threshold_leaves_out_what_is_not_there():
    threshold = ThresholdResult("f1", 0.3, "predict_proba", 0.5, 0.5, N)
    settled = with_threshold(TrainedModel(None), threshold)
    assert (settled.predictions, settled.model, settled.threshold) == (None, None, threshold)
