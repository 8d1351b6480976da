"""Compare runs by what they keep: what was asked for, what was chosen, how good that is on the same rows, the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from string import ascii_uppercase
from typing import Any, Literal

from mlwf.errors import UsageError, nearest
from mlwf.evaluation.paired import fold_difference, resample_difference
from mlwf.results import Difference
from mlwf.specs.catalogue import METRICS, SOURCES, metric_info

SCHEMA_VERSION = 1
"""Counted up when a key of a comparison changes its meaning or goes."""
FACTS = ("rows", "columns", "target", "positive_class", "classes", "test_rows", "holdout_rows", "dropped_rows")
"""What a summary says of its data, wherever the table stood."""

Refused = Literal[
    "not_judged", "not_computed", "rows_unknown", "other_rows", "other_folds", "other_weights", "other_units",
    "other_positive_class", "other_resamples", "resamples_unknown",
]  # fmt: skip
"""Why two scores are not compared."""


@dataclass(frozen=True)
class RunFiles:
    """What a run keeps and others are compared with."""

    summary: Mapping[str, Any]
    config: Mapping[str, Any]
    """The experiment as it was resolved."""
    resamples: Sequence[Mapping[str, Any]] = ()

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return str(self.summary.get("run_id") or "")


@dataclass(frozen=True)
class Comparison:
    """What was found of runs beside the first of them, in plain values; runs are named A, B, ..."""

    runs: Sequence[Mapping[str, Any]]
    configuration: Sequence[Mapping[str, Any]]
    """Keys of the experiments that differ; a run that does not have a key is not among its `values`."""
    others: Sequence[Mapping[str, Any]]
    """What else differs: data, versions, what was chosen, how phases ended."""
    scores: Sequence[Mapping[str, Any]]
    """Each metric of each source: values and, beside the first run, differences or why there is none."""
    slices: Sequence[Mapping[str, Any]]
    gates: Sequence[Mapping[str, Any]]
    """Gates that are not met, or that not all runs have."""
    findings: Sequence[Mapping[str, Any]]
    """Findings that not all runs have."""
    schema_version: int = field(default=SCHEMA_VERSION, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def compare_runs(runs: Sequence[RunFiles], labels: Sequence[str] | None = None) -> Comparison:
    """Compare runs with the first of them; each metric by the rows that both were judged on.

    They are called A, B, ... unless there are `labels`.
    """
    labels = labels or [_label(number) for number in range(len(runs))]
    summaries = dict(zip(labels, (run.summary for run in runs), strict=True))
    compared = [_Compared(label, run) for label, run in zip(labels, runs, strict=True)]
    return Comparison(
        runs=[_describe(label, summary) for label, summary in summaries.items()],
        configuration=_differing({label: _by_column(run.config) for label, run in zip(labels, runs, strict=True)}),
        others=_differing({label: _facts(summary) for label, summary in summaries.items()}),
        scores=list(_scores(compared, "scores")),
        slices=list(_scores(compared, "slices")),
        gates=_gates(summaries),
        findings=_findings(summaries),
    )


def find_worse(comparison: Comparison, metric: str) -> dict[str, str | None]:
    """Give the runs that are worse than the first by a metric, beyond chance, on the best rows that both have.

    A run that cannot be compared counts too: then the reason stands behind its label, and None otherwise. Raises
    UsageError for a metric that no run has.
    """
    scores = [score for score in comparison.scores if score["metric"] == metric]
    if not scores:
        known = {str(score["metric"]) for score in comparison.scores}
        hint = nearest(metric, known) if known else "they have no scores"
        raise UsageError(f"--fail-if-worse {metric}: these runs have no such metric; {hint}")
    first, *others = (str(run["label"]) for run in comparison.runs)
    found: dict[str, str | None] = {}
    for label in others:
        both = [score for score in scores if {first, label} <= score["values"].keys()] or scores
        difference = both[0]["differences"].get(label)
        if difference is None:
            found[label] = str(both[0]["refused"][label]["message"])
        elif difference["distinguishable"] and difference["value"] < 0:
            found[label] = None
    return found


def _label(number: int) -> str:
    """Name a run by its place.

    >>> [_label(number) for number in (0, 25, 26)]
    ['A', 'Z', 'AA']
    """
    before, letter = divmod(number, len(ascii_uppercase))
    return (_label(before - 1) if before else "") + ascii_uppercase[letter]


def _describe(label: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    gates, fits = summary.get("gates") or [], summary.get("fits") or {}
    overview, tracking = summary.get("summary") or {}, summary.get("tracking") or {}
    return {
        "label": label,
        "run_id": summary.get("run_id"),
        "name": summary.get("name"),
        "status": summary.get("status"),
        "gates": ("met" if all(gate["passed"] for gate in gates) else "not met") if gates else None,
        "algorithm": overview.get("algorithm"),
        "started_at": summary.get("started_at"),
        "registered": tracking.get("registered_model") if tracking.get("version") else None,
        "version": tracking.get("version"),
        "seconds": summary.get("seconds"),
        "fits": dict(fits),
        "phases": {phase["name"]: {"seconds": phase["seconds"], "fits": phase["fits"]} for phase in _phases(summary)},
    }


def _phases(summary: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return summary.get("phases") or []


# What was asked for, and what else differs

_ABSENT = object()


def _by_column(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give an experiment with its features by column: groups of them change as soon as one column does."""
    features = config.get("features")
    if not isinstance(features, list) or not all(isinstance(group, Mapping) for group in features):
        return dict(config)
    by_column = {
        str(column): {key: value for key, value in group.items() if key != "columns"}
        for group in features
        for column in group.get("columns") or ()
    }
    return {**config, "features": by_column}


