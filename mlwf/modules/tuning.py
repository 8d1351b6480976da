"""Search for the best parameters, with the very results of scikit-learn's searches."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mlwf.engine.asks import Answer, Ask, Fitter
from mlwf.engine.chain import OutOfFold, stack
from mlwf.engine.plain import PlainFitter
from mlwf.engine.rows import Rows, Split, Splitter, Table
from mlwf.engine.scoring import build_scorers, score
from mlwf.engine.splitters import fold_splitter
from mlwf.errors import FitError
from mlwf.results import TuningResult
from mlwf.specs.tuning import GridSearchSpec, ParamTuningSpec, RandomizedSearchSpec

logger = logging.getLogger(__name__)

DISTRIBUTIONS = {
    "uniform": lambda low, high: stats.uniform(low, high - low),
    "loguniform": stats.loguniform,
    "randint": stats.randint,
}


def tune(
    spec: ParamTuningSpec,
    pipeline: Any,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fit: Fitter,
    *,
    random_state: int = 42,
    positive_class: Any = None,
) -> TuningResult:
    """Try the candidates of `spec` on folds of `rows` and name the best.

    A fit that fails scores NaN. Raises FitError when every candidate failed.
    """
    candidates = list_candidates(spec, random_state=random_state)
    splits = splitter(table, rows)
    scorers = build_scorers(spec.scorers, classes=table.classes, positive_class=positive_class)
    answers = fit([Ask(pipeline, params, split.train, (split.test,)) for params in candidates for split in splits])
    failures = list(dict.fromkeys(answer.error for answer in answers if answer.error))
    cells = [
        _score(answer, split, table, scorers, failures)
        for answer, split in zip(answers, list(splits) * len(candidates), strict=True)
    ]
    names = {name: name if len(scorers) > 1 else "score" for name in scorers}
    cv_results = _cv_results(
        candidates, len(splits), answers, {names[name]: [c[name] for c in cells] for name in names}
    )
    chosen_by = names[spec.choosing_scorer]
    means = cv_results[f"mean_test_{chosen_by}"]
    if np.isnan(means).all():
        raise FitError(
            f"none of the {len(candidates)} candidates could be scored: {failures[0] if failures else 'NaN'}"
        )
    best = int(cv_results[f"rank_test_{chosen_by}"].argmin())
    return TuningResult(
        strategy=spec.strategy,
        scoring=spec.choosing_scorer,
        best_params=candidates[best],
        best_score=float(means[best]),
        best_index=best,
        n_candidates=len(candidates),
        n_failed=sum(answer.error is not None for answer in answers),
        cv_folds=len(splits),
        cv_results=cv_results,
        failures=tuple(failures),
        out_of_fold=_out_of_fold(answers[best * len(splits) : (best + 1) * len(splits)], splits, rows),
    )


def list_candidates(spec: ParamTuningSpec, *, random_state: int = 42) -> list[dict[str, Any]]:
    """List the parameters that a search tries, in scikit-learn's order."""
    candidates: list[dict[str, Any]] = CANDIDATES[spec.strategy](spec, random_state)
    return candidates


class GridSearch:
    """The guide's search: `fit`, then `get_best_estimator` or scikit-learn's fitted attributes."""

    def __init__(
        self, spec: ParamTuningSpec, *, random_state: int = 42, splitter: Splitter | None = None, n_jobs: int = 1
    ) -> None:
        self.spec = spec
        self.random_state = random_state
        self.splitter = splitter
        self.n_jobs = n_jobs

    def fit(self, pipeline: Any, X: Any, y: Any) -> GridSearch:
        """Search on X of shape (n_samples, n_features) and y of shape (n_samples,), then fit the best on all rows.

        Without a splitter the folds are those of scikit-learn's `cv=5`: stratified and not shuffled.
        """
        table = Table(X, np.asarray(y))
        folds = self.splitter or fold_splitter(
            "stratified_kfold", n_splits=self.spec.cv_folds or 5, shuffle=False, random_state=self.random_state
        )
        with PlainFitter(table, n_jobs=self.spec.n_jobs or self.n_jobs) as fit:
            self.result_ = tune(self.spec, pipeline, table, table.all_rows, folds, fit, random_state=self.random_state)
            (best,) = fit([Ask(pipeline, self.result_.best_params, table.all_rows, keep_model=True)])
        if best.error:
            raise FitError(f"the best candidate could not be fitted on all rows: {best.error}")
        self.best_estimator_ = best.model
        self.cv_results_ = self.result_.cv_results
        self.best_params_ = self.result_.best_params
        self.best_score_ = self.result_.best_score
        self.best_index_ = self.result_.best_index
        return self

    def get_results_summary(self) -> dict[str, Any]:
        """Give the best parameters and their score, and how they were found."""
        return self.result_.summary()

    def get_best_estimator(self) -> Any:
        """Give the best pipeline, fitted on all rows."""
        return self.best_estimator_


