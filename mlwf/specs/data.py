"""The `data` section, and the table schema that the training resolves of it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mlwf.errors import InvalidValueError
from mlwf.specs.base import Spec

ClassLabel = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str

IN_MEMORY = "(in memory)"

PARQUET_SUFFIXES = (".parquet", ".pq")


ColumnType = Literal["text", "number", "boolean", "date"]


class ReadSpec(Spec):
    """How texts are read: the form of a CSV file, and what means a missing value in any file."""

    sep: str | None = Field(None, min_length=1, max_length=1)
    """Column separator of a CSV file; the default is a comma, and a tab for .tsv."""
    decimal: str = Field(".", min_length=1, max_length=1)
    """Decimal sign of numbers that are written as texts."""
    thousands: str | None = Field(None, min_length=1, max_length=1)
    """Sign between groups of three digits, such as the comma of 1,234; left out, none is read."""
    encoding: str = "utf-8"
    """Text encoding of a CSV file."""
    na_values: list[str] = Field(default_factory=list)
    """Texts that mean a missing value, besides the empty text and pandas' own list."""
    keep_default_na: bool = True
    """Whether pandas' own list, such as NA, None and null, means a missing value; false keeps these as texts."""

    @field_validator("sep")
    @classmethod
    def _is_one_ascii_character(cls, sep: str | None) -> str | None:
        if sep is not None and (not sep.isascii() or sep in '"\r\n\0'):
            raise InvalidValueError(
                f"sep is {sep!r}", 'accepted: one ASCII character, such as ";", "|" or "\\t", and no quote'
            )
        return sep


class DateTypeSpec(Spec):
    """A column of dates in a format of their own."""

    date: str = Field(min_length=1)
    """Format of the dates, in the codes of Python's strptime, such as %d/%m/%Y."""

    @field_validator("date")
    @classmethod
    def _is_a_format(cls, date: str) -> str:
        moment = datetime(2001, 2, 3, 4, 5, 6)  # noqa: DTZ001
        try:
            datetime.strptime(moment.strftime(date), date)  # noqa: DTZ007
        except (ValueError, re.error) as error:
            raise InvalidValueError(
                f"date is {date!r}, which is no date format", "accepted: codes such as %d/%m/%Y"
            ) from error
        if moment.strftime(date) == date:
            raise InvalidValueError(f"date is {date!r}, which has no code", "accepted: codes such as %d/%m/%Y")
        return date


class DataSpec(Spec):
    """The table to learn from; with a feature store, the label rows."""

    path: str = Field(min_length=1)
    """CSV or Parquet: a file, a folder or a glob, relative to this file."""
    target: str = Field(min_length=1)
    """Column to predict."""
    test_path: str | None = Field(None, min_length=1)
    """Rows kept for the final test, with the same columns; nothing before the test sees them."""
    positive_class: ClassLabel | None = None
    """Class that precision, recall, f1 and probabilities speak of; the default is the last in sorted order."""
    sample_weight: str | None = Field(None, min_length=1)
    """Column with the weight of each row; it is not a feature."""
    time: str | None = Field(None, min_length=1)
    """Column with the time of each row: unless `validation.splitter` says otherwise, no row is evaluated by a model
    that learnt from later ones, and a feature store joins what was known then; it is not a feature."""
    groups: str | None = Field(None, min_length=1)
    """Column that says which rows belong together, such as those of one person: a group is never both learnt from and
    evaluated; it is not a feature."""
    fold: str | None = Field(None, min_length=1)
    """Column with the name of the fold that evaluates each row; it is not a feature."""
    drop: list[str] = Field(default_factory=list)
    """Columns that are not features."""
    drop_missing_target: bool = False
    """Leave out rows whose target is missing, instead of refusing them."""
    types: dict[str, ColumnType | DateTypeSpec] = Field(default_factory=dict)
    """How columns are read whose texts may mean something else, by name: text, number, boolean, date, or a map with
    the format of dates, such as {date: "%d/%m/%Y"}."""
    read: ReadSpec = Field(default_factory=ReadSpec)
    """How texts are read: the form of a CSV file, and what means a missing value in any file."""
    stream: bool | None = None
    """Whether a table of Parquet stays on the disk while it is trained on; the default is: where it is larger than a
    quarter of the memory, and nothing in the experiment needs all of it at once."""

    @property
    def date_formats(self) -> dict[str, str]:
        """The formats of columns of dates, by column."""
        return {column: kind.date for column, kind in self.types.items() if isinstance(kind, DateTypeSpec)}


SCHEMA_VERSION = 1
SCHEMA_FILE = "table_schema.json"
"""Name of the file that holds a schema, in the folder of a run and beside a logged model."""

Kind = Literal["number", "integer", "boolean", "date", "text", "other"]
"""What values are read as; `integer` is exact, for labels, groups and folds, and `other` is left as it is."""


class ColumnSchema(Spec):
    """How one column is read."""

    name: str
    """Name of the column."""
    kind: Kind
    """What its values are read as."""
    date_format: str | None = None
    """Format of its dates, in the codes of Python's strptime; None for ISO 8601."""
    categories: list[str] | None = None
    """The categories that the training saw, as the model writes them; None where the column has none."""
    is_feature: bool = False
    """Whether the model reads it."""


class TableSchema(Spec):
    """How the columns of a table are read."""

    version: int = Field(SCHEMA_VERSION, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    """Version of this format."""
    read: ReadSpec = Field(default_factory=ReadSpec)
    """How texts are read."""
    columns: list[ColumnSchema]
    """The columns, in the order of the training's table."""

    def column(self, name: str) -> ColumnSchema | None:
        """Give the schema of a column; None when the training's table had none of that name."""
        return self._by_name.get(name)

    @property
    def feature_names(self) -> list[str]:
        """Name the columns that the model reads."""
        return [column.name for column in self.columns if column.is_feature]

    @property
    def _by_name(self) -> dict[str, ColumnSchema]:
        return {column.name: column for column in self.columns}
