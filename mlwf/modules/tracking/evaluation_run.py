"""A later evaluation of a run's model, as an MLflow run of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from mlwf.modules.tracking.connection import mlflow_errors
from mlwf.modules.tracking.mlflow_store import open_store
from mlwf.modules.tracking.run_values import Keys, metrics_of_scores, origin_tags, outcome_tags
from mlwf.results import Evaluation, Finding, GateResult
from mlwf.text import json_text

EVALUATION = "evaluation.json"


def log_evaluation(
    tracking_uri: str, parent_run_id: str, found: Mapping[str, Any], evaluations: Sequence[Evaluation]
) -> str:
    """Log what `mlwf evaluate` found as a run below that of the training, and give its id; raises TrackingError.

    Its metrics are those of the scores, and `drift/COLUMN` for the distance of each column; `evaluation.json` has all.
    """
    from mlflow.entities import Metric, RunTag

    store = open_store(tracking_uri)
    with mlflow_errors(store.tracking_uri, "logging the evaluation"):
        experiment = store.client.get_run(parent_run_id).info.experiment_id
        tags = {
            **origin_tags(),
            "mlflow.parentRunId": parent_run_id,
            "mlwf.evaluates": str(found["run_id"]),
            "mlwf.status": "done",
        }
        name = f"evaluation of {found['run_id']}"
        run = store.client.create_run(experiment, run_name=name, tags=tags)
        run_id, now = str(run.info.run_id), int(time.time() * 1000)
        values = metrics_of_scores(evaluations)
        values |= {f"drift/{each['column']}": each["distance"] for each in found["drift"]["columns"]}
        keys = Keys().of(values)
        metrics = [Metric(keys[key], float(value), now, 0) for key, value in values.items() if value is not None]
        gates, findings = (
            [GateResult(**each) for each in found["gates"]],
            [Finding(**each) for each in found["findings"]],
        )
        outcome = outcome_tags(evaluations, gates, findings)
        for start in range(0, len(metrics), 900):
            store.client.log_batch(run_id, metrics=metrics[start : start + 900])
        store.client.log_batch(run_id, tags=[RunTag(key, text) for key, text in outcome.items()])
        store.client.log_text(run_id, json_text(found), EVALUATION)
        store.client.set_terminated(run_id, "FINISHED")
    return run_id
