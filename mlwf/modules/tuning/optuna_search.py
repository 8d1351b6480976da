"""The strategy optuna: candidates are proposed from earlier scores, and pruned early when they are poor.

Akiba et al. (2019), Optuna: A next-generation hyperparameter optimization framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlwf.modules.tuning.distributions import split_each
from mlwf.modules.tuning.trials import Params, Search, SearchOutcome, Trials
from mlwf.processes import SharedState
from mlwf.specs.tuning import OptunaSearchSpec

BATCH = 4
"""Candidates that are proposed together. A result may not depend on `n_jobs`, so neither does this."""


def propose(spec: OptunaSearchSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    """Try what Optuna's TPE sampler proposes, and prune candidates that are below the median after a split.

    The sampler is seeded and proposes a fixed number at a time: the same scores lead to the same candidates, which are
    added to `candidates`. Of a proposal with `{each: [...]}` all variants are tried, and it scores as the best of them.
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
    drawn, variants = split_each(spec.space[0])
    space = {name: _distribution(values) for name, values in drawn.items()}
    trials = Trials(search, search.splits, candidates)
    n_planned = min(spec.n_iter * len(variants), spec.max_candidates or spec.n_iter * len(variants))
    is_time_left = True
    while len(trials.candidates) < n_planned and is_time_left:
        proposed: list[_Proposal] = []
        while len(proposed) < BATCH and len(trials.candidates) < n_planned:
            trial = study.ask(space)
            params, begin = _params(drawn, trial.params), len(trials.candidates)
            trials.candidates += [{**params, **variant} for variant in variants[: n_planned - begin]]
            proposed.append(_Proposal(trial, range(begin, len(trials.candidates))))
        _try(study, proposed, trials)
        # For one of them there may be time where there was none for a costlier one.
        is_time_left = not all(_is_late(trials, proposal) for proposal in proposed)
    n_tried, n_pruned = len(trials.tried), len(trials.pruned)
    inexact = (
        f"optuna: candidates proposed by earlier scores, {n_pruned:,} of {n_tried:,} given up before their last fold"
    )
    return SearchOutcome([trials], f"{n_tried:,} of {n_planned:,} candidates were tried", inexact)


@dataclass(frozen=True)
class _Proposal:
    """What Optuna proposed, and the candidates that were made of it: one, or one for each variant."""

    trial: Any
    candidates: range


def _try(study: Any, proposals: Sequence[_Proposal], trials: Trials) -> None:
    """Try proposals split by split until they are pruned, and report the best score of each to the study."""
    from optuna.trial import TrialState

    alive = list(proposals)
    last = len(trials.splits) - 1
    for fold in range(len(trials.splits)):
        trials.request([(candidate, fold) for proposal in alive for candidate in proposal.candidates])
        if trials.is_late and trials.search.time is None:
            return
        for proposal in list(alive):
            if _is_late(trials, proposal):
                study.tell(proposal.trial, state=TrialState.FAIL)
                alive.remove(proposal)
                continue
            mean = _mean_so_far(trials, proposal, fold)
            if np.isnan(mean):
                state = TrialState.FAIL
            else:
                proposal.trial.report(mean, fold)
                if fold == last or not proposal.trial.should_prune():
                    continue
                state = TrialState.PRUNED
            study.tell(proposal.trial, state=state)
            alive.remove(proposal)
            for candidate in proposal.candidates if fold < last else ():
                trials.prune(candidate)
    # Reported at the end of all: until then none may be pruned because of another of the same batch.
    for proposal in alive:
        study.tell(proposal.trial, _mean_so_far(trials, proposal, last))


def _is_late(trials: Trials, proposal: _Proposal) -> bool:
    """Whether there was no time for a candidate of a proposal: where one fit gives all of them, for none."""
    return any(trials.is_candidate_late(candidate) for candidate in proposal.candidates)


def _mean_so_far(trials: Trials, proposal: _Proposal, fold: int) -> float:
    """Give the mean over the splits up to `fold` of the best variant; NaN where none could be scored."""
    chosen_by = trials.leaderboard.chosen_by
    means = [
        np.mean([trials.leaderboard.cells[candidate, number][chosen_by] for number in range(fold + 1)])
        for candidate in proposal.candidates
    ]
    return float(max((mean for mean in means if not np.isnan(mean)), default=np.nan))


def _distribution(values: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Mapping):
        # Of values of any kind, lists and estimators too, Optuna is given the positions.
        return CategoricalDistribution(range(len(values)))
    ((kind, (low, high)),) = values.items()
    if kind in ("randint", "lograndint"):
        return IntDistribution(low, high - 1, log=kind == "lograndint")
    return FloatDistribution(low, high, log=kind == "loguniform")


def _params(drawn: Mapping[str, Any], proposed: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what Optuna proposes into parameters."""
    return {
        name: proposed[name] if isinstance(values, Mapping) else values[proposed[name]]
        for name, values in drawn.items()
    }
