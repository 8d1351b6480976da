"""Build the unfitted classifier of an experiment from its entry in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

from mlwf.errors import ConfigError, Problem, Refusal, nearest
from mlwf.sklearn_compat import find_parameter_error
from mlwf.specs.catalogue import ALGORITHMS, AlgorithmInfo, check_hyperparameters, check_installed
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.text import first_line


def build_classifier(spec: ClassifierModelSpec, *, random_state: int = 42) -> Any:
    """Build the unfitted classifier of `spec.algorithm` with its hyperparameters, all checked.

    `random_state` and the entry's presets are set unless the hyperparameters name them. `class_weight` of the spec is
    not set here: the engine turns it into row weights.

    Raises
    ------
    ConfigError
        The algorithm is unknown, its package is not installed, or hyperparameters are unknown to it or outside of what
        it accepts: all of them at once.

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
    info = _find(spec.algorithm)
    classifier = _load_class(spec.algorithm, info)()
    hyperparameters = {
        name: tuple(value) if name in info.tuples and isinstance(value, list) else value
        for name, value in spec.hyperparameters.items()
    }
    problems = list(_problems(spec.algorithm, classifier, hyperparameters))
    if problems:
        raise ConfigError(problems)
    return classifier.set_params(**{**_seed(classifier, random_state), **info.presets, **hyperparameters})


def GradientBoostingClassifierImpl(model_spec: ClassifierModelSpec, *, random_state: int = 42) -> Any:
    """Build the classifier of `model_spec`, whichever its algorithm; another name of `build_classifier`."""
    return build_classifier(model_spec, random_state=random_state)


def _find(algorithm: str) -> AlgorithmInfo:
    if algorithm in ALGORITHMS:
        return ALGORITHMS[algorithm]
    message, hint = f"unknown algorithm {algorithm!r}", nearest(algorithm, ALGORITHMS)
    raise ConfigError(Problem(where="", key="model.algorithm", message=message, hint=hint))


def _load_class(algorithm: str, info: AlgorithmInfo) -> Any:
    try:
        return info.load_class()
    except (ImportError, OSError) as error:  # OSError: a library of the system that it needs is not there
        if info.extra is None:
            raise
        refusal = check_installed(algorithm) or Refusal(
            f"is {algorithm!r}, and {info.package} cannot be imported ({first_line(error)})",
            f"pip install 'mlwf[{info.extra}]'",
        )
        raise ConfigError(Problem("", "model.algorithm", refusal.message, refusal.hint)) from error


def _problems(algorithm: str, classifier: Any, hyperparameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Give what the installed library does not accept, in the order it is written."""
    if ALGORITHMS[algorithm].more:  # its class does not check them
        for name, refusal in check_hyperparameters(algorithm, hyperparameters):
            key = f"model.hyperparameters.{name}"
            yield Problem("", key, refusal.message, refusal.hint, at_key=refusal.at_key)
        return
    known = classifier.get_params(deep=False)
    for name, value in hyperparameters.items():
        key = f"model.hyperparameters.{name}"
        if name not in known:
            yield Problem("", key, f"unknown hyperparameter of {algorithm}", nearest(name, known), at_key=True)
        elif message := find_parameter_error(classifier, name, value):
            yield Problem("", key, message)


def _seed(classifier: Any, random_state: int) -> dict[str, Any]:
    # CatBoost's get_params names only what was set.
    names = {*classifier.get_params(deep=False), *signature(type(classifier)).parameters}
    return {"random_state": random_state} if "random_state" in names else {}
