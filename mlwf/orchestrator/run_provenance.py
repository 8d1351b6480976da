"""The provenance of each number of a run: on which rows it was computed, how, and what was chosen on the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlwf.engine.out_of_fold import TrainedModel
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import PipelineConfig
from mlwf.provenance import LABELS, Choice, Protocol, Provenance, ScoredBeforeRefit, SelectedOn
from mlwf.results import CalibrationResult, ThresholdResult
from mlwf.specs.catalogue import SPLITTERS
from mlwf.splitting.rows import distinct_rows

TRAIN, ALL = "train", "all"


def fold_rows(number: int, part: str) -> str:
    """Name the rows of a fold of the validation, counted from 0, as `splits.npz` does; `part` is train or test."""
    return f"fold_{number}_{part}"


def shipped_rows_name(context: RunContext) -> str:
    """Name the rows that the shipped model is trained on, as `splits.npz` does."""
    return ALL if context.is_refitted else TRAIN


def list_choices(context: RunContext, config: PipelineConfig) -> tuple[Choice, ...]:
    """List what the run has chosen by now."""
    is_chosen: dict[Choice, bool] = {
        "hyperparameters": config.is_tuned,
        "model": config.is_selected,
        "ensemble": config.is_averaged,
        "features": context.run_data.inferred is not None,
        "calibration": config.is_calibrated,
        "threshold": config.has_threshold,
    }
    return tuple(choice for choice, is_so in is_chosen.items() if is_so)


def of_cross_validation(context: RunContext, choices: tuple[Choice, ...]) -> Provenance:
    """Give the provenance of a cross-validated number; `choices` are what the run chooses before it validates."""
    folds = range(len(context.validation_splits))
    inside = tuple(fold_rows(number, "train") for number in folds)
    before = inside if context.is_nested else (TRAIN,) * len(folds)
    # Each fold repeats the calibration and the threshold in any case.
    selected_on: SelectedOn = {choice: before if choice in LABELS else inside for choice in choices}
    rows = distinct_rows(np.concatenate([split.test.index for split in context.validation_splits]))
    provenance = Provenance(
        "cross_validation",
        len(rows),
        _protocol(context),
        tuple(fold_rows(number, "test") for number in folds),
        selected_on,
        _labels(selected_on),
    )
    weight = context.table.weight
    return _with_weights(context, provenance, None if weight is None else weight[rows])


def of_holdout(context: RunContext, choices: tuple[Choice, ...], scored: TrainedModel) -> Provenance:
    """Give the provenance of a number on the hold-out; `scored` is the model that is scored there."""
    data, rows = context.spec.data, context.split.test
    protocol = Protocol("holdout")
    if context.is_ordered:
        protocol = Protocol("latest_holdout", column=data.time)
    elif context.table.groups is not None:
        protocol = Protocol("group_holdout", column=data.groups)
    provenance = Provenance(
        "train_test",
        len(rows),
        protocol,
        ("holdout",),
        dict.fromkeys(choices, (TRAIN,)),
        before_refit=_scored_before_refit(scored) if context.is_refitted else None,
    )
    weight = context.table.weight
    return _with_weights(context, provenance, None if weight is None else weight[distinct_rows(rows.index)])


def of_test(context: RunContext, choices: tuple[Choice, ...]) -> Provenance:
    """Give the provenance of a number on the test set."""
    test, shipped = context.run_data.test, shipped_rows_name(context)
    assert test is not None
    # A refit repeats the calibration and the threshold, and takes over what was chosen before.
    selected_on: SelectedOn = {choice: (TRAIN if choice in LABELS else shipped,) for choice in choices}
    provenance = Provenance("test", len(test.y), Protocol("test_set"), ("test",), selected_on)
    return _with_weights(context, provenance, test.weight)


def of_search(context: RunContext, config: PipelineConfig, cv_folds: int) -> Provenance:
    """Give the provenance of the scores by which candidates, or models, were compared."""
    # The search's scores are scikit-learn's, which count all rows alike.
    ignores_weights = context.table.weight is not None
    provenance = _of_choice(context, config, Protocol("search", n_folds=cv_folds), len(context.split.train))
    return replace(provenance, ignores_weights=ignores_weights)


def of_fold_models(context: RunContext, config: PipelineConfig, n_rows: int) -> Provenance:
    """Give the provenance of a number on rows that the models of folds predict, each those it did not learn from."""
    return _of_choice(context, config, Protocol("fold_models"), n_rows)


def add_calibration_provenance(
    context: RunContext, config: PipelineConfig, result: CalibrationResult, *, rows: str = TRAIN
) -> CalibrationResult:
    """Add how the calibration was measured."""
    provenance = _of_choice(context, config, Protocol("calibration"), result.n_rows, rows=rows)
    return replace(result, provenance=provenance)


def add_threshold_provenance(
    context: RunContext, config: PipelineConfig, trained: TrainedModel, *, rows: str = TRAIN
) -> ThresholdResult:
    """Add how the threshold was chosen and scored."""
    assert trained.threshold is not None
    provenance = _of_choice(context, config, Protocol("threshold"), trained.threshold.n_rows, rows=rows)
    if trained.calibration is not None:
        provenance = replace(provenance, selected_on={**provenance.selected_on, "calibration": (rows,)})
    return replace(trained.threshold, provenance=provenance)


def add_refit_provenance(context: RunContext, config: PipelineConfig, trained: TrainedModel) -> TrainedModel:
    """Add how the calibration and the threshold of the model that was fitted again were chosen."""
    calibration, threshold = trained.calibration, trained.threshold
    if calibration is not None:
        calibration = add_calibration_provenance(context, config, calibration, rows=ALL)
    if threshold is not None:
        threshold = add_threshold_provenance(context, config, trained, rows=ALL)
    return replace(trained, calibration=calibration, threshold=threshold)


def _of_choice(
    context: RunContext, config: PipelineConfig, protocol: Protocol, n_rows: int, *, rows: str = TRAIN
) -> Provenance:
    """Give the provenance of a number that something is chosen by."""
    before = [choice for choice in list_choices(context, config) if choice in LABELS]
    selected_on: SelectedOn = dict.fromkeys(before, (TRAIN,))
    return Provenance(None, n_rows, protocol, (rows,), selected_on, _labels(selected_on))


def _protocol(context: RunContext) -> Protocol:
    """Give the protocol of the validation."""
    spec = context.spec
    splitter = SPLITTERS[spec.splitter]
    return Protocol(
        spec.splitter,
        n_folds=spec.validation.cv_folds if splitter.has_cv_folds else len(context.validation_splits),
        n_repeats=spec.validation.n_repeats,
        column=getattr(spec.data, splitter.column) if splitter.column else None,
        gap=spec.validation.gap,
        is_nested=context.is_nested,
        is_shuffled=spec.validation.shuffle,
    )


def _labels(selected_on: SelectedOn) -> tuple[Choice, ...]:
    """List what was chosen on all the rows that are trained on, and so on those that a fold holds out."""
    return tuple(choice for choice, rows in selected_on.items() if choice in LABELS and TRAIN in rows)


def _with_weights(context: RunContext, provenance: Provenance, weight: Any) -> Provenance:
    if weight is None:
        return provenance
    return replace(provenance, weighted_by=context.spec.data.sample_weight, n_weightless=int((weight == 0).sum()))


def _scored_before_refit(scored: TrainedModel) -> ScoredBeforeRefit:
    return ScoredBeforeRefit(
        calibrated=scored.calibration.kept if scored.calibration else None,
        threshold=scored.threshold.value if scored.threshold else None,
    )
