"""Measure how much each raw column matters to the model of a run, by models and rows that the run has already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier

from mlwf.engine.requests import FitRequest, check_fitted
from mlwf.engine.work import openmp_threads
from mlwf.errors import raise_if_bug
from mlwf.evaluation.predictions import codes_of
from mlwf.modules.data import Dataset
from mlwf.modules.importances import (
    MOST_ROWS,
    SECONDS,
    HeldOutRows,
    Predict,
    as_predict,
    compute_partial_dependence,
    first_columns,
    group_columns,
    measure_importances,
    shown_classes,
)
from mlwf.orchestrator.run_provenance import of_fold_models
from mlwf.orchestrator.training_phases import Run
from mlwf.processes import muted
from mlwf.provenance import Provenance
from mlwf.results import Importances
from mlwf.splitting.rows import Rows, Split
from mlwf.splitting.stored_frame import in_memory
from mlwf.text import first_line

logger = logging.getLogger(__name__)

SHARE_OF_RUN, LEAST_SECONDS = 0.1, 1.0
"""How much the importances may take: of what the run has taken of the processor, or seconds of a short run."""
SHARE_OF_TIME = 0.2
"""Of what a time limit leaves, how much the importances may take."""
LEAST_WEIGHT = 0.5
"""Of the weight of an average, how much the members must have that are there."""
NO_ROWS = "there are no rows that the model did not learn from: neither a validation nor a test set"
NO_TIME = "the time limit left no time for them"


@dataclass(frozen=True, eq=False)
class FoldModel:
    """What predicts the rows of a fold."""

    split: Split
    predict: Predict
    share_as_shipped: float = 1.0
    """Of the weights of an ensemble, how much its very members have."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows with the models that did not learn from them."""

    parts: Sequence[HeldOutRows]
    provenance: Provenance
    n_fitted: int = 0
    share_as_shipped: float = 1.0


def add_importances(run: Run) -> Run:
    """Measure the importances of the raw columns, and the partial dependence of the first few.

    They are those of the shipped model on the test set, of the scored one on the hold-out, or else of the models of the
    folds on the rows that each did not learn from. A model is fitted only where the run has none of its folds.
    """
    time = run.context.time
    seconds = min(SECONDS, max(LEAST_SECONDS, SHARE_OF_RUN * process_time()))
    seconds = min(seconds, SHARE_OF_TIME * time.left) if time.is_limited else seconds
    if seconds <= 0:
        return run.add(importances=Importances(reason=NO_TIME))
    try:
        # A model may warn of combinations of values that no row has.
        with muted(), openmp_threads(1):
            importances, dependence = _measure(run, seconds)
    except Exception as error:  # a model's steps may raise anything over such combinations
        raise_if_bug(error)
        logger.debug("details", exc_info=error)
        return run.add(importances=Importances(reason=f"they could not be measured: {first_line(error)}"))
    return run.add(importances=importances, partial_dependence=dependence)


def _measure(run: Run, seconds: float) -> tuple[Importances, dict[str, Any] | None]:
    context = run.context
    found = _held_out(run)
    if isinstance(found, str):
        return Importances(reason=found), None
    seed, train = context.spec.random_state, context.split.train
    drawn = np.sort(np.random.default_rng(seed).permutation(len(train))[:MOST_ROWS])
    importances = measure_importances(
        found.parts,
        group_columns(in_memory(context.table.X_of(train.take(drawn)))),
        random_state=seed,
        seconds=seconds,
        provenance=found.provenance,
    )
    importances = replace(importances, n_fitted=found.n_fitted, share_as_shipped=found.share_as_shipped)
    if importances.is_cut:
        run.run_log.warn("importances: fewer rows or columns were used, since the model predicts slowly")
    return importances, None if importances.is_cut else _dependence(run, importances, found.parts[0].X)


def _dependence(run: Run, importances: Importances, X: Any) -> dict[str, Any]:
    table, positive = run.context.table, run.context.spec.data.positive_class
    classes = table.classes
    shown = shown_classes(
        codes_of(table.y, classes), len(classes), None if positive is None else classes.tolist().index(positive)
    )
    places = first_columns(importances, X)
    seed = run.context.spec.random_state
    return compute_partial_dependence(
        as_predict(run.trained.model, classes), X, places, classes.tolist(), shown, random_state=seed
    )


def _held_out(run: Run) -> HeldOut | str:
    """Give rows and the models that did not learn from them, with how they were held out; or why there are none."""
    context, result = run.context, run.result
    classes, test = context.table.classes, context.run_data.test
    if test is not None and result.test is not None:
        return HeldOut([_of_dataset(test, as_predict(run.trained.model, classes), classes)], result.test.provenance)
    if result.validation is not None and result.validation.source == "train_test":
        scored = run.trained.model if run.scored_model is None else run.scored_model
        return HeldOut([_of_rows(run, context.split.test, as_predict(scored, classes))], result.validation.provenance)
    found, n_fitted = _fold_models(run), 0
    if not found and result.validation is not None:
        found, n_fitted = _fit_fold(run)
    if not found:
        return NO_ROWS
    parts = [_of_rows(run, each.split.test, each.predict) for each in found]
    share = sum(each.share_as_shipped for each in found) / len(found)
    return HeldOut(parts, of_fold_models(context, run.config, sum(map(len, parts))), n_fitted, round(share, 3))


def _of_dataset(data: Dataset, predict: Predict, classes: NDArray[Any]) -> HeldOutRows:
    return HeldOutRows(predict, data.X, codes_of(data.y, classes), data.weight, data.groups)


