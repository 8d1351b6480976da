"""Rules on how rows are split, and on the options that go with it."""

from __future__ import annotations

from collections.abc import Iterator

from mlwf.specs.catalogue import SPLITTER_OPTIONS, SPLITTERS, SplitterInfo, splitters_with
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, Rule, SpecProblem


def _splitter_has_its_column(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    splitter = spec.validation.splitter
    column = SPLITTERS[splitter].column if splitter else None
    if column is not None and getattr(spec.data, column) is None:
        yield SpecProblem(("validation", "splitter"), f"is {GOT}, which needs data.{column}", "name the column there")


def _groups_are_kept_together(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    splitter = spec.validation.splitter
    if spec.data.groups is not None and splitter and SPLITTERS[splitter].column is None:
        message = f"is {GOT}, which would train and evaluate on rows of one group (data.groups)"
        hint = f"accepted: {', '.join(name for name, info in SPLITTERS.items() if info.column)}"
        yield SpecProblem(("validation", "splitter"), message, hint)


def _one_column_draws_the_folds(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    data, splitter = spec.data, spec.validation.splitter
    if _is_open(spec):
        message = "competes with data.time: validation.splitter must say which of the two draws the folds"
        hint = "accepted: stratified_group_kfold (time has no part), time_series_split (groups are kept apart too)"
        yield SpecProblem(("data", "groups"), message, hint, at_key=True)
    if data.fold is not None and splitter is not None and SPLITTERS[splitter].column != "fold":
        message = f"has no effect with splitter {splitter}"
        yield SpecProblem(("data", "fold"), message, "write splitter: predefined_split, or leave it out", at_key=True)


def _fold_columns_hold_nothing_out(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.validation.strategy == "train_test" and _splitter(spec).column == "fold" and spec.data.fold is not None:
        message = f"is {GOT}, and data.fold names folds, not a hold-out"
        yield SpecProblem(("validation", "strategy"), message, "accepted: cross_validation, none")


def _strategy_options_have_an_effect(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse what only another strategy uses: it would promise that one."""
    validation = spec.validation
    for name, strategy in (("test_size", "train_test"), ("refit", "train_test"), ("nested", "cross_validation")):
        is_asked_for = name in validation.model_fields_set and getattr(validation, name) is not False
        if is_asked_for and validation.strategy != strategy:
            message = f"has no effect with strategy {validation.strategy}"
            hint = f"write strategy: {strategy}, or leave it out"
            yield SpecProblem(("validation", name), message, hint, at_key=True)


def _splitter_options_have_an_effect(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse what only other splitters use: it would promise one of them."""
    validation = spec.validation
    for name in () if _is_open(spec) else SPLITTER_OPTIONS:
        example = splitters_with(name)[0]
        is_written = name in validation.model_fields_set and getattr(validation, name) is not None
        is_used = name in _splitter(spec).options or (name == "gap" and holds_out_by_time(spec))
        if is_written and not is_used:
            hint = f"write splitter: {example}, or leave it out" if example != "stratified_kfold" else "leave it out"
            yield SpecProblem(
                ("validation", name), f"has no effect with splitter {_chosen_splitter(spec)}", hint, at_key=True
            )


def _repeated_splitters_shuffle(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if _splitter(spec).is_repeated and not spec.validation.shuffle:
        message = f"contradicts splitter {spec.splitter}, which shuffles the rows anew each time"
        yield SpecProblem(("validation", "shuffle"), message, "leave one of the two out", at_key=True)


def _folds_that_are_given_are_not_counted(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if _splitter(spec).has_cv_folds:
        return
    for name, section in (("tuning", spec.tuning), ("selection", spec.selection), ("calibration", spec.calibration)):
        is_held_out = section is spec.calibration and spec.calibration and spec.calibration.holdout is not None
        if section and section.cv_folds is not None and not is_held_out:
            message = f"has no effect with splitter {_chosen_splitter(spec)}"
            yield SpecProblem((name, "cv_folds"), message, "leave it out", at_key=True)


def _one_model_needs_each_row_once(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibration = spec.calibration
    if calibration is None or calibration.ensemble or calibration.holdout is not None:
        return
    if not _splitter(spec).is_partition:
        message = f"is {GOT}, which needs each row evaluated exactly once, unlike splitter {_chosen_splitter(spec)}"
        yield SpecProblem(("calibration", "ensemble"), message, "accepted: true")


def _is_open(spec: ExperimentSpec) -> bool:
    """Whether two columns call for different splitters, and none is written."""
    data = spec.data
    are_two = data.groups is not None and data.time not in (None, data.groups)
    return are_two and data.fold is None and spec.validation.splitter is None


def holds_out_by_time(spec: ExperimentSpec) -> bool:
    """Whether the hold-out is the last part of the rows in time."""
    by_groups = _splitter(spec).column == "groups"
    return spec.validation.strategy == "train_test" and spec.data.time is not None and not by_groups


def _chosen_splitter(spec: ExperimentSpec) -> str:
    """Name the splitter, and the column that implies it where it is not written."""
    column = _splitter(spec).column
    return spec.splitter if spec.validation.splitter or column is None else f"{spec.splitter} (from data.{column})"


def _splitter(spec: ExperimentSpec) -> SplitterInfo:
    return SPLITTERS[spec.splitter]


_SPLITTER = ("validation.splitter", "data.fold", "data.groups", "data.time")

FOLD_RULES = (
    Rule(_splitter_has_its_column, _SPLITTER),
    Rule(_groups_are_kept_together, ("validation.splitter", "data.groups")),
    Rule(_one_column_draws_the_folds, _SPLITTER),
    Rule(_fold_columns_hold_nothing_out, ("validation.strategy", *_SPLITTER)),
    Rule(_strategy_options_have_an_effect, ("validation.strategy",)),
    Rule(_splitter_options_have_an_effect, ("validation.strategy", *_SPLITTER)),
    Rule(_repeated_splitters_shuffle, ("validation.shuffle", *_SPLITTER)),
    Rule(_folds_that_are_given_are_not_counted, ("tuning.strategy", "calibration.holdout", *_SPLITTER)),
    Rule(_one_model_needs_each_row_once, ("calibration.ensemble", "calibration.holdout", *_SPLITTER)),
)
