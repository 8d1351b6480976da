"""Make a dataset of what a Python caller holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.errors import DataError, Problem
from mlwf.modules.data.columns import Column, absent, as_feature, check_any, check_feature, plain, with_columns
from mlwf.modules.data.dataset import CARRIED, Dataset, read_carried
from mlwf.modules.data.prepare import Features
from mlwf.modules.data.target import check_classes, check_same_classes, labels_of
from mlwf.specs.data import IN_MEMORY, ClassLabel
from mlwf.text import pluralize


def dataset_from_arrays(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    time: Any = None,
    groups: Any = None,
    fold: Any = None,
    features: Features = "auto",
    positive_class: ClassLabel | None = None,
    source: str = IN_MEMORY,
    reference: Dataset | None = None,
) -> Dataset:
    """Check features and labels that are in memory, as `prepare` checks a table.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        A DataFrame stays one and is addressed by name, its columns narrowed to those of `features`; anything else
        becomes an array and is addressed by position.
    y : array-like of shape (n_samples,)
        Class labels, without missing ones.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    time, groups, fold : array-like of shape (n_samples,), optional
        Time, group and name of the fold of each row, without missing ones.
    features, positive_class, reference
        As for `prepare`.
    source : str
        What messages name as the place of the data.

    Raises
    ------
    DataError
        With every problem that was found.
    """
    if hasattr(X, "toarray"):
        raise DataError(Problem(where=source, key="X", message="is sparse", hint="X.toarray() makes it dense"))
    parts: dict[str, Any] = {"X": X if isinstance(X, pd.DataFrame) else _array(X), "y": _flat(y)}
    carried = {"sample_weight": sample_weight, "time": time, "groups": groups, "fold": fold}
    parts |= {name: _flat(values) for name, values in carried.items() if values is not None}
    problems = _wrong_shapes(parts, source)
    if problems:
        raise DataError(problems)
    labels, found = _labels(_column("y", parts["y"], source), positive_class, reference)
    problems += found
    read, found = read_carried({name: _column(name, parts[name], source) for name in CARRIED if name in parts})
    problems += found
    checked, found = (_frame if isinstance(X, pd.DataFrame) else _positions)(parts["X"], features, source, reference)
    problems += found
    if problems or labels is None:
        raise DataError(problems)
    other = pd.DataFrame(index=pd.RangeIndex(len(labels)))
    return Dataset(checked, labels, source, **read, other=other)


def _array(X: Any) -> NDArray[Any]:
    array = np.asarray(X)
    # NumPy turns rows such as [1, "a"] into texts; texts stay Python's own.
    return np.asarray(X, dtype=object) if array.dtype.kind in "US" else array


def _flat(values: Any) -> NDArray[Any] | pd.Series[Any]:
    if isinstance(values, pd.Series):
        return values
    array = _array(values)
    return array.ravel() if array.ndim == 2 and array.shape[1] == 1 else array


def _column(name: str, values: Any, source: str) -> Column:
    frame = plain(pd.DataFrame({name: values}))
    return Column(name, frame[name], np.arange(1, len(frame) + 1), source)


def _wrong_shapes(parts: dict[str, Any], source: str) -> list[Problem]:
    problems = []
    for name, part in parts.items():
        expected = 2 if name == "X" else 1
        if part.ndim != expected:
            shape = "(n_samples, n_features)" if expected == 2 else "(n_samples,)"
            message = f"has {pluralize(part.ndim, 'dimension')}"
            problems.append(Problem(where=source, key=name, message=message, hint=f"accepted: shape {shape}"))
    if problems:
        return problems
    n_rows = len(parts["X"])
    for name, part in parts.items():
        if len(part) != n_rows:
            message = f"has {pluralize(len(part), 'row')} and X has {n_rows:,}"
            problems.append(Problem(where=source, key=name, message=message))
    if not n_rows:
        problems.append(Problem(where=source, key="X", message="has no rows"))
    return problems


def _labels(
    column: Column, positive_class: ClassLabel | None, reference: Dataset | None
) -> tuple[NDArray[Any] | None, list[Problem]]:
    n_missing = int(column.values.isna().sum())
    if n_missing:
        message = f"{n_missing:,} of {pluralize(len(column.values), 'value')} missing in the target"
        return None, [column.problem(message, "leave these rows out")]
    labels = labels_of(column)
    if isinstance(labels, Problem):
        return None, [labels]
    if reference is not None:
        return labels, check_same_classes(column, reference.y)
    return labels, check_classes(column, labels, positive_class)


def _frame(
    X: pd.DataFrame, features: Features, source: str, reference: Dataset | None
) -> tuple[pd.DataFrame, list[Problem]]:
    unnamed = [name for name in X.columns if not isinstance(name, str)]
    if unnamed:
        message = f"column {unnamed[0]!r} of X has no text for a name"
        return X, [
            Problem(where=source, key="X", message=message, hint="X.columns = X.columns.astype(str) gives it one")
        ]
    twice = X.columns[X.columns.duplicated()].unique()
    if len(twice):
        message = "several columns have this same name"
        return X, [Problem(where=source, key=name, message=message) for name in twice]
    X = plain(X)
    rows = np.arange(1, len(X) + 1)
    if features == "auto":
        names = list(X.columns if reference is None else reference.X.columns)
        problems = absent(source, [("training", name) for name in names], list(X.columns))
        X = X[[name for name in names if name in X.columns]]
        return X, problems + [p for name in X.columns for p in check_any(Column(name, X[name], rows, source))]
    problems = absent(source, [("features", str(name)) for spec in features for name in spec.columns], list(X.columns))
    specs = {name: spec for spec in features for name in spec.columns if name in X.columns}
    X = X[[name for name in X.columns if name in specs]]
    for name, spec in specs.items():
        column = Column(str(name), X[name], rows, source)
        problems += check_feature(column, spec, training=reference is None)
    if problems:
        return X, problems
    return with_columns(X, {str(name): as_feature(X[name], spec) for name, spec in specs.items()}), problems


def _positions(
    X: NDArray[Any], features: Features, source: str, reference: Dataset | None
) -> tuple[NDArray[Any], list[Problem]]:
    problems = []
    listed: Sequence[str | int] = [] if features == "auto" else [name for spec in features for name in spec.columns]
    needed = max([len(listed), *(name + 1 for name in listed if isinstance(name, int))])
    if needed > X.shape[1]:
        message = f"has {pluralize(X.shape[1], 'column')}, and features need {needed}"
        problems.append(Problem(where=source, key="X", message=message))
    if reference is not None and reference.X.shape[1] != X.shape[1]:
        message = f"has {pluralize(X.shape[1], 'column')} and had {reference.X.shape[1]} in training"
        problems.append(Problem(where=source, key="X", message=message))
    if X.dtype.kind == "f":
        broken = np.isinf(X)
        for position in np.flatnonzero(broken.any(axis=0)):
            at = np.flatnonzero(broken[:, position])
            message = f"{pluralize(len(at), 'infinite value')}: row {at[0] + 1} holds {X[at[0], position]}"
            problems.append(Problem(where=source, key=f"X[:, {position}]", message=message))
    return X, problems
