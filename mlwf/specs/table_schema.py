"""How the columns of a table are read: resolved by the training, kept with the model, followed by every later table."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlwf.specs.base import Spec
from mlwf.specs.data import ReadSpec

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
