"""How the columns of a table are read: resolved once, from the table that is trained on, and kept with the model."""

from __future__ import annotations

from mlwf.table_schema.kinds import booleans_of
from mlwf.table_schema.reading import (
    BatchReader,
    ReadTable,
    UnknownValues,
    load_schema,
    missing_words,
    read_rows,
    read_training,
    unmatched_na_values,
    with_features,
)
from mlwf.table_schema.resolve import RawTable, Use, codes, raw_of_frame, resolve_schema, schema_of_frame, uses_of
from mlwf.table_schema.values import ISO_DATE, date_formats, dates_of, read_dates

__all__ = [
    "ISO_DATE",
    "BatchReader",
    "RawTable",
    "ReadTable",
    "UnknownValues",
    "Use",
    "booleans_of",
    "codes",
    "date_formats",
    "dates_of",
    "load_schema",
    "missing_words",
    "raw_of_frame",
    "read_dates",
    "read_rows",
    "read_training",
    "resolve_schema",
    "schema_of_frame",
    "unmatched_na_values",
    "uses_of",
    "with_features",
]
