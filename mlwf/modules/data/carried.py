"""What a row carries besides its features and its label: a weight, a time, a group, a fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.errors import Problem
from mlwf.modules.data.columns import Column, counted, infinite, numbers_of
from mlwf.table_schema import dates_of

A_TIME = "accepted: times such as 2024-03-31T12:30:00, or numbers such as a year"
A_NAME = "accepted: texts, numbers, dates, true and false"


def read_carried(columns: Mapping[str, Column]) -> tuple[dict[str, Any], list[Problem]]:
    """Read columns by the keys that name them in the experiment file; the result goes by the fields of a Dataset."""
    carried, problems = {}, []
    for key, column in columns.items():
        field, read = CARRIED[key]
        carried[field], found = read(column)
        problems += found
    return carried, problems


def weights_of(column: Column) -> tuple[NDArray[np.float64] | None, list[Problem]]:
    """Give the weights of a column, or say why they are none."""
    missing = column.values.isna().to_numpy()
    numbers = numbers_of(column.values) if column.kind in ("numbers", "texts", "nothing") else None
    if numbers is None:
        return None, [column.problem(f"holds {column.kind}, and a weight is a number")]
    weight = numbers.to_numpy(dtype=np.float64)
    wrong = np.isnan(weight) & ~missing
    problems = []
    if wrong.any():
        problems.append(column.problem(f"{column.first(wrong)}, and a weight is a number"))
    if missing.any():
        message = f"{missing.sum():,} of {counted(len(missing), 'value')} missing, and every row needs a weight"
        problems.append(column.problem(message))
    problems += infinite(Column(column.name, numbers, column.rows, column.where))
    if (weight < 0).any():
        problems.append(column.problem(f"{column.first(weight < 0)}, and a weight is at least 0"))
    if not problems and not weight.any():
        problems.append(column.problem("all weights are 0"))
    return weight, problems


def times_of(column: Column) -> tuple[pd.Series[Any] | None, list[Problem]]:
    """Read the times of a column, or say why they are none; texts without a time zone stay without one, numbers too."""
    missing = column.values.isna()
    problems = []
    if missing.any():
        message = f"{missing.sum():,} of {counted(len(missing), 'value')} missing, and every row needs a time"
        problems.append(column.problem(message))
    if column.values.dtype.kind == "M" or missing.all():
        return column.values, problems
    if column.kind == "numbers":
        return numbers_of(column.values), [*problems, *infinite(column)]
    if column.kind not in ("texts", "dates"):
        return None, [*problems, column.problem(f"holds {column.kind}", A_TIME)]
    times = dates_of(column.values)
    wrong = (times.isna() & ~missing).to_numpy()
    if wrong.any():
        problems.append(column.problem(f"{column.first(wrong)}, which is no time", A_TIME))
    return times, problems


def names_of(column: Column, noun: str) -> tuple[NDArray[Any] | None, list[Problem]]:
    """Give the groups or folds of a column, or say why they are none: numbers and booleans as they are, or texts.

    `noun` is what messages call one of them.
    """
    missing = column.values.isna()
    if missing.any():
        message = f"{missing.sum():,} of {counted(len(missing), 'value')} missing, and every row needs a {noun}"
        return None, [column.problem(message)]
    if column.kind in ("numbers", "booleans"):
        return column.values.to_numpy(), []
    if column.kind not in ("texts", "dates"):
        return None, [column.problem(f"holds {column.kind}, and a {noun} is a name", A_NAME)]
    return column.values.astype(str).to_numpy(dtype=object), []


CARRIED: dict[str, tuple[str, Callable[[Column], tuple[Any, list[Problem]]]]] = {
    "sample_weight": ("weight", weights_of),
    "time": ("time", times_of),
    "groups": ("groups", partial(names_of, noun="group")),
    "fold": ("fold", partial(names_of, noun="fold")),
}
"""The keys that name such columns: the field of a Dataset that they fill, and what reads them."""
