"""Resolve, from the table that is trained on, how each of its columns is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlwf.errors import DataError, Problem, nearest
from mlwf.specs.data import ColumnSchema, ColumnType, DataSpec, DateTypeSpec, Kind, ReadSpec, TableSchema
from mlwf.specs.features import FeatureSpec
from mlwf.table_schema.kinds import can_be_date, decoded, is_plain, read_column
from mlwf.table_schema.values import (
    ISO_DATE,
    LARGEST_EXACT,
    PLAIN_WHOLE,
    has_leading_zeros,
    is_missing,
    is_text,
    to_floats,
)
from mlwf.text import format_value

Use = Literal["number", "boolean", "date", "category", "name", "moment", "key", "any"]
"""What a column is used as: `name` is a label, a group or a fold, `moment` a time or a number that orders the rows,
`key` what a feature store may look rows up by."""

FEATURE_USES: dict[str, Use] = {
    "numeric": "number",
    "boolean": "boolean",
    "date": "date",
    "categorical": "category",
    "ordinal": "category",
    "text": "category",
}
ROLE_USES: dict[str, Use] = {
    "target": "name",
    "groups": "name",
    "fold": "name",
    "sample_weight": "number",
    "time": "moment",
}
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
FEW = 100
WORDS = pa.array(["true", "false"], type=pa.large_string())


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table as its file holds it."""

    columns: pa.Table
    """Texts for a CSV file; the file's own types for Parquet. Of a stored table, what reads a column of it."""
    untyped: frozenset[str] = field(default_factory=frozenset)
    """Columns whose texts say nothing of their type: those of a CSV file, and the keys of partitions."""

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def is_stored(self) -> bool:
        """Whether the columns stay in their files until they are asked for."""
        return not isinstance(self.columns, pa.Table)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.columns.column_names]


def uses_of(data: DataSpec, features: Sequence[FeatureSpec] | str) -> dict[str, Use]:
    """Give what an experiment uses each column for that it names."""
    uses: dict[str, Use] = {name: use for role, use in ROLE_USES.items() if (name := getattr(data, role)) is not None}
    for spec in () if isinstance(features, str) else features:
        uses |= {str(name): FEATURE_USES[spec.type] for name in spec.columns}
    return uses


def resolve_schema(
    table: RawTable,
    *,
    read: ReadSpec | None = None,
    uses: Mapping[str, Use] | None = None,
    other_use: Use = "any",
    types: Mapping[str, ColumnType | DateTypeSpec] | None = None,
    where: str = "",
) -> TableSchema:
    """Decide how each column of a table is read.

    Texts without a type are booleans, numbers or ISO 8601 dates where all of them are, and texts otherwise; numbers
    with a leading zero, or of more digits than a float holds, are codes, and stay texts. A column that is used as a
    category keeps its texts as they are written, unless they are true and false.

    Parameters
    ----------
    table
        The table that is trained on.
    read
        How texts are read.
    uses
        What each column is used as.
    other_use
        What all others are used as; by default they are read by their content alone.
    types
        What the experiment file says of a column.

    Raises
    ------
    DataError
        With every column that is not there, or holds what its type cannot be.
    """
    read, uses, types = read or ReadSpec(), uses or {}, types or {}
    problems = [*_unknown_columns(table, types, where)]
    columns = []
    for name in table.names:
        values = decoded(table.columns.column(name))
        problems += _undecodable(name, values, where)
        if problems:
            continue
        if name in types:
            column = _declared(name, types[name])
            problems += _misdeclared(column, values, read, where)
        else:
            values = pc.if_else(is_missing(values, read), pa.scalar(None, values.type), values)
            decide = KINDS[uses.get(name, other_use)] if is_plain(values.type) else _any
            kind = decide(values, read, name in table.untyped)
            column = ColumnSchema(name=name, kind=kind)
        columns.append(column)
    if problems:
        raise DataError(problems)
    return TableSchema(read=read, columns=columns)


