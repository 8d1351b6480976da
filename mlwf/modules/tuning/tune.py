"""A search from beginning to end, its strategies, its result, and the classes of the public API for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from time import monotonic
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from mlwf.engine.costs import SearchTime
from mlwf.engine.engine import Engine
from mlwf.engine.out_of_fold import OutOfFold, stack
from mlwf.engine.requests import FitRequest, FitResult, Fitter
from mlwf.errors import ConfigError, FitError, Problem, TimeUpError
from mlwf.evaluation.predictions import build_scorers
from mlwf.modules.tuning.distributions import draw
from mlwf.modules.tuning.halving import halve, rounds_parameter
from mlwf.modules.tuning.optuna_search import propose
from mlwf.modules.tuning.trials import Params, Search, SearchOutcome, Trials, make_cv_results
from mlwf.results import TuningResult
from mlwf.specs.tuning import GridSearchSpec, HalvingSearchSpec, ParamTuningSpec, RandomizedSearchSpec
from mlwf.splitting.rows import Rows, Splitter, Table
from mlwf.splitting.splitters import fold_splitter

MOST_COMPARED = 300
"""Candidates among which the cheapest is looked for."""

PASSED_OVER = "a better candidate was passed over, since its model would not be finished in time"

Row = tuple[Trials, int]
"""A candidate, by its number among those of the same trials."""


def tune(
    spec: ParamTuningSpec,
    pipeline: Any,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fitter: Fitter,
    *,
    random_state: int = 42,
    positive_class: Any = None,
    time: SearchTime | None = None,
) -> TuningResult:
    """Try the candidates of `spec` on folds of `rows` and name the best.

    A fit that fails scores NaN. When the time ends, the best of the candidates that are complete is named; with `time`
    the best of those that can still be fitted, calibrated and validated.

    Raises
    ------
    FitError
        When every candidate failed, none was complete in time, or a halving has too little of its resource.
    ConfigError
        When the strategy needs a package that is not installed.
    """
    check_installed(spec)
    search = Search(
        pipeline,
        table,
        rows,
        splits=splitter(table, rows),
        scorers=build_scorers(spec.scorers, classes=table.classes, positive_class=positive_class),
        chosen_by=spec.choosing_scorer,
        fitter=fitter,
        deadline=None if spec.timeout_seconds is None else monotonic() + spec.timeout_seconds,
        time=time,
    )
    candidates = list_candidates(spec, random_state=random_state)
    outcome = STRATEGIES[spec.strategy].try_candidates(spec, search, candidates, random_state)
    stopped = list(_stopped(spec, search, outcome, len(_all_candidates(spec, random_state))))
    return _result(spec, search, outcome, stopped)


def list_candidates(spec: ParamTuningSpec, *, random_state: int = 42) -> list[Params]:
    """List the parameters that a search tries, in scikit-learn's order.

    Of halving these are the candidates of the first rung, without the resource. Of a strategy that proposes candidates
    while it runs there are none.
    """
    if STRATEGIES[spec.strategy].candidates is None:
        return []
    return list(islice(_all_candidates(spec, random_state), spec.max_candidates))


def list_cheap_candidates(spec: ParamTuningSpec, pipeline: Any, *, random_state: int = 42) -> list[Params]:
    """List candidates among which those are that take the least time, as far as that is known before the search."""
    rounds = rounds_parameter(pipeline)
    candidates = list_candidates(spec, random_state=random_state)[:MOST_COMPARED] or [{}]
    if isinstance(spec, HalvingSearchSpec):
        # On the first rung each has so many, where rounds are what they get more and more of.
        most = spec.max_resources or pipeline.get_params().get(rounds)
        if rounds is None or spec.resource not in (None, rounds) or not isinstance(most, int):
            return candidates
        return [{**params, rounds: max(1, most // len(candidates))} for params in candidates]
    if STRATEGIES[spec.strategy].candidates is None and rounds is not None and rounds in spec.parameters:
        values = spec.space[0][rounds]
        return [{rounds: min(values, default=1)} if isinstance(values, list) else {rounds: int(_lowest(values))}]
    return candidates


def _lowest(distribution: Mapping[str, Sequence[float]]) -> float:
    (values,) = distribution.values()
    return max(1.0, min(values))


def check_installed(spec: ParamTuningSpec, *, key: str = "tuning") -> None:
    """Raise ConfigError when the strategy of a search needs a package that is not installed."""
    if spec.needs_package and find_spec(spec.needs_package) is None:
        message = f"is {spec.strategy!r}, and that package is not installed"
        raise ConfigError(Problem("", f"{key}.strategy", message, f"pip install 'mlwf[{spec.needs_package}]'"))


def _all_candidates(spec: ParamTuningSpec, random_state: int) -> Collection[Any]:
    """Give the candidates as they are without `max_candidates`; of those to be proposed, their numbers."""
    list_all = STRATEGIES[spec.strategy].candidates
    return range(getattr(spec, "n_iter", 0)) if list_all is None else list_all(spec, random_state)


def _result(spec: ParamTuningSpec, search: Search, outcome: SearchOutcome, stopped: Sequence[str]) -> TuningResult:
    rows = [(trials, candidate) for trials in outcome.trials for candidate in trials.tried]
    fit_results = [result for trials, candidate in rows for result in trials.of(candidate) if result is not None]
    failures = _failures(rows, fit_results)
    best = _best(spec, search, outcome, rows, failures)
    affordable = _affordable(search, best)
    is_passed_over = affordable != best
    best, stopped = affordable, [*stopped, *([PASSED_OVER] if is_passed_over else [])]
    names = {name: name if len(search.scorers) > 1 else "score" for name in search.scorers}
    cv_results = make_cv_results(rows, names)
    position = rows.index(best)
    return TuningResult(
        strategy=spec.strategy,
        scoring=search.chosen_by,
        best_params=cv_results["params"][position],
        best_score=float(cv_results[f"mean_test_{names[search.chosen_by]}"][position]),
        best_index=position,
        n_candidates=len(outcome.trials[0].tried),
        n_failed=sum(result.error is not None for result in fit_results),
        cv_folds=len(search.splits),
        cv_results=cv_results,
        failures=tuple(failures),
        stopped="; ".join(stopped),
        is_timed_out=is_passed_over or any(trials.is_late for trials in outcome.trials),
        inexact=outcome.inexact,
        cpu_seconds=_seconds(outcome),
        out_of_fold=_out_of_fold(search, *best),
        predictions_of=lambda place: _out_of_fold(search, *rows[place]),
    )


def _best(
    spec: ParamTuningSpec, search: Search, outcome: SearchOutcome, rows: Sequence[Row], failures: Sequence[str]
) -> Row:
    """Find the best candidate of the last trials that have one."""
    if not rows:
        raise TimeUpError(f"the time ended before any candidate was complete: {_limit(spec, search)}")
    for trials in reversed(outcome.trials):
        if trials.leaderboard.best is not None:
            return trials, trials.leaderboard.best
    why = failures[0] if failures else "NaN"
    raise FitError(f"none of the {len(outcome.trials[0].tried)} candidates could be scored: {why}")


def _affordable(search: Search, best: Row) -> Row:
    """Give the best candidate of the same trials that there is still time to fit on all rows; `best` where none is."""
    trials, candidate = best
    if search.time is None or search.time.may_ship(search.pipeline, trials.candidates[candidate]):
        return best
    means = {each: trials.leaderboard.mean(each) for each in trials.tried}
    ranked = sorted((-mean, each) for each, mean in means.items() if mean is not None and not np.isnan(mean))
    for _, each in ranked:
        if search.time.may_ship(search.pipeline, trials.candidates[each]):
            return trials, each
    return best


def _failures(rows: Sequence[Row], fit_results: Sequence[FitResult]) -> list[str]:
    """List the errors of failed fits and then of failed scorers, each once, in the order of the candidates."""
    of_fits = [result.error for result in fit_results if result.error]
    of_scorers = [
        reason
        for trials, candidate in rows
        for fold in range(len(trials.splits))
        for reason in trials.leaderboard.failures.get((candidate, fold), ())
    ]
    return list(dict.fromkeys([*of_fits, *of_scorers]))


def _stopped(spec: ParamTuningSpec, search: Search, outcome: SearchOutcome, n_all: int) -> Iterator[str]:
    if spec.max_candidates is not None and spec.max_candidates < n_all:
        yield f"the first {spec.max_candidates:,} of {n_all:,} candidates, as tuning.max_candidates says"
    if any(trials.is_late for trials in outcome.trials):
        if _is_past_timeout(search):
            yield f"stopped after {spec.timeout_seconds:g} s: {outcome.progress}; a faster machine tries more"
        else:
            yield f"cut by {_limit(spec, search)}: {outcome.progress}, the cheapest first; a faster machine tries more"


def _limit(spec: ParamTuningSpec, search: Search) -> str:
    if search.time is None or _is_past_timeout(search):
        return f"tuning.timeout_seconds is {spec.timeout_seconds:g}"
    return f"compute.time_limit, which is {search.time.run_time.seconds:g} s"


def _is_past_timeout(search: Search) -> bool:
    return search.time is None or (search.deadline is not None and monotonic() >= search.deadline)


def _seconds(outcome: SearchOutcome) -> float:
    fit_results = [result for trials in outcome.trials for result in trials.fit_results.values()]
    return sum(result.fit_seconds + result.predict_seconds for result in fit_results)


def _out_of_fold(search: Search, trials: Trials, candidate: int) -> OutOfFold | None:
    """Stack the predictions of the best candidate's fold models, so that they need not be fitted again."""
    fit_results = [result for result in trials.of(candidate) if result is not None]
    # A halving by rows predicts only a part of them, and what was pruned not all of them.
    is_complete = trials.splits is search.splits and len(fit_results) == len(search.splits)
    if not is_complete or any(result.error for result in fit_results):
        return None
    try:
        return stack(fit_results, search.splits, search.rows)
    except FitError:  # a fold that lacks a class has a score all the same
        return None


