"""Which rows of a table are in each slice that is reported apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.errors import DataError, Problem, Refusal, nearest
from mlwf.modules.data.columns import cell_text, numbers_of
from mlwf.modules.data.dataset import Dataset
from mlwf.specs.features import category_text
from mlwf.specs.slice_spec import SliceSpec, parse_slice
from mlwf.table_schema import dates_of
from mlwf.text import pluralize

MOST_VALUES = 20
"""A column with more values has to be cut by conditions."""

WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")

ORDER = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def list_slices(texts: Sequence[str], data: Dataset) -> tuple[SliceSpec, ...]:
    """List the slices of a table: those written as conditions, and each value of a column that is written alone.

    Raises
    ------
    DataError
        With every column that is not there, or cannot be what its slice says.
    """
    slices: dict[str, SliceSpec] = {}
    problems = []
    for number, text in enumerate(texts):
        written = parse_slice(text)
        found = _slices_of(written, data)
        if isinstance(found, Refusal):
            problems.append(Problem(data.source, f"validation.slices.{number}", found.message, found.hint))
        else:
            slices |= {str(each): each for each in found}
    if problems:
        raise DataError(problems)
    return tuple(slices.values())


def slice_masks(slices: Sequence[SliceSpec], data: Dataset) -> dict[str, NDArray[np.bool_]]:
    """Give for each slice, by its text, which rows are in it: booleans of shape (n_samples,).

    Missing values are in none. In a table that lacks the column, such as a test set, no row is.
    """
    return {str(each): _mask(each, data) for each in slices}


def _slices_of(written: SliceSpec, data: Dataset) -> list[SliceSpec] | Refusal:
    """Give the slice, or one for each value of a column alone; or what is wrong, and what is accepted."""
    column = _column(written.column, data)
    if column is None:
        return Refusal(f"{written.column}: no such column", _nearest_column(written.column, data))
    present = column[column.notna()]
    if present.empty:
        return Refusal(f"{written.column}: all values are missing")
    if written.operator is None:
        # Values with one text, such as 3 and "3", are one category.
        values = {category_text(value): value for value in present.unique()}
        if len(values) > MOST_VALUES:
            example = _example(written.column, present)
            has_values = f"{written.column} has {pluralize(len(values), 'value')}"
            return Refusal(has_values, f"write a condition such as {example}")
        plain = [_slice_value(value) for value in values.values()]
        order = str if any(isinstance(value, str) for value in plain) else None
        return [SliceSpec(written.column, "=", value) for value in sorted(plain, key=order)]
    if written.operator in ORDER and _comparable(column, written.value) is None:
        holds = f"{written.column} holds {cell_text(present.iloc[0])}"
        return Refusal(f"{holds}, which {written.operator} cannot compare")
    if not _mask(written, data).any():
        known = sorted({category_text(value) for value in present.unique()}) if written.operator == "=" else []
        hint = nearest(category_text(written.value), known) if 0 < len(known) <= MOST_VALUES else ""
        return Refusal(f"{written}: no row is so", hint)
    return [written]


def _nearest_column(column: str, data: Dataset) -> str:
    features = list(data.X.columns) if hasattr(data.X, "columns") else []
    names = [str(name) for name in [*features, *data.other.columns]]
    return nearest(column, names) if names else "X is an array, whose columns have no names"


def _column(name: str, data: Dataset) -> pd.Series[Any] | None:
    for frame in (data.other, data.X):
        if hasattr(frame, "columns") and name in frame.columns:
            return frame[name].reset_index(drop=True)
    return None


def _mask(each: SliceSpec, data: Dataset) -> NDArray[np.bool_]:
    column = _column(each.column, data)
    if column is None:
        return np.zeros(len(data), dtype=bool)
    present = column.notna().to_numpy()
    if each.operator in ORDER:
        comparable = _comparable(column, each.value)
        if comparable is None:
            return np.zeros(len(data), dtype=bool)
        values, bound = comparable
        inside: NDArray[np.bool_] = np.asarray(ORDER[each.operator](values, bound)) & present
        return inside
    same = _texts(column) == category_text(each.value)
    chosen: NDArray[np.bool_] = (same if each.operator == "=" else ~same) & present
    return chosen


def _texts(column: pd.Series[Any]) -> NDArray[Any]:
    # A missing value has a text too; the caller takes it out.
    return np.asarray(column.astype(object).map(category_text), dtype=object)


def _comparable(column: pd.Series[Any], value: Any) -> tuple[NDArray[Any], Any] | None:
    """Give a column and a bound in the type in which they compare; None when there is none."""
    if isinstance(value, str):
        times = dates_of(column)
        bound = pd.Timestamp(value)
        bound = bound.tz_localize("UTC") if bound.tzinfo is None else bound
        if column.dtype.kind in "iufb" or times.isna().all():
            return None
        # With a zone an array would be of Timestamps, which compare with nothing but each other.
        plain = times.dt.tz_convert(None) if times.dt.tz else times
        return plain.to_numpy().astype("datetime64[us]"), bound.tz_convert(None).to_datetime64()
    numbers = numbers_of(column) if column.dtype.kind not in "Mm" else pd.Series(np.nan, index=column.index)
    return None if numbers.isna().all() else (numbers.to_numpy(dtype=np.float64), value)


def _example(name: str, present: pd.Series[Any]) -> str:
    if present.dtype.kind in "iuf":
        return str(SliceSpec(name, ">", float(present.median())))
    return str(SliceSpec(name, "=", _slice_value(present.iloc[0])))


def _slice_value(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str) and WHOLE.fullmatch(value):
        # A column of categories holds texts, and a person writes 3.
        return int(value)
    return value if isinstance(value, str | bool | int | float) else category_text(value)
