"""The splitters: what each needs and does. `mlwf.splitting.splitters` builds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SplitterName = Literal[
    "stratified_kfold",
    "kfold",
    "repeated_stratified_kfold",
    "repeated_kfold",
    "stratified_group_kfold",
    "leave_one_group_out",
    "time_series_split",
    "predefined_split",
]
"""scikit-learn's splitters, by its names."""


@dataclass(frozen=True)
class SplitterInfo:
    """What is known of a splitter."""

    title: str
    """What a cross-validation with it is called; the fields are those of `mlwf.provenance.Protocol`."""
    details: str = ""
    """What follows the number of rows: how they are split."""
    options: tuple[str, ...] = ()
    """Fields of `validation` that it uses."""
    column: Literal["groups", "time", "fold"] | None = None
    """Field of `data` that it cannot do without: the column that says which rows belong into which fold."""
    is_partition: bool = True
    """Whether each row is held out by exactly one fold."""
    counts_classes: bool = False
    """Whether every fold learns a class that has as many rows as there are folds."""
    stratified: SplitterName | None = None
    """The splitter that does the same and keeps each class in every fold."""

    @property
    def is_ordered(self) -> bool:
        """Whether the held-out rows come after those that the model learns from."""
        return self.column == "time"

    @property
    def is_repeated(self) -> bool:
        """Whether it cuts the rows several times, and so shuffles them in any case."""
        return "n_repeats" in self.options

    @property
    def has_cv_folds(self) -> bool:
        """Whether the number of folds can be chosen; otherwise the groups or the folds of the data give it."""
        return "cv_folds" in self.options

    @property
    def can_shuffle(self) -> bool:
        """Whether it shuffles the rows unless `shuffle` is false."""
        return "shuffle" in self.options and not self.is_repeated


_COUNTED = ("cv_folds", "shuffle")
_REPEATED = (*_COUNTED, "n_repeats")

SPLITTERS: Mapping[str, SplitterInfo] = {
    "stratified_kfold": SplitterInfo(
        "{n_folds}-fold stratified cross-validation",
        ", {order}",
        options=_COUNTED,
        counts_classes=True,
    ),
    "kfold": SplitterInfo(
        "{n_folds}-fold cross-validation",
        ", {order}",
        options=_COUNTED,
        stratified="stratified_kfold",
    ),
    "repeated_stratified_kfold": SplitterInfo(
        "{n_repeats} times {n_folds}-fold stratified cross-validation",
        options=_REPEATED,
        is_partition=False,
        counts_classes=True,
    ),
    "repeated_kfold": SplitterInfo(
        "{n_repeats} times {n_folds}-fold cross-validation",
        options=_REPEATED,
        is_partition=False,
        stratified="repeated_stratified_kfold",
    ),
    "stratified_group_kfold": SplitterInfo(
        "{n_folds}-fold stratified cross-validation",
        ", groups of {column} kept together",
        options=_COUNTED,
        column="groups",
    ),
    "leave_one_group_out": SplitterInfo(
        "cross-validation",
        ", leaving out one {column} of {n_folds}",
        column="groups",
    ),
    "time_series_split": SplitterInfo(
        "{n_folds}-fold cross-validation",
        ", learnt from earlier {column}{windows}",
        options=("cv_folds", "gap", "max_train_size"),
        column="time",
        is_partition=False,
    ),
    "predefined_split": SplitterInfo(
        "cross-validation",
        " by the {n_folds} folds of {column}",
        column="fold",
    ),
}
"""By name."""

_DEFAULTS: dict[str, SplitterName] = {
    "fold": "predefined_split",
    "groups": "stratified_group_kfold",
    "time": "time_series_split",
}

SPLITTER_OPTIONS = tuple(dict.fromkeys(option for info in SPLITTERS.values() for option in info.options))
"""Fields of `validation` that some splitters use and others do not."""


def default_splitter(table: Any) -> SplitterName:
    """Give the splitter for a table, or a `data` section, from which of `fold`, `groups` and `time` it has."""
    found = (splitter for column, splitter in _DEFAULTS.items() if getattr(table, column) is not None)
    return next(found, "stratified_kfold")


def splitters_with(option: str) -> list[str]:
    """List the splitters that use a field of `validation`."""
    return [name for name, info in SPLITTERS.items() if option in info.options]
