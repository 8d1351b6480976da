"""The sections of a report, each HTML made of what the folder of a run holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlwf.evaluation.scored_rows import ScoredRows
from mlwf.report.charts import Axis, scale, spanning, strip, table, text
from mlwf.specs.catalogue import FINDINGS, METRICS, SOURCES, metric_info
from mlwf.tables.blocks import (
    ANY_LABEL,
    METHODS,
    NOT_AVAILABLE,
    NOTHING,
    duration,
    number,
    percent,
    provenance_of,
    signed,
    span,
)
from mlwf.tables.descriptions import is_checked, sorted_findings
from mlwf.tables.leaderboard import DOUBT, leaderboard_block
from mlwf.tables.score_tables import best_slices, notes_of, score_groups, scores_of_all_rows
from mlwf.tables.summary_rows import summary_rows
from mlwf.text import format_name, pluralize

BASELINE_KEY = '<i class="key base"></i>baseline'
SEVERITY_PILLS = {"error": "bad", "warning": "doubt", "info": "quiet"}
MOST_IMPORTANCES = 30
MOST_SLICES = 50
STATUS_PILLS = {"done": "good", "degraded": "doubt", "failed": "bad", "killed": "bad"}


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What is known of a run: the content of the files in its folder."""

    summary: Mapping[str, Any]
    candidates: Mapping[str, Any] = field(default_factory=dict)
    """`cv_results_` of the search; of several models, one for each name."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    dependence: Mapping[str, Any] = field(default_factory=dict)
    """How the probabilities depend on single columns."""
    scored: Mapping[str, ScoredRows] = field(default_factory=dict)
    """By source, in the order of the scores."""
    config: str = ""

    @property
    def positive(self) -> int | None:
        """Place of the positive one among two classes."""
        positive = (self.summary.get("data") or {}).get("positive_class")
        classes: list[str] = next((rows.classes.tolist() for rows in self.scored.values()), [])
        return classes.index(str(positive)) if len(classes) == 2 and str(positive) in classes else None

    @property
    def searches(self) -> dict[str, Mapping[str, Any]]:
        """`cv_results_` of each search, by the name of its model; of one model under no name."""
        if "params" in self.candidates:
            return {"": self.candidates}
        return {name: found for name, found in self.candidates.items() if found.get("params")}


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    """Its anchor."""
    title: str
    html: str


def render_verdict(run: RunRecord) -> str:
    """Say first of all how the run ended, and which gates it meets."""
    summary = run.summary
    gates, status = summary.get("gates") or [], str(summary.get("status", ""))
    missed = sum(not gate["passed"] for gate in gates)
    n_checked = sum(map(is_checked, gates))
    if status in {"running", "unfinished"}:
        kind, said = "doubt", f"The run is {status}"
    elif status in {"failed", "killed"}:
        kind, said = "bad", f"The run {'failed' if status == 'failed' else 'was stopped'}"
    elif gates and not n_checked:
        kind, said = "doubt", "No gate could be checked"
    elif gates:
        kind, said = ("bad", f"{missed} of {len(gates)} gates not met") if missed else ("good", _all_met(n_checked))
    else:
        kind, said = "", "No gates were set"
    if status == "degraded" and kind != "bad":
        kind, said = "doubt", f"{said}; the run is degraded"
    reason = f"<p>{text(summary['error'])}</p>" if summary.get("error") else ""
    verdict = f'<div class="verdict {kind}"><strong>{text(said)}</strong>{reason}{_gates(gates)}</div>'
    return verdict + _tiles(run)


def _gate_pill(gate: Mapping[str, Any]) -> str:
    if not is_checked(gate):
        return pill("not checked", "doubt")
    return pill("met", "good") if gate["passed"] else pill("not met", "bad")


def _all_met(count: int) -> str:
    return {1: "The gate is met", 2: "Both gates are met"}.get(count, f"All {count} gates are met")


def _gates(gates: Sequence[Mapping[str, Any]]) -> str:
    if not gates:
        return ""
    rows = [
        [
            _gate_pill(gate),
            text(gate["asked"]),
            text(gate["got"]),
            text(_source(gate))
            + (f'<br><span class="soft">{emphasised(gate["note"])}</span>' if gate.get("note") else ""),
        ]
        for gate in gates
    ]
    return table(["verdict", "asked", "got", "where"], rows, css="stack gates", label="Gates")


def _tiles(run: RunRecord) -> str:
    summary = run.summary
    data = summary.get("data") or {}
    scores = summary.get("scores") or []
    best = [score for score in scores if score.get("source") == (scores[-1].get("source") if scores else None)]
    ranked = sorted(best, key=lambda score: score["metric"] not in {"roc_auc", "roc_auc_ovr"})
    tiles = [
        (number(score["value"]), f"{label_of(score['metric'])}, {_source(score).lower()}")
        for score in [*ranked[:1], *(score for score in best if score["metric"] == "accuracy"), *ranked[1:]]
        if score.get("value") is not None
    ]
    tiles = list(dict.fromkeys(tiles))[:3]
    tiles += [(f"{data['rows']:,}", "rows to learn from")] if data.get("rows") else []
    tiles += [(duration(summary["seconds"]), "whole run")] if summary.get("seconds") is not None else []
    items = "".join(f"<li><b>{text(value)}</b><span>{text(label)}</span></li>" for value, label in tiles)
    return f'<ul class="tiles">{items}</ul>' if items else ""


def scores_section(run: RunRecord) -> Iterator[Section]:
    """Give each score with its interval and baseline on one scale, and how it was got."""
    parts = []
    for group in score_groups(run.summary):
        parts.append(_score_table(group.title, group.how, group.scores))
        if chosen := describe_choices(group.scores[0], run.summary.get("rows") or {}):
            parts.append(f"<p class='how'>{text(chosen)}</p>")
    if parts:
        yield Section("scores", "Scores", "".join([*parts, _notes(run)]))


def _score_table(title: str, how: str, scores: Sequence[Mapping[str, Any]]) -> str:
    unit = Axis(0.0, 1.0)
    rows = []
    for score in scores:
        interval, baseline = score.get("interval"), score.get("baseline")
        axis = _axis_of(score)
        own = (
            ""
            if axis.low == 0 and axis.high == 1
            else f'<br><small class="soft">scale: {axis.low:g} to {axis.high:.3g}</small>'
        )
        info = _info(score["metric"])
        less = "" if info is None or info.greater_is_better else ' <small class="soft">less is better</small>'
        ends = (interval["low"], interval["high"]) if interval else None
        rows.append(
            [
                f"{text(label_of(score['metric']))}{less}{own}",
                strip(axis, value=score.get("value"), interval=ends, baseline=baseline, ticks=True),
                f"<b>{text(NOT_AVAILABLE if score.get('value') is None else number(score['value']))}</b>",
                text(span(interval)),
                text("" if baseline is None else number(baseline)),
                _better_by(score.get("difference")),
            ]
        )
    levels = {percent(score["interval"]["level"]) for score in scores if score.get("interval")}
    heading = f"{levels.pop()} interval" if len(levels) == 1 else "interval"
    columns = ["metric", scale(unit), "score", heading, "baseline", "better by"]
    body = table(columns, rows, numbers=(2, 3, 4, 5), wide=(1,), css="stack", label=title)
    has_baseline = any(score.get("baseline") is not None for score in scores)
    legend = f'<ul class="legend"><li><i class="key c0"></i>score and its interval</li><li>{BASELINE_KEY}</li></ul>'
    heading = f"<h3>{text(title)}</h3><p class='how'>{emphasised(how.lstrip(' ,:;'))}</p>"
    return heading + (legend if has_baseline else "") + body


def describe_choices(score: Mapping[str, Any], rows: Mapping[str, Any]) -> str:
    """Say what was chosen before a score was got, and on which rows; empty where nothing was.

    >>> score = {"chosen": {"features": ["train"] * 2, "threshold": ["fold_0_train", "fold_1_train"]}}
    >>> describe_choices(score, {"train": {"n_rows": 1000}})
    'Chosen before: features on all 1,000 rows to learn from; threshold on the training rows of each fold.'
    """
    provenance = provenance_of(score)
    places: dict[tuple[str, bool], list[str]] = {}
    for choice, names in (score.get("chosen") or {}).items():
        is_same = provenance is not None and choice in provenance.labels
        places.setdefault((_rows_in_words(names, rows), is_same), []).append(str(choice))
    parts = [
        f"{_listed(choices)} on {place}{', the scored ones among them' if is_same else ''}"
        for (place, is_same), choices in places.items()
    ]
    return f"Chosen before: {'; '.join(parts)}." if parts else ""


def _rows_in_words(names: Sequence[str], rows: Mapping[str, Any]) -> str:
    if all(name.startswith("fold_") and name.endswith("_train") for name in names):
        return "the training rows of each fold"
    named = {"train": "all {} to learn from", "all": "all {}", "holdout": "the {} of the hold-out"}
    known = [(name, (rows.get(name) or {}).get("n_rows")) for name in dict.fromkeys(names)]
    return _listed([named.get(name, name).format(pluralize(n_rows, "row") or "rows") for name, n_rows in known])


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _axis_of(score: Mapping[str, Any]) -> Axis:
    """Give the scale of a score: that of the metric's range, or from 0 to all that is shown of it."""
    info = _info(score["metric"])
    low, high = info.range if info else (float("-inf"), float("inf"))
    if low == 0 and high == 1:
        return Axis(0.0, 1.0)
    interval = score.get("interval") or {}
    shown = [score.get("value"), score.get("baseline"), interval.get("low"), interval.get("high")]
    known = [each for each in shown if each is not None] or [0.0, 1.0]
    if low == -1 and high == 1:
        return Axis(-1.0, 1.0)
    return Axis(min(0.0, *known), max(known) * 1.06 or 1.0)


