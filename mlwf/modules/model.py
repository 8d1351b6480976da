"""Build the classifier of an experiment: one of scikit-learn's own, unfitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

# What an estimator accepts is only checked at its fit, one parameter at a time; these are the same checks, before it.
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from mlwf.errors import ConfigError, Problem, nearest
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.classifier import ClassifierModelSpec

_TUPLES = {"hidden_layer_sizes"}
"""Parameters that scikit-learn documents as tuples; YAML and JSON have only lists."""


def build_classifier(spec: ClassifierModelSpec, *, random_state: int = 42) -> Any:
    """Build the unfitted classifier of `spec.algorithm` with its hyperparameters, all checked.

    `random_state` goes to a class that has one, unless the hyperparameters name it. Forests keep to one job, because
    the engine runs fits side by side. `class_weight` of the spec is not set here: the engine turns it into row weights.

    Raises
    ------
    ConfigError
        The algorithm is unknown, or hyperparameters are unknown to the installed scikit-learn or outside of what it
        accepts: all of them at once.

    Examples
    --------
    >>> build_classifier(ClassifierModelSpec(algorithm="mlp", hyperparameters={"hidden_layer_sizes": [20, 10]}))
    MLPClassifier(hidden_layer_sizes=(20, 10), random_state=42)
    >>> build_classifier(ClassifierModelSpec(algorithm="mlp", hyperparameters={"hidden_layers": 2}))
    Traceback (most recent call last):
    mlwf.errors.ConfigError: model.hyperparameters.hidden_layers: unknown hyperparameter of mlp; ...
    """
    if not isinstance(spec, ClassifierModelSpec):
        raise TypeError(f"model_spec is a {type(spec).__name__}; accepted: ClassifierModelSpec")
    classifier = _classifier_class(spec.algorithm)()
    hyperparameters = {name: _as_scikit_learn_has_it(name, value) for name, value in spec.hyperparameters.items()}
    problems = list(_problems(spec.algorithm, classifier, hyperparameters))
    if problems:
        raise ConfigError(problems)
    return classifier.set_params(**_planned(classifier, random_state) | hyperparameters)


def GradientBoostingClassifierImpl(model_spec: ClassifierModelSpec, *, random_state: int = 42) -> Any:
    """Build the classifier of `model_spec`, whichever its algorithm; another name of `build_classifier`."""
    return build_classifier(model_spec, random_state=random_state)


def _classifier_class(algorithm: str) -> Any:
    if algorithm not in ALGORITHMS:
        problem = Problem(
            where="",
            key="model.algorithm",
            message=f"unknown algorithm {algorithm!r}",
            hint=nearest(algorithm, ALGORITHMS),
        )
        raise ConfigError(problem)
    module, _, name = ALGORITHMS[algorithm].rpartition(".")
    return getattr(import_module(module), name)


def _as_scikit_learn_has_it(name: str, value: Any) -> Any:
    return tuple(value) if name in _TUPLES and isinstance(value, list) else value


def _problems(algorithm: str, classifier: Any, hyperparameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Say what the installed scikit-learn does not accept, in the order it is written."""
    known = classifier.get_params(deep=False)
    for name, value in hyperparameters.items():
        key = f"model.hyperparameters.{name}"
        if name not in known:
            yield Problem("", key, f"unknown hyperparameter of {algorithm}", nearest(name, known))
            continue
        try:
            validate_parameter_constraints(
                classifier._parameter_constraints, {name: value}, caller_name=type(classifier).__name__
            )
        except InvalidParameterError as error:
            yield Problem("", key, str(error).rstrip("."))


def _planned(classifier: Any, random_state: int) -> dict[str, Any]:
    """Return what the experiment sets on a classifier, where the class has it."""
    known = classifier.get_params(deep=False)
    planned: dict[str, Any] = {}
    if "random_state" in known:
        planned["random_state"] = random_state
    if type(classifier).__module__.startswith("sklearn.ensemble.") and "n_jobs" in known:
        planned["n_jobs"] = 1
    return planned