class GridSearch:
    """A search: `fit`, then `get_best_estimator` or scikit-learn's fitted attributes."""

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
        with Engine(table, n_jobs=self.spec.n_jobs or self.n_jobs) as fitter:
            self.result_ = tune(
                self.spec, pipeline, table, table.all_rows, folds, fitter, random_state=self.random_state
            )
            (best,) = fitter([FitRequest(pipeline, self.result_.best_params, table.all_rows, keep_model=True)])
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
    """A search over candidates drawn from distributions."""


class HalvingSearch(GridSearch):
    """A search that gives the better candidates more and more of a resource."""


class OptunaSearch(GridSearch):
    """A search over candidates that Optuna proposes."""


def create_tuning(spec: ParamTuningSpec, *, random_state: int = 42, n_jobs: int = 1) -> GridSearch:
    """Make the search that `spec` describes."""
    return STRATEGIES[spec.strategy].search_class(spec, random_state=random_state, n_jobs=n_jobs)


def grid_candidates(spec: GridSearchSpec | HalvingSearchSpec, random_state: int) -> Collection[Params]:
    """Give every combination of the listed values, in the order of scikit-learn's ParameterGrid."""
    grid: Collection[Params] = ParameterGrid(spec.param_grid)
    return grid


def random_candidates(spec: RandomizedSearchSpec, random_state: int) -> Collection[Params]:
    """Draw `n_iter` candidates, each with its variants where the distributions have `{each: [...]}`."""
    return draw(spec.space, spec.n_iter, random_state)


def try_all(spec: ParamTuningSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    """Try every candidate on all splits."""
    trials = Trials(search, search.splits, candidates)
    trials.request([(candidate, fold) for candidate in range(len(candidates)) for fold in range(len(search.splits))])
    return SearchOutcome([trials], f"{len(trials.tried):,} of {len(candidates):,} candidates were tried")


@dataclass(frozen=True)
class Strategy:
    """How a search gets its candidates and tries them."""

    try_candidates: Callable[[Any, Search, list[Params], int], SearchOutcome]
    """Takes the spec, the search, its candidates and the random state."""
    candidates: Callable[[Any, int], Collection[Params]] | None
    """Gives all candidates, from the spec and the random state; None where `n_iter` are proposed while it runs."""
    search_class: type[GridSearch] = GridSearch
    """What `create_tuning` makes."""


STRATEGIES: dict[str, Strategy] = {
    "grid": Strategy(try_all, grid_candidates),
    "random": Strategy(try_all, random_candidates, RandomizedSearch),
    "halving": Strategy(halve, grid_candidates, HalvingSearch),
    "optuna": Strategy(propose, None, OptunaSearch),
}
"""The strategies, by `tuning.strategy`; the spec of each stands in `mlwf.specs.tuning`."""
