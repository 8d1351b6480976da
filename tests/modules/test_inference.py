"""Which features are inferred from which columns, and the reasons for the others."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from mlwf.modules.inference import Inferred, infer_features
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    Feature,
    NumericFeatureSpec,
    TextFeatureSpec,
)

N = 60
RNG = np.random.default_rng(0)

NUMERIC = NumericFeatureSpec(columns=["x"])
BOOLEAN = BooleanFeatureSpec(columns=["x"])
ONEHOT = CategoricalFeatureSpec(columns=["x"])
TARGET = CategoricalFeatureSpec(columns=["x"], encoder="target")
DAYS = DateFeatureSpec(columns=["x"])
HOURS = DateFeatureSpec(columns=["x"], parts=["year", "month", "day", "dayofweek", "hour"])


def _infer(values: Any, name: str = "x") -> Inferred:
    return infer_features(pd.DataFrame({name: values}))


COLUMNS: dict[str, tuple[Any, Feature]] = {
    "floats that all differ": (RNG.normal(size=N), NUMERIC),
    "sorted floats that all differ": (np.sort(RNG.normal(size=N)), NUMERIC),
    "floats with nulls": ([1.5, None, 2.5] * 20, NUMERIC),
    "few whole numbers": ([1, 2, 3] * 20, NUMERIC),
    "zeros and ones": ([0, 1] * 30, NUMERIC),
    "unsorted whole numbers that all differ": (RNG.permutation(N), NUMERIC),
    "few sorted whole numbers that all differ": (range(10), NUMERIC),
    "decimals": ([Decimal("1.5"), Decimal("2"), None] * 20, NUMERIC),
    "nullable numbers": (pd.array([1, None, 2] * 20, "Int64"), NUMERIC),
    "booleans": ([True, False] * 30, BOOLEAN),
    "booleans with nulls": ([True, False, None] * 20, BOOLEAN),
    "yes and no": (["yes", "no"] * 30, ONEHOT),
    "texts": (["a", "b", None] * 20, ONEHOT),
    "texts of pandas": (pd.array(["a", "b", None] * 20, "string"), ONEHOT),
    "categories": (pd.Categorical(["a", "b", None] * 20), ONEHOT),
    "categories that are numbers": (pd.Categorical([1, 2, None] * 20), NUMERIC),
    "one text or none": (["a", None] * 30, ONEHOT),
    "few texts that all differ": (list("abcdefghij"), ONEHOT),
    "30 categories": ([f"c{i % 30}" for i in range(N)], ONEHOT),
    "31 categories": ([f"c{i % 31}" for i in range(N)], TARGET),
    "numbers and texts": ([1, "a", 2.5] * 20, ONEHOT),
    "decimal numbers as texts": ([f"{value:.3f}" for value in RNG.normal(size=N)], NUMERIC),
    "days": (pd.date_range("2024-01-01", periods=N), DAYS),
    "days at noon": (pd.date_range("2024-01-01 12:00", periods=N), DAYS),
    "times": (pd.date_range("2024-01-01", periods=N, freq="7h"), HOURS),
    "times in a zone": (pd.date_range("2024-01-01", periods=N, freq="7h", tz="Europe/Berlin"), HOURS),
    "date objects": ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2), None] * 20, DAYS),
    "days as texts": (["2024-01-31", "2024-02-01", None] * 20, DAYS),
    "times as texts": (["2024-01-31T10:00:00Z", "2024-02-01T11:30:00+02:00"] * 30, HOURS),
    "almost days": (["2024-01-31", "2024-02-30"] * 30, ONEHOT),
    "years as texts": (["2023", "2024"] * 30, ONEHOT),
    "prose": (["word " * 20 + str(i % 40) for i in range(N)], TextFeatureSpec(columns=["x"])),
    "prose that repeats": (["word " * 20 + str(i % 20) for i in range(N)], ONEHOT),
}


@pytest.mark.parametrize(("values", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_infer_features_chooses(values: Any, expected: Feature) -> None:
    inferred = _infer(values)
    assert (inferred.features, inferred.left_out) == ([expected], {})


LEFT_OUT: dict[str, tuple[str, Any, str]] = {
    "empty": ("x", [None] * N, "empty: all values are missing"),
    "empty floats": ("x", [np.nan] * N, "empty: all values are missing"),
    "constant text": ("x", ["a"] * N, "constant: every value is 'a'"),
    "constant number": ("x", [7] * N, "constant: every value is 7"),
    "constant number or none": ("x", [7, None] * 30, "constant: every value is 7.0"),
    "constant boolean": ("x", [True] * N, "constant: every value is true"),
    "names": ("x", [f"name {i}" for i in range(N)], "identifier: all 60 values are different"),
    "names with nulls and a double": (
        "x",
        [None, "name 1", "name 1", *(f"name {i}" for i in range(2, N))],
        "identifier: 59 of 60 values are different",
    ),
    "hashes that look like numbers with huge exponents": (
        "x",
        ["7938e96880803732905ffa1c776049fc", "8e2569614270", *(f"a{i}" for i in range(N))],
        "identifier: all 62 values are different",
    ),
    "row numbers": ("x", range(N), "identifier: all 60 values are different and sorted"),
    "row numbers down": ("x", range(N, 0, -1), "identifier: all 60 values are different and sorted"),
    "key": (
        "PassengerId",
        RNG.permutation(N),
        "identifier: all 60 values are different, and it is named like a key",
    ),
    "addresses that repeat": (
        "x",
        ["http://a.example/" + "page/" * 17 + f"{i % 40:02}" for i in range(N)],
        "identifier: 40 of 60 values are different, of 104 characters on average",
    ),
    "codes": (
        "x",
        [str(10_000 + i) for i in range(N)],
        (
            "identifier: all 60 values are different; "
            "all its texts are whole numbers: list it as numeric if they count something"
        ),
    ),
    "numbers and one mark": (
        "x",
        [*(f"{i}.5" for i in range(N)), "?"],
        (
            "identifier: all 61 values are different; "
            "98.4% of its texts are numbers: if '?' means missing, add it to data.read.na_values"
        ),
    ),
    "lists": ("x", [[1]] * N, "holds values of type list, which no feature can be"),
    "bytes": ("x", [b"a", b"b"] * 30, "holds values of type bytes, which no feature can be"),
    "durations": (
        "x",
        pd.to_timedelta(range(N), "h"),
        "holds values of type Timedelta, which no feature can be",
    ),
}


@pytest.mark.parametrize(("name", "values", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_infer_features_leaves_out(name: str, values: Any, reason: str) -> None:
    inferred = _infer(values, name)
    assert (inferred.features, inferred.left_out) == ([], {name: reason})


@pytest.mark.parametrize(
    "name", ["id", "ID", "customer_id", "PassengerId", "customerid", "row-key", "idx", "id_2", "uuid"]
)
def test_infer_features_knows_the_name_of_a_key(name: str) -> None:
    assert name in _infer(RNG.permutation(N), name).left_out


@pytest.mark.parametrize("name", ["key_figure", "width", "identity", "donkey"])
def test_infer_features_knows_what_is_no_name_of_a_key(name: str) -> None:
    assert _infer(RNG.permutation(N), name).left_out == {}


NOTES: dict[str, tuple[Any, str]] = {
    "nothing to say": (["a", "b"] * 30, ""),
    "postcodes": (
        ["01099", "10115"] * 30,
        "all its texts are whole numbers: list it as numeric if they count something",
    ),
    "numbers and a mark": (
        ["1", "2", "3"] * 20 + ["?"],
        "98.4% of its texts are numbers: if '?' means missing, add it to data.read.na_values",
    ),
    "decimal numbers": (["1.5", "2"] * 30, "texts that all are numbers, taken for numbers"),
}


@pytest.mark.parametrize(("values", "note"), NOTES.values(), ids=NOTES)
def test_infer_features_notes_what_may_be_meant_otherwise(values: Any, note: str) -> None:
    assert _infer(values).notes == ({"x": note} if note else {})


def test_infer_features_groups_columns_that_are_prepared_alike() -> None:
    frame = pd.DataFrame(
        {
            "age": RNG.normal(size=N),
            "sex": ["f", "m"] * 30,
            "id": range(N),
            "fare": RNG.normal(size=N),
            "country": [f"c{i % 40}" for i in range(N)],
            "deck": ["A", "B", None] * 20,
        }
    )
    assert infer_features(frame) == Inferred(
        features=[
            NumericFeatureSpec(columns=["age", "fare"]),
            CategoricalFeatureSpec(columns=["sex", "deck"]),
            CategoricalFeatureSpec(columns=["country"], encoder="target"),
        ],
        left_out={"id": "identifier: all 60 values are different, and it is named like a key"},
        identifiers={"id": "all 60 values are different, and it is named like a key"},
    )


def test_infer_features_takes_all_measurements_of_iris() -> None:
    X, _ = load_iris(return_X_y=True, as_frame=True)
    assert infer_features(X) == Inferred([NumericFeatureSpec(columns=list(X.columns))], {})


def test_infer_features_reports_the_same_of_the_same_table_with_another_index() -> None:
    frame = pd.DataFrame({"a": ["x", "y"] * 30, "b": range(N)})
    assert infer_features(frame.set_index(pd.Index(range(100, 160)))) == infer_features(frame)
