"""Whether a calibration is kept is judged by calibrators that saw other rows, and said with the reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from mlwf.engine.out_of_fold import OutOfFold, recut, stack
from mlwf.engine.requests import FitRequest
from mlwf.evaluation.metrics import build_metric
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.calibration import cross_fit, describe, error_of
from mlwf.specs.experiment import CalibrationSpec
from mlwf.splitting.rows import Rows, Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

N = 240
RANDOM = np.random.default_rng(0)
SIGNAL = RANDOM.normal(size=N)
Y = np.where(SIGNAL + RANDOM.normal(0, 1.5, N) > 0, "yes", "no").astype(object)
# Bayes takes five copies for five witnesses: it is far too sure.
COPIES = np.column_stack([SIGNAL + RANDOM.normal(0, 0.1, N) for _ in range(5)])
WEIGHT = RANDOM.uniform(0.2, 3, N)
TABLE = Table(COPIES, Y, time=np.arange(N))

ISOTONIC = CalibrationSpec(method="isotonic")
SIGMOID = CalibrationSpec()
ALWAYS = CalibrationSpec(keep="always")


def folds(kind="stratified_kfold", n_splits=4):
    return fold_splitter(kind, n_splits=n_splits, n_repeats=2)


def out_of_fold(model, table=TABLE, kind="stratified_kfold", rows=None):
    """Judge rows by models that did not see them."""
    rows = rows or table.all_rows
    splits = folds(kind)(table, rows)
    with ReferenceFitter(table) as fit:
        results = fit([FitRequest(model, {}, split.train, (split.test,)) for split in splits])
    return stack(results, splits, Rows(np.unique(np.concatenate([split.test.index for split in splits]))))


@pytest.fixture(scope="module")
def sure():
    """Give what an overconfident classifier said, by the kind of the folds."""
    return {
        kind: out_of_fold(GaussianNB(), kind=kind)
        for kind in ("stratified_kfold", "repeated_stratified_kfold", "time_series_split")
    }


def spoilt(table, rows):
    """Turn the labels of some rows round, and make them weigh more."""
    y, weight = table.y.copy(), np.ones(N) if table.weight is None else table.weight.copy()
    y[rows] = np.where(y[rows] == "yes", "no", "yes")
    weight[rows] = 50
    return dataclasses.replace(table, y=y, weight=weight)


# Honest calibrators


@pytest.mark.parametrize("kind", ["stratified_kfold", "repeated_stratified_kfold"])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_the_calibrator_that_evaluates_a_fold_never_saw_it(sure, method, kind):
    held_out, spec = sure[kind], CalibrationSpec(method=method)
    table = dataclasses.replace(TABLE, weight=np.ones(N))
    before = cross_fit(spec, held_out, table).predictions.proba
    for fold in held_out.folds[:2]:
        after = cross_fit(spec, held_out, spoilt(table, held_out.rows.index[fold])).predictions.proba
        changed = (before != after).any(axis=1)
        assert not changed[fold].any()
        # The calibrators of the other folds did see it; isotonic steps may stay where they are.
        assert changed[np.setdiff1d(np.arange(len(held_out.rows)), fold)].mean() > 0.3


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", ["stratified_kfold", "repeated_stratified_kfold", "time_series_split"])
def test_each_fold_is_calibrated_by_what_scikit_learn_fits_on_the_others(sure, kind, weighted):
    held_out, ordered = sure[kind], kind == "time_series_split"
    table = dataclasses.replace(TABLE, weight=WEIGHT if weighted else None)
    crossed = cross_fit(ISOTONIC, held_out, table, ordered=ordered)
    expected_folds = held_out.folds[1:] if ordered else held_out.folds
    # The rows stay in their order, and each fold still finds its own.
    kept = np.sort(np.concatenate(expected_folds))
    assert np.array_equal(crossed.rows.index, held_out.rows.index[kept])
    assert sorted(np.concatenate(crossed.folds).tolist()) == list(range(len(kept)))
    score = held_out.predictions.proba[:, 1]
    for place, fold in zip(crossed.folds, expected_folds, strict=True):
        assert np.array_equal(crossed.rows.index[place], held_out.rows.index[fold])
        rows = held_out.rows.index
        learnt = rows < rows[fold].min() if ordered else ~np.isin(rows, rows[fold])
        step = IsotonicRegression(out_of_bounds="clip").fit(
            score[learnt], table.y[rows[learnt]] == "yes", sample_weight=WEIGHT[rows[learnt]] if weighted else None
        )
        assert np.allclose(crossed.predictions.proba[place, 1], step.predict(score[fold]))


def test_in_order_the_first_fold_has_nothing_to_be_evaluated_by(sure):
    held_out = sure["time_series_split"]
    crossed = cross_fit(SIGMOID, held_out, TABLE, ordered=True)
    assert len(crossed.folds) == len(held_out.folds) - 1
    assert crossed.rows.index.min() == held_out.rows.index[held_out.folds[1]].min()
    # What comes last chooses nothing.
    last = held_out.folds[-1]
    spoilt_last = cross_fit(SIGMOID, held_out, spoilt(TABLE, held_out.rows.index[last]), ordered=True)
    assert np.array_equal(crossed.predictions.proba, spoilt_last.predictions.proba)


def test_a_hold_out_that_is_recut_is_calibrated_part_by_part():
    # One model judged these rows; a repeated splitter cuts them twice.
    held_out = Rows(np.arange(N)[::2])
    held_out = out_of_fold(GaussianNB(), rows=held_out)
    for kind in ("stratified_kfold", "repeated_stratified_kfold"):
        cut = recut(held_out, folds(kind, 3)(TABLE, held_out.rows))
        crossed = cross_fit(ISOTONIC, cut, TABLE)
        assert sorted(np.concatenate(crossed.folds).tolist()) == list(range(len(crossed.rows)))
        for place, fold in zip(crossed.folds, cut.folds, strict=True):
            rows, score = held_out.rows.index, held_out.predictions.proba[:, 1]
            learnt = ~np.isin(rows, rows[fold])
            step = IsotonicRegression(out_of_bounds="clip").fit(score[learnt], Y[rows[learnt]] == "yes")
            assert np.array_equal(crossed.rows.index[place], rows[fold])
            assert np.allclose(crossed.predictions.proba[place, 1], step.predict(score[fold]))


def test_without_other_folds_or_with_one_class_alone_nothing_is_calibrated(sure):
    held_out = sure["stratified_kfold"]
    assert cross_fit(SIGMOID, dataclasses.replace(held_out, folds=(np.arange(N),)), TABLE) is None
    is_yes = Y[held_out.rows.index] == "yes"
    of_one_class = dataclasses.replace(held_out, folds=(np.flatnonzero(is_yes), np.flatnonzero(~is_yes)))
    assert cross_fit(SIGMOID, of_one_class, TABLE) is None


# What is measured


def described(spec, held_out, table=TABLE, **options):
    crossed = cross_fit(spec, held_out, table, ordered=options.pop("ordered", False))
    return crossed, describe(spec, table, held_out, crossed, cv_folds=4, **options)


@pytest.mark.parametrize("kind", ["stratified_kfold", "repeated_stratified_kfold", "time_series_split"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_before_and_after_are_scikit_learns_losses_of_the_same_rows(sure, kind, weighted):
    held_out, ordered = sure[kind], kind == "time_series_split"
    table = dataclasses.replace(TABLE, weight=WEIGHT if weighted else None)
    crossed, result = described(ISOTONIC, held_out, table, ordered=ordered)
    kept = np.sort(np.concatenate(held_out.folds[1:] if ordered else held_out.folds))
    weight = WEIGHT[crossed.rows.index] if weighted else None
    y = Y[crossed.rows.index]
    for error, predicted in ((result.before, held_out.predictions.take(kept)), (result.after, crossed.predictions)):
        assert error.log_loss == pytest.approx(log_loss(y, predicted.proba, sample_weight=weight))
        brier_score = brier_score_loss(y, predicted.proba[:, 1], pos_label="yes", sample_weight=weight)
        assert error.brier_score == pytest.approx(brier_score)
        assert error.ece == build_metric("ece", classes=table.classes)(predicted, y, weight)
        assert sum(each.n_rows for each in error.reliability) == len(kept)
    assert result.difference.value == pytest.approx(result.before.log_loss - result.after.log_loss)
    assert result.n_rows == len(set(held_out.rows.index))


def test_three_classes_are_measured_too():
    y = np.digitize(SIGNAL + RANDOM.normal(0, 0.7, N), [-0.5, 0.5])
    table = Table(COPIES, y)
    crossed, result = described(SIGMOID, out_of_fold(GaussianNB(), table), table)
    came_true = y[crossed.rows.index][:, None] == np.arange(3)
    assert result.after.log_loss == pytest.approx(log_loss(y[crossed.rows.index], crossed.predictions.proba))
    assert result.after.brier_score == pytest.approx(((crossed.predictions.proba - came_true) ** 2).sum(axis=1).mean())
    assert result.difference.value == pytest.approx(result.before.log_loss - result.after.log_loss)


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_reliability_is_that_of_the_positive_class(sure, positive):
    error = error_of(sure["stratified_kfold"], TABLE, positive)
    observed = sum(each.observed * each.n_rows for each in error.reliability) / N
    assert observed == pytest.approx((positive == Y).mean())
    assert error.log_loss == error_of(sure["stratified_kfold"], TABLE).log_loss


# The verdict


CHANGE = r"out-of-fold log loss {:.4f} -> {:.4f}, {} by {:.4f} [{:.4f}, {:.4f}]"


def change(result):
    difference, ends = result.difference, result.difference.interval
    if difference.value >= 0:
        words = ("better", difference.value, ends.low, ends.high)
    else:
        words = ("worse", -difference.value, -ends.high, -ends.low)
    return CHANGE.format(result.before.log_loss, result.after.log_loss, *words)


def test_a_calibration_that_clearly_helps_is_kept(sure):
    _, result = described(SIGMOID, sure["stratified_kfold"])
    assert result.kept
    assert result.difference.interval.low > 0
    assert result.reason == change(result)
    assert " better by " in result.reason
    assert (result.method, result.ensemble, result.cv_folds, result.holdout) == ("sigmoid", True, 4, None)


def sample(n_rows, sharpness, seed):
    """Draw labels from probabilities, and say other ones: sharper than the truth, or with 1 the truth itself."""
    draw = np.random.default_rng(seed)
    logit = draw.normal(0, 1, n_rows)
    y = (draw.random(n_rows) < 1 / (1 + np.exp(-logit))).astype(int)
    positive = 1 / (1 + np.exp(-sharpness * logit))
    predicted = Predictions(np.array([0, 1]), (positive > 0.5).astype(int), np.column_stack([1 - positive, positive]))
    folds = tuple(np.array_split(draw.permutation(n_rows), 4))
    return OutOfFold(Rows(np.arange(n_rows)), predicted, folds), Table(np.zeros((n_rows, 1)), y)


def test_a_calibration_that_hurts_is_not_kept():
    _, result = described(ISOTONIC, *sample(300, 1.0, seed=1))
    assert not result.kept
    assert result.difference.interval.high < 0
    assert result.reason == change(result)
    assert " worse by " in result.reason


@pytest.mark.parametrize(("seed", "word"), [(2, "worse"), (0, "better")])
def test_a_calibration_that_may_help_by_chance_is_not_kept(seed, word):
    _, result = described(SIGMOID, *sample(60, 1.0, seed=seed))
    assert not result.kept
    assert result.difference.interval.low < 0 < result.difference.interval.high
    assert result.reason == f"{change(result)}, which may be chance"
    assert f" {word} by " in result.reason


def test_true_probabilities_are_seldom_calibrated():
    kept = [described(SIGMOID, *sample(200, 1.0, seed=seed))[1].kept for seed in range(12)]
    assert sum(kept) <= 1


@pytest.mark.parametrize(("n_rows", "seed"), [(300, 1), (60, 0)], ids=["hurts", "chance"])
def test_always_keeps_whatever_was_found(n_rows, seed):
    spec = CalibrationSpec(method="isotonic", keep="always")
    _, result = described(spec, *sample(n_rows, 1.0, seed=seed))
    assert result.kept
    assert result.reason == f"as `keep: always` asks; {change(result)}"


def test_rows_of_one_group_are_no_more_evidence_than_one():
    held_out, table = sample(60, 1.7, seed=0)
    copies = np.repeat(np.arange(60), 10)
    many = OutOfFold(
        Rows(np.arange(600)),
        held_out.predictions.take(copies),
        tuple(np.flatnonzero(np.isin(copies, fold)) for fold in held_out.folds),
    )
    rows = Table(np.zeros((600, 1)), table.y[copies])
    of_rows, of_groups = (
        described(SIGMOID, many, each)[1] for each in (rows, dataclasses.replace(rows, groups=copies))
    )
    assert (of_rows.kept, of_groups.kept) == (True, False)
    assert of_rows.difference.value == of_groups.difference.value
    assert of_rows.difference.interval.method == "bootstrap of rows"
    assert of_groups.difference.interval.method == "bootstrap of groups"


def test_rows_that_were_evaluated_twice_are_no_more_evidence_than_once(sure):
    _, result = described(SIGMOID, sure["repeated_stratified_kfold"])
    assert result.difference.interval.method == "bootstrap of groups"
    assert result.n_rows == N


@pytest.mark.parametrize("spec", [SIGMOID, ALWAYS], ids=["better", "always"])
def test_a_classifier_without_probabilities_has_nothing_to_compare_with(spec):
    held_out = out_of_fold(SVC())
    crossed, result = described(spec, held_out)
    assert result.kept
    assert result.reason == "the classifier has no probabilities of its own"
    assert (result.before, result.difference) == (None, None)
    assert result.after.log_loss == pytest.approx(log_loss(Y, crossed.predictions.proba))
    alone = describe(spec, TABLE, held_out, None, cv_folds=4)
    assert (alone.kept, alone.reason, alone.after) == (True, result.reason, None)


@pytest.mark.parametrize(
    ("spec", "kept", "reason"),
    [
        (CalibrationSpec(holdout=0.1), False, "it could not be measured on other folds"),
        (CalibrationSpec(holdout=0.1, keep="always"), True, "as `keep: always` asks"),
    ],
    ids=["better", "always"],
)
def test_what_could_not_be_measured_is_not_better(spec, kept, reason):
    held_out = out_of_fold(LogisticRegression())
    result = describe(spec, TABLE, dataclasses.replace(held_out, folds=(np.arange(N),)), None, cv_folds=4)
    assert (result.kept, result.reason) == (kept, reason)
    assert (result.before, result.after, result.difference) == (None, None, None)
    assert (result.ensemble, result.cv_folds, result.holdout) == (False, None, 0.1)


def test_predictions_that_do_not_change_are_not_kept_without_an_interval():
    # One probability for all, and as many of each class in every fold: there is nothing to learn.
    y = np.tile([0, 1], 20)
    predicted = Predictions(np.array([0, 1]), np.zeros(40, int), np.full((40, 2), 0.5))
    held_out = OutOfFold(Rows(np.arange(40)), predicted, tuple(np.arange(40).reshape(4, 10)))
    _, result = described(ISOTONIC, held_out, Table(np.zeros((40, 1)), y))
    assert not result.kept
    assert result.difference.interval is None
    assert result.reason == "out-of-fold log loss 0.6931 -> 0.6931, which may be chance"
