"""Rules on what the run must reach: a gate that cannot be checked is refused before the first fit."""

from __future__ import annotations

from collections.abc import Iterator

from mlwf.errors import Refusal
from mlwf.specs.catalogue import DEFAULT_METRICS, FINDINGS, METRICS
from mlwf.specs.data import IN_MEMORY
from mlwf.specs.experiment import BASELINE, DEMANDS, REGISTERED_MODEL, ExperimentSpec, GateSpec
from mlwf.specs.problems import GOT, KeyPath, Rule, SpecProblem
from mlwf.specs.rules.training_rules import metric_refusal
from mlwf.specs.slice_spec import SliceError, SliceSpec, parse_slice
from mlwf.specs.tracking import refused_alias, refused_model


def _gates_hold_one_thing(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse gates that are not on a metric, or on a finding alone."""
    for index, gate in enumerate(spec.gates):
        path: KeyPath = ("gates", index)
        if gate.metric is None and gate.finding is None:
            message = "names neither a metric nor a finding"
            yield SpecProblem((*path, "metric"), message, "accepted: one of the two", about=path)
        elif gate.metric is not None and gate.finding is not None:
            message = "contradicts metric: a gate holds one of the two"
            yield SpecProblem((*path, "finding"), message, "make two gates of it", at_key=True)
        elif gate.finding is not None:
            beside = [name for name in gate.model_fields_set - {"finding"} if getattr(gate, name) is not None]
            for name in sorted(beside):
                yield SpecProblem((*path, name), "has no effect beside finding", "leave it out", at_key=True)


def _ignored_findings_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    ignored = spec.findings.ignore
    for index, code in enumerate(ignored):
        path = ("findings", "ignore", index)
        if code not in FINDINGS:
            yield SpecProblem.of(path, Refusal.of_name(f"is {GOT}", code, FINDINGS))
        elif code in ignored[:index]:
            yield SpecProblem(path, f"is {GOT}, which is listed twice")


def _forbidden_findings_are_found(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for index, gate in enumerate(spec.gates):
        path = ("gates", index, "finding")
        if gate.finding is not None and gate.finding not in FINDINGS:
            yield SpecProblem.of(path, Refusal.of_name(f"is {GOT}", gate.finding, FINDINGS))
        elif gate.finding in spec.findings.ignore:
            message = f"is {GOT}, which findings.ignore leaves out"
            yield SpecProblem(path, message, "leave one of the two out")


def _on_metrics(spec: ExperimentSpec) -> Iterator[tuple[KeyPath, GateSpec, str]]:
    """Give the gates on metrics, each with its path and its metric."""
    for index, gate in enumerate(spec.gates):
        if gate.metric is not None and gate.finding is None:
            yield ("gates", index), gate, gate.metric


def _metrics_are_held_against_something(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for path, gate, _ in _on_metrics(spec):
        bounds = [name for name in ("min", "max") if getattr(gate, name) is not None]
        if gate.by is None and all(getattr(gate, name) is None for name in DEMANDS):
            message = "holds its metric against nothing"
            hint = f"accepted: {', '.join(DEMANDS[:-1])}, or {DEMANDS[-1]}"
            yield SpecProblem((*path, "min"), message, hint, about=path)
        elif bounds and gate.beats is not None:
            message = f"contradicts {bounds[0]}: a gate has bounds or an opponent"
            yield SpecProblem((*path, "beats"), message, "make two gates of it", at_key=True)
        if gate.by is not None and gate.beats is None:
            hint = f"write beats: {BASELINE}, or leave it out"
            yield SpecProblem((*path, "by"), "has no effect without beats", hint, at_key=True)
        if gate.min is not None and gate.max is not None and gate.min > gate.max:
            yield SpecProblem((*path, "max"), f"is {GOT}, which is below min", "accepted: at least min")


def _bounds_are_within_reach(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for path, gate, metric in _on_metrics(spec):
        for name in ("min", "max", "by"):
            bound = getattr(gate, name)
            if bound is None or 0 <= bound <= 1 or metric not in METRICS or METRICS[metric].range != (0, 1):
                continue
            is_percent = 1 < bound <= 100
            hint = f"did you mean {bound / 100:g}?" if is_percent else "accepted: 0 to 1"
            refusal = Refusal(f"is {GOT}, and {metric} lies between 0 and 1", hint, suggests=is_percent)
            yield SpecProblem.of((*path, name), refusal)


def _gates_are_on_what_is_computed(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibrated = spec.calibration is not None and spec.calibration.enabled
    # What is wrong with a metric that is listed is reported at the list.
    listed = spec.validation.metrics or ()
    for path, _, metric in _on_metrics(spec):
        if metric == "accuracy" or metric in listed:
            continue
        where = (*path, "metric")
        if refusal := metric_refusal(spec, metric, calibrated):
            yield SpecProblem.of(where, refusal)
        elif spec.validation.metrics is not None or metric not in DEFAULT_METRICS:
            yield SpecProblem(where, f"is {GOT}, which the run does not compute", "add it to validation.metrics")


def _gates_have_rows(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse gates on numbers that come from rows which the run does not have."""
    strategy = spec.validation.strategy
    for path, gate, _ in _on_metrics(spec):
        where = (*path, "source")
        if gate.source == "test" and not _may_have_test_rows(spec):
            yield SpecProblem(where, f"is {GOT}, and there is no test set", "add data.test_path, or leave it out")
        elif gate.source not in (None, "test", strategy):
            message = f"is {GOT}, and validation.strategy is {strategy}"
            yield SpecProblem(where, message, f"write strategy: {gate.source}, or leave it out")
        elif strategy == "none" and not _may_have_test_rows(spec):
            message = "has no rows to be computed on: validation.strategy is none, and there is no test set"
            yield SpecProblem((*path, "metric"), message, "write another strategy, or add data.test_path", at_key=True)


def _may_have_test_rows(spec: ExperimentSpec) -> bool:
    # A call from Python has them beside the spec, or has none: the data decides.
    return spec.data.test_path is not None or spec.data.path == IN_MEMORY


def _opponents_are_models(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for path, gate, _ in _on_metrics(spec):
        if gate.beats is None or gate.beats == BASELINE:
            continue
        named = REGISTERED_MODEL.fullmatch(gate.beats)
        if named is None:
            hint = f"accepted: {BASELINE}, models:/NAME@ALIAS, models:/NAME/VERSION"
            yield SpecProblem((*path, "beats"), f"is {GOT}", hint)
        elif refusal := refused_model(named["name"]) or (named["alias"] and refused_alias(named["alias"])):
            what = "name" if refused_model(named["name"]) else "alias"
            yield SpecProblem((*path, "beats"), f"is {GOT}, whose {what} {refusal.message}", refusal.hint)


def _champions(spec: ExperimentSpec) -> Iterator[tuple[KeyPath, GateSpec]]:
    """Give the gates against registered models."""
    for path, gate, _ in _on_metrics(spec):
        if gate.beats and REGISTERED_MODEL.fullmatch(gate.beats):
            yield path, gate


def _champions_have_a_registry(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tracking and spec.tracking.enabled:
        return
    hint = "set tracking.enabled: true" if spec.tracking else "add a tracking section"
    for path, _ in _champions(spec):
        yield SpecProblem((*path, "beats"), f"is {GOT}, a registered model, and nothing is tracked", hint)


def _champions_are_compared_on_other_rows(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse rows that a registered model may have learnt from: all but those of a test set and a hold-out."""
    # Without a test set and without any strategy, no gate has rows, and that is reported already.
    has_rows = _may_have_test_rows(spec) or spec.validation.strategy != "cross_validation"
    for path, gate in _champions(spec):
        if gate.source == "cross_validation":
            message = f"is {GOT}, whose rows a registered model may have learnt from"
            yield SpecProblem((*path, "source"), message, "accepted: test, train_test")
        elif gate.source is None and not has_rows:
            message = f"is {GOT}, a registered model, which is compared on a test set or a hold-out only"
            hint = "add data.test_path, or write validation.strategy: train_test"
            yield SpecProblem((*path, "beats"), message, hint)
        if gate.slice is not None:
            message = "contradicts beats: a registered model is compared on all rows"
            yield SpecProblem((*path, "slice"), message, "leave one of the two out", at_key=True)


def _gate_slices_are_reported(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    listed = set(_canonical(spec.validation.slices))
    for path, gate, _ in _on_metrics(spec):
        if gate.slice is None:
            continue
        where = (*path, "slice")
        try:
            part = parse_slice(gate.slice)
        except SliceError as error:
            yield SpecProblem(where, f"is {GOT}, which {error.message}", error.hint, tells_value=True)
            continue
        # A column stands for each of its values.
        accepted = {str(part), str(SliceSpec(part.column))} if part.operator == "=" else {str(part)}
        if not accepted & listed:
            yield SpecProblem(where, f"is {GOT}, which validation.slices does not list", "add it there")


def _canonical(slices: list[str]) -> Iterator[str]:
    for text in slices:
        try:
            yield str(parse_slice(text))
        except SliceError:
            continue


def _registration_depends_on_gates(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tracking is None or not spec.tracking.register_anyway:
        return
    needed = "gates" if spec.tracking.registered_model_name else "registered_model_name"
    if needed != "gates" or not spec.gates:
        message = f"has no effect without {needed}"
        yield SpecProblem(("tracking", "register_anyway"), message, f"add {needed}, or leave it out", at_key=True)


_COMPUTED = ("validation.metrics", "calibration.enabled", "model.algorithm", "model.hyperparameters")

GATE_RULES = (
    Rule(_gates_hold_one_thing, ("gates",)),
    Rule(_ignored_findings_are_known, ("findings.ignore",)),
    Rule(_forbidden_findings_are_found, ("gates", "findings.ignore")),
    Rule(_metrics_are_held_against_something, ("gates",)),
    Rule(_bounds_are_within_reach, ("gates",)),
    Rule(_gates_are_on_what_is_computed, ("gates", *_COMPUTED)),
    Rule(_gates_have_rows, ("gates", "validation.strategy", "data.test_path", "data.path")),
    Rule(_opponents_are_models, ("gates",)),
    Rule(_champions_have_a_registry, ("gates", "tracking.enabled")),
    Rule(_champions_are_compared_on_other_rows, ("gates", "validation.strategy", "data.test_path", "data.path")),
    Rule(_gate_slices_are_reported, ("gates", "validation.slices")),
    Rule(_registration_depends_on_gates, ("gates", "tracking.registered_model_name", "tracking.register_anyway")),
)
