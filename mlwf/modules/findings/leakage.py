"""Find columns that predict the target almost alone, as only few can that are known before the target is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from mlwf.engine.asks import Answer, Ask, Fitter
from mlwf.engine.rows import Rows, Split, Table
from mlwf.engine.splitters import fold_splitter
from mlwf.errors import SplitError
from mlwf.modules.findings.evidence import Evidence
from mlwf.results import Severity
from mlwf.specs.features import FeatureSpec

ALMOST_ALONE = 0.97
"""ROC AUC of one column from which it is suspect: the best honest columns of breast cancer reach 0.96, a copy of the
target with 2 % of the rows changed has 0.98."""
ENOUGH_JUDGED = 1_000
"""Rows by which a column is judged, where there are as many: by a hundred, chance moves 0.95 to 0.99."""
WORTH_A_CLOSER_LOOK = 0.9
"""ROC AUC on the first split below which a column is not looked at on others."""
MOST_ROWS = 20_000
"""Rows that a column is learnt from, or judged by, in one split; more would not change the verdict."""
FEWEST_OF_CLASS = 10
"""Judged rows of a class, and of the others, below which nothing is said of it."""
MOSTLY_KNOWN = 0.5
"""Share of rows that must have a value, for a column to be judged by those rows alone."""

BuildProbe = Callable[[str | int, FeatureSpec], Pipeline]


@dataclass(frozen=True)
class _Column:
    name: str
    """How it is told."""
    address: str | int
    """Where it stands in X."""
    spec: FeatureSpec


@dataclass(frozen=True)
class _Strength:
    """How well a column predicts the target by itself."""

    column: _Column
    roc_auc: float
    """NaN where there are too few rows to say."""
    share: float | None
    """Share of the judged rows that it was computed on, those that have a value; None for all rows."""


def find_leakage(evidence: Evidence, fit: Fitter, build_probe: BuildProbe) -> Iterator[tuple[Severity, str]]:
    """Tell which columns predict the target almost alone, the most suspect first.

    A column is scored by the ROC AUC of a probe that knows only it, macro one-vs-rest with more than two classes: on
    all judged rows, and on those that have a value.
    """
    table = evidence.table
    splits = _splits(table, evidence.rows, evidence.splits)
    if not splits:
        return

    def strengths(columns: Sequence[_Column], splits: Sequence[Split]) -> list[_Strength]:
        answers = fit(_asks(columns, splits, build_probe))
        parts = [answers[at : at + len(splits)] for at in range(0, len(answers), len(splits))]
        return [_strength(table, column, splits, part) for column, part in zip(columns, parts, strict=True)]

    # The first split rules most columns out. NaN does not: a group may have one class only.
    first = strengths(_columns(table, evidence.features), splits[:1])
    suspects = [one.column for one in first if not one.roc_auc < WORTH_A_CLOSER_LOOK]
    found = [one for one in strengths(suspects, splits) if one.roc_auc >= ALMOST_ALONE]
    for one in sorted(found, key=lambda one: -one.roc_auc):
        yield "error", _sentence(one)


def first_probes(
    table: Table, rows: Rows, splits: Sequence[Split], features: Sequence[FeatureSpec], build_probe: BuildProbe
) -> list[Ask]:
    """List what `find_leakage` asks for in any case; further splits are for columns that these make suspect."""
    return _asks(_columns(table, features), _splits(table, rows, splits)[:1], build_probe)


def _asks(columns: Sequence[_Column], splits: Sequence[Split], build_probe: BuildProbe) -> list[Ask]:
    return [
        Ask(build_probe(column.address, column.spec), {}, split.train, (split.test,), class_weighted=False)
        for column in columns
        for split in splits
    ]


def _sentence(strength: _Strength) -> str:
    where = "" if strength.share is None else f", in the {100 * strength.share:.0f} % of rows that have it"
    alone = f"{strength.column.name} predicts the target almost alone (ROC AUC {strength.roc_auc:.3f} by itself{where})"
    return f"{alone}: is it known when the prediction is made?"


def _splits(table: Table, rows: Rows, splits: Sequence[Split]) -> list[Split]:
    """Take splits until enough rows are judged: the validation's own, unless it has one small hold-out or none."""
    if len(splits) < 2 and sum(len(split.test) for split in splits) < ENOUGH_JUDGED:
        splits = _folds(table, rows) or splits
    taken: list[Split] = []
    for split in splits:
        if sum(len(other.test) for other in taken) >= ENOUGH_JUDGED:
            break
        taken.append(Split(_sample(split.train), _sample(split.test)))
    return taken


