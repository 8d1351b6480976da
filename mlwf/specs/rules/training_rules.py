"""Rules on the classifier, the search for its hyperparameters, calibration, threshold and what is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mlwf.errors import Refusal
from mlwf.specs import catalogue
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ExperimentSpec, threshold_scorers
from mlwf.specs.problems import GOT, KeyPath, Rule, SpecProblem
from mlwf.specs.slice_spec import SliceError, parse_slice
from mlwf.specs.tuning import N_SAMPLES, HalvingSearchSpec


def _algorithm_is_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    algorithm = spec.model.algorithm
    if algorithm not in ALGORITHMS:
        yield SpecProblem.of(("model", "algorithm"), Refusal.of_name(f"is {GOT}", algorithm, ALGORITHMS))


def _hyperparameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for name, refusal in catalogue.check_hyperparameters(spec.model.algorithm, spec.model.hyperparameters):
        yield SpecProblem.of(("model", "hyperparameters", name), refusal)


def _class_weights_are_weights(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    weights = spec.model.class_weight
    for label, weight in weights.items() if isinstance(weights, dict) else ():
        # By a weight of zero a class has no rows to learn from.
        if not (math.isfinite(weight) and weight > 0):
            path = ("model", "class_weight", label)
            yield SpecProblem(path, f"is {GOT}", "accepted: a finite number, above 0")


def _weights_are_used(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    algorithm = spec.model.algorithm
    if algorithm not in ALGORITHMS or catalogue.takes_sample_weight(algorithm):
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
    for path, refusal in check(spec.model.algorithm, spec.features, parameters):
        yield SpecProblem.of((*where, *path), refusal)


def _scorers_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tuning is None:
        return
    is_list = isinstance(spec.tuning.scoring, list)
    for index, name in enumerate(spec.tuning.scorers):
        if refusal := catalogue.check_scorer(name, spec.model.algorithm, spec.model.hyperparameters):
            path = ("tuning", "scoring", index) if is_list else ("tuning", "scoring")
            yield SpecProblem.of(path, refusal)


def _resource_is_one(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    tuning, algorithm = spec.tuning, spec.model.algorithm
    if not isinstance(tuning, HalvingSearchSpec) or algorithm not in ALGORITHMS:
        return
    accepted = [N_SAMPLES, *_rounds(algorithm)]
    if tuning.resource is not None and tuning.resource not in accepted:
        message = f"is {GOT}, which is no resource of {algorithm}"
        yield SpecProblem.of(("tuning", "resource"), Refusal.of_name(message, tuning.resource, accepted))


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
    if spec.tuning is None:
        return None
    return ("tuning", spec.tuning.space_key), getattr(spec.tuning, spec.tuning.space_key)


def _rounds(algorithm: str) -> list[str]:
    info = catalogue.ALGORITHMS.get(algorithm)
    return [f"classifier__{info.rounds}"] if info and info.rounds else []


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


def _holdout_has_no_folds(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibration = spec.calibration
    if calibration is None or calibration.holdout is None:
        return
    if calibration.cv_folds is not None:
        message = "contradicts holdout, which calibrates without folds"
        yield SpecProblem(("calibration", "cv_folds"), message, "leave one of the two out", at_key=True)
    if not calibration.ensemble:
        message = "contradicts holdout, where there is one model in any case"
        yield SpecProblem(("calibration", "ensemble"), message, "leave one of the two out", at_key=True)


def _threshold_matters_to_its_scorer(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    name = spec.threshold.scoring if spec.threshold else None
    if name is None or name in threshold_scorers():
        return
    path = ("threshold", "scoring")
    is_known = name in catalogue.metric_names() or name in catalogue.scorer_names()
    if is_known and catalogue.metric_info(name).is_one_sided:
        hint = "accepted: a scorer that also minds wrong calls, such as balanced_accuracy or f1"
        yield SpecProblem(path, f"is {GOT}, which is best when every row is called positive", hint)
        return
    if is_known and not catalogue.metric_info(name).needs_labels:
        hint = "accepted: a scorer of labels, such as balanced_accuracy or f1"
        yield SpecProblem(path, f"is {GOT}, which is the same whatever the threshold", hint, tells_value=True)
    else:
        yield SpecProblem.of(path, Refusal.of_name(f"unknown scorer {name!r}", name, threshold_scorers()))


def _metrics_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibrated = spec.calibration is not None and spec.calibration.enabled
    for index, name in enumerate(spec.validation.metrics or ()):
        model = spec.model
        if refusal := catalogue.check_metric(name, model.algorithm, model.hyperparameters, calibrated):
            yield SpecProblem.of(("validation", "metrics", index), refusal)


def _slices_are_parts_of_the_rows(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    seen: set[str] = set()
    for index, text in enumerate(spec.validation.slices):
        path = ("validation", "slices", index)
        try:
            part = parse_slice(text)
        except SliceError as error:
            yield SpecProblem(path, f"is {GOT}, which {error.message}", error.hint, tells_value=True)
            continue
        if part.column == spec.data.target:
            hint = "accepted: what is known before the prediction"
            yield SpecProblem(path, f"is {GOT}, which asks for the target", hint)
        elif str(part) in seen:
            yield SpecProblem(path, f"is {GOT}, which is listed twice")
        seen.add(str(part))


OUTPUT_RULES = (
    Rule(_holdout_has_no_folds, ("calibration.holdout", "calibration.cv_folds", "calibration.ensemble")),
    Rule(_threshold_matters_to_its_scorer, ("threshold.scoring",)),
    Rule(_metrics_serve, ("validation.metrics", "calibration.enabled", "model.algorithm", "model.hyperparameters")),
    Rule(_slices_are_parts_of_the_rows, ("validation.slices", "data.target")),
)
