"""Predict a table with the model of a run, or with a registered one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mlwf.engine.asks import predict
from mlwf.engine.model_file import load_model
from mlwf.errors import RunNotFoundError
from mlwf.modules.data import select_features
from mlwf.modules.runs import find_run
from mlwf.modules.table_files import check_table_path, read_table, write_table
from mlwf.specs.data import ReadSpec
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import load_resolved

REGISTRY = "models:/"


def predict_table(run: str, data: str, output: Path, *, runs_dir: Path, tracking_uri: str) -> int:
    """Write labels and probabilities for the rows of a table, in its order, and give the number of rows.

    The output holds the table's columns that are no features (keys, and the target if it is there), `prediction`,
    and `probability_CLASS` for each class where the model has probabilities.
    """
    check_table_path(str(output))
    spec, model = _registered(run, tracking_uri) if run.startswith(REGISTRY) else _local(run, runs_dir)
    frame = read_table(data, spec.data.read if spec else ReadSpec())
    if spec and spec.feature_store and spec.feature_store.enabled:
        from mlwf.modules.feature_store import join_features

        given = list(frame.columns)
        frame = join_features(spec.feature_store, frame, time=spec.data.time, sample=False).rows
    else:
        given = list(frame.columns)
    features: Any = spec.features if spec else [str(name) for name in model.feature_names_in_]
    X = select_features(frame, features, where=data)
    said = predict(model, X)
    kept = frame[[name for name in given if name not in X.columns]].reset_index(drop=True)
    columns: dict[str, Any] = {"prediction": said.labels}
    if said.proba is not None:
        columns |= {f"probability_{label}": said.proba[:, i] for i, label in enumerate(said.classes)}
    taken = [name for name in columns if name in kept.columns]
    write_table(pd.concat([kept.drop(columns=taken), pd.DataFrame(columns)], axis=1), str(output))
    return len(frame)


def _local(run: str, runs_dir: Path) -> tuple[ExperimentSpec, Any]:
    folder = find_run(runs_dir, run)
    path = folder.file("model.skops")
    if not path.exists():
        raise RunNotFoundError(f"{folder.path}: the run ended before it had a model ({folder.status})")
    return load_resolved(folder.file("config.yaml")), load_model(path)


def _registered(uri: str, tracking_uri: str) -> tuple[None, Any]:
    from mlwf.modules.tracking import load_registered_model

    return None, load_model(load_registered_model(uri, tracking_uri))
