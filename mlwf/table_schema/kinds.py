"""Read the values of one column as its kind says, and note those that cannot be read so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlwf.specs.data import ColumnSchema, Kind, ReadSpec
from mlwf.specs.features import category_text
from mlwf.table_schema.values import is_missing, is_text, missing_numbers, read_date, read_dates, to_floats, to_integers

BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
"""How a boolean may be written, whatever the case."""


PLAIN: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_null,
)
"""Arrow types whose values can be read; others are lists, maps, bytes, durations and times of day."""


@dataclass(frozen=True, eq=False)
class ReadColumn:
    """The values of a column, and which of them could not be read."""

    values: pd.Series[Any]
    """Numbers (float when some are missing), booleans, dates, or objects in which a missing value is None."""
    unreadable: NDArray[np.bool_]
    """Which values are there and are nothing of this kind; they are missing in `values`."""


def read_column(column: Any, schema: ColumnSchema, read: ReadSpec) -> ReadColumn:
    """Read an Arrow column as its schema says.

    Parameters
    ----------
    column : pyarrow.Array or pyarrow.ChunkedArray of length n_samples
        Texts as in a CSV file, or values of any type.
    schema : ColumnSchema
        What the values are.
    read : ReadSpec
        How numbers are written, and what means a missing value.
    """
    column = decoded(column)
    missing = is_missing(column, read)
    if schema.kind == "number" and is_text(column) and (numbers := missing_numbers(read)):
        missing = pc.or_(missing, pc.is_in(to_floats(column, read), value_set=pa.array(numbers)))
    column = pc.if_else(missing, pa.scalar(None, column.type), column)
    values = READERS[schema.kind](column, schema, read)
    is_absent = values.isna().to_numpy()
    return ReadColumn(values, is_absent & ~pc.fill_null(missing, True).to_numpy(zero_copy_only=False))


def decoded(column: Any) -> Any:
    """Make one array of a column: dictionaries, views and half floats resolved, times with a zone in UTC."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, pa.ChunkedArray):  # more texts than one array holds
        column = pa.chunked_array(column.chunks)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        # A file may name an unknown zone; the moments are the same.
        return column.cast(pa.timestamp(column.type.unit, "UTC"))
    return column.cast(pa.large_string()) if is_text(column) else column


def is_plain(kind: Any) -> bool:
    """Whether values of an Arrow type can be read as numbers, booleans, dates or texts."""
    return any(test(kind) for test in PLAIN)


def texts_of(column: Any) -> Any:
    """Write the values of an Arrow column as texts, as a category is written: 3.0 is 3, and a midnight its day."""
    if is_text(column) or pa.types.is_null(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_integer(column.type):
        return pc.cast(column, pa.large_string())
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # Of any year: Python's own end at 9999.
        naive = column.cast(pa.timestamp(column.type.unit)) if pa.types.is_timestamp(column.type) else column
        texts = pc.replace_substring_regex(naive.cast(pa.large_string()), r"\.0+$", "")
        return pc.replace_substring_regex(texts, " 00:00:00$", "")
    encoded = column.dictionary_encode() if not pa.types.is_dictionary(column.type) else column
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    written = pa.array([category_text(value) for value in encoded.dictionary.to_pylist()], type=pa.large_string())
    return pc.take(written, encoded.indices)


def booleans_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """Read a column of objects as booleans, whatever the case of the words; what is none becomes None."""
    texts = values.map(category_text, na_action="ignore").str.lower()
    return texts.map(BOOLEANS).astype(object).where(texts.isin(BOOLEANS), None)


def _number(column: Any, schema: ColumnSchema, read: ReadSpec) -> pd.Series[Any]:
    if is_text(column):
        floats = to_floats(column, read)
        is_whole = not floats.null_count and pc.all(pc.equal(floats, pc.floor(floats))).as_py()
        whole = to_integers(column, read) if is_whole else None
        return _numpy(floats if whole is None else whole)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        as_floats = column.null_count or pa.types.is_null(kind)
        return _numpy(column.cast(pa.float64(), safe=False) if as_floats else column)
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return _numpy(column.cast(pa.float64(), safe=False))
    return _nothing(column)


def _integer(column: Any, schema: ColumnSchema, read: ReadSpec) -> pd.Series[Any]:
    if not is_text(column) and not pa.types.is_integer(column.type):
        column = _whole(column)
    if is_text(column):
        plain = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"\.0*$", "")
        column = pc.if_else(pc.match_substring_regex(plain, r"^-?[0-9]{1,18}$"), plain, pa.scalar(None, plain.type))
        column = pc.cast(column, pa.int64())
    # Objects where one is missing: a float would be another number beyond 2**53.
    values: pd.Series[Any] = column.to_pandas(integer_object_nulls=True)
    return values.where(values.notna(), None) if values.dtype == object else values


