"""The table of splitters."""

from __future__ import annotations

from typing import get_args

import pytest

from mlwf.provenance import Protocol, Provenance
from mlwf.specs.catalogue import SPLITTERS, SplitterName, default_splitter
from mlwf.specs.data import DataSpec
from mlwf.specs.experiment import ValidationSpec
from mlwf.splitting.splitters import BUILDERS


def test_each_splitter_has_an_entry_a_name_and_a_builder() -> None:
    assert [*SPLITTERS] == [*get_args(SplitterName)] == [*BUILDERS]


def test_options_are_fields_of_the_validation_section() -> None:
    assert {option for info in SPLITTERS.values() for option in info.options} <= {*ValidationSpec.model_fields}


@pytest.mark.parametrize(
    ("columns", "splitter"),
    [
        ((), "stratified_kfold"),
        (("groups",), "stratified_group_kfold"),
        (("time",), "time_series_split"),
        (("groups", "time"), "stratified_group_kfold"),
        (("fold", "groups", "time"), "predefined_split"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value,
)
def test_default_splitter_follows_from_the_columns(columns: tuple[str, ...], splitter: str) -> None:
    assert default_splitter(DataSpec(path="x.csv", target="y", **{name: name for name in columns})) == splitter


WORDINGS = {
    "stratified_kfold": "5-fold stratified cross-validation of 1,200 rows, shuffled",
    "kfold": "5-fold cross-validation of 1,200 rows, shuffled",
    "repeated_stratified_kfold": "3 times 5-fold stratified cross-validation of 1,200 rows",
    "repeated_kfold": "3 times 5-fold cross-validation of 1,200 rows",
    "stratified_group_kfold": "5-fold stratified cross-validation of 1,200 rows, groups of {id} kept together",
    "leave_one_group_out": "cross-validation of 1,200 rows, leaving out one {id} of 5",
    "time_series_split": "5-fold cross-validation of 1,200 rows, learnt from earlier {id}, 2 rows left out before each",
    "predefined_split": "cross-validation of 1,200 rows by the 5 folds of {id}",
}


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_cross_validation_is_worded(splitter: SplitterName) -> None:
    """The name of a column stands in it as it is, braces too."""
    protocol = Protocol(splitter, n_folds=5, n_repeats=3, column="{id}", gap=2, is_shuffled=True)
    assert Provenance("cross_validation", 1200, protocol).note == WORDINGS[splitter]
