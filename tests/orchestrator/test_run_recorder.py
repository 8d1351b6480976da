"""The summary of a run is always of the model that is saved."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from mlwf.engine.model_file import load_model
from mlwf.modules.runs import create_run
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.run_recorder import RunRecorder
from mlwf.results import CalibrationResult, ThresholdResult
from mlwf.run_result import Refit, RunResult, ShippedModel
from mlwf.specs.data import IN_MEMORY, DataSpec
from mlwf.specs.experiment import ExperimentSpec

SPEC = ExperimentSpec(data=DataSpec(path=IN_MEMORY, target="y"))


def make_model(n_rows: int, *, kept: bool) -> ShippedModel:
    """Make a model whose calibration and threshold tell on how many rows it was fitted."""
    return ShippedModel(
        DummyClassifier(strategy="constant", constant=n_rows).fit(np.zeros((2, 1)), [n_rows, -1]),
        {"n_rows": n_rows},
        CalibrationResult("sigmoid", ensemble=True, cv_folds=5, holdout=None, n_rows=n_rows, kept=kept),
        ThresholdResult("f1", n_rows / 100, "predict_proba", 0.5, 0.5, n_rows),
    )


@pytest.fixture
def recorder(tmp_path):
    return RunRecorder(SPEC, RunLog(), folder=create_run(tmp_path, "run"))


@pytest.mark.parametrize("n_models", [1, 2], ids=["scored and shipped", "fitted again after it was scored"])
def test_results_and_summary_are_of_the_model_that_is_saved(recorder, n_models):
    models = [make_model(80, kept=True), make_model(100, kept=False)][:n_models]
    for model in models:
        recorder.record(replace(recorder.result, model=model))
    recorder.finish()
    shipped, n_rows = models[-1], models[-1].params["n_rows"]
    summary = json.loads(recorder.folder.file("summary.json").read_text("utf-8"))
    results = recorder.result.to_dict()
    assert load_model(recorder.folder.file("model.skops")).predict([[0]]) == [n_rows]
    assert results["pipeline"] is shipped.estimator
    for found in (summary["calibration"], results["calibration_summary"]):
        assert (found["n_rows"], found["kept"]) == (n_rows, shipped.calibration.kept)
    for found in (summary["threshold"], results["threshold_summary"]):
        assert (found["n_rows"], found["value"]) == (n_rows, shipped.threshold.value)


def test_no_part_of_a_model_can_be_exchanged_alone():
    result = RunResult("run", datetime.now(UTC), model=make_model(80, kept=True))
    with pytest.raises(FrozenInstanceError):
        result.model.threshold = make_model(100, kept=True).threshold
    with pytest.raises(FrozenInstanceError):
        result.model = make_model(100, kept=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'threshold'"):
        replace(result, threshold=make_model(100, kept=True).threshold)


def test_a_result_without_a_model_says_nothing_of_one():
    found = RunResult("run", datetime.now(UTC), refit=Refit(100, {})).to_dict()
    assert found == {"phases": [], "scores": [], "slices": [], "warnings": []}