def codes(table: RawTable, schema: TableSchema) -> list[str]:
    """Name the columns that are texts because they hold numbers with leading zeros."""
    return [
        column.name
        for column in schema.columns
        if column.kind == "text"
        and column.name in table.untyped
        and _are_codes(decoded(table.columns.column(column.name)), schema.read)
    ]


def _are_codes(texts: Any, read: ReadSpec) -> bool:
    texts = pc.if_else(is_missing(texts, read), pa.scalar(None, texts.type), texts)
    return _are_numbers(texts, read) and has_leading_zeros(texts)


def raw_of_frame(frame: pd.DataFrame) -> RawTable:
    """Make a raw table of a frame of typed columns, such as those that a feature store joins."""
    return RawTable(pa.table({str(name): _arrow(column) for name, column in frame.items()}))


def _arrow(column: pd.Series[Any]) -> Any:
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # objects of several types
        return pa.array([None if pd.isna(value) else str(value) for value in column], type=pa.string())


def schema_of_frame(frame: pd.DataFrame, features: Sequence[FeatureSpec]) -> TableSchema:
    """Make the schema of files for a model that was trained on a frame in memory.

    The frame's own texts were taken as they are, so only nulls and empty texts are missing.
    """
    uses = {str(name): FEATURE_USES[spec.type] for spec in features for name in spec.columns}
    table = raw_of_frame(frame[[name for name in frame.columns if name in uses]])
    read = ReadSpec(keep_default_na=False)
    return resolve_schema(table, read=read, uses=uses)


