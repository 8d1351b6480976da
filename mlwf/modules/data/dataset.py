"""The data of a run: features, target and what else each row carries; digests of its content and of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import getitem
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.util import hash_array

from mlwf.errors import Problem
from mlwf.modules.data.columns import FEATURE_KINDS, Column, infinite, kind_of, numbers_of
from mlwf.table_schema import ISO_DATE, dates_of, read_dates
from mlwf.text import pluralize

if TYPE_CHECKING:
    from hashlib import _Hash

MISSING = np.uint64(0x6D697373696E6721)
"""What stands for the hash of a missing value, whether None, NaN or NaT."""

A_TIME = "accepted: times such as 2024-03-31T12:30:00, or numbers such as a year"
A_NAME = "accepted: texts, numbers, dates, true and false"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows that passed every check; all parts have the same rows in the same order."""

    X: Any
    """Features: a DataFrame of plain types, addressed by name, a StoredFrame of such, or the caller's array."""
    y: NDArray[Any]
    """Class labels, of shape (n_samples,): booleans, int64, or texts in an array of objects."""
    source: str
    """Where the rows come from: the path of the table, or `(in memory)`."""
    weight: NDArray[np.float64] | None = None
    """Weight of each row, at least 0, or None for equal ones."""
    time: pd.Series[Any] | None = None
    """Event time of each row."""
    groups: NDArray[Any] | None = None
    """Group of each row, of shape (n_samples,): numbers, booleans, or texts in an array of objects."""
    fold: NDArray[Any] | None = None
    """Name of the fold whose test row each row is, as `groups`."""
    other: Any = field(default_factory=pd.DataFrame)
    """A frame of all other columns but the target: keys, weight, time, groups, fold, dropped ones."""
    positions: NDArray[np.intp] | None = None
    """Where each row stands in the table that it was read from, from 0 on; None when no row was left out."""
    n_dropped_target: int = 0
    """Rows left out because their target is missing."""

    @property
    def instants(self) -> NDArray[Any] | None:
        """Event time of each row, of shape (n_samples,) and a type that sorts fast; times with a zone are in UTC."""
        if self.time is None:
            return None
        has_zone = isinstance(self.time.dtype, pd.DatetimeTZDtype)
        instants: NDArray[Any] = (self.time.dt.tz_convert(None) if has_zone else self.time).to_numpy()
        return instants

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def digest(self) -> str:
        """Identify the content by a SHA-256 of every name, type and value, in order."""
        digest = hashlib.sha256()
        for name, values in self._columns():
            digest.update(f"{name!r} {values.dtype} {values.shape}\n".encode())
            _update(digest, values)
        return digest.hexdigest()

    @cached_property
    def row_digests(self) -> NDArray[np.uint64]:
        """Hashes of the complete rows, of shape (n_samples,), as `row_digests` makes them."""
        return row_digests(self)

    def _columns(self) -> Iterator[tuple[tuple[str, Any], Any]]:
        if hasattr(self.X, "items"):
            yield from ((("X", name), column) for name, column in self.X.items())
        else:
            yield ("X", ""), self.X
        yield ("y", ""), self.y
        for part in ("weight", "time", "groups", "fold"):
            if (values := getattr(self, part)) is not None:
                yield (part, ""), values
        yield from ((("other", name), column) for name, column in self.other.items())


def row_digests(dataset: Dataset, columns: Sequence[str | int] | None = None) -> NDArray[np.uint64]:
    """Hash each row, so that equal rows of different tables have equal hashes.

    Neither the order of the columns counts nor how a value is stored: the numbers 1 and 1.0, the boolean true and the
    text "1" are the same, as are all missing values, and a time in two zones.

    Parameters
    ----------
    dataset : Dataset
        Rows that passed every check.
    columns : sequence of str or int, optional
        The features that count, besides the target; positions when X is an array. The default is the complete row as it
        was read: all features, the other columns and the target.

    Returns
    -------
    array of shape (n_samples,)
    """
    read = _columns_by_name(dataset)
    names = read.keys() if columns is None else map(str, columns)
    digests = np.zeros(len(dataset), dtype=np.uint64)
    for name in sorted(names):
        # Mixed again after each column, lest two values that change places give the same sum.
        digests = hash_array(digests + _hashes(read[name]()))
    hashed: NDArray[np.uint64] = hash_array(digests + _hashes(pd.Series(dataset.y)))
    return hashed


