"""What the columns of a table hold, as counts: of bins, values and missing values, by class and beside the test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.modules.data.columns import kind_of
from mlwf.modules.data.dataset import Dataset

MOST_VALUES = 12
"""Values of a column that are counted one by one, the most frequent ones; the others are counted together."""
FEWEST_ROWS = 5
"""Rows that such a value has: a value of fewer may tell of one person, and is counted with the others."""
N_BINS = 20
FEW = 1000
"""Numbers of a column that are looked at first."""
MOST_CLASSES = 6
"""Classes that are counted apart, the most frequent ones; the others are counted together."""
MOST_COLUMNS = 500
LONGEST_TEXT = 60
"""Longer texts, on average, are no categories: their lengths are counted."""
TAIL = 0.01
"""Share of the numbers that the first and the last bin reach out for, lest a few of them leave no room for the rest."""


def profile_columns(data: Dataset, test: Dataset | None) -> dict[str, Any]:
    """Count the values of each feature; no row can be told from it, only values that are frequent.

    Gives `classes` with their rows; and for each of the first 500 columns its name, its kind, the missing and the
    different values, and the rows in each bin: by class (`counts`), and of the test set (`test_counts`). Bins have
    `edges`, of which the first and the last leave out 1 % of the numbers that the bins at the ends count all the same,
    or else `values` and at last the others.
    """
    labels, codes, n_rows = _classes(data.y)
    names = list(data.X.columns) if hasattr(data.X, "columns") else range(data.X.shape[1])
    columns = []
    for place, name in enumerate(names[:MOST_COLUMNS]):
        # By position: two columns may have one name.
        values, test_values = (None if each is None else _column(each.X, place) for each in (data, test))
        columns.append({"name": str(name), **_profile(values, test_values, codes, len(labels))})
    return {
        "rows": len(data),
        "test_rows": None if test is None else len(test),
        "classes": dict(zip(labels, n_rows, strict=True)),
        "columns": columns,
        "columns_left_out": max(0, len(names) - MOST_COLUMNS),
    }


def _classes(y: NDArray[Any]) -> tuple[list[str], NDArray[np.intp], list[int]]:
    """Give the classes that are counted apart, the place of each row's among them, and their rows."""
    codes, labels = pd.factorize(y)
    order = np.argsort(-np.bincount(codes), kind="stable")
    n_apart = len(order) if len(order) <= MOST_CLASSES else MOST_CLASSES - 1
    place = np.full(len(order), n_apart)
    place[order[:n_apart]] = np.arange(n_apart)
    codes = place[codes]
    rest = [f"{len(order) - n_apart} others"] if len(order) > n_apart else []
    return [*(str(labels[at]) for at in order[:n_apart]), *rest], codes, np.bincount(codes).tolist()


def _column(X: Any, place: int) -> pd.Series[Any]:
    return X.iloc[:, place] if hasattr(X, "iloc") else pd.Series(np.asarray(X)[:, place])


def _profile(values: Any, test_values: Any, codes: NDArray[np.intp], n_classes: int) -> dict[str, Any]:
    kind = kind_of(values)
    missing = values.isna().to_numpy()
    found: dict[str, Any] = {
        "kind": kind,
        "missing": int(missing.sum()),
        "test_missing": None if test_values is None else int(test_values.isna().sum()),
    }
    present, of_class = (values[~missing], codes[~missing]) if missing.any() else (values, codes)
    found["distinct"] = _n_distinct(present)
    test_present = None if test_values is None else test_values.dropna()
    is_long = kind == "texts" and len(present) > 0 and present.str.len().mean() > LONGEST_TEXT
    if is_long:
        found["of_lengths"] = True
        present, test_present = present.str.len(), None if test_present is None else test_present.str.len()
    if is_long or (kind in {"numbers", "dates"} and found["distinct"] > MOST_VALUES):
        return found | _in_bins(present, test_present, of_class, n_classes)
    return found | _by_value(present, test_present, of_class, n_classes)


