"""What a run chose and what that is worth; findings and gates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.specs.catalogue import METRICS, SEVERITIES, SOURCES
from mlwf.tables.blocks import (
    BAD,
    DOUBTFUL,
    GOOD,
    NOTHING,
    QUIET,
    Block,
    block_markdown,
    labels_of,
    number,
    provenance_of,
    render_block,
    sentence,
    source_label,
    with_alarm,
)
from mlwf.text import format_name, format_share, pluralize, printable

SEVERITY_STYLES = {"error": BAD, "warning": DOUBTFUL, "info": QUIET}
READ_ON = "README, What the findings mean"

MOST_LISTED = 6
"""How many values, classes or columns are listed one by one."""
MOST_IMPORTANT = 5
MOST_TOGETHER = 3
"""Of columns that go together, how many are named."""
IMPORTANCE_OF = {"brier_score": "how much the Brier score rises", "accuracy": "how much the accuracy falls"}
DOUBT = "?"
MEASURES = ("log_loss", "brier_score", "ece")
"""Metrics of a calibration."""


def describe_tuning(tuning: Mapping[str, Any]) -> str:
    """Describe what a search chose."""
    failed = f", {pluralize(tuning['n_failed'], 'fit')} failed" if tuning.get("n_failed") else ""
    candidates = pluralize(tuning["n_candidates"], "candidate")
    what = f"{tuning['strategy']}, {candidates} × {tuning['cv_folds']} folds{failed}"
    # Written as model.hyperparameters takes them, to be copied there.
    params = [f"{_param(name)}: {_yaml(value)}" for name, value in tuning["best_params"].items()]
    # A maximum over candidates flatters: the rows that chose it also scored it.
    provenance = provenance_of(tuning)
    alike = ", rows unweighted" if provenance and provenance.ignores_weights else ""
    chosen = f"best {tuning['scoring']} {number(tuning['best_score'])} on the folds that chose it{alike}:"
    cut_short = [str(tuning[key]) for key in ("inexact", "stopped") if tuning.get(key)]
    return "\n".join([what, *cut_short, chosen, *params])


def describe_folds(folds: Sequence[Mapping[str, Any]]) -> str:
    """Describe what the folds of a nested cross-validation chose, folded where they agree."""
    settings = [fold.get("params") or {} for fold in folds]
    names = list(dict.fromkeys(name for setting in settings for name in setting))
    different = len({_yaml(setting) for setting in settings})
    chose = "the same settings" if different == 1 else f"{different} different settings"
    lines = [
        f"{pluralize(len(folds), 'fold')} chose {chose}"
        if names
        else f"everything repeated in {pluralize(len(folds), 'fold')}"
    ]
    lines += _chosen_models([fold["models"] for fold in folds if fold.get("models")])
    lines += [f"{_param(name)}: {_votes([_tried(setting, name) for setting in settings])}" for name in names]
    calibrated = [fold["calibrated"] for fold in folds if fold.get("calibrated") is not None]
    lines += [f"calibrated: in {sum(calibrated)} of {len(calibrated)} folds"] if calibrated else []
    thresholds = sorted(fold["threshold"] for fold in folds if fold.get("threshold") is not None)
    lines += [f"threshold: {_range(thresholds)}"] if thresholds else []
    features = [fold["features"] for fold in folds if fold.get("features") is not None]
    lines += [f"features: {_features(features)}"] if features else []
    return "\n".join(lines)


def _chosen_models(folds: Sequence[Mapping[str, float]]) -> list[str]:
    """Describe which of several models the folds chose, or the weights that they gave them."""
    n_averaged = sum(len(weights) > 1 for weights in folds)
    if not folds:
        return []
    if not n_averaged:
        return [f"model: {_votes([next(iter(weights)) for weights in folds])}"]
    names = dict.fromkeys(name for weights in folds for name in weights)
    means = {name: sum(weights.get(name, 0.0) for weights in folds) / len(folds) for name in names}
    listed = [f"{name} {mean:.2f}" for name, mean in sorted(means.items(), key=lambda each: -each[1])]
    more = [f"and {len(listed) - MOST_LISTED} more"] if len(listed) > MOST_LISTED else []
    weights = ", ".join([*listed[:MOST_LISTED], *more])
    return [f"ensemble: in {n_averaged} of {pluralize(len(folds), 'fold')}", f"mean weights: {weights}"]


def describe_calibration(calibration: Mapping[str, Any]) -> str:
    """Describe how probabilities were calibrated, what that changed, and whether it was kept."""
    if calibration.get("holdout"):
        how = f"fitted on a hold-out of {format_share(calibration['holdout'], 1)}"
    else:
        how = f"{calibration['cv_folds']} folds, {'ensemble' if calibration.get('ensemble') else 'one model'}"
    lines = [f"{calibration['method']}, {how}"]
    if "kept" in calibration:
        kept = "kept" if calibration["kept"] else "not kept"
        lines.append(": ".join(filter(None, [kept, calibration.get("reason")])))
    if calibration.get("after"):
        rows = "hold-out" if calibration.get("holdout") else "out-of-fold"
        lines.append(f"{rows} {', '.join(_changes(calibration))}{_labels(calibration)}")
    return "\n".join(lines)


def describe_threshold(threshold: Mapping[str, Any], positive: object) -> str:
    """Describe from which score on a row is called positive, and what that is worth."""
    of = "probability" if threshold.get("response") != "decision_function" else "decision value"
    what = f"{'positive' if positive is None else format_name(positive)} from a {of} of {number(threshold['value'])} on"
    score, usual = number(threshold["score"]), number(threshold["default_score"])
    worth = f"cross-fitted {threshold['scoring']} {score}, against {usual} with the default threshold"
    return f"{what}\n{worth}{_labels(threshold)}"


def describe_refit(refit: Mapping[str, Any]) -> str:
    """Describe that the shipped model was fitted again, and in what the one that was scored on the hold-out differs."""
    scored = refit.get("scored_model") or {}
    has = []
    if scored.get("calibrated") is not None:
        has.append(f"calibration {'kept' if scored['calibrated'] else 'not kept'}")
    if scored.get("threshold") is not None:
        has.append(f"threshold {number(scored['threshold'])}")
    n_rows = pluralize(refit.get("n_rows"), "row")
    what = f"on all {n_rows}: the model, calibration and threshold named here are of this fit"
    return "\n".join([what, f"scored on the hold-out: the model before it{' with ' if has else ''}{', '.join(has)}"])


def describe_importances(importances: Mapping[str, Any]) -> str:
    """Describe which columns matter most, and how that was measured; empty for a run that has its model's own."""
    if not importances.get("available"):
        return f"none: {importances['note']}"
    columns = importances.get("columns")
    if not columns:
        return ""
    shown = [
        f"{_together(each['columns'])} {number(each['value'])}{'' if _is_clear(each) else f' {DOUBT}'}"
        for each in columns[:MOST_IMPORTANT]
    ]
    change = IMPORTANCE_OF[importances["metric"]]
    provenance = provenance_of(importances)
    where = SOURCES[provenance.source].in_text if provenance and provenance.source else "out of fold"
    drawn = pluralize(importances["n_rows"], "row")
    doubt = "" if all(map(_is_clear, columns[:MOST_IMPORTANT])) else f"; {DOUBT} where that may be none"
    n_fitted = importances.get("n_fitted") or 0
    fitted = f", {pluralize(n_fitted, 'model')} fitted for it" if n_fitted else ""
    return f"{', '.join(shown)}; {change} when a column is shuffled ({drawn}, {where}{fitted}){doubt}"


