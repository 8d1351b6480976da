"""Rules on the classifier, the search for its hyperparameters, calibration, threshold and what is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mlwf.errors import Refusal
from mlwf.specs import catalogue
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.default_search import lacks_parameters
from mlwf.specs.experiment import AUTO, ExperimentSpec, ModelSection, threshold_scorers
from mlwf.specs.problems import GOT, KeyPath, Rule, SpecProblem
from mlwf.specs.slice_spec import SliceError, parse_slice
from mlwf.specs.tuning import N_SAMPLES, HalvingSearchSpec


def _algorithms_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for section in spec.model_sections:
        if section.model.algorithm not in ALGORITHMS:
            accepted = ALGORITHMS if spec.models is not None else [*ALGORITHMS, AUTO]
            refusal = Refusal.of_name(f"is {GOT}", section.model.algorithm, accepted)
            yield SpecProblem.of((*section.path, "algorithm"), refusal)


def _packages_are_installed(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for section in spec.model_sections:
        if refusal := catalogue.check_installed(section.model.algorithm):
            yield SpecProblem.of((*section.path, "algorithm"), refusal)


def _hyperparameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for section in spec.model_sections:
        model = section.model
        for name, refusal in catalogue.check_hyperparameters(model.algorithm, model.hyperparameters):
            yield SpecProblem.of((*section.path, "hyperparameters", name), refusal)


def _class_weights_are_weights(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    weights = spec.class_weight
    for label, weight in weights.items() if isinstance(weights, dict) else ():
        # By a weight of zero a class has no rows to learn from.
        if not (math.isfinite(weight) and weight > 0):
            path = (*_class_weight_path(spec), label)
            yield SpecProblem(path, f"is {GOT}", "accepted: a finite number, above 0")


def _weights_are_used(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    algorithms = dict.fromkeys(section.model.algorithm for section in spec.model_sections)
    unweighted = [name for name in algorithms if name in ALGORITHMS and not catalogue.takes_sample_weight(name)]
    if not unweighted:
        return
    message = f"has no effect: {unweighted[0]} cannot weigh rows"
    hint = "choose another algorithm, or leave it out"
    if spec.data.sample_weight is not None:
        yield SpecProblem(("data", "sample_weight"), message, hint, at_key=True)
    if spec.class_weight is not None:
        yield SpecProblem(_class_weight_path(spec), message, hint, at_key=True)


def _class_weight_path(spec: ExperimentSpec) -> KeyPath:
    return ("model", "class_weight") if spec.candidates is None else ("selection", "class_weight")


def _categories_are_taken(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    seen: set[KeyPath] = set()
    for section in spec.model_sections if spec.features != "auto" else ():
        model = section.model
        for found, refusal in catalogue.check_native(model.algorithm, spec.features, model.hyperparameters):
            path = found if found[0] == "features" else (*section.path, *found[1:])
            if path not in seen:
                yield SpecProblem.of(path, refusal)
            seen.add(path)


_ALGORITHMS = ("model.algorithm", "models.*.algorithm")
_HYPERPARAMETERS = ("model.hyperparameters", "models.*.hyperparameters")
_CLASS_WEIGHT = ("model.class_weight", "selection.class_weight", "models")

MODEL_RULES = (
    Rule(_algorithms_are_known, _ALGORITHMS),
    Rule(_packages_are_installed, _ALGORITHMS),
    Rule(_hyperparameters_are_known, (*_ALGORITHMS, *_HYPERPARAMETERS)),
    Rule(_categories_are_taken, ("features.*.encoder", "features.*.type", *_ALGORITHMS, *_HYPERPARAMETERS)),
    Rule(_class_weights_are_weights, _CLASS_WEIGHT),
    Rule(_weights_are_used, (*_ALGORITHMS, "data.sample_weight", *_CLASS_WEIGHT)),
)


def _one_way_to_name_models(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.models is not None:
        for name in ("algorithm", "hyperparameters", "class_weight"):
            if name in spec.model.model_fields_set:
                yield SpecProblem(("model", name), "contradicts models", "leave one of the two out", at_key=True)
        if spec.tuning is not None:
            message = "contradicts models, each of which has a search of its own"
            yield SpecProblem(("tuning",), message, "leave one of the two out", at_key=True)
    elif spec.is_automatic:
        if spec.model.hyperparameters:
            message = f"has no effect with algorithm: {AUTO}"
            yield SpecProblem(("model", "hyperparameters"), message, "leave it out", at_key=True)
        if spec.model.class_weight is not None:
            message = f"has no effect with algorithm: {AUTO}"
            yield SpecProblem(("model", "class_weight"), message, "write selection.class_weight", at_key=True)
        if spec.tuning is not None:
            message = f"contradicts model.algorithm: {AUTO}, which searches by itself"
            yield SpecProblem(("tuning",), message, "leave one of the two out", at_key=True)


def _selection_has_models(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for key in ("selection", "ensemble") if spec.candidates is None else ():
        if getattr(spec, key) is not None:
            yield SpecProblem((key,), "has no effect: there is one model", "list several in models", at_key=True)


SHARED = ("scoring", "refit", "cv_folds", "n_jobs")
"""Keys of a search that all models of an experiment have in common."""


def _models_are_compared_alike(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    instead = {"scoring": "selection.scoring", "refit": "selection.scoring", "cv_folds": "selection.cv_folds"}
    for section in spec.model_sections if spec.models is not None else ():
        for key in SHARED:
            if section.tuning is not None and key in section.tuning.model_fields_set:
                message = "belongs to all models, which are compared alike"
                hint = f"set {instead.get(key, 'compute.n_jobs')}"
                yield SpecProblem((*section.tuning_path, key), message, hint, at_key=True)


def _one_scorer_serves_all_models(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.candidates is None:
        return
    for section in spec.model_sections:
        model = section.model
        if refusal := catalogue.check_scorer(spec.choice.scoring, model.algorithm, model.hyperparameters):
            is_written = spec.selection is not None and "scoring" in spec.selection.model_fields_set
            if is_written:
                yield SpecProblem.of(("selection", "scoring"), refusal)
            else:
                message = f"is {GOT}, and the models are compared by {spec.choice.scoring}, which it cannot serve"
                hint = "write selection.scoring, or leave this model out"
                yield SpecProblem((*section.path, "algorithm"), message, hint)
            return


def _ensemble_has_probabilities(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.averaging is None or not spec.averaging.enabled or spec.candidates is None:
        return
    for section in spec.model_sections:
        model = section.model
        if model.algorithm in ALGORITHMS and not catalogue.gives_probabilities(model.algorithm, model.hyperparameters):
            message = f"averages probabilities, and {model.algorithm} gives none"
            yield SpecProblem(("ensemble",), message, f"leave out {section.name}, or the ensemble", at_key=True)


SELECTION_RULES = (
    Rule(_one_way_to_name_models, ()),
    Rule(_selection_has_models, ("model", "models", "selection", "ensemble")),
    Rule(_models_are_compared_alike, tuple(f"models.*.tuning.{key}" for key in SHARED)),
    Rule(_one_scorer_serves_all_models, ("selection.scoring", *_ALGORITHMS, *_HYPERPARAMETERS)),
    Rule(_ensemble_has_probabilities, ("ensemble", *_ALGORITHMS, *_HYPERPARAMETERS)),
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


def _search_has_parameters(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for section in spec.model_sections:
        tuning = section.tuning
        if tuning is None or tuning.names_parameters:
            continue
        if reason := lacks_parameters(tuning, section.model):
            key, where = tuning.space_key, section.tuning_path
            hint = f"name the parameters to try: {key}: {{classifier__NAME: [...]}}"
            yield SpecProblem((*where, key), f"{key} is missing: {reason}", hint, about=where)


def _search_has_candidates(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for _, path, parameters in _searches(spec):
        if not parameters:
            hint = "accepted: classifier__NAME with a list of values"
            yield SpecProblem(path, f"is {GOT}: there is nothing to try", hint)


def _tried_parameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for section, where, parameters in _searches(spec):
        check = catalogue.check_param_grid if where[-1] == "param_grid" else catalogue.check_param_distributions
        for path, refusal in check(section.model.algorithm, spec.features, parameters):
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
    for section in spec.model_sections:
        tuning, algorithm = section.tuning, section.model.algorithm
        if not isinstance(tuning, HalvingSearchSpec) or algorithm not in ALGORITHMS:
            continue
        accepted = [N_SAMPLES, *_rounds(algorithm)]
        if tuning.resource is not None and tuning.resource not in accepted:
            message = f"is {GOT}, which is no resource of {algorithm}"
            refusal = Refusal.of_name(message, tuning.resource, accepted)
            yield SpecProblem.of((*section.tuning_path, "resource"), refusal)


def _resource_is_not_tried(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for section in spec.model_sections:
        tuning = section.tuning
        if not isinstance(tuning, HalvingSearchSpec) or tuning.param_grid is None:
            continue
        rounds = _rounds(section.model.algorithm)
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
                    path = (*section.tuning_path, "param_grid", *where, name)
                    yield SpecProblem(path, message, hint, at_key=True)


def _searches(spec: ExperimentSpec) -> Iterator[tuple[ModelSection, KeyPath, Any]]:
    """Give what each search says that it tries, and where that is written."""
    for section in spec.model_sections:
        if section.tuning is not None and section.tuning.names_parameters:
            key = section.tuning.space_key
            yield section, (*section.tuning_path, key), getattr(section.tuning, key)


def _rounds(algorithm: str) -> list[str]:
    info = catalogue.ALGORITHMS.get(algorithm)
    return [f"classifier__{info.rounds}"] if info and info.rounds else []


_TRIED = tuple(
    f"{section}.{key}"
    for section in ("tuning", "models.*.tuning")
    for key in ("strategy", "param_grid", "param_distributions")
)
_RESOURCE = (*_ALGORITHMS, *_TRIED, "tuning.resource", "models.*.tuning.resource")

TUNING_RULES = (
    Rule(_refit_names_a_scorer, ("tuning.refit", "tuning.scoring")),
    Rule(_search_has_parameters, (*_HYPERPARAMETERS, *_RESOURCE)),
    Rule(_search_has_candidates, _TRIED),
    Rule(_tried_parameters_are_known, (*_ALGORITHMS, "features.*.type", *_TRIED)),
    Rule(_scorers_serve, ("tuning.scoring", "model.algorithm", "model.hyperparameters")),
    Rule(_resource_is_one, _RESOURCE),
    Rule(_resource_is_not_tried, _RESOURCE),
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
        if refusal := metric_refusal(spec, name, calibrated):
            yield SpecProblem.of(("validation", "metrics", index), refusal)


def metric_refusal(spec: ExperimentSpec, metric: str, calibrated: bool) -> Refusal | None:
    """Give why a metric cannot be computed of the model, or of one of several."""
    models = [section.model for section in spec.model_sections]
    refusals = (catalogue.check_metric(metric, each.algorithm, each.hyperparameters, calibrated) for each in models)
    return next(filter(None, refusals), None)


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
    Rule(_metrics_serve, ("validation.metrics", "calibration.enabled", *_ALGORITHMS, *_HYPERPARAMETERS)),
    Rule(_slices_are_parts_of_the_rows, ("validation.slices", "data.target")),
)
