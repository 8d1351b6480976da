"""What must be said beside every number: on which rows it was computed, how, and what was chosen on the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlwf.engine.training import TrainedModel
from mlwf.modules.validation import Provenance
from mlwf.orchestrator.context import RunContext
from mlwf.results import CalibrationResult, Source, ThresholdResult, TuningResult

SAME_ROWS = {"hyperparameters": "tuned on the same rows", "features": "features inferred on the same rows"}
"""What is said when something was chosen on the rows that a score is computed on."""

TRAIN, ALL = "train", "all"


def fold_rows(number: int, part: str) -> str:
    """Name the rows of a fold of the validation, counted from 0, as `splits.npz` does; `part` is train or test."""
    return f"fold_{number}_{part}"


def shipped_rows_name(context: RunContext) -> str:
    """Name the rows that the shipped model is trained on, as `splits.npz` does."""
    return ALL if context.is_refitted else TRAIN


def cross_validated(context: RunContext, chosen: tuple[str, ...]) -> Provenance:
    """Say how a cross-validated number is got; `chosen` names what the run chooses before it validates."""
    folds = range(len(context.outer))
    inside = tuple(fold_rows(number, "train") for number in folds)
    before = inside if context.is_nested else (TRAIN,) * len(folds)
    # A chain repeats the calibration and the threshold in any case.
    rows_of = {what: before if what in SAME_ROWS else inside for what in chosen}
    judged = len(np.unique(np.concatenate([split.test.index for split in context.outer])))
    note = f"{'nested ' if context.is_nested else ''}{_kind(context, judged)}"
    rows = tuple(fold_rows(number, "test") for number in folds)
    return _circumstances(context, "cross_validation", note, rows, rows_of)


def held_out(context: RunContext, chosen: tuple[str, ...], trained: TrainedModel) -> Provenance:
    """Say how a number on the hold-out is got; `trained` is the model that is scored there."""
    how = ""
    if context.is_ordered:
        how = f", the latest by {context.spec.data.time}"
    elif context.table.groups is not None:
        how = f", whole groups of {context.spec.data.groups}"
    note = f"hold-out of {len(context.split.test):,} rows{how}, split off before anything was fitted"
    if context.is_refitted:
        note += f"; of the model before the refit{_told_in_short(trained)}"
    return _circumstances(context, "train_test", note, ("holdout",), dict.fromkeys(chosen, (TRAIN,)))


def tested(context: RunContext, chosen: tuple[str, ...]) -> Provenance:
    """Say how a number on the test set is got."""
    assert context.run_data.test is not None
    note = f"test set of {len(context.run_data.test.y):,} rows that no step before saw"
    shipped = shipped_rows_name(context)
    # A refit repeats the calibration and the threshold, and takes over what was chosen before.
    rows_of: dict[str, tuple[str, ...]] = {what: (TRAIN if what in SAME_ROWS else shipped,) for what in chosen}
    return _circumstances(context, "test", note, ("test",), rows_of)


def what_was_chosen(context: RunContext, trained: TrainedModel, *, tuned: bool) -> tuple[str, ...]:
    """Name what the run has chosen by now."""
    is_chosen = {
        "hyperparameters": tuned,
        "features": context.run_data.inferred is not None,
        "calibration": trained.calibration is not None,
        "threshold": trained.threshold is not None,
    }
    return tuple(what for what, is_so in is_chosen.items() if is_so)


def tuning_with_provenance(context: RunContext, result: TuningResult) -> TuningResult:
    """Add how the candidates were scored."""
    chosen = _before(context, tuned=True)
    note = _labelled(f"mean over {result.cv_folds} folds of {len(context.split.train):,} rows", chosen)
    if context.table.weight is not None:
        # The search's scores are scikit-learn's.
        note += "; all rows count alike, whatever their weight"
    return replace(result, note=note, rows=(TRAIN,), chosen=chosen)


def refit_with_provenance(context: RunContext, trained: TrainedModel, *, tuned: bool) -> TrainedModel:
    """Add how the calibration and the threshold of the model that was fitted again were chosen."""
    calibration, threshold = trained.calibration, trained.threshold
    if calibration is not None:
        calibration = calibration_with_provenance(context, calibration, tuned=tuned, rows=ALL)
    if threshold is not None:
        threshold = threshold_with_provenance(context, trained, tuned=tuned, rows=ALL)
    return replace(trained, calibration=calibration, threshold=threshold)


def calibration_with_provenance(
    context: RunContext, result: CalibrationResult, *, tuned: bool, rows: str = TRAIN
) -> CalibrationResult:
    """Add how the calibration was measured."""
    before = _before(context, tuned=tuned)
    note = f"out-of-fold predictions of {result.n_rows:,} rows, by calibrators of other folds"
    return replace(result, note=_labelled(note, before), rows=(rows,), chosen=before)


def threshold_with_provenance(
    context: RunContext, trained: TrainedModel, *, tuned: bool, rows: str = TRAIN
) -> ThresholdResult:
    """Add how the threshold was chosen and scored."""
    assert trained.threshold is not None
    before = _before(context, tuned=tuned)
    if trained.calibration is not None:
        before["calibration"] = (rows,)
    note = f"out-of-fold predictions of {trained.threshold.n_rows:,} rows, each by the threshold of other folds"
    return replace(trained.threshold, note=_labelled(note, before), rows=(rows,), chosen=before)


def _told_in_short(trained: TrainedModel) -> str:
    """Name what tells a model from the one of the same recipe on other rows."""
    told = []
    if trained.calibration is not None:
        told.append(f"calibration {'kept' if trained.calibration.kept else 'not kept'}")
    if trained.threshold is not None:
        told.append(f"threshold {trained.threshold.value:.4f}")
    return f" ({', '.join(told)})" if told else ""


def _before(context: RunContext, *, tuned: bool) -> dict[str, tuple[str, ...]]:
    chosen = {"hyperparameters": tuned, "features": context.run_data.inferred is not None}
    return {what: (TRAIN,) for what, is_so in chosen.items() if is_so}


def _kind(context: RunContext, judged: int) -> str:
    """Say how the rows were cut into folds."""
    spec = context.spec
    folds, rows = spec.validation.cv_folds, f"of {judged:,} rows"
    order = "shuffled" if spec.validation.shuffle else "not shuffled"
    repeats = f"{spec.validation.n_repeats} times {folds}-fold"
    windows = f", {spec.validation.gap:,} rows left out before each" if spec.validation.gap else ""
    return {
        "stratified_kfold": f"{folds}-fold stratified cross-validation {rows}, {order}",
        "kfold": f"{folds}-fold cross-validation {rows}, {order}",
        "repeated_stratified_kfold": f"{repeats} stratified cross-validation {rows}",
        "repeated_kfold": f"{repeats} cross-validation {rows}",
        "stratified_group_kfold": f"{folds}-fold stratified cross-validation {rows}, groups of {spec.data.groups} kept"
        " together",
        "leave_one_group_out": f"cross-validation {rows}, leaving out one {spec.data.groups} of {len(context.outer)}",
        "time_series_split": f"{folds}-fold cross-validation {rows}, learnt from earlier {spec.data.time}{windows}",
        "predefined_split": f"cross-validation {rows} by the {len(context.outer)} folds of {spec.data.fold}",
    }[spec.splitter]


def _circumstances(
    context: RunContext, source: Source, note: str, rows: tuple[str, ...], chosen: dict[str, tuple[str, ...]]
) -> Provenance:
    note = _labelled(note, chosen if source == "cross_validation" else {})
    weight = _judged_weight(context, source)
    if weight is not None:
        note += f"; weighted by {context.spec.data.sample_weight}"
        if zeros := int((weight == 0).sum()):
            note += f", {zeros:,} rows of weight 0 left out"
    tuned = chosen.get("hyperparameters", ())
    same = source == "cross_validation" and TRAIN in tuned
    return Provenance(source, note, same, rows, chosen)


def _judged_weight(context: RunContext, source: Source) -> Any:
    """Give the weights of the judged rows, each row once; None where there are none."""
    if source == "test":
        return context.run_data.test and context.run_data.test.weight
    if context.table.weight is None:
        return None
    parts = context.outer if source == "cross_validation" else (context.split,)
    return context.table.weight[np.unique(np.concatenate([part.test.index for part in parts]))]


def _labelled(note: str, chosen: dict[str, tuple[str, ...]]) -> str:
    """Say what was chosen on all the rows that are trained on, and so on those that a fold judges."""
    labels = [SAME_ROWS[what] for what, rows in chosen.items() if what in SAME_ROWS and TRAIN in rows]
    return "; ".join([note, *labels])