class RandomizedSearch(GridSearch):
    """The guide's search over candidates drawn from distributions."""


def create_tuning(spec: ParamTuningSpec, *, random_state: int = 42, n_jobs: int = 1) -> GridSearch:
    """Make the search that `spec` describes."""
    return SEARCHES[spec.strategy](spec, random_state=random_state, n_jobs=n_jobs)


def _grid_candidates(spec: GridSearchSpec, random_state: int) -> list[dict[str, Any]]:
    return list(ParameterGrid(spec.param_grid))


def _random_candidates(spec: RandomizedSearchSpec, random_state: int) -> list[dict[str, Any]]:
    written = spec.param_distributions
    maps = written if isinstance(written, list) else [written]
    distributions = [{name: _distribution(value) for name, value in one.items()} for one in maps]
    with warnings.catch_warnings():
        # A space smaller than n_iter is searched whole; that is what was asked for.
        warnings.filterwarnings("ignore", message="The total space of parameters", category=UserWarning)
        drawn: list[dict[str, Any]] = list(ParameterSampler(distributions, spec.n_iter, random_state=random_state))
    return drawn


def _distribution(value: Any) -> Any:
    if isinstance(value, Mapping):
        ((kind, ends),) = value.items()
        return DISTRIBUTIONS[kind](*ends)
    return value


def _out_of_fold(answers: Sequence[Answer], splits: Sequence[Split], rows: Rows) -> OutOfFold | None:
    """Keep what the best candidate's fold models said, so that nobody has to fit them again to hear it."""
    if any(answer.error for answer in answers):
        return None
    try:
        return stack(answers, splits, rows)
    except FitError:  # a fold that lacks a class has a score all the same
        return None


def _score(
    answer: Answer, split: Split, table: Table, scorers: Mapping[str, Any], failures: list[str]
) -> dict[str, float]:
    """Score one fit with every scorer; NaN where the fit or the scorer failed, as scikit-learn's error_score."""
    if answer.error:
        return dict.fromkeys(scorers, np.nan)
    scores = {}
    for name, scorer in scorers.items():
        try:
            scores[name] = score(scorer, answer.predictions[0], table.y_of(split.test))
        except Exception as error:
            scores[name] = np.nan
            failures.append(f"{name}: {type(error).__name__}: {error}")
    return scores


def _cv_results(
    candidates: Sequence[dict[str, Any]], n_splits: int, answers: Sequence[Answer], scores: Mapping[str, list[float]]
) -> dict[str, Any]:
    results: dict[str, Any] = {}
    shape = (len(candidates), n_splits)
    for name, seconds in (
        ("fit_time", [answer.fit_seconds for answer in answers]),
        ("score_time", [answer.predict_seconds for answer in answers]),
    ):
        times = np.array(seconds).reshape(shape)
        results[f"mean_{name}"], results[f"std_{name}"] = times.mean(axis=1), times.std(axis=1)
    results |= _param_columns(candidates)
    results["params"] = list(candidates)
    for name, values in scores.items():
        array = np.array(values, dtype=np.float64).reshape(shape)
        results |= {f"split{i}_test_{name}": array[:, i] for i in range(n_splits)}
        results[f"mean_test_{name}"] = means = np.average(array, axis=1)
        results[f"std_test_{name}"] = np.sqrt(np.average((array - means[:, np.newaxis]) ** 2, axis=1))
        results[f"rank_test_{name}"] = _rank(means)
    return results


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


CANDIDATES: dict[str, Any] = {"grid": _grid_candidates, "random": _random_candidates}
SEARCHES: dict[str, type[GridSearch]] = {"grid": GridSearch, "random": RandomizedSearch}