def _folds(table: Table, rows: Rows) -> Sequence[Split]:
    kinds = {"fold": "predefined_split", "groups": "stratified_group_kfold", "time": "time_series_split"}
    named = [kind for column, kind in kinds.items() if getattr(table, column) is not None]
    try:
        return fold_splitter([*named, "stratified_kfold"][0])(table, rows)
    except SplitError:  # too few rows, groups or times
        return ()


def _sample(rows: Rows) -> Rows:
    if len(rows) <= MOST_ROWS:
        return rows
    return rows.take(np.sort(np.random.default_rng(0).choice(len(rows), MOST_ROWS, replace=False)))


def _columns(table: Table, features: Sequence[FeatureSpec]) -> list[_Column]:
    columns = []
    for position, (column, spec) in enumerate((name, each) for each in features for name in each.columns):
        is_position = isinstance(column, int)
        by_name = hasattr(table.X, "columns") or is_position
        name = f"column {column}" if is_position else str(column)
        columns.append(_Column(name, column if by_name else position, spec))
    return columns


@dataclass(frozen=True, eq=False)
class _Judged:
    y: NDArray[Any]
    proba: NDArray[np.float64]
    """By the classes of the table, of shape (n_rows, n_classes)."""
    has_value: NDArray[np.bool_]

    def known(self) -> _Judged:
        """Give the rows that have a value."""
        return _Judged(self.y[self.has_value], self.proba[self.has_value], self.has_value[self.has_value])


def _strength(table: Table, column: _Column, splits: Sequence[Split], answers: Sequence[Answer]) -> _Strength:
    pairs = zip(splits, answers, strict=True)
    judged = [_judged(table, column.address, split, answer) for split, answer in pairs if not answer.error]
    everywhere = _roc_auc(judged, table.classes)
    share = float(np.mean(np.concatenate([part.has_value for part in judged]))) if judged else 0.0
    if everywhere < ALMOST_ALONE and MOSTLY_KNOWN <= share < 1:
        known = _roc_auc([part.known() for part in judged], table.classes)
        if known > everywhere:
            return _Strength(column, known, share)
    return _Strength(column, everywhere, None)


def _judged(table: Table, address: str | int, split: Split, answer: Answer) -> _Judged:
    (said,) = answer.predictions
    # A fold may lack a rare class, which its probe then does not know.
    proba = np.zeros((len(split.test), len(table.classes)))
    proba[:, np.searchsorted(table.classes, said.classes)] = said.proba
    X = table.X_of(split.test)
    values = X[address] if hasattr(X, "columns") else X[:, address]
    return _Judged(table.y_of(split.test), proba, ~np.asarray(pd.isna(values)))


def _roc_auc(judged: Sequence[_Judged], classes: NDArray[Any]) -> float:
    """Average over the classes of which there are rows enough; NaN where there are none."""
    if not judged:
        return np.nan
    y = np.concatenate([part.y for part in judged])
    columns = [1] if len(classes) == 2 else range(len(classes))
    enough = [k for k in columns if FEWEST_OF_CLASS <= np.sum(y == classes[k]) <= len(y) - FEWEST_OF_CLASS]
    return float(np.mean([_one_vs_rest(judged, classes[k], k) for k in enough])) if enough else np.nan


def _one_vs_rest(judged: Sequence[_Judged], label: Any, column: int) -> float:
    """Average over the splits: probabilities of different probes are not quite comparable."""
    pairs = [(part.y == label, part.proba[:, column]) for part in judged]
    # Where each group is of one class, no split has both.
    both = [(y, proba) for y, proba in pairs if 0 < y.sum() < len(y)] or [
        (np.concatenate([y for y, _ in pairs]), np.concatenate([proba for _, proba in pairs]))
    ]
    return float(np.average([roc_auc_score(y, proba) for y, proba in both], weights=[len(y) for y, _ in both]))
