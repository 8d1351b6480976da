"""How rows are split: scikit-learn's own splitters, applied to rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    KFold,
    LeaveOneGroupOut,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from mlwf.errors import SplitError
from mlwf.processes import muted
from mlwf.specs.catalogue import SPLITTERS, SplitterName
from mlwf.splitting.rows import Rows, Split, Splitter, Table

Pairs = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

MOST_PARTS = 20
"""Into how many parts at most the groups are cut, of which a hold-out takes some."""


def fold_splitter(
    kind: SplitterName,
    *,
    n_splits: int = 5,
    shuffle: bool = True,
    random_state: int = 42,
    n_repeats: int = 3,
    gap: int = 0,
    max_train_size: int | None = None,
) -> Splitter:
    """Make the splitter that cuts rows into folds.

    Parameters
    ----------
    kind : str
        One of `SPLITTERS`. What a kind has no use for among the other parameters, it ignores.
    n_splits : int
        Number of folds; of each repeat, where there are several.
    shuffle : bool
        Whether rows, or groups, are shuffled first; repeats always are.
    random_state : int
        Seed of the shuffling.
    n_repeats : int
        How often the rows are cut anew.
    gap : int
        Rows left out between those to train on and the later ones to evaluate on.
    max_train_size : int, optional
        Learn from that many of the latest rows only.

    Returns
    -------
    Splitter
        It raises SplitError for rows that cannot be split so, or that lack the groups, times or folds.
    """
    folds = BUILDERS[kind](_Options(n_splits, shuffle, random_state, n_repeats, gap, max_train_size))
    return partial(_split, kind=kind, folds=folds)


def _split(table: Table, rows: Rows, *, kind: SplitterName, folds: Any) -> tuple[Split, ...]:
    chosen, labels = SPLITTERS[kind], None
    if chosen.is_ordered:
        rows = rows.take(np.argsort(_column(table, rows, kind), kind="stable"))
    elif chosen.column is not None:
        labels = _names(table, rows, kind)
    pairs = _pairs(folds, table.codes[rows.index], labels)
    if any(not len(test) for _, test in pairs):
        raise SplitError(f"the groups are too unequal for {len(pairs)} folds: one of them gets no rows")
    splits = tuple(Split(rows.take(train), rows.take(test)) for train, test in pairs)
    if chosen.is_ordered:
        return tuple(_earlier(table, cut, f"fold {at} of {kind}") for at, cut in enumerate(splits, start=1))
    return splits


def holdout_splitter(
    *, test_size: float, random_state: int, kind: SplitterName = "stratified_kfold", gap: int = 0
) -> Splitter:
    """Make the splitter that leaves one share of the rows out for testing.

    Parameters
    ----------
    test_size : float
        Share of the rows, between 0 and 1; whole groups and times come near it.
    random_state : int
        Seed of the choice.
    kind : str
        How folds would be cut. With groups, whole groups are left out, with each class's share kept as well as they
        allow; with a time, the last rows; otherwise any rows, with each class's share kept.
    gap : int
        With a time, how many rows before the test rows are left out.

    Returns
    -------
    Splitter
        It raises SplitError for rows that cannot be split so, or that lack the groups or times.
    """
    column = SPLITTERS[kind].column
    if column == "fold":
        raise SplitError(f"{kind} has folds and no hold-out")
    if column == "groups":
        hold_out = partial(_hold_out_groups, kind=kind, test_size=test_size, random_state=random_state)
    elif column == "time":
        hold_out = partial(_hold_out_last, kind=kind, test_size=test_size, gap=gap)
    else:
        hold_out = partial(_hold_out_any, test_size=test_size, random_state=random_state)
    return lambda table, rows: (hold_out(table, rows),)


@dataclass(frozen=True)
class _Options:
    n_splits: int
    shuffle: bool
    random_state: int
    n_repeats: int
    gap: int
    max_train_size: int | None

    @property
    def shuffling(self) -> dict[str, Any]:
        # scikit-learn refuses a seed that would have no effect.
        return {"shuffle": self.shuffle, "random_state": self.random_state if self.shuffle else None}

    @property
    def repeating(self) -> dict[str, Any]:
        return {"n_splits": self.n_splits, "n_repeats": self.n_repeats, "random_state": self.random_state}


BUILDERS: dict[SplitterName, Callable[[_Options], Any]] = {
    "stratified_kfold": lambda options: StratifiedKFold(options.n_splits, **options.shuffling),
    "kfold": lambda options: KFold(options.n_splits, **options.shuffling),
    "repeated_stratified_kfold": lambda options: RepeatedStratifiedKFold(**options.repeating),
    "repeated_kfold": lambda options: RepeatedKFold(**options.repeating),
    "stratified_group_kfold": lambda options: StratifiedGroupKFold(options.n_splits, **options.shuffling),
    "leave_one_group_out": lambda options: LeaveOneGroupOut(),
    "time_series_split": lambda options: TimeSeriesSplit(
        options.n_splits, gap=options.gap, max_train_size=options.max_train_size
    ),
    # PredefinedSplit takes the folds before it sees rows; leaving one fold out at a time is the same.
    "predefined_split": lambda options: LeaveOneGroupOut(),
}
"""Make scikit-learn's splitter."""


