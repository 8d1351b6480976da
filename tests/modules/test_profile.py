"""What columns hold, as counts that name no row."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlwf.modules.data import Dataset, profile_columns


def column_of(values, *, y=None, test=None):
    """Profile one column, and give what is said of it."""
    y = np.array(["a", "b"] * len(values), dtype=object)[: len(values)] if y is None else y
    data = Dataset(pd.DataFrame({"x": values}), y, "")
    tested = None if test is None else Dataset(pd.DataFrame({"x": test}), y[: len(test)], "")
    profile = profile_columns(data, tested)
    json.dumps(profile)
    return profile["columns"][0], profile


def test_every_kind_of_column_is_counted_by_class(people):
    data = Dataset(people.drop(columns="bought"), people["bought"].to_numpy(dtype=object), "")
    profile = profile_columns(data, replace(data, X=data.X[:20], y=data.y[:20]))
    assert json.loads(json.dumps(profile)) == profile
    assert profile["classes"] == people["bought"].value_counts().to_dict()
    kinds = {column["name"]: column["kind"] for column in profile["columns"]}
    assert kinds == {
        "age": "numbers", "visits": "numbers", "member": "booleans", "city": "texts", "size": "texts", "since": "dates",
    }  # fmt: skip
    for column in profile["columns"]:
        present = people[column["name"]].notna()
        assert column["missing"] == (~present).sum()
        assert [sum(counts) for counts in column["counts"]] == [
            (present & (people["bought"] == label)).sum() for label in profile["classes"]
        ]
        assert sum(column["test_counts"]) + column["test_missing"] == 20


def test_numbers_are_in_bins_and_what_lies_far_out_is_in_the_last():
    numbers = np.append(np.linspace(0, 1, 399), 1e9)
    column, _ = column_of(numbers, test=[-5.0, 2.0, None])
    assert len(column["edges"]) == 21
    assert column["edges"][-1] < 1.1
    assert (column["test_counts"][0], column["test_counts"][-1], column["test_missing"]) == (1, 1, 1)
    assert column["quartiles"] == pytest.approx([0.0, 0.25, 0.5, 0.75, 1e9], abs=0.01)


def test_whole_numbers_lie_between_the_edges():
    column, _ = column_of(np.arange(200) % 50)
    assert {edge % 1 for edge in column["edges"]} == {0.5}


def test_a_rare_text_is_not_named():
    texts = [f"kind {at % 13}" for at in range(130)] + ["Ada Lovelace", "Alan Turing"]
    column, _ = column_of(texts, test=["kind 1", "Grace Hopper"])
    assert len(column["values"]) == 12
    assert not {"Ada Lovelace", "Alan Turing", "Grace Hopper"} & {*column["values"]}
    assert (column["has_others"], column["unseen_in_test"]) == (True, 1)
    names, _ = column_of([f"name {at}" for at in range(100)])
    assert names["values"] == []


def test_of_long_texts_the_lengths_are_counted():
    column, _ = column_of([f"{at} " + "word " * (20 + at % 15) for at in range(60)])
    assert column["of_lengths"]
    assert column["quartiles"][0] > 60


def test_of_many_classes_the_rare_ones_are_counted_together():
    y = np.repeat(np.arange(10), np.arange(1, 11))
    column, profile = column_of(np.arange(len(y)) % 3, y=y)
    assert profile["classes"] == {"9": 10, "8": 9, "7": 8, "6": 7, "5": 6, "5 others": 15}
    assert [sum(counts) for counts in column["counts"]] == [10, 9, 8, 7, 6, 15]


@pytest.mark.parametrize(
    "values",
    [[None] * 8, [np.nan] * 8, [3.0] * 8, [0.1 * at for at in range(30)] * 2, [True, None] * 4],
    ids=["nothing", "missing numbers", "constant", "few rows", "booleans"],
)
def test_odd_columns_have_a_profile(values):
    column, profile = column_of(values, test=values[:2])
    assert sum(map(sum, column["counts"])) + column["missing"] == profile["rows"]


def test_columns_of_an_array_are_named_by_their_places():
    profile = profile_columns(Dataset(np.zeros((6, 2)), np.arange(6) % 2, ""), None)
    assert [column["name"] for column in profile["columns"]] == ["0", "1"]
    assert profile["test_rows"] is None
