"""Options that are written and have no effect beside the others: reported, and not refused where they do no harm.

An experiment that is run once with `--set validation.strategy=train_test` need not lose its folds for that. What would
promise something that the run does not do is refused, by the rules of its section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlwf.specs.catalogue import SPLITTERS
from mlwf.specs.data import IN_MEMORY, PARQUET_SUFFIXES
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import SpecProblem
from mlwf.specs.rules.fold_rules import holds_out_by_time

LEAVE_OUT = "leave it out"


def unused_options(spec: ExperimentSpec) -> list[SpecProblem]:
    """List the options that are written without need, each with the reason."""
    return [problem for find in UNUSED for problem in find(spec)]


def _number_of_folds(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if _is_written(spec, "cv_folds") and SPLITTERS[spec.splitter].has_cv_folds and not _takes_default_folds(spec):
        message = "has no effect: nothing in this experiment is cut into that many folds"
        yield SpecProblem(("validation", "cv_folds"), message, LEAVE_OUT, at_key=True)


def _ways_to_cut_folds(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if _cuts_folds(spec):
        return
    splitter = SPLITTERS[spec.splitter]
    held_out_by_time = holds_out_by_time(spec) or (splitter.is_ordered and _calibration_holds_out(spec))
    for name in ("shuffle", "n_repeats", "gap", "max_train_size"):
        is_used = name == "gap" and held_out_by_time
        if _is_written(spec, name) and name in splitter.options and not is_used:
            message = "has no effect: nothing in this experiment is cut into folds"
            yield SpecProblem(("validation", name), message, LEAVE_OUT, at_key=True)


def _nesting(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.validation.nested and not spec.is_searched and spec.features != "auto":
        message = "has no effect: the features are listed and nothing is tuned, and the rest is repeated in any case"
        yield SpecProblem(("validation", "nested"), message, LEAVE_OUT, at_key=True)


def _reports(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    # A call from Python may have test rows beside the spec.
    has_rows = spec.validation.strategy != "none" or spec.data.test_path is not None or spec.data.path == IN_MEMORY
    for name in () if has_rows else ("metrics", "slices"):
        if _is_written(spec, name) and getattr(spec.validation, name):
            message = "has no effect: strategy is none and there is no test set, so nothing is scored"
            yield SpecProblem(("validation", name), message, LEAVE_OUT, at_key=True)


def _reading(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    paths = [path for path in (spec.data.path, spec.data.test_path) if path is not None]
    for name in ("sep", "encoding") if all(path.lower().endswith(PARQUET_SUFFIXES) for path in paths) else ():
        if name in spec.data.read.model_fields_set:
            message = "has no effect: it is for CSV files, and these are Parquet"
            yield SpecProblem(("data", "read", name), message, LEAVE_OUT, at_key=True)


UNUSED: tuple[Callable[[ExperimentSpec], Iterator[SpecProblem]], ...] = (
    _reading,
    _number_of_folds,
    _ways_to_cut_folds,
    _nesting,
    _reports,
)


def _is_written(spec: ExperimentSpec, name: str) -> bool:
    return name in spec.validation.model_fields_set and getattr(spec.validation, name) is not None


def _cuts_folds(spec: ExperimentSpec) -> bool:
    return spec.validation.strategy == "cross_validation" or spec.is_searched or _calibrates(spec) or _thresholds(spec)


def _takes_default_folds(spec: ExperimentSpec) -> bool:
    """Whether a stage has no number of folds of its own."""
    if spec.validation.strategy == "cross_validation":
        return True
    own_folds = spec.choice.cv_folds if spec.candidates is not None else spec.tuning and spec.tuning.cv_folds
    of_tuning = (spec.is_searched or _thresholds(spec)) and not (spec.is_searched and own_folds)
    return of_tuning or (_calibrates(spec) and spec.calibration is not None and spec.calibration.cv_folds is None)


def _calibrates(spec: ExperimentSpec) -> bool:
    return spec.calibration is not None and spec.calibration.enabled and spec.calibration.holdout is None


def _calibration_holds_out(spec: ExperimentSpec) -> bool:
    return spec.calibration is not None and spec.calibration.enabled and spec.calibration.holdout is not None


def _thresholds(spec: ExperimentSpec) -> bool:
    """Whether a threshold is chosen on folds of its own: a calibration or a search gives it theirs."""
    is_calibrated = spec.calibration is not None and spec.calibration.enabled
    return spec.threshold is not None and spec.threshold.enabled and not is_calibrated
