"""What a search tries whose section names no parameters: the catalogue's search space of the algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import CandidateModelSpec, ClassifierModelSpec, ExperimentSpec
from mlwf.specs.tuning import N_SAMPLES, HalvingSearchSpec, ParamTuningSpec

Model = ClassifierModelSpec | CandidateModelSpec

PREFIX = "classifier__"
"""What stands before a hyperparameter's name in a search."""


def with_default_spaces(spec: ExperimentSpec, n_rows: int) -> ExperimentSpec:
    """Write the parameters into every search of an experiment that names none; see `with_default_space`."""
    if spec.models is None:
        return spec.model_copy(update={"tuning": _completed(spec.tuning, spec.model, n_rows)})
    models = {
        name: model.model_copy(update={"tuning": _completed(model.tuning, model, n_rows)})
        for name, model in spec.models.items()
    }
    return spec.model_copy(update={"models": models})


def _completed(tuning: ParamTuningSpec | None, model: Model, n_rows: int) -> ParamTuningSpec | None:
    return with_default_space(tuning, model, n_rows) if tuning and tuning.enabled else tuning


def with_default_space(tuning: ParamTuningSpec, model: Model, n_rows: int) -> ParamTuningSpec:
    """Write the parameters of the catalogue's search space into a search that names none.

    What the model sets is left out, and the resource of a halving becomes its `max_resources`. A search that names its
    parameters is given as it is, as is one that `lacks_parameters` tells of.

    Parameters
    ----------
    tuning : ParamTuningSpec
    model : ClassifierModelSpec or CandidateModelSpec
        The model that is searched.
    n_rows : int
        Number of rows that the search is done on.

    Examples
    --------
    >>> from mlwf.specs.tuning import RandomizedSearchSpec
    >>> model = ClassifierModelSpec(algorithm="knn", hyperparameters={"p": 1})
    >>> with_default_space(RandomizedSearchSpec(), model, 400).param_distributions
    {'classifier__n_neighbors': {'lograndint': [1, 51]}, 'classifier__weights': ['uniform', 'distance']}
    """
    if tuning.names_parameters or lacks_parameters(tuning, model):
        return tuning
    space = _space(tuning, model, n_rows)
    changes: dict[str, Any] = {tuning.space_key: {f"{PREFIX}{name}": tried for name, tried in space.items()}}
    rounds = _resource(tuning, model)
    if rounds is not None and getattr(tuning, "max_resources", None) is None and rounds not in model.hyperparameters:
        changes["max_resources"] = max(_whole_space(tuning, model, n_rows)[rounds])
    return tuning.model_copy(update=changes)


def lacks_parameters(tuning: ParamTuningSpec, model: Model) -> str:
    """Say why the catalogue gives a search without parameters nothing to try; empty where it does.

    Nothing is known of an algorithm that is not in the catalogue.
    """
    info = ALGORITHMS.get(model.algorithm)
    if info is None:
        return ""
    if info.search_space is None:
        return f"{model.algorithm} has no search space of its own"
    # Which of the hyperparameters are searched does not depend on the number of rows.
    space = _space(tuning, model, n_rows=1)
    if all(isinstance(tried, list) and len(tried) == 1 for tried in space.values()):
        return f"the hyperparameters set all that is searched of {model.algorithm}"
    return ""


def _space(tuning: ParamTuningSpec, model: Model, n_rows: int) -> dict[str, Any]:
    """Give what is tried, by hyperparameter, without what the model sets and what a halving gives more and more of."""
    left_out = {*model.hyperparameters, _resource(tuning, model)}
    return {name: tried for name, tried in _whole_space(tuning, model, n_rows).items() if name not in left_out}


def _whole_space(tuning: ParamTuningSpec, model: Model, n_rows: int) -> Mapping[str, Any]:
    info = ALGORITHMS.get(model.algorithm)
    if info is None or info.search_space is None:
        return {}
    give = info.search_space.grid if tuning.space_key == "param_grid" else info.search_space.distributions
    return give(n_rows)


def _resource(tuning: ParamTuningSpec, model: Model) -> str | None:
    """Give the hyperparameter that is the resource of a halving; None where there is none."""
    if not isinstance(tuning, HalvingSearchSpec) or tuning.resource == N_SAMPLES:
        return None
    info = ALGORITHMS.get(model.algorithm)
    return info.rounds if info is not None else None
