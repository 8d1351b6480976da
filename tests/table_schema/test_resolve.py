"""What each column of a table is read as, decided by the table that is trained on."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from mlwf.errors import DataError
from mlwf.specs.data import DataSpec, DateTypeSpec, ReadSpec
from mlwf.specs.features import CategoricalFeatureSpec, NumericFeatureSpec
from mlwf.table_schema import RawTable, codes, read_training, resolve_schema, uses_of

DAY = datetime.date(2024, 3, 31)
LARGE = 10**17 + 1


def raw(values, *, untyped=True):
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return RawTable(pa.table({"x": column}), frozenset(["x"] if untyped else []))


def kind(values, use="any", *, untyped=True, read=None):
    return resolve_schema(raw(values, untyped=untyped), read=read, uses={"x": use}).columns[0].kind


CSV = {
    "whole numbers": (["1", "-2", ""], "number"),
    "numbers": (["1.5", " 2 ", "+3e4", "NA"], "number"),
    "codes with leading zeros": (["010", "20"], "text"),
    "a zero alone": (["0", "0.5", "-0.5"], "number"),
    "more digits than a float holds": ([str(LARGE), ""], "text"),
    "more digits than 64 bits hold": (["9" * 25, "1"], "text"),
    "booleans": (["TRUE", "false", ""], "boolean"),
    "ones and zeros": (["1", "0"], "number"),
    "booleans and another word": (["TRUE", "Unknown"], "text"),
    "days": (["2024-03-31", "9999-12-31", "0001-01-01"], "date"),
    "times with zones": (["2024-03-31T10:00:00+02:00", "2024-12-31 10:00Z"], "date"),
    "a time zone that there is not": (["2024-03-31T10:00:00+25:00", "2024-12-31"], "text"),
    "an hour that there is not": (["2024-03-31T25:61:00", "2024-12-31"], "text"),
    "days of another calendar": (["31/12/2020", "01/02/2021"], "text"),
    "texts": (["a", "1", ""], "text"),
    "nothing": (["", "NA", ""], "number"),
    "hexadecimal": (["0x10", "0x11"], "text"),
}


@pytest.mark.parametrize(("values", "expected"), CSV.values(), ids=CSV)
def test_a_column_of_a_csv_file_is_what_all_of_its_texts_are(values, expected):
    assert kind(values) == expected


PARQUET = {
    "texts of digits": (["1", "2"], "text"),
    "texts of booleans": (["true", "false"], "text"),
    "texts of days": (["2024-03-31", None], "date"),
    "whole numbers": ([1, None], "number"),
    "large whole numbers": ([LARGE, None], "text"),
    "decimals": ([Decimal("1.50"), None], "number"),
    "large decimals": (pa.array([Decimal(10**24)], pa.decimal128(38, 0)), "text"),
    "booleans": ([True, None], "boolean"),
    "days": ([DAY, None], "date"),
    "nothing": (pa.nulls(2), "number"),
    "categories": (pa.array(["a", None]).dictionary_encode(), "text"),
    "lists": ([[1], None], "other"),
    "bytes": ([b"a", None], "other"),
    "times of day": ([datetime.time(12), None], "other"),
}


@pytest.mark.parametrize(("values", "expected"), PARQUET.values(), ids=PARQUET)
def test_a_column_of_a_parquet_file_is_what_its_type_reports(values, expected):
    assert kind(values, untyped=False) == expected


USES = {
    "a category of digits": (["1", "2"], "category", "text"),
    "a category of true and false": (["TRUE", "FALSE"], "category", "boolean"),
    "a category of days": (["2024-03-31"], "category", "text"),
    "a numeric feature with leading zeros": (["010", "20"], "number", "number"),
    "a numeric feature with a word": (["1", "?"], "number", "text"),
    "a boolean feature of ones and zeros": (["1", "0", ""], "boolean", "boolean"),
    "a date feature of months": (["2024-03", "2024-04"], "date", "date"),
    "labels of whole numbers": (["1", "0"], "name", "integer"),
    "labels as pandas writes them where one was missing": (["1.0", "0.0", ""], "name", "integer"),
    "labels with leading zeros": (["007", "7"], "name", "text"),
    "labels with exponents": (["1E5", "10E4"], "name", "text"),
    "labels of eighteen digits": ([str(LARGE), str(LARGE + 1)], "name", "integer"),
    "labels of fractions": (["1.5", "2.5"], "name", "number"),
    "labels of booleans": (["TRUE", "FALSE"], "name", "boolean"),
    "moments that are numbers": (["2020", "2021"], "moment", "number"),
    "keys of eighteen digits": ([str(LARGE), ""], "key", "integer"),
    "keys with leading zeros": (["007", "7"], "key", "text"),
    "keys of few digits": (["7", "8"], "key", "number"),
    "moments that are days": (["2024-03-31"], "moment", "date"),
}


@pytest.mark.parametrize(("values", "use", "expected"), USES.values(), ids=USES)
def test_what_a_column_is_used_as_decides(values, use, expected):
    assert kind(values, use) == expected


TYPED_USES = {
    "nanoseconds that order the rows": ([LARGE, LARGE + 1], "moment", "number"),
    "days that order the rows": ([DAY], "moment", "date"),
    "a numeric feature of large whole numbers": ([LARGE, None], "number", "number"),
    "a numeric feature of days": ([DAY], "number", "date"),
    "a category of large whole numbers": ([LARGE, None], "category", "text"),
    "labels of whole floats": ([1.0, 0.0], "name", "integer"),
    "groups of large decimals": (pa.array([Decimal(10**24), None], pa.decimal128(38, 0)), "name", "text"),
    "labels of digits": (["1", "0"], "name", "text"),
    "keys of large whole numbers": ([LARGE, None], "key", "integer"),
    "lists as a date": ([[1]], "date", "other"),
}


@pytest.mark.parametrize(("values", "use", "expected"), TYPED_USES.values(), ids=TYPED_USES)
def test_what_a_column_of_a_parquet_file_is_used_as_decides(values, use, expected):
    assert kind(values, use, untyped=False) == expected


def test_each_named_column_has_its_use():
    data = DataSpec(path="t.csv", target="y", groups="g", sample_weight="w", time="t")
    features = [NumericFeatureSpec(columns=["n"]), CategoricalFeatureSpec(columns=["c"])]
    assert uses_of(data, features) == {
        "y": "name", "g": "name", "w": "number", "t": "moment", "n": "number", "c": "category",
    }  # fmt: skip


def test_codes_are_the_texts_that_would_be_numbers_without_their_zeros():
    table = RawTable(
        pa.table({"zip": ["01234", "98765", ""], "n": ["1", "2", "3"], "word": ["a", "01", "2"]}),
        frozenset(["zip", "n", "word"]),
    )
    assert codes(table, resolve_schema(table)) == ["zip"]


def test_types_come_first():
    types = {"x": DateTypeSpec(date="%d/%m/%Y")}
    table = raw(["31/12/2020", "", "1/2/9999"])
    schema = resolve_schema(table, types=types)
    assert read_training(table, schema)["x"].dt.year.fillna(0).tolist() == [2020, 0, 9999]


MISDECLARED = {
    "date": (DateTypeSpec(date="%d/%m/%Y"), "which is not a date in the format %d/%m/%Y (1 of 2 values are not)"),
    "number": ("number", "which is not a number (1 of 2 values are not)"),
    "boolean": ("boolean", "which is not a boolean (1 of 2 values are not)"),
}


@pytest.mark.parametrize(("declared", "message"), MISDECLARED.values(), ids=MISDECLARED)
def test_a_value_that_its_type_cannot_be_is_located(declared, message):
    good = {"number": "1", "boolean": "true"}.get(str(declared), "31/12/2020")
    with pytest.raises(DataError) as raised:
        resolve_schema(raw([good, "", "2020-12-31x"]), types={"x": declared}, where="t.csv")
    (problem,) = raised.value.problems
    assert (problem.where, problem.key) == ("t.csv", "data.types.x")
    assert problem.message == f"row 3 holds '2020-12-31x', {message}"


def test_a_type_of_no_column_is_located():
    with pytest.raises(DataError, match=r"data\.types\.xx: no such column in t\.csv; did you mean x\?|accepted: x"):
        resolve_schema(raw(["1"]), types={"xx": "text"}, where="t.csv")


@pytest.mark.parametrize("as_dictionary", [False, True], ids=["texts", "dictionary"])
def test_texts_that_are_not_utf_8_are_refused(as_dictionary):
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], dtype=np.int32)), pa.py_buffer(b"a\xff")]
    )
    if as_dictionary:
        broken = pa.DictionaryArray.from_arrays(pa.array([0, 1]), broken)
    with pytest.raises(DataError, match="x: holds texts that are not UTF-8"):
        resolve_schema(raw(broken, untyped=False), where="t.parquet")


@pytest.mark.parametrize(
    ("read", "texts", "expected"),
    [
        (ReadSpec(thousands=","), ["1,234", "12,345,678.5", "7"], [1234, 12345678.5, 7]),
        (ReadSpec(decimal=",", thousands="."), ["1.234,5", "-7", "12"], [1234.5, -7, 12]),
        (ReadSpec(decimal=","), ["0,1", "-1e-3", "2"], [0.1, -0.001, 2]),
        (ReadSpec(), ["0.1", "1e-320", "123456789012345.678"], [0.1, 1e-320, 123456789012345.678]),
    ],
    ids=["thousands", "German", "decimal comma", "plain"],
)
def test_numbers_are_read_to_the_bit_by_their_signs(read, texts, expected):
    table = raw(texts)
    assert read_training(table, resolve_schema(table, read=read))["x"].tolist() == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [(ReadSpec(thousands=","), "1,23"), (ReadSpec(thousands=","), "1,2345"), (ReadSpec(decimal=","), "1.5")],
    ids=["two digits", "four digits", "a dot beside a decimal comma"],
)
def test_what_is_no_number_by_its_signs_stays_a_text(read, text):
    assert kind([text, "7"], read=read) == "text"
