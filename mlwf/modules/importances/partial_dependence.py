"""How predicted probabilities depend on single columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.modules.importances.column_groups import numbers_of
from mlwf.modules.importances.permutation import Predict
from mlwf.results import Importances
from mlwf.splitting.stored_frame import in_memory

VERSION = 1
"""Of the content of `partial_dependence.json`."""
FIRST_COLUMNS = 5
"""Columns that are looked at, those that matter most."""
GRID = 12
CURVES = 20
"""Rows that have a curve of their own."""
DEPENDENCE_ROWS = 100
MOST_CELLS = 1_000_000
"""Of the rows times the grid: wide tables have fewer rows."""
MOST_CLASSES = 5
FEWEST_ROWS = 5
"""Rows that a category has which is shown."""


def compute_partial_dependence(
    predict: Predict, X: Any, columns: Sequence[int], classes: Sequence[Any], shown: Sequence[int], *, random_state: int
) -> dict[str, Any]:
    """Compute how the predicted probabilities depend on single columns (Friedman 2001), with single rows' curves.

    The curves of rows are individual conditional expectations (Goldstein et al. 2015). The grid of a column of numbers
    or dates are its quantiles, of others the most frequent values.

    Parameters
    ----------
    X
        Raw rows, of which 100 are drawn.
    columns
        Their positions in X.
    classes
        The class labels, of which `shown` are the positions that are computed.

    Returns
    -------
    dict
        In plain values: `n_rows`, `classes`, and for each of `columns` its `column`, `kind`, `grid`, and by class the
        `mean` over the rows of shape (n_classes, n_grid) and `rows` of shape (n_classes, n_curves, n_grid).
    """
    affordable = MOST_CELLS // max(1, X.shape[1] * GRID * len(columns))
    most = int(np.clip(affordable, CURVES, DEPENDENCE_ROWS))
    at = np.sort(np.random.default_rng([random_state, 1]).permutation(len(X))[:most])
    frame = X if hasattr(X, "iloc") else pd.DataFrame(X)
    rows, n_rows = in_memory(frame.iloc[at]), len(at)
    grids = {place: grid for place in columns if len((grid := _grid(frame.iloc[:, place]))[0])}
    stacks = [_varied(rows, place, grid) for place, (grid, _) in grids.items()]
    if not stacks:
        return {"version": VERSION, "n_rows": n_rows, "classes": [], "columns": []}
    # One call for all: a pipeline of many steps takes longer to begin than to predict a thousand rows.
    stacked = pd.concat(stacks, ignore_index=True)
    proba = predict(stacked if hasattr(X, "iloc") else stacked.to_numpy(dtype=X.dtype))[:, list(shown)]
    found = []
    for place, (grid, kind) in grids.items():
        part, proba = proba[: len(grid) * n_rows], proba[len(grid) * n_rows :]
        curves = part.reshape(len(grid), n_rows, len(shown)).transpose(2, 1, 0)
        found.append(
            {
                "column": str(frame.columns[place]),
                "kind": kind,
                "grid": _plain_values(grid),
                "mean": curves.mean(axis=1).round(5).tolist(),
                "rows": curves[:, :CURVES].round(4).tolist(),
            }
        )
    names = [str(classes[place]) for place in shown]
    return {"version": VERSION, "n_rows": n_rows, "classes": names, "columns": found}


def _varied(rows: pd.DataFrame, varied: int, grid: Any) -> pd.DataFrame:
    """Stack copies of some rows, in each of which a column has another value of the grid."""
    stacked = rows.iloc[np.tile(np.arange(len(rows)), len(grid))].reset_index(drop=True)
    stacked.isetitem(varied, grid.repeat(len(rows)))
    return stacked


def _grid(column: pd.Series[Any]) -> tuple[Any, str]:
    """Give values that a column may take, and whether it holds numbers, dates or categories."""
    present = column.dropna()
    numbers = numbers_of(present)
    if numbers is not None and len(numbers):
        # Of the rows, and of the distinct values too: of a column that is mostly 0 the rows would show 0 alone.
        order = np.argsort(numbers, kind="stable")
        distinct = order[np.unique(numbers[order], return_index=True)[1]]
        places = np.unique([*_spread(order), *_spread(distinct)])
        ordered = places[np.argsort(numbers[places], kind="stable")]
        return present.iloc[ordered].drop_duplicates().array, "number" if column.dtype.kind in "iuf" else "date"
    counts = present.value_counts()
    # A value of few rows may tell of one person, as prose does.
    frequent = counts.index[counts >= FEWEST_ROWS][:GRID]
    return frequent.to_series().astype(present.dtype).array, "category"


def _spread(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pick positions at equal distances."""
    picked: NDArray[np.intp] = order[np.round(np.linspace(0.02, 0.98, GRID // 2) * (len(order) - 1)).astype(int)]
    return picked


def _plain_values(grid: Any) -> list[Any]:
    values = [value.item() if hasattr(value, "item") else value for value in grid]
    return [value if isinstance(value, str | bool | int | float) else str(value) for value in values]


def first_columns(importances: Importances, X: Any) -> list[int]:
    """Give the positions of the columns that matter most; of columns that go together the first."""
    names = [str(name) for name in X.columns] if hasattr(X, "columns") else [str(at) for at in range(X.shape[1])]
    # The rest of a wide table is no column.
    known = [each for each in importances.columns if len(each.columns) == 1 or each.association is not None]
    return [names.index(each.columns[0]) for each in known[:FIRST_COLUMNS]]


def shown_classes(codes: NDArray[np.intp], n_classes: int, positive: int | None) -> list[int]:
    """Give the classes whose probabilities are shown: the positive one of two, or the most frequent ones."""
    if n_classes == 2:
        return [1 if positive is None else positive]
    frequent: list[int] = np.argsort(-np.bincount(codes, minlength=n_classes), kind="stable")[:MOST_CLASSES].tolist()
    return frequent
