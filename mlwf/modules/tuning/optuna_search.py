"""The strategy optuna: candidates are proposed from earlier scores, and pruned early when they are poor.

Akiba et al. (2019), Optuna: A next-generation hyperparameter optimization framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlwf.modules.tuning.trials import Params, Search, SearchOutcome, Trials
from mlwf.processes import SharedState
from mlwf.specs.tuning import OptunaSearchSpec

BATCH = 4
"""Candidates that are proposed together. A result may not depend on `n_jobs`, so neither does this."""


def propose(spec: OptunaSearchSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    """Try what Optuna's TPE sampler proposes, and prune candidates that are below the median after a split.

    The sampler is seeded and proposes a fixed number at a time: the same scores lead to the same candidates, which are
    added to `candidates`.
    """
    with _QUIET.held():
        return _propose(spec, search, candidates, random_state)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    import optuna

    # Optuna logs each study and each trial on stderr.
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


_QUIET = SharedState(_quiet_optuna)


def _propose(spec: OptunaSearchSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    import optuna

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=random_state, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(),
    )
    space = {name: _distribution(values) for name, values in spec.param_distributions.items()}
    trials = Trials(search, search.splits, candidates)
    planned = min(spec.n_iter, spec.max_candidates or spec.n_iter)
    is_time_left = True
    while len(trials.candidates) < planned and is_time_left:
        proposed = [study.ask(space) for _ in range(min(BATCH, planned - len(trials.candidates)))]
        begin = len(trials.candidates)
        trials.candidates += [_params(spec, trial.params) for trial in proposed]
        _try(study, dict(enumerate(proposed, begin)), trials)
        # For one of them there may be time where there was none for a costlier one.
        is_time_left = not all(
            trials.is_candidate_late(candidate) for candidate in range(begin, len(trials.candidates))
        )
    n_tried, n_pruned = len(trials.tried), len(trials.pruned)
    inexact = (
        f"optuna: candidates proposed by earlier scores, {n_pruned:,} of {n_tried:,} given up before their last fold"
    )
    return SearchOutcome([trials], f"{n_tried:,} of {planned:,} candidates were tried", inexact)


def _try(study: Any, proposed: Mapping[int, Any], trials: Trials) -> None:
    """Try candidates split by split until they are pruned, and report the score of each to the study."""
    from optuna.trial import TrialState

    alive = dict(proposed)
    last = len(trials.splits) - 1
    for fold in range(len(trials.splits)):
        trials.request([(candidate, fold) for candidate in alive])
        if trials.is_late and trials.search.time is None:
            return
        for candidate in [candidate for candidate in alive if trials.is_candidate_late(candidate)]:
            study.tell(alive.pop(candidate), state=TrialState.FAIL)
        for candidate, trial in list(alive.items()):
            mean = _mean_so_far(trials, candidate, fold)
            if np.isnan(mean):
                study.tell(alive.pop(candidate), state=TrialState.FAIL)
            else:
                trial.report(mean, fold)
                if fold == last or not trial.should_prune():
                    continue
                study.tell(alive.pop(candidate), state=TrialState.PRUNED)
            if fold < last:
                trials.prune(candidate)
    # Reported at the end of all: until then none may be pruned because of another of the same batch.
    for candidate, trial in alive.items():
        study.tell(trial, _mean_so_far(trials, candidate, last))


def _mean_so_far(trials: Trials, candidate: int, fold: int) -> float:
    chosen_by = trials.leaderboard.chosen_by
    return float(np.mean([trials.leaderboard.cells[candidate, number][chosen_by] for number in range(fold + 1)]))


def _distribution(values: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Mapping):
        # Of values of any kind, lists and estimators too, Optuna is given the positions.
        return CategoricalDistribution(range(len(values)))
    ((kind, (low, high)),) = values.items()
    if kind == "randint":
        return IntDistribution(low, high - 1)
    return FloatDistribution(low, high, log=kind == "loguniform")


def _params(spec: OptunaSearchSpec, proposed: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what Optuna proposes into parameters."""
    return {
        name: proposed[name] if isinstance(values, Mapping) else values[proposed[name]]
        for name, values in spec.param_distributions.items()
    }