def _info(metric: str) -> Any:
    try:
        return metric_info(metric)
    except KeyError:
        return None


def _better_by(difference: Mapping[str, Any] | None) -> str:
    if not difference:
        return ""
    said = text(signed(difference["value"]))
    if not difference.get("distinguishable"):
        return f'<span class="doubt-text">{said} {DOUBT}</span>'
    return f'<span class="bad-text">{said}</span>' if difference["value"] < 0 else said


def _notes(run: RunRecord) -> str:
    notes = notes_of(run.summary, slices=best_slices(run.summary))
    items = "".join(f"<li>{emphasised(note.plain)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>' if items else ""


def findings_section(run: RunRecord) -> Iterator[Section]:
    """List the findings, each with what it means, and the warnings."""
    summary = run.summary
    parts = [_finding(finding) for finding in sorted_findings(summary)]
    if not parts:
        parts = ["<p>None: nothing that a person should look at before trusting the run was found.</p>"]
    if warnings := summary.get("warnings"):
        items = "".join(f"<li>{emphasised(warning)}</li>" for warning in warnings)
        parts.append(f'<h3>Warnings</h3><ul class="notes">{items}</ul>')
    if "findings" in summary:
        yield Section("findings", "Findings", "".join(parts))


def _finding(finding: Mapping[str, Any]) -> str:
    info = FINDINGS.get(finding["code"])
    meaning = f'<p class="soft">{emphasised(info.meaning)}</p>' if info and info.meaning else ""
    severity = str(finding["severity"])
    return (
        f'<div class="finding {text(severity)}"><h3>{pill(severity, SEVERITY_PILLS.get(severity, "quiet"))} '
        f"{text(finding['code'])}</h3><p>{emphasised(finding['message'])}</p>{meaning}</div>"
    )


def model_section(run: RunRecord) -> Iterator[Section]:
    """Say in plain words what was done, and what was chosen on which rows."""
    rows = [row for row in summary_rows(run.summary) if row.label not in {"Time", "Fits", "Time limit", "Model file"}]
    facts = "".join(f"<dt>{text(row.label)}</dt><dd>{emphasised(row.text)}</dd>" for row in rows)
    if facts:
        yield Section("model", "What was done", f'<dl class="facts">{facts}</dl>')


def leaderboard_section(run: RunRecord) -> Iterator[Section]:
    """Compare the models, where there are several."""
    selection = run.summary.get("selection")
    if not selection:
        return
    block = leaderboard_block(selection)
    ends = [model["interval"] for model in selection["models"] if model.get("interval")]
    known = [model["score"] for model in selection["models"] if model.get("score") is not None]
    axis = spanning([*known, *(end for each in ends for end in (each["low"], each["high"]))])
    rows = []
    for model, cells in zip(selection["models"], block.rows, strict=True):
        interval = model.get("interval")
        drawn = strip(
            axis, value=model.get("score"), interval=(interval["low"], interval["high"]) if interval else None,
            css="c0" if model["weight"] else "c7",
        )  # fmt: skip
        name, *others = (text(cell.plain) for cell in cells)
        rows.append([name, drawn, *others])
    columns = [text(block.columns[0]), scale(axis), *map(text, block.columns[1:])]
    failed = [
        f"<li>{text(model['name'])}: {text(model['error'])}</li>" for model in selection["models"] if model["error"]
    ]
    below = f'<ul class="notes">{"".join(failed)}</ul>' if failed else ""
    how = f"<p class='how'>{emphasised(f'Compared{block.how}; greater is better. What has a weight ships.')}</p>"
    numbers = range(2, len(columns))
    yield Section(
        "leaderboard", "Leaderboard", how + table(columns, rows, numbers=numbers, wide=(1,), css="stack") + below
    )


def slices_section(run: RunRecord) -> Iterator[Section]:
    """Draw the scores of the slices beside those of all rows."""
    slices = best_slices(run.summary)
    if not slices:
        return
    scores = [*scores_of_all_rows(run.summary, slices), *slices]
    parts = []
    for metric in dict.fromkeys(score["metric"] for score in slices):
        of_metric = [score for score in scores if score["metric"] == metric][:MOST_SLICES]
        intervals = [score["interval"] for score in of_metric if score.get("interval")]
        values = [score["value"] for score in of_metric if score.get("value") is not None]
        axis = spanning([*values, *(interval[end] for interval in intervals for end in ("low", "high"))])
        rows = []
        for score in of_metric:
            interval, is_all = score.get("interval"), score["slice"] == "all rows"
            drawn = strip(
                axis, value=score.get("value"), interval=(interval["low"], interval["high"]) if interval else None,
                css="c1" if is_all else "c0", ticks=True,
            )  # fmt: skip
            value = NOT_AVAILABLE if score.get("value") is None else number(score["value"])
            rows.append(
                [text(format_name(score["slice"])), drawn, f"{score['n_rows']:,}", f"<b>{value}</b>", span(interval)]
            )
        columns = ["slice", scale(axis), "rows", "score", "95 % interval"]
        label = label_of(metric)
        body = table(columns, rows, numbers=(2, 3, 4), wide=(1,), css="stack", label=f"{label} of slices")
        parts.append(f"<h3>{text(label)}</h3>{body}")
    methods = dict.fromkeys(score["interval"]["method"] for score in slices if score.get("interval"))
    left_out = len({score["slice"] for score in scores}) - MOST_SLICES
    more = [f"{left_out} more are in summary.json"] if left_out > 0 else []
    words = "; ".join(["all rows come first", *more, *(f"intervals by {METHODS.get(each, each)}" for each in methods)])
    how = f"<p class='how'>{text(_source(slices[0]))}: {text(words)}.</p>"
    first, *others = parts
    hidden = (
        f"<details><summary>{pluralize(len(others), 'more metric')}</summary>{''.join(others)}</details>"
        if others
        else ""
    )
    yield Section("slices", "Slices", how + first + hidden)


def drift_section(run: RunRecord) -> Iterator[Section]:
    """Show how far each column of an evaluation is from the training."""
    drift = run.summary.get("drift") or {}
    columns = (drift.get("columns") or [])[:MOST_IMPORTANCES]
    if not columns:
        return
    axis = Axis(0.0, 1.0)
    rows = [
        [
            text(format_name(each["column"])),
            pill("drifted", "bad") if each["has_drifted"] else pill("alike", "good"),
            strip(axis, value=each["distance"], baseline=drift["least_distance"]),
            text(number(each["distance"])),
            text("under 0.0001" if each["p_adjusted"] < 0.0001 else number(each["p_adjusted"])),
            text(f"{percent(round(each['missing_in_training'], 3))} -> {percent(round(each['missing'], 3))}"),
            text(percent(round(each["unseen"], 3))),
        ]
        for each in columns
    ]
    how = (
        f"Jensen-Shannon distance of each column from the training, less what chance alone gives, and the p-value of a "
        f"{drift['test']}. What matters most to the model comes first; the mark is at {drift['least_distance']:g}."
    )
    head = ["column", "", scale(axis), "distance", "chance", "missing", "unseen"]
    body = table(head, rows, numbers=(3, 4, 5, 6), wide=(2,), css="stack", label="Drift")
    yield Section("drift", "Drift", f"<p class='how'>{text(how)}</p>{body}")


def importances_section(run: RunRecord) -> Iterator[Section]:
    """Draw the permutation importances, where the run has computed some."""
    importances = run.summary.get("importances") or {}
    columns = importances.get("columns") or []
    if not importances.get("available") or not columns:
        return
    shown = columns[:MOST_IMPORTANCES]
    ends = [each["interval"] for each in shown if each.get("interval")]
    axis = spanning([0.0, *(each["value"] for each in shown), *(end[side] for end in ends for side in ("low", "high"))])
    rows = []
    for each in shown:
        interval = each.get("interval")
        ends_of = (interval["low"], interval["high"]) if interval else None
        names = ", ".join(format_name(name) for name in each["columns"])
        together = (
            f'<br><small class="soft">shuffled together{_associated(each)}</small>' if len(each["columns"]) > 1 else ""
        )
        rows.append(
            [
                f"{text(names)}{together}",
                strip(axis, value=each["value"], interval=ends_of, baseline=0.0),
                text(number(each["value"])),
                text(span(interval)),
            ]
        )
    metric = label_of(importances.get("metric", ""))
    fell = "falls" if (info := _info(importances.get("metric", ""))) and info.greater_is_better else "rises"
    how = f"How much the {metric} {fell} when the values of a column are shuffled among the rows. "
    times = f", {pluralize(importances['n_repeats'], 'time')} each" if importances.get("n_repeats") else ""
    how += f"Measured on {pluralize(importances.get('n_rows'), 'row')}{times}; {importances.get('note') or ''}."
    left = (
        f"<p class='soft'>{len(columns) - len(shown):,} more are in summary.json.</p>"
        if len(columns) > len(shown)
        else ""
    )
    head = ["column", scale(axis), "importance", "95 % interval"]
    body = table(head, rows, numbers=(2, 3), wide=(1,), css="stack", label="Importance of each column")
    yield Section("importances", "Importances", f"<p class='how'>{emphasised(how)}</p>{body}{left}")


def _associated(importance: Mapping[str, Any]) -> str:
    association = importance.get("association")
    return "" if association is None else f", associated by {association:.2f} at least"


def run_section(run: RunRecord) -> Iterator[Section]:
    """Say what ran, how long, and with which versions."""
    summary = run.summary
    phases, versions = summary.get("phases") or [], summary.get("versions") or {}
    parts = []
    if phases:
        axis = Axis(0.0, max([phase["seconds"] for phase in phases] + [1e-9]))
        rows = [
            [
                text(phase["name"]),
                _bar(axis.share(phase["seconds"])),
                text(duration(phase["seconds"])),
                f"{phase['fits']:,}" if phase.get("fits") else NOTHING,
                status_pill(str(phase["status"])) + f" {text(phase.get('reason') or '')}",
            ]
            for phase in phases
        ]
        columns = ["phase", "", "time", "fits", "status"]
        parts.append("<h3>Phases</h3>" + table(columns, rows, numbers=(2, 3), wide=(1,), css="stack", label="Phases"))
    kept = {"Time limit", "Fits", "Model file"}
    facts = [(row.label, row.text) for row in summary_rows(summary) if row.label in kept]
    facts += [
        ("Run", str(summary.get("run_id") or "")),
        ("Started", str(summary.get("started_at") or "")[:19].replace("T", " ") + " UTC"),
    ]
    facts += [("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()))] if versions else []
    listed = "".join(
        f"<dt>{text(label)}</dt><dd>{emphasised(said)}</dd>" for label, said in facts if said.strip(" UTC")
    )
    parts.append(f'<h3>Run</h3><dl class="facts">{listed}</dl>')
    if run.config:
        parts.append(
            "<details><summary>The experiment as it was resolved (config.yaml)</summary>"
            f"<pre>{text(run.config)}</pre></details>"
        )
    yield Section("run", "What ran", "".join(parts))


def _bar(share: float) -> str:
    return f'<span class="strip" aria-hidden="true"><i class="part c0" style="left:0;width:{share:.2%}"></i></span>'


def status_pill(status: str, said: str | None = None) -> str:
    """Write how a run or a phase ended."""
    return pill(said or status, STATUS_PILLS.get(status, "quiet"))


def pill(said: str, kind: str) -> str:
    """Write a status."""
    return f'<span class="pill {kind}">{text(said)}</span>'


def emphasised(said: object) -> str:
    """Write a sentence of ours: what stands in backticks is code, and the label that must not be missed stands out."""
    marked = ANY_LABEL.sub(r"<mark>\g<0></mark>", text(said).replace("\n", "<br>"))
    return re.sub(r"`([^`<>]+)`", r"<code>\1</code>", marked) if marked.count("`") % 2 == 0 else marked


def label_of(metric: str) -> str:
    """Name a metric as tables write it."""
    info = METRICS.get(metric)
    return info.label if info and info.label else metric


def _source(row: Mapping[str, Any]) -> str:
    source = row.get("source")
    return SOURCES[source].label if source in SOURCES else str(source or "")


Render = Callable[[RunRecord], Iterator[Section]]
