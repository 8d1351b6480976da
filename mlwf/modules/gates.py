"""Quality gates: what a run was to reach, what it has, and whether that is enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mlwf.errors import Problem, nearest
from mlwf.results import Difference, Evaluation, Finding, GateResult, Interval, Score
from mlwf.specs.catalogue import SOURCES, TRAINING_SOURCES, UNSEEN, Source
from mlwf.specs.experiment import BASELINE, GateSpec
from mlwf.specs.slice_spec import parse_slice

NEW_ROWS: Source = "new_rows"
ROUNDING = 1e-12
"""Numbers that are equal on paper differ by less."""


@dataclass(frozen=True)
class Comparison:
    """What comparing the run with a registered model on one metric gave."""

    difference: Difference | None
    """How much better the run's model is; None when it was refused, or could not be computed."""
    note: str = ""
    """Which rows it was compared on."""
    refused: str | None = None
    """Why there is no difference."""
    opponent: str | None = None
    """The version that its URI names, such as `models:/census/3`."""


Compare = Callable[[str, str, Source], Comparison]
"""Compares the run with the model of that URI, on a metric, on the rows of a source."""


def check_gates(
    gates: Sequence[GateSpec],
    *,
    evaluations: Sequence[Evaluation],
    findings: Sequence[Finding] | None,
    compare: Compare,
) -> tuple[GateResult, ...]:
    """Compare the numbers and findings of a run with its gates.

    A gate is on the source that it names, else on the best that the run has: test set, hold-out, cross-validation. A
    number or an interval that does not exist is a gate that is not met, and so are findings that were not looked for:
    `findings` is None then.
    """
    inputs = GateInputs(evaluations, findings, compare)
    return tuple(_kind_of(gate).check(gate, inputs) for gate in gates)


def check_gates_can_be_met(
    gates: Sequence[GateSpec], *, metrics: Sequence[str], sources: Collection[Source], slices: Collection[str]
) -> list[Problem]:
    """List the gates on what the run will not compute, now that its data is known.

    Parameters
    ----------
    metrics
        What the run computes, the defaults among it.
    sources
        Where its numbers will come from.
    slices
        The slices that it reports, each in its canonical text.
    """
    return [
        problem
        for number, gate in enumerate(gates)
        if gate.metric is not None
        for problem in (
            *_metric_problems(gate, f"gates.{number}", metrics),
            *_source_problems(gate, f"gates.{number}", sources),
            *_slice_problems(gate, f"gates.{number}", slices),
        )
    ]


def check_champion_gate(gate: GateSpec, source: Source | None, compared: Comparison) -> GateResult:
    """Check a gate against a registered model by a comparison of two runs that have ended."""
    gain = _gain_on_champion(gate, compared)
    return GateResult(
        f"{gate.metric} {_opponent_demand(gate)}",
        gain.text,
        passed=_passes(gate, gain, is_strict=True),
        source=source,
        note=compared.note,
        opponent=compared.opponent,
    )


def compares_with_registered_model(gate: GateSpec) -> bool:
    """Whether a gate is against a registered model."""
    return gate.beats not in (None, BASELINE)


def source_of(gate: GateSpec, sources: Collection[Source]) -> Source | None:
    """Give the source whose number a gate is on, among those that there are; None when there is none."""
    usable = [*UNSEEN, NEW_ROWS] if compares_with_registered_model(gate) else [*SOURCES]
    return next((each for each in usable if each in sources and gate.source in (None, each)), None)


@dataclass(frozen=True)
class GateInputs:
    """What gates are checked against."""

    evaluations: Sequence[Evaluation]
    findings: Sequence[Finding] | None
    compare: Compare


@dataclass(frozen=True)
class GateKind:
    """A kind of gate: which gates are of it, and how they are checked."""

    includes: Callable[[GateSpec], bool]
    check: Callable[[GateSpec, GateInputs], GateResult]


@dataclass(frozen=True)
class _Measured:
    """A number that is compared with a gate."""

    text: str
    margin: float
    """How far it lies on the right side of the gate's limits; minus infinity when there is no number."""


Measure = Callable[[GateSpec, Sequence[Score], Evaluation, Compare], tuple[Sequence[_Measured], str, str | None]]
"""Gives the number of each score, a note on how they were got, and which registered version they are against."""


def _check_finding(gate: GateSpec, inputs: GateInputs) -> GateResult:
    required = f"no finding {gate.finding}"
    if inputs.findings is None:
        return GateResult(required, "findings could not be looked for", passed=False, source=None)
    messages = [finding.message for finding in inputs.findings if finding.code == gate.finding]
    return GateResult(required, "; ".join(messages) or "none", passed=not messages, source=None)


