"""Rules on the classifier."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlwf.specs import catalogue
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, SpecProblem
from mlwf.specs.rules.rule import Rule


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
        # By a weight of zero a class has no rows to learn from.
        if not (math.isfinite(weight) and weight > 0):
            path = ("model", "class_weight", label)
            yield SpecProblem(path, f"is {GOT}", "accepted: a finite number, above 0")


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


MODEL_RULES = (
    Rule(_algorithm_is_known, ("model.algorithm",)),
    Rule(_hyperparameters_are_known, ("model.algorithm", "model.hyperparameters")),
    Rule(_class_weights_are_weights, ("model.class_weight",)),
    Rule(_weights_are_used, ("model.algorithm", "data.sample_weight", "model.class_weight")),
)
