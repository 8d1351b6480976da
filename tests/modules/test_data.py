"""What is checked before anything is fitted, with a line a problem, and how a table is split into its parts."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from mlwf.errors import DataError
from mlwf.modules.data import Dataset, check_class_counts, dataset_from_arrays, prepare, select_features
from mlwf.specs.data import DataSpec
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    FeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
)


def _frame(**columns: Any) -> pd.DataFrame:
    """Ten rows with two numbers, a text and a target, or what `columns` says instead."""
    base: dict[str, Any] = {
        "age": [20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
        "fare": [0.5, 1.5, None, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5],
        "sex": ["f", "m", None, "f", "m", "f", "m", "f", "m", "f"],
        "survived": ["no", "yes"] * 5,
    }
    return pd.DataFrame(base | columns)


def _spec(**keys: Any) -> DataSpec:
    return DataSpec(**({"path": "t.csv", "target": "survived"} | keys))


def _problems(frame: pd.DataFrame, **keys: Any) -> list[str]:
    options = {key: keys.pop(key) for key in ("features", "where", "reference") if key in keys}
    with pytest.raises(DataError) as caught:
        prepare(frame, _spec(**keys), **options)
    return str(caught.value).splitlines()


def _ten(first: Any, other: Any = None) -> list[Any]:
    return [first] * 5 + [first if other is None else other] * 5


# Telling a table apart


def test_prepare_makes_every_column_without_another_part_a_feature() -> None:
    frame = _frame(key=range(10), weight=[1.0] * 10, when=["2024-03-31"] * 10)
    dataset = prepare(frame, _spec(drop=["key"], sample_weight="weight", time="when"))
    assert list(dataset.X.columns) == ["age", "fare", "sex"]
    assert list(dataset.other.columns) == ["key", "weight", "when"]
    assert dataset.y.tolist() == ["no", "yes"] * 5
    assert dataset.weight is not None
    assert dataset.weight.tolist() == [1.0] * 10
    assert dataset.time is not None
    assert dataset.time.tolist() == [pd.Timestamp("2024-03-31")] * 10
    assert (len(dataset), dataset.n_dropped_target, dataset.source) == (10, 0, "t.csv")


def test_prepare_carries_groups_and_folds_that_are_no_features() -> None:
    frame = _frame(person=["ann", "bob"] * 5, part=[1, 2] * 5)
    dataset = prepare(frame, _spec(groups="person", fold="part"))
    assert list(dataset.X.columns) == ["age", "fare", "sex"]
    assert list(dataset.other.columns) == ["person", "part"]
    assert dataset.groups is not None
    assert (dataset.groups.tolist(), str(dataset.groups.dtype)) == (["ann", "bob"] * 5, "object")
    assert dataset.fold is not None
    assert (dataset.fold.tolist(), str(dataset.fold.dtype)) == ([1, 2] * 5, "int64")


NAMES: dict[str, tuple[Any, list[Any], str]] = {
    "texts of pandas": (pd.array(_ten("a", "b"), "string"), _ten("a", "b"), "object"),
    "categories": (pd.Categorical(_ten("a", "b")), _ten("a", "b"), "object"),
    "large numbers": (pd.array(_ten(2**62, 2**62 + 1), "Int64"), _ten(2**62, 2**62 + 1), "int64"),
    "booleans": (_ten(True, False), _ten(True, False), "bool"),
    "dates": (pd.to_datetime(_ten("2024-03-31", "2024-04-01")), _ten("2024-03-31", "2024-04-01"), "object"),
    "days": (_ten(datetime.date(2024, 3, 31)), _ten("2024-03-31"), "object"),
}


@pytest.mark.parametrize(("names", "expected", "dtype"), NAMES.values(), ids=NAMES)
def test_prepare_gives_groups_in_plain_types(names: Any, expected: list[Any], dtype: str) -> None:
    groups = prepare(_frame(person=names), _spec(groups="person")).groups
    assert groups is not None
    assert (groups.tolist(), str(groups.dtype)) == (expected, dtype)


def test_prepare_leaves_out_the_groups_of_rows_without_a_target() -> None:
    frame = _frame(survived=[None, "no", *["yes", "no"] * 4], person=[None, *range(9)], part=[None, *range(9)])
    dataset = prepare(frame, _spec(groups="person", fold="part", drop_missing_target=True))
    assert dataset.groups is not None
    assert dataset.groups.tolist() == list(range(9))
    assert dataset.fold is not None
    assert dataset.fold.tolist() == list(range(9))


def test_prepare_keeps_listed_features_in_the_order_of_the_table() -> None:
    features = [CategoricalFeatureSpec(columns=["sex"]), NumericFeatureSpec(columns=["age"])]
    dataset = prepare(_frame(), _spec(), features=features)
    assert list(dataset.X.columns) == ["age", "sex"]
    assert list(dataset.other.columns) == ["fare"]


def test_prepare_drops_rows_without_a_target_where_the_spec_says_so() -> None:
    frame = _frame(survived=["no", None, "yes", None, *["no", "yes"] * 3])
    dataset = prepare(frame, _spec(drop_missing_target=True, drop=["fare"]))
    assert dataset.n_dropped_target == 2
    assert dataset.X["age"].tolist() == [20, 22, 24, 25, 26, 27, 28, 29]
    assert dataset.other["fare"].tolist()[2:] == [4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert dataset.y.tolist() == ["no", "yes", *["no", "yes"] * 3]
    assert dataset.X.index.tolist() == list(range(8))


def test_prepare_counts_rows_as_the_file_does_when_some_are_dropped() -> None:
    frame = _frame(survived=[None, "no", *["yes", "no"] * 4], fare=[1.0] * 9 + [np.inf])
    assert _problems(frame, drop_missing_target=True) == [
        "t.csv  fare: 1 infinite value: row 10 holds inf; replace infinities, or leave the field empty"
    ]


LABELS: dict[str, tuple[Any, list[Any], str]] = {
    "texts": (_ten("a", "b"), _ten("a", "b"), "object"),
    "categories": (pd.Categorical(_ten("a", "b")), _ten("a", "b"), "object"),
    "texts of pandas": (pd.array(_ten("a", "b"), "string"), _ten("a", "b"), "object"),
    "booleans": (_ten(True, False), _ten(True, False), "bool"),
    "booleans as objects": (pd.Series(_ten(True, False), dtype=object), _ten(True, False), "bool"),
    "numbers": (np.array(_ten(0, 1), dtype=np.int8), _ten(0, 1), "int64"),
    "whole floats": (_ten(0.0, 1.0), _ten(0, 1), "int64"),
    "nullable numbers": (pd.array(_ten(0, 1), "Int64"), _ten(0, 1), "int64"),
    "numbers as objects": (pd.Series(_ten(0, 1), dtype=object), _ten(0, 1), "int64"),
}


@pytest.mark.parametrize(("target", "labels", "dtype"), LABELS.values(), ids=LABELS)
def test_prepare_gives_labels_in_plain_types(target: Any, labels: list[Any], dtype: str) -> None:
    y = prepare(_frame(survived=target), _spec()).y
    assert (y.tolist(), str(y.dtype)) == (labels, dtype)
    assert type(y.tolist()[0]) is type(labels[0])


PLAIN: dict[str, tuple[Any, list[Any], str]] = {
    "nullable numbers": (pd.array([1, None], "Int64"), [1.0, None], "float64"),
    "nullable numbers without null": (pd.array([1, 2], "Int32"), [1, 2], "int32"),
    "nullable booleans": (pd.array([True, None], "boolean"), [True, None], "object"),
    "nullable booleans without null": (pd.array([True, False], "boolean"), [True, False], "bool"),
    "texts of pandas": (pd.array(["a", None], "string"), ["a", None], "object"),
    "categories": (pd.Categorical(["a", None]), ["a", None], "object"),
    "categories that are numbers": (pd.Categorical([1, 2]), [1, 2], "int64"),
    "arrow numbers": (pd.array([1, None], "int64[pyarrow]"), [1.0, None], "float64"),
    "arrow texts": (pd.array(["a", None], "string[pyarrow]"), ["a", None], "object"),
    "objects with NaN": (pd.Series(["a", np.nan], dtype=object), ["a", None], "object"),
    "objects with NA": (pd.Series(["a", pd.NA], dtype=object), ["a", None], "object"),
    "sparse": (pd.arrays.SparseArray([0.0, 1.0]), [0.0, 1.0], "float64"),
}


@pytest.mark.parametrize(("values", "expected", "dtype"), PLAIN.values(), ids=PLAIN)
def test_prepare_gives_features_in_plain_types(values: Any, expected: list[Any], dtype: str) -> None:
    frame = pd.DataFrame({"x": values, "survived": ["no", "yes"]})
    column = prepare(frame, _spec()).X["x"]
    assert str(column.dtype) == dtype
    assert [None if value != value else value for value in column.tolist()] == expected


def test_prepare_reads_times_with_a_zone_as_utc() -> None:
    frame = _frame(when=_ten("2024-03-31T12:00:00Z", "2024-03-31T12:00:00+02:00"))
    time = prepare(frame, _spec(time="when")).time
    assert time is not None
    assert time.tolist() == _ten(pd.Timestamp("2024-03-31T12:00Z"), pd.Timestamp("2024-03-31T10:00Z"))


def test_prepare_reads_listed_numbers_from_texts() -> None:
    frame = _frame(age=[" 1", "2.5", None, *["3e2"] * 7])
    X = prepare(frame, _spec(), features=[NumericFeatureSpec(columns=["age"])]).X
    assert X["age"].fillna(-1).tolist() == [1.0, 2.5, -1.0, *[300.0] * 7]


# The digest


CHANGES: dict[str, dict[str, Any]] = {
    "a number": {"age": [20, 21, 22, 23, 24, 25, 26, 27, 28, 30]},
    "a type": {"age": np.arange(20.0, 30.0)},
    "a text": {"sex": ["f", "m", None, "f", "m", "f", "m", "f", "m", "m"]},
    "a null for a text": {"sex": ["f", "m", "None", "f", "m", "f", "m", "f", "m", "f"]},
    "where a text ends": {"sex": ["fm", "", None, "f", "m", "f", "m", "f", "m", "f"]},
    "a label": {"survived": ["yes", "yes", *["no", "yes"] * 4]},
    "another column": {"more": range(10)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_digest_changes_with_the_content(change: dict[str, Any]) -> None:
    assert prepare(_frame(**change), _spec()).digest != prepare(_frame(), _spec()).digest


def test_digest_changes_with_the_part_of_a_column() -> None:
    digests = {
        prepare(_frame(), _spec()).digest,
        prepare(_frame(), _spec(drop=["age"])).digest,
        prepare(_frame(), _spec(sample_weight="age")).digest,
        prepare(_frame().iloc[::-1], _spec()).digest,
        prepare(_frame()[["fare", "age", "sex", "survived"]], _spec()).digest,
        prepare(_frame().rename(columns={"age": "years"}), _spec()).digest,
    }
    assert len(digests) == 6


def test_digest_changes_with_what_rows_carry() -> None:
    specs = [_spec(drop=["age"]), _spec(groups="age"), _spec(fold="age"), _spec(groups="age", fold="age")]
    assert len({prepare(_frame(), spec).digest for spec in specs}) == 4


def test_digests_of_objects_of_different_types_differ() -> None:
    columns = [[1, "a"], ["1", "a"], [True, "a"], [1.0, "a"]]
    frames = [pd.DataFrame({"x": pd.Series(x, dtype=object), "survived": ["no", "yes"]}) for x in columns]
    assert len({prepare(frame, _spec()).digest for frame in frames}) == 4


def test_digest_knows_times_and_dropped_columns() -> None:
    day = pd.date_range("2024-03-31", periods=10)
    frames = [_frame(when=day), _frame(when=day + pd.Timedelta("1ns")), _frame(when=day.tz_localize("UTC"))]
    assert len({prepare(frame, _spec(drop=["when"])).digest for frame in frames}) == 3


def test_digest_does_not_depend_on_index_source_or_null() -> None:
    frame = _frame().set_index(pd.Index(range(5, 15)))
    other = _frame(sex=_frame()["sex"].fillna(np.nan))
    digests = [prepare(f, _spec(path=path)).digest for f, path in ((_frame(), "a"), (frame, "b"), (other, "c"))]
    assert len(set(digests)) == 1


# What is refused


def test_prepare_reports_every_absent_column_with_the_nearest_name() -> None:
    spec = [NumericFeatureSpec(columns=["agge", "fare"])]
    assert _problems(
        _frame(),
        target="survivd",
        sample_weight="wght",
        time="when",
        groups="who",
        fold="part",
        drop=["sexe"],
        features=spec,
        where="x.csv",
    ) == [
        "x.csv  survivd: no such column, which data.target names; did you mean survived?",
        "x.csv  wght: no such column, which data.sample_weight names; accepted: age, fare, sex, survived",
        "x.csv  when: no such column, which data.time names; accepted: age, fare, sex, survived",
        "x.csv  who: no such column, which data.groups names; accepted: age, fare, sex, survived",
        "x.csv  part: no such column, which data.fold names; accepted: age, fare, sex, survived",
        "x.csv  sexe: no such column, which data.drop names; did you mean sex?",
        "x.csv  agge: no such column, which features names; did you mean age?",
    ]


def test_prepare_does_not_list_the_names_of_a_wide_table() -> None:
    frame = pd.DataFrame(np.zeros((4, 30)), columns=[f"x{i}" for i in range(30)])
    assert _problems(frame) == ["t.csv  survived: no such column, which data.target names; the table has 30 columns"]


TARGETS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "nulls": (
        ["a", "b", None, None, None, *"ababa"],
        {},
        "3 of 10 values missing in the target; data.drop_missing_target: true leaves these rows out",
    ),
    "nulls only": (
        [None] * 10,
        {"drop_missing_target": True},
        "all values are missing; a target has a class in every row",
    ),
    "one class": (_ten("a"), {}, "has one class, 'a'; a classifier needs at least two"),
    "one class beside nulls": (
        ["a"] * 9 + [None],
        {"drop_missing_target": True},
        "has one class, 'a'; a classifier needs at least two",
    ),
    "fractions": (
        _ten(1, 2.5),
        {},
        (
            "row 6 holds 2.5: looks like a regression target; "
            "if they are classes, data.types: {survived: text} takes them so"
        ),
    ),
    "infinity": (
        _ten(1, np.inf),
        {},
        (
            "row 6 holds inf: looks like a regression target; "
            "if they are classes, data.types: {survived: text} takes them so"
        ),
    ),
    "dates": (
        pd.date_range("2024-03-31", periods=10),
        {},
        "holds dates; accepted as classes: texts, whole numbers, true and false",
    ),
    "a mix": (
        _ten("a", 1),
        {},
        "holds mixed values; accepted as classes: texts, whole numbers, true and false",
    ),
    "no such positive class": (
        _ten("a", "b"),
        {"positive_class": "c"},
        "data.positive_class is the text 'c', which does not occur; accepted: 'a', 'b'",
    ),
    "a number for a text": (
        _ten("1", "0"),
        {"positive_class": 1},
        "data.positive_class is the number 1, which does not occur; the class is the text '1': write \"1\"",
    ),
    "a text for a number": (
        _ten(1, 0),
        {"positive_class": "1"},
        "data.positive_class is the text '1', which does not occur; the class is the number 1: write 1",
    ),
    "a boolean for a number": (
        _ten(1, 0),
        {"positive_class": True},
        "data.positive_class is the boolean true, which does not occur; accepted: 0, 1",
    ),
    "a boolean for a text": (
        _ten("True", "False"),
        {"positive_class": True},
        "data.positive_class is the boolean true, which does not occur; the class is the text 'True': write \"True\"",
    ),
    "another case": (
        _ten("Yes", "No"),
        {"positive_class": "yes"},
        "data.positive_class is the text 'yes', which does not occur; the class is the text 'Yes': write \"Yes\"",
    ),
    "three classes": (
        ["a", "b", "c", *_ten("a")][:10],
        {"positive_class": "a"},
        "data.positive_class is 'a', yet there are 3 classes; leave it out; it is for targets of two classes",
    ),
}


@pytest.mark.parametrize(("target", "keys", "message"), TARGETS.values(), ids=TARGETS)
def test_prepare_refuses_a_target(target: Any, keys: dict[str, Any], message: str) -> None:
    assert _problems(_frame(survived=target), **keys) == [f"t.csv  survived: {message}"]


@pytest.mark.parametrize(
    ("classes", "positive"), [([0, 1], 1), ([0, 1], 1.0), ([True, False], False), (["a", "b"], "a")]
)
def test_prepare_accepts_a_positive_class_that_occurs(classes: list[Any], positive: Any) -> None:
    assert len(prepare(_frame(survived=_ten(*classes)), _spec(positive_class=positive))) == 10


def test_prepare_refuses_many_numbers_as_a_target() -> None:
    frame = pd.DataFrame({"x": range(1020), "survived": np.arange(1020) % 51})
    assert _problems(frame) == [
        (
            "t.csv  survived: holds 51 different numbers from 0 to 50: looks like a regression target; "
            "if they are classes, data.types: {survived: text} takes them so"
        )
    ]
    assert len(prepare(frame.astype({"survived": str}), _spec())) == 1020
    assert len(prepare(frame.replace({"survived": {50: 0}}), _spec())) == 1020


def test_prepare_refuses_an_identifier_as_a_target() -> None:
    frame = pd.DataFrame({"x": range(100), "survived": [f"name {i}" for i in range(100)]})
    assert _problems(frame) == [
        (
            "t.csv  survived: has 100 classes in 100 rows: looks like an identifier or free text; "
            "a class needs rows to learn it from"
        )
    ]


WEIGHTS: dict[str, tuple[Any, list[str]]] = {
    "nulls": ([None, *[1.0] * 9], ["1 of 10 values missing, and every row needs a weight"]),
    "texts": ([1, "heavy", *[1] * 8], ["holds mixed values, and a weight is a number"]),
    "a text": (["1", "heavy", *["1"] * 8], ["row 2 holds 'heavy', and a weight is a number"]),
    "dates": (pd.date_range("2024-03-31", periods=10), ["holds dates, and a weight is a number"]),
    "zeros": ([0] * 10, ["all weights are 0"]),
    "negative and infinite": (
        [1.0, -2.0, np.inf, *[1.0] * 7],
        [
            "1 infinite value: row 3 holds inf; replace infinities, or leave the field empty",
            "row 2 holds -2.0, and a weight is at least 0",
        ],
    ),
}


@pytest.mark.parametrize(("weight", "messages"), WEIGHTS.values(), ids=WEIGHTS)
def test_prepare_refuses_a_sample_weight(weight: Any, messages: list[str]) -> None:
    problems = _problems(_frame(weight=weight), sample_weight="weight")
    assert problems == [f"t.csv  weight: {message}" for message in messages]


TIMES: dict[str, tuple[Any, str]] = {
    "nulls": (["2024-03-31", None] * 5, "5 of 10 values missing, and every row needs a time"),
    "booleans": (
        [True, False] * 5,
        "holds booleans; accepted: times such as 2024-03-31T12:30:00, or numbers such as a year",
    ),
    "words": (
        ["2024-03-31", "soon"] * 5,
        "row 2 holds 'soon', which is no time; accepted: times such as 2024-03-31T12:30:00, or numbers such as a year",
    ),
}


@pytest.mark.parametrize(("time", "message"), TIMES.values(), ids=TIMES)
def test_prepare_refuses_a_time(time: Any, message: str) -> None:
    assert _problems(_frame(when=time), time="when") == [f"t.csv  when: {message}"]


ISO = "accepted: 2024-03-31 or 2024-03-31T12:30:00, with or without a time zone"
FEATURES: dict[str, tuple[Any, FeatureSpec, str]] = {
    "numeric texts": (
        ["1", "x", "y", *["a"] * 7],
        NumericFeatureSpec(columns=["x"]),
        "row 2 holds 'x', which is no number (9 of 10 values are none); accepted for texts: type: categorical",
    ),
    "numeric mix": (
        [1, "?", *[2.5] * 18],
        NumericFeatureSpec(columns=["x"]),
        (
            "row 2 holds '?', which is no number (1 of 20 values are none); "
            "if it means a missing value, add it to data.read.na_values"
        ),
    ),
    "numeric hash": (
        ["8e2569614270", *[2.5] * 19],
        NumericFeatureSpec(columns=["x"]),
        (
            "row 1 holds '8e2569614270', which is no number (1 of 20 values are none); "
            "if it means a missing value, add it to data.read.na_values"
        ),
    ),
    "long text": (
        ["word " * 20] * 10,
        NumericFeatureSpec(columns=["x"]),
        (
            "row 1 holds 'word word word word word word word ...', which is no number (10 of 10 values are none); "
            "accepted for texts: type: categorical"
        ),
    ),
    "numeric dates": (
        pd.date_range("2024-03-31", periods=10),
        NumericFeatureSpec(columns=["x"]),
        "holds dates, and its type is numeric; accepted for dates: type: date",
    ),
    "numeric infinities": (
        [0.0, -np.inf, np.inf, *[1.0] * 7],
        NumericFeatureSpec(columns=["x"]),
        "2 infinite values: row 2 holds -inf; replace infinities, or leave the field empty",
    ),
    "numbers as good as infinite": (
        [1e300, None, -1e151, *[1e150] * 7],
        NumericFeatureSpec(columns=["x"]),
        "2 values beyond 1e+150: row 1 holds 1e+300; if it means a missing value, leave the field empty",
    ),
    "infinity as text": (
        ["1", "inf", *["2"] * 8],
        NumericFeatureSpec(columns=["x"]),
        "1 infinite value: row 2 holds inf; replace infinities, or leave the field empty",
    ),
    "boolean texts": (
        ["yes", "no"] * 5,
        BooleanFeatureSpec(columns=["x"]),
        (
            "row 1 holds 'yes', which is neither true nor false; "
            "accepted: true and false, 1 and 0; type: categorical takes any two texts"
        ),
    ),
    "boolean numbers": (
        [0, 1, 2, *[1] * 7],
        BooleanFeatureSpec(columns=["x"]),
        (
            "row 3 holds 2, which is neither true nor false; "
            "accepted: true and false, 1 and 0; type: categorical takes any two texts"
        ),
    ),
    "unlisted category": (
        ["low", "high", "medium", "medium", *["low"] * 6],
        OrdinalFeatureSpec(columns=["x"], categories=["low", "high"]),
        "row 3 holds 'medium', which is not among the categories (2 such rows); listed: 'low', 'high'",
    ),
    "date words": (
        ["2024-03-31", "soon", *["2024-03-31T12:30:00+01:00"] * 8],
        DateFeatureSpec(columns=["x"]),
        f"row 2 holds 'soon', which is no date (1 of 10 values are none); {ISO}",
    ),
    "no such day": (
        ["2024-03-31", "2024-02-30", *["2024-03-31"] * 8],
        DateFeatureSpec(columns=["x"]),
        f"row 2 holds '2024-02-30', which is no date (1 of 10 values are none); {ISO}",
    ),
    "date numbers": (
        range(10),
        DateFeatureSpec(columns=["x"]),
        "holds numbers, and its type is date; accepted: dates such as 2024-03-31",
    ),
    "nothing": (
        [None] * 10,
        CategoricalFeatureSpec(columns=["x"]),
        "all values are missing; take it out of the features",
    ),
    "lists": (
        [[1, 2]] * 10,
        CategoricalFeatureSpec(columns=["x"]),
        "holds lists, which no feature can be; take it out of the features",
    ),
}


def _one_feature(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": values, "survived": (["no", "yes"] * len(values))[: len(values)]})


@pytest.mark.parametrize(("values", "spec", "message"), FEATURES.values(), ids=FEATURES)
def test_prepare_refuses_a_feature(values: Any, spec: FeatureSpec, message: str) -> None:
    assert _problems(_one_feature(values), features=[spec]) == [f"t.csv  x: {message}"]


ACCEPTED: dict[str, tuple[Any, FeatureSpec]] = {
    "booleans as numbers": ([True, False], NumericFeatureSpec(columns=["x"])),
    "decimals as numbers": ([Decimal("1.5"), None], NumericFeatureSpec(columns=["x"])),
    "numbers as booleans": ([0.0, 1.0], BooleanFeatureSpec(columns=["x"])),
    "booleans with nulls": ([True, None], BooleanFeatureSpec(columns=["x"])),
    "numbers as categories": ([1, 2.5], CategoricalFeatureSpec(columns=["x"])),
    "mixed values as categories": (["a", 1], CategoricalFeatureSpec(columns=["x"])),
    "days as categories": ([datetime.date(2024, 3, 31), None], CategoricalFeatureSpec(columns=["x"])),
    "numbers as ordinal texts": ([1.0, 2.0], OrdinalFeatureSpec(columns=["x"], categories=["1", "2"])),
    "objects as dates": ([datetime.date(2024, 3, 31), None], DateFeatureSpec(columns=["x"])),
    "texts as dates": (["2024-03-31", "2024-03-31T12:30Z"], DateFeatureSpec(columns=["x"])),
}


@pytest.mark.parametrize(("values", "spec"), ACCEPTED.values(), ids=ACCEPTED)
def test_prepare_accepts_a_feature(values: Any, spec: FeatureSpec) -> None:
    assert list(prepare(_one_feature(values), _spec(), features=[spec]).X.columns) == ["x"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[1], None], "lists"),
        ([(1,), None], "lists"),
        ([np.array([1]), None], "lists"),
        ([{"a": 1}, None], "maps"),
        ([b"a", None], "bytes"),
        ([datetime.time(1), None], "times of day"),
        (pd.to_timedelta([1, 2], "h"), "durations"),
        ([1j, 2j], "complex128 values"),
        ([object(), "a"], "object objects"),
        (pd.period_range("2024", periods=2, freq="M"), "Period objects"),
    ],
    ids=["lists", "tuples", "arrays", "maps", "bytes", "times", "durations", "complex", "objects", "periods"],
)
def test_prepare_refuses_what_no_feature_can_be(values: Any, kind: str) -> None:
    assert _problems(_one_feature(values)) == [f"t.csv  x: holds {kind}, which no feature can be; add it to data.drop"]
    assert list(prepare(_one_feature(values).assign(z=[1, 2]), _spec(drop=["x"])).X.columns) == ["z"]


def test_prepare_leaves_empty_columns_to_the_inference() -> None:
    assert prepare(_one_feature([None] * 4), _spec()).X["x"].tolist() == [None] * 4


@pytest.mark.parametrize(("key", "noun"), [("groups", "group"), ("fold", "fold")])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", None] * 5, "5 of 10 values missing, and every row needs a {noun}"),
        ([None] * 10, "10 of 10 values missing, and every row needs a {noun}"),
        (
            ["a", 1] * 5,
            "holds mixed values, and a {noun} is a name; accepted: texts, numbers, dates, true and false",
        ),
        ([[1]] * 10, "holds lists, and a {noun} is a name; accepted: texts, numbers, dates, true and false"),
    ],
    ids=["some missing", "all missing", "mixed", "lists"],
)
def test_prepare_refuses_groups_and_folds(values: Any, message: str, key: str, noun: str) -> None:
    assert _problems(_frame(part=values), **{key: "part"}) == [f"t.csv  part: {message.format(noun=noun)}"]


def test_prepare_reports_the_problems_of_all_parts_at_once() -> None:
    frame = _frame(survived=["no", None, *["yes", "no"] * 4], age=[np.inf, *range(9)], weight=[-1] * 10)
    features = [NumericFeatureSpec(columns=["age", "sex", "gone"])]
    assert _problems(frame, sample_weight="weight", features=features) == [
        "t.csv  gone: no such column, which features names; accepted: age, fare, sex, survived, weight",
        "t.csv  survived: 1 of 10 values missing in the target; data.drop_missing_target: true leaves these rows out",
        "t.csv  weight: row 1 holds -1, and a weight is at least 0",
        "t.csv  age: 1 infinite value: row 1 holds inf; replace infinities, or leave the field empty",
        (
            "t.csv  sex: row 1 holds 'f', which is no number (8 of 8 values are none); "
            "accepted for texts: type: categorical"
        ),
    ]


def test_prepare_refuses_the_target_and_other_parts_as_features() -> None:
    features = [CategoricalFeatureSpec(columns=["survived", "sex"]), NumericFeatureSpec(columns=["age", "fare"])]
    assert _problems(_frame(), features=features, drop=["sex"], sample_weight="age") == [
        "t.csv  survived: is a feature and also data.target",
        "t.csv  sex: is a feature and also data.drop",
        "t.csv  age: is a feature and also data.sample_weight",
    ]


def test_prepare_refuses_groups_and_folds_as_features() -> None:
    features = [CategoricalFeatureSpec(columns=["sex"]), NumericFeatureSpec(columns=["age"])]
    assert _problems(_frame(sex="f"), features=features, groups="sex", fold="age") == [
        "t.csv  sex: is a feature and also data.groups",
        "t.csv  age: is a feature and also data.fold",
    ]


def test_prepare_refuses_a_table_of_a_target_alone() -> None:
    assert _problems(_frame()[["survived"]]) == ["t.csv  no column is left to be a feature"]


# Test tables


def _trained(**columns: Any) -> Dataset:
    return prepare(_frame(**columns), _spec())


def test_prepare_takes_a_test_table_in_any_order_and_with_one_class() -> None:
    frame = _frame(more=1, survived="yes", fare=None)[["more", "survived", "sex", "fare", "age"]]
    dataset = prepare(frame, _spec(drop=["gone"]), reference=_trained(), where="test.csv")
    assert list(dataset.X.columns) == ["age", "fare", "sex"]
    assert list(dataset.other.columns) == ["more"]
    assert dataset.source == "test.csv"


def test_prepare_takes_a_test_table_without_groups_and_folds() -> None:
    trained = prepare(_frame(person=range(10), part=range(10)), _spec(groups="person", fold="part"))
    dataset = prepare(_frame(), _spec(groups="person", fold="part"), reference=trained)
    assert (dataset.groups, dataset.fold) == (None, None)


def test_prepare_takes_the_groups_of_a_test_table_and_not_its_folds() -> None:
    trained = prepare(_frame(person=range(10), part=range(10)), _spec(groups="person", fold="part"))
    dataset = prepare(_frame(person=7, part=None), _spec(groups="person", fold="part"), reference=trained)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == [7] * 10
    assert dataset.fold is None
    assert list(dataset.X.columns) == ["age", "fare", "sex"]


def test_prepare_refuses_a_test_table_that_lacks_a_feature() -> None:
    frame = _frame().rename(columns={"age": "years"})
    assert _problems(frame, reference=_trained(), where="test.csv") == [
        "test.csv  age: no such column, which training names; accepted: fare, sex, survived, years"
    ]


def test_prepare_refuses_classes_that_training_had_not() -> None:
    frame = _frame(survived=["no", "Yes", "maybe", "maybe", *["yes"] * 6])
    assert _problems(frame, reference=_trained(), where="test.csv") == [
        "test.csv  survived: class 'Yes' (1 row) does not occur in training; the class there is the text 'yes'",
        "test.csv  survived: class 'maybe' (2 rows) does not occur in training; accepted: 'no', 'yes'",
    ]


def test_prepare_refuses_classes_of_another_type_than_in_training() -> None:
    assert _problems(_frame(survived=["0", "1"] * 5), reference=_trained(survived=[0, 1] * 5), where="test.csv") == [
        "test.csv  survived: class '0' (5 rows) does not occur in training; the class there is the number 0",
        "test.csv  survived: class '1' (5 rows) does not occur in training; the class there is the number 1",
    ]


def test_prepare_accepts_unlisted_categories_in_a_test_table() -> None:
    spec = [OrdinalFeatureSpec(columns=["sex"], categories=["m", "f"])]
    reference = prepare(_frame(), _spec(), features=spec)
    assert len(prepare(_frame(sex="x"), _spec(), features=spec, reference=reference)) == 10


# Tables to predict on


def test_select_features_picks_and_checks_by_name() -> None:
    features = [CategoricalFeatureSpec(columns=["sex"]), NumericFeatureSpec(columns=["age"])]
    frame = _frame(age=["1", "2.5"] * 5, sex=None)
    X = select_features(frame, features, where="new.csv")
    assert X["age"].tolist() == [1.0, 2.5] * 5
    assert X["sex"].tolist() == [None] * 10
    assert list(X.columns) == ["age", "sex"]
    assert list(select_features(frame, ["sex"], where="new.csv").columns) == ["sex"]


def test_select_features_reports_what_is_wrong() -> None:
    features = [NumericFeatureSpec(columns=["agge", "sex"])]
    with pytest.raises(DataError) as caught:
        select_features(_frame(), features, where="new.csv")
    assert str(caught.value).splitlines() == [
        "new.csv  agge: no such column, which the model names; did you mean age?",
        (
            "new.csv  sex: row 1 holds 'f', which is no number (9 of 9 values are none); "
            "accepted for texts: type: categorical"
        ),
    ]


# Folds


def test_check_class_counts_names_each_class_rarer_than_the_folds() -> None:
    y = np.array(["a"] * 9 + ["b"] * 4 + ["c"], dtype=object)
    assert [str(problem) for problem in check_class_counts(y, 5, "validation.cv_folds", where="t.csv", key="y")] == [
        (
            "t.csv  y: class 'b' has 4 rows, fewer than validation.cv_folds (5); "
            "set validation.cv_folds: 4, or leave the rows of this class out of the data"
        ),
        (
            "t.csv  y: class 'c' has 1 row, fewer than validation.cv_folds (5); "
            "leave the rows of this class out of the data"
        ),
    ]
    assert check_class_counts(y, 1, "validation.cv_folds") == []


# Arrays


def _array_problems(X: Any, y: Any, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        dataset_from_arrays(X, y, **options)
    return str(caught.value).splitlines()


Y = [0, 1] * 5


def test_dataset_from_arrays_keeps_an_array() -> None:
    X = np.arange(20.0).reshape(10, 2)
    dataset = dataset_from_arrays(X, Y, sample_weight=[1] * 10)
    assert dataset.X is X
    assert dataset.y.tolist() == Y
    assert dataset.weight is not None
    assert dataset.weight.tolist() == [1.0] * 10
    assert (dataset.source, len(dataset.other)) == ("(in memory)", 10)


def test_dataset_from_arrays_carries_groups_times_and_folds() -> None:
    X = np.zeros((10, 2))
    dataset = dataset_from_arrays(X, Y, groups=["ann", "bob"] * 5, time=["2024-03-31"] * 10, fold=[[1]] * 10)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == ["ann", "bob"] * 5
    assert dataset.time is not None
    assert dataset.time.tolist() == [pd.Timestamp("2024-03-31")] * 10
    assert dataset.fold is not None
    assert dataset.fold.tolist() == [1] * 10
    assert dataset.digest != dataset_from_arrays(X, Y).digest


@pytest.mark.parametrize(
    "time",
    [
        pd.date_range("2024-03-31", periods=10, tz="UTC"),
        pd.Series(pd.date_range("2024-03-31", periods=10, tz="Europe/Paris"), index=range(10, 20)),
        pd.date_range("2024-03-31", periods=10).to_numpy(),
        [datetime.date(2024, 3, day) for day in range(1, 11)],
    ],
    ids=["index with a zone", "series with a zone", "array", "days"],
)
def test_dataset_from_arrays_reads_times_of_any_kind(time: Any) -> None:
    read = dataset_from_arrays(np.zeros((10, 1)), Y, time=time).time
    assert read is not None
    assert read.is_monotonic_increasing
    assert read.dtype.kind == "M"


def test_dataset_from_arrays_keeps_texts_and_numbers_of_a_list() -> None:
    assert dataset_from_arrays([[1, "a"], [None, "b"]], ["x", "y"]).X.tolist() == [[1, "a"], [None, "b"]]


@pytest.mark.parametrize(
    "y",
    [np.array(["a", "b"] * 5), pd.Series(["a", "b"] * 5, index=range(10, 20)), pd.DataFrame({"y": ["a", "b"] * 5})],
    ids=["array", "series", "frame"],
)
def test_dataset_from_arrays_takes_labels_of_any_kind(y: Any) -> None:
    labels = dataset_from_arrays(np.zeros((10, 1)), y).y
    assert (labels.tolist(), str(labels.dtype)) == (["a", "b"] * 5, "object")


def test_dataset_from_arrays_addresses_a_frame_by_name() -> None:
    frame = _frame().drop(columns="survived").set_index(pd.Index(range(5, 15)))
    features = [NumericFeatureSpec(columns=["age"])]
    assert list(dataset_from_arrays(frame, Y).X.columns) == ["age", "fare", "sex"]
    assert list(dataset_from_arrays(frame, Y, features=features).X.columns) == ["age"]
    assert dataset_from_arrays(frame, Y).X.index.tolist() == list(range(10))


def test_dataset_from_arrays_changes_digest_with_a_cell() -> None:
    X = np.zeros((10, 2))
    changed = X.copy()
    changed[9, 1] = 1e-300
    objects = X.astype(object)
    arrays = [X, changed, objects, X.reshape(10, 2).astype(np.float32), X[:, :1]]
    assert len({dataset_from_arrays(array, Y).digest for array in arrays}) == 5
    assert dataset_from_arrays(np.asfortranarray(changed), Y).digest == dataset_from_arrays(changed, Y).digest


ARRAYS: dict[str, tuple[Any, Any, dict[str, Any], list[str]]] = {
    "lengths": (
        np.zeros((10, 2)),
        [0, 1],
        {"sample_weight": [1] * 9},
        ["y: has 2 rows and X has 10", "sample_weight: has 9 rows and X has 10"],
    ),
    "dimensions": (
        np.zeros(10),
        np.zeros((10, 2)),
        {},
        [
            "X: has 1 dimension; accepted: shape (n_samples, n_features)",
            "y: has 2 dimensions; accepted: shape (n_samples,)",
        ],
    ),
    "dimensions of what rows carry": (
        np.zeros((10, 2)),
        Y,
        {"groups": [1] * 9, "time": ["2024-03-31"], "fold": np.zeros((10, 2))},
        ["fold: has 2 dimensions; accepted: shape (n_samples,)"],
    ),
    "lengths of what rows carry": (
        np.zeros((10, 2)),
        Y,
        {"groups": [1] * 9, "time": ["2024-03-31"]},
        ["time: has 1 row and X has 10", "groups: has 9 rows and X has 10"],
    ),
    "no rows": (np.zeros((0, 2)), [], {}, ["X: has no rows"]),
    "sparse": (csr_matrix(np.eye(10)), Y, {}, ["X: is sparse; X.toarray() makes it dense"]),
    "nulls in y": (
        np.zeros((10, 2)),
        [None, 1] * 5,
        {},
        ["y: 5 of 10 values missing in the target; leave these rows out"],
    ),
    "one class": (np.zeros((10, 2)), [1] * 10, {}, ["y: has one class, 1; a classifier needs at least two"]),
    "positive class": (
        np.zeros((10, 2)),
        Y,
        {"positive_class": "1"},
        ["y: data.positive_class is the text '1', which does not occur; the class is the number 1: write 1"],
    ),
    "infinities": (
        np.array([[0.0, np.inf]] * 10),
        Y,
        {},
        ["X[:, 1]: 10 infinite values: row 1 holds inf"],
    ),
    "names of numbers": (
        pd.DataFrame(np.zeros((10, 2))),
        Y,
        {},
        ["X: column 0 of X has no text for a name; X.columns = X.columns.astype(str) gives it one"],
    ),
    "same names": (
        pd.DataFrame(np.zeros((10, 2)), columns=["a", "a"]),
        Y,
        {},
        ["a: several columns have this same name"],
    ),
    "absent column": (
        _frame(),
        Y,
        {"features": [NumericFeatureSpec(columns=["agee"])]},
        ["agee: no such column, which features names; did you mean age?"],
    ),
    "text as number": (
        _frame(),
        Y,
        {"features": [NumericFeatureSpec(columns=["sex"])]},
        ["sex: row 1 holds 'f', which is no number (9 of 9 values are none); accepted for texts: type: categorical"],
    ),
    "too few columns": (
        np.zeros((10, 2)),
        Y,
        {"features": [NumericFeatureSpec(columns=["a", "b", "c"])]},
        ["X: has 2 columns, and features need 3"],
    ),
    "position": (
        np.zeros((10, 2)),
        Y,
        {"features": [NumericFeatureSpec(columns=[4])]},
        ["X: has 2 columns, and features need 5"],
    ),
    "position in a frame": (
        _frame(),
        Y,
        {"features": [NumericFeatureSpec(columns=[0])]},
        ["0: no such column, which features names; accepted: age, fare, sex, survived"],
    ),
    "negative weight": (
        np.zeros((10, 2)),
        Y,
        {"sample_weight": [-1.0] * 10},
        ["sample_weight: row 1 holds -1.0, and a weight is at least 0"],
    ),
    "nulls in what rows carry": (
        np.zeros((10, 2)),
        Y,
        {"groups": ["a", None] * 5, "time": ["2024-03-31", None] * 5, "fold": [1, np.nan] * 5},
        [
            "time: 5 of 10 values missing, and every row needs a time",
            "groups: 5 of 10 values missing, and every row needs a group",
            "fold: 5 of 10 values missing, and every row needs a fold",
        ],
    ),
}


@pytest.mark.parametrize(("X", "y", "options", "messages"), ARRAYS.values(), ids=ARRAYS)
def test_dataset_from_arrays_refuses(X: Any, y: Any, options: dict[str, Any], messages: list[str]) -> None:
    assert _array_problems(X, y, **options) == [f"(in memory)  {message}" for message in messages]


def test_dataset_from_arrays_compares_with_training() -> None:
    trained = dataset_from_arrays(np.zeros((10, 2)), Y)
    assert _array_problems(np.zeros((2, 3)), [0, 2], reference=trained, source="X_test") == [
        "X_test  y: class 2 (1 row) does not occur in training; accepted: 0, 1",
        "X_test  X: has 3 columns and had 2 in training",
    ]
    frame = dataset_from_arrays(_frame(), Y)
    assert _array_problems(_frame().drop(columns="age"), Y, reference=frame, source="X_test") == [
        "X_test  age: no such column, which training names; accepted: fare, sex, survived"
    ]
    assert len(dataset_from_arrays(np.zeros((2, 2)), [0, 0], reference=trained)) == 2
