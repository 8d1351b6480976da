"""Later tables are read by the schema of the training, and what it never saw is told."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlwf.errors import DataError, MlwfError
from mlwf.specs.data import ReadSpec
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
    TextFeatureSpec,
)
from mlwf.table_schema import (
    RawTable,
    UnknownValues,
    load_schema,
    missing_words,
    read_rows,
    read_training,
    resolve_schema,
    unmatched_na_values,
    with_features,
)
from mlwf.table_schema.values import DEFAULT_NA

USES = {"numeric": "number", "boolean": "boolean", "date": "date", "categorical": "category", "ordinal": "category",
        "text": "category"}  # fmt: skip


def csv(**columns):
    return RawTable(
        pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), frozenset(columns)
    )


def typed(**columns):
    return RawTable(pa.table(columns))


def trained(table, feature, read=None):
    """Give the schema of a training in which `x` is one feature."""
    schema = resolve_schema(table, read=read, uses={"x": USES[feature.type]})
    frame = read_training(table, schema)
    return with_features(schema, [feature], frame, np.arange(len(frame)))


def read(schema, table):
    done = read_rows(table, schema, where="new")
    return done.rows["x"].astype(object).where(done.rows["x"].notna(), None).tolist(), [
        str(each) for each in done.unknown
    ]


CATEGORY = CategoricalFeatureSpec(columns=["x"])
NUMBER = NumericFeatureSpec(columns=["x"])
BOOLEAN = BooleanFeatureSpec(columns=["x"])
DATE = DateFeatureSpec(columns=["x"])
DAY = datetime.datetime(2024, 3, 31)  # noqa: DTZ001
NEVER = datetime.datetime(9999, 12, 31)  # noqa: DTZ001
LARGE = 10**17 + 1
ZIPS = csv(x=["010", "020", "030"])

READS = {
    "codes from CSV with a letter among them": (
        ZIPS, CATEGORY, csv(x=["010", "X99", "020", ""]), ["010", "X99", "020", None],
        ["1 of 3 rows holds values of `x` that training never saw: X99 (1)"],
    ),
    "codes from Parquet": (ZIPS, CATEGORY, typed(x=["010", None]), ["010", None], []),
    "numbers where texts were": (
        csv(x=["1", "2"]), CATEGORY, typed(x=pa.array([1, None, 2])), ["1", None, "2"], [],
    ),
    "floats where texts were": (csv(x=["1", "2"]), CATEGORY, typed(x=[1.0, None, 2.0]), ["1", None, "2"], []),
    "eighteen digits with a gap": (
        csv(x=[str(LARGE), str(LARGE + 2), ""]), CATEGORY, typed(x=pa.array([LARGE, None])), [str(LARGE), None], [],
    ),
    "booleans in other spellings": (
        csv(x=["TRUE", "FALSE"]), CATEGORY, csv(x=["True", "false", "1", "0", ""]),
        [True, False, True, False, None], [],
    ),
    "booleans among other words": (
        csv(x=["TRUE", "FALSE"]), BOOLEAN, csv(x=["TRUE", "Unknown", "FALSE"]), [True, None, False],
        ["1 of 3 rows holds values of `x` that are neither true nor false, and count as missing: Unknown (1)"],
    ),
    "booleans of Parquet": (csv(x=["TRUE", "FALSE"]), CATEGORY, typed(x=[True, None, False]), [True, None, False], []),
    "a word among numbers": (
        csv(x=["1.5", "2"]), NUMBER, csv(x=["7", "-", "8", "-", " 9 "]), [7, None, 8, None, 9],
        ["2 of 5 rows hold values of `x` that are no numbers, and count as missing: - (2)"],
    ),
    "texts of Parquet where numbers were": (csv(x=["1.5", "2"]), NUMBER, typed(x=["7.25", None]), [7.25, None], []),
    "far days": (
        csv(x=["2024-03-31", "9999-12-31"]), DATE, csv(x=["2024-03-31", "9999-12-31"]),
        [DAY, NEVER], [],
    ),
    "days of Parquet": (csv(x=["2024-03-31"]), DATE, typed(x=[DAY.date(), None]), [DAY, None], []),
    "a day that is none": (
        csv(x=["2024-03-31"]), DATE, csv(x=["2024-03-31", "31/03/2024", "2024-03-31"]), [DAY, None, DAY],
        ["1 of 3 rows holds values of `x` that are no dates, and count as missing: 31/03/2024 (1)"],
    ),
    "a text that is new": (
        csv(x=["low", "high"]), TextFeatureSpec(columns=["x"]), csv(x=["middle", ""]), ["middle", None], [],
    ),
    "a category that is not listed": (
        csv(x=["low", "high"]), OrdinalFeatureSpec(columns=["x"], categories=["low", "high"]),
        csv(x=["high", "middle", "low"]), ["high", "middle", "low"],
        ["1 of 3 rows holds values of `x` that training never saw: middle (1)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("table", "feature", "new", "values", "told"), READS.values(), ids=READS)
def test_the_same_text_means_the_same_value(table, feature, new, values, told):
    assert read(trained(table, feature), new) == (values, told)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_missing_values_are_those_of_the_training(suffix):
    asked = ReadSpec(na_values=["-99", "?"])
    schema = trained(csv(x=["1", "-99", "3"]), NUMBER, asked)
    new = csv(x=["-99", "-99.0", "4", "?"]) if suffix == "csv" else typed(x=[-99.0, -99.0, 4.0, None])
    assert read(schema, new) == ([None, None, 4, None], [])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(("keep", "expected"), [(True, [None, None, None]), (False, ["NA", "None", None])])
def test_words_of_pandas_are_missing_or_texts_in_every_format(suffix, keep, expected):
    table = (csv if suffix == "csv" else typed)(x=["NA", "None", "", "ZA"])
    schema = trained(table, CATEGORY, ReadSpec(keep_default_na=keep))
    values, told = read(schema, table)
    assert values == [*expected, "ZA"]
    assert not told


def test_a_few_rows_of_an_unseen_category_are_reported_and_most_of_a_column_is_refused():
    schema = trained(ZIPS, CATEGORY)
    assert read(schema, csv(x=["X99"]))[1] == ["1 of 1 row holds values of `x` that training never saw: X99 (1)"]
    with pytest.raises(DataError, match=r"x: 12 of 20 rows hold values of `x` that training never saw: 10 \(12\)"):
        read(schema, csv(x=["10"] * 12 + ["010"] * 8))


def test_most_of_a_column_that_cannot_be_read_is_refused():
    schema = trained(csv(x=["1", "2"]), NUMBER)
    with pytest.raises(DataError, match="x: 1 of 1 row holds values of `x` that are no numbers"):
        read(schema, csv(x=["seven"]))


def test_columns_that_are_no_features_keep_what_they_hold():
    table = csv(x=["1", "2"], y=["0", "1"])
    schema = resolve_schema(table, uses={"x": "number", "y": "name"})
    schema = with_features(schema, [NUMBER], read_training(table, schema), np.arange(2))
    rows = read_rows(csv(x=["1", "2", "3"], y=["1", "yes", ""], z=["a", "b", "c"]), schema, where="new").rows
    assert rows["y"].tolist() == [1, "yes", None]
    assert list(rows.columns) == ["x", "y"]


def test_frequent_words_that_are_read_as_missing_are_counted():
    table = csv(x=["NA"] * 3 + ["ZA"] * 100, n=["1", "NA", "NA"] + ["3"] * 100)
    assert missing_words(table, resolve_schema(table)) == {"x": {"NA": 3}}
    kept = resolve_schema(table, read=ReadSpec(keep_default_na=False))
    assert missing_words(table, kept) == {}


def test_texts_that_are_nowhere_are_listed():
    table = csv(x=["1", "-99"], y=["a", "?"])
    schema = resolve_schema(table, read=ReadSpec(na_values=["-99", "-999", "?"]))
    assert unmatched_na_values(table, schema) == ["-999"]


def test_categories_are_those_of_the_rows_that_are_trained_on():
    frame = pd.DataFrame({"x": ["a", "b", None, "c"]})
    table = csv(x=["a", "b", "", "c"])
    schema = with_features(resolve_schema(table), [CATEGORY], frame, np.array([0, 1, 2]))
    assert schema.columns[0].categories == ["a", "b"]
    assert schema.feature_names == ["x"]


def test_a_schema_is_kept_as_json(tmp_path):
    schema = trained(ZIPS, CATEGORY, ReadSpec(sep=";", na_values=["?"]))
    file = tmp_path / "table_schema.json"
    assert load_schema(file) is None
    file.write_text(schema.model_dump_json(), "utf-8")
    assert load_schema(file) == schema
    file.write_text(schema.model_dump_json().replace('"version":1', '"version":2'), "utf-8")
    with pytest.raises(MlwfError, match=r"table_schema\.json: is no table schema that this version of mlwf can read"):
        load_schema(file)


def test_unknown_values_show_the_most_frequent_and_that_there_are_more():
    unknown = UnknownValues("c\n", "unseen", "text", 9, 20, {"a": 4, "b": 2, "\x1b": 1})
    assert str(unknown) == r"9 of 20 rows hold values of `'c\n'` that training never saw: a (4), b (2), \x1b (1), ..."


def test_the_words_that_are_missing_by_default_are_those_of_pandas():
    # pandas lists them in its documentation and names them nowhere in public.
    from pandas._libs.parsers import STR_NA_VALUES

    assert {*DEFAULT_NA, ""} == STR_NA_VALUES
