"""Rows that stay in their files are picked, read and put in order as those of a DataFrame are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf.splitting.stored_frame import StoredFrame, in_memory

FRAME = pd.DataFrame({"number": np.arange(10.0), "text": [*"abcdefghi", None], "batches": 1})


class Source:
    """A table that is read three rows at a time, and counts what is read of it."""

    def __init__(self) -> None:
        self.n_batches = 0

    def __len__(self) -> int:
        return len(FRAME)

    def column(self, name):
        return FRAME[name]

    def batches(self, names):
        for start in range(0, len(FRAME), 3):
            self.n_batches += 1
            yield FRAME[names].iloc[start : start + 3].reset_index(drop=True)


@pytest.fixture
def stored():
    return StoredFrame(Source(), FRAME.columns)


PICKS = {
    "none": [],
    "some": [1, 5, 6],
    "in another order": [9, 0, 4, 3],
    "twice": [2, 2, 8, 2],
}


@pytest.mark.parametrize("picked", PICKS.values(), ids=PICKS)
def test_rows_are_picked_by_position(stored, picked):
    expected = FRAME.iloc[picked].reset_index(drop=True)
    rows = stored.iloc[np.array(picked, dtype=np.intp)]
    assert rows.shape == expected.shape
    pd.testing.assert_frame_equal(rows.in_memory(), expected, check_dtype=bool(picked))
    pd.testing.assert_series_equal(rows["text"], expected["text"])
    again = rows.iloc[np.arange(len(picked))[::-1]]
    pd.testing.assert_series_equal(again.iloc[:, 1], expected["text"].iloc[::-1].reset_index(drop=True))


def test_each_batch_has_the_positions_of_its_rows(stored):
    rows = stored.iloc[np.array([7, 1, 0])]
    assert [(at.tolist(), batch["number"].tolist()) for at, batch in rows.batches()] == [([2, 1], [0, 1]), ([0], [7])]


def test_no_more_batches_are_read_than_the_rows_stand_in(stored):
    assert in_memory(stored[:4])["number"].tolist() == [0, 1, 2, 3]
    assert stored.source.n_batches == 2


def test_values_are_made_of_a_column_when_it_is_read(stored):
    doubled = stored[["text", "number"]].map({"number": lambda values: values * 2}).map({"number": np.negative})
    expected = pd.DataFrame({"text": FRAME["text"], "number": FRAME["number"] * -2})
    pd.testing.assert_frame_equal(doubled.in_memory(), expected)
    pd.testing.assert_frame_equal(pd.DataFrame(dict(doubled.items())), expected)
