"""The strategies that try each of their candidates on all splits: grid and random."""

from __future__ import annotations

from mlwf.modules.tuning.candidates import list_candidates
from mlwf.modules.tuning.trials import Search, Trials, Tried
from mlwf.specs.tuning import ParamTuningSpec


def try_all(spec: ParamTuningSpec, search: Search, random_state: int) -> Tried:
    """Try every candidate on all splits."""
    candidates = list_candidates(spec, random_state=random_state)
    trials = Trials(search, search.splits, candidates)
    trials.ask([(candidate, fold) for candidate in range(len(candidates)) for fold in range(len(search.splits))])
    return Tried([trials], f"{len(trials.tried):,} of {len(candidates):,} candidates were tried")
