"""How good a model is on rows that had no say in it, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import Pipeline

from mlwf.engine.requests import FitRequest, FitResult, Fitter
from mlwf.engine.training import OutOfFold, TrainedModel, TrainFn, at_once, stack
from mlwf.errors import FitError, raise_if_bug
from mlwf.evaluation.intervals import bootstrap, corrected_t, corrected_t_difference
from mlwf.evaluation.metrics import Metric, build_metrics
from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.scoring import codes_of
from mlwf.provenance import Provenance
from mlwf.results import ClassReport, Evaluation, Score
from mlwf.specs.catalogue import DEFAULT_METRICS, metric_info
from mlwf.splitting.rows import Rows, Split, Splitter, Table

FEWEST_ROWS = 30
"""In fewer rows a slice's scores say nothing."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that are judged together."""

    predictions: Predictions
    baseline: Predictions
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    """What is drawn as a whole for an interval; None for single rows."""
    index: NDArray[np.intp]
    """Which row it is; one that was judged twice stands twice."""

    @property
    def n_rows(self) -> int:
        """Number of different rows."""
        return len(np.unique(self.index))

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
    """The judged rows of each fold."""

    parts: Sequence[Sample]
    test_to_train: float
    """Rows that are judged in a fold, for each row that is learnt from."""


def wanted_metrics(metrics: Sequence[str], classes: NDArray[Any], positive_class: Any) -> list[Metric]:
    """Give the metrics to compute, accuracy among them."""
    # The guide's cv_score, val_score and test_accuracy are accuracies, whatever else was asked for.
    names = list(dict.fromkeys(["accuracy", *metrics]))
    return list(build_metrics(names, classes=classes, positive_class=positive_class).values())


def score_folds(
    judged: Folds, metrics: Sequence[Metric], provenance: Provenance, n_rows: int
) -> tuple[tuple[Score, ...], dict[str, str]]:
    """Score each fold, and give the means with corrected resampled t intervals, and what could not be computed."""
    truth, ratio = [(part.y, part.weight) for part in judged.parts], judged.test_to_train
    said, guessed = [part.predictions for part in judged.parts], [part.baseline for part in judged.parts]
    scores: list[Score] = []
    problems: dict[str, str] = {}
    for metric in metrics:
        values, problem = _values(metric, said, truth)
        floor, _ = _values(metric, guessed, truth)
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
    """Score all rows together, with bootstrap intervals, and say what could not be computed."""
    truth, both = [(sample.y, sample.weight)], [sample.predictions, sample.baseline]
    drawn = bootstrap(metrics, both, sample.y, weight=sample.weight, groups=sample.groups)
    scores: list[Score] = []
    problems: dict[str, str] = {}
    for number, metric in enumerate(metrics):
        values, problem = _values(metric, both[:1], truth)
        floor, _ = _values(metric, both[1:], truth)
        problems |= {metric.name: problem} if problem else {}
        found: dict[str, Any] = {"baseline": floor[0] if floor else None}
        if values:
            found |= {"value": values[0], "interval": drawn.interval(0, number)}
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
    """Score each slice; in one of few rows, or of one class, nothing can be said."""
    scores: list[Score] = []
    for name, mask in slices.items():
        part = sample.take(mask).weighted()
        if part.n_rows >= FEWEST_ROWS and len(np.unique(part.y)) > 1:
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
    """Say of each class how often it is found and how often it is meant, and which is taken for which."""
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
            # A row that was judged twice is one row.
            len(np.unique(sample.index[y == at])),
            *(None if np.isnan(part[at]) else float(part[at]) for part in parts[:3]),
        )
        for at, label in enumerate(classes.tolist())
    ]
    return {"classes": tuple(report), "confusion": tuple(tuple(map(int, row)) for row in counts)}


BASELINE = Pipeline([("classifier", DummyClassifier(strategy="prior"))])
NO_SLICES: Mapping[str, NDArray[np.bool_]] = {}


def cross_validate(
    chain: TrainFn,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fit: Fitter,
    *,
    metrics: Sequence[str],
    positive_class: Any = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    choices: Callable[[TrainedModel], Mapping[str, Any]] | None = None,
    provenance: Provenance,
) -> Evaluation:
    """Repeat the chain on every fold of `rows` and score the rows that it did not see.

    Without tuning and calibration the scores are those of scikit-learn's `cross_val_score` on the same folds, each with
    a corrected resampled t interval. Slices are scored on the predictions of all folds together.

    Parameters
    ----------
    slices
        For each slice which rows of the table are in it: booleans of shape (n_samples,).
    choices
        What to tell of each fold's chain.

    Raises
    ------
    FitError
        A fit failed.
    """
    splits = splitter(table, rows)
    trained = at_once(lambda split: chain(split, fit), splits)
    known = baselines(table, splits, fit)
    said = _stacked([part.predictions for part in trained], splits, rows)
    floor = _stacked(known, splits, rows)
    judged = Folds(
        parts=[
            Sample(
                part.predictions,
                floor_of_fold,
                table.y_of(split.test),
                table.weight_of(split.test),
                None,
                split.test.index,
            ).weighted()
            for part, floor_of_fold, split in zip(trained, known, splits, strict=True)
            if part.predictions is not None
        ],
        test_to_train=float(np.mean([len(split.test) / len(split.train) for split in splits])),
    )
    wanted = wanted_metrics(metrics, table.classes, positive_class)
    index = said.rows.index
    pooled = replace(provenance, is_pooled=True)
    whole = Sample(
        said.predictions,
        floor.predictions,
        table.y_of(said.rows),
        table.weight_of(said.rows),
        # A row that was judged twice is no further evidence.
        index if table.groups is None and len(np.unique(index)) < len(index) else table.groups_of(said.rows),
        index,
    )
    counting = whole.weighted()
    scores, problems = score_folds(judged, wanted, provenance, counting.n_rows)
    return Evaluation(
        provenance=provenance,
        scores=scores,
        predictions=said.predictions,
        y=whole.y,
        problems=problems,
        slices=score_slices(whole, {name: mask[index] for name, mask in slices.items()}, wanted, pooled),
        choices=() if choices is None else tuple(choices(part) for part in trained),
        **class_report(counting),
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
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    provenance: Provenance,
) -> Evaluation:
    """Score predictions of rows that had no say in the model: a hold-out or a test set.

    Intervals are of a bootstrap of the rows, or of whole groups. `slices` say which of the judged
    rows are in each slice: booleans of shape (n_rows,).
    """
    wanted = wanted_metrics(metrics, predictions.classes, positive_class)
    sample = Sample(predictions, baseline, y, weight, groups, np.arange(len(y)))
    counting = sample.weighted()
    scores, problems = score_sample(counting, wanted, provenance)
    return Evaluation(
        provenance=provenance,
        scores=scores,
        predictions=predictions,
        y=y,
        problems=problems,
        slices=score_slices(sample, slices, wanted, provenance),
        **class_report(counting),
    )


def baselines(table: Table, splits: Sequence[Split], fit: Fitter) -> list[Predictions]:
    """Predict the rows of each split by the class shares of its training rows."""
    # Classes that are weighted alike would be equally frequent to it, and easier to do better than.
    fit_results = fit([FitRequest(BASELINE, {}, split.train, (split.test,), class_weighted=False) for split in splits])
    for result in fit_results:
        if result.error:
            raise FitError(result.error)
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


def _stacked(said: Sequence[Predictions | None], splits: Sequence[Split], rows: Rows) -> OutOfFold:
    return stack([FitResult(predictions=(part,)) for part in said if part is not None], splits, rows)
