"""The candidates of a search: every combination of a grid, or draws from distributions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from scipy import stats
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mlwf.modules.tuning.trials import Search, SearchOutcome, Trials
from mlwf.process_state import muted
from mlwf.specs.tuning import GridSearchSpec, HalvingSearchSpec, ParamTuningSpec, RandomizedSearchSpec

Params = dict[str, Any]
"""The parameters of one candidate."""

DISTRIBUTIONS = {
    "uniform": lambda low, high: stats.uniform(low, high - low),
    "loguniform": stats.loguniform,
    "randint": stats.randint,
}


def grid_candidates(spec: GridSearchSpec | HalvingSearchSpec, random_state: int) -> Collection[Params]:
    """Give every combination of the listed values, in the order of scikit-learn's ParameterGrid."""
    grid: Collection[Params] = ParameterGrid(spec.param_grid)
    return grid


def random_candidates(spec: RandomizedSearchSpec, random_state: int) -> Collection[Params]:
    """Draw `n_iter` candidates as scikit-learn's ParameterSampler does, or all of a smaller space."""
    distributions = [{name: _distribution(value) for name, value in each.items()} for each in spec.space]
    # scikit-learn warns of a space smaller than n_iter; to try all of it is what the file says.
    with muted():
        return list(ParameterSampler(distributions, spec.n_iter, random_state=random_state))


def _distribution(value: Any) -> Any:
    if isinstance(value, Mapping):
        ((kind, ends),) = value.items()
        return DISTRIBUTIONS[kind](*ends)
    return value


def try_all(spec: ParamTuningSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    """Try every candidate on all splits."""
    trials = Trials(search, search.splits, candidates)
    trials.request([(candidate, fold) for candidate in range(len(candidates)) for fold in range(len(search.splits))])
    return SearchOutcome([trials], f"{len(trials.tried):,} of {len(candidates):,} candidates were tried")