def _check_metric(
    gate: GateSpec, inputs: GateInputs, *, demand: Callable[[GateSpec], str], measure: Measure, is_strict: bool = False
) -> GateResult:
    required = f"{gate.metric} {demand(gate)}"
    source = source_of(gate, [evaluation.source for evaluation in inputs.evaluations])
    evaluation = next((evaluation for evaluation in inputs.evaluations if evaluation.source == source), None)
    if source is None or evaluation is None:
        usual = UNSEEN if compares_with_registered_model(gate) else TRAINING_SOURCES
        wanted: Sequence[Source] = [gate.source] if gate.source else usual
        return GateResult(
            required, "; ".join(SOURCES[each].lacking for each in wanted), passed=False, source=gate.source
        )
    scores = [score for score in (*evaluation.scores, *evaluation.slices) if _is_score_of(score, gate)]
    if not scores:
        return GateResult(required, "the run has not computed it", passed=False, source=source)
    measured, note, opponent = measure(gate, scores, evaluation, inputs.compare)
    # A column is a slice for each of its values: all of them have to do, and the one with the least margin is shown.
    least, score = min(zip(measured, scores, strict=True), key=lambda pair: pair[0].margin)
    where = f" where {score.slice}" if gate.slice is not None and parse_slice(gate.slice).operator is None else ""
    passed = _passes(gate, least, is_strict=is_strict)
    # How the rows were split is no caveat.
    notes = "; ".join(filter(None, [note, *scores[0].provenance.remarks]))
    return GateResult(required, f"{least.text}{where}", passed=passed, source=source, note=notes, opponent=opponent)


def _passes(gate: GateSpec, measured: _Measured, *, is_strict: bool) -> bool:
    return measured.margin > ROUNDING if is_strict and gate.by is None else measured.margin >= -ROUNDING


def _is_score_of(score: Score, gate: GateSpec) -> bool:
    if score.metric != gate.metric or (score.slice is None) != (gate.slice is None):
        return False
    return score.slice is None or _is_in(score.slice, gate.slice or "")


def _bounds_demand(gate: GateSpec) -> str:
    bounds = {"at least": gate.min, "at most": gate.max}
    limits = " and ".join(f"{words} {bound:.12g}" for words, bound in bounds.items() if bound is not None)
    return limits + _where(gate) + _which_end(gate, "its")


def _measure_bounds(
    gate: GateSpec, scores: Sequence[Score], evaluation: Evaluation, compare: Compare
) -> tuple[Sequence[_Measured], str, str | None]:
    """Take each score, or an end of its interval."""
    limits = [end for end in (gate.min, gate.max) if end is not None]

    def margin(number: float) -> float:
        above = math.inf if gate.min is None else number - gate.min
        below = math.inf if gate.max is None else gate.max - number
        return min(above, below)

    return (
        [
            _measured(gate, score.value, score.interval, _why_no_interval(score), limits, margin)
            if score.value is not None
            else _Measured(_why_no_value(score, evaluation), -math.inf)
            for score in scores
        ],
        "",
        None,
    )


def _opponent_demand(gate: GateSpec) -> str:
    opponent = "the baseline" if gate.beats == BASELINE else gate.beats
    demand = f"at least as good as {opponent}" if gate.by == 0 else f"better than {opponent}"
    margin = f" by {gate.by:g}" if gate.by else ""
    return demand + margin + _where(gate) + _which_end(gate, "the difference's")


def _measure_baseline(
    gate: GateSpec, scores: Sequence[Score], evaluation: Evaluation, compare: Compare
) -> tuple[Sequence[_Measured], str, str | None]:
    """Take the difference of each score from the baseline's."""
    return (
        [_measured_gain(gate, score.difference, "there is no baseline to compare with") for score in scores],
        "",
        None,
    )


def _measure_champion(
    gate: GateSpec, scores: Sequence[Score], evaluation: Evaluation, compare: Compare
) -> tuple[Sequence[_Measured], str, str | None]:
    """Take the difference from the registered model's score on all rows: such a gate has no slice."""
    compared = compare(gate.beats or "", gate.metric or "", evaluation.source)
    return [_gain_on_champion(gate, compared)], compared.note, compared.opponent


def _gain_on_champion(gate: GateSpec, compared: Comparison) -> _Measured:
    return _measured_gain(gate, compared.difference, compared.refused or "it could not be computed")


