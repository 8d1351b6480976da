"""Quality gates: what the run was to reach, what it has, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from mlwf.errors import Problem, nearest
from mlwf.provenance import Source
from mlwf.results import Difference, Evaluation, Finding, GateResult, Interval, Score
from mlwf.specs.gates import BASELINE, GateSpec
from mlwf.specs.slices import parse_slice

BEST_FIRST: tuple[Source, ...] = ("test", "train_test", "cross_validation")
"""Where numbers come from, the most trustworthy first."""

COMPARED_ON: tuple[Source, ...] = ("test", "train_test")
"""Rows that a registered model is compared on; it may have learnt from all others."""

ROUNDING = 1e-12
"""Numbers that are equal on paper differ by less."""

_LACKING: dict[Source, str] = {
    "test": "the run has no test set",
    "train_test": "the run has no hold-out",
    "cross_validation": "the run has no cross-validation",
}


@dataclass(frozen=True)
class Comparison:
    """What comparing the run with a registered model on one metric gave."""

    difference: Difference | None
    """How much better the run's model is; None when it was refused, or could not be computed."""
    note: str = ""
    """Which rows it was compared on."""
    refused: str | None = None
    """Why there is no difference."""


Compare = Callable[[str, str, Source], Comparison]
"""Compares the run with the model of that URI, on a metric, on the rows of a source."""


def check_gates(
    gates: Sequence[GateSpec],
    *,
    evaluations: Sequence[Evaluation],
    findings: Sequence[Finding] | None,
    compare: Compare,
) -> tuple[GateResult, ...]:
    """Hold the numbers and findings of a run against its gates.

    A gate is on the source that it names, else on the best that the run has: test set, hold-out, cross-validation. A
    number or an interval that does not exist is a gate that is not met, and so are findings that were not looked for:
    `findings` is None then.
    """
    return tuple(
        _check_finding(gate, findings) if gate.finding is not None else _check_metric(gate, evaluations, compare)
        for gate in gates
    )


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


def is_champion(gate: GateSpec) -> bool:
    """Whether a gate is against a registered model."""
    return gate.beats not in (None, BASELINE)


def source_of(gate: GateSpec, sources: Collection[Source]) -> Source | None:
    """Give the source whose number a gate is on, among those that there are; None when there is none."""
    usable = COMPARED_ON if is_champion(gate) else BEST_FIRST
    return next((each for each in usable if each in sources and gate.source in (None, each)), None)


def _check_finding(gate: GateSpec, findings: Sequence[Finding] | None) -> GateResult:
    if findings is None:
        return GateResult(_asked(gate), "findings could not be looked for", passed=False, source=None)
    told = [finding.message for finding in findings if finding.code == gate.finding]
    return GateResult(_asked(gate), "; ".join(told) or "none", passed=not told, source=None)


def _check_metric(gate: GateSpec, evaluations: Sequence[Evaluation], compare: Compare) -> GateResult:
    asked = _asked(gate)
    source = source_of(gate, [evaluation.source for evaluation in evaluations])
    evaluation = next((evaluation for evaluation in evaluations if evaluation.source == source), None)
    if source is None or evaluation is None:
        wanted = [gate.source] if gate.source else COMPARED_ON if is_champion(gate) else BEST_FIRST
        return GateResult(asked, "; ".join(_LACKING[each] for each in wanted), passed=False, source=gate.source)
    scores = [score for score in _scores_of(evaluation) if _is_asked_for(score, gate)]
    if not scores:
        return GateResult(asked, "the run has not computed it", passed=False, source=source)
    # How the rows were split is no caveat.
    note = "; ".join(scores[0].provenance.remarks)
    if is_champion(gate):
        compared = compare(gate.beats or "", gate.metric or "", source)
        held = [_Held.of_difference(gate, compared.difference, compared.refused or "it could not be computed")]
        note = "; ".join(filter(None, [compared.note, note]))
    elif gate.beats is not None:
        held = [_Held.of_difference(gate, score.difference, "there is no baseline to compare with") for score in scores]
    else:
        held = [_Held.of_score(gate, score, _why_no_value(score, evaluation)) for score in scores]
    # A column is a slice for each of its values: all of them have to do, and the one that does least is shown.
    least, score = min(zip(held, scores, strict=True), key=lambda pair: pair[0].margin)
    where = f" where {score.slice}" if gate.slice is not None and parse_slice(gate.slice).operator is None else ""
    return GateResult(asked, f"{least.text}{where}", passed=least.is_met(gate), source=source, note=note)


