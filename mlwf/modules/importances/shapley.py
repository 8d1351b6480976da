"""Which columns move the probability of one row away from the average, by sampled Shapley values."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.results import Contribution, Explanation

MOST_ORDERS = 4000
"""Orders of the columns that are tried, half of them the other half backwards."""
FEWEST_ORDERS = 200
SMALL_ERROR = 0.001
"""Standard error of a contribution that is small enough to stop."""
SECONDS = 10.0
CELLS_AT_ONCE = 2**21


def explain_row(
    probability: Callable[[pd.DataFrame], NDArray[np.float64]],
    row: pd.DataFrame,
    background: pd.DataFrame,
    *,
    random_state: int = 0,
    seconds: float = SECONDS,
) -> Explanation:
    """Attribute the difference of a row's probability from the average to its raw columns.

    The values are Shapley's, by the sampling of Strumbelj and Kononenko (2014): in a random order, the values of the
    row are put into another row one by one, and each column is given the change that its value makes. Each order is
    gone through backwards as well, which makes the errors smaller. The contributions sum up to the probability less
    the average, whatever was drawn.

    Parameters
    ----------
    probability
        Gives the probability of a class for raw rows.
    row : DataFrame of shape (1, n_columns)
    background : DataFrame of shape (n_rows, n_columns)
        Rows that the average is of.
    seconds
        What it may take; it ends before that when all standard errors are small.
    """
    deadline, n_columns = perf_counter() + seconds, row.shape[1]
    random = np.random.default_rng(random_state)
    at_once = max(1, min(FEWEST_ORDERS // 2, CELLS_AT_ONCE // (2 * n_columns * (n_columns + 1))))
    pool = pd.concat([background, row], ignore_index=True)
    changes: list[NDArray[np.float64]] = []
    starts: list[NDArray[np.float64]] = []
    n_orders, is_cut = 0, False
    while n_orders < MOST_ORDERS:
        start, change = _sample(probability, pool, at_once, random)
        starts.append(start)
        changes.append(change)
        n_orders += 2 * at_once
        if n_orders >= FEWEST_ORDERS and _errors(np.concatenate(changes)).max(initial=0.0) <= SMALL_ERROR:
            break
        if perf_counter() > deadline:
            is_cut = True
            break
    sampled = np.concatenate(changes)
    own = float(probability(row)[0])
    contributions = [
        Contribution(str(name), _plain(row.iloc[0, place]), float(mean), float(error))
        for place, (name, mean, error) in enumerate(
            zip(row.columns, sampled.mean(axis=0), _errors(sampled), strict=True)
        )
    ]
    return Explanation(
        probability=own,
        average=float(np.concatenate(starts).mean()),
        contributions=tuple(sorted(contributions, key=lambda each: -abs(each.contribution))),
        n_orders=n_orders,
        n_background=len(background),
        is_cut=is_cut,
    )


def _sample(
    probability: Callable[[pd.DataFrame], NDArray[np.float64]], pool: pd.DataFrame, n: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the probability of `n` drawn rows, and for each the change by each column, a mean of both directions."""
    n_columns, own = pool.shape[1], len(pool) - 1
    drawn = random.integers(own, size=n)
    orders = random.permuted(np.tile(np.arange(n_columns), (n, 1)), axis=1)
    both = np.concatenate([orders, orders[:, ::-1]])
    # When a column's value is put in: it is the row's from that step on.
    turn = np.argsort(both, axis=1)
    steps = np.arange(n_columns + 1)
    is_own = steps[None, :, None] > turn[:, None, :]
    rows = np.where(is_own, own, np.tile(drawn, 2)[:, None, None]).reshape(-1, n_columns)
    frame = pd.DataFrame(
        {name: pool.iloc[:, place].array.take(rows[:, place]) for place, name in enumerate(pool.columns)}
    )
    values = probability(frame).reshape(2 * n, n_columns + 1)
    changes = np.take_along_axis(np.diff(values, axis=1), turn, axis=1)
    return values[:n, 0], (changes[:n] + changes[n:]) / 2


def _errors(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the standard error of each column's mean."""
    n = len(changes)
    errors: NDArray[np.float64] = (
        changes.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(changes.shape[1], np.inf)
    )
    return errors


def _plain(value: Any) -> Any:
    if value is None or value != value or value is pd.NaT:
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, str | bool | int | float) else str(value)