def _is_clear(importance: Mapping[str, Any]) -> bool:
    """Whether the interval of an importance leaves out zero."""
    interval = importance.get("interval")
    return interval is not None and not interval["low"] <= 0 <= interval["high"]


def _together(columns: Sequence[str]) -> str:
    """Name columns that are shuffled together."""
    more = f" and {len(columns) - MOST_TOGETHER} more" if len(columns) > MOST_TOGETHER else ""
    return " + ".join(map(format_name, columns[:MOST_TOGETHER])) + more


def render_findings(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show the findings, the gravest first, and where to read on."""
    findings = sorted_findings(summary)
    if not findings:
        return
    listed = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        style = SEVERITY_STYLES.get(finding["severity"], "")
        quiet = QUIET if style == QUIET else ""
        text = Text.assemble((str(finding["code"]), quiet or "bold"), ": ", str(finding["message"]), style=quiet)
        listed.add_row(Text(str(finding["severity"]), style), text)
    yield from (Text(), Text("Findings", SEVERITY_STYLES.get(findings[0]["severity"], "bold")), listed)
    yield Text(f"See {READ_ON}.", QUIET)


def findings_markdown(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write the findings as lines of Markdown."""
    if findings := sorted_findings(summary):
        yield from ("", "### Findings", "")
        for finding in findings:
            yield f"- **{finding['severity']}** `{finding['code']}`: {sentence(finding['message'])}"
        yield from ("", f"See {READ_ON}.")


def gates_outcome(summary: Mapping[str, Any]) -> Text:
    """Sum up in a few words whether the gates are met; nothing without gates."""
    gates = summary.get("gates") or []
    missed = sum(not gate["passed"] for gate in gates)
    n_unchecked = sum(not is_checked(gate) for gate in gates)
    rest = f", {n_unchecked} not checked" if n_unchecked else ""
    if missed:
        said = f"{missed} of {pluralize(len(gates), 'gate')} not met" if len(gates) > 1 else "1 gate not met"
        return Text(f"{said}{rest}", BAD)
    if n_met := len(gates) - n_unchecked:
        return Text(f"{pluralize(n_met, 'gate')} met{rest}", GOOD)
    return Text(f"{pluralize(n_unchecked, 'gate')} not checked", DOUBTFUL) if gates else Text()


def is_checked(gate: Mapping[str, Any]) -> bool:
    """Tell whether there was something to check a gate on: on new rows there is not always."""
    return bool(gate.get("is_checked", True))


def render_gates(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show what each gate requires and what the run has."""
    if gates := summary.get("gates"):
        block = _gates(gates, met="met", missed="not met")
        listed = [[cells[0], _in_words(gate)] for cells, gate in zip(block.rows, gates, strict=True)]
        yield from render_block(block, Block(block.title, block.how, ["", ""], listed, n_words=2))


def gates_markdown(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write what each gate requires and what the run has as lines of Markdown."""
    if gates := summary.get("gates"):
        yield from block_markdown(_gates(gates, met="✅ met", missed="❌ not met"))


def _param(name: str) -> str:
    return format_name(name.removeprefix("classifier__"))


def _yaml(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False, default=str))


def _tried(setting: Mapping[str, Any], name: str) -> str:
    return _yaml(setting[name]) if name in setting else NOTHING


def _votes(values: Sequence[str]) -> str:
    votes: dict[str, int] = {}
    for value in values:
        votes[value] = votes.get(value, 0) + 1
    if len(votes) == 1:
        return next(iter(votes))
    most = sorted(votes.items(), key=lambda vote: -vote[1])
    listed = [f"{value} ({pluralize(count, 'fold')})" for value, count in most[:MOST_LISTED]]
    return ", ".join([*listed, *([f"and {len(most) - MOST_LISTED} more"] if len(most) > MOST_LISTED else [])])


def _range(numbers: Sequence[float]) -> str:
    low, high = number(numbers[0]), number(numbers[-1])
    return low if low == high else f"{low} – {high}"


def _features(chosen: Sequence[Sequence[Any]]) -> str:
    """Describe which columns the folds chose; they differ where a fold has too few rows to know a column's kind."""
    sets = [{format_name(column) for column in columns} for columns in chosen]
    disputed = sorted({column for each in sets for column in each if not all(column in other for other in sets)})
    if not disputed:
        return f"the same {pluralize(len(sets[0]), 'column')}"
    sizes = sorted({len(columns) for columns in sets})
    more = [f"and {len(disputed) - MOST_LISTED} more"] if len(disputed) > MOST_LISTED else []
    listed = ", ".join([*disputed[:MOST_LISTED], *more])
    return f"{'–'.join(map(str, [sizes[0], *sizes[1:][-1:]]))} columns; not in all folds: {listed}"


def _changes(calibration: Mapping[str, Any]) -> Iterator[str]:
    before, after = calibration.get("before") or {}, calibration["after"]
    for name in MEASURES:
        label = METRICS[name].label
        # The reason says by how much the log loss changed, where the difference is known.
        if name != "log_loss" or not calibration.get("difference"):
            was = f"{number(before[name])} -> " if before.get(name) is not None else ""
            yield f"{label} {was}{number(after.get(name))}"


def _labels(result: Mapping[str, Any]) -> str:
    labels = labels_of(result)
    return f" ({'; '.join(labels)})" if labels else ""


def sorted_findings(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the findings, the gravest first."""
    findings: Sequence[Mapping[str, Any]] = summary.get("findings") or []
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    return sorted(findings, key=lambda each: rank.get(each["severity"], 0))


def _gates(gates: Sequence[Mapping[str, Any]], *, met: str, missed: str) -> Block:
    columns = ["verdict", "asked", "got", "where", "note"]
    rows = [
        [
            _verdict(gate, met, missed),
            Text(str(gate["asked"])),
            Text(str(gate["got"]), "" if gate["passed"] else BAD),
            Text(source_label(gate)),
            _note(gate),
        ]
        for gate in gates
    ]
    used = [at for at in range(len(columns)) if at < 3 or any(cells[at] for cells in rows)]
    return Block("Gates", "", [columns[at] for at in used], [[cells[at] for at in used] for cells in rows], len(used))


def _verdict(gate: Mapping[str, Any], met: str, missed: str) -> Text:
    if not is_checked(gate):
        return Text("not checked", DOUBTFUL)
    return Text(met, GOOD) if gate["passed"] else Text(missed, BAD)


def _in_words(gate: Mapping[str, Any]) -> Text:
    where = f" ({source_label(gate).lower()})" if source_label(gate) else ""
    got = Text(f"got: {gate['got']}{where}", "" if gate["passed"] else BAD)
    return Text("\n").join(filter(None, [Text(str(gate["asked"])), got, _note(gate)]))


def _note(gate: Mapping[str, Any]) -> Text:
    return with_alarm(Text(str(gate.get("note") or ""), QUIET))
