"""Every kind of split keeps what it promises, for all rows of a table and for any of them in any order."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from mlwf.specs.catalogue import SPLITTERS
from mlwf.splitting.rows import Rows, Table
from mlwf.splitting.splitters import fold_splitter, holdout_splitter

N = 120
RANDOM = np.random.default_rng(5)
Y = np.array(["a", "a", "a", "b"] * 30, dtype=object)
GROUPS = np.array([f"person {i}" for i in RANDOM.integers(0, 25, N)], dtype=object)
# Ten rows share each day.
TIME = np.datetime64("2024-03-31") + RANDOM.permutation(np.arange(N) // 10).astype("timedelta64[D]")
FOLD = RANDOM.permutation(np.arange(N) % 4) * 10
TABLE = Table(pd.DataFrame({"x": np.arange(float(N))}), Y, groups=GROUPS, time=TIME, fold=FOLD)
UNGROUPED = dataclasses.replace(TABLE, groups=None)
SOME = Rows(RANDOM.permutation(N)[:90])
GROUPED = ("stratified_group_kfold", "leave_one_group_out")


def indices(splits):
    return [(split.train.index.tolist(), split.test.index.tolist()) for split in splits]


def held_out(splits):
    return sorted(np.concatenate([split.test.index for split in splits]).tolist())


# Folds


@pytest.mark.parametrize(
    ("kind", "partition", "ordered", "by_count"),
    [
        ("stratified_kfold", True, False, True),
        ("kfold", True, False, True),
        ("repeated_stratified_kfold", False, False, True),
        ("repeated_kfold", False, False, True),
        ("stratified_group_kfold", True, False, True),
        ("leave_one_group_out", True, False, False),
        ("time_series_split", False, True, True),
        ("predefined_split", True, False, False),
    ],
)
def test_each_kind_describes_its_folds(kind, partition, ordered, by_count):
    assert (SPLITTERS[kind].is_partition, SPLITTERS[kind].is_ordered, SPLITTERS[kind].has_cv_folds) == (
        partition,
        ordered,
        by_count,
    )


@pytest.mark.parametrize("kind", SPLITTERS)
@pytest.mark.parametrize("rows", [TABLE.all_rows, SOME], ids=["all rows", "some rows"])
def test_fold_splitter_never_tests_on_what_it_trains_on(kind, rows):
    splits = fold_splitter(kind, n_splits=4, random_state=0)(TABLE, rows)
    for split in splits:
        train, test = set(split.train.index), set(split.test.index)
        assert train
        assert test
        assert not train & test
        assert train | test <= set(rows.index)


@pytest.mark.parametrize("kind", [kind for kind in SPLITTERS if SPLITTERS[kind].is_partition])
def test_fold_splitter_tests_each_row_of_a_partition_once(kind):
    splits = fold_splitter(kind, n_splits=4, random_state=0)(TABLE, SOME)
    assert held_out(splits) == sorted(SOME.index)
    assert all(len(split.train) + len(split.test) == len(SOME) for split in splits)


@pytest.mark.parametrize("kind", ["repeated_kfold", "repeated_stratified_kfold"])
def test_fold_splitter_tests_each_row_once_a_repeat(kind):
    splits = fold_splitter(kind, n_splits=4, n_repeats=2)(TABLE, SOME)
    assert len(splits) == 8
    assert held_out(splits[:4]) == held_out(splits[4:]) == sorted(SOME.index)
    assert indices(splits[:4]) != indices(splits[4:])


@pytest.mark.parametrize("kind", SPLITTERS)
def test_fold_splitter_is_deterministic(kind):
    assert indices(fold_splitter(kind, random_state=1)(TABLE, SOME)) == indices(
        fold_splitter(kind, random_state=1)(TABLE, SOME)
    )


@pytest.mark.parametrize(
    "kind",
    ["stratified_kfold", "kfold", "repeated_stratified_kfold", "repeated_kfold", "stratified_group_kfold"],
)
def test_fold_splitter_shuffles_by_its_seed(kind):
    assert indices(fold_splitter(kind, random_state=1)(TABLE, SOME)) != indices(
        fold_splitter(kind, random_state=2)(TABLE, SOME)
    )


SKLEARN = {
    "stratified_kfold": StratifiedKFold(5, shuffle=True, random_state=7),
    "kfold": KFold(5, shuffle=True, random_state=7),
    "repeated_stratified_kfold": RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=7),
    "repeated_kfold": RepeatedKFold(n_splits=5, n_repeats=3, random_state=7),
    "stratified_group_kfold": StratifiedGroupKFold(5, shuffle=True, random_state=7),
    "leave_one_group_out": LeaveOneGroupOut(),
    "time_series_split": TimeSeriesSplit(5, gap=2, max_train_size=30),
    "predefined_split": PredefinedSplit(FOLD),
}


@pytest.mark.parametrize("kind", SPLITTERS)
def test_fold_splitter_makes_scikit_learns_folds(kind):
    table = dataclasses.replace(UNGROUPED, time=np.arange(N)) if SPLITTERS[kind].is_ordered else TABLE
    splits = fold_splitter(kind, random_state=7, gap=2, max_train_size=30)(table, table.all_rows)
    expected = SKLEARN[kind].split(np.zeros(N), Y, GROUPS if kind in GROUPED else None)
    assert indices(splits) == [(train.tolist(), test.tolist()) for train, test in expected]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("stratified_kfold", StratifiedKFold(5)),
        ("kfold", KFold(5)),
        ("stratified_group_kfold", StratifiedGroupKFold(5)),
    ],
)
def test_fold_splitter_leaves_the_order_when_not_shuffled(kind, expected):
    splits = fold_splitter(kind, shuffle=False)(TABLE, TABLE.all_rows)
    pairs = expected.split(np.zeros(N), Y, GROUPS if kind in GROUPED else None)
    assert indices(splits) == [(train.tolist(), test.tolist()) for train, test in pairs]


@pytest.mark.parametrize("kind", [*GROUPED, "time_series_split"])
@pytest.mark.parametrize("rows", [TABLE.all_rows, SOME], ids=["all rows", "some rows"])
def test_fold_splitter_has_no_group_on_both_sides(kind, rows):
    splits = fold_splitter(kind, n_splits=3)(TABLE, rows)
    assert all(not set(GROUPS[split.train.index]) & set(GROUPS[split.test.index]) for split in splits)


@pytest.mark.parametrize("kind", GROUPED)
def test_fold_splitter_uses_the_groups_that_are_left_inside_a_fold(kind):
    for outer in fold_splitter(kind, n_splits=3)(TABLE, SOME):
        inner = fold_splitter(kind, n_splits=3)(TABLE, outer.train)
        assert held_out(inner) == sorted(outer.train.index)
        assert all(not set(GROUPS[split.train.index]) & set(GROUPS[split.test.index]) for split in inner)


@pytest.mark.parametrize("table", [TABLE, UNGROUPED], ids=["groups", "no groups"])
@pytest.mark.parametrize("options", [{}, {"gap": 5}, {"max_train_size": 25}], ids=["expanding", "gap", "sliding"])
@pytest.mark.parametrize("rows", [TABLE.all_rows, SOME], ids=["all rows", "some rows"])
def test_time_series_split_trains_before_it_tests(table, options, rows):
    splits = fold_splitter("time_series_split", n_splits=4, **options)(table, rows)
    assert len(splits) == 4
    assert all(TIME[split.train.index].max() < TIME[split.test.index].min() for split in splits)


def test_time_series_split_leaves_out_the_time_at_which_judging_begins():
    table = Table(np.zeros((6, 1)), np.array([0, 1] * 3), time=np.array([2, 1, 1, 2, 3, 4]))
    # In time, the rows are 1, 2, 0, 3, 4, 5: the first two folds begin inside a time.
    splits = fold_splitter("time_series_split", n_splits=2)(table, table.all_rows)
    assert indices(splits) == [([1, 2], [0, 3]), ([1, 2, 0, 3], [4, 5])]
    table = dataclasses.replace(table, time=np.array([2, 1, 2, 2, 3, 4]))
    assert indices(fold_splitter("time_series_split", n_splits=2)(table, table.all_rows))[0] == ([1], [2, 3])


def test_time_series_split_keeps_the_order_of_the_rows_of_one_time():
    splits = fold_splitter("time_series_split", n_splits=4)(UNGROUPED, SOME)
    in_time = sorted(SOME.index, key=lambda row: TIME[row])
    assert [row for split in splits for row in split.test.index] == in_time[-4 * 18 :]


def test_time_series_split_leaves_its_gap_out():
    table = dataclasses.replace(UNGROUPED, time=np.arange(N)[::-1])
    splits = fold_splitter("time_series_split", n_splits=4, gap=3)(table, table.all_rows)
    assert all(split.train.index.min() - split.test.index.max() == 4 for split in splits)


def test_predefined_split_tests_one_named_fold_after_another():
    splits = fold_splitter("predefined_split")(TABLE, SOME)
    assert [np.unique(FOLD[split.test.index]).tolist() for split in splits] == [[0], [10], [20], [30]]
    inner = fold_splitter("predefined_split")(TABLE, splits[1].train)
    assert [np.unique(FOLD[split.test.index]).tolist() for split in inner] == [[0], [20], [30]]


@pytest.mark.parametrize("kind", ["stratified_kfold", "repeated_stratified_kfold", "stratified_group_kfold"])
def test_fold_splitter_does_not_warn_of_a_rare_class(kind):
    table = dataclasses.replace(TABLE, y=np.array(["a"] * (N - 2) + ["b"] * 2, dtype=object))
    assert len(fold_splitter(kind, n_splits=5, n_repeats=1)(table, table.all_rows)) == 5


ONE = Rows(np.array([0, 1, 2]))
FEW = Table(
    np.zeros((6, 1)),
    np.array([0, 1] * 3),
    groups=np.array(["a", "a", "a", "b", "b", "b"], dtype=object),
    time=np.array([1, 1, 1, 1, 2, 2]),
    fold=np.array([0, 0, 0, 1, 1, 1]),
)
BARE = Table(np.zeros((6, 1)), FEW.y)
REFUSED = {
    "one group": (
        ("stratified_group_kfold", FEW, ONE),
        "stratified_group_kfold needs two groups or more, and these 3 rows have one",
    ),
    "one group to leave out": (
        ("leave_one_group_out", FEW, ONE),
        "leave_one_group_out needs two groups or more, and these 3 rows have one",
    ),
    "one fold": (
        ("predefined_split", FEW, ONE),
        "predefined_split needs two folds or more, and these 3 rows have one",
    ),
    "fewer groups than folds": (
        ("stratified_group_kfold", FEW, FEW.all_rows),
        "Cannot have number of splits n_splits=3 greater than the number of groups: 2.",
    ),
    "no earlier row": (
        ("time_series_split", dataclasses.replace(FEW, groups=None), FEW.all_rows),
        "fold 1 of time_series_split has no earlier row to learn from",
    ),
    "no earlier row of another group": (
        ("time_series_split", dataclasses.replace(FEW, time=np.arange(6), groups=np.array([1] * 6)), FEW.all_rows),
        "fold 1 of time_series_split has no earlier row of another group to learn from",
    ),
    "no groups": (("stratified_group_kfold", BARE, BARE.all_rows), "stratified_group_kfold needs data.groups"),
    "no time": (("time_series_split", BARE, BARE.all_rows), "time_series_split needs data.time"),
    "no folds": (("predefined_split", BARE, BARE.all_rows), "predefined_split needs data.fold"),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_fold_splitter_refuses(refused, message):
    kind, table, rows = refused
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fold_splitter(kind, n_splits=3)(table, rows)


UNEQUAL = Table(np.zeros((9, 1)), np.array([1, 1, 1, 0, 0, 0, 1, 1, 1]), groups=np.array([0, 1, 1, 2, 3, 3, 3, 3, 3]))


def test_fold_splitter_refuses_groups_of_which_a_fold_gets_none():
    with pytest.raises(ValueError, match=r"^the groups are too unequal for 4 folds: one of them gets no rows$"):
        fold_splitter("stratified_group_kfold", n_splits=4, shuffle=False)(UNEQUAL, UNEQUAL.all_rows)


# Hold-out


@pytest.mark.parametrize("kind", ["stratified_kfold", "kfold", "repeated_stratified_kfold", "repeated_kfold"])
def test_holdout_splitter_keeps_class_shares(kind):
    (split,) = holdout_splitter(test_size=0.2, random_state=0, kind=kind)(TABLE, TABLE.all_rows)
    assert len(split.test) == 24
    assert list(Y[split.test.index]).count("b") == 6
    assert sorted([*split.train.index, *split.test.index]) == list(range(N))


@pytest.mark.parametrize("kind", [kind for kind in SPLITTERS if kind != "predefined_split"])
def test_holdout_splitter_is_deterministic_for_any_rows(kind):
    splitter = holdout_splitter(test_size=0.25, random_state=3, kind=kind)
    (split,) = splitter(TABLE, SOME)
    assert indices([split]) == indices(splitter(TABLE, SOME))
    assert set(split.train.index) | set(split.test.index) <= set(SOME.index)
    assert not set(split.train.index) & set(split.test.index)


@pytest.mark.parametrize("kind", GROUPED)
@pytest.mark.parametrize("test_size", [0.05, 0.2, 0.3, 0.5, 0.95])
def test_holdout_splitter_leaves_whole_groups_out(kind, test_size):
    (split,) = holdout_splitter(test_size=test_size, random_state=0, kind=kind)(TABLE, SOME)
    assert sorted([*split.train.index, *split.test.index]) == sorted(SOME.index)
    assert not set(GROUPS[split.train.index]) & set(GROUPS[split.test.index])
    assert len(split.test) / len(SOME) == pytest.approx(test_size, abs=0.06)


def test_holdout_splitter_keeps_class_shares_as_well_as_groups_allow():
    (split,) = holdout_splitter(test_size=0.2, random_state=0, kind="stratified_group_kfold")(TABLE, TABLE.all_rows)
    assert np.mean(Y[split.test.index] == "b") == pytest.approx(0.25, abs=0.05)


def test_holdout_splitter_does_not_prefer_large_groups():
    groups = np.repeat(np.arange(10), [2] * 9 + [22])
    table = Table(np.zeros((40, 1)), np.arange(40) % 2, groups=groups)
    has_largest = [
        9 in groups[split.test.index]
        for seed in range(60)
        for split in holdout_splitter(test_size=0.2, random_state=seed, kind="stratified_group_kfold")(
            table, table.all_rows
        )
    ]
    assert 0.1 < np.mean(has_largest) < 0.35


@pytest.mark.parametrize("test_size", [0.01, 0.99])
def test_holdout_splitter_leaves_a_group_on_either_side(test_size):
    (split,) = holdout_splitter(test_size=test_size, random_state=0, kind="leave_one_group_out")(FEW, FEW.all_rows)
    assert len(split.train) == len(split.test) == 3


@pytest.mark.parametrize("test_size", [0.25, 0.75])
def test_holdout_splitter_makes_do_with_unequal_groups(test_size):
    for seed in range(30):
        splitter = holdout_splitter(test_size=test_size, random_state=seed, kind="leave_one_group_out")
        (split,) = splitter(UNEQUAL, UNEQUAL.all_rows)
        assert len(split.train)
        assert len(split.test)


def test_holdout_splitter_takes_more_groups_than_a_class_has_rows():
    table = Table(np.zeros((6, 1)), FEW.y, groups=np.arange(6))
    (split,) = holdout_splitter(test_size=0.16, random_state=0, kind="leave_one_group_out")(table, table.all_rows)
    assert len(split.test) == 2


def test_holdout_splitter_leaves_the_last_rows_out():
    table = dataclasses.replace(UNGROUPED, time=np.arange(N)[::-1])
    (split,) = holdout_splitter(test_size=0.25, random_state=0, kind="time_series_split", gap=3)(table, table.all_rows)
    assert sorted(split.test.index) == list(range(30))
    assert sorted(split.train.index) == list(range(33, N))


@pytest.mark.parametrize("table", [TABLE, UNGROUPED], ids=["groups", "no groups"])
@pytest.mark.parametrize("gap", [0, 4])
def test_holdout_splitter_trains_before_it_tests(table, gap):
    (split,) = holdout_splitter(test_size=0.25, random_state=0, kind="time_series_split", gap=gap)(table, SOME)
    first = TIME[split.test.index].min()
    assert TIME[split.train.index].max() < first
    assert set(split.test.index) == {row for row in SOME.index if TIME[row] >= first}
    assert 0.25 <= len(split.test) / len(SOME) < 0.25 + 10 / len(SOME)
    left_out = set(SOME.index) - set(split.test.index) - set(split.train.index)
    if table.groups is None:
        assert len(left_out) == gap
    else:
        assert not set(GROUPS[split.train.index]) & set(GROUPS[split.test.index])


def test_holdout_splitter_refuses_named_folds():
    with pytest.raises(ValueError, match=r"^predefined_split has folds and no hold-out$"):
        holdout_splitter(test_size=0.2, random_state=0, kind="predefined_split")


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        REFUSED["one group"],
        (
            ("time_series_split", dataclasses.replace(FEW, groups=None), ONE),
            "the hold-out of time_series_split has no earlier row to learn from",
        ),
    ],
    ids=["one group", "one time"],
)
def test_holdout_splitter_refuses(refused, message):
    kind, table, rows = refused
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        holdout_splitter(test_size=0.3, random_state=0, kind=kind)(table, rows)
