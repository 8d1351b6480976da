from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlwf.errors import DataError
from mlwf.modules.feature_store.matching import NO_MATCH, check_key, find_matches, utc_times
from mlwf.modules.feature_store.retrieval import take_rows

DAY = pd.Timestamp("2020-01-01", tz="UTC")


def times(*hours: float | None) -> pd.Series:
    return pd.Series([pd.NaT if hour is None else DAY + pd.Timedelta(hours=hour) for hour in hours]).dt.as_unit("us")


def keys(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"k": list(values)})


def by_brute_force(label_keys: Any, label_times: Any, source_keys: Any, source_times: Any, lifetime: Any) -> list[int]:
    found = []
    for (_, key), moment in zip(label_keys.iterrows(), label_times, strict=True):
        best = NO_MATCH
        for position, (_, other) in enumerate(source_keys.iterrows()):
            age = moment - source_times[position]
            if not (key == other).all() or not age >= pd.Timedelta(0) or (lifetime is not None and age > lifetime):
                continue
            if best == NO_MATCH or source_times[position] >= source_times[best]:
                best = position
        found.append(best)
    return found


@pytest.mark.parametrize("lifetime", [None, timedelta(hours=5)], ids=["endless", "5h"])
@pytest.mark.parametrize("n_keys", [1, 2], ids=["one key", "two keys"])
def test_matches_equal_those_of_a_plain_loop(lifetime: timedelta | None, n_keys: int) -> None:
    rng = np.random.default_rng(0)
    label_keys = pd.DataFrame(rng.integers(0, 5, (40, n_keys)))
    source_keys = pd.DataFrame(rng.integers(0, 4, (80, n_keys)))
    label_times, source_times = times(*rng.integers(0, 48, 40)), times(*rng.integers(0, 48, 80))
    found = find_matches(label_keys, label_times, source_keys, source_times, lifetime=lifetime)[0]
    expected = by_brute_force(label_keys, label_times, source_keys, source_times, lifetime)
    assert found.tolist() == expected
    assert {NO_MATCH} < set(expected)


def test_the_newest_row_of_each_key_is_found_and_any_unit_and_key_can_be_compared() -> None:
    far = pd.Series(pd.to_datetime(["1700-01-01", "2250-01-01", "2020-01-01", None], utc=True)).dt.as_unit("ns")
    source_keys = keys("b", "b", "a", "b")
    matches, newest = find_matches(keys(*"abc"), far[[1, 2, 1]].reset_index(drop=True), source_keys, far)
    assert matches.tolist() == [2, 0, NO_MATCH]
    assert newest.tolist() == [1, 2]
    many = pd.DataFrame({"k": np.arange(70_000) * 10**9, "other": np.arange(70_000)[::-1]})
    stamps = pd.Series([DAY] * 70_000)
    matches, newest = find_matches(many[::-7], stamps[::-7], many, stamps)
    assert (matches == many.index[::-7]).all()
    assert len(newest) == 70_000


def test_a_row_holds_from_its_own_moment_until_its_life_ends() -> None:
    label_times = times(0.999, 1, 4, 4.001)
    found = find_matches(keys(*"aaaa"), label_times, keys("a"), times(1), lifetime=timedelta(hours=3))[0]
    assert found.tolist() == [NO_MATCH, 0, 0, NO_MATCH]


def test_of_two_rows_at_one_time_the_one_created_last_holds() -> None:
    n = 200
    created = times(*np.random.default_rng(1).permutation(n))
    found = find_matches(keys("a"), times(5), keys(*["a"] * n), times(*[1] * n), created=created)[0]
    assert found.tolist() == [int(created.argmax())]


def test_null_keys_and_times_match_nothing() -> None:
    found = find_matches(keys("a", None, "a"), times(5, 5, None), keys("a", None, "a"), times(1, 1, None))[0]
    assert found.tolist() == [0, NO_MATCH, NO_MATCH]


def test_rows_without_any_key_are_matched_by_time_alone() -> None:
    none = pd.DataFrame(index=range(2))
    assert find_matches(none, times(0, 9), none, times(1, 2))[0].tolist() == [NO_MATCH, 1]


def test_times_in_nanoseconds_are_not_rounded_into_the_past() -> None:
    later = pd.Series([DAY + pd.Timedelta(1, "ns")])
    assert find_matches(keys("a"), times(0), keys("a"), later)[0].tolist() == [NO_MATCH]


