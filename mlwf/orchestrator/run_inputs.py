"""What a run works on, in the plain values of its summary."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_provenance import ALL, fold_rows
from mlwf.run_result import RunInputs
from mlwf.splitting.rows import Rows


def describe_inputs(context: RunContext) -> RunInputs:
    """Describe the data, the features and the rows of a run, and what it was asked for."""
    spec = context.spec
    return RunInputs(
        model_name=spec.model_name,
        n_features=context.n_features,
        validation_strategy=spec.validation.strategy,
        cv_folds=spec.validation.cv_folds,
        tuning_enabled=context.tuning is not None,
        calibration_enabled=context.calibration is not None,
        threshold_enabled=context.threshold is not None,
        feature_store_enabled=context.run_data.joined is not None,
        data=_describe_data(context),
        features=_describe_features(context),
        rows=_describe_rows(context),
        feature_store=_describe_feature_store(context),
        positive_class=spec.data.positive_class,
    )


def name_rows(context: RunContext) -> dict[str, Rows]:
    """Give the rows of each split by their names in `splits.npz`."""
    rows = {"train": context.split.train, "holdout": context.split.test}
    if context.is_refitted:
        rows[ALL] = context.shipped_rows
    for number, fold in enumerate(context.outer):
        rows |= {fold_rows(number, "train"): fold.train, fold_rows(number, "test"): fold.test}
    return rows


def _describe_data(context: RunContext) -> dict[str, Any]:
    data, spec = context.run_data.data, context.spec.data
    labels, counts = np.unique(data.y, return_counts=True)
    test = context.run_data.test
    return {
        "source": data.source,
        "digest": data.digest,
        "rows": len(data),
        "columns": int(data.X.shape[1]),
        "target": spec.target,
        "classes": dict(zip(map(str, labels.tolist()), counts.tolist(), strict=True)),
        "positive_class": _positive_class(context, labels),
        "sample_weight": spec.sample_weight,
        "groups": spec.groups,
        "time": spec.time,
        "fold": spec.fold,
        "holdout_rows": len(context.split.test),
        "test_source": test.source if test else None,
        "test_rows": len(test) if test else None,
        "dropped_rows": data.n_dropped_target,
        "read_as_missing": {name: dict(words) for name, words in context.run_data.read_as_missing.items()},
        "unknown_in_test": [asdict(unknown) for unknown in context.run_data.unknown],
    }


def _positive_class(context: RunContext, labels: Any) -> Any:
    """Give the class that is written, or else the last of two; None with more of them."""
    written = context.spec.data.positive_class
    return labels.tolist()[-1] if written is None and len(labels) == 2 else written


def _describe_rows(context: RunContext) -> dict[str, Any]:
    """Count and identify the rows that scores and choices name; their positions are in `splits.npz`."""
    named = name_rows(context)
    rows = {name: {"n_rows": len(part), "digest": part.digest} for name, part in named.items() if len(part)}
    test = context.run_data.test
    return rows if test is None else {**rows, "test": {"n_rows": len(test), "digest": test.digest}}


def _describe_features(context: RunContext) -> dict[str, Any]:
    inferred = context.run_data.inferred
    return {
        "used": [feature.model_dump(mode="json") for feature in context.run_data.features],
        "left_out": dict(inferred.left_out) if inferred else {},
        "notes": dict(inferred.notes) if inferred else {},
    }


def _describe_feature_store(context: RunContext) -> dict[str, Any] | None:
    joined, store = context.run_data.joined, context.spec.feature_store
    if joined is None or store is None:
        return None
    return {
        "repo_path": store.repo_path,
        "features": list(joined.features),
        "rows": joined.n_rows,
        "unmatched": dict(joined.unmatched),
    }
