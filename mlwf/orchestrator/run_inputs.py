"""What is reported of the rows of a run: what they are, and whether their weights leave enough of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import Problem
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_provenance import ALL, fold_rows
from mlwf.run_result import RunInputs
from mlwf.splitting.rows import Rows, Split, count_labels, encode_labels
from mlwf.text import format_value

LEAVE_ROWS_OUT = "leave the rows of weight 0 out of the data"


FEW_EFFECTIVE = 0.1
"""Share of the rows that the effective number of rows falls below when a few of them decide alone."""


@dataclass(frozen=True)
class RowSplits:
    """A way in which a run will split rows."""

    key: str
    """The option that sets the number of parts."""
    where: str
    """Which rows are split, where it is not all that are trained on."""
    splits: tuple[Split, ...]
    calibrates: bool = False
    """Whether a calibrator is fitted on the held-out rows of each part."""


def check_weights(context: RunContext, row_splits: Iterable[RowSplits]) -> list[Problem]:
    """Refuse weights that leave a class nothing to be learnt from, or a part nothing to be scored on.

    Gives a problem for each class without weight, else for the first part that fails.
    """
    weight = context.table.weight
    if weight is None or (weight > 0).all():
        return []
    counts = weight > 0
    messages = list(_classes_without_weight(context, counts))
    if not messages:
        messages = [message for each in row_splits for message in _parts_without_weight(context, each, counts)][:1]
    data = context.spec.data
    return [Problem(data.path, data.sample_weight or "sample_weight", message, LEAVE_ROWS_OUT) for message in messages]


def describe_weights(context: RunContext) -> Iterator[str]:
    """Describe what a reader of the scores must know of weights that can be used."""
    weight = context.table.weight
    if weight is None:
        return
    total, name = float(weight.sum()), context.spec.data.sample_weight or "sample_weight"
    if total < 1:
        yield (
            f"{name}: the weights sum to {total:.3g}: to a classifier that is penalised or grows leaves by weight "
            "that is less than one row"
        )
    # Scaled, since the squares of small weights vanish.
    scaled = weight[weight > 0] / weight.max()
    effective = float(scaled.sum() ** 2 / (scaled**2).sum())
    if effective < FEW_EFFECTIVE * len(scaled):
        yield f"{name}: a few rows have nearly all weight: {len(scaled):,} rows count as {effective:,.1f} alike"


def _classes_without_weight(context: RunContext, counts: NDArray[np.bool_]) -> Iterator[str]:
    y = context.table.y
    for label in context.table.classes.tolist():
        rows = int((y == label).sum())
        if not counts[y == label].any():
            yield f"class {format_value(label)} has no row with a weight ({rows:,} of weight 0): nothing would learn it"


def _parts_without_weight(context: RunContext, rows: RowSplits, counts: NDArray[np.bool_]) -> Iterator[str]:
    for number, split in enumerate(rows.splits, start=1):
        # A hold-out is one split, and `where` names it.
        part = f"fold {number} of {rows.key} ({len(rows.splits)})" if len(rows.splits) > 1 else rows.key
        for label in _lacking(context, split.train, counts):
            yield f"{part}{rows.where} leaves class {format_value(label)} no row with a weight to learn from"
        if not counts[split.test.index].any():
            yield f"{part}{rows.where} has no row with a weight to score"
        for label in _lacking(context, split.test, counts) if rows.calibrates else ():
            yield f"{part}{rows.where} has no row of class {format_value(label)} with a weight to calibrate by"


def _lacking(context: RunContext, rows: Rows, counts: NDArray[np.bool_]) -> list[object]:
    present = context.table.y_of(rows)[counts[rows.index]]
    lacking: list[object] = np.setdiff1d(context.table.classes, encode_labels(present)[0]).tolist()
    return lacking


def describe_inputs(context: RunContext) -> RunInputs:
    """Describe the data, the features and the rows of a run, and what it was asked for."""
    spec = context.spec
    return RunInputs(
        model_name=spec.model_name,
        n_features=context.n_features,
        validation_strategy=spec.validation.strategy,
        cv_folds=spec.validation.cv_folds,
        tuning_enabled=any(section.tuning and section.tuning.enabled for section in spec.model_sections),
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
    for number, fold in enumerate(context.validation_splits):
        rows |= {fold_rows(number, "train"): fold.train, fold_rows(number, "test"): fold.test}
    return rows


def _describe_data(context: RunContext) -> dict[str, Any]:
    data, spec = context.run_data.data, context.spec.data
    labels, counts = count_labels(data.y)
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
    """Count and identify the rows that scores and choices name; their positions are in `splits.npz`.

    `content` is that of the complete rows, whichever of their columns are features: other runs that judge the same rows
    have the same.
    """
    data, test = context.run_data.data, context.run_data.test
    rows = {
        name: {"n_rows": len(part), "digest": part.digest, "content": _content(data.row_digests[part.index])}
        for name, part in name_rows(context).items()
        if len(part)
    }
    if test is not None:
        rows["test"] = {"n_rows": len(test), "digest": test.digest, "content": _content(test.row_digests)}
    return rows


def _content(digests: NDArray[np.uint64]) -> str:
    return hashlib.sha256(digests.tobytes()).hexdigest()


def _describe_features(context: RunContext) -> dict[str, Any]:
    inferred = context.run_data.inferred
    return {
        "used": [feature.model_dump(mode="json") for feature in context.run_data.features],
        "left_out": dict(inferred.left_out) if inferred else {},
        "notes": dict(inferred.notes) if inferred else {},
    }


def needed_features(context: RunContext) -> dict[str, Any] | None:
    """Describe what a model needs of a feature store: its service or references, keys and columns; None without one."""
    joined, store = context.run_data.joined, context.spec.feature_store
    if joined is None or store is None:
        return None
    asked = store.model_dump(mode="json", include={"repo_path", "feature_service", "features", "n_features"})
    return {**asked, "keys": list(joined.keys), "time": context.spec.data.time, "columns": list(joined.features)}


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
