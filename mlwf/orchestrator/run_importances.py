"""Measure how much each raw column matters to the model of a run, by models and rows that the run has already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier

from mlwf.engine.requests import FitRequest
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
from mlwf.text import first_line

logger = logging.getLogger(__name__)

SHARE_OF_TIME = 0.2
"""Of what a time limit leaves, how much the importances may take."""
LEAST_WEIGHT = 0.5
"""Of the weight of an average, how much the members must have that are there."""
NO_ROWS = "there are no rows that the model did not learn from: neither a validation nor a test set"
NO_MODELS = "the run has no models of its folds; a test set or a hold-out gives importances"
NO_TIME = "the time limit left no time for them"

Found = tuple[Sequence[HeldOutRows], Provenance]


def add_importances(run: Run) -> Run:
    """Measure the importances of the raw columns, and the partial dependence of the first few; no model is fitted.

    They are those of the shipped model on the test set, of the scored one on the hold-out, or else of the models of the
    folds on the rows that each did not learn from.
    """
    time = run.context.time
    seconds = min(SECONDS, SHARE_OF_TIME * time.left) if time.is_limited else SECONDS
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
    parts, provenance = found
    seed, train = context.spec.random_state, context.split.train
    drawn = np.sort(np.random.default_rng(seed).permutation(len(train))[:MOST_ROWS])
    importances = measure_importances(
        parts,
        group_columns(context.table.X_of(train.take(drawn))),
        random_state=seed,
        seconds=seconds,
        provenance=provenance,
    )
    if importances.is_cut:
        run.run_log.warn("importances: fewer rows or columns were used, since the model predicts slowly")
    return importances, None if importances.is_cut else _dependence(run, importances, parts[0].X)


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


def _held_out(run: Run) -> Found | str:
    """Give rows and the models that did not learn from them, with how they were held out; or why there are none."""
    context, result = run.context, run.result
    classes, test = context.table.classes, context.run_data.test
    if test is not None and result.test is not None:
        return [_of_dataset(test, as_predict(run.trained.model, classes), classes)], result.test.provenance
    if result.validation is not None and result.validation.source == "train_test":
        scored = run.trained.model if run.scored_model is None else run.scored_model
        return [_of_rows(run, context.split.test, as_predict(scored, classes))], result.validation.provenance
    if result.validation is None:
        return NO_ROWS
    parts = [_of_rows(run, split.test, predict) for split, predict in _fold_models(run)]
    return (parts, of_fold_models(context, run.config, sum(map(len, parts)))) if parts else NO_MODELS


def _of_dataset(data: Dataset, predict: Predict, classes: NDArray[Any]) -> HeldOutRows:
    return HeldOutRows(predict, data.X, codes_of(data.y, classes), data.weight, data.groups)


def _of_rows(run: Run, rows: Rows, predict: Predict) -> HeldOutRows:
    table = run.context.table
    codes = codes_of(table.y_of(rows), table.classes)
    return HeldOutRows(predict, table.X_of(rows), codes, table.weight_of(rows), table.groups_of(rows))


def _fold_models(run: Run) -> list[tuple[Split, Predict]]:
    """Give the models of folds that the run has: those of the calibration that ship, of the validation, or the search.

    Of repeated folds the first ones that predict each row once, and no more than can be loaded in time.
    """
    deadline = process_time() + SECONDS
    context, classes = run.context, run.context.table.classes
    sources: list[Callable[[], Iterator[tuple[Split, Predict | None]]]] = [
        lambda: _of_calibration(run),
        lambda: ((split, as_predict(model, classes)) for split, model in run.fold_models),
        lambda: ((split, _find(run, split)) for split in _searched_splits(run)),
    ]
    for source in sources:
        found, seen = [], np.zeros(len(context.table), dtype=bool)
        for split, predict in source():
            if predict is not None and not seen[split.test.index].any():
                seen[split.test.index] = True
                found.append((split, predict))
            if process_time() > deadline:
                break
        if found:
            return found
    return []


def _of_calibration(run: Run) -> Iterator[tuple[Split, Predict | None]]:
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
            yield split, as_predict(member.estimator, context.table.classes)


def _searched_splits(run: Run) -> Iterator[Split]:
    context, spec = run.context, run.context.spec
    for n_folds in dict.fromkeys([spec.tuning_folds, spec.validation.cv_folds]):
        yield from context.folds(n_folds)(context.table, context.split.train)


def _find(run: Run, split: Split) -> Predict | None:
    """Give the model of a fold that the search has fitted, or the average of those of its members that it has."""
    config, classes = run.config, run.context.table.classes
    pipeline = config.fold_pipelines.get(split.train.digest, config.pipeline)
    if not isinstance(pipeline, VotingClassifier):
        model = run.engine.find_model(FitRequest(pipeline, config.params, split.train))
        return None if model is None else as_predict(model, classes)
    weights = pipeline.weights or [1] * len(pipeline.estimators)
    members = [run.engine.find_model(FitRequest(member, {}, split.train)) for _, member in pipeline.estimators]
    there = [(model, weight) for model, weight in zip(members, weights, strict=True) if model is not None]
    if sum(weight for _, weight in there) < LEAST_WEIGHT * sum(weights):
        return None
    shares = [weight for _, weight in there]
    return Predict(lambda X: np.average([model.predict_proba(X) for model, _ in there], axis=0, weights=shares))
