"""Values that are written as texts: dates, numbers, and those that are missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlwf.specs.data import ReadSpec

ISO_DATE = r"\d{4}-\d\d-\d\d(?:$|[T ]\d\d:\d\d)"
"""What a text begins with that looks like a date and is no code."""
MONTH = re.compile(r"\d{4}-\d\d")

FORMATS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d/%m/%y")
"""Formats by which texts are recognised as dates that are not ISO 8601."""


def read_date(value: Any, date_format: str | None = None) -> datetime | None:
    """Read a text as a date or time, of any year from 1 to 9999; None when it is none.

    Without a format it is ISO 8601: a day or a month, with or without a time and a time zone. A date that is no text
    is taken as it is.
    """
    if isinstance(value, date):
        return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        if date_format:
            return datetime.strptime(text, date_format)  # noqa: DTZ007
        return datetime.fromisoformat(f"{text}-01" if MONTH.fullmatch(text) else text)
    except ValueError:
        return None


def read_dates(values: Iterable[Any], date_format: str | None = None) -> pd.Series[Any]:
    """Read texts as dates: `datetime64[us]`, in UTC as soon as one of them has a time zone; NaT for what is none."""
    codes, distinct = pd.factorize(np.fromiter(values, dtype=object))
    moments = [None if pd.isna(value) else read_date(value, date_format) for value in distinct]
    has_zone = any(moment is not None and moment.tzinfo is not None for moment in moments)
    # The code of a missing value is -1: the last of these.
    plain = np.array([*map(_in_utc, moments), None], dtype="datetime64[us]")
    series = pd.Series(plain[codes])
    return series.dt.tz_localize("UTC") if has_zone else series


def dates_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """Read a column as dates, unless it holds dates already; what is none becomes NaT."""
    return values if values.dtype.kind == "M" else read_dates(values).set_axis(values.index)


def date_formats(texts: Iterable[str]) -> list[str]:
    """Name the formats by which all of some texts are dates."""
    texts = list(texts)
    return [form for form in FORMATS if texts and all(read_date(text, form) is not None for text in texts)]


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # the first or last hours of the calendar
        return None


DIGITS = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NUMBER = rf"^[+-]?(?:{DIGITS}|(?i:inf|infinity))$"
WHOLE = r"^[+-]?[0-9]+$"
PLAIN_WHOLE = r"^(?:0|-?[1-9][0-9]{0,17})$"
"""A whole number as it is written back: no sign of plus, no leading zero, and it fits 64 bits."""
LEADING_ZERO = r"^\s*[+-]?0[0-9]"
LARGEST_EXACT = 2**53
"""Beyond it not every whole number has a float of its own."""


def plain_numbers(texts: Any, read: ReadSpec) -> Any:
    """Write an Arrow column of texts as plain numbers, with a dot and no thousands; what is no number becomes null."""
    trimmed = pc.utf8_trim_whitespace(texts)
    if read.decimal != "." or read.thousands:
        trimmed = pc.if_else(pc.match_substring_regex(trimmed, _grouped(read)), trimmed, pa.scalar(None, trimmed.type))
        if read.thousands:
            trimmed = pc.replace_substring(trimmed, read.thousands, "")
        trimmed = pc.replace_substring(trimmed, read.decimal, ".") if read.decimal != "." else trimmed
    return pc.if_else(pc.match_substring_regex(trimmed, NUMBER), trimmed, pa.scalar(None, trimmed.type))


def to_floats(texts: Any, read: ReadSpec) -> Any:
    """Read an Arrow column of texts as floats, each the nearest to what is written; what is no number becomes null."""
    if read.decimal == "." and not read.thousands:
        try:
            floats = pc.cast(texts, pa.float64())
        except pa.ArrowInvalid:
            pass
        else:
            # Arrow reads "nan", which is a text unless it means a missing value.
            return pc.if_else(pc.is_nan(floats), pa.scalar(None, pa.float64()), floats)
    return pc.cast(plain_numbers(texts, read), pa.float64())


def to_integers(texts: Any, read: ReadSpec) -> Any | None:
    """Read an Arrow column of texts as whole numbers of 64 bits; None unless each of them is one."""
    plain = plain_numbers(texts, read)
    if not pc.all(pc.match_substring_regex(plain, WHOLE)).as_py():
        return None
    try:
        return pc.cast(pc.replace_substring_regex(plain, r"^\+", ""), pa.int64())
    except pa.ArrowInvalid:  # more digits than 64 bits hold
        return None


def number_of(text: str, read: ReadSpec) -> float | None:
    """Read one text as a number; None when it is none."""
    value: float | None = to_floats(pa.array([text]), read)[0].as_py()
    return value


def has_leading_zeros(texts: Any) -> bool:
    """Whether one of the texts is a number with a leading zero, which only codes have."""
    return bool(pc.any(pc.match_substring_regex(texts, LEADING_ZERO)).as_py())


def _grouped(read: ReadSpec) -> str:
    """Match numbers with these signs: in groups of three digits, or without groups."""
    thousands, decimal = re.escape(read.thousands or ""), re.escape(read.decimal)
    groups = rf"[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|" if read.thousands else ""
    digits = rf"(?:(?:{groups}[0-9]+)(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    return rf"^[+-]?(?:{digits}|(?i:inf|infinity))$"


DEFAULT_NA = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What `pandas.read_csv` takes for missing by default, besides the empty text."""


def missing_texts(read: ReadSpec) -> list[str]:
    """List the texts that mean a missing value, besides the empty one."""
    return list(dict.fromkeys([*(DEFAULT_NA if read.keep_default_na else ()), *read.na_values]))


def is_text(column: Any) -> bool:
    """Whether an Arrow column holds texts."""
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_missing(column: Any, read: ReadSpec) -> Any:
    """Find which values of an Arrow column are missing: nulls, NaN, the empty text, and what `read` says.

    A number of `read.na_values` counts by its value in a column of numbers.
    """
    missing = pc.is_null(column, nan_is_null=True)
    if is_text(column):
        texts = pa.array(["", *missing_texts(read)], type=column.type)
        return pc.or_(missing, pc.is_in(column, value_set=texts))
    numbers = missing_numbers(read)
    if numbers and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return pc.or_(missing, pc.is_in(pc.cast(column, pa.float64(), safe=False), value_set=pa.array(numbers)))
    return missing


def missing_numbers(read: ReadSpec) -> list[float]:
    """List the numbers among `read.na_values`."""
    return [number for text in read.na_values if (number := number_of(text, read)) is not None]


def default_words(column: Any, read: ReadSpec) -> dict[str, int]:
    """Count the words of pandas' list that stand in a column of texts and are read as missing."""
    if not (read.keep_default_na and is_text(column)):
        return {}
    words = [word for word in DEFAULT_NA if word not in read.na_values]
    found = pc.value_counts(pc.filter(column, pc.is_in(column, value_set=pa.array(words, type=column.type))))
    return {pair["values"]: pair["counts"] for pair in found.to_pylist()}
