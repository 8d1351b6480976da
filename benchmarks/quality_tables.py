"""The tables of the quality benchmark, and how each is split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

ROOT = Path(__file__).parent.parent
TARGET = "target"
"""What the column of the classes is called in every table."""
TEST_SIZE = 0.3
READERS = {".parquet": pd.read_parquet, ".csv": pd.read_csv}


@dataclass(frozen=True, eq=False)
class Table:
    """Columns, and classes as numbers from 0."""

    name: str
    X: pd.DataFrame
    y: NDArray[np.int64]

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.y.max()) + 1

    def split(self, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Give the rows to train on and those to test on, the classes as column `target`."""
        frame = self.X.assign(**{TARGET: self.y})
        train, test = train_test_split(frame, test_size=TEST_SIZE, stratify=self.y, random_state=number)
        return train.reset_index(drop=True), test.reset_index(drop=True)


def shipped_tables() -> dict[str, Callable[[], Table]]:
    """Give the tables that come with the project and with scikit-learn, each to be loaded by a call."""
    named: dict[str, Callable[[], pd.DataFrame]] = {
        "titanic": lambda: _read("examples/titanic/titanic.csv").drop(columns="name"),
        "penguins": lambda: _read("configs/data/penguins.csv", "configs/data/penguins_test.csv"),
        "adult": lambda: _read("configs/data/adult.parquet", "configs/data/adult_test.parquet").drop(columns="fnlwgt"),
        "flights": _flights,
    }
    for name in ("breast_cancer", "wine", "digits", "iris"):
        named[name] = partial(_bundled, name)
    return {name: partial(_table, name, read) for name, read in named.items()}


def tables_of(folder: Path) -> dict[str, Callable[[], Table]]:
    """Give the tables of a folder: each Parquet or CSV file is one, its last column the target."""
    # A table that is there in both formats is read from Parquet, which keeps the types.
    files = {path.stem: path for suffix in reversed(READERS) for path in sorted(folder.glob(f"*{suffix}"))}
    return {name: partial(_table, name, partial(READERS[path.suffix], path)) for name, path in files.items()}


def _table(name: str, read: Callable[[], pd.DataFrame]) -> Table:
    frame = read()
    target = frame.columns[-1]
    present = frame[frame[target].notna()].reset_index(drop=True)
    codes, _ = pd.factorize(present[target], sort=True)
    return Table(name, present.drop(columns=target), codes.astype(np.int64))


def _read(*paths: str) -> pd.DataFrame:
    return pd.concat([READERS[Path(path).suffix](ROOT / path) for path in paths], ignore_index=True)


def _bundled(name: str) -> pd.DataFrame:
    frame: pd.DataFrame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    return frame.rename(columns=lambda column: str(column).replace(" ", "_"))


def _flights() -> pd.DataFrame:
    folder = "examples/feature_store/data"
    flights = _read(f"{folder}/flights.parquet", f"{folder}/flights_test.parquet")
    # Numbers that each system reads alike, instead of a time that each expands in its own way.
    scheduled = flights["sched_dep_utc"].dt
    parts = {"hour": scheduled.hour, "weekday": scheduled.dayofweek, "month": scheduled.month, "day": scheduled.day}
    columns: Sequence[str] = ["origin", "dest", "carrier", "distance"]
    return flights[columns].assign(**parts, arr_delayed=flights["arr_delayed"])
