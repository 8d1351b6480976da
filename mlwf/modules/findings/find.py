"""What a person should look at before trusting a run: one check for each finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.evaluation.calibration_error import ece_of_draws
from mlwf.evaluation.metrics import build_metric
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.findings.leakage import describe_leaks
from mlwf.results import CalibrationResult, ColumnDrift, Evaluation, Finding, LeakSearch, TuningResult
from mlwf.specs.catalogue import EACH, FINDINGS, SEVERITIES, SOURCES, Severity, metric_info, rank_of
from mlwf.specs.catalogue.metadata import Constraint, meets, metadata
from mlwf.specs.tuning import ParamTuningSpec
from mlwf.splitting.rows import Rows, Split, Table, distinct_rows
from mlwf.text import format_name

MANY_TWINS = 0.01
"""Share of held-out rows with a twin from which scores suffer."""
FEW_ROWS = 30
"""Held-out rows of a class below which its scores are uncertain."""
LARGE_ECE = 0.05
"""Expected calibration error from which calibrating is worth a try; twice as much misleads."""
DRAWS = 100
"""How often labels are drawn to see how large the error is by chance."""
SHOWN = 3
"""How many classes or metrics a sentence names."""
FEWEST_VALUES = 3
"""Fewest values of a parameter that have a middle: of two, one is always at an end."""
MOST_DRIFTED = 6
"""Columns that a sentence names."""
MARGIN = 0.05
"""Share of a distribution at each of its ends that counts as its edge."""
Messages = Iterator[tuple[Severity, str]]


@dataclass(frozen=True)
class Recalled:
    """How many of some new rows are, in features and label, rows that the model was trained on."""

    n_known: int
    n_rows: int
    share_of_twins: float
    """Of the training rows, how many have such a twin among themselves: new rows have as many by chance."""


@dataclass(frozen=True, eq=False)
class FindingInputs:
    """The results of a run, and the rows that they were computed on."""

    table: Table
    rows: Rows
    """The rows that are trained on."""
    splits: Sequence[Split]
    """By which the scores of the validation were made; none without one."""
    leaks: LeakSearch | None
    """What the search for leaks found; None where it did not run."""
    identifiers: Mapping[str, str]
    """Why a used column looks like an identifier, by column."""
    evaluations: Sequence[Evaluation]
    """Of the validation and of the test set, where there are such."""
    tuned: TuningResult | None
    tuning: ParamTuningSpec | None
    algorithm: str
    calibration: CalibrationResult | None
    digests: NDArray[np.uint64]
    """One hash for each row of the table, equal for identical rows, of shape (n_samples,)."""
    test_digests: NDArray[np.uint64] | None
    """The same of the test set."""
    degraded: Mapping[str, str]
    """Why a phase degraded, by phase."""
    drift: Sequence[ColumnDrift] = ()
    """How far new rows are from those of the training; none in a training."""
    recalled: Recalled | None = None
    """Which new rows are training rows; None in a training, or where that is not known."""

    @property
    def evaluation(self) -> Evaluation | None:
        """The best evaluation: of the test set, else of the hold-out, else of cross-validation."""
        return min(self.evaluations, key=lambda evaluation: rank_of(evaluation.source), default=None)

    @property
    def held_out_rows(self) -> NDArray[np.intp]:
        """Number the rows of the best evaluation: a row that is predicted in several repeats has one number."""
        evaluation = self.evaluation
        n_rows = 0 if evaluation is None else len(evaluation.y)
        if evaluation is not None and evaluation.source == "cross_validation" and self.splits:
            numbers = np.sort(np.concatenate([self.rows.positions_of(split.test) for split in self.splits]))
            assert len(numbers) == n_rows
            return numbers
        return np.arange(n_rows)


def find(inputs: FindingInputs, *, ignore: Collection[str] = ()) -> tuple[Finding, ...]:
    """Run the checks; give the findings, the severest first, then in the order of `FINDINGS`.

    Codes in `ignore` are not computed.
    """
    found = [finding for code in FINDINGS if code not in ignore for finding in _check(code, inputs)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def find_grid_edge(tuned: TuningResult, tuning: ParamTuningSpec, algorithm: str) -> Iterator[tuple[Severity, str]]:
    """Find numbers that are best at an end of what was tried, where scikit-learn would accept numbers beyond."""
    best = _equally_good(tuned)
    for name, tried in _space(tuning, tuned.best_params).items():
        span = _span(tried)
        if span is None:
            continue
        sides = {span.side(params.get(name)) for params in best}
        # If an equally good candidate is not at that end, widening the grid would not help.
        side = sides.pop() if len(sides) == 1 else None
        value = tuned.best_params[name]
        if side and side not in span.closed and _accepts_beyond(algorithm, name, value, span, side):
            yield "info", _sentence(name, value, span, side)


def _check(code: str, inputs: FindingInputs) -> Iterator[Finding]:
    for severity, message in CHECKS[code](inputs):
        if severity not in FINDINGS[code].severities:
            raise AssertionError(f"{code} is not said to be of severity {severity}")
        yield Finding(code, severity, message, see=f"README.md#{code}")


def _leakage(inputs: FindingInputs) -> Messages:
    return describe_leaks(inputs.leaks) if inputs.leaks is not None else iter(())


def _identifiers(inputs: FindingInputs) -> Messages:
    for column, why in inputs.identifiers.items():
        yield (
            "warning",
            f"{format_name(column)} is a feature and looks like an identifier ({why}): new rows will have other values",
        )


def _duplicates(inputs: FindingInputs) -> Messages:
    """Count the held-out rows that are identical to a training row in all columns, or new rows in the features."""
    if inputs.recalled is not None:
        yield from _recalled(inputs.recalled)
        return
    digests = inputs.digests
    held_out = np.zeros(len(digests), dtype=bool)
    twins = np.zeros(len(digests), dtype=bool)
    codes = pd.factorize(digests)[0]
    occurs_twice = np.bincount(codes)[codes] > 1
    for split in inputs.splits:
        held_out[split.test.index] = True
        tested, trained = (rows.index[occurs_twice[rows.index]] for rows in (split.test, split.train))
        twins[tested] |= np.isin(codes[tested], codes[trained])
    counts = [("validation", int(twins.sum()), int(held_out.sum()))]
    if inputs.test_digests is not None:
        known = np.isin(inputs.test_digests, digests[inputs.rows.index])
        counts.append(("test", int(known.sum()), len(known)))
    counts = [(name, n_twins, n_rows) for name, n_twins, n_rows in counts if n_twins]
    if counts:
        largest = max(n_twins / n_rows for _, n_twins, n_rows in counts)
        shares = " and ".join(f"{n:,} of {of:,} {name} rows ({_percent(n / of)})" for name, n, of in counts)
        message = f"{shares} have an identical twin among the rows learnt from: they are recalled, not predicted"
        yield "warning" if largest >= MANY_TWINS else "info", message


def _recalled(found: Recalled) -> Messages:
    share, twins = found.n_known / max(1, found.n_rows), found.share_of_twins
    by_chance = twins + 2 * math.sqrt(twins * (1 - twins) / max(1, found.n_rows))
    if share <= by_chance:
        return
    message = (
        f"{found.n_known:,} of {found.n_rows:,} new rows ({_percent(share)}) are, in features and label, rows that the "
        "model was trained on: they are recalled, not predicted"
    )
    if twins:
        message += f"; of the training rows, {_percent(twins)} have such a twin among themselves"
    yield "warning" if share - by_chance >= MANY_TWINS else "info", message


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "under 0.1 %"


def _no_better_than_baseline(inputs: FindingInputs) -> Messages:
    evaluation = inputs.evaluation
    scored = evaluation.scores if evaluation else ()
    scores = [score for score in scored if not metric_info(score.metric).is_easily_beaten]
    compared = [(score, score.difference) for score in scores if score.difference is not None]
    # A difference without a spread proves nothing; a better score may be real then.
    if any(difference.value > 0 and difference.distinguishable is not False for _, difference in compared):
        return
    comparisons = [
        f"{score.metric} {score.value:.4f} against {score.baseline:.4f}"
        for score, difference in compared
        if difference.distinguishable is not None and score.value is not None and score.baseline is not None
    ]
    if evaluation and comparisons:
        better = "no better than a model that knows only the class shares"
        yield (
            "error",
            f"{better}, as far as can be told {SOURCES[evaluation.source].where}: {', '.join(comparisons[:SHOWN])}",
        )


def _grid_edge(inputs: FindingInputs) -> Messages:
    if inputs.tuned is None or inputs.tuning is None:
        return iter(())
    return find_grid_edge(inputs.tuned, inputs.tuning, inputs.algorithm)


def _rare_classes(inputs: FindingInputs) -> Messages:
    evaluation = inputs.evaluation
    if evaluation is None:
        return
    labels = inputs.table.classes
    counts = [len(distinct_rows(inputs.held_out_rows[np.asarray(evaluation.y) == label])) for label in labels]
    rare = sorted((count, str(label)) for label, count in zip(labels, counts, strict=True) if count < FEW_ROWS)
    if not rare:
        return
    named = ", ".join(f"{format_name(label)} ({count})" for count, label in rare[:SHOWN])
    more = f" and {len(rare) - SHOWN} more" if len(rare) > SHOWN else ""
    few = f"fewer than {FEW_ROWS} scored rows {SOURCES[evaluation.source].where}"
    subject = "such classes" if rare[1:] else "it"
    yield "warning", f"{few}: {named}{more}; what the scores say of {subject} may be chance"


def _uncalibrated(inputs: FindingInputs) -> Messages:
    evaluation = inputs.evaluation
    if evaluation is None or evaluation.predictions.proba is None or inputs.calibration is not None:
        return
    metric = build_metric("ece", classes=evaluation.predictions.classes)
    ece = metric(evaluation.predictions, evaluation.y)
    if ece > LARGE_ECE and ece > _ece_by_chance(evaluation.predictions, inputs.held_out_rows):
        hint = "see why calibration failed" if "calibrate" in inputs.degraded else "add a calibration section"
        where = SOURCES[evaluation.source].where
        off = f"the probabilities are {ece:.3f} off on average {where} (expected calibration error)"
        yield "warning" if ece > 2 * LARGE_ECE else "info", f"{off}: {hint}"


def _ece_by_chance(predictions: Predictions, rows: NDArray[np.intp]) -> float:
    """Compute what 95 % of draws stay below in which the probabilities are right (Broecker & Smith 2007).

    With a few hundred rows it is above LARGE_ECE, debiased though it is.
    """
    assert predictions.proba is not None
    draw, error = np.random.default_rng(0), ece_of_draws(predictions, predictions.classes[-1])
    ends = predictions.proba.cumsum(axis=1)[:, :-1]
    distinct = distinct_rows(rows)
    # Rows that were predicted several times are drawn once.
    number = None if np.array_equal(distinct, rows) else np.searchsorted(distinct, rows)
    errors = []
    for _ in range(DRAWS):
        chance = draw.random((len(distinct), 1))
        chance = chance if number is None else chance[number]
        errors.append(error((chance > ends).sum(axis=1)))
    return float(np.quantile(errors, 0.95))


def _degraded(inputs: FindingInputs) -> Messages:
    for phase, reason in inputs.degraded.items():
        yield "warning", f"{phase} was given up, and the run went on without it: {reason}"


def _drift(inputs: FindingInputs) -> Messages:
    drifted = [each for each in inputs.drift if each.has_drifted]
    if drifted:
        named = ", ".join(f"{format_name(each.column)} ({each.distance:.2f})" for each in drifted[:MOST_DRIFTED])
        more = f" and {len(drifted) - MOST_DRIFTED} more" if len(drifted) > MOST_DRIFTED else ""
        yield "warning", f"distributed otherwise than in the training, by the Jensen-Shannon distance: {named}{more}"


def _equally_good(tuned: TuningResult) -> list[Mapping[str, Any]]:
    results = tuned.cv_results
    ranks = results.get("rank_test_score", results.get(f"rank_test_{tuned.scoring}"))
    # Only the last rung of a halving search chose; before it candidates were tried on less.
    rungs = results.get("iter", [0] * len(ranks))
    chosen = (ranks[tuned.best_index], rungs[tuned.best_index])
    return [params for params, *place in zip(results["params"], ranks, rungs, strict=True) if tuple(place) == chosen]


def _space(tuning: ParamTuningSpec, best_params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the values or the distribution of each parameter, from the grid that the best candidate is of."""
    # A halving search sets its resource besides.
    return next((grid for grid in tuning.space if set(grid) <= set(best_params) and _contains(grid, best_params)), {})


