"""The labelled lines of a run, in the order they are shown: each function makes some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlwf.tables.blocks import duration, moment, number
from mlwf.tables.descriptions import (
    MOST_LISTED,
    describe_calibration,
    describe_folds,
    describe_importances,
    describe_refit,
    describe_threshold,
    describe_tuning,
)
from mlwf.tables.leaderboard import describe_selection
from mlwf.text import format_name, format_share, pluralize


@dataclass(frozen=True)
class Field:
    """A labelled line of a run's table."""

    label: str
    text: str
    tone: str = ""
    """A status whose colour the line takes, or empty."""


def summary_rows(summary: Mapping[str, Any]) -> list[Field]:
    """List what is known of a run, from the content of summary.json; what is not known is left out."""
    return [field for fields in FIELDS for field in fields(summary) if field.text]


def _model(summary: Mapping[str, Any]) -> Iterator[Field]:
    overview = summary.get("summary") or {}
    yield Field("Model", str(overview.get("model_name") or ""))
    yield Field("Algorithm", str(overview.get("algorithm") or ""))


def _trouble(summary: Mapping[str, Any]) -> Iterator[Field]:
    status = str(summary.get("status", ""))
    troubled = [phase for phase in summary.get("phases") or [] if phase["status"] in {"degraded", "failed"}]
    for phase in troubled:
        # A run that someone stopped did not fail: its last phase shows where it was stopped.
        tone = "killed" if phase["status"] == "failed" and status == "killed" else phase["status"]
        yield Field(tone.capitalize(), f"{phase['name']}: {phase.get('reason') or 'no reason given'}", tone)
    if summary.get("error") and not any(phase["status"] == "failed" for phase in troubled):
        yield Field(status.capitalize(), str(summary["error"]), status)
    if "summary" not in summary:
        yield Field("Summary", "not written yet" if status == "running" else "none: the run was cut off")


def _data(summary: Mapping[str, Any]) -> Iterator[Field]:
    data = summary.get("data") or {}
    if data:
        counts = [pluralize(data.get("rows"), "row"), pluralize(data.get("columns"), "column")]
        counts += [f"{data['test_rows']:,} test rows"] if data.get("test_rows") else []
        counts += [f"{data['dropped_rows']:,} dropped"] if data.get("dropped_rows") else []
        yield Field("Data", "\n".join(filter(None, [str(data.get("source") or ""), ", ".join(filter(None, counts))])))
        yield Field("Target", _target(data))


def _target(data: Mapping[str, Any]) -> str:
    classes = data.get("classes") or {}
    total = sum(classes.values()) or 1
    shown = [
        f"{format_name(label)} {count:,} ({format_share(count, total)})"
        for label, count in list(classes.items())[:MOST_LISTED]
    ]
    more = [f"and {len(classes) - MOST_LISTED:,} more"] if len(classes) > MOST_LISTED else []
    positive = data.get("positive_class")
    lines = f"; positive class {format_name(positive)}" if positive is not None else ""
    target = format_name(data.get("target") or "")
    return f"{target}: {', '.join(shown + more)}{lines}" if classes else target


def _features(summary: Mapping[str, Any]) -> Iterator[Field]:
    features = summary.get("features") or {}
    kinds: dict[str, int] = {}
    for group in features.get("used") or []:
        kinds[group["type"]] = kinds.get(group["type"], 0) + len(group["columns"])
    count = (summary.get("summary") or {}).get("n_features")
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    yield Field("Features", ": ".join(filter(None, [pluralize(count, "column"), listed])))
    left_out = features.get("left_out") or {}
    lines = [f"{format_name(column)}: {reason}" for column, reason in left_out.items()]
    more = [f"and {pluralize(len(lines) - MOST_LISTED, 'more column')}"] if len(lines) > MOST_LISTED else []
    yield Field("Left out", "\n".join(lines[:MOST_LISTED] + more))


def _validation(summary: Mapping[str, Any]) -> Iterator[Field]:
    overview = summary.get("summary") or {}
    yield Field("Validation", str(overview.get("validation_strategy") or ""))
    if summary.get("scores"):
        return
    # A run known only by its tracked values has the scores of the public API and no more.
    if overview.get("cv_score") is not None:
        std = f" ± {number(overview['cv_std'])}" if overview.get("cv_std") is not None else ""
        yield Field("CV score", number(overview["cv_score"]) + std)
    if overview.get("val_score") is not None:
        yield Field("Hold-out score", number(overview["val_score"]))
    if overview.get("test_accuracy") is not None:
        yield Field("Test accuracy", number(overview["test_accuracy"]))


def _nested(summary: Mapping[str, Any]) -> Iterator[Field]:
    if folds := summary.get("folds"):
        yield Field("Nested", describe_folds(folds))


def _selection(summary: Mapping[str, Any]) -> Iterator[Field]:
    if selection := summary.get("selection"):
        yield Field("Chosen", describe_selection(selection))


def _tuning(summary: Mapping[str, Any]) -> Iterator[Field]:
    tuning = summary.get("tuning")
    yield Field("Tuning", describe_tuning(tuning) if tuning else _asked(summary, "tuning_enabled", "tune"))


def _calibration(summary: Mapping[str, Any]) -> Iterator[Field]:
    calibration = summary.get("calibration")
    asked = _asked(summary, "calibration_enabled", "calibrate")
    yield Field("Calibration", describe_calibration(calibration) if calibration else asked)