def _n_distinct(present: pd.Series[Any]) -> int:
    if present.dtype.kind != "f" or not len(present):
        return int(present.nunique())
    ordered = np.sort(present.to_numpy())
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _in_bins(present: Any, test: Any, of_class: NDArray[np.intp], n_classes: int) -> dict[str, Any]:
    is_date = present.dtype.kind == "M"
    numbers = numbers_of_bins(present)
    low, high, *quartiles = np.quantile(numbers, [TAIL, 1 - TAIL, 0, 0.25, 0.5, 0.75, 1])
    if low == high:
        low, high = numbers.min(), numbers.max()
    is_whole = not is_date and all(np.equal(np.mod(part, 1), 0).all() for part in (numbers[:FEW], numbers))
    edges = _edges(low, high, is_whole=is_whole)
    bins = bins_of(numbers, edges)
    return {
        "edges": _written(edges, is_date=is_date),
        "quartiles": _written(np.array(quartiles), is_date=is_date),
        "counts": _table(of_class, bins, n_classes, len(edges) - 1),
        "test_counts": None if test is None else _counts(bins_of(numbers_of_bins(test), edges), len(edges) - 1),
    }


def _edges(low: float, high: float, *, is_whole: bool) -> NDArray[np.float64]:
    """Give the edges of the bins; those of whole numbers lie between them."""
    if not is_whole:
        return np.linspace(low, high, N_BINS + 1)
    step = max(1, int(np.ceil((high - low + 1) / N_BINS)))
    return np.arange(np.floor(low), high + step, step) - 0.5


def numbers_of_bins(values: Any) -> NDArray[np.float64]:
    """Give numbers as floats, and dates as seconds since 1970."""
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert(None)
    if values.dtype.kind == "M":
        return np.asarray(values.to_numpy().astype("datetime64[s]").astype(np.float64))
    numbers: NDArray[np.float64] = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    return numbers


def bins_of(numbers: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Give the bin of each number; the first and the last reach to all beyond."""
    return np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)


def _by_value(present: Any, test: Any, of_class: NDArray[np.intp], n_classes: int) -> dict[str, Any]:
    texts = present.astype(str)
    order = texts.value_counts()
    # In their own order where that means something, else the most frequent first.
    is_named = order >= (FEWEST_ROWS if len(order) > MOST_VALUES else 1)
    values = list(order.index[is_named][:MOST_VALUES])
    if present.dtype.kind in "iuf":
        values = sorted(values, key=float)
    place = {value: at for at, value in enumerate(values)}
    has_others = len(order) > len(values)
    is_new = None
    if test is not None:
        tested = test.astype(str)
        is_new = int((~tested.isin(order.index)).sum())
        test_codes = tested.map(place).fillna(len(values)).to_numpy(dtype=np.intp)
        has_others = has_others or is_new > 0
    n_bins = len(values) + has_others
    codes = texts.map(place).fillna(len(values)).to_numpy(dtype=np.intp)
    return {
        "values": values,
        "has_others": has_others,
        "counts": _table(of_class, codes, n_classes, n_bins),
        "test_counts": None if test is None else _counts(test_codes, n_bins),
        "unseen_in_test": is_new,
    }


def _table(of_class: NDArray[np.intp], bins: NDArray[np.intp], n_classes: int, n_bins: int) -> list[list[int]]:
    flat = np.bincount(of_class * n_bins + bins, minlength=n_classes * n_bins)
    table: list[list[int]] = flat.reshape(n_classes, n_bins).tolist()
    return table


def _counts(bins: NDArray[np.intp], n_bins: int) -> list[int]:
    counts: list[int] = np.bincount(bins, minlength=n_bins).tolist()
    return counts


def _written(numbers: NDArray[np.float64], *, is_date: bool) -> Sequence[Any]:
    if is_date:
        return [str(np.datetime64(round(seconds), "s")) for seconds in numbers]
    return [float(f"{number:.6g}") for number in numbers]
