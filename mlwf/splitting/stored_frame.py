"""Rows of a table that stays in its files: what is read of it at a time is one column, or one batch of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Function = Callable[["pd.Series[Any]"], Any]
"""Makes of the values of some rows, in a column, as many other values: of each row by itself."""


class Source(Protocol):
    """A table in files, whose columns have been given their types."""

    def __len__(self) -> int:
        """Count its rows."""

    def column(self, name: str) -> pd.Series[Any]:
        """Read a column."""

    def batches(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Read some columns of a few rows at a time, in the order of the table."""


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """What a DataFrame of the same rows and columns would be, for all that goes column by column.

    `iloc`, a list of names and `map` give another of these, for which nothing is read; `items` and a name read one
    column. What takes rows takes `batches`, or a few rows `in_memory`.
    """

    source: Source
    columns: pd.Index[Any]
    functions: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    """What is made of the values of a column after they are read."""
    index: NDArray[np.intp] | None = None
    """The rows of the table that these are; None for all of them in their order."""

    def __len__(self) -> int:
        return len(self.source) if self.index is None else len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of columns."""
        return len(self), len(self.columns)

    @property
    def iloc(self) -> _At:
        """Pick rows by position, and a column."""
        return _At(self)

    def __getitem__(self, key: Any) -> Any:
        """Give the column of a name, or these rows with the columns of some names."""
        if isinstance(key, slice):
            return self.iloc[key]
        if isinstance(key, list):
            return replace(self, columns=pd.Index(key, dtype=object))
        values = self._apply(key, self.source.column(key))
        return values if self.index is None else values.iloc[self.index].reset_index(drop=True)

    def __contains__(self, name: Any) -> bool:
        return name in self.columns

    def items(self) -> Iterator[tuple[str, pd.Series[Any]]]:
        """Read one column after another."""
        return ((name, self[name]) for name in self.columns)

    def reset_index(self, *, drop: bool) -> StoredFrame:
        """Give the same: rows are numbered from 0 on."""
        return self

    def map(self, functions: Mapping[str, Function]) -> StoredFrame:
        """Make other values of some columns, by name, when they are read."""
        added = {name: (*self.functions.get(name, ()), function) for name, function in functions.items()}
        return replace(self, functions={**self.functions, **added})

    def batches(self) -> Iterator[tuple[NDArray[np.intp], pd.DataFrame]]:
        """Read a few rows at a time, in the order of the table, with their positions among these."""
        start = n_given = 0
        for batch in self.source.batches(list(self.columns)):
            stop = start + len(batch)
            positions = self._positions(start, stop)
            if len(positions):
                frame = batch if self.index is None else batch.iloc[self.index[positions] - start]
                frame = frame.reset_index(drop=True)
                yield positions, pd.DataFrame({name: self._apply(name, frame[name]) for name in frame.columns})
                n_given += len(positions)
            start = stop
            if n_given == len(self):
                return

    def in_memory(self) -> pd.DataFrame:
        """Read all of these rows."""
        parts = list(self.batches())
        if not parts:
            return pd.DataFrame(columns=self.columns)
        order = np.argsort(np.concatenate([positions for positions, _ in parts]), kind="stable")
        return pd.concat([frame for _, frame in parts], ignore_index=True).iloc[order].reset_index(drop=True)

    def _apply(self, name: str, values: pd.Series[Any]) -> pd.Series[Any]:
        for function in self.functions.get(name, ()):
            values = pd.Series(function(values), index=values.index)
        return values

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        assert self.index is not None
        return np.argsort(self.index, kind="stable")

    def _positions(self, start: int, stop: int) -> NDArray[np.intp]:
        """Find those of these rows that stand from `start` to `stop` in the table."""
        if self.index is None:
            return np.arange(start, stop, dtype=np.intp)
        first, last = np.searchsorted(self.index, (start, stop), sorter=self._order)
        return self._order[first:last]


@dataclass(frozen=True)
class _At:
    frame: StoredFrame

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            rows, place = key
            return self.frame.iloc[rows][self.frame.columns[place]]
        index = self.frame.index
        if isinstance(key, slice):
            key = np.arange(len(self.frame), dtype=np.intp)[key]
        return replace(self.frame, index=np.asarray(key if index is None else index[key], dtype=np.intp))


def in_memory(X: Any) -> Any:
    """Give rows as a DataFrame or an array that is in memory."""
    return X.in_memory() if isinstance(X, StoredFrame) else X