@dataclass(frozen=True)
class _Held:
    """A number that is held against a gate."""

    text: str
    margin: float
    """How far it lies on the right side of what is asked; minus infinity when there is no number."""

    def is_met(self, gate: GateSpec) -> bool:
        """Whether that is enough."""
        # To be better without saying by how much means strictly better.
        return self.margin > ROUNDING if gate.beats is not None and gate.by is None else self.margin >= -ROUNDING

    @classmethod
    def of_score(cls, gate: GateSpec, score: Score, why_no_value: str) -> _Held:
        """Hold a score, or an end of its interval."""
        if score.value is None:
            return cls(why_no_value, -math.inf)
        return cls._of(gate, score.value, score.interval, _why_no_interval(score))

    @classmethod
    def of_difference(cls, gate: GateSpec, difference: Difference | None, why_none: str) -> _Held:
        """Hold a difference, or an end of its interval."""
        if difference is None:
            return cls(f"not compared: {why_none}", -math.inf)
        held = cls._of(gate, difference.value, difference.interval, "nothing to judge its spread by")
        return cls(f"better by {held.text}", held.margin)

    @classmethod
    def _of(cls, gate: GateSpec, value: float, interval: Interval | None, why_no_interval: str) -> _Held:
        text = _shown(value, _limits(gate))
        if interval is None:
            if gate.bound != "point":
                return cls(f"{text}, no interval: {why_no_interval}", -math.inf)
            return cls(text, _margin(gate, value))
        number = {"point": value, "lower": interval.low, "upper": interval.high}[gate.bound]
        low, high = _shown(interval.low, _limits(gate)), _shown(interval.high, _limits(gate))
        return cls(f"{text} [{low}, {high}]", _margin(gate, number))


def _margin(gate: GateSpec, number: float) -> float:
    if gate.beats is not None:
        return number - (gate.by or 0.0)
    above = math.inf if gate.min is None else number - gate.min
    below = math.inf if gate.max is None else gate.max - number
    return min(above, below)


def _limits(gate: GateSpec) -> list[float]:
    return [gate.by or 0.0] if gate.beats is not None else [end for end in (gate.min, gate.max) if end is not None]


def _shown(number: float, limits: Sequence[float]) -> str:
    """Write a number with four decimals, or as many more as show on which side of a limit it is."""
    places = 4
    while places < 12 and any(
        abs(number - limit) > ROUNDING and round(number, places) == round(limit, places) for limit in limits
    ):
        places += 1
    # Zero is added lest one be shown as -0.
    return f"{round(number, places) + 0.0:.{places}f}"


def _scores_of(evaluation: Evaluation) -> Iterator[Score]:
    yield from evaluation.scores
    yield from evaluation.slices


def _is_asked_for(score: Score, gate: GateSpec) -> bool:
    if score.metric != gate.metric or (score.slice is None) != (gate.slice is None):
        return False
    return score.slice is None or _is_in(score.slice, gate.slice or "")


def _is_in(text: str, asked: str) -> bool:
    """Whether a slice is the one that is asked for, or a value of the column that is."""
    part, wanted = parse_slice(text), parse_slice(asked)
    if wanted.operator is None:
        return part.operator == "=" and part.column == wanted.column
    return part == wanted


def _why_no_value(score: Score, evaluation: Evaluation) -> str:
    if score.slice is None:
        return evaluation.problems.get(score.metric, "it could not be computed")
    return f"n/a: {score.n_rows:,} rows are too few, or of one class"


def _why_no_interval(score: Score) -> str:
    return "all folds agree" if score.folds else "all resamples agree, or it is undefined in most"


def _asked(gate: GateSpec) -> str:
    """Say what a gate asks for."""
    if gate.finding is not None:
        return f"no finding {gate.finding}"
    where = "" if gate.slice is None else _where(gate.slice)
    whose = "the difference's" if gate.beats is not None else "its"
    end = "" if gate.bound == "point" else f" ({gate.bound} end of {whose} 95 % interval)"
    return f"{gate.metric} {_demand(gate)}{where}{end}"


def _where(text: str) -> str:
    part = parse_slice(text)
    return f" for each value of {part}" if part.operator is None else f" where {part}"


def _demand(gate: GateSpec) -> str:
    if gate.beats is not None:
        opponent = "the baseline" if gate.beats == BASELINE else gate.beats
        if gate.by == 0:
            return f"at least as good as {opponent}"
        return f"better than {opponent}" + ("" if gate.by is None else f" by {gate.by:g}")
    bounds = {"at least": gate.min, "at most": gate.max}
    return " and ".join(f"{words} {bound:.12g}" for words, bound in bounds.items() if bound is not None)


def _metric_problems(gate: GateSpec, key: str, metrics: Sequence[str]) -> Iterator[Problem]:
    if gate.metric is not None and gate.metric not in metrics:
        message = f"is {gate.metric!r}, which the run does not compute"
        yield Problem("", f"{key}.metric", message, nearest(gate.metric, metrics))


def _source_problems(gate: GateSpec, key: str, sources: Collection[Source]) -> Iterator[Problem]:
    if source_of(gate, sources) is not None:
        return
    if gate.source is not None:
        usable = [each for each in sources if not is_champion(gate) or each in COMPARED_ON]
        hint = nearest(gate.source, usable) if usable else "leave the gate out"
        yield Problem("", f"{key}.source", f"is {gate.source!r}, and {_LACKING[gate.source]}", hint)
    elif is_champion(gate):
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