KINDS: dict[str, GateKind] = {
    "finding": GateKind(lambda gate: gate.finding is not None, _check_finding),
    "champion": GateKind(
        compares_with_registered_model,
        partial(_check_metric, demand=_opponent_demand, measure=_measure_champion, is_strict=True),
    ),
    "baseline": GateKind(
        lambda gate: gate.beats is not None,
        partial(_check_metric, demand=_opponent_demand, measure=_measure_baseline, is_strict=True),
    ),
    "bounds": GateKind(
        lambda gate: gate.metric is not None, partial(_check_metric, demand=_bounds_demand, measure=_measure_bounds)
    ),
}
"""The kinds of gates; a gate is of the first that includes it. Strict ones demand a difference above zero."""


def _kind_of(gate: GateSpec) -> GateKind:
    return next(kind for kind in KINDS.values() if kind.includes(gate))


def _measured_gain(gate: GateSpec, difference: Difference | None, why_none: str) -> _Measured:
    """Take a difference, or an end of its interval."""
    if difference is None:
        return _Measured(f"not compared: {why_none}", -math.inf)
    by = gate.by or 0.0
    gain = _measured(
        gate,
        difference.value,
        difference.interval,
        "nothing to compute its spread from",
        [by],
        lambda number: number - by,
    )
    return _Measured(f"better by {gain.text}", gain.margin)


def _measured(
    gate: GateSpec,
    value: float,
    interval: Interval | None,
    why_no_interval: str,
    limits: Sequence[float],
    margin: Callable[[float], float],
) -> _Measured:
    text = _format(value, limits)
    if interval is None:
        if gate.bound != "point":
            return _Measured(f"{text}, no interval: {why_no_interval}", -math.inf)
        return _Measured(text, margin(value))
    number = {"point": value, "lower": interval.low, "upper": interval.high}[gate.bound]
    low, high = _format(interval.low, limits), _format(interval.high, limits)
    return _Measured(f"{text} [{low}, {high}]", margin(number))


def _format(number: float, limits: Sequence[float]) -> str:
    """Write a number with four decimals, or as many more as show on which side of a limit it is."""
    places = 4
    while places < 12 and any(
        abs(number - limit) > ROUNDING and round(number, places) == round(limit, places) for limit in limits
    ):
        places += 1
    # Zero is added lest one be shown as -0.
    return f"{round(number, places) + 0.0:.{places}f}"


def _is_in(text: str, wanted_text: str) -> bool:
    """Whether a slice is the wanted one, or a value of the wanted column."""
    part, wanted = parse_slice(text), parse_slice(wanted_text)
    if wanted.operator is None:
        return part.operator == "=" and part.column == wanted.column
    return part == wanted


def _why_no_value(score: Score, evaluation: Evaluation) -> str:
    if score.slice is None:
        return evaluation.problems.get(score.metric, "it could not be computed")
    return f"n/a: {score.n_rows:,} rows are too few, or of one class"


def _why_no_interval(score: Score) -> str:
    return "all folds agree" if score.folds else "all resamples agree, or it is undefined in most"


def _where(gate: GateSpec) -> str:
    if gate.slice is None:
        return ""
    part = parse_slice(gate.slice)
    return f" for each value of {part}" if part.operator is None else f" where {part}"


def _which_end(gate: GateSpec, whose: str) -> str:
    return "" if gate.bound == "point" else f" ({gate.bound} end of {whose} 95 % interval)"


def _metric_problems(gate: GateSpec, key: str, metrics: Sequence[str]) -> Iterator[Problem]:
    if gate.metric is not None and gate.metric not in metrics:
        message = f"is {gate.metric!r}, which the run does not compute"
        yield Problem("", f"{key}.metric", message, nearest(gate.metric, metrics))


def _source_problems(gate: GateSpec, key: str, sources: Collection[Source]) -> Iterator[Problem]:
    if source_of(gate, sources) is not None:
        return
    if gate.source is not None:
        usable = [each for each in sources if not compares_with_registered_model(gate) or each in UNSEEN]
        hint = nearest(gate.source, usable) if usable else "leave the gate out"
        yield Problem("", f"{key}.source", f"is {gate.source!r}, and {SOURCES[gate.source].lacking}", hint)
    elif compares_with_registered_model(gate):
        message = f"is {gate.beats!r}, a registered model, which is compared on a test set or a hold-out only"
        yield Problem("", f"{key}.beats", message, "give test rows, or set validation.strategy: train_test")
    else:
        message = "has no rows to be computed on: there is neither a validation nor a test set"
        yield Problem("", f"{key}.metric", message, "set validation.strategy, or give test rows")


def _slice_problems(gate: GateSpec, key: str, slices: Collection[str]) -> Iterator[Problem]:
    if gate.slice is None or any(_is_in(text, gate.slice) for text in slices):
        return
    message = f"is {gate.slice!r}, which is no slice of these rows"
    hint = nearest(str(parse_slice(gate.slice)), slices) if slices else "validation.slices lists none"
    yield Problem("", f"{key}.slice", message, hint)
