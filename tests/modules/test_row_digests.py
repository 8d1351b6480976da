"""The same row has the same hash wherever it stands, and another row has another."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlwf.modules.data import dataset_from_arrays, prepare, row_digests
from mlwf.specs.data import DataSpec
from mlwf.specs.features import NumericFeatureSpec

SPEC = DataSpec(path="t.csv", target="y", drop=["key"])


def _frame(**columns: Any) -> pd.DataFrame:
    base = {
        "age": [20, 21, 20, 23],
        "sex": ["f", None, "f", "m"],
        "key": [1, 2, 3, 4],
        "y": ["no", "yes", "no", "yes"],
    }
    return pd.DataFrame(base | columns)


def _digests(frame: pd.DataFrame, columns: Any = None, **keys: Any) -> list[int]:
    found = row_digests(prepare(frame, SPEC.model_copy(update=keys)), columns)
    assert found.dtype == np.uint64
    return found.tolist()


def test_row_digests_differ_by_all_that_was_read() -> None:
    assert len(set(_digests(_frame()))) == 4
    same = _digests(_frame(key=1))
    assert same[0] == same[2]
    assert len(set(same)) == 3


def test_row_digests_count_the_named_features_and_the_target() -> None:
    found = _digests(_frame(), ["age", "sex"])
    assert found[0] == found[2]
    assert len(set(found)) == 3
    assert len(set(_digests(_frame(y=["no", "yes", "yes", "no"]), ["age"]))) == 4
    assert _digests(_frame(), ["age"]) != found
    assert _digests(_frame(), ["age"]) == _digests(_frame(sex="x", key=9), ["age"])


def test_row_digests_depend_on_neither_order_of_columns_nor_other_rows() -> None:
    frame = _frame()
    assert _digests(frame[["y", "key", "sex", "age"]]) == _digests(frame)
    assert _digests(frame, ["sex", "age"]) == _digests(frame, ["age", "sex"])
    assert _digests(frame.iloc[[3, 0]]) == [_digests(frame)[3], _digests(frame)[0]]


def test_row_digests_do_not_depend_on_the_parts_of_columns() -> None:
    frame = _frame(age=["20", "21.0", "20", "23"])
    features = [NumericFeatureSpec(columns=["age"])]
    typed = row_digests(prepare(frame, SPEC, features=features)).tolist()
    assert typed == _digests(frame, drop=["age"]) == _digests(_frame())


def _last_evening(hour: int, second: int, *, zone: int) -> datetime.datetime:
    return datetime.datetime(9999, 12, 31, hour, 0, second, tzinfo=datetime.timezone(datetime.timedelta(hours=zone)))


NOON = [datetime.datetime(2024, 3, 31, 12, second, tzinfo=datetime.UTC) for second in range(3)]
NEVER = [datetime.date(9999, 12, 31), datetime.date(9999, 12, 30), None]
SAME: dict[str, list[Any]] = {
    "numbers": [
        np.array([1, 2, 3]),
        np.array([1.0, 2.0, 3.0]),
        np.array([1, 2, 3], dtype=np.uint8),
        pd.array([1, 2, 3], "Int64"),
        pd.Series([1, 2.0, 3], dtype=object),
        ["1", "2", "3.0"],
    ],
    "numbers and nothing": [
        [1.0, np.nan, 3.0],
        pd.array([1, None, 3], "Int64"),
        pd.Series([1, None, 3], dtype=object),
        ["1", None, "3"],
    ],
    "numbers and texts": [[1, "none", 3], ["1", "none", "3"], [1.0, "none", 3.0]],
    "texts": [
        ["a", None, "b"],
        ["a", np.nan, "b"],
        pd.array(["a", None, "b"], "string"),
        pd.Categorical(["a", None, "b"]),
    ],
    "odd texts": [["\ud800", "", "nan"], pd.Series(["\ud800", "", "nan"], dtype=object)],
    "booleans": [[True, False, True], pd.array([True, False, True], "boolean"), [1, 0, 1]],
    "booleans and nothing": [[True, False, None], [1, 0, np.nan], pd.array([True, False, None], "boolean")],
    "zeros": [[0.0, 1.0, -0.0], [0, 1, 0]],
    "times": [
        pd.Series(NOON),
        pd.Series(NOON).dt.tz_convert("Asia/Tokyo"),
        pd.Series(NOON).dt.tz_localize(None),
        pd.Series(NOON).dt.tz_localize(None).astype("datetime64[s]"),
        pd.Series(NOON, dtype=object),
        [moment.isoformat() for moment in NOON],
    ],
    "days": [["2024-03-31", "2024-04-01", None], pd.to_datetime(pd.Series(["2024-03-31", "2024-04-01", None]))],
    "times and nothing": [pd.Series([NOON[0], None, NOON[1]]), pd.Series([NOON[0], pd.NaT, NOON[1]], dtype=object)],
    "times that Python has in no other zone": [
        pd.Series([_last_evening(20, second, zone=-5) for second in range(3)], dtype=object),
        pd.Series([_last_evening(23, second, zone=-2) for second in range(3)], dtype=object),
    ],
    "days without end": [
        pd.Series(NEVER, dtype=object),
        pd.Series(np.array(NEVER, dtype="datetime64[s]")),
    ],
}


@pytest.mark.parametrize("columns", SAME.values(), ids=SAME)
def test_row_digests_are_equal_however_a_value_is_stored(columns: list[Any]) -> None:
    frames = [pd.DataFrame({"x": column, "y": ["a", "a", "b"]}) for column in columns]
    found = [_digests(frame, drop=[]) for frame in frames]
    assert found == [found[0]] * len(columns)
    assert len(set(found[0])) == 3


DIFFERENT = {
    "texts and nothing": ["None", None, "nan", ""],
    "numbers": [1, 1 + 1e-15, 10, -1],
    "cases": ["a", "A", "a ", " a"],
    "times": pd.to_datetime(["2024-03-31", "2024-03-31T00:00:00.000001", "2024-04-01", None], format="ISO8601"),
}


@pytest.mark.parametrize("column", DIFFERENT.values(), ids=DIFFERENT)
def test_row_digests_of_unlike_values_differ(column: Any) -> None:
    frame = pd.DataFrame({"x": column, "y": ["a"] * len(column), "z": 0})
    frame.loc[len(frame)] = [frame["x"].iloc[0], "b", 0]
    assert len(set(_digests(frame, drop=[]))) == len(frame)


def test_row_digests_differ_where_values_change_places() -> None:
    frame = pd.DataFrame({"x": [1, 2], "z": [2, 1], "y": ["a", "a"]})
    frame.loc[2] = [1, 2, "b"]
    assert len(set(_digests(frame, drop=[]))) == 3


def test_row_digests_take_dropped_columns_of_any_kind() -> None:
    odd = [[1], {"a": 1}, None, datetime.timedelta(1)]
    assert len(set(_digests(_frame(key=odd, age=1, sex="f", y=["a", "a", "a", "b"])))) == 4
    assert _digests(_frame(key=odd)) == _digests(_frame(key=odd).iloc[::-1])[::-1]


def test_row_digests_of_an_array_go_by_position() -> None:
    X = np.array([[1, 2], [1, 3], [1, 2]])
    whole = row_digests(dataset_from_arrays(X, ["a", "b", "a"])).tolist()
    assert whole[0] == whole[2] != whole[1]
    assert row_digests(dataset_from_arrays(X.astype(object), ["a", "b", "a"])).tolist() == whole
    assert row_digests(dataset_from_arrays(X.astype(float), ["a", "b", "a"]), [0, 1]).tolist() == whole
    assert len(set(row_digests(dataset_from_arrays(X, ["a", "b", "b"]), [0]).tolist())) == 2


def test_row_digests_stay_the_same_from_release_to_release() -> None:
    # Runs keep them.
    X = pd.DataFrame({"x": [1.5, None], "z": ["a", "b"], "t": pd.to_datetime(["2024-03-31", None])})
    assert row_digests(dataset_from_arrays(X, [0, 1])).tolist() == [2038146909185744594, 5419717727794136884]
