"""scikit-learn's `cv_results_`, from what came of the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlwf.modules.tuning.trials import Trials


def make_cv_results(rows: Sequence[tuple[Trials, int]], names: Mapping[str, str]) -> dict[str, Any]:
    """Make the columns, of one entry for each candidate.

    Parameters
    ----------
    rows : sequence of (Trials, int)
        The candidates, by their number among those of the same trials.
    names : mapping of str to str
        What each scorer is called in the names of the columns.

    Returns
    -------
    dict
        NaN stands for the folds of a fit or a scorer that failed, or of a candidate that was given up before.
    """
    candidates = [trials.candidates[candidate] for trials, candidate in rows]
    results: dict[str, Any] = {
        name: np.asarray([trials.columns[name] for trials, _ in rows]) for name in rows[0][0].columns
    }
    results |= _times(rows)
    results |= _param_columns(candidates)
    results["params"] = candidates
    for scorer, name in names.items():
        array = np.array([_scores(trials, candidate, scorer) for trials, candidate in rows], dtype=np.float64)
        results |= {f"split{i}_test_{name}": array[:, i] for i in range(array.shape[1])}
        results[f"mean_test_{name}"] = means = np.average(array, axis=1)
        results[f"std_test_{name}"] = np.sqrt(np.average((array - means[:, np.newaxis]) ** 2, axis=1))
        results[f"rank_test_{name}"] = _rank(means)
    return results


def _times(rows: Sequence[tuple[Trials, int]]) -> dict[str, Any]:
    answers = [trials.of(candidate) for trials, candidate in rows]
    columns: dict[str, Any] = {}
    for name, field in (("fit_time", "fit_seconds"), ("score_time", "predict_seconds")):
        times = np.array([[getattr(answer, field, np.nan) for answer in row] for row in answers], dtype=np.float64)
        columns[f"mean_{name}"], columns[f"std_{name}"] = times.mean(axis=1), times.std(axis=1)
    return columns


def _scores(trials: Trials, candidate: int, scorer: str) -> list[float]:
    cells = [trials.contest.cells.get((candidate, fold)) for fold in range(len(trials.splits))]
    return [np.nan if cell is None else cell[scorer] for cell in cells]


def _rank(means: NDArray[np.float64]) -> NDArray[np.int32]:
    """Rank with 1 for the best; ties share the best rank, and what could not be scored comes last."""
    if np.isnan(means).all():
        return np.ones_like(means, dtype=np.int32)
    filled = np.nan_to_num(means, nan=np.nanmin(means) - 1)
    ranks: NDArray[np.int32] = stats.rankdata(-filled, method="min").astype(np.int32)
    return ranks


def _param_columns(candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make scikit-learn's `param_*` columns: masked where a candidate does not set the parameter."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for params in candidates for name in params):
        present = [(i, params[name]) for i, params in enumerate(candidates) if name in params]
        empty = np.empty(len(candidates), dtype=_dtype([value for _, value in present]))
        column = np.ma.MaskedArray(empty, mask=True)
        for i, value in present:
            column[i] = value
        columns[f"param_{name}"] = column
    return columns


def _dtype(values: Sequence[Any]) -> Any:
    try:
        array = np.array(values)
    except ValueError:  # lists of different lengths
        return object
    return array.dtype if array.dtype.kind != "U" and array.ndim == 1 else object