@pytest.mark.parametrize(
    ("label", "source"),
    [
        (pd.Series([1.0, 2.0, np.nan]), pd.Series([2, 1, 3])),
        (pd.Series([1, 2, None], dtype="Int64"), pd.Series([2, 1, 3], dtype="int32")),
        (pd.Series(["1", "2", None], dtype="category"), pd.Series(["2", "1", "3"])),
        (pd.Series(["1", "2", None], dtype="string"), pd.Series(["2", "1", "3"], dtype="category")),
        (pd.Series([True, False, None]), pd.Series([False, True, True])),
    ],
    ids=["float with integer", "Int64 with int32", "category with text", "string with category", "boolean"],
)
def test_keys_of_one_kind_match_whatever_their_dtype(label: pd.Series, source: pd.Series) -> None:
    check_key(label, source, "v")
    found = find_matches(label.to_frame("k"), times(5, 5, 5), source.to_frame("k"), times(1, 1, 1))[0]
    assert found[:2].tolist() in ([1, 0], [2, 0])
    assert found[2] == NO_MATCH


def test_large_integer_keys_are_kept_apart() -> None:
    found = find_matches(keys(2**60 + 1), times(5), keys(2**60, 2**60 + 1, 2**60 + 2), times(1, 1, 1))[0]
    assert found.tolist() == [1]


def test_keys_of_two_kinds_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        check_key(pd.Series([1, 2], name="plane"), pd.Series(["1", "2"]), "planes")
    assert str(caught.value) == (
        "plane: key holds numbers in the label rows, text in the feature view planes; save both as the same type"
    )


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        (pa.array([1, 2]), "float64", [2, 1, None]),
        (pa.array([1, 2**60 + 1]), "Int64", [2**60 + 1, 1, None]),
        (pa.array([1, 2], pa.uint64()), "float64", [2, 1, None]),
        (pa.array([2**64 - 1, 2], pa.uint64()), "UInt64", [2, 2**64 - 1, None]),
        (pa.array([1.5, 2.5]), "float64", [2.5, 1.5, None]),
        (pa.array([True, False]), "object", [False, True, None]),
        (pa.array(["a", "b"]), "object", ["b", "a", None]),
        (pa.array(["a", "b"]).dictionary_encode(), "object", ["b", "a", None]),
        (pa.array([date(1950, 1, 2), date(2020, 1, 1)]), "object", [date(2020, 1, 1), date(1950, 1, 2), None]),
        (pa.array([DAY, DAY], pa.timestamp("us", "UTC")), "datetime64[us, UTC]", [DAY, DAY, None]),
        (pa.array([None, None]), "object", [None, None, None]),
        (pa.array([None, None], pa.int64()), "float64", [None, None, None]),
    ],
    ids=["integer", "large integer", "unsigned", "large unsigned", "float", "boolean", "text", "dictionary", "date",
         "timestamp", "null", "null integer"],
)  # fmt: skip
def test_values_survive_the_trip(column: pa.Array, dtype: str, expected: list[Any]) -> None:
    index = pd.Index([7, 7, 3])
    taken = take_rows(pa.chunked_array([column[:1], column[1:]]), np.array([1, 0, NO_MATCH]), index)
    assert str(taken.dtype) == dtype
    assert [None if pd.isna(value) else value for value in taken] == expected
    assert taken.index is index


def test_integers_without_nulls_stay_integers() -> None:
    taken = take_rows(pa.chunked_array([pa.array([1, 2], pa.int8())]), np.array([1, 0]), pd.RangeIndex(2))
    assert (str(taken.dtype), taken.tolist()) == ("int8", [2, 1])


@pytest.mark.parametrize(
    "values",
    [
        ["2020-01-01T02:00:00", None],
        ["2020-01-01 03:00+01:00", None],
        [pd.Timestamp("2020-01-01 02:00"), pd.NaT],
        [pd.Timestamp("2020-01-01 03:00", tz="Europe/Paris"), pd.NaT],
    ],
    ids=["text", "text with a zone", "naive", "another zone"],
)
def test_times_are_read_as_utc(values: list[Any]) -> None:
    read = utc_times(pd.Series(values), "t")
    assert read[0] == pd.Timestamp("2020-01-01 02:00", tz="UTC")
    assert pd.isna(read[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], "t: holds numbers, no times; accepted: timestamps, dates, ISO 8601 text"),
        (["2020-01-01", "soon"], "t: 'soon' is no time; accepted: ISO 8601, such as 2013-06-01T12:00:00Z"),
    ],
    ids=["numbers", "text"],
)
def test_what_is_no_time_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        utc_times(pd.Series(values), "t")
    assert str(caught.value) == message
