"""Make a dataset of a table, or raise all its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import DataError, Problem
from mlwf.modules.data.columns import (
    Column,
    absent,
    as_feature,
    cell_text,
    check_any,
    check_feature,
    map_columns,
    plain,
    readable,
    select_columns,
)
from mlwf.modules.data.dataset import CARRIED, Dataset, read_carried
from mlwf.modules.data.target import check_classes, check_same_classes, labels_of
from mlwf.specs.data import DataSpec
from mlwf.specs.features import FeatureSpec
from mlwf.text import pluralize

if TYPE_CHECKING:
    from numpy import bool_

Features = Sequence[FeatureSpec] | Literal["auto"]


def prepare(
    frame: Any,
    data: DataSpec,
    *,
    features: Features = "auto",
    where: str | None = None,
    reference: Dataset | None = None,
    missing_labels: Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
    is_part: bool = False,
) -> Dataset:
    """Check a table and split it into features, target and carried columns.

    Parameters
    ----------
    frame : DataFrame
        The table, its rows in the order of the file.
    data : DataSpec
        Which column is what.
    features : sequence of FeatureSpec or "auto"
        With `auto`, `X` holds every column that has no other part in the experiment.
    where : str, optional
        The file that messages name; the default is `data.path`.
    reference : Dataset, optional
        What was trained on, when this is a test table: it must have the same features and no other classes; one
        class alone, and columns of which all values are missing, are then no problem.
    missing_labels : mapping of str to int, optional
        Words that the target holds and that were read as missing, with how many rows hold each.
    names : sequence of str, optional
        All columns of the table, where the frame holds only those that the training had.
    is_part : bool
        Whether the frame holds some rows of the table, and some of its columns perhaps.

    Raises
    ------
    DataError
        With every problem that was found.
    """
    where = where or data.path
    roles = _roles(data, features, reference)
    problems = [*_overlaps(where, data, features), *absent(where, roles, list(names or frame.columns))]
    frame = plain(frame)
    present, y, found = _target(frame, data, where, reference, missing_labels or {})
    problems += found
    rows = np.flatnonzero(present) + 1
    n_dropped = len(frame) - len(rows)
    if n_dropped:
        frame = frame.iloc[rows - 1].reset_index(drop=True)

    carried, found = _carried(frame, data, rows, where, reference, is_part=is_part)
    problems += found
    X, found = _features(frame, data, features, rows, where, reference)
    problems += found
    if problems or y is None:
        raise DataError(problems)
    other = select_columns(frame, [name for name in frame.columns if name not in X.columns and name != data.target])
    positions = rows - 1 if n_dropped else None
    return Dataset(X, y, where, **carried, other=other, positions=positions, n_dropped_target=n_dropped)


def select_features(
    frame: Any,
    features: Sequence[FeatureSpec] | Sequence[str],
    *,
    where: str,
    names: Sequence[str] | None = None,
    unreadable_is_missing: bool = False,
) -> Any:
    """Pick the features out of a table to predict on, by name and in the table's order, and check them.

    Features by name alone check that the columns are there; specs check their content too, or with
    `unreadable_is_missing` take out of it what they cannot read. `names` are all columns of the table, where the frame
    holds only those that the training had.

    Raises
    ------
    DataError
        With every problem that was found.
    """
    specs = {str(name): spec for spec in features if isinstance(spec, FeatureSpec) for name in spec.columns}
    wanted = list(specs) or [str(name) for name in features]
    problems = absent(where, [("the model", name) for name in wanted], list(names or frame.columns))
    X = plain(frame[[name for name in frame.columns if name in wanted]])
    if unreadable_is_missing:
        X = map_columns(X, {name: partial(readable, spec=spec) for name, spec in specs.items()})
    rows = np.arange(1, len(X) + 1)
    problems += _check_listed(X, specs, rows, where, training=False) if specs else []
    if problems:
        raise DataError(problems)
    return _as_features(X, specs)


def _roles(data: DataSpec, features: Features, reference: Dataset | None) -> list[tuple[str, str]]:
    """List the columns that must be there, each with the key that names it."""
    # A test table is not split.
    optional = () if reference is None else ("groups", "fold")
    roles = [role for role in ("target", *CARRIED) if role not in optional]
    named = [(f"data.{role}", name) for role in roles if (name := getattr(data, role)) is not None]
    if reference is None:
        named += [("data.drop", name) for name in data.drop]
    if features != "auto":
        named += [("features", str(name)) for spec in features for name in spec.columns]
    elif reference is not None:
        named += [("training", name) for name in reference.X.columns]
    return named


def _overlaps(where: str, data: DataSpec, features: Features) -> Iterator[Problem]:
    # A target among the features would predict itself, with the best of scores.
    taken = {getattr(data, role): f"data.{role}" for role in ("target", *CARRIED)}
    taken |= dict.fromkeys(data.drop, "data.drop")
    for name in () if features == "auto" else (name for spec in features for name in spec.columns):
        if name in taken:
            yield Problem(where=where, key=str(name), message=f"is a feature and also {taken[str(name)]}")


def _target(
    frame: Any, data: DataSpec, where: str, reference: Dataset | None, missing_labels: Mapping[str, int]
) -> tuple[NDArray[bool_], NDArray[Any] | None, list[Problem]]:
    """Find the rows that have a target, and the labels in them."""
    everything = np.ones(len(frame), dtype=bool)
    if data.target not in frame.columns:
        return everything, None, []
    present = frame[data.target].notna().to_numpy()
    column = Column(data.target, frame[data.target][present], np.flatnonzero(present) + 1, where)
    n_missing = len(frame) - int(present.sum())
    if n_missing == len(frame):
        return everything, None, [column.problem("all values are missing", "a target has a class in every row")]
    problems = []
    if n_missing and not data.drop_missing_target:
        message, hint = _missing_target(n_missing, len(frame), missing_labels)
        problems.append(column.problem(message, hint))
    if reference is not None and (unknown := check_same_classes(column, reference.y)):
        return present, None, [*problems, *unknown]
    y = labels_of(column)
    if isinstance(y, Problem):
        return present, None, [*problems, y]
    if reference is None:
        problems += check_classes(column, y, data.positive_class)
    return present, y, problems


def _missing_target(n_missing: int, n_rows: int, words: Mapping[str, int]) -> tuple[str, str]:
    message = f"{n_missing:,} of {pluralize(n_rows, 'value')} missing in the target"
    hint = "data.drop_missing_target: true leaves these rows out"
    if words:
        named = ", ".join(f"{cell_text(word)} in {pluralize(count, 'row')}" for word, count in words.items())
        message += f", of them {named}"
        hint = f"data.read.keep_default_na: false keeps such words as classes, and {hint}"
    return message, hint


def _carried(
    frame: Any, data: DataSpec, rows: NDArray[Any], where: str, reference: Dataset | None, *, is_part: bool
) -> tuple[dict[str, Any], list[Problem]]:
    named = {role: getattr(data, role) for role in CARRIED if role != "fold" or reference is None}
    return read_carried(
        {role: Column(name, frame[name], rows, where) for role, name in named.items() if name in frame.columns},
        is_part=is_part,
    )


def _features(
    frame: Any,
    data: DataSpec,
    features: Features,
    rows: NDArray[Any],
    where: str,
    reference: Dataset | None,
) -> tuple[Any, list[Problem]]:
    if features == "auto":
        taken = {*(getattr(data, role) for role in ("target", *CARRIED)), *data.drop}
        names = [name for name in frame.columns if name not in taken]
        if reference is not None:
            names = [name for name in reference.X.columns if name in frame.columns]
        if not names:
            return frame[[]], [Problem(where=where, key="", message="no column is left to be a feature")]
        columns = (Column(name, frame[name], rows, where) for name in names)
        return select_columns(frame, names), [problem for column in columns for problem in check_any(column)]
    specs = {str(name): spec for spec in features for name in spec.columns if name in frame.columns}
    X = select_columns(frame, [name for name in frame.columns if name in specs])
    problems = _check_listed(X, specs, rows, where, training=reference is None)
    if problems:
        return X, problems
    return _as_features(X, specs), problems


def _as_features(X: Any, specs: Mapping[str, FeatureSpec]) -> Any:
    return map_columns(X, {name: partial(as_feature, spec=spec) for name, spec in specs.items()})


def _check_listed(
    X: Any, specs: dict[str, FeatureSpec], rows: NDArray[Any], where: str, *, training: bool
) -> list[Problem]:
    columns = (Column(name, X[name], rows, where) for name in X.columns)
    return [problem for column in columns for problem in check_feature(column, specs[column.name], training=training)]
