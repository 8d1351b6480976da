"""The `data` section: which table, which column is predicted, what else each row carries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlwf.specs.base import Spec

ClassLabel = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str

IN_MEMORY = "(in memory)"


class ReadSpec(Spec):
    """How to read a CSV file that is not comma-separated UTF-8."""

    sep: str | None = Field(None, min_length=1, max_length=1)
    """Column separator of a CSV file; the default is a comma, and a tab for .tsv."""
    decimal: str = Field(".", min_length=1, max_length=1)
    """Decimal sign of a CSV file."""
    encoding: str = "utf-8"
    """Text encoding of a CSV file."""
    na_values: list[str] = Field(default_factory=list)
    """Texts that mean a missing value, besides the empty field and pandas' own list."""


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
    """Column with the time of each row: unless `validation.splitter` says otherwise, no row is judged by a model that
    learnt from later ones, and a feature store joins what was known then; it is not a feature."""
    groups: str | None = Field(None, min_length=1)
    """Column that says which rows belong together, such as those of one person: a group is never both learnt from and
    judged; it is not a feature."""
    fold: str | None = Field(None, min_length=1)
    """Column with the name of the fold that judges each row; it is not a feature."""
    drop: list[str] = Field(default_factory=list)
    """Columns that are not features."""
    drop_missing_target: bool = False
    """Leave out rows whose target is missing, instead of refusing them."""
    read: ReadSpec = Field(default_factory=ReadSpec)
    """How to read a CSV file that is not comma-separated UTF-8."""
