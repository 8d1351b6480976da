"""How probabilities depend on single columns, as plain data for a report."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mlwf.modules.importances import Predict, compute_partial_dependence, shown_classes

DAYS = pd.date_range("2024-01-01", periods=200, freq="D")
X = pd.DataFrame(
    {
        "share": np.linspace(0, 1, 200),
        "city": ["Lyon", "Turin", None, "Lyon"] * 50,
        "gain": [0.0] * 190 + [*range(10)],
        "day": DAYS,
    }
)


@Predict
def predict(rows):
    positive = rows["share"] / 2 + (rows["city"] == "Lyon") / 4
    return np.column_stack([1 - positive, positive])


def test_the_mean_over_the_rows_is_the_dependence():
    found = compute_partial_dependence(predict, X, [0, 1, 2, 3], ["no", "yes"], [1], random_state=0)

    share, city, gain, day = found["columns"]
    assert found["classes"] == ["yes"]
    assert [column["kind"] for column in found["columns"]] == ["number", "category", "number", "date"]
    lifted = share["mean"][0][0] - share["grid"][0] / 2
    assert share["mean"][0] == pytest.approx([value / 2 + lifted for value in share["grid"]], abs=1e-4)
    assert city["grid"] == ["Lyon", "Turin"]
    assert city["mean"][0][0] - city["mean"][0][1] == pytest.approx(0.25, abs=1e-4)
    assert len(set(gain["mean"][0])) == 1
    assert day["grid"][0].startswith("2024-01-0")
    assert np.shape(share["rows"]) == (1, 20, len(share["grid"]))


def test_a_column_that_is_mostly_one_value_shows_others_too():
    (gain,) = compute_partial_dependence(predict, X, [2], ["no", "yes"], [1], random_state=0)["columns"]
    assert gain["grid"][0] == 0
    assert len(gain["grid"]) > 4


def test_texts_of_few_rows_are_not_shown():
    prose = X.assign(city=[f"a letter of number {at}" for at in range(200)])
    found = compute_partial_dependence(predict, prose, [0, 1], ["no", "yes"], [1], random_state=0)
    assert [column["column"] for column in found["columns"]] == ["share"]


def test_it_is_plain_json():
    found = compute_partial_dependence(predict, X, [0, 1, 3], ["no", "yes"], [1], random_state=0)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_of_two_classes_the_positive_one_is_shown_and_of_more_the_most_frequent():
    assert shown_classes(np.array([0, 1, 1]), 2, None) == [1]
    assert shown_classes(np.array([0, 1, 1]), 2, 0) == [0]
    assert shown_classes(np.array([2, 2, 0, 1, 2, 1]), 3, None) == [2, 1, 0]