def read_carried(columns: Mapping[str, Column], *, is_part: bool = False) -> tuple[dict[str, Any], list[Problem]]:
    """Read columns by the keys that name them in the experiment file; give values by the fields of a Dataset.

    Of rows that are a part of a table all weights may be 0.
    """
    carried, problems = {}, []
    for key, column in columns.items():
        field, read = CARRIED[key]
        read = partial(weights_of, is_part=True) if is_part and read is weights_of else read
        carried[field], found = read(column)
        problems += found
    return carried, problems


def weights_of(column: Column, *, is_part: bool = False) -> tuple[NDArray[np.float64] | None, list[Problem]]:
    """Give the weights of a column, or its problems; those of a part of a table may all be 0."""
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
        message = f"{missing.sum():,} of {pluralize(len(missing), 'value')} missing, and every row needs a weight"
        problems.append(column.problem(message))
    problems += infinite(Column(column.name, numbers, column.rows, column.where))
    if (weight < 0).any():
        problems.append(column.problem(f"{column.first(weight < 0)}, and a weight is at least 0"))
    if not problems and not is_part and not weight.any():
        problems.append(column.problem("all weights are 0"))
    return weight, problems


def times_of(column: Column) -> tuple[pd.Series[Any] | None, list[Problem]]:
    """Read the times of a column, or give its problems; texts without a time zone stay without one, numbers too."""
    missing = column.values.isna()
    problems = []
    if missing.any():
        message = f"{missing.sum():,} of {pluralize(len(missing), 'value')} missing, and every row needs a time"
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
    """Give the groups or folds of a column, or its problems: numbers and booleans as they are, or texts.

    `noun` is what messages call one of them.
    """
    missing = column.values.isna()
    if missing.any():
        message = f"{missing.sum():,} of {pluralize(len(missing), 'value')} missing, and every row needs a {noun}"
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


def _update(digest: _Hash, values: Any) -> None:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if values.dtype.kind == "O":
        _update_with_objects(digest, np.asarray(values, dtype=object).ravel())
    else:
        values = np.ascontiguousarray(values)
        # A buffer knows no times; they are counts of their unit.
        digest.update((values.view(np.int64) if values.dtype.kind in "Mm" else values).data)


def _update_with_objects(digest: _Hash, values: NDArray[Any]) -> None:
    if pd.api.types.infer_dtype(values, skipna=True) == "string":
        # The buffers of an Arrow array: which are null, where each text ends, the texts. Ten times as fast as a loop.
        for buffer in pa.array(values, type=pa.large_string(), from_pandas=True).buffers():
            digest.update(b"" if buffer is None else buffer)
        return
    # Types count, lest 1, True and "1" be the same; a separator that no repr contains keeps the values apart.
    digest.update("\n".join(f"{type(value).__name__} {value!r}" for value in values).encode("utf-8", "surrogatepass"))


def _columns_by_name(dataset: Dataset) -> dict[str, Callable[[], pd.Series[Any]]]:
    """Give what reads each column: not all of them need be in memory at once."""
    X: Any = dataset.X if hasattr(dataset.X, "columns") else pd.DataFrame(dataset.X)
    return {str(name): partial(getitem, frame, name) for frame in (X, dataset.other) for name in frame.columns}


def _hashes(values: pd.Series[Any]) -> NDArray[np.uint64]:
    if values.dtype.kind in "biuf":
        return _of_numbers(values)
    kind = kind_of(values)
    if kind == "dates":
        return _of_times(values)
    if kind not in FEATURE_KINDS:
        # Lists and maps cannot be hashed.
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
    # Nanoseconds would end in 2262, and many tables write the year 9999 for never.
    if values.dtype == object:
        times = np.array([_in_utc(value) for value in values.where(values.notna(), None)], dtype="datetime64[us]")
    else:
        times = (values.dt.tz_convert(None) if values.dt.tz else values).to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(times), MISSING, hash_array(times.view(np.int64)))


def _in_utc(value: Any) -> Any:
    if getattr(value, "tzinfo", None) is None:
        return value
    # As numpy's time, since Python's own cannot leave the years 1 to 9999, not even for its zone.
    return np.datetime64(value.replace(tzinfo=None), "us") - np.timedelta64(value.utcoffset())


def _of_objects(values: pd.Series[Any]) -> NDArray[np.uint64]:
    """Hash values of which none is missing: as numbers or times where they can be read so, as texts otherwise."""
    numbers = numbers_of(values)
    texts = np.array([str(value).encode("utf-8", "surrogatepass") for value in values], dtype=object)
    hashes = np.where(numbers.isna(), hash_array(texts, categorize=False), _of_numbers(numbers))
    # A date is text in a CSV file and a time in a Parquet file.
    times = read_dates(values.where(values.astype(str).str.match(ISO_DATE), None))
    return np.where(times.isna(), hashes, _of_times(times))