def _facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    data, tuning, selection = (summary.get(key) or {} for key in ("data", "tuning", "selection"))
    calibration, threshold = summary.get("calibration") or {}, summary.get("threshold") or {}
    chosen = {
        "params": tuning.get("best_params") or {},
        "model": selection.get("best"),
        "calibrated": calibration.get("kept"),
        "threshold": threshold.get("value"),
    }
    return {
        "data": {key: data[key] for key in FACTS if key in data},
        "chosen": {key: value for key, value in chosen.items() if value is not None},
        "phases": {phase["name"]: phase["status"] for phase in _phases(summary)},
        "versions": summary.get("versions") or {},
    }


def _differing(contents: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the keys, dotted, whose values are not the same in all; maps are looked into, and lists of as many maps."""
    return [
        {"key": ".".join(map(str, path)), "path": [*path], "values": values}
        for path, values in _walk((), dict(contents))
    ]


def _walk(path: tuple[Any, ...], values: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    there = {label: value for label, value in values.items() if value is not _ABSENT}
    first = next(iter(there.values()))
    if len(there) == len(values) and all(_same(value, first) for value in there.values()):
        return
    is_new_feature = len(there) < len(values) and len(path) == 2 and path[0] == "features"
    if any(there.values()) and all(isinstance(value, Mapping) for value in there.values()) and not is_new_feature:
        for key in dict.fromkeys(key for value in there.values() for key in value):
            yield from _walk((*path, key), {label: there.get(label, {}).get(key, _ABSENT) for label in values})
    elif len(there) == len(values) and all(_are_maps(value, first) for value in there.values()):
        for at in range(len(first)):
            yield from _walk((*path, at), {label: value[at] for label, value in there.items()})
    else:
        yield path, there


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    # 1 and True are equal, and mean different things.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _are_maps(value: Any, first: Any) -> bool:
    both = isinstance(value, list) and isinstance(first, list)
    return both and len(value) == len(first) > 0 and all(isinstance(each, Mapping) for each in (*value, *first))


# Scores, on the same rows


class _Compared:
    """A run with its scores and resamples by source, metric and slice."""

    def __init__(self, label: str, run: RunFiles) -> None:
        self.label = label
        self.summary = run.summary
        self.found: dict[str, dict[tuple[Any, ...], Mapping[str, Any]]] = {
            kind: {_key(score): score for score in run.summary.get(kind) or []} for kind in ("scores", "slices")
        }
        self.resamples = {_key(each): each for each in run.resamples}
        self.sources = {key[0] for key in self.found["scores"]}

    @property
    def data(self) -> Mapping[str, Any]:
        """What its summary says of the data."""
        return self.summary.get("data") or {}

    def contents(self, names: Sequence[str]) -> list[str] | None:
        """Give the digests of named rows; None where the run has not kept them."""
        rows = self.summary.get("rows") or {}
        contents = [str((rows.get(name) or {}).get("content") or "") for name in names]
        return contents if all(contents) and contents else None

    def test_to_train(self, names: Sequence[str]) -> float:
        """Give the test rows of the folds for each row that they learn from."""
        rows = self.summary["rows"]
        ratios = [rows[name]["n_rows"] / rows[name.replace("_test", "_train")]["n_rows"] for name in names]
        return float(sum(ratios) / len(ratios))


def _key(score: Mapping[str, Any]) -> tuple[Any, ...]:
    return score["source"], score["slice"], score["metric"]


def _scores(runs: Sequence[_Compared], kind: str) -> Iterator[dict[str, Any]]:
    first, *others = runs
    keys = dict.fromkeys(key for run in runs for key in run.found[kind])
    for key in sorted(keys, key=lambda key: [*SOURCES].index(key[0]) if key[0] in SOURCES else len(SOURCES)):
        source, part, metric = key
        there = {run.label: run.found[kind][key] for run in runs if key in run.found[kind]}
        found = {run.label: _compare(run, first, kind, key) for run in others}
        yield {
            "source": source,
            "metric": metric,
            "slice": part,
            "values": {label: _value(score) for label, score in there.items()},
            "differences": {label: asdict(each) for label, each in found.items() if isinstance(each, Difference)},
            "refused": {label: each for label, each in found.items() if not isinstance(each, Difference)},
        }


def _value(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: score.get(key) for key in ("value", "interval", "n_rows", "provenance")}


def _compare(run: _Compared, first: _Compared, kind: str, key: tuple[Any, ...]) -> Difference | dict[str, str]:
    """Compare a run with the first on one metric, or say why not."""
    source, _, metric = key
    mine, its = run.found[kind].get(key), first.found[kind].get(key)
    if mine is None or its is None:
        return _lacking(run, first, source, metric)
    if mine.get("value") is None or its.get("value") is None:
        lacks = run if mine.get("value") is None else first
        return _refuse("not_computed", f"{metric} could not be computed in {lacks.label}")
    if refusal := _other_rows(run, first, mine, its) or _other_question(run, first, mine, its):
        return refusal
    better = metric not in METRICS or metric_info(metric).greater_is_better
    if mine.get("folds"):
        ratio = first.test_to_train(its["rows"])
        return fold_difference(mine["folds"], its["folds"], test_to_train=ratio, greater_is_better=better)
    if run.data.get("groups") != first.data.get("groups"):
        return _refuse("other_units", f"one of {first.label} and {run.label} has groups of rows, and the other has not")
    kept = [each.resamples.get(key) for each in (run, first)]
    if kept[0] is None or kept[1] is None or len(kept[0]["values"]) != len(kept[1]["values"]):
        lacks = run if kept[0] is None else first
        return _refuse("resamples_unknown", f"{lacks.label} has not kept {metric} of resamples of its rows")
    if kept[0].get("drawn") != kept[1].get("drawn"):
        return _refuse("other_resamples", f"{run.label} drew other resamples than {first.label}, as with another numpy")
    return resample_difference(
        kept[0]["values"],
        kept[1]["values"],
        value=mine["value"],
        other_value=its["value"],
        n_units=kept[0]["n_units"],
        method=(mine.get("interval") or {}).get("method") or "bootstrap of rows",
        greater_is_better=better,
    )


def _refuse(code: Refused, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def _lacking(run: _Compared, first: _Compared, source: str, metric: str) -> dict[str, str]:
    for each in (run, first):
        if source not in each.sources:
            words = SOURCES[source].where if source in SOURCES else source
            return _refuse("not_judged", f"{each.label} has no score {words}")
    lacks = run if all(key[2] != metric for key in run.found["scores"]) else first
    return _refuse("not_judged", f"{lacks.label} has no {metric} here")


def _other_rows(
    run: _Compared, first: _Compared, mine: Mapping[str, Any], its: Mapping[str, Any]
) -> dict[str, str] | None:
    contents = run.contents(mine.get("rows") or ()), first.contents(its.get("rows") or ())
    for each, content in zip((run, first), contents, strict=True):
        if content is None:
            return _refuse("rows_unknown", f"{each.label} has not kept which rows it was judged on")
    if contents[0] == contents[1]:
        return None
    if mine["source"] == "cross_validation" and run.contents(["train"]) == first.contents(["train"]):
        return _refuse("other_folds", f"{run.label} was judged on other folds of the same rows as {first.label}")
    counts = f"{mine['n_rows']:,} and {its['n_rows']:,}" if mine["n_rows"] != its["n_rows"] else f"{mine['n_rows']:,}"
    return _refuse("other_rows", f"{run.label} was judged on other rows than {first.label} ({counts})")


def _other_question(
    run: _Compared, first: _Compared, mine: Mapping[str, Any], its: Mapping[str, Any]
) -> dict[str, str] | None:
    if run.data.get("positive_class") != first.data.get("positive_class"):
        return _refuse("other_positive_class", f"{run.label} has another positive class than {first.label}")
    if run.data.get("sample_weight") != first.data.get("sample_weight"):
        return _refuse("other_weights", f"{run.label} weighs the rows otherwise than {first.label}")
    return None


# Gates and findings


def _gates(summaries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for label, summary in summaries.items():
        for gate in summary.get("gates") or []:
            key = (gate["asked"], gate.get("source"))
            entry = found.setdefault(key, {"asked": gate["asked"], "source": gate.get("source"), "verdicts": {}})
            entry["verdicts"][label] = {key: gate.get(key) for key in ("passed", "got", "note")}
    return [
        gate
        for gate in found.values()
        if len(gate["verdicts"]) < len(summaries) or not all(each["passed"] for each in gate["verdicts"].values())
    ]


def _findings(summaries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for label, summary in summaries.items():
        for finding in summary.get("findings") or []:
            entry = {key: finding[key] for key in ("code", "severity", "message")}
            found.setdefault(tuple(entry.values()), {**entry, "runs": []})["runs"].append(label)
    return [finding for finding in found.values() if len(finding["runs"]) < len(summaries)]
