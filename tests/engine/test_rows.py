"""Rows are spoken of by absolute position, and each fold's test rows are nobody's training rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from mlwf.engine.rows import Rows, Table, fold_splitter, holdout_splitter

Y = np.array(["a"] * 30 + ["b"] * 10, dtype=object)
TABLE = Table(pd.DataFrame({"x": np.arange(40.0)}), Y)
HALF = Rows(np.arange(0, 40, 2))


@pytest.mark.parametrize("kind", ["stratified_kfold", "kfold"])
def test_fold_splitter_judges_each_row_once_and_never_trains_on_it(kind):
    splits = fold_splitter(kind, n_splits=4, shuffle=True, random_state=0)(TABLE, HALF)
    assert sorted(np.concatenate([split.test.index for split in splits])) == sorted(HALF.index)
    assert all(set(split.train.index) == set(HALF.index) - set(split.test.index) for split in splits)


def test_fold_splitter_makes_scikit_learns_folds():
    splits = fold_splitter("stratified_kfold", n_splits=5, shuffle=True, random_state=7)(TABLE, TABLE.all_rows)
    expected = StratifiedKFold(5, shuffle=True, random_state=7).split(np.zeros(40), Y)
    assert all(
        np.array_equal(split.train.index, train) and np.array_equal(split.test.index, test)
        for split, (train, test) in zip(splits, expected, strict=True)
    )


def test_holdout_splitter_keeps_class_shares():
    (split,) = holdout_splitter(test_size=0.2, random_state=0)(TABLE, TABLE.all_rows)
    assert list(Y[split.test.index]).count("b") == 2
    assert not set(split.train.index) & set(split.test.index)


def test_rows_find_positions_whatever_their_order():
    rows = Rows(np.array([7, 3, 9, 1]))
    assert rows.positions_of(Rows(np.array([9, 7]))).tolist() == [2, 0]


def test_balanced_class_weight_comes_from_the_fitted_rows_alone():
    table = Table(TABLE.X, Y, class_weight="balanced")
    assert table.fit_weight_of(Rows(np.array([0, 1, 2, 30]))).tolist() == [2 / 3, 2 / 3, 2 / 3, 2.0]


def test_class_weight_multiplies_row_weight():
    table = Table(TABLE.X, Y, weight=np.full(40, 2.0), class_weight={"a": 1.0, "b": 5.0})
    assert table.fit_weight_of(Rows(np.array([0, 35]))).tolist() == [2.0, 10.0]
