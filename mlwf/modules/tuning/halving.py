"""The strategy halving: all candidates with little of a resource, then the better ones with more.

The rungs, the rows and the choice of candidates are those of scikit-learn's HalvingGridSearchCV, after Jamieson and
Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import resample

from mlwf.engine.model_cache import MOST_RESUMABLE
from mlwf.engine.requests import last_step
from mlwf.engine.staged_ensembles import may_be_resumable
from mlwf.errors import FitError
from mlwf.modules.tuning.trials import Params, Search, SearchOutcome, Trials
from mlwf.specs.catalogue import find_algorithm
from mlwf.specs.tuning import N_SAMPLES, HalvingSearchSpec
from mlwf.splitting.rows import Rows, Split


def halve(spec: HalvingSearchSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    """Try all candidates with little of the resource, and on each further rung the best of them with more.

    Raises FitError when there are too few rows to begin with, or nothing says how many rounds to end with.
    """
    resource = spec.resource or rounds_parameter(search.pipeline) or N_SAMPLES
    smallest, most = _bounds(spec, resource, search)
    schedule = plan_rungs(len(candidates), factor=spec.factor, smallest=smallest, most=most)
    rungs: list[Trials] = []
    for number, amount in enumerate(schedule):
        n_kept = ceil(len(candidates) / spec.factor)
        trials = _rung(search, candidates, resource, amount, number, random_state)
        if resource != N_SAMPLES and number < len(schedule) - 1 and may_be_resumable(last_step(search.pipeline)[1]):
            # More rounds of the same rows: the fits of the candidates that are kept are resumed on the next rung.
            trials.leaderboard.n_kept = min(n_kept, max(1, MOST_RESUMABLE // len(trials.splits)))
        # Kept candidates stand in ascending order. When the time ends in the middle, the better ones have been tried.
        order = range(len(candidates))[:: -1 if rungs else 1]
        trials.request([(candidate, fold) for candidate in order for fold in range(len(trials.splits))])
        rungs.append(trials)
        if trials.is_late and (search.time is None or not trials.tried):
            break
        # Where costly candidates were left out, the others go on.
        candidates = _keep(trials, candidates, n_kept)
    return SearchOutcome(rungs, _progress(rungs, len(schedule)), _describe_rungs(rungs, resource))


def rounds_parameter(pipeline: Any) -> str | None:
    """Name the parameter that sets how many rounds of boosting, or trees, the pipeline's classifier is made of."""
    step, classifier = last_step(pipeline)
    info = find_algorithm(classifier)
    # Of a class that is not in the catalogue the usual name is taken, where it has it.
    usual = "n_estimators" if "n_estimators" in classifier.get_params(deep=False) else None
    name = usual if info is None else info.rounds
    return name and (f"{step}__{name}" if step else name)


def plan_rungs(n_candidates: int, *, factor: int, smallest: int, most: int) -> list[int]:
    """Plan how much of the resource candidates get on each rung, such that the last gets about the most.

    Parameters
    ----------
    n_candidates : int
        Candidates on the first rung.
    factor : int
        Each rung has one of that many candidates of the one before, and that many times the resource.
    smallest : int
        Fewest of the resource that a candidate can be tried with.
    most : int
        Most of the resource.

    Returns
    -------
    list of int
        As scikit-learn's `n_resources_` with `min_resources="exhaust"`.
    """
    # Rounded as scikit-learn does, which for some powers of the factor is one rung fewer.
    required = 1 + floor(log(n_candidates, factor))
    least = max(smallest, most // factor ** (required - 1))
    possible = 1 + floor(log(most // least, factor))
    return [min(factor**rung * least, most) for rung in range(min(possible, required))]


def _bounds(spec: HalvingSearchSpec, resource: str, search: Search) -> tuple[int, int]:
    """Give the fewest and the most of the resource."""
    if resource != N_SAMPLES:
        most = spec.max_resources or search.pipeline.get_params().get(resource)
        if not isinstance(most, Integral) or most < 1:
            raise FitError(f"halving by {resource}: the pipeline does not say how many; write tuning.max_resources")
        return 1, int(most)
    most = min(spec.max_resources or len(search.rows), len(search.rows))
    # Two rows of each class for each split, as scikit-learn has it.
    smallest = 2 * len(search.splits) * int(np.count_nonzero(search.table.class_counts_of(search.rows)))
    if smallest > most:
        raise FitError(f"halving by rows begins with {smallest:,} of them at least; there are {most:,}")
    return smallest, most


def _rung(
    search: Search, candidates: Sequence[Params], resource: str, amount: int, number: int, random_state: int
) -> Trials:
    columns = {"iter": number, "n_resources": amount}
    if resource != N_SAMPLES:
        return Trials(search, search.splits, [{**params, resource: amount} for params in candidates], columns)
    share = amount / len(search.rows)
    splits = [
        Split(_sample(split.train, share, random_state), _sample(split.test, share, random_state))
        for split in search.splits
    ]
    return Trials(search, splits, [dict(params) for params in candidates], columns)


def _sample(rows: Rows, share: float, random_state: int) -> Rows:
    n_rows = max(1, int(share * len(rows)))
    return Rows(resample(rows.index, replace=False, n_samples=n_rows, random_state=random_state))


def _keep(trials: Trials, candidates: Sequence[Params], n_kept: int) -> list[Params]:
    """Keep the best candidates, in ascending order; those that could not be scored come first."""
    means = np.array([trials.leaderboard.mean(candidate) for candidate in range(len(candidates))], dtype=np.float64)
    # The very call of scikit-learn, since the sort does not keep the order of equals.
    order = np.roll(np.argsort(means), np.count_nonzero(np.isnan(means)))
    return [candidates[candidate] for candidate in order[-n_kept:] if not trials.is_candidate_late(candidate)]


def _progress(rungs: Sequence[Trials], n_rungs: int) -> str:
    if len(rungs) == 1:
        return f"{len(rungs[0].tried):,} of {len(rungs[0].candidates):,} candidates were tried"
    return f"{sum(not trials.is_late for trials in rungs)} of {n_rungs} rungs were complete"


def _describe_rungs(rungs: Sequence[Trials], resource: str) -> str:
    counts = [len(trials.tried) for trials in rungs]
    amounts = [trials.columns["n_resources"] for trials in rungs]
    first = f"{counts[0]:,} candidates with {amounts[0]:,}"
    return ", ".join([f"halving by {resource}: {first}", *map("{:,} with {:,}".format, counts[1:], amounts[1:])])
