"""Rules on calibration, threshold and what is reported."""

from __future__ import annotations

from collections.abc import Iterator

from mlwf.errors import nearest
from mlwf.specs import catalogue
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, SpecProblem
from mlwf.specs.rules.rule import Rule
from mlwf.specs.slices import parse_slice
from mlwf.specs.threshold import ONE_SIDED, threshold_scorers


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
    if name in ONE_SIDED:
        hint = "accepted: a scorer that also minds wrong calls, such as balanced_accuracy or f1"
        yield SpecProblem(path, f"is {GOT}, which is best when every row is called positive", hint)
        return
    is_known = name in catalogue.metric_names() or name in catalogue.scorer_names()
    if is_known and not catalogue.needs_labels(name):
        hint = "accepted: a scorer of labels, such as balanced_accuracy or f1"
        yield SpecProblem(path, f"is {GOT}, which is the same whatever the threshold", hint, tells_value=True)
    else:
        yield SpecProblem(path, f"unknown scorer {name!r}", nearest(name, threshold_scorers()), tells_value=True)


def _metrics_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibrated = spec.calibration is not None and spec.calibration.enabled
    for index, name in enumerate(spec.validation.metrics or ()):
        model = spec.model
        if verdict := catalogue.check_metric(name, model.algorithm, model.hyperparameters, calibrated):
            yield SpecProblem(("validation", "metrics", index), *verdict, tells_value=True)


def _slices_are_parts_of_the_rows(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    told: set[str] = set()
    for index, text in enumerate(spec.validation.slices):
        path = ("validation", "slices", index)
        try:
            part = parse_slice(text)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            yield SpecProblem(path, f"is {GOT}, which {message}", hint, tells_value=True)
            continue
        if part.column == spec.data.target:
            hint = "accepted: what is known before the prediction"
            yield SpecProblem(path, f"is {GOT}, which asks for the target", hint)
        elif str(part) in told:
            yield SpecProblem(path, f"is {GOT}, which is listed twice")
        told.add(str(part))


STAGE_RULES = (
    Rule(_holdout_has_no_folds, ("calibration.holdout", "calibration.cv_folds", "calibration.ensemble")),
    Rule(_threshold_matters_to_its_scorer, ("threshold.scoring",)),
    Rule(_metrics_serve, ("validation.metrics", "calibration.enabled", "model.algorithm", "model.hyperparameters")),
    Rule(_slices_are_parts_of_the_rows, ("validation.slices", "data.target")),
)
