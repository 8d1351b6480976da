"""Out-of-fold predictions keep to their rows, and no label of a fold comes back to it by another."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mlwf.engine.out_of_fold import OutOfFold, at_once, recut, stack
from mlwf.engine.requests import FitResult
from mlwf.errors import FitError
from mlwf.evaluation.predictions import Predictions
from mlwf.splitting.rows import Rows, Split, Table
from mlwf.splitting.splitters import fold_splitter

N = 24
CLASSES = np.array([0, 1])
TABLE = Table(np.zeros((N, 1)), np.arange(N) % 2, groups=np.arange(N) // 3, time=np.arange(N)[::-1])
# In no order, and not all of them.
SOME = Rows(np.random.default_rng(0).permutation(N)[:18])
KINDS = ["stratified_kfold", "repeated_stratified_kfold", "stratified_group_kfold", "time_series_split"]


def predictions_of(number, rows):
    """Make predictions that give away which model made them for which row."""
    return Predictions(CLASSES, rows.index % 2, np.column_stack([rows.index, np.full(len(rows), number)]).astype(float))


def stacked(kind, rows=SOME):
    splits = fold_splitter(kind, n_splits=3, n_repeats=2)(TABLE, rows)
    return splits, stack(
        [FitResult((predictions_of(at, split.test),)) for at, split in enumerate(splits)], splits, rows
    )


@pytest.mark.parametrize("kind", KINDS)
def test_stack_keeps_each_prediction_with_its_row_and_its_fold(kind):
    splits, out_of_fold = stacked(kind)
    assert np.array_equal(out_of_fold.predictions.proba[:, 0], out_of_fold.rows.index)
    assert np.array_equal(out_of_fold.predictions.labels, out_of_fold.rows.index % 2)
    assert len(out_of_fold.folds) == len(splits)
    for number, (split, fold) in enumerate(zip(splits, out_of_fold.folds, strict=True)):
        assert np.array_equal(out_of_fold.rows.index[fold], split.test.index)
        assert set(out_of_fold.predictions.proba[fold, 1]) == {number}
    # Each position is of one fold, however often its row was predicted.
    assert sorted(np.concatenate(out_of_fold.folds).tolist()) == list(range(len(out_of_fold.rows)))


@pytest.mark.parametrize("kind", KINDS)
def test_stack_puts_rows_in_the_order_of_those_that_were_split(kind):
    _, out_of_fold = stacked(kind)
    places = SOME.positions_of(out_of_fold.rows)
    assert np.array_equal(places, np.sort(places))
    counts = np.unique(out_of_fold.rows.index, return_counts=True)[1]
    if kind == "time_series_split":
        assert len(counts) < len(SOME)
    else:
        assert len(counts) == len(SOME)
    assert set(counts) == ({2} if kind.startswith("repeated") else {1})


def test_stack_takes_the_first_predictions():
    split = Split(Rows(np.arange(4)), Rows(np.arange(4, 6)))
    result = FitResult((predictions_of(0, split.test), predictions_of(1, Rows(np.arange(6, 9)))))
    assert stack([result], [split], Rows(np.arange(6))).predictions.proba.tolist() == [[4, 0], [5, 0]]


def test_stack_refuses_models_that_know_different_classes():
    splits, _ = stacked("stratified_kfold")
    parts = [
        FitResult((Predictions(CLASSES + (at > 1), np.zeros(len(split.test))),)) for at, split in enumerate(splits)
    ]
    with pytest.raises(FitError) as refused:
        stack(parts, splits, SOME)
    assert str(refused.value) == (
        "the folds learn different classes; validation.splitter: stratified_kfold keeps each class in all of them"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_all_positions_whose_rows_are_not_in_the_fold(kind):
    _, out_of_fold = stacked(kind)
    for number, fold in enumerate(out_of_fold.folds):
        inside = set(out_of_fold.rows.index[fold])
        expected = [at for at, row in enumerate(out_of_fold.rows.index) if row not in inside]
        assert out_of_fold.others(number).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_others_in_order_are_those_of_the_folds_before(kind):
    _, out_of_fold = stacked(kind)
    assert out_of_fold.others(0, ordered=True).tolist() == []
    for number, fold in enumerate(out_of_fold.folds[1:], start=1):
        inside = set(out_of_fold.rows.index[fold])
        before = np.sort(np.concatenate(out_of_fold.folds[:number]))
        assert out_of_fold.others(number, ordered=True).tolist() == [
            at for at in before if out_of_fold.rows.index[at] not in inside
        ]


def test_a_fold_alone_has_no_others():
    out_of_fold = OutOfFold(SOME, predictions_of(0, SOME), (np.arange(len(SOME)),))
    assert out_of_fold.others(0).tolist() == []


@pytest.mark.parametrize("kind", KINDS)
def test_recut_parts_the_predictions_of_one_model(kind):
    out_of_fold = OutOfFold(SOME, predictions_of(0, SOME), (np.arange(len(SOME)),))
    splits = fold_splitter(kind, n_splits=3, n_repeats=2)(TABLE, SOME)
    cut = recut(out_of_fold, splits)
    assert cut.rows is out_of_fold.rows
    assert cut.predictions is out_of_fold.predictions
    for split, fold in zip(splits, cut.folds, strict=True):
        assert np.array_equal(cut.rows.index[fold], split.test.index)
    for number, fold in enumerate(cut.folds):
        assert not set(cut.rows.index[fold]) & set(cut.rows.index[cut.others(number)])


def test_at_once_calls_side_by_side_and_returns_in_order():
    # Each waits for all: one after the other they would never end.
    together = threading.Barrier(3, timeout=10)

    def call(item):
        together.wait()
        return item * item

    assert at_once(call, [1, 2, 3]) == [1, 4, 9]


@pytest.mark.parametrize("items", [[0], [0, 1, 2]], ids=["one", "several"])
def test_at_once_raises_what_a_call_raises(items):
    def call(item):
        if item == 0:
            raise FitError("no")
        return item

    with pytest.raises(FitError, match="no"):
        at_once(call, items)
