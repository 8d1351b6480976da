"""The data of a run, and the digest that identifies its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows that passed every check; all parts have the same rows in the same order."""

    X: Any
    """Features: a DataFrame of plain types, addressed by name, or the caller's array."""
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
    """Name of the fold that judges each row, as `groups`."""
    other: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The columns that are neither features nor the target: keys, weight, time, groups, fold, dropped ones."""
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

    def _columns(self) -> Iterator[tuple[tuple[str, Any], Any]]:
        if isinstance(self.X, pd.DataFrame):
            yield from ((("X", name), column) for name, column in self.X.items())
        else:
            yield ("X", ""), self.X
        yield ("y", ""), self.y
        for part in ("weight", "time", "groups", "fold"):
            if (values := getattr(self, part)) is not None:
                yield (part, ""), values
        yield from ((("other", name), column) for name, column in self.other.items())


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