def _column(table: Table, rows: Rows, kind: SplitterName) -> NDArray[Any]:
    column = SPLITTERS[kind].column
    values: NDArray[Any] | None = getattr(table, str(column))
    if values is None:
        raise SplitError(f"{kind} needs data.{column}")
    return values[rows.index]


def _names(table: Table, rows: Rows, kind: SplitterName) -> NDArray[Any]:
    """Give the groups or folds of some rows, of which there must be two."""
    names = _column(table, rows, kind)
    if len(np.unique(names)) < 2:
        noun = "folds" if SPLITTERS[kind].column == "fold" else "groups"
        raise SplitError(f"{kind} needs two {noun} or more, and these {len(rows):,} rows have one")
    return names


def _pairs(folds: Any, y: NDArray[Any], labels: NDArray[Any] | None) -> Pairs:
    """Cut positions, without scikit-learn's warning of rare classes: the checks of the data report it better."""
    with muted():
        try:
            return list(folds.split(np.zeros(len(y)), y, labels))
        except ValueError as error:
            raise SplitError(str(error)) from error


def _earlier(table: Table, split: Split, name: str) -> Split:
    """Keep the training rows before the first time of the test rows, and of other groups."""
    assert table.time is not None
    train, test = split.train.index, split.test.index
    kept = table.time[train] < table.time[test].min()
    if table.groups is not None:
        kept &= ~np.isin(table.groups[train], table.groups[test])
    if not kept.any():
        other = "" if table.groups is None else " of another group"
        raise SplitError(f"{name} has no earlier row{other} to learn from")
    return Split(Rows(train[kept]), split.test)


def _hold_out_any(table: Table, rows: Rows, *, test_size: float, random_state: int) -> Split:
    y = table.codes[rows.index]
    try:
        train, test = train_test_split(np.arange(len(rows)), test_size=test_size, random_state=random_state, stratify=y)
    except ValueError as error:
        raise SplitError(str(error)) from error
    return Split(rows.take(train), rows.take(test))


def _hold_out_groups(table: Table, rows: Rows, *, kind: SplitterName, test_size: float, random_state: int) -> Split:
    """Unite some of the parts that the groups are cut into, as few and as large as come near the share."""
    groups, y = _names(table, rows, kind), table.codes[rows.index]
    # scikit-learn wants some class to have a row for each part.
    most = max(2, min(MOST_PARTS, len(np.unique(groups)), int(np.bincount(y).max())))
    share = Fraction(min(max(test_size, 1 / most), 1 - 1 / most)).limit_denominator(most)
    parts = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=random_state)
    tests = [test for _, test in _pairs(parts, y, groups) if len(test)]
    # The largest groups are dealt out first, so the first parts are not like the others.
    order = np.random.default_rng(random_state).permutation(len(tests))
    chosen = order[: min(share.numerator, len(tests) - 1)]
    is_test = np.zeros(len(rows), dtype=bool)
    is_test[np.concatenate([tests[part] for part in chosen])] = True
    return Split(rows.take(np.flatnonzero(~is_test)), rows.take(np.flatnonzero(is_test)))


def _hold_out_last(table: Table, rows: Rows, *, kind: SplitterName, test_size: float, gap: int) -> Split:
    """Hold the last rows out, with all rows of the time at which they begin."""
    times = _column(table, rows, kind)
    order = np.argsort(times, kind="stable")
    times = times[order]
    begin = int(np.searchsorted(times, times[-int(np.ceil(test_size * len(rows)))]))
    rows = rows.take(order)
    split = Split(Rows(rows.index[: max(0, begin - gap)]), Rows(rows.index[begin:]))
    return _earlier(table, split, f"the hold-out of {kind}")
