"""The results of a run in words and plain numbers: what tables, JSON and the tracking store show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from mlwf.modules.runs import RunFolder
from mlwf.orchestrator.context import Setting
from mlwf.orchestrator.provenance import ALL, fold_rows
from mlwf.orchestrator.run_log import Journal
from mlwf.results import Judgement
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
    journal: Journal,
    setting: Setting | None,
    judgements: Sequence[Judgement],
    tracking: Mapping[str, Any] | None,
    folder: RunFolder | None,
) -> dict[str, Any]:
    """Put a run into plain values: the content of `summary.json`."""
    phases = {"phases": list(journal.phases)}
    return {
        "run_id": folder and folder.run_id,
        "name": spec.name,
        "status": status,
        "error": error,
        "started_at": started_at.isoformat(),
        "seconds": round(journal.seconds, 3),
        "summary": get_workflow_summary({**results, **phases}),
        "data": setting and _data(setting),
        "features": setting and _features(setting),
        "phases": [asdict(phase) for phase in journal.phases],
        "fits": asdict(journal.tally),
        "rows": setting and _rows(setting),
        "scores": [asdict(score) for judgement in judgements for score in judgement.scores],
        "slices": [asdict(score) for judgement in judgements for score in judgement.slices],
        "classes": [_classes(judgement) for judgement in judgements],
        "folds": [
            {"fold": number, **choice}
            for judgement in judgements
            for number, choice in enumerate(judgement.choices, start=1)
        ],
        "tuning": results.get("tuning_summary"),
        "calibration": results.get("calibration_summary"),
        "threshold": results.get("threshold_summary"),
        "refit": results.get("refit_summary"),
        "importances": results.get("importances"),
        "findings": [asdict(finding) for finding in results.get("findings", ())],
        "leak_search": journal.leak_search and asdict(journal.leak_search),
        "gates": [asdict(gate) for gate in results.get("gates", ())],
        "feature_store": setting and _feature_store(setting),
        "tracking": tracking,
        "warnings": list(journal.warnings),
        "versions": {name: version(name) for name in DISTRIBUTIONS},
        "files": folder and _files(folder),
    }


def _files(folder: RunFolder) -> dict[str, str]:
    model = folder.file("model.skops")
    # A run that was cut off may have none.
    return {"folder": str(folder.path), **({"model": str(model)} if model.exists() else {})}


def _data(setting: Setting) -> dict[str, Any]:
    data, spec = setting.material.data, setting.spec.data
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
        "holdout_rows": len(setting.split.test),
        "test_source": setting.material.test.source if setting.material.test else None,
        "test_rows": len(setting.material.test) if setting.material.test else None,
        "dropped_rows": data.n_dropped_target,
        "read_as_missing": {name: dict(words) for name, words in setting.material.read_as_missing.items()},
        "unknown_in_test": [asdict(unknown) for unknown in setting.material.unknown],
    }


def _rows(setting: Setting) -> dict[str, Any]:
    """Count and identify the rows that scores and choices name; their positions are in `splits.npz`."""
    parts = {"train": setting.split.train, "holdout": setting.split.test}
    if setting.is_refitted:
        parts[ALL] = setting.shipped_rows
    for number, fold in enumerate(setting.outer):
        parts |= {fold_rows(number, "train"): fold.train, fold_rows(number, "test"): fold.test}
    rows = {name: {"n_rows": len(part), "digest": part.digest} for name, part in parts.items() if len(part)}
    test = setting.material.test
    return rows if test is None else {**rows, "test": {"n_rows": len(test), "digest": test.digest}}


def _classes(judgement: Judgement) -> dict[str, Any]:
    accuracy = judgement.scores[0]
    return {
        "source": judgement.source,
        "note": judgement.note,
        "rows": list(accuracy.rows),
        "chosen": dict(accuracy.chosen),
        "tuned_on_same_rows": accuracy.tuned_on_same_rows,
        "report": [asdict(each) for each in judgement.classes],
        "confusion": [list(row) for row in judgement.confusion],
    }


def _features(setting: Setting) -> dict[str, Any]:
    inferred = setting.material.inferred
    return {
        "used": [feature.model_dump(mode="json") for feature in setting.material.features],
        "left_out": dict(inferred.left_out) if inferred else {},
        "notes": dict(inferred.notes) if inferred else {},
    }


def _feature_store(setting: Setting) -> dict[str, Any] | None:
    joined, store = setting.material.joined, setting.spec.feature_store
    if joined is None or store is None:
        return None
    return {
        "repo_path": store.repo_path,
        "features": list(joined.features),
        "rows": joined.n_rows,
        "unmatched": dict(joined.unmatched),
    }
