"""The `features` section: which columns go in, and how each is prepared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mlwf.errors import InvalidValueError
from mlwf.specs.base import Spec
from mlwf.specs.data import ClassLabel

DatePart = Literal["year", "quarter", "month", "day", "dayofweek", "dayofyear", "hour", "minute"]


class FeatureSpec(Spec):
    """Columns that are prepared alike; one of the kinds below."""

    type: str
    """Kind of the columns."""
    columns: list[str | int] = Field(min_length=1)
    """Names of the columns, or positions when X is an array."""

    @field_validator("columns")
    @classmethod
    def _are_distinct_names_or_positions(cls, columns: list[str | int]) -> list[str | int]:
        if len({isinstance(column, int) for column in columns}) > 1:
            raise InvalidValueError("names and positions are mixed", "accepted: names only, or positions only")
        if "" in columns:
            raise InvalidValueError("a column name is empty")
        for column in columns:
            if isinstance(column, int) and column < 0:
                raise InvalidValueError(f"position {column} is negative", "the first column is 0")
        refuse_repeats("column", columns)
        return columns

    @model_validator(mode="after")
    def _fills_with_a_constant_only(self) -> Self:
        imputer, fill_value = getattr(self, "imputer", None), getattr(self, "fill_value", None)
        if imputer == "constant" and fill_value is None:
            raise InvalidValueError("constant needs fill_value, what to put in", key="imputer")
        if imputer != "constant" and fill_value is not None:
            raise InvalidValueError(f"{fill_value!r} is unused", "it needs imputer: constant", key="fill_value")
        return self


class NumericFeatureSpec(FeatureSpec):
    """Numbers."""

    type: Literal["numeric"] = "numeric"
    """Kind of the columns."""
    imputer: Literal["mean", "median", "most_frequent", "constant", "knn"] | None = "median"
    """What replaces a missing number; null leaves it missing, for a classifier that takes it so."""
    fill_value: float | None = Field(None, allow_inf_nan=False)
    """The number that `imputer: constant` puts in."""
    scaler: Literal["standard", "minmax", "maxabs", "robust", "quantile", "power"] | None = "standard"
    """How numbers are scaled; `quantile` maps to ranks by 100 quantiles, `power` is Yeo-Johnson."""


class CategoricalFeatureSpec(FeatureSpec):
    """Categories without an order."""

    type: Literal["categorical"] = "categorical"
    """Kind of the columns."""
    imputer: Literal["most_frequent", "constant"] | None = None
    """What replaces a missing category; null makes missing a category of its own."""
    fill_value: ClassLabel | None = None
    """The category that `imputer: constant` puts in."""
    encoder: Literal["onehot", "ordinal", "target", "native"] = "onehot"
    """How categories become numbers: `target` is cross-fitted, for many categories; `native` leaves them to what splits
    categories itself: hist_gradient_boosting, lightgbm, xgboost and catboost."""


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
    """The categories from lowest to highest; any other value counts as missing."""
    imputer: Literal["most_frequent", "constant"] | None = "most_frequent"
    """What replaces a missing category; null leaves it missing, for a classifier that takes it so."""
    fill_value: ClassLabel | None = None
    """The category that `imputer: constant` puts in."""

    @field_validator("categories")
    @classmethod
    def _are_distinct(cls, categories: list[ClassLabel]) -> list[ClassLabel]:
        refuse_repeats("category", [category_text(category) for category in categories])
        return categories

    @model_validator(mode="after")
    def _fills_with_a_category(self) -> Self:
        texts = [category_text(category) for category in self.categories]
        if self.fill_value is not None and category_text(self.fill_value) not in texts:
            raise InvalidValueError(
                f"{self.fill_value!r} is not a category", f"accepted: {', '.join(texts)}", key="fill_value"
            )
        return self


class DateFeatureSpec(FeatureSpec):
    """Dates or times, expanded to calendar parts; a time with a zone is read in UTC."""

    type: Literal["date"] = "date"
    """Kind of the columns."""
    parts: list[DatePart] = Field(["year", "month", "day", "dayofweek"], min_length=1)
    """Calendar parts to use as numbers."""
    imputer: Literal["mean", "median", "most_frequent"] | None = "median"
    """What replaces the parts of a missing date; null leaves them missing, for a classifier that takes it so."""
    scaler: Literal["standard", "minmax", "maxabs", "robust"] | None = "standard"
    """How the parts are scaled."""

    @field_validator("parts")
    @classmethod
    def _are_distinct(cls, parts: list[DatePart]) -> list[DatePart]:
        refuse_repeats("part", parts)
        return parts


class TextFeatureSpec(FeatureSpec):
    """Prose. What sequences of three and four characters it has is condensed to a few numbers."""

    type: Literal["text"] = "text"
    """Kind of the columns."""
    n_components: int = Field(30, ge=1, le=1000)
    """Numbers that each column becomes: the strongest components of its TF-IDF, by a truncated SVD."""


Feature = Annotated[
    NumericFeatureSpec
    | CategoricalFeatureSpec
    | BooleanFeatureSpec
    | OrdinalFeatureSpec
    | DateFeatureSpec
    | TextFeatureSpec,
    Field(discriminator="type"),
]
FeaturesSection = Literal["auto"] | list[Feature]


def category_text(category: Any) -> str:
    """Write a category as the shipped model reads it: 3, 3.0 and "3" are one, and so are a day and its midnight.

    >>> category_text(3.0), category_text("3"), category_text(True), category_text("2.50")
    ('3', '3', 'True', '2.50')
    """
    return str(category).removesuffix(" 00:00:00").removesuffix(".0")


def refuse_repeats(what: str, values: Iterable[Any]) -> None:
    """Raise a ValueError that names the first value which occurs twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise InvalidValueError(f"{what} {value!r} is listed twice")
        seen.add(value)
