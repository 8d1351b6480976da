"""The facts of a run, in the order they are shown: one function tells one or two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlwf.tables.blocks import counted, duration, number
from mlwf.tables.choices import MOST_LISTED, calibration_told, nested_told, refit_told, threshold_told, tuning_told
from mlwf.text import format_name, format_share


@dataclass(frozen=True)
class Fact:
    """A labelled line of a run's table."""

    label: str
    text: str
    tone: str = ""
    """A status whose colour the fact takes, or empty."""


def facts_of(summary: Mapping[str, Any]) -> list[Fact]:
    """Tell what is known of a run, from the content of summary.json; what is not known is left out."""
    told = [fact for tell in TELLERS for fact in tell(summary)]
    return [fact for fact in told if fact.text]


def _model(summary: Mapping[str, Any]) -> Iterator[Fact]:
    guide = summary.get("summary") or {}
    yield Fact("Model", str(guide.get("model_name") or ""))
    yield Fact("Algorithm", str(guide.get("algorithm") or ""))


def _trouble(summary: Mapping[str, Any]) -> Iterator[Fact]:
    status = str(summary.get("status", ""))
    troubled = [phase for phase in summary.get("phases") or [] if phase["status"] in {"degraded", "failed"}]
    for phase in troubled:
        # A run that someone stopped did not fail: its last phase says where it was stopped.
        tone = "killed" if phase["status"] == "failed" and status == "killed" else phase["status"]
        yield Fact(tone.capitalize(), f"{phase['name']}: {phase.get('reason') or 'no reason given'}", tone)
    if summary.get("error") and not any(phase["status"] == "failed" for phase in troubled):
        yield Fact(status.capitalize(), str(summary["error"]), status)
    if "summary" not in summary:
        yield Fact("Summary", "not written yet" if status == "running" else "none: the run was cut off")


def _data(summary: Mapping[str, Any]) -> Iterator[Fact]:
    data = summary.get("data") or {}
    if data:
        counts = [counted(data.get("rows"), "row"), counted(data.get("columns"), "column")]
        counts += [f"{data['test_rows']:,} test rows"] if data.get("test_rows") else []
        counts += [f"{data['dropped_rows']:,} dropped"] if data.get("dropped_rows") else []
        yield Fact("Data", "\n".join(filter(None, [str(data.get("source") or ""), ", ".join(filter(None, counts))])))
        yield Fact("Target", _target(data))


def _target(data: Mapping[str, Any]) -> str:
    classes = data.get("classes") or {}
    total = sum(classes.values()) or 1
    shown = [
        f"{format_name(label)} {count:,} ({format_share(count, total)})"
        for label, count in list(classes.items())[:MOST_LISTED]
    ]
    more = [f"and {len(classes) - MOST_LISTED:,} more"] if len(classes) > MOST_LISTED else []
    positive = data.get("positive_class")
    says = f"; positive class {format_name(positive)}" if positive is not None else ""
    target = format_name(data.get("target") or "")
    return f"{target}: {', '.join(shown + more)}{says}" if classes else target


def _features(summary: Mapping[str, Any]) -> Iterator[Fact]:
    features = summary.get("features") or {}
    kinds: dict[str, int] = {}
    for group in features.get("used") or []:
        kinds[group["type"]] = kinds.get(group["type"], 0) + len(group["columns"])
    count = (summary.get("summary") or {}).get("n_features")
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    yield Fact("Features", ": ".join(filter(None, [counted(count, "column"), listed])))
    left_out = features.get("left_out") or {}
    lines = [f"{format_name(column)}: {reason}" for column, reason in left_out.items()]
    more = [f"and {counted(len(lines) - MOST_LISTED, 'more column')}"] if len(lines) > MOST_LISTED else []
    yield Fact("Left out", "\n".join(lines[:MOST_LISTED] + more))


def _validation(summary: Mapping[str, Any]) -> Iterator[Fact]:
    guide = summary.get("summary") or {}
    yield Fact("Validation", str(guide.get("validation_strategy") or ""))
    if summary.get("scores"):
        return
    # A run known only by its tracked values has the guide's three numbers and no more.
    if guide.get("cv_score") is not None:
        std = f" ± {number(guide['cv_std'])}" if guide.get("cv_std") is not None else ""
        yield Fact("CV score", number(guide["cv_score"]) + std)
    if guide.get("val_score") is not None:
        yield Fact("Hold-out score", number(guide["val_score"]))
    if guide.get("test_accuracy") is not None:
        yield Fact("Test accuracy", number(guide["test_accuracy"]))