def _unknown_columns(table: RawTable, types: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for name in types:
        if name not in table.names:
            yield Problem("", f"data.types.{name}", f"no such column in {where}", nearest(name, table.names))


def _undecodable(name: str, values: Any, where: str) -> Iterator[Problem]:
    """Refuse texts that are no UTF-8, which only a damaged writer leaves in Parquet."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        yield Problem(
            where, name, "holds texts that are not UTF-8", "write the file anew, or add the column to data.drop"
        )


def _declared(name: str, declared: ColumnType | DateTypeSpec) -> ColumnSchema:
    if isinstance(declared, DateTypeSpec):
        return ColumnSchema(name=name, kind="date", date_format=declared.date)
    return ColumnSchema(name=name, kind=declared)


def _misdeclared(column: ColumnSchema, values: Any, read: ReadSpec, where: str) -> Iterator[Problem]:
    wrong = read_column(values, column, read).unreadable
    if wrong.any():
        at = int(wrong.argmax())
        as_what = f"a date in the format {column.date_format}" if column.date_format else f"a {column.kind}"
        message = f"row {at + 1} holds {format_value(values[at].as_py())}, which is not {as_what}"
        count = f"{int(wrong.sum()):,} of {len(values) - int(pc.sum(is_missing(values, read)).as_py() or 0):,} values"
        yield Problem(where, f"data.types.{column.name}", f"{message} ({count} are not)", ACCEPTED[column.kind])


ACCEPTED: dict[Kind, str] = {
    "number": "if it means a missing value, add it to data.read.na_values",
    "boolean": "accepted: true and false in any case, 1 and 0",
    "date": 'accepted: 2024-03-31, or a format such as {date: "%d/%m/%Y"}',
}


def _any(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    """Decide by the content alone."""
    if is_text(values):
        if untyped:
            return _of_texts(values, read)
        return "date" if _are_iso_dates(values) else "text"
    kind = values.type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "number" if _fit_floats(values) else "text"
    if pa.types.is_decimal(kind):
        whole = kind.scale == 0 and not _fit_floats(values.cast(pa.float64(), safe=False))
        return "text" if whole else "number"
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return "number"
    return "date" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else "other"


def _of_texts(texts: Any, read: ReadSpec) -> Kind:
    if texts.null_count == len(texts):
        return "number"
    if _are_booleans(texts):
        return "boolean"
    floats = to_floats(texts, read)
    if floats.null_count == texts.null_count:
        is_code = has_leading_zeros(texts) or (not _fit_floats(floats) and _has_long_number(texts))
        return "text" if is_code else "number"
    return "date" if _are_iso_dates(texts) else "text"


def _number(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    is_number = _are_numbers(values, read) if is_text(values) else any(test(values.type) for test in NUMBERS)
    # What cannot be a number is left as it is: the check of the feature refuses it.
    return "number" if is_number else _any(values, read, untyped)


def _boolean(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    column = ColumnSchema(name="", kind="boolean")
    return _any(values, read, untyped) if read_column(values, column, read).unreadable.any() else "boolean"


def _date(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    if not is_text(values):
        return _any(values, read, untyped)
    texts = pc.unique(values).to_pylist()
    return "date" if all(text is None or can_be_date(text) for text in texts) else "text"


def _category(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    if pa.types.is_boolean(values.type) or (untyped and is_text(values) and _are_booleans(values)):
        return "boolean"
    kind = _any(values, read, untyped)
    return kind if kind == "other" else "text"


def _name(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    """Decide for labels, groups and folds: whole numbers stay exact, other codes stay texts."""
    if pa.types.is_integer(values.type):
        return "integer"
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        floats = values.cast(pa.float64(), safe=False)
        if not pc.all(pc.equal(floats, pc.floor(floats))).as_py():
            return "number"
        return "integer" if _fit_floats(floats) else "text"
    if not is_text(values) or not untyped:
        return _any(values, read, untyped) if not is_text(values) else "text"
    if _are_booleans(values):
        return "boolean"
    if pc.all(pc.match_substring_regex(values, PLAIN_WHOLE)).as_py():
        return "integer"
    # As pandas writes whole numbers where one was missing.
    if pc.all(pc.match_substring_regex(values, r"^-?(?:0|[1-9][0-9]{0,14})\.0$")).as_py():
        return "integer"
    fractions = pc.any(pc.match_substring_regex(values, r"[.,]")).as_py()
    return "number" if fractions and _are_numbers(values, read) else "text"


def _key(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    """Decide by the content, but keep long whole numbers what a store has them as."""
    kind = _any(values, read, untyped)
    is_whole = pa.types.is_integer(values.type) or (
        untyped and is_text(values) and pc.all(pc.match_substring_regex(values, PLAIN_WHOLE)).as_py()
    )
    return "integer" if kind == "text" and is_whole else kind


def _moment(values: Any, read: ReadSpec, untyped: bool) -> Kind:
    is_number = untyped and _are_numbers(values, read) if is_text(values) else _number(values, read, False) == "number"
    return "number" if is_number else _date(values, read, untyped)


KINDS: dict[Use, Callable[[Any, ReadSpec, bool], Kind]] = {
    "any": _any,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "category": _category,
    "name": _name,
    "moment": _moment,
    "key": _key,
}
"""How the kind of a column is decided, by what it is used as."""


def _are_booleans(texts: Any) -> bool:
    # The first texts are enough for most columns.
    first = pc.drop_null(texts.slice(0, FEW))
    if len(first) and not pc.all(pc.is_in(pc.utf8_lower(first), value_set=WORDS)).as_py():
        return False
    distinct = pc.drop_null(pc.unique(texts))
    return bool(0 < len(distinct) <= 6 and pc.all(pc.is_in(pc.utf8_lower(distinct), value_set=WORDS)).as_py())


def _are_numbers(texts: Any, read: ReadSpec) -> bool:
    return bool(is_text(texts) and to_floats(texts, read).null_count == texts.null_count)


def _are_iso_dates(texts: Any) -> bool:
    if not len(texts) or not pc.all(pc.match_substring_regex(texts, f"^{ISO_DATE}")).as_py():
        return False
    return texts.null_count < len(texts) and all(
        text is None or can_be_date(text) for text in pc.unique(texts).to_pylist()
    )


def _fit_floats(numbers: Any) -> bool:
    return bool(
        pc.all(pc.less_equal(pc.abs(numbers.cast(pa.float64(), safe=False)), LARGEST_EXACT)).as_py() is not False
    )


def _has_long_number(texts: Any) -> bool:
    """Whether a whole number is written out that has more digits than a float holds."""
    return bool(pc.any(pc.match_substring_regex(texts, r"^\s*[+-]?[0-9]{16,}\s*$")).as_py())
