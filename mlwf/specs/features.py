"""The `features` section: which columns go in, and how each is prepared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlwf.specs.base import Spec
from mlwf.specs.data import ClassLabel

DatePart = Literal["year", "quarter", "month", "day", "dayofweek", "dayofyear", "hour", "minute"]


class FeatureSpec(Spec):
    """Columns that are prepared alike; one of the kinds below."""

    type: str
    """Kind of the columns."""
    columns: list[str | int] = Field(min_length=1)
    """Names of the columns, or positions when X is an array."""


class NumericFeatureSpec(FeatureSpec):
    """Numbers."""

    type: Literal["numeric"] = "numeric"
    """Kind of the columns."""
    imputer: Literal["mean", "median", "most_frequent", "constant", "knn"] | None = "median"
    """What replaces a missing number; null leaves it missing, for a classifier that takes it so."""
    fill_value: float | None = None
    """The number that `imputer: constant` puts in."""
    scaler: Literal["standard", "minmax", "maxabs", "robust", "quantile", "power"] | None = "standard"
    """How numbers are scaled."""


class CategoricalFeatureSpec(FeatureSpec):
    """Categories without an order."""

    type: Literal["categorical"] = "categorical"
    """Kind of the columns."""
    imputer: Literal["most_frequent", "constant"] | None = None
    """What replaces a missing category; null makes missing a category of its own."""
    fill_value: str | None = None
    """The category that `imputer: constant` puts in."""
    encoder: Literal["onehot", "ordinal", "target"] = "onehot"
    """How categories become numbers; `target` is cross-fitted, for many categories."""


class BooleanFeatureSpec(FeatureSpec):
    """True or false."""

    type: Literal["boolean"] = "boolean"
    """Kind of the columns."""
    imputer: Literal["most_frequent", "constant"] | None = "most_frequent"
    """What replaces a missing value; null leaves it missing, for a classifier that takes it so."""
    fill_value: bool | None = None
    """The value that `imputer: constant` puts in."""


class OrdinalFeatureSpec(FeatureSpec):
    """Categories with an order."""

    type: Literal["ordinal"] = "ordinal"
    """Kind of the columns."""
    categories: list[ClassLabel] = Field(min_length=2)
    """The categories from lowest to highest."""
    imputer: Literal["most_frequent", "constant"] | None = "most_frequent"
    """What replaces a missing category; null leaves it missing, for a classifier that takes it so."""
    fill_value: ClassLabel | None = None
    """The category that `imputer: constant` puts in."""


class DateFeatureSpec(FeatureSpec):
    """Dates or times, expanded to calendar parts."""

    type: Literal["date"] = "date"
    """Kind of the columns."""
    parts: list[DatePart] = Field(default_factory=lambda: ["year", "month", "day", "dayofweek"], min_length=1)
    """Calendar parts to use as numbers."""
    imputer: Literal["mean", "median", "most_frequent"] | None = "median"
    """What replaces the parts of a missing date; null leaves them missing, for a classifier that takes it so."""
    scaler: Literal["standard", "minmax", "maxabs", "robust"] | None = "standard"
    """How the parts are scaled."""


Feature = Annotated[
    NumericFeatureSpec | CategoricalFeatureSpec | BooleanFeatureSpec | OrdinalFeatureSpec | DateFeatureSpec,
    Field(discriminator="type"),
]
FeaturesSection = Literal["auto"] | list[Feature]
