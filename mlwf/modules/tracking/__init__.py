"""Tracking with MLflow: one run to write, runs to find again, models to fetch.

MLflow takes seconds to import and is imported inside functions only.
"""

from __future__ import annotations

from mlwf.modules.tracking.aliases import AliasChange, move_alias, return_alias
from mlwf.modules.tracking.evaluation_run import log_evaluation
from mlwf.modules.tracking.plots import evaluation_figures, importance_figure
from mlwf.modules.tracking.run_values import TrackedDataset, TrackedRows
from mlwf.modules.tracking.sending import push_unsent
from mlwf.modules.tracking.store_lookup import (
    RegisteredModelError,
    fetch_run_files,
    find_run,
    load_registered_model,
    mark_stale_runs,
    model_of_run,
    pin_model_uri,
    run_of_model,
    training_rows,
)
from mlwf.modules.tracking.tracker import MLflowTracker, create_mlflow_tracker
from mlwf.modules.tracking.unsent import Unsent, describe_missing

__all__ = [
    "AliasChange",
    "MLflowTracker",
    "RegisteredModelError",
    "TrackedDataset",
    "TrackedRows",
    "Unsent",
    "create_mlflow_tracker",
    "describe_missing",
    "evaluation_figures",
    "fetch_run_files",
    "find_run",
    "importance_figure",
    "load_registered_model",
    "log_evaluation",
    "mark_stale_runs",
    "model_of_run",
    "move_alias",
    "pin_model_uri",
    "push_unsent",
    "return_alias",
    "run_of_model",
    "training_rows",
]
