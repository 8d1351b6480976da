"""Rows are absolute positions, with the weights of their table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf.splitting.rows import Rows, Table, count_labels, encode_labels

Y = np.array(["a"] * 30 + ["b"] * 10, dtype=object)
TABLE = Table(pd.DataFrame({"x": np.arange(40.0)}), Y)


def test_rows_find_positions_whatever_their_order():
    rows = Rows(np.array([7, 3, 9, 1]))
    assert rows.positions_of(Rows(np.array([9, 7]))).tolist() == [2, 0]


def test_balanced_class_weight_comes_from_the_fitted_rows_alone():
    table = Table(TABLE.X, Y, class_weight="balanced")
    assert table.fit_weight_of(Rows(np.array([0, 1, 2, 30]))).tolist() == [2 / 3, 2 / 3, 2 / 3, 2.0]


def test_class_weight_multiplies_row_weight():
    table = Table(TABLE.X, Y, weight=np.full(40, 2.0), class_weight={"a": 1.0, "b": 5.0})
    assert table.fit_weight_of(Rows(np.array([0, 35]))).tolist() == [2.0, 10.0]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "", "b", "\u00e9", "B"], dtype=object),
        np.array([3, -1, 3, 2**60]),
        np.array([True, False, True]),
    ],
    ids=["texts", "numbers", "booleans"],
)
def test_labels_are_encoded_as_numpy_sorts_them(labels):
    found = (*encode_labels(labels), count_labels(labels)[1])
    for one, expected in zip(found, np.unique(labels, return_inverse=True, return_counts=True), strict=True):
        assert (one.dtype, one.tolist()) == (expected.dtype, expected.tolist())