def _whole(column: Any) -> Any:
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        floats = column.cast(pa.float64(), safe=False)
        is_whole = pc.and_(pc.equal(floats, pc.floor(floats)), pc.less(pc.abs(floats), float(2**63)))
        return pc.cast(pc.if_else(is_whole, floats, pa.scalar(None, pa.float64())), pa.int64())
    return pa.nulls(len(column), pa.int64())


def _boolean(column: Any, schema: ColumnSchema, read: ReadSpec) -> pd.Series[Any]:
    if pa.types.is_boolean(column.type):
        return _objects(column)
    if not is_plain(column.type):
        return pd.Series([None] * len(column), dtype=object)
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(texts_of(column)))
    at = pc.index_in(texts, value_set=pa.array(list(BOOLEANS), type=texts.type))
    return _objects(pc.take(pa.array(list(BOOLEANS.values())), at))


def _date(column: Any, schema: ColumnSchema, read: ReadSpec) -> pd.Series[Any]:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _moments(column)
    if (pa.types.is_integer(column.type) and not schema.date_format) or not is_plain(column.type):
        return _nothing(column).astype("datetime64[us]")
    encoded = texts_of(column).dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    distinct = read_dates([*encoded.dictionary.to_pylist(), None], schema.date_format)
    at = pc.fill_null(encoded.indices, len(distinct) - 1).to_numpy(zero_copy_only=False)
    return distinct.take(at).reset_index(drop=True)


def _moments(column: Any) -> pd.Series[Any]:
    try:
        values: pd.Series[Any] = column.to_pandas(date_as_object=False)
    except (pa.ArrowException, ValueError, OverflowError, LookupError):  # a zone, or a year, that there is not
        naive = pc.cast(pc.cast(column, pa.int64()), pa.timestamp(getattr(column.type, "unit", "us")))
        values = naive.to_pandas()
    return values


def _text(column: Any, schema: ColumnSchema, read: ReadSpec) -> pd.Series[Any]:
    return _objects(texts_of(column) if is_plain(column.type) else pa.nulls(len(column), pa.large_string()))


def _other(column: Any, schema: ColumnSchema, read: ReadSpec) -> pd.Series[Any]:
    return _objects(column)


def _numpy(column: Any) -> pd.Series[Any]:
    values: pd.Series[Any] = column.to_pandas()
    return values


def _objects(column: Any) -> pd.Series[Any]:
    """Give booleans where none is missing, and else objects in which a missing value is None."""
    values: pd.Series[Any] = column.to_pandas(date_as_object=False, integer_object_nulls=True)
    return values.astype(object).where(values.notna(), None) if values.dtype == object else values


def _nothing(column: Any) -> pd.Series[Any]:
    return pd.Series(np.full(len(column), np.nan))


READERS: dict[Kind, Callable[[Any, ColumnSchema, ReadSpec], pd.Series[Any]]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "text": _text,
    "other": _other,
}
"""How a column of each kind is read."""


def can_be_date(text: str, date_format: str | None = None) -> bool:
    """Whether a text is a date."""
    return read_date(text, date_format) is not None