def _threshold(summary: Mapping[str, Any]) -> Iterator[Field]:
    if threshold := summary.get("threshold"):
        yield Field("Threshold", describe_threshold(threshold, (summary.get("data") or {}).get("positive_class")))
    elif (summary.get("summary") or {}).get("threshold_enabled"):
        # None where it was not asked for: with more than two classes there is none.
        yield Field("Threshold", _asked(summary, "threshold_enabled", "threshold", "calibrate"))


def _refit(summary: Mapping[str, Any]) -> Iterator[Field]:
    if refit := summary.get("refit"):
        yield Field("Refit", describe_refit(refit))


def _importances(summary: Mapping[str, Any]) -> Iterator[Field]:
    if importances := summary.get("importances"):
        yield Field("Importances", describe_importances(importances))


def _feature_store(summary: Mapping[str, Any]) -> Iterator[Field]:
    store = summary.get("feature_store")
    if store:
        unmatched = [f"{view} {count:,}" for view, count in (store.get("unmatched") or {}).items() if count]
        lines = [f"{store['repo_path']}: {', '.join(store.get('features') or [])}"]
        lines += [f"rows without a match: {', '.join(unmatched)}"] if unmatched else []
        yield Field("Feature store", "\n".join(lines))


def _tracking(summary: Mapping[str, Any]) -> Iterator[Field]:
    tracking = summary.get("tracking")
    if not tracking:
        yield Field("Tracking", _asked(summary, "mlflow_enabled", "log"))
        return
    lines = [f"{tracking.get('tracking_uri')}{_origin(tracking)}"]
    lines += [f"run {tracking['run_id']}"] if tracking.get("run_id") else []
    lines += _registered(tracking)
    lines += [_alias(name, each) for name, each in (tracking.get("aliases") or {}).items()]
    if tracking.get("error"):
        lines += [f"not sent: {tracking['error']}"]
        is_kept = summary.get("run_id") and tracking.get("run_id")
        lines += [f"`mlwf push {summary['run_id']}` sends it"] if is_kept else []
    yield Field("Tracking", "\n".join(lines), "degraded" if tracking.get("withheld") or tracking.get("error") else "")


def _origin(tracking: Mapping[str, Any]) -> str:
    """Say what named the store, where the experiment did not."""
    origins = {"MLFLOW_TRACKING_URI": " (MLFLOW_TRACKING_URI)", "default": " (the default)"}
    return origins.get(str(tracking.get("tracking_uri_from")), "")


def _registered(tracking: Mapping[str, Any]) -> list[str]:
    if tracking.get("withheld"):
        name = f" as {tracking['registered_model']}" if tracking.get("registered_model") else ""
        return [f"not registered{name}: {tracking['withheld']}"]
    version = tracking.get("version")
    if not tracking.get("registered_model") or (tracking.get("error") and not version):
        return []
    alias = f", alias {tracking['alias']}" if tracking.get("alias") else ""
    return [f"registered as {tracking['registered_model']}{f' version {version}' if version else ''}{alias}"]


def _alias(name: str, held: Mapping[str, Any]) -> str:
    """Say since when, or until when, the version has an alias, and why."""
    if held.get("until"):
        return f"{name} until {moment(held['until'])}, then version {held.get('after')}"
    before = f", before that version {held['before']}" if held.get("before") else ""
    return f"{name} since {moment(held['since'])}{before}: {held.get('reason')}"


def _time(summary: Mapping[str, Any]) -> Iterator[Field]:
    phases = [phase for phase in summary.get("phases") or [] if phase["seconds"] >= 0.05 or phase.get("fits")]
    yield Field("Time", ", ".join(_phase(phase) for phase in phases))


def _fits(summary: Mapping[str, Any]) -> Iterator[Field]:
    fits = summary.get("fits") or {}
    if fits.get("asked"):
        reused = f"; {fits['recorded']:,} answered by earlier runs" if fits.get("recorded") else ""
        yield Field("Fits", f"{fits['fitted']:,} made for {fits['asked']:,} asked for{reused}")


def _time_limit(summary: Mapping[str, Any]) -> Iterator[Field]:
    if limit := summary.get("time_limit"):
        cut = f"; cut short: {', '.join(limit['cut'])}; a faster machine does more" if limit["cut"] else ""
        yield Field("Time limit", f"{duration(limit['seconds'])}{cut}")


def _files(summary: Mapping[str, Any]) -> Iterator[Field]:
    yield Field("Model file", str((summary.get("files") or {}).get("model") or ""))


FIELDS = (
    _model, _trouble, _data, _features, _validation, _nested, _selection, _tuning, _calibration, _threshold, _refit,
    _importances, _feature_store, _tracking, _fits, _time, _time_limit, _files,
)  # fmt: skip


def _asked(summary: Mapping[str, Any], enabled: str, *phases: str) -> str:
    overview = summary.get("summary") or {}
    if enabled not in overview:
        return ""
    if not overview[enabled]:
        return "no"
    degraded = {each["name"] for each in summary.get("phases") or [] if each["status"] == "degraded"}
    return "asked for; degraded" if degraded.intersection(phases) else "yes"


def _phase(phase: Mapping[str, Any]) -> str:
    fits = f" ({pluralize(phase['fits'], 'fit')})" if phase.get("fits") else ""
    return f"{phase['name']} {duration(phase['seconds'])}{fits}"
