"""The rows of one table, named by their position in the whole table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a table, by absolute position, in this order."""

    index: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, positions: NDArray[np.intp]) -> Rows:
        """Pick rows by their position among these."""
        return Rows(self.index[positions])

    def positions_of(self, rows: Rows) -> NDArray[np.intp]:
        """Find where each of `rows`, all of which are among these, stands among these."""
        if (
            len(self.index)
            and len(self.index) == self.index[-1] + 1 - self.index[0]
            and (np.diff(self.index) == 1).all()
        ):
            from_first: NDArray[np.intp] = rows.index - self.index[0]
            return from_first
        order = np.argsort(self.index)
        return order[np.searchsorted(self.index, rows.index, sorter=order)]

    @cached_property
    def digest(self) -> str:
        """Identify the rows and their order."""
        return hashlib.sha256(np.ascontiguousarray(self.index, dtype=np.int64).tobytes()).hexdigest()


def distinct_rows(index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give the different ones of positions, sorted; to sort a million of them takes a second."""
    return np.flatnonzero(np.bincount(index))


NO_ROWS = Rows(np.empty(0, dtype=np.intp))


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on, and rows to evaluate on."""

    train: Rows
    test: Rows


@dataclass(frozen=True, eq=False)
class Table:
    """The data of a run: features, target and weights of every row."""

    X: Any
    """DataFrame or array of shape (n_samples, n_features)."""
    y: NDArray[Any]
    """Class labels, of shape (n_samples,)."""
    weight: NDArray[np.float64] | None = None
    """Weight of each row, or None for equal ones."""
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None
    """Weight of each class during fits; `balanced` is computed from the rows of each fit alone."""
    digest: str = ""
    """Identifies the content."""
    groups: NDArray[Any] | None = None
    """Which rows belong together, such as those of one person; never on both sides of a split."""
    time: NDArray[Any] | None = None
    """When each row happened, comparable; a row of a test side is later than those of its training side."""
    fold: NDArray[Any] | None = None
    """Name of the fold whose test side each row is in."""

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def all_rows(self) -> Rows:
        """Every row, in the order of the table."""
        return Rows(np.arange(len(self.y), dtype=np.intp))

    @cached_property
    def classes(self) -> NDArray[Any]:
        """The class labels, sorted."""
        return encode_labels(self.y)[0]

    @cached_property
    def codes(self) -> NDArray[np.intp]:
        """The position of each row's label among the classes."""
        return encode_labels(self.y)[1]

    def X_of(self, rows: Rows) -> Any:
        """Give the features of some rows."""
        return self.X.iloc[rows.index] if hasattr(self.X, "iloc") else self.X[rows.index]

    def y_of(self, rows: Rows) -> NDArray[Any]:
        """Give the labels of some rows."""
        return self.y[rows.index]

    def class_counts_of(self, rows: Rows) -> NDArray[np.intp]:
        """Count some rows of each class, in the order of the classes."""
        return np.bincount(self.codes[rows.index], minlength=len(self.classes))

    def weight_of(self, rows: Rows) -> NDArray[np.float64] | None:
        """Give the weights of some rows, or None for equal ones."""
        return None if self.weight is None else self.weight[rows.index]

    def groups_of(self, rows: Rows) -> NDArray[Any] | None:
        """Give the groups of some rows, or None where there are none."""
        return None if self.groups is None else self.groups[rows.index]

    def fit_weight_of(self, rows: Rows) -> NDArray[np.float64] | None:
        """Give the weights that a fit on some rows uses: the rows' own times their classes'."""
        weight = self.weight_of(rows)
        if self.class_weight is None:
            return weight
        by_class: NDArray[np.float64]
        if isinstance(self.class_weight, str):
            by_class = compute_sample_weight(self.class_weight, self.codes[rows.index])
        else:
            by_class = compute_sample_weight(dict(self.class_weight), self.y_of(rows))
        return by_class if weight is None else weight * by_class


def encode_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Give the sorted classes and the position of each label among them, as `numpy.unique` does.

    Texts are hashed: to sort a million of them takes a second, each time.
    """
    if labels.dtype != object:
        classes, codes = np.unique(labels, return_inverse=True)
        return classes, codes.astype(np.intp, copy=False)
    found, distinct = pd.factorize(labels)
    classes, place = np.unique(np.asarray(distinct, dtype=object), return_inverse=True)
    return classes, place.astype(np.intp, copy=False)[found]


def count_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Give the sorted classes and how many rows each has."""
    classes, codes = encode_labels(labels)
    return classes, np.bincount(codes, minlength=len(classes))


Splitter = Callable[[Table, Rows], tuple[Split, ...]]
"""Cuts some rows of a table, by positions in the table."""
