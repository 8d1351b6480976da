"""Which values of a column are missing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlwf.specs.data import ReadSpec

DEFAULT_NA = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What `pandas.read_csv` takes for missing by default, besides the empty text."""


def missing_texts(read: ReadSpec) -> list[str]:
    """List the texts that mean a missing value, besides the empty one."""
    return list(dict.fromkeys([*(DEFAULT_NA if read.keep_default_na else ()), *read.na_values]))


def is_text(column: Any) -> bool:
    """Say whether an Arrow column holds texts."""
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_missing(column: Any, read: ReadSpec) -> Any:
    """Say which values of an Arrow column are missing: nulls, NaN, the empty text, and what `read` says.

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
    from mlwf.table_schema.numbers import number_of

    return [number for text in read.na_values if (number := number_of(text, read)) is not None]


def default_words(column: Any, read: ReadSpec) -> dict[str, int]:
    """Count the words of pandas' list that stand in a column of texts and are read as missing."""
    if not (read.keep_default_na and is_text(column)):
        return {}
    words = [word for word in DEFAULT_NA if word not in read.na_values]
    found = pc.value_counts(pc.filter(column, pc.is_in(column, value_set=pa.array(words, type=column.type))))
    return {pair["values"]: pair["counts"] for pair in found.to_pylist()}
