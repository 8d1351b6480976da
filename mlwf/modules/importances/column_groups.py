"""Columns that go together, which are shuffled together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

ASSOCIATED = 0.8
"""Columns are one group when each pair of them is associated at least so much."""
MOST_CATEGORIES = 12
"""The most frequent categories of a column that its associations are computed from."""
MOST_CROSSED = 100
"""Columns of categories whose associations are computed; others are taken to go with none."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that are shuffled together."""

    columns: tuple[str, ...]
    places: tuple[int, ...]
    """Where they stand in the table."""
    association: float | None = None
    """The least association of a pair of them; None for one column."""
    is_group: bool = True
    """Whether they go together, or are only the rest of a wide table."""


def group_columns(X: Any) -> list[ColumnGroup]:
    """Put columns together that go together in some rows; the others are alone.

    The association of two columns of numbers is the absolute rank correlation of Spearman, of two of categories
    Cramér's V, of one of each the correlation ratio of the ranks. Groups are those of complete linkage: each pair in
    one is associated by 0.8 or more.
    """
    frame = X if hasattr(X, "columns") else pd.DataFrame(X)
    names = [str(name) for name in frame.columns]
    strength = associations(frame)
    if len(names) == 1:
        return [ColumnGroup((names[0],), (0,))]
    distances = squareform(1 - strength, checks=False)
    numbers = fcluster(linkage(distances, method="complete"), 1 - ASSOCIATED + 1e-9, criterion="distance")
    groups = []
    for number in dict.fromkeys(numbers.tolist()):
        places = np.flatnonzero(numbers == number)
        least = float(strength[np.ix_(places, places)].min()) if len(places) > 1 else None
        groups.append(ColumnGroup(tuple(names[at] for at in places), tuple(places.tolist()), least))
    return groups


def associations(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Give how strongly columns go together, from 0 to 1, of shape (n_columns, n_columns)."""
    strength = np.eye(frame.shape[1])
    ranks: dict[int, NDArray[np.float64]] = {}
    codes: dict[int, NDArray[np.intp]] = {}
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        numbers = numbers_of(column)
        if numbers is not None:
            ranks[place] = numbers
        elif len(codes) < MOST_CROSSED:
            codes[place] = _codes(column)
    of_numbers = np.array(list(ranks))
    if len(ranks):
        ranked = pd.DataFrame(np.array(list(ranks.values())).T).rank(na_option="keep").to_numpy(dtype=np.float64)
        matrix = _standardised(ranked).T
        strength[np.ix_(of_numbers, of_numbers)] = np.abs(matrix @ matrix.T / matrix.shape[1])
    for place, own in codes.items():
        indicator = np.eye(MOST_CATEGORIES + 1)[own]
        counts = indicator.sum(axis=0)
        if len(ranks):
            means = (matrix @ indicator) / np.maximum(counts, 1)
            ratio = np.sqrt(np.clip((means**2 * counts).sum(axis=1) / len(own), 0, 1))
            strength[place, of_numbers] = strength[of_numbers, place] = ratio
        for other, theirs in codes.items():
            if other < place:
                strength[place, other] = strength[other, place] = _cramers_v(own, theirs)
    np.fill_diagonal(strength, 1.0)
    return np.clip(strength, 0.0, 1.0)


def numbers_of(column: pd.Series[Any]) -> NDArray[np.float64] | None:
    """Give a column of numbers or times as floats; None for one of anything else."""
    if column.dtype.kind in "iuf":
        return np.asarray(column, dtype=np.float64)
    if column.dtype.kind == "M" or isinstance(column.dtype, pd.DatetimeTZDtype):
        times = column.dt.tz_convert(None) if isinstance(column.dtype, pd.DatetimeTZDtype) else column
        seconds = times.to_numpy().astype("datetime64[s]").astype(np.float64)
        numbers: NDArray[np.float64] = np.where(times.isna(), np.nan, seconds)
        return numbers
    return None


def _standardised(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each column a mean of 0 and a variance of 1; what is missing is at the mean, a constant is 0."""
    present = ~np.isnan(ranks)
    means = np.where(present, ranks, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, ranks - means, 0.0)
    spread = centred.std(axis=0)
    standardised: NDArray[np.float64] = np.where(spread > 0, centred / np.where(spread > 0, spread, 1.0), 0.0)
    return standardised


def _codes(column: pd.Series[Any]) -> NDArray[np.intp]:
    """Give categories numbers, the most frequent first; missing is one, and rare ones are the last together."""
    texts = column.astype(object).where(column.notna(), None).map(str)
    frequent = {name: code for code, name in enumerate(texts.value_counts().index[:MOST_CATEGORIES])}
    return np.asarray(texts.map(lambda text: frequent.get(text, MOST_CATEGORIES)), dtype=np.intp)


def _cramers_v(own: NDArray[np.intp], theirs: NDArray[np.intp]) -> float:
    """Give Cramér's V, corrected for chance (Bergsma 2013)."""
    size, n = MOST_CATEGORIES + 1, len(own)
    table = np.bincount(own * size + theirs, minlength=size * size).reshape(size, size).astype(np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    n_rows, n_columns = table.shape
    if min(n_rows, n_columns) < 2 or n < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = max(0.0, ((table - expected) ** 2 / expected).sum() / n - (n_rows - 1) * (n_columns - 1) / (n - 1))
    least = min(n_rows - (n_rows - 1) ** 2 / (n - 1), n_columns - (n_columns - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(phi / least)) if least > 0 else 0.0
