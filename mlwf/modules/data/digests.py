"""A hash of each row by its content, so that the same row is known again: in another split, file or run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_array

from mlwf.modules.data.columns import FEATURE_KINDS, kind_of, numbers_of
from mlwf.modules.data.dataset import Dataset
from mlwf.table_schema import ISO_DATE, read_dates

MISSING = np.uint64(0x6D697373696E6721)
"""What stands for the hash of a missing value, whether None, NaN or NaT."""


def row_digests(dataset: Dataset, columns: Sequence[str | int] | None = None) -> NDArray[np.uint64]:
    """Hash each row, so that equal rows of different tables have equal hashes.

    Neither the order of the columns counts nor how a value is stored: the numbers 1 and 1.0, the boolean true and the
    text "1" are the same, as are all missing values, and a time in two zones.

    Parameters
    ----------
    dataset : Dataset
        Rows that passed every check.
    columns : sequence of str or int, optional
        The features that count, besides the target; positions when X is an array. The default is the whole row as it
        was read: all features, the other columns and the target.

    Returns
    -------
    array of shape (n_samples,)
    """
    values = _features(dataset)
    if columns is None:
        values |= {str(name): column for name, column in dataset.other.items()}
        columns = list(values)
    digests = np.zeros(len(dataset), dtype=np.uint64)
    for column in [*(values[name] for name in sorted(map(str, columns))), pd.Series(dataset.y)]:
        # Mixed again after each column, lest two values that change places give the same sum.
        digests = hash_array(digests + _hashes(column))
    return digests


def _features(dataset: Dataset) -> dict[str, pd.Series[Any]]:
    if isinstance(dataset.X, pd.DataFrame):
        return {str(name): column for name, column in dataset.X.items()}
    return {str(position): pd.Series(dataset.X[:, position]) for position in range(dataset.X.shape[1])}


def _hashes(values: pd.Series[Any]) -> NDArray[np.uint64]:
    if values.dtype.kind in "biuf":
        return _of_numbers(values)
    kind = kind_of(values)
    if kind == "dates":
        return _of_times(values)
    if kind not in FEATURE_KINDS:
        # Lists and maps cannot be told apart by a hash table.
        values = values.astype(str).where(values.notna(), None)
    codes, distinct = pd.factorize(values)
    # The code of a missing value is -1: the last hash.
    hashes = np.append(_of_objects(pd.Series(distinct, dtype=object)), MISSING)
    picked: NDArray[np.uint64] = hashes[codes]
    return picked


def _of_numbers(values: pd.Series[Any]) -> NDArray[np.uint64]:
    # Adding zero makes one of the two zeros.
    numbers = values.to_numpy(dtype=np.float64) + 0.0
    hashes: NDArray[np.uint64] = np.where(np.isnan(numbers), MISSING, hash_array(numbers))
    return hashes


def _of_times(values: pd.Series[Any]) -> NDArray[np.uint64]:
    # Nanoseconds would end in 2262, and year 9999 is what many tables say for never.
    if values.dtype == object:
        times = np.array([_in_utc(value) for value in values.where(values.notna(), None)], dtype="datetime64[us]")
    else:
        times = (values.dt.tz_convert(None) if values.dt.tz else values).to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(times), MISSING, hash_array(times.view(np.int64)))


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if getattr(value, "tzinfo", None) else value


def _of_objects(values: pd.Series[Any]) -> NDArray[np.uint64]:
    """Hash values of which none is missing: as numbers or times where they can be read so, as texts otherwise."""
    numbers = numbers_of(values)
    texts = np.array([str(value).encode("utf-8", "surrogatepass") for value in values], dtype=object)
    hashes = np.where(numbers.isna(), hash_array(texts, categorize=False), _of_numbers(numbers))
    # A date is text in a CSV file and a time in a Parquet file.
    times = read_dates(values.where(values.astype(str).str.match(ISO_DATE), None))
    return np.where(times.isna(), hashes, _of_times(times))
