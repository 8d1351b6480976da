"""Estimate scores on rows that had no say in the model, beside those of a model that knows only the class shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import Pipeline

from mlwf.engine.asks import Answer, Ask, Fitter, Predictions
from mlwf.engine.chain import Chain, OutOfFold, Trained, at_once, stack
from mlwf.engine.intervals import bootstrap, corrected_t, corrected_t_difference
from mlwf.engine.metrics import Metric, build_metrics
from mlwf.engine.rows import Rows, Split, Splitter, Table
from mlwf.errors import FitError
from mlwf.results import ClassReport, Judgement, Score, Source

BASELINE = Pipeline([("classifier", DummyClassifier(strategy="prior"))])

FEWEST_ROWS = 30
"""In fewer rows a slice's scores say nothing."""

TRIVIAL = {"ece"}
"""Metrics by which the baseline is nearly perfect: it is calibrated, whatever it knows."""

NO_SLICES: Mapping[str, NDArray[np.bool_]] = {}


@dataclass(frozen=True)
class Circumstances:
    """What must be said beside every number."""

    source: Source
    note: str
    tuned_on_same_rows: bool = False
    rows: tuple[str, ...] = ()
    """Names of the judged rows, one for each fold."""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was chosen, and on which rows: one name for each fold."""


def cross_validate(
    chain: Chain,
    table: Table,
    rows: Rows,
    splitter: Splitter,
    fit: Fitter,
    *,
    metrics: Sequence[str],
    positive_class: Any = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    choices: Callable[[Trained], Mapping[str, Any]] | None = None,
    circumstances: Circumstances,
) -> Judgement:
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
    judged = _Judged(
        parts=[part.predictions for part in trained if part.predictions is not None],
        baselines=known,
        y=[table.y_of(split.test) for split in splits],
        weight=[table.weight_of(split.test) for split in splits],
        test_to_train=float(np.mean([len(split.test) / len(split.train) for split in splits])),
    )
    wanted = _wanted(metrics, table.classes, positive_class)
    scores, problems = _score_folds(judged, wanted, circumstances, len(np.unique(said.rows.index)))
    index = said.rows.index
    pooled = replace(circumstances, note=f"{circumstances.note}; all folds together")
    whole = _Sample(
        said.predictions,
        floor.predictions,
        table.y_of(said.rows),
        table.weight_of(said.rows),
        # A row that was judged twice is no further evidence.
        index if table.groups is None and len(np.unique(index)) < len(index) else table.groups_of(said.rows),
        index,
    )
    return Judgement(
        source=circumstances.source,
        scores=scores,
        predictions=said.predictions,
        y=whole.y,
        note=circumstances.note,
        problems=problems,
        slices=_score_slices(whole, {name: mask[index] for name, mask in slices.items()}, wanted, pooled),
        choices=() if choices is None else tuple(choices(part) for part in trained),
        **_class_report(whole),
    )


def judge(
    predictions: Predictions,
    y: NDArray[Any],
    *,
    weight: NDArray[np.float64] | None,
    baseline: Predictions,
    metrics: Sequence[str],
    positive_class: Any = None,
    groups: NDArray[Any] | None = None,
    slices: Mapping[str, NDArray[np.bool_]] = NO_SLICES,
    circumstances: Circumstances,
) -> Judgement:
    """Score predictions of rows that had no say in the model: a hold-out or a test set.

    Intervals are of a bootstrap of the rows, or of whole groups. `slices` say which of the judged
    rows are in each slice: booleans of shape (n_rows,).
    """
    wanted = _wanted(metrics, predictions.classes, positive_class)
    sample = _Sample(predictions, baseline, y, weight, groups, np.arange(len(y)))
    scores, problems = _score_sample(sample, wanted, circumstances)
    return Judgement(
        source=circumstances.source,
        scores=scores,
        predictions=predictions,
        y=y,
        note=circumstances.note,
        problems=problems,
        slices=_score_slices(sample, slices, wanted, circumstances),
        **_class_report(sample),
    )


def baselines(table: Table, splits: Sequence[Split], fit: Fitter) -> list[Predictions]:
    """Predict the rows of each split by the class shares of its training rows."""
    # Classes that are weighted alike would be equally frequent to it, and easier to do better than.
    answers = fit([Ask(BASELINE, {}, split.train, (split.test,), class_weighted=False) for split in splits])
    for answer in answers:
        if answer.error:
            raise FitError(answer.error)
    return [answer.predictions[0] for answer in answers]


def default_metrics(classes: NDArray[Any], *, has_probabilities: bool) -> list[str]:
    """List the metrics reported when none are named: those that the model and the number of classes allow."""
    binary = len(classes) == 2
    metrics = ["accuracy", "balanced_accuracy"]
    if binary or has_probabilities:
        metrics.append("roc_auc" if binary else "roc_auc_ovr")
    return [*metrics, "log_loss"] if has_probabilities else metrics


@dataclass(frozen=True, eq=False)
class _Judged:
    """What each fold says, and what is true."""

    parts: Sequence[Predictions]
    baselines: Sequence[Predictions]
    y: Sequence[NDArray[Any]]
    weight: Sequence[NDArray[np.float64] | None]
    test_to_train: float


@dataclass(frozen=True, eq=False)
class _Sample:
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
        return len(np.unique(self.index))

    def take(self, mask: NDArray[np.bool_]) -> _Sample:
        at = np.flatnonzero(mask)
        return _Sample(
            self.predictions.take(at),
            self.baseline.take(at),
            self.y[at],
            None if self.weight is None else self.weight[at],
            None if self.groups is None else self.groups[at],
            self.index[at],
        )


def _wanted(metrics: Sequence[str], classes: NDArray[Any], positive_class: Any) -> list[Metric]:
    # The guide's cv_score, val_score and test_accuracy are accuracies, whatever else was asked for.
    names = list(dict.fromkeys(["accuracy", *metrics]))
    return list(build_metrics(names, classes=classes, positive_class=positive_class).values())


def _stacked(said: Sequence[Predictions | None], splits: Sequence[Split], rows: Rows) -> OutOfFold:
    return stack([Answer(predictions=(part,)) for part in said if part is not None], splits, rows)


def _score_folds(
    judged: _Judged, metrics: Sequence[Metric], circumstances: Circumstances, n_rows: int
) -> tuple[tuple[Score, ...], tuple[str, ...]]:
    scores, problems = [], []
    for metric in metrics:
        truth = list(zip(judged.y, judged.weight, strict=True))
        values, problem = _values(metric, judged.parts, truth)
        floor, _ = _values(metric, judged.baselines, truth)
        problems += [problem] if problem else []
        difference = None
        if values and floor and metric.name not in TRIVIAL:
            difference = corrected_t_difference(
                values, floor, test_to_train=judged.test_to_train, greater_is_better=metric.greater_is_better
            )
        interval = corrected_t(values, test_to_train=judged.test_to_train, within=metric.range) if values else None
        scores.append(
            Score(
                metric=metric.name,
                source=circumstances.source,
                value=float(np.mean(values)) if values else None,
                std=float(np.std(values)) if values else None,
                folds=tuple(values),
                interval=interval,
                baseline=float(np.mean(floor)) if floor else None,
                difference=difference,
                n_rows=n_rows,
                note=circumstances.note,
                rows=circumstances.rows,
                chosen=circumstances.chosen,
                tuned_on_same_rows=circumstances.tuned_on_same_rows,
            )
        )
    return tuple(scores), tuple(problems)


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
            return [], f"{metric.name} could not be computed{where}: {error}"
        if not np.isfinite(value):
            return [], f"{metric.name} could not be computed{where}: it is not defined for rows like these"
        values.append(value)
    return values, None


def _score_sample(
    sample: _Sample, metrics: Sequence[Metric], circumstances: Circumstances, *, name: str | None = None
) -> tuple[tuple[Score, ...], tuple[str, ...]]:
    truth = [(sample.y, sample.weight)]
    found = [_values(metric, [sample.predictions], truth) for metric in metrics]
    floors = [_values(metric, [sample.baseline], truth)[0] for metric in metrics]
    drawn = bootstrap(
        metrics, [sample.predictions, sample.baseline], sample.y, weight=sample.weight, groups=sample.groups
    )
    scores = []
    for number, (metric, (values, _), floor) in enumerate(zip(metrics, found, floors, strict=True)):
        difference = None
        if values and floor and metric.name not in TRIVIAL:
            difference = drawn.difference(number, 0, 1, values[0], floor[0])
        scores.append(
            Score(
                metric=metric.name,
                source=circumstances.source,
                value=values[0] if values else None,
                std=None,
                folds=(),
                interval=drawn.interval(0, number) if values else None,
                baseline=floor[0] if floor else None,
                difference=difference,
                n_rows=sample.n_rows,
                note=circumstances.note,
                rows=circumstances.rows,
                chosen=circumstances.chosen,
                tuned_on_same_rows=circumstances.tuned_on_same_rows,
                slice=name,
            )
        )
    return tuple(scores), tuple(problem for _, problem in found if problem)


def _score_slices(
    sample: _Sample,
    slices: Mapping[str, NDArray[np.bool_]],
    metrics: Sequence[Metric],
    circumstances: Circumstances,
) -> tuple[Score, ...]:
    scores: list[Score] = []
    for name, mask in slices.items():
        part = sample.take(mask)
        if part.n_rows >= FEWEST_ROWS and len(np.unique(part.y)) > 1:
            scores += _score_sample(part, metrics, circumstances, name=name)[0]
        else:
            scores += [_too_few(metric, part.n_rows, circumstances, name) for metric in metrics]
    return tuple(scores)


def _too_few(metric: Metric, n_rows: int, circumstances: Circumstances, name: str) -> Score:
    nothing: dict[str, Any] = dict.fromkeys(("value", "std", "interval", "baseline", "difference"))
    return Score(
        metric=metric.name,
        source=circumstances.source,
        folds=(),
        n_rows=n_rows,
        note=circumstances.note,
        rows=circumstances.rows,
        chosen=circumstances.chosen,
        tuned_on_same_rows=circumstances.tuned_on_same_rows,
        slice=name,
        **nothing,
    )


def _class_report(sample: _Sample) -> dict[str, Any]:
    """Say of each class how often it is found and how often it is meant, and which is taken for which."""
    classes, predicted = sample.predictions.classes, sample.predictions.labels
    undefined = np.nan
    parts = precision_recall_fscore_support(
        sample.y, predicted, labels=classes, zero_division=undefined, sample_weight=sample.weight
    )
    counts = confusion_matrix(sample.y, predicted, labels=classes)
    report = [
        ClassReport(
            str(label), int(count.sum()), *(None if np.isnan(part[at]) else float(part[at]) for part in parts[:3])
        )
        for at, (label, count) in enumerate(zip(classes.tolist(), counts, strict=True))
    ]
    return {"classes": tuple(report), "confusion": tuple(tuple(map(int, row)) for row in counts)}
