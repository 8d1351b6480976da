"""Whether the columns of a table can be the features that the experiment file says they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlwf.errors import Problem
from mlwf.modules.data.columns import FEATURE_KINDS, Column, counted, infinite, numbers_of, shown
from mlwf.specs.features import FeatureSpec, OrdinalFeatureSpec, category_text
from mlwf.table_schema import booleans_of, date_formats, dates_of
from mlwf.text import format_name

FEW = 0.05


def check_any(column: Column) -> list[Problem]:
    """Check a column whose type as a feature is not said yet."""
    if column.kind in (*FEATURE_KINDS, "nothing"):
        return infinite(column)
    return [column.problem(f"holds {column.kind}, which no feature can be", "add it to data.drop")]


def check_feature(column: Column, spec: FeatureSpec, *, training: bool) -> list[Problem]:
    """Check a column that is listed as a feature; only in training do missing and unlisted values count."""
    if column.values.isna().all():
        message = "all values are missing"
        return [column.problem(message, "take it out of the features")] if training else []
    if column.kind not in FEATURE_KINDS:
        return [column.problem(f"holds {column.kind}, which no feature can be", "take it out of the features")]
    if spec.type == "ordinal" and not training:
        return []
    check = CHECKS.get(spec.type)
    return list(check(column, spec)) if check else []


def as_feature(values: pd.Series[Any], spec: FeatureSpec) -> pd.Series[Any]:
    """Give a checked column its type as a feature, so that a number is not read again from its text in every fit."""
    if spec.type == "numeric":
        return numbers_of(values)
    return dates_of(values) if spec.type == "date" and values.dtype == object else values


def readable(values: pd.Series[Any], spec: FeatureSpec) -> pd.Series[Any]:
    """Take out of a column what its type as a feature cannot read, as if it were missing."""
    if spec.type == "boolean":
        return values.where(booleans_of(values).notna())
    if spec.type == "date" and values.dtype.kind != "M":
        return values.where(dates_of(values).notna())
    return as_feature(values, spec)


def _check_numeric(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    if column.kind == "dates":
        yield column.problem("holds dates, and its type is numeric", "accepted for dates: type: date")
        return
    numbers = numbers_of(column.values)
    wrong = (numbers.isna() & column.values.notna()).to_numpy()
    if wrong.any():
        present = int(column.values.count())
        is_rare = wrong.sum() <= FEW * present
        missing = "if it means a missing value, add it to data.read.na_values"
        message = f"{column.first(wrong)}, which is no number ({wrong.sum():,} of {present:,} values are none)"
        yield column.problem(message, missing if is_rare else "accepted for texts: type: categorical")
    yield from infinite(Column(column.name, numbers, column.rows, column.where))


def _check_boolean(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    wrong = booleans_of(column.values).isna() & column.values.notna()
    if wrong.any():
        message = f"{column.first(wrong)}, which is neither true nor false"
        yield column.problem(message, "accepted: true and false, 1 and 0; type: categorical takes any two texts")
    elif column.kind == "texts":
        yield column.problem("holds texts, and its type is boolean", "accepted: true and false, 1 and 0")


def _check_ordinal(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    if not isinstance(spec, OrdinalFeatureSpec):
        raise TypeError(f"{spec.type} is not ordinal")
    listed = set(map(category_text, spec.categories))
    wrong = ~column.values.map(category_text).isin(listed) & column.values.notna()
    if wrong.any():
        message = f"{column.first(wrong)}, which is not among the categories ({counted(int(wrong.sum()), 'such row')})"
        yield column.problem(message, f"listed: {', '.join(map(shown, spec.categories))}")


def _check_date(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    if column.values.dtype.kind == "M":
        return
    if column.kind not in ("texts", "dates"):
        yield column.problem(f"holds {column.kind}, and its type is date", "accepted: dates such as 2024-03-31")
        return
    wrong = (dates_of(column.values).isna() & column.values.notna()).to_numpy()
    if wrong.any():
        present = int(column.values.count())
        message = f"{column.first(wrong)}, which is no date ({np.sum(wrong):,} of {present:,} values are none)"
        hint = "accepted: 2024-03-31 or 2024-03-31T12:30:00, with or without a time zone"
        if formats := date_formats(map(str, column.values.dropna().unique())):
            hint = f'data.types: {{{format_name(column.name)}: {{date: "{formats[0]}"}}}} reads such dates'
        yield column.problem(message, hint)


# Any value can be a category: the pipeline compares them as texts.
CHECKS: dict[str, Callable[[Column, FeatureSpec], Iterable[Problem]]] = {
    "numeric": _check_numeric,
    "boolean": _check_boolean,
    "ordinal": _check_ordinal,
    "date": _check_date,
}
