"""What a search tries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from scipy import stats
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mlwf.modules.tuning.trials import Search, Trials, Tried
from mlwf.process_state import muted
from mlwf.specs.tuning import (
    GridSearchSpec,
    HalvingSearchSpec,
    OptunaSearchSpec,
    ParamTuningSpec,
    RandomizedSearchSpec,
)

DISTRIBUTIONS = {
    "uniform": lambda low, high: stats.uniform(low, high - low),
    "loguniform": stats.loguniform,
    "randint": stats.randint,
}


def list_candidates(spec: ParamTuningSpec, *, random_state: int = 42) -> list[dict[str, Any]]:
    """List the parameters that a search tries, in scikit-learn's order.

    Of halving these are the candidates that it begins with, without the resource. Of optuna there are none: it
    proposes them as it goes.
    """
    return list(islice(_all_candidates(spec, random_state), spec.max_candidates))


def count_candidates(spec: ParamTuningSpec, *, random_state: int = 42) -> int:
    """Count the candidates that a search would try without `max_candidates`."""
    if isinstance(spec, OptunaSearchSpec):
        return spec.n_iter
    return len(_all_candidates(spec, random_state))


def list_parameters(spec: ParamTuningSpec) -> list[str]:
    """Name the parameters that a search sets, each once, in the order they are written in."""
    space: Any = getattr(spec, "param_grid", None) or getattr(spec, "param_distributions", None) or {}
    maps = [space] if isinstance(space, Mapping) else space
    return list(dict.fromkeys(name for one in maps for name in one))


def _all_candidates(spec: ParamTuningSpec, random_state: int) -> Collection[dict[str, Any]]:
    candidates: Collection[dict[str, Any]] = CANDIDATES[spec.strategy](spec, random_state)
    return candidates


def _grid_candidates(spec: GridSearchSpec | HalvingSearchSpec, random_state: int) -> Any:
    return ParameterGrid(spec.param_grid)


def _random_candidates(spec: RandomizedSearchSpec, random_state: int) -> list[dict[str, Any]]:
    written = spec.param_distributions
    maps = written if isinstance(written, list) else [written]
    distributions = [{name: _distribution(value) for name, value in one.items()} for one in maps]
    # A space smaller than n_iter is searched whole; that is what was asked for.
    with muted():
        drawn: list[dict[str, Any]] = list(ParameterSampler(distributions, spec.n_iter, random_state=random_state))
    return drawn


def _distribution(value: Any) -> Any:
    if isinstance(value, Mapping):
        ((kind, ends),) = value.items()
        return DISTRIBUTIONS[kind](*ends)
    return value


CANDIDATES: dict[str, Any] = {
    "grid": _grid_candidates,
    "random": _random_candidates,
    "halving": _grid_candidates,
    "optuna": lambda spec, random_state: [],
}


def try_all(spec: ParamTuningSpec, search: Search, random_state: int) -> Tried:
    """Try every candidate on all splits."""
    candidates = list_candidates(spec, random_state=random_state)
    trials = Trials(search, search.splits, candidates)
    trials.request([(candidate, fold) for candidate in range(len(candidates)) for fold in range(len(search.splits))])
    return Tried([trials], f"{len(trials.tried):,} of {len(candidates):,} candidates were tried")
