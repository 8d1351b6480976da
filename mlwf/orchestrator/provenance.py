"""What must be said beside every number: on which rows it was computed, how, and what was chosen on the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlwf.engine.training import Trained
from mlwf.modules.validation import Circumstances
from mlwf.orchestrator.context import Setting
from mlwf.results import CalibrationResult, Source, ThresholdResult, TuningResult

SAME_ROWS = {"hyperparameters": "tuned on the same rows", "features": "features inferred on the same rows"}
"""What is said when something was chosen on the rows that a score is computed on."""

TRAIN, ALL = "train", "all"


def fold_rows(number: int, part: str) -> str:
    """Name the rows of a fold of the validation, counted from 0, as `splits.npz` does; `part` is train or test."""
    return f"fold_{number}_{part}"


def shipped_rows_name(setting: Setting) -> str:
    """Name the rows that the shipped model is trained on, as `splits.npz` does."""
    return ALL if setting.is_refitted else TRAIN


def cross_validated(setting: Setting, chosen: tuple[str, ...]) -> Circumstances:
    """Say how a cross-validated number is got; `chosen` names what the run chooses before it validates."""
    folds = range(len(setting.outer))
    inside = tuple(fold_rows(number, "train") for number in folds)
    before = inside if setting.is_nested else (TRAIN,) * len(folds)
    # A chain repeats the calibration and the threshold in any case.
    rows_of = {what: before if what in SAME_ROWS else inside for what in chosen}
    judged = len(np.unique(np.concatenate([split.test.index for split in setting.outer])))
    note = f"{'nested ' if setting.is_nested else ''}{_kind(setting, judged)}"
    rows = tuple(fold_rows(number, "test") for number in folds)
    return _circumstances(setting, "cross_validation", note, rows, rows_of)


def held_out(setting: Setting, chosen: tuple[str, ...], trained: Trained) -> Circumstances:
    """Say how a number on the hold-out is got; `trained` is the model that is scored there."""
    how = ""
    if setting.is_ordered:
        how = f", the latest by {setting.spec.data.time}"
    elif setting.table.groups is not None:
        how = f", whole groups of {setting.spec.data.groups}"
    note = f"hold-out of {len(setting.split.test):,} rows{how}, split off before anything was fitted"
    if setting.is_refitted:
        note += f"; of the model before the refit{_told_in_short(trained)}"
    return _circumstances(setting, "train_test", note, ("holdout",), dict.fromkeys(chosen, (TRAIN,)))


def tested(setting: Setting, chosen: tuple[str, ...]) -> Circumstances:
    """Say how a number on the test set is got."""
    assert setting.material.test is not None
    note = f"test set of {len(setting.material.test.y):,} rows that no step before saw"
    shipped = shipped_rows_name(setting)
    # A refit repeats the calibration and the threshold, and takes over what was chosen before.
    rows_of: dict[str, tuple[str, ...]] = {what: (TRAIN if what in SAME_ROWS else shipped,) for what in chosen}
    return _circumstances(setting, "test", note, ("test",), rows_of)


def what_was_chosen(setting: Setting, trained: Trained, *, tuned: bool) -> tuple[str, ...]:
    """Name what the run has chosen by now."""
    is_chosen = {
        "hyperparameters": tuned,
        "features": setting.material.inferred is not None,
        "calibration": trained.calibration is not None,
        "threshold": trained.threshold is not None,
    }
    return tuple(what for what, is_so in is_chosen.items() if is_so)


def told_of_tuning(setting: Setting, result: TuningResult) -> TuningResult:
    """Add how the candidates were scored."""
    chosen = _before(setting, tuned=True)
    note = _labelled(f"mean over {result.cv_folds} folds of {len(setting.split.train):,} rows", chosen)
    if setting.table.weight is not None:
        # The search's scores are scikit-learn's.
        note += "; all rows count alike, whatever their weight"
    return replace(result, note=note, rows=(TRAIN,), chosen=chosen)


def told_of_refit(setting: Setting, trained: Trained, *, tuned: bool) -> Trained:
    """Add how the calibration and the threshold of the model that was fitted again were chosen."""
    calibration, threshold = trained.calibration, trained.threshold
    if calibration is not None:
        calibration = told_of_calibration(setting, calibration, tuned=tuned, rows=ALL)
    if threshold is not None:
        threshold = told_of_threshold(setting, trained, tuned=tuned, rows=ALL)
    return replace(trained, calibration=calibration, threshold=threshold)


def told_of_calibration(
    setting: Setting, result: CalibrationResult, *, tuned: bool, rows: str = TRAIN
) -> CalibrationResult:
    """Add how the calibration was measured."""
    before = _before(setting, tuned=tuned)
    note = f"out-of-fold predictions of {result.n_rows:,} rows, by calibrators of other folds"
    return replace(result, note=_labelled(note, before), rows=(rows,), chosen=before)


def told_of_threshold(setting: Setting, trained: Trained, *, tuned: bool, rows: str = TRAIN) -> ThresholdResult:
    """Add how the threshold was chosen and scored."""
    assert trained.threshold is not None
    before = _before(setting, tuned=tuned)
    if trained.calibration is not None:
        before["calibration"] = (rows,)
    note = f"out-of-fold predictions of {trained.threshold.n_rows:,} rows, each by the threshold of other folds"
    return replace(trained.threshold, note=_labelled(note, before), rows=(rows,), chosen=before)


def _told_in_short(trained: Trained) -> str:
    """Name what tells a model from the one of the same recipe on other rows."""
    told = []
    if trained.calibration is not None:
        told.append(f"calibration {'kept' if trained.calibration.kept else 'not kept'}")
    if trained.threshold is not None:
        told.append(f"threshold {trained.threshold.value:.4f}")
    return f" ({', '.join(told)})" if told else ""


def _before(setting: Setting, *, tuned: bool) -> dict[str, tuple[str, ...]]:
    chosen = {"hyperparameters": tuned, "features": setting.material.inferred is not None}
    return {what: (TRAIN,) for what, is_so in chosen.items() if is_so}


def _kind(setting: Setting, judged: int) -> str:
    """Say how the rows were cut into folds."""
    spec = setting.spec
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
        "leave_one_group_out": f"cross-validation {rows}, leaving out one {spec.data.groups} of {len(setting.outer)}",
        "time_series_split": f"{folds}-fold cross-validation {rows}, learnt from earlier {spec.data.time}{windows}",
        "predefined_split": f"cross-validation {rows} by the {len(setting.outer)} folds of {spec.data.fold}",
    }[spec.splitter]


def _circumstances(
    setting: Setting, source: Source, note: str, rows: tuple[str, ...], chosen: dict[str, tuple[str, ...]]
) -> Circumstances:
    note = _labelled(note, chosen if source == "cross_validation" else {})
    weight = _judged_weight(setting, source)
    if weight is not None:
        note += f"; weighted by {setting.spec.data.sample_weight}"
        if zeros := int((weight == 0).sum()):
            note += f", {zeros:,} rows of weight 0 left out"
    tuned = chosen.get("hyperparameters", ())
    same = source == "cross_validation" and TRAIN in tuned
    return Circumstances(source, note, same, rows, chosen)


def _judged_weight(setting: Setting, source: Source) -> Any:
    """Give the weights of the judged rows, each row once; None where there are none."""
    if source == "test":
        return setting.material.test and setting.material.test.weight
    if setting.table.weight is None:
        return None
    parts = setting.outer if source == "cross_validation" else (setting.split,)
    return setting.table.weight[np.unique(np.concatenate([part.test.index for part in parts]))]


def _labelled(note: str, chosen: dict[str, tuple[str, ...]]) -> str:
    """Say what was chosen on all the rows that are trained on, and so on those that a fold judges."""
    labels = [SAME_ROWS[what] for what, rows in chosen.items() if what in SAME_ROWS and TRAIN in rows]
    return "; ".join([note, *labels])
