"""Rules on the search for hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlwf.errors import nearest
from mlwf.specs import catalogue
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, KeyPath, SpecProblem
from mlwf.specs.rules.rule import Rule
from mlwf.specs.tuning import (
    N_SAMPLES,
    ROUNDS,
    GridSearchSpec,
    HalvingSearchSpec,
    OptunaSearchSpec,
    RandomizedSearchSpec,
)


def _refit_names_a_scorer(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tuning is None:
        return
    names = spec.tuning.scorers
    accepted = f"accepted: {', '.join(names)}"
    if not names:
        yield SpecProblem(("tuning", "scoring"), "is an empty list", "accepted: a scorer, or a list of them")
    elif spec.tuning.refit is None and len(names) > 1:
        message = "refit is missing: scoring names several scorers, and one must choose"
        yield SpecProblem(("tuning", "refit"), message, accepted, about=("tuning",))
    elif spec.tuning.refit is not None and spec.tuning.refit not in names:
        yield SpecProblem(("tuning", "refit"), f"is {GOT}, which scoring does not name", accepted)


def _search_has_candidates(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    found = _parameters(spec)
    if found is None:
        return
    path, parameters = found
    if not parameters:
        hint = "accepted: classifier__NAME with a list of values"
        yield SpecProblem(path, f"is {GOT}: there is nothing to try", hint)


def _tried_parameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    found = _parameters(spec)
    if found is None:
        return
    where, parameters = found
    check = catalogue.check_param_grid if where[-1] == "param_grid" else catalogue.check_param_distributions
    for path, message, hint in check(spec.model.algorithm, spec.features, parameters):
        at_key = isinstance(path[-1], str) and not message.startswith("is ")
        yield SpecProblem((*where, *path), message, hint, at_key=at_key, tells_value=True)


def _scorers_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tuning is None:
        return
    is_list = isinstance(spec.tuning.scoring, list)
    for index, name in enumerate(spec.tuning.scorers):
        if verdict := catalogue.check_scorer(name, spec.model.algorithm, spec.model.hyperparameters):
            path = ("tuning", "scoring", index) if is_list else ("tuning", "scoring")
            yield SpecProblem(path, *verdict, tells_value=True)


def _resource_is_one(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    tuning, algorithm = spec.tuning, spec.model.algorithm
    if not isinstance(tuning, HalvingSearchSpec) or catalogue.check_algorithm(algorithm):
        return
    accepted = [N_SAMPLES, *_rounds(algorithm)]
    if tuning.resource is not None and tuning.resource not in accepted:
        message = f"is {GOT}, which is no resource of {algorithm}"
        yield SpecProblem(("tuning", "resource"), message, nearest(tuning.resource, accepted), tells_value=True)


def _resource_is_not_tried(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    tuning = spec.tuning
    if not isinstance(tuning, HalvingSearchSpec):
        return
    rounds = _rounds(spec.model.algorithm)
    resources = rounds if tuning.resource is None else [name for name in rounds if name == tuning.resource]
    grids: list[tuple[KeyPath, dict[str, list[Any]]]] = (
        [((), tuning.param_grid)]
        if isinstance(tuning.param_grid, dict)
        else [((number,), grid) for number, grid in enumerate(tuning.param_grid)]
    )
    message = "is what halving gives candidates more and more of, up to max_resources"
    hint = f"leave it out, or write resource: {N_SAMPLES}"
    for where, grid in grids:
        for name in resources:
            if name in grid:
                yield SpecProblem(("tuning", "param_grid", *where, name), message, hint, at_key=True)


def _parameters(spec: ExperimentSpec) -> tuple[KeyPath, Any] | None:
    """Find what the search tries."""
    if isinstance(spec.tuning, GridSearchSpec | HalvingSearchSpec):
        return ("tuning", "param_grid"), spec.tuning.param_grid
    if isinstance(spec.tuning, RandomizedSearchSpec | OptunaSearchSpec):
        return ("tuning", "param_distributions"), spec.tuning.param_distributions
    return None


def _rounds(algorithm: str) -> list[str]:
    return [f"classifier__{ROUNDS[algorithm]}"] if algorithm in ROUNDS else []


_TRIED = ("tuning.strategy", "tuning.param_grid", "tuning.param_distributions")
_RESOURCE = ("model.algorithm", "tuning.strategy", "tuning.resource")

TUNING_RULES = (
    Rule(_refit_names_a_scorer, ("tuning.refit", "tuning.scoring")),
    Rule(_search_has_candidates, _TRIED),
    Rule(_tried_parameters_are_known, ("model.algorithm", "features.*.type", *_TRIED)),
    Rule(_scorers_serve, ("tuning.scoring", "model.algorithm", "model.hyperparameters")),
    Rule(_resource_is_one, _RESOURCE),
    Rule(_resource_is_not_tried, (*_RESOURCE, "tuning.param_grid")),
)
