"""What of a run's results becomes MLflow's parameters, metrics and tags."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlwf.results import Evaluation, Finding, GateResult, Score
from mlwf.specs.catalogue import SOURCES
from mlwf.text import redact

PROCESS_TAGS = {"host": "host", "pid": "pid", "start": "pid_start", "namespace": "pid_namespace"}
"""Tags, after `mlwf.`, that say which process writes the run."""

_GUIDE_METRICS = ("cv_score", "cv_std", "val_score", "test_accuracy")
_GUIDE_PARAMS = ("validation_strategy", "cv_folds")
_LONGEST_PARAM = 6000


def start_tags(run_id: str | None, process: Mapping[str, Any] | None) -> dict[str, str]:
    """Say who writes the run, and from which process."""
    tags = {**origin_tags(), "mlwf.status": "running"}
    if run_id is not None:
        tags["mlwf.run_id"] = run_id
    if process:
        tags |= {f"mlwf.{PROCESS_TAGS[key]}": str(value) for key, value in process.items() if value is not None}
    return tags


def origin_tags() -> dict[str, str]:
    """Say who made something, as MLflow's own clients do."""
    return {"mlflow.user": _user(), "mlflow.source.name": "mlwf", "mlflow.source.type": "LOCAL"}


def params_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """Take what the guide's results say of the search, the calibration and the validation."""
    params = {name: results[name] for name in _GUIDE_PARAMS if results.get(name) is not None}
    tuning, calibration = results.get("tuning_summary") or {}, results.get("calibration_summary") or {}
    params |= tuning.get("best_params") or {}
    params |= {f"tuning_{name}": tuning[name] for name in ("strategy", "scoring", "n_candidates") if name in tuning}
    return params | {f"calibration_{name}": calibration[name] for name in ("method", "ensemble") if name in calibration}


def metrics_of(results: Mapping[str, Any]) -> dict[str, float | None]:
    """Take the scores that the guide's results name."""
    metrics = {name: results[name] for name in _GUIDE_METRICS if name in results}
    if "best_score" in (results.get("tuning_summary") or {}):
        metrics["tuning_best_score"] = results["tuning_summary"]["best_score"]
    return metrics


def metrics_of_scores(evaluations: Sequence[Evaluation]) -> dict[str, float | None]:
    """Name each score by its source, metric and slice, with its spread, its interval and the baseline's score."""
    metrics: dict[str, float | None] = {}
    for evaluation in evaluations:
        for score in (*evaluation.scores, *evaluation.slices):
            metrics |= _metrics_of(score)
    return metrics


def _metrics_of(score: Score) -> dict[str, float | None]:
    name = f"{SOURCES[score.source].metric_prefix}_{score.metric}"
    part = "" if score.slice is None else f"/{score.slice}"
    found = {"": score.value, "_std": score.std, "_baseline": score.baseline}
    if score.interval:
        found |= {"_low": score.interval.low, "_high": score.interval.high}
    return {f"{name}{end}{part}": value for end, value in found.items()}


def verdict_tags(
    evaluations: Sequence[Evaluation], gates: Sequence[GateResult], findings: Sequence[Finding]
) -> dict[str, str]:
    """Say in tags what to know before a number is trusted: how it was got, which gates were met, what was found."""
    tags: dict[str, str] = {}
    for finding in findings:
        key = f"mlwf.finding.{finding.code}"
        tags[key] = f"{tags[key]}; {finding.message}" if key in tags else finding.message
    if evaluations:
        tuned = any(score.tuned_on_same_rows for evaluation in evaluations for score in evaluation.scores)
        tags["mlwf.tuned_on_same_rows"] = str(tuned).lower()
    if gates:
        tags["mlwf.gates"] = _verdict(all(gate.passed for gate in gates))
    for number, gate in enumerate(gates):
        source = f" ({SOURCES[gate.source].in_text})" if gate.source else ""
        tags[f"mlwf.gate.{number}"] = f"{_verdict(gate.passed)}: {gate.asked}; {gate.got}{source}"
    return tags


def _verdict(passed: bool) -> str:
    return "met" if passed else "not met"


def describe_scores(evaluations: Sequence[Evaluation], digests: Mapping[str, str]) -> str | None:
    """Say, as the run's description in Markdown, what the scores were computed on, and which slices have digests."""
    noted = [(SOURCES[each.source].metric_prefix, each.note) for each in evaluations if each.note]
    notes = [f"- `{prefix}_*`: {note}" for prefix, note in noted]
    notes += [f"- `*-{digest}`: {text}" for digest, text in digests.items()]
    return "\n".join(notes) or None


def flat_texts(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Write parameters as texts, nested ones with a dot between the names, long ones cut."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flat_texts(value, f"{name}.")
        else:
            while name in flat:  # 1 and "1" are two keys of a map
                name += "'"
            text = redact(str(value))
            flat[name] = text if len(text) <= _LONGEST_PARAM else text[: _LONGEST_PARAM - 1] + "…"
    return flat


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut items into parts of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return "unknown"
