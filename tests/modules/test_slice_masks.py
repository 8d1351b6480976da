"""Slices are the rows that their texts say, whatever type the column came in."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import DataError
from mlwf.modules.data import Dataset, list_slices, prepare, slice_masks
from mlwf.modules.data.slice_masks import MOST_VALUES
from mlwf.specs.data import DataSpec
from mlwf.specs.features import NumericFeatureSpec

PARIS = datetime.timezone(datetime.timedelta(hours=1))


def dataset(*features, **columns):
    """Read a table as a run does; the columns that are no features are kept beside."""
    n_rows = len(next(iter(columns.values())))
    frame = pd.DataFrame({**columns, "size": np.arange(n_rows, dtype=float), "y": np.arange(n_rows) % 2})
    specs = [NumericFeatureSpec(columns=["size", *features])]
    return prepare(frame, DataSpec(path="t.csv", target="y"), features=specs)


def rows_of(text, data):
    """Give the rows of the one slice that a text stands for."""
    (mask,) = slice_masks(list_slices([text], data), data).values()
    assert mask.dtype == bool
    return np.flatnonzero(mask).tolist()


def problem(text, data):
    with pytest.raises(DataError) as refused:
        list_slices([text], data)
    return str(refused.value)


NUMBERS = [9.0, 10.0, None, 11.5]
CONDITIONS = {
    "number =": ("x = 10", NUMBERS, [1]),
    "number = as a float": ("x = 10.0", NUMBERS, [1]),
    "number !=": ("x != 10", NUMBERS, [0, 3]),
    "number <": ("x < 10", NUMBERS, [0]),
    "number <=": ("x <= 10", NUMBERS, [0, 1]),
    "number >": ("x > 10", NUMBERS, [3]),
    "number >=": ("x >= 10", NUMBERS, [1, 3]),
    "number in text >": ("x > 9", ["9", "10", None, "11.5", "many"], [1, 3]),
    "number in text =": ("x = 10", ["9", "10", None, "10.0"], [1, 3]),
    "text =": ("x = a", ["a", None, "b"], [0]),
    "text !=": ("x != a", ["a", None, "b"], [2]),
    "text of a number": ('x = "7"', [7, 8], [0]),
    "true": ("x = true", [True, None, False], [0]),
    "not true": ("x != true", [True, None, False], [2]),
    "false without missing ones": ("x = false", [True, False, False], [1, 2]),
    "category": ("x = a", pd.Categorical(["a", None, "b"]), [0]),
    "nullable number": ("x >= 2", pd.array([1, None, 2], dtype="Int64"), [2]),
}


@pytest.mark.parametrize(("text", "values", "rows"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_holds_the_rows_that_it_names_and_no_missing_ones(text, values, rows):
    assert rows_of(text, dataset(x=values)) == rows


INSTANTS = ["2024-01-31T23:30:00", "2024-02-01T00:00:00", None, "2024-02-01T12:00:00"]
DATES = {
    "times": pd.to_datetime(INSTANTS),
    "times of a zone": pd.to_datetime(INSTANTS).tz_localize("UTC"),
    "texts": INSTANTS,
    "texts of a zone": [text and f"{text}+00:00" for text in INSTANTS],
}


@pytest.mark.parametrize("values", DATES.values(), ids=DATES)
@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("x >= 2024-02-01", [1, 3]),
        ("x > 2024-02-01", [3]),
        ("x < 2024-02-01", [0]),
        ("x <= 2024-02-01T00:00:00", [0, 1]),
        ("x > 2024-02-01T12:30:00+01:00", [3]),
    ],
)
def test_dates_are_in_order_in_every_form(values, text, rows):
    assert rows_of(text, dataset(x=values)) == rows


def test_times_of_another_zone_are_compared_as_instants():
    # Half past midnight in Paris is still the day before.
    values = pd.to_datetime(["2024-02-01T00:30:00", "2024-02-01T01:30:00"]).tz_localize(PARIS)
    assert rows_of("x >= 2024-02-01", dataset(x=values)) == [1]
    assert rows_of("x >= 2024-02-01", dataset(x=["2024-02-01T00:30:00+01:00", "2024-02-01"])) == [1]


def test_days_are_dates():
    values = [datetime.date(2024, 1, 31), None, datetime.date(2024, 2, 1)]
    assert rows_of("x > 2024-01-31", dataset(x=values)) == [2]
    assert rows_of("x = 2024-01-31", dataset(x=values)) == [0]


def test_a_feature_and_a_column_beside_are_found_alike():
    data = dataset("age", age=["60", "61", None], person=["a", "b", "c"])
    assert list(data.X.columns) == ["age", "size"]
    assert rows_of("age > 60", data) == [1]
    assert rows_of("person = c", data) == [2]


# A column alone


COLUMNS = {
    "texts": (["b", None, "a", "b"], ["x = a", "x = b"]),
    "numbers": ([10, 9, 10], ["x = 9", "x = 10"]),
    "numbers with missing ones": ([10, None, 9.5], ["x = 9.5", "x = 10"]),
    "booleans": ([True, False, True], ["x = false", "x = true"]),
    "booleans with missing ones": ([True, None, False], ["x = false", "x = true"]),
    "times": (pd.DatetimeIndex([pd.Timestamp(2024, 2, 1), pd.Timestamp(2024, 1, 1, 10), None]),
              ["x = 2024-01-01 10:00:00", "x = 2024-02-01"]),
    "what needs quotes": (["a = b", "true", "10"], ["x = 10", 'x = "a = b"', 'x = "true"']),
    "one category in two types": ([1, "1", "a"], ["x = 1", "x = a"]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "texts"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_alone_is_a_slice_for_each_of_its_values(values, texts):
    data = dataset(x=values)
    slices = list_slices(["x"], data)
    assert [str(each) for each in slices] == texts
    masks = slice_masks(slices, data)
    assert list(masks) == texts
    # Each row is in one slice, but for those without a value.
    assert np.sum(list(masks.values()), axis=0).tolist() == pd.Series(values).notna().astype(int).tolist()


def test_what_is_listed_twice_is_one_slice():
    data = dataset(x=["a", "b"])
    assert [str(each) for each in list_slices(["x", "x=a", "size > 0", "x == b"], data)] == [
        "x = a",
        "x = b",
        "size > 0",
    ]


# What is refused


@pytest.mark.parametrize(
    ("values", "example"),
    [
        (np.arange(21), "x > 10"),
        (np.arange(21) / 2, "x > 5"),
        ([f"v {at}" for at in range(21)], "x = v 0"),
        (pd.date_range("2024-01-01", periods=21), "x = 2024-01-01"),
    ],
    ids=["whole numbers", "numbers", "texts", "times"],
)
def test_a_column_with_too_many_values_needs_a_condition(values, example):
    message = f"t.csv  validation.slices.0: x has 21 values; write a condition such as {example}"
    assert problem("x", dataset(x=values)) == message
    list_slices([example], dataset(x=values))
    assert len(list_slices(["x"], dataset(x=values[:MOST_VALUES]))) == 20


REFUSED = {
    "texts and a number": ("x > 3", ["a", None, "b"], "x holds 'a', which > cannot compare"),
    "texts and a date": ("x >= 2024-01-01", ["a", "b"], "x holds 'a', which >= cannot compare"),
    "numbers and a date": ("x < 2024-01-01", [1, 2], "x holds 1, which < cannot compare"),
    "times and a number": ("x < 3", pd.to_datetime(["2024-01-01", None]),
                           "x holds 2024-01-01 00:00:00, which < cannot compare"),
    "booleans and a date": ("x < 2024-01-01", [True, None], "x holds true, which < cannot compare"),
    "durations and a number": ("x > 3", pd.to_timedelta([1, 2], unit="D"),
                               "x holds 1 days 00:00:00, which > cannot compare"),
    "nothing, and an order": ("x > 3", [None, None], "x: all values are missing"),
    "nothing": ("x", [None, None], "x: all values are missing"),
    "a misspelt feature": ("sise > 3", [1, 2], "sise: no such column; did you mean size?"),
    "an unknown column": ("age > 3", [1, 2], "age: no such column; accepted: size, x"),
    "the target": ("y = 1", [1, 2], "y: no such column; accepted: size, x"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "values", "message"), REFUSED.values(), ids=REFUSED)
def test_a_slice_that_cannot_be_is_refused(text, values, message):
    assert problem(text, dataset(x=values)) == f"t.csv  validation.slices.0: {message}"


def test_every_slice_that_cannot_be_is_reported_by_its_number():
    with pytest.raises(DataError) as refused:
        list_slices(["age", "x", "x > 3"], dataset(x=["a", "b"]))
    assert str(refused.value).splitlines() == [
        "t.csv  validation.slices.0: age: no such column; accepted: size, x",
        "t.csv  validation.slices.2: x holds 'a', which > cannot compare",
    ]


# Another table


def test_slices_of_the_training_table_are_looked_up_in_the_test_table():
    slices = list_slices(
        ["x", "day >= 2024-02-01", "size > 0"], dataset(x=["a", "b"], day=["2024-01-01", "2024-02-01"])
    )
    other = dataset(x=["b", "c", None], day=["2024-03-01", None, "2023-01-01"])
    masks = slice_masks(slices, other)
    assert {text: np.flatnonzero(mask).tolist() for text, mask in masks.items()} == {
        "x = a": [],
        "x = b": [0],
        "day >= 2024-02-01": [0],
        "size > 0": [1, 2],
    }


def test_a_test_table_without_the_column_has_no_row_in_its_slices():
    slices = list_slices(
        ["x", "n > 1", "d < 2024-01-01"], dataset(x=["a", "b"], n=[1, 2], d=["2023-01-01", "2024-01-01"])
    )
    # The second table has the columns, and nothing in them that could be compared.
    for other in (dataset(z=[1, 2, 3]), dataset(x=[None] * 3, n=["a"] * 3, d=[None] * 3)):
        masks = slice_masks(slices, other)
        assert list(masks) == ["x = a", "x = b", "n > 1", "d < 2024-01-01"]
        assert all(mask.tolist() == [False] * 3 for mask in masks.values())


def test_an_array_has_no_columns_to_slice():
    data = Dataset(np.ones((4, 2)), np.array([0, 1, 0, 1]), "(in memory)")
    assert (
        problem("x", data)
        == "(in memory)  validation.slices.0: x: no such column; X is an array, whose columns have no names"
    )


NOBODY = {
    "a typo": ("x = femal", ["female", "male"], "x = femal: no row is so; did you mean female?"),
    "another word": ("x = zzz", ["female", "male"], "x = zzz: no row is so; accepted: female, male"),
    "many values": ("x = 100", list(range(50)), "x = 100: no row is so"),
    "beyond all": ("x > 100", list(range(50)), "x > 100: no row is so"),
}


@pytest.mark.parametrize(("text", "values", "message"), NOBODY.values(), ids=NOBODY)
def test_a_slice_of_no_row_is_refused(text, values, message):
    assert problem(text, dataset(x=values)) == f"t.csv  validation.slices.0: {message}"
