"""Phase 1: the rows of a run, from files, from a feature store or from memory; checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlwf.engine.rows import NO_ROWS, Rows, Split, Table
from mlwf.engine.splitters import holdout_splitter
from mlwf.errors import DataError, Problem
from mlwf.modules.data import Dataset, check_class_counts, dataset_from_arrays, prepare
from mlwf.modules.inference import Inferred, infer_features
from mlwf.modules.table_files import read_table
from mlwf.specs.data import DataSpec
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import FeatureSpec


@dataclass(frozen=True, eq=False)
class Material:
    """What a run works on, read and checked."""

    data: Dataset
    features: Sequence[FeatureSpec]
    """The features as written, or as inferred from the rows that are trained on."""
    inferred: Inferred | None
    """What inference left out and noticed; None when the features are written."""
    split: Split
    """The rows that are trained on, and those held out before anything (none unless the validation is `train_test`)."""
    test: Dataset | None = None
    joined: Any = None
    """What the feature store joined to the label rows, or None."""
    raw: Dataset | None = None
    """The same rows with every column that could be a feature, where features are inferred; None otherwise."""


Load = Callable[[ExperimentSpec], Material]


def load_tables(spec: ExperimentSpec) -> Material:
    """Read the tables that `spec.data` names, and join the feature store's columns where one is asked for.

    Raises DataError with every problem of the data, FeatureStoreError and ConfigError for those of the store.
    """
    data = spec.data
    frame = read_table(data.path, data.read)
    test = None if data.test_path is None else read_table(data.test_path, data.read)
    joined = None
    if spec.feature_store and spec.feature_store.enabled:
        from mlwf.modules.feature_store import join_features, prepare_repo

        prepare_repo(spec.feature_store)
        joined = join_features(spec.feature_store, frame, time=data.time)
        frame = joined.rows
        if test is not None:
            test = join_features(spec.feature_store, test, time=data.time, sample=False).rows
        if spec.features == "auto":
            # Keys say which row it is; a feature spec may still name one.
            keys = [key for key in joined.keys if key not in data.drop]
            data = data.model_copy(update={"drop": [*data.drop, *keys]})
    material = _from_frame(spec, data, frame)
    if test is not None:
        test_data = prepare(test, data, features=material.features, where=data.test_path, reference=material.data)
        material = replace(material, test=test_data)
    return replace(material, joined=joined)


def load_arrays(X: Any, y: Any, **carried: Any) -> Load:
    """Take rows that are in memory; `carried` is what each carries besides: sample_weight, groups, time, fold."""

    def load(spec: ExperimentSpec) -> Material:
        options: dict[str, Any] = {**carried, "positive_class": spec.data.positive_class}
        data = dataset_from_arrays(X, y, features=spec.features, **options)
        split = _hold_out(spec, data)
        features, inferred = _features(spec, data, split)
        if inferred:
            return Material(
                dataset_from_arrays(X, y, features=features, **options), features, inferred, split, raw=data
            )
        return Material(data, features, inferred, split)

    return load


def with_test(load: Load, X_test: Any, y_test: Any) -> Load:
    """Add a test set that is in memory."""

    def load_both(spec: ExperimentSpec) -> Material:
        material = load(spec)
        positive = spec.data.positive_class
        test = dataset_from_arrays(
            X_test, y_test, features=material.features, positive_class=positive, reference=material.data
        )
        return replace(material, test=test)

    return load_both


def _from_frame(spec: ExperimentSpec, data: DataSpec, frame: Any) -> Material:
    dataset = prepare(frame, data, features=spec.features)
    split = _hold_out(spec, dataset)
    features, inferred = _features(spec, dataset, split)
    if inferred:
        return Material(prepare(frame, data, features=features), features, inferred, split, raw=dataset)
    return Material(dataset, features, inferred, split)


def _features(spec: ExperimentSpec, data: Dataset, split: Split) -> tuple[Sequence[FeatureSpec], Inferred | None]:
    """Give the features as written, or infer them from the rows that are trained on: a held-out row has no say."""
    if spec.features != "auto":
        return spec.features, None
    if not hasattr(data.X, "columns"):
        raise DataError(Problem(data.source, "features", "auto needs a DataFrame", "X is an array: list the features"))
    inferred = infer_features(data.X.iloc[split.train.index])
    if not inferred.features:
        reasons = "; ".join(f"{column}: {reason}" for column, reason in inferred.left_out.items())
        raise DataError(Problem(data.source, "features", f"auto finds no column that could help: {reasons}"))
    return inferred.features, inferred


def _hold_out(spec: ExperimentSpec, data: Dataset) -> Split:
    """Split the hold-out off, before anything looks at the rows."""
    rows = Rows(np.arange(len(data), dtype=np.intp))
    if spec.validation.strategy != "train_test":
        return Split(rows, NO_ROWS)
    problems = check_class_counts(data.y, 2, "a hold-out", where=data.source, key=spec.data.target)
    if problems:
        raise DataError(problems)
    validation = spec.validation
    splitter = holdout_splitter(
        test_size=validation.test_size, random_state=spec.random_state, kind=spec.splitter, gap=validation.gap
    )
    try:
        (split,) = splitter(Table(data.X, data.y, groups=data.groups, time=data.instants), rows)
    except ValueError as error:
        raise DataError(Problem(data.source, "validation.test_size", str(error))) from error
    return split
