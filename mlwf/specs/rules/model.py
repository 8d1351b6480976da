"""Rules on the classifier and the search for its hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mlwf.specs import catalogue
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, KeyPath, SpecProblem
from mlwf.specs.rules.rule import Rule
from mlwf.specs.tuning import GridSearchSpec, RandomizedSearchSpec


def _algorithm_is_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if hint := catalogue.check_algorithm(spec.model.algorithm):
        yield SpecProblem(("model", "algorithm"), f"is {GOT}", hint, tells_value=True)


def _hyperparameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for name, message, hint in catalogue.check_hyperparameters(spec.model.algorithm, spec.model.hyperparameters):
        path = ("model", "hyperparameters", name)
        yield SpecProblem(path, message, hint, at_key=not message.startswith("is "), tells_value=True)


def _class_weights_are_weights(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    weights = spec.model.class_weight
    for label, weight in weights.items() if isinstance(weights, dict) else ():
        if not (math.isfinite(weight) and weight >= 0):
            path = ("model", "class_weight", label)
            yield SpecProblem(path, f"is {GOT}", "accepted: a finite number, at least 0")


def _weights_are_used(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    algorithm = spec.model.algorithm
    if catalogue.check_algorithm(algorithm) or catalogue.takes_sample_weight(algorithm):
        return
    message = f"has no effect: {algorithm} cannot weigh rows"
    hint = "choose another algorithm, or leave it out"
    if spec.data.sample_weight is not None:
        yield SpecProblem(("data", "sample_weight"), message, hint, at_key=True)
    if spec.model.class_weight is not None:
        yield SpecProblem(("model", "class_weight"), message, hint, at_key=True)


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


def _parameters(spec: ExperimentSpec) -> tuple[KeyPath, Any] | None:
    """Find what the search tries."""
    if isinstance(spec.tuning, GridSearchSpec):
        return ("tuning", "param_grid"), spec.tuning.param_grid
    if isinstance(spec.tuning, RandomizedSearchSpec):
        return ("tuning", "param_distributions"), spec.tuning.param_distributions
    return None


def _scorers_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tuning is None:
        return
    is_list = isinstance(spec.tuning.scoring, list)
    for index, name in enumerate(spec.tuning.scorers):
        if verdict := catalogue.check_scorer(name, spec.model.algorithm, spec.model.hyperparameters):
            path = ("tuning", "scoring", index) if is_list else ("tuning", "scoring")
            yield SpecProblem(path, *verdict, tells_value=True)


_MODEL = ("model.algorithm", "model.hyperparameters")
_TRIED = ("tuning.strategy", "tuning.param_grid", "tuning.param_distributions")

MODEL_RULES = (
    Rule(_algorithm_is_known, ("model.algorithm",)),
    Rule(_hyperparameters_are_known, _MODEL),
    Rule(_class_weights_are_weights, ("model.class_weight",)),
    Rule(_weights_are_used, ("model.algorithm", "data.sample_weight", "model.class_weight")),
    Rule(_refit_names_a_scorer, ("tuning.refit", "tuning.scoring")),
    Rule(_search_has_candidates, _TRIED),
    Rule(_tried_parameters_are_known, ("model.algorithm", "features.*.type", *_TRIED)),
    Rule(_scorers_serve, ("tuning.scoring", *_MODEL)),
)
