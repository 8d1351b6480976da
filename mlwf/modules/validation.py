"""Score a model on rows that it was not trained on, with intervals, baselines and slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import Pipeline

from mlwf.engine.out_of_fold import OutOfFold, TrainedModel, TrainFn, at_once, stack
from mlwf.engine.requests import FitRequest, FitResult, Fitter, check_fitted
from mlwf.errors import TimeUpError, raise_if_bug
from mlwf.evaluation.intervals import bootstrap, corrected_t, corrected_t_difference
from mlwf.evaluation.metrics import Metric, build_metrics
from mlwf.evaluation.predictions import Predictions, codes_of
from mlwf.provenance import Provenance
from mlwf.results import ClassReport, Evaluation, Resamples, Score
from mlwf.specs.catalogue import DEFAULT_METRICS, metric_info
from mlwf.splitting.rows import Rows, Split, Splitter, Table, distinct_rows, encode_labels

FEWEST_FOLDS = 2
"""With fewer folds there is no cross-validation."""

FEWEST_ROWS = 30
"""A slice of fewer rows is not scored."""

RESAMPLES, RESAMPLES_OF_MANY, MANY_ROWS = 1000, 200, 100_000
"""Resamples of an interval: fewer of many rows, where each takes long and all are alike."""

BASELINE = Pipeline([("classifier", DummyClassifier(strategy="prior"))])
NO_SLICES: Mapping[str, NDArray[np.bool_]] = {}


def cross_validate(
    train_fn: TrainFn,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fitter: Fitter,
    *,
    metrics: Sequence[str],
    positive_class: Any = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    choices: Callable[[TrainedModel], Mapping[str, Any]] | None = None,
    provenance: Provenance,
) -> Evaluation:
    """Train on the training rows of every fold of `rows`, and score the predictions of its test rows.

    Folds that there was no time for are left out, which the provenance says; two at least must be there.

    Without tuning and calibration the scores are those of scikit-learn's `cross_val_score` on the same folds, each with
    a corrected resampled t interval. Slices are scored on the predictions of all folds together.

    Parameters
    ----------
    train_fn
        Trains and predicts on a split.
    slices
        For each slice which rows of the table are in it: booleans of shape (n_samples,).
    choices
        Gives what was chosen in a fold, from its trained model.

    Raises
    ------
    FitError
        A fit failed.
    TimeUpError
        There was no time for two folds.
    """
    all_splits = splitter(table, rows)
    results = at_once(lambda split: _train_in_time(train_fn, split, fitter), all_splits)
    in_time = [number for number, result in enumerate(results) if result is not None]
    if len(in_time) < min(FEWEST_FOLDS, len(all_splits)):
        raise TimeUpError(f"there was time for {len(in_time)} of {len(all_splits)} folds")
    if len(in_time) < len(all_splits):
        provenance = _on_folds(provenance, in_time, all_splits, table)
    splits, trained = [all_splits[number] for number in in_time], [result for result in results if result is not None]
    predictions = [part.predictions for part in trained]
    baseline = baselines(table, splits, fitter)
    sample = _pooled(predictions, baseline, table, splits, rows)
    counted = sample.weighted()
    wanted = wanted_metrics(metrics, table.classes, positive_class)
    scores, problems = score_folds(_folds(predictions, baseline, table, splits), wanted, provenance, counted.n_rows)
    masks = {name: mask[sample.index] for name, mask in slices.items()}
    return Evaluation(
        provenance=provenance,
        scores=scores,
        predictions=sample.predictions,
        y=sample.y,
        weight=sample.weight,
        units=sample.groups,
        index=sample.index,
        problems=problems,
        slices=score_slices(sample, masks, wanted, replace(provenance, is_pooled=True)),
        choices=() if choices is None else tuple(choices(part) for part in trained),
        **class_report(counted),
    )


def evaluate(
    predictions: Predictions,
    y: NDArray[Any],
    *,
    weight: NDArray[np.float64] | None,
    baseline: Predictions,
    metrics: Sequence[str],
    positive_class: Any = None,
    groups: NDArray[Any] | None = None,
    index: NDArray[np.intp] | None = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    provenance: Provenance,
) -> Evaluation:
    """Score predictions of rows that the model was not trained on: a hold-out or a test set.

    `index` says where the rows stand in their table; the default is that they are all of it. Intervals are of a
    bootstrap of the rows, or of whole groups. `slices` holds for each slice which of these rows are in it: booleans of
    shape (n_rows,).
    """
    wanted = wanted_metrics(metrics, predictions.classes, positive_class)
    sample = Sample(predictions, baseline, y, weight, groups, np.arange(len(y)) if index is None else index)
    counted = sample.weighted()
    scores, problems = score_sample(counted, wanted, provenance)
    return Evaluation(
        provenance=provenance,
        scores=scores,
        predictions=predictions,
        y=y,
        weight=weight,
        units=groups,
        index=sample.index,
        problems=problems,
        slices=score_slices(sample, slices, wanted, provenance),
        **class_report(counted),
    )


def _train_in_time(train_fn: TrainFn, split: Split, fitter: Fitter) -> TrainedModel | None:
    try:
        return train_fn(split, fitter)
    except TimeUpError:
        return None


def _on_folds(provenance: Provenance, kept: Sequence[int], splits: Sequence[Split], table: Table) -> Provenance:
    """Give the provenance of what was computed on some of the folds."""
    index = distinct_rows(np.concatenate([splits[number].test.index for number in kept]))
    weight = table.weight
    return replace(
        provenance,
        n_rows=len(index),
        rows=tuple(provenance.rows[number] for number in kept),
        selected_on={choice: tuple(rows[number] for number in kept) for choice, rows in provenance.selected_on.items()},
        n_weightless=0 if weight is None else int((weight[index] == 0).sum()),
        n_folds_left_out=len(splits) - len(kept),
    )


def baselines(table: Table, splits: Sequence[Split], fitter: Fitter) -> list[Predictions]:
    """Predict the rows of each split by the class shares of its training rows."""
    # With balanced class weights all classes would be equally frequent to it, which makes it a weaker baseline.
    requests = [FitRequest(BASELINE, {}, split.train, (split.test,), class_weighted=False) for split in splits]
    fit_results = fitter(requests)
    for result in fit_results:
        check_fitted(result)
    return [result.predictions[0] for result in fit_results]


def default_metrics(classes: NDArray[Any], *, has_probabilities: bool) -> list[str]:
    """List the metrics reported when none are named: those that the model and the number of classes allow."""
    target = "binary" if len(classes) == 2 else "multiclass"
    infos = ((name, metric_info(name)) for name in DEFAULT_METRICS)
    return [
        name
        for name, info in infos
        if target in info.default_for and (has_probabilities or not info.needs_probabilities)
    ]


@dataclass(frozen=True, eq=False)
class Sample:
    """Predictions of held-out rows that are scored together."""

    predictions: Predictions
    baseline: Predictions
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    """Units that the bootstrap draws; None for single rows."""
    index: NDArray[np.intp]
    """Position of each row in the table; a row that was predicted twice stands twice."""

    @property
    def n_rows(self) -> int:
        """Number of different rows."""
        return len(distinct_rows(self.index))

    def weighted(self) -> Sample:
        """Leave out the rows of weight zero, which count as if they were not there."""
        return self if self.weight is None or (self.weight > 0).all() else self.take(self.weight > 0)

    def take(self, mask: NDArray[np.bool_]) -> Sample:
        """Pick some of the rows."""
        at = np.flatnonzero(mask)
        return Sample(
            self.predictions.take(at),
            self.baseline.take(at),
            self.y[at],
            None if self.weight is None else self.weight[at],
            None if self.groups is None else self.groups[at],
            self.index[at],
        )


@dataclass(frozen=True, eq=False)
class Folds:
    """The held-out rows of each fold."""

    parts: Sequence[Sample]
    test_to_train: float
    """Test rows of a fold for each training row."""


def wanted_metrics(metrics: Sequence[str], classes: NDArray[Any], positive_class: Any) -> list[Metric]:
    """Give the metrics to compute, accuracy among them."""
    # cv_score, val_score and test_accuracy in the results of run_ml_workflow are accuracies.
    names = list(dict.fromkeys(["accuracy", *metrics]))
    return list(build_metrics(names, classes=classes, positive_class=positive_class).values())


def score_folds(
    folds: Folds, metrics: Sequence[Metric], provenance: Provenance, n_rows: int
) -> tuple[tuple[Score, ...], dict[str, str]]:
    """Score each fold, and give the means with corrected resampled t intervals, and what could not be computed."""
    truth, ratio = [(part.y, part.weight) for part in folds.parts], folds.test_to_train
    predictions, baseline = [part.predictions for part in folds.parts], [part.baseline for part in folds.parts]
    scores: list[Score] = []
    problems: dict[str, str] = {}
    for metric in metrics:
        values, problem = _values(metric, predictions, truth)
        floor, _ = _values(metric, baseline, truth)
        problems |= {metric.name: problem} if problem else {}
        found: dict[str, Any] = {"baseline": float(np.mean(floor)) if floor else None}
        if values:
            interval = corrected_t(values, test_to_train=ratio, within=metric.info.range)
            found |= {"value": float(np.mean(values)), "std": float(np.std(values)), "interval": interval}
        if values and floor and not metric.info.is_trivial:
            found["difference"] = corrected_t_difference(
                values, floor, test_to_train=ratio, greater_is_better=metric.info.greater_is_better
            )
        scores.append(_score(metric, provenance, n_rows, folds=tuple(values), **found))
    return tuple(scores), problems


def score_sample(
    sample: Sample, metrics: Sequence[Metric], provenance: Provenance, *, name: str | None = None
) -> tuple[tuple[Score, ...], dict[str, str]]:
    """Score all rows together, with bootstrap intervals; give the scores, and what could not be computed."""
    truth, both = [(sample.y, sample.weight)], [sample.predictions, sample.baseline]
    n_resamples = RESAMPLES if len(sample.y) <= MANY_ROWS else RESAMPLES_OF_MANY
    drawn = bootstrap(metrics, both, sample.y, weight=sample.weight, groups=sample.groups, n_resamples=n_resamples)
    scores: list[Score] = []
    problems: dict[str, str] = {}
    for number, metric in enumerate(metrics):
        values, problem = _values(metric, both[:1], truth)
        floor, _ = _values(metric, both[1:], truth)
        problems |= {metric.name: problem} if problem else {}
        found: dict[str, Any] = {"baseline": floor[0] if floor else None}
        if values:
            resamples = Resamples(tuple(drawn.scored(0, number).tolist()), drawn.n_units, drawn.drawn)
            found |= {"value": values[0], "interval": drawn.interval(0, number), "resamples": resamples}
        if values and floor and not metric.info.is_trivial:
            found["difference"] = drawn.difference(number, 0, 1, values[0], floor[0])
        scores.append(_score(metric, provenance, sample.n_rows, slice=name, **found))
    return tuple(scores), problems


def score_slices(
    sample: Sample,
    slices: Mapping[str, NDArray[np.bool_]],
    metrics: Sequence[Metric],
    provenance: Provenance,
) -> tuple[Score, ...]:
    """Score each slice; one of few rows, or of one class, gets scores without values."""
    scores: list[Score] = []
    for name, mask in slices.items():
        part = sample.take(mask).weighted()
        if part.n_rows >= FEWEST_ROWS and len(encode_labels(part.y)[0]) > 1:
            scores += score_sample(part, metrics, provenance, name=name)[0]
        else:
            scores += [_score(metric, provenance, part.n_rows, slice=name) for metric in metrics]
    return tuple(scores)


def _values(
    metric: Metric, parts: Sequence[Predictions], truth: Sequence[tuple[NDArray[Any], NDArray[np.float64] | None]]
) -> tuple[list[float], str | None]:
    """Score each part; none, with the reason, when one of them cannot be scored."""
    values: list[float] = []
    for number, (part, (y, weight)) in enumerate(zip(parts, truth, strict=True), start=1):
        where = f" in fold {number}" if len(parts) > 1 else ""
        try:
            value = metric(part, y, weight)
        except Exception as error:
            raise_if_bug(error)
            return [], f"{metric.name} could not be computed{where}: {error}"
        if not np.isfinite(value):
            return [], f"{metric.name} could not be computed{where}: it is not defined for rows like these"
        values.append(value)
    return values, None


def _score(metric: Metric, provenance: Provenance, n_rows: int, **found: Any) -> Score:
    return Score(
        metric=metric.name,
        provenance=provenance,
        n_rows=n_rows,
        **found,
    )


def class_report(sample: Sample) -> dict[str, Any]:
    """Give precision, recall and F1 of each class, and the confusion matrix."""
    classes, undefined = sample.predictions.classes, np.nan
    # Numbers, since texts are sorted anew for each count.
    y, predicted = codes_of(sample.y, classes), codes_of(sample.predictions.labels, classes)
    labels = np.arange(len(classes))
    parts = precision_recall_fscore_support(
        y, predicted, labels=labels, zero_division=undefined, sample_weight=sample.weight
    )
    counts = confusion_matrix(y, predicted, labels=labels)
    report = [
        ClassReport(
            str(label),
            # A row that was predicted twice is one row.
            len(distinct_rows(sample.index[y == at])),
            *(None if np.isnan(part[at]) else float(part[at]) for part in parts[:3]),
        )
        for at, label in enumerate(classes.tolist())
    ]
    return {"classes": tuple(report), "confusion": tuple(tuple(map(int, row)) for row in counts)}


def _folds(
    predictions: Sequence[Predictions | None], baseline: Sequence[Predictions], table: Table, splits: Sequence[Split]
) -> Folds:
    parts = [
        Sample(part, floor, table.y_of(split.test), table.weight_of(split.test), None, split.test.index).weighted()
        for part, floor, split in zip(predictions, baseline, splits, strict=True)
        if part is not None
    ]
    return Folds(parts, float(np.mean([len(split.test) / len(split.train) for split in splits])))


def _pooled(
    predictions: Sequence[Predictions | None],
    baseline: Sequence[Predictions],
    table: Table,
    splits: Sequence[Split],
    rows: Rows,
) -> Sample:
    """Put the test rows of all folds together."""
    pooled, floor = _stacked(predictions, splits, rows), _stacked(baseline, splits, rows)
    index = pooled.rows.index
    # Two predictions of one row are no independent rows.
    is_repeated = table.groups is None and len(distinct_rows(index)) < len(index)
    groups = index if is_repeated else table.groups_of(pooled.rows)
    y, weight = table.y_of(pooled.rows), table.weight_of(pooled.rows)
    return Sample(pooled.predictions, floor.predictions, y, weight, groups, index)


def _stacked(predictions: Sequence[Predictions | None], splits: Sequence[Split], rows: Rows) -> OutOfFold:
    return stack([FitResult(predictions=(part,)) for part in predictions if part is not None], splits, rows)
