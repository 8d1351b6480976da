"""The results of a run in words and plain numbers: what tables, JSON and the tracking store show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from mlwf.modules.runs import RunFolder
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.run_provenance import ALL, fold_rows
from mlwf.results import Evaluation
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ExperimentSpec

GUIDE_KEYS = (
    "model_name",
    "algorithm",
    "validation_strategy",
    "cv_score",
    "cv_std",
    "cv_folds",
    "val_score",
    "test_accuracy",
    "n_features",
    "tuning_enabled",
    "calibration_enabled",
    "threshold_enabled",
    "mlflow_enabled",
    "feature_store_enabled",
)
DISTRIBUTIONS = ("mlwf", "scikit-learn", "numpy", "pandas")


def get_workflow_summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """Extract what a person wants to know first from the results of `run_ml_workflow`.

    A key is there when the run has it: `cv_score` and `cv_std` after cross-validation, `val_score` after `train_test`,
    `test_accuracy` with a test set. `degraded` names the phases that the run had to go on without, and why.
    """
    summary = {key: results[key] for key in GUIDE_KEYS if key in results}
    degraded = {phase.name: phase.reason for phase in results.get("phases", ()) if phase.status == "degraded"}
    return {**summary, "degraded": degraded} if degraded else summary


def summarise(
    spec: ExperimentSpec,
    results: Mapping[str, Any],
    *,
    status: str,
    error: str | None,
    started_at: datetime,
    run_log: RunLog,
    context: RunContext | None,
    evaluations: Sequence[Evaluation],
    tracking: Mapping[str, Any] | None,
    folder: RunFolder | None,
) -> dict[str, Any]:
    """Put a run into plain values: the content of `summary.json`."""
    phases = {"phases": list(run_log.phases)}
    return {
        "run_id": folder and folder.run_id,
        "name": spec.name,
        "status": status,
        "error": error,
        "started_at": started_at.isoformat(),
        "seconds": round(run_log.seconds, 3),
        "summary": get_workflow_summary({**results, **phases}),
        "data": context and _data(context),
        "features": context and _features(context),
        "phases": [asdict(phase) for phase in run_log.phases],
        "fits": asdict(run_log.counts),
        "rows": context and _rows(context),
        "scores": [score.to_dict() for evaluation in evaluations for score in evaluation.scores],
        "slices": [score.to_dict() for evaluation in evaluations for score in evaluation.slices],
        "classes": [_classes(evaluation) for evaluation in evaluations],
        "folds": [
            {"fold": number, **choice}
            for evaluation in evaluations
            for number, choice in enumerate(evaluation.choices, start=1)
        ],
        "tuning": results.get("tuning_summary"),
        "calibration": results.get("calibration_summary"),
        "threshold": results.get("threshold_summary"),
        "refit": results.get("refit_summary"),
        "importances": results.get("importances"),
        "findings": [asdict(finding) for finding in results.get("findings", ())],
        "leak_search": run_log.leak_search and asdict(run_log.leak_search),
        "gates": [asdict(gate) for gate in results.get("gates", ())],
        "feature_store": context and _feature_store(context),
        "tracking": tracking,
        "warnings": list(run_log.warnings),
        "versions": _versions(spec.model.algorithm),
        "files": folder and _files(folder),
    }


@cache
def _versions(algorithm: str) -> dict[str, str]:
    # To look one up reads the distribution's whole description.
    found = {name: version(name) for name in DISTRIBUTIONS}
    info = ALGORITHMS.get(algorithm)
    with suppress(PackageNotFoundError):  # then the run has failed because of it
        return found if info is None else {**found, info.distribution: version(info.distribution)}
    return found


def _files(folder: RunFolder) -> dict[str, str]:
    model = folder.file("model.skops")
    # A run that was cut off may have none.
    return {"folder": str(folder.path), **({"model": str(model)} if model.exists() else {})}


def _data(context: RunContext) -> dict[str, Any]:
    data, spec = context.run_data.data, context.spec.data
    labels, counts = np.unique(data.y, return_counts=True)
    binary = len(labels) == 2
    return {
        "source": data.source,
        "digest": data.digest,
        "rows": len(data),
        "columns": int(data.X.shape[1]),
        "target": spec.target,
        "classes": dict(zip(map(str, labels.tolist()), counts.tolist(), strict=True)),
        "positive_class": (labels[-1].item() if hasattr(labels[-1], "item") else labels[-1])
        if binary and spec.positive_class is None
        else spec.positive_class,
        "sample_weight": spec.sample_weight,
        "groups": spec.groups,
        "time": spec.time,
        "fold": spec.fold,
        "holdout_rows": len(context.split.test),
        "test_source": context.run_data.test.source if context.run_data.test else None,
        "test_rows": len(context.run_data.test) if context.run_data.test else None,
        "dropped_rows": data.n_dropped_target,
        "read_as_missing": {name: dict(words) for name, words in context.run_data.read_as_missing.items()},
        "unknown_in_test": [asdict(unknown) for unknown in context.run_data.unknown],
    }


def _rows(context: RunContext) -> dict[str, Any]:
    """Count and identify the rows that scores and choices name; their positions are in `splits.npz`."""
    parts = {"train": context.split.train, "holdout": context.split.test}
    if context.is_refitted:
        parts[ALL] = context.shipped_rows
    for number, fold in enumerate(context.outer):
        parts |= {fold_rows(number, "train"): fold.train, fold_rows(number, "test"): fold.test}
    rows = {name: {"n_rows": len(part), "digest": part.digest} for name, part in parts.items() if len(part)}
    test = context.run_data.test
    return rows if test is None else {**rows, "test": {"n_rows": len(test), "digest": test.digest}}


def _classes(evaluation: Evaluation) -> dict[str, Any]:
    accuracy = evaluation.scores[0]
    return {
        "source": evaluation.source,
        "note": evaluation.note,
        "rows": list(accuracy.rows),
        "chosen": dict(accuracy.chosen),
        "tuned_on_same_rows": accuracy.tuned_on_same_rows,
        "provenance": evaluation.provenance.to_dict(),
        "report": [asdict(each) for each in evaluation.classes],
        "confusion": [list(row) for row in evaluation.confusion],
    }


def _features(context: RunContext) -> dict[str, Any]:
    inferred = context.run_data.inferred
    return {
        "used": [feature.model_dump(mode="json") for feature in context.run_data.features],
        "left_out": dict(inferred.left_out) if inferred else {},
        "notes": dict(inferred.notes) if inferred else {},
    }


def _feature_store(context: RunContext) -> dict[str, Any] | None:
    joined, store = context.run_data.joined, context.spec.feature_store
    if joined is None or store is None:
        return None
    return {
        "repo_path": store.repo_path,
        "features": list(joined.features),
        "rows": joined.n_rows,
        "unmatched": dict(joined.unmatched),
    }