def _of_rows(run: Run, rows: Rows, predict: Predict) -> HeldOutRows:
    table = run.context.table
    codes = codes_of(table.y_of(rows), table.classes)
    return HeldOutRows(predict, table.X_of(rows), codes, table.weight_of(rows), table.groups_of(rows))


def _fold_models(run: Run) -> list[FoldModel]:
    """Give the models of folds that the run has: those of the calibration that ship, of the validation, or the search.

    Of repeated folds the first ones that predict each row once, and no more than can be loaded in time.
    """
    deadline = process_time() + SECONDS
    context, classes = run.context, run.context.table.classes
    sources: list[Callable[[], Iterator[FoldModel | None]]] = [
        lambda: _of_calibration(run),
        lambda: (FoldModel(split, as_predict(model, classes)) for split, model in run.fold_models),
        lambda: (_find(run, split) for split in _searched_splits(run)),
    ]
    for source in sources:
        found, seen = [], np.zeros(len(context.table), dtype=bool)
        for each in source():
            if each is not None and not seen[each.split.test.index].any():
                seen[each.split.test.index] = True
                found.append(each)
            if process_time() > deadline:
                break
        if found:
            return found
    return []


def _of_calibration(run: Run) -> Iterator[FoldModel]:
    """Give the pipelines in a calibrated ensemble, before calibration: the calibrators know these rows."""
    calibration, model = run.trained.calibration, run.trained.model
    if isinstance(model, FixedThresholdClassifier):
        model = getattr(model, "estimator_", model.estimator)
        model = model.estimator if isinstance(model, FrozenEstimator) else model
    if calibration is None or not calibration.kept or not isinstance(model, CalibratedClassifierCV):
        return
    context = run.context
    splits = context.calibration_splitter(context.table, context.split.train)
    members = model.calibrated_classifiers_
    if len(splits) == len(members):
        for split, member in zip(splits, members, strict=True):
            yield FoldModel(split, as_predict(member.estimator, context.table.classes))


def _searched_splits(run: Run) -> Iterator[Split]:
    context, spec = run.context, run.context.spec
    for n_folds in dict.fromkeys([spec.tuning_folds, spec.validation.cv_folds]):
        yield from context.folds(n_folds)(context.table, context.split.train)


def _find(run: Run, split: Split) -> FoldModel | None:
    """Give the model of a fold that the search has fitted, or the average of those of its members that it has."""
    found = [_find_member(run, member) for member in _members(run, split)]
    is_enough = sum(member.weight for member in found if member.model is not None) >= LEAST_WEIGHT
    return _as_fold_model(run, split, found) if is_enough else None


def _fit_fold(run: Run) -> tuple[list[FoldModel], int]:
    """Fit the model of one fold, of an ensemble only the heaviest of its members; give it, and how many were fitted.

    That is the fold where the run has most of the members, or the one with the most rows to learn from.
    """
    by_split = [
        (split, [_find_member(run, member) for member in _members(run, split)]) for split in _searched_splits(run)
    ]
    split, members = max(
        by_split, key=lambda each: (sum(one.weight for one in each[1] if one.model is not None), len(each[0].train))
    )
    members.sort(key=lambda each: (each.model is None, -each.weight))
    needed = members[: 1 + int(np.searchsorted(np.cumsum([each.weight for each in members]), LEAST_WEIGHT))]
    missing = [each for each in needed if each.model is None]
    results = run.engine_in_time([replace(each.request, keep_model=True) for each in missing])
    for result in results:
        check_fitted(result, "the model of a fold")
    fitted = [replace(each, model=result.model) for each, result in zip(missing, results, strict=True)]
    there = [each for each in needed if each.model is not None]
    return [_as_fold_model(run, split, [*there, *fitted])], len(fitted)


@dataclass(frozen=True, eq=False)
class _Member:
    """A model of a fold, or of the ensemble of a fold."""

    request: FitRequest
    weight: float = 1.0
    """Its share of the ensemble."""
    stand_in: FitRequest | None = None
    """The best candidate of the same model, where the ensemble may have another one."""
    model: Any = None
    """Fitted, where the run has it."""
    is_own: bool = True
    """Whether it is the model that was asked for, and not the one that stands for it."""


def _members(run: Run, split: Split) -> list[_Member]:
    config = run.config
    pipeline = config.fold_pipelines.get(split.train.digest, config.pipeline)
    if not isinstance(pipeline, VotingClassifier):
        return [_Member(FitRequest(pipeline, config.params, split.train))]
    shares = np.array(pipeline.weights or [1] * len(pipeline.estimators), dtype=np.float64)
    members = []
    for (name, member), share in zip(pipeline.estimators, shares / shares.sum(), strict=True):
        stand_in = FitRequest(*config.stand_ins[name], split.train) if name in config.stand_ins else None
        members.append(_Member(FitRequest(member, {}, split.train), float(share), stand_in))
    return members


def _find_member(run: Run, member: _Member) -> _Member:
    model = run.engine.find_model(member.request)
    if model is not None or member.stand_in is None:
        return replace(member, model=model)
    return replace(member, model=run.engine.find_model(member.stand_in), is_own=False)


def _as_fold_model(run: Run, split: Split, members: Sequence[_Member]) -> FoldModel:
    there = [member for member in members if member.model is not None]
    share = sum(member.weight for member in there if member.is_own)
    if len(there) == 1:
        return FoldModel(split, as_predict(there[0].model, run.context.table.classes), share)
    weights = [member.weight for member in there]
    average = Predict(lambda X: np.average([each.model.predict_proba(X) for each in there], axis=0, weights=weights))
    return FoldModel(split, average, share)
