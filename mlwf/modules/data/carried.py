"""What a row carries besides its features and its label: a weight, a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.errors import Problem
from mlwf.modules.data.columns import Column, counted, infinite, numbers_of

A_TIME = "accepted: times such as 2024-03-31T12:30:00"


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
    """Read the times of a column, or say why they are none; texts without a time zone stay without one."""
    missing = column.values.isna()
    problems = []
    if missing.any():
        message = f"{missing.sum():,} of {counted(len(missing), 'value')} missing, and every row needs a time"
        problems.append(column.problem(message))
    if column.values.dtype.kind == "M" or missing.all():
        return column.values, problems
    if column.kind not in ("texts", "dates"):
        return None, [*problems, column.problem(f"holds {column.kind}", A_TIME)]
    has_zone = column.values.astype(str).str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").any()
    # UTC for all: pandas gives objects for several zones.
    times = pd.to_datetime(column.values, errors="coerce", format="ISO8601", utc=True)
    wrong = (times.isna() & ~missing).to_numpy()
    if wrong.any():
        problems.append(column.problem(f"{column.first(wrong)}, which is no time", A_TIME))
    return times if has_zone else times.dt.tz_localize(None), problems
