"""Data of which the truth is known, each with a trap for whoever estimates a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import TargetEncoder

from mlwf import CategoricalFeatureSpec, FeatureSpec, NumericFeatureSpec
from mlwf.splitting.rows import Rows, Split

FRESH_ROWS = 5_000
"""Rows that tell the truth of a model: with as many, chance moves an accuracy by 0.007."""

Random = np.random.Generator


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows that somebody has, and after them fresh ones of the kind that the model will meet."""

    X: pd.DataFrame
    y: NDArray[np.intp]
    n_rows: int
    """How many somebody has; the others are fresh."""
    groups: NDArray[np.intp] | None = None
    time: NDArray[np.intp] | None = None

    @property
    def rows(self) -> Rows:
        """The rows that somebody has."""
        return Rows(np.arange(self.n_rows, dtype=np.intp))

    @property
    def owned(self) -> Sample:
        """The same without the fresh rows."""
        groups, time = (None if part is None else part[: self.n_rows] for part in (self.groups, self.time))
        return Sample(self.X[: self.n_rows], self.y[: self.n_rows], self.n_rows, groups, time)

    def fresh_rows(self, split: Split, *, ordered: bool) -> Rows:
        """Give the fresh rows by which a model is to be evaluated: all, or with a time those of the next block.

        The block next to what a model learnt is the one that its fold evaluates, where the folds are `ordered`;
        otherwise the one after all rows.
        """
        fresh = np.arange(self.n_rows, len(self.y), dtype=np.intp)
        if self.time is None:
            return Rows(fresh)
        begin, end = self.n_rows, np.inf
        if ordered:
            begin, end = self.time[split.test.index].min(), self.time[split.test.index].max()
        return Rows(fresh[(begin <= self.time[fresh]) & (self.time[fresh] <= end)])


@dataclass(frozen=True)
class Scenario:
    """A kind of data, what decision trees are tried on it, and what mlwf has against its trap."""

    title: str
    draw: Callable[[Random], Sample]
    features: Sequence[FeatureSpec]
    grid: Mapping[str, Sequence[Any]]
    """The hyperparameters of the candidates, or where they are `models` of models of their own."""
    remedy: Literal["groups", "time"] | None = None
    """The column to name."""
    finding: str | None = None
    """The finding that reports the trap where the column is not named."""
    spoil: Callable[[Sample], tuple[Sample, Sequence[FeatureSpec]]] | None = None
    """What people do by hand before they call anything."""
    choice: Literal["search", "models", "ensemble"] = "search"
    """Whether one model is searched, or several are compared, of which the best ships or an average."""


def draw_noise(random: Random) -> Sample:
    """Draw labels that nothing tells: every model is right half of the time."""
    n_rows = 100
    X = random.normal(size=(n_rows + FRESH_ROWS, 40))
    return Sample(_frame(X), random.integers(2, size=len(X)), n_rows)


def draw_persons(random: Random) -> Sample:
    """Draw persons who have one label and several rows that look alike; the fresh rows are of other persons."""
    n_persons, n_each = 60, 8
    persons = _occurring(random, n_persons, n_each)
    traits = random.normal(size=(n_persons + FRESH_ROWS, 5))
    labels = _labels(random, traits[:, 0])
    X = traits[persons] + random.normal(0, 0.3, size=(len(persons), 5))
    return Sample(_frame(X), labels[persons], n_persons * n_each, groups=persons)


def draw_drift(random: Random) -> Sample:
    """Draw rows in time, of which what tells the label turns by 120 degrees and goes on turning in the next block."""
    n_rows, n_next = 400, 80
    times = np.append(np.arange(n_rows), random.integers(n_rows + n_next, size=4 * FRESH_ROWS))
    angle = times / n_rows * np.deg2rad(120)
    X = random.normal(size=(len(times), 5))
    signal = 3 * (X[:, 0] * np.cos(angle) + X[:, 1] * np.sin(angle))
    return Sample(_frame(X), _labels(random, signal), n_rows, time=times)


def draw_copies(random: Random) -> Sample:
    """Draw records that each occur three times; the fresh rows are of other records."""
    n_records, n_each = 100, 3
    records = _occurring(random, n_records, n_each)
    X = random.normal(size=(n_records + FRESH_ROWS, 5))
    y = _labels(random, X[:, 0])
    return Sample(_frame(X[records]), y[records], n_records * n_each, groups=records)


def draw_cities(random: Random) -> Sample:
    """Draw a number that tells something, and one of a hundred cities, which tells nothing."""
    n_rows = 300
    X = _frame(random.normal(size=(n_rows + FRESH_ROWS, 2)))
    y = _labels(random, X["x0"].to_numpy())
    cities = random.integers(100, size=len(X))
    return Sample(X.assign(city=[f"city {number}" for number in cities]), y, n_rows)


def encode_cities(sample: Sample) -> tuple[Sample, Sequence[FeatureSpec]]:
    """Encode the city by the labels of all rows that somebody has, before anything is split."""
    encoder = TargetEncoder().fit(sample.X[["city"]][: sample.n_rows], sample.y[: sample.n_rows])
    X = sample.X.assign(city=encoder.transform(sample.X[["city"]]).ravel())
    return replace(sample, X=X), _numbers("x0", "x1", "city")


def _occurring(random: Random, n_units: int, n_each: int) -> NDArray[np.intp]:
    """Let units occur several times each, in any order, and fresh ones once each behind them."""
    return np.append(random.permutation(np.repeat(np.arange(n_units), n_each)), n_units + np.arange(FRESH_ROWS))


def _labels(random: Random, signal: NDArray[np.float64]) -> NDArray[np.intp]:
    """Draw labels whose log-odds are the signal."""
    return (random.random(len(signal)) < 1 / (1 + np.exp(-signal))).astype(np.intp)


def _frame(X: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{number}" for number in range(X.shape[1])])


def _numbers(*columns: str) -> list[FeatureSpec]:
    return [NumericFeatureSpec(columns=list(columns), imputer=None, scaler=None)]


FIVE = _numbers(*(f"x{number}" for number in range(5)))
FORTY = _numbers(*(f"x{number}" for number in range(40)))
CANDIDATES = {"classifier__max_depth": [1, 2, 3, 5, None], "classifier__min_samples_leaf": [1, 2, 5, 10]}
DEPTHS = {"classifier__max_depth": [1, 3, None]}

SCENARIOS = {
    "noise": Scenario(
        "Pure noise: 100 rows, 40 columns, 20 candidates",
        draw_noise,
        FORTY,
        CANDIDATES,
    ),
    "models": Scenario(
        "Pure noise: 100 rows, 40 columns, 20 models",
        draw_noise,
        FORTY,
        CANDIDATES,
        choice="models",
    ),
    "ensemble": Scenario(
        "Pure noise: 100 rows, 40 columns, an ensemble of 20 models",
        draw_noise,
        FORTY,
        CANDIDATES,
        choice="ensemble",
    ),
    "groups": Scenario("The same person on 8 rows", draw_persons, FIVE, DEPTHS, remedy="groups"),
    "drift": Scenario("A drifting time series", draw_drift, FIVE, DEPTHS, remedy="time"),
    "duplicates": Scenario("Each record three times", draw_copies, FIVE, DEPTHS, remedy="groups", finding="duplicates"),
    "target_encoding": Scenario(
        "A target-encoded column of 100 cities, pure noise",
        draw_cities,
        [CategoricalFeatureSpec(columns=["city"], encoder="target"), *_numbers("x0", "x1")],
        DEPTHS,
        spoil=encode_cities,
    ),
}