def _nested(summary: Mapping[str, Any]) -> Iterator[Fact]:
    if folds := summary.get("folds"):
        yield Fact("Nested", nested_told(folds))


def _tuning(summary: Mapping[str, Any]) -> Iterator[Fact]:
    tuning = summary.get("tuning")
    yield Fact("Tuning", tuning_told(tuning) if tuning else _asked(summary, "tuning_enabled", "tune"))


def _calibration(summary: Mapping[str, Any]) -> Iterator[Fact]:
    calibration = summary.get("calibration")
    asked = _asked(summary, "calibration_enabled", "calibrate")
    yield Fact("Calibration", calibration_told(calibration) if calibration else asked)


def _threshold(summary: Mapping[str, Any]) -> Iterator[Fact]:
    if threshold := summary.get("threshold"):
        yield Fact("Threshold", threshold_told(threshold, (summary.get("data") or {}).get("positive_class")))
    elif (summary.get("summary") or {}).get("threshold_enabled"):
        # Not told where it was not asked for: with more than two classes there is none.
        yield Fact("Threshold", _asked(summary, "threshold_enabled", "threshold", "calibrate"))


def _refit(summary: Mapping[str, Any]) -> Iterator[Fact]:
    if refit := summary.get("refit"):
        yield Fact("Refit", refit_told(refit))


def _importances(summary: Mapping[str, Any]) -> Iterator[Fact]:
    # Where there are some, they are a plot in the tracking store.
    importances = summary.get("importances")
    if importances and not importances["available"]:
        yield Fact("Importances", f"none: {importances['note']}")


def _feature_store(summary: Mapping[str, Any]) -> Iterator[Fact]:
    store = summary.get("feature_store")
    if store:
        unmatched = [f"{view} {count:,}" for view, count in (store.get("unmatched") or {}).items() if count]
        says = [f"{store['repo_path']}: {', '.join(store.get('features') or [])}"]
        says += [f"rows without a match: {', '.join(unmatched)}"] if unmatched else []
        yield Fact("Feature store", "\n".join(says))


def _tracking(summary: Mapping[str, Any]) -> Iterator[Fact]:
    tracking = summary.get("tracking")
    if not tracking:
        yield Fact("Tracking", _asked(summary, "mlflow_enabled", "log"))
        return
    says = [f"{tracking.get('tracking_uri')}{_origin(tracking)}"]
    says += [f"run {tracking['run_id']}"] if tracking.get("run_id") else []
    says += _registered(tracking)
    if tracking.get("error"):
        says += [f"not sent: {tracking['error']}"]
        is_kept = summary.get("run_id") and tracking.get("run_id")
        says += [f"`mlwf push {summary['run_id']}` sends it"] if is_kept else []
    yield Fact("Tracking", "\n".join(says), "degraded" if tracking.get("withheld") or tracking.get("error") else "")


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


def _time(summary: Mapping[str, Any]) -> Iterator[Fact]:
    phases = [phase for phase in summary.get("phases") or [] if phase["seconds"] >= 0.05 or phase.get("fits")]
    yield Fact("Time", ", ".join(_phase(phase) for phase in phases))


def _fits(summary: Mapping[str, Any]) -> Iterator[Fact]:
    fits = summary.get("fits") or {}
    if fits.get("asked"):
        reused = f"; {fits['recorded']:,} answered by earlier runs" if fits.get("recorded") else ""
        yield Fact("Fits", f"{fits['fitted']:,} made for {fits['asked']:,} asked for{reused}")


def _files(summary: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact("Model file", str((summary.get("files") or {}).get("model") or ""))


TELLERS = (
    _model, _trouble, _data, _features, _validation, _nested, _tuning, _calibration, _threshold, _refit, _importances,
    _feature_store, _tracking, _fits, _time, _files,
)  # fmt: skip


def _asked(summary: Mapping[str, Any], enabled: str, *phases: str) -> str:
    guide = summary.get("summary") or {}
    if enabled not in guide:
        return ""
    if not guide[enabled]:
        return "no"
    degraded = {each["name"] for each in summary.get("phases") or [] if each["status"] == "degraded"}
    return "asked for; degraded" if degraded.intersection(phases) else "yes"


def _phase(phase: Mapping[str, Any]) -> str:
    fits = f" ({counted(phase['fits'], 'fit')})" if phase.get("fits") else ""
    return f"{phase['name']} {duration(phase['seconds'])}{fits}"