def _contains(grid: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    return all(not isinstance(tried, list) or params[name] in tried for name, tried in grid.items())


@dataclass(frozen=True)
class _Span:
    low: float
    high: float
    distribution: str = ""
    scale: Callable[[float], float] = float
    margin: float = 0.0
    closed: Sequence[str] = ()
    """Sides on which something was tried that lies beyond all numbers."""

    def side(self, value: Any) -> str | None:
        """Give at which end a value is: `lower`, `upper` or neither."""
        if not _is_finite(value):
            return None
        low, high = self.scale(self.low), self.scale(self.high)
        share = (self.scale(value) - low) / (high - low)
        return "lower" if share <= self.margin else "upper" if share >= 1 - self.margin else None


def _span(tried: Any) -> _Span | None:
    if isinstance(tried, Mapping) and EACH not in tried:
        ((kind, (low, high)),) = tried.items()
        return SPANS[kind](low, high) if kind in SPANS else None
    tried = tried[EACH] if isinstance(tried, Mapping) else tried
    numbers = {value for value in tried if _is_finite(value)}
    if len(numbers) < FEWEST_VALUES:
        return None
    # No limit at all is what null means for depths and leaves.
    unlimited = any(value is None or value == math.inf for value in tried)
    return _Span(min(numbers), max(numbers), closed=["upper"] if unlimited else [])


def _is_finite(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _randint(low: int, high: int) -> _Span | None:
    if high - low < FEWEST_VALUES:
        return None
    return _Span(low, high - 1, f"randint [{low}, {high}]", margin=MARGIN)


def _lograndint(low: int, high: int) -> _Span | None:
    if high - low < FEWEST_VALUES:
        return None
    return _Span(low, high - 1, f"lograndint [{low}, {high}]", math.log, MARGIN)


SPANS: dict[str, Callable[[Any, Any], _Span | None]] = {
    "uniform": lambda low, high: _Span(low, high, f"uniform [{low}, {high}]", margin=MARGIN),
    "loguniform": lambda low, high: _Span(low, high, f"loguniform [{low}, {high}]", math.log, MARGIN),
    "randint": _randint,
    "lograndint": _lograndint,
}


def _accepts_beyond(algorithm: str, name: str, best: Any, span: _Span, side: str) -> bool:
    """Whether the classifier takes numbers beyond that end; of the preprocessor's nothing is known."""
    known = metadata()["algorithms"]
    step, _, hyperparameter = name.partition("__")
    if step != "classifier" or algorithm not in known or hyperparameter not in known[algorithm]["parameters"]:
        return False
    accepts = known[algorithm]["parameters"][hyperparameter]["accepts"]
    return any(_has_room(constraint, span, side) for constraint in accepts if meets(best, constraint))


def _has_room(constraint: Constraint, span: _Span, side: str) -> bool:
    if side == "upper":
        return span.high < min(constraint.get("max", math.inf), constraint.get("below", math.inf))
    return span.low > max(constraint.get("min", -math.inf), constraint.get("above", -math.inf))


def _sentence(name: str, best: Any, span: _Span, side: str) -> str:
    value = f"{name} = {best:.6g} was best"
    if span.distribution:
        ends = "upwards" if side == "upper" else "downwards"
        return f"{value}, near the {side} end of {span.distribution}: widen it {ends}"
    most, more = ("highest", "higher") if side == "upper" else ("lowest", "lower")
    return f"{value}, the {most} of the values tried: try {more} ones too"


CHECKS: dict[str, Callable[[FindingInputs], Messages]] = {
    "leakage": _leakage,
    "identifier": _identifiers,
    "duplicates": _duplicates,
    "no_better_than_baseline": _no_better_than_baseline,
    "grid_edge": _grid_edge,
    "rare_class": _rare_classes,
    "uncalibrated": _uncalibrated,
    "degraded": _degraded,
    "drift": _drift,
}
"""The check of each finding in `FINDINGS`; it yields a severity and a message for each place."""
