"""A run as it is found in the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from mlwf.errors import TrackingError
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.tracking import TrackedDataset, TrackedRows, training_rows
from mlwf.modules.tracking.run_values import outcome_tags, time_limit_tags
from mlwf.results import Evaluation, GateResult, Score
from mlwf.run_result import RunResult, ShippedModel, TimeLimit
from tests.provenances import ON_TEST

DIGEST = "0123456789abcdef" * 4
RUN_ID = "20260101-120000-abcd"


def test_run_lies_in_the_experiment_of_its_name(tracked):
    experiment = tracked.client.get_experiment(tracked.tracker.experiment_id)
    assert experiment.name == "penguins"
    assert experiment.artifact_location.endswith("/mlartifacts/penguins")
    assert tracked.run.info.experiment_id == experiment.experiment_id
    assert tracked.run.info.run_name == RUN_ID
    assert tracked.run.info.status == "FINISHED"


def test_run_has_the_parameters_of_the_model_and_its_search(tracked):
    assert tracked.run.data.params == {
        "algorithm": "decision_tree",
        "n_samples": str(len(tracked.X)),
        "validation_strategy": "cross_validation",
        "cv_folds": "3",
        "calibration_method": "isotonic",
        "calibration_ensemble": "True",
        "classifier__max_depth": str(tracked.search.best_params_["classifier__max_depth"]),
        "tuning_strategy": "grid",
        "tuning_scoring": "accuracy",
        "tuning_n_candidates": "3",
    }


def test_run_has_the_metrics_that_could_be_computed(tracked):
    assert tracked.run.data.metrics == {
        "cv_score": 0.97,
        "cv_std": 0.01,
        "tuning_best_score": tracked.search.best_score_,
        "cv_accuracy": 0.97,
        "cv_accuracy_std": 0.01,
        "cv_accuracy_low": 0.95,
        "cv_accuracy_high": 0.99,
        "cv_accuracy_baseline": 0.44,
        "cv_log_loss": 0.2,
        "cv_accuracy/island is Dream": 0.9,
        "cv_accuracy_low/island is Dream": 0.8,
        "cv_accuracy_high/island is Dream": 1.0,
        "cv_accuracy/body_mass_g above 5000": 0.95,
        "cv_accuracy/body_mass_g below 5000": 0.85,
    }


def test_run_has_tags_for_its_id_its_process_and_what_degraded(tracked):
    tags = tracked.run.data.tags
    assert tags["mlwf.run_id"] == RUN_ID
    assert tags["mlwf.pid"] == str(os.getpid())
    assert tags["mlwf.host"]
    assert tags["mlwf.pid_start"]
    assert tags["mlwf.status"] == "degraded"
    assert tags["mlwf.degraded"] == "calibration: too few rows of Chinstrap"
    assert (
        tags["mlflow.note.content"]
        == "- `cv_*`: 3-fold cross-validation of 344 rows, not shuffled; tuned on the same rows"
    )


def test_run_has_tags_for_what_to_know_before_its_numbers_are_trusted(tracked):
    tags = tracked.run.data.tags
    begun = ("mlwf.gate", "mlwf.finding", "mlwf.tuned")
    assert {key: text for key, text in tags.items() if key.startswith(begun)} == {
        "mlwf.gates": "not met",
        "mlwf.gate.0": "met: accuracy at least 0.9; 0.9700 [0.9500, 0.9900] (cross-validation)",
        "mlwf.gate.1": "not met: no finding leakage; island alone tells it",
        "mlwf.finding.leakage": "island alone tells it; sex alone tells it",
        "mlwf.finding.rare_class": "Chinstrap has 9 rows",
        "mlwf.tuned_on_same_rows": "true",
    }


@pytest.mark.parametrize(("passed", "expected"), [([True, True], "met"), ([True, False], "not met")])
def test_gates_are_met_when_all_are(passed, expected):
    gates = [GateResult("accuracy at least 0.9", "0.9500", each, "test") for each in passed]
    assert outcome_tags([], gates, [])["mlwf.gates"] == expected


def test_a_run_without_gates_and_judgements_has_no_tags_for_them():
    assert outcome_tags([], [], []) == {}


@pytest.mark.parametrize(
    ("time_limit", "tags"),
    [
        (None, {}),
        (TimeLimit(600.0), {"mlwf.time_limit": "600 s"}),
        (
            TimeLimit(1.5, ("tune", "validate")),
            {"mlwf.time_limit": "1.5 s", "mlwf.cut_by_time_limit": "tune, validate"},
        ),
    ],
    ids=["none", "enough", "cut"],
)
def test_a_run_has_tags_of_its_time_limit_and_of_what_that_cut(time_limit, tags):
    assert time_limit_tags(time_limit) == tags


def test_run_has_the_rows_that_its_model_was_trained_on(tracked):
    rows = training_rows("models:/penguins@challenger", tracked.tracker.tracking_uri)
    assert np.array_equal(rows, np.arange(len(tracked.X), dtype=np.uint64) + 2**60)
    assert rows.dtype == np.uint64


def test_run_has_its_datasets_with_our_digest(tracked):
    training, test = sorted(tracked.run.inputs.dataset_inputs, key=lambda used: used.tags[0].value, reverse=True)
    assert [tag.value for used in (training, test) for tag in used.tags] == ["training", "test"]
    assert (training.dataset.name, training.dataset.digest) == ("penguins", DIGEST[:36])
    assert json.loads(training.dataset.profile) == {"num_rows": len(tracked.X), "num_elements": len(tracked.X) * 8}
    assert json.loads(training.dataset.source)["uri"].endswith("/penguins.csv")
    assert "bill_length_mm" in training.dataset.schema
    assert test.dataset.source_type == "code"


def test_run_has_its_files(tracked):
    listed = [tracked.client.list_artifacts(tracked.tracker.run_id, folder) for folder in ("", "plots")]
    assert {file.path for files in listed for file in files} == {
        "candidates.csv",
        "config.yaml",
        "environment.txt",
        "estimator.txt",
        "partial_dependence.json",
        "plots",
        "plots/calibration.png",
        "plots/confusion_matrix.png",
        "plots/feature_importances.png",
        "plots/precision_recall_curve.png",
        "plots/reliability_curve.png",
        "plots/roc_curve.png",
        "summary.json",
        "training_rows.npz",
    }
    assert tracked.artifact("config.yaml").read_text() == "name: penguins\n"
    assert json.loads(tracked.artifact("summary.json").read_text())["classes"] == ["Adelie", "Chinstrap", "Gentoo"]


def test_run_has_the_candidates_best_first(tracked):
    table = pd.read_csv(tracked.artifact("candidates.csv"), keep_default_na=False)
    assert list(table)[:4] == ["candidate", "rank_test_score", "mean_test_score", "std_test_score"]
    assert list(table["rank_test_score"]) == sorted(tracked.search.cv_results_["rank_test_score"])
    assert set(table["param_classifier__max_depth"]) == {"1", "3", "null"}


def test_run_outlines_its_model(tracked):
    outline = tracked.artifact("estimator.txt").read_text()
    assert "    numeric [bill_length_mm, bill_depth_mm, body_mass_g]: Pipeline\n" in outline
    assert "  classifier: DecisionTreeClassifier(" in outline
    assert " at 0x" not in outline


def test_model_is_registered_with_its_alias_and_its_run(tracked):
    registered = tracked.client.get_model_version_by_alias("penguins", "challenger")
    assert str(registered.version) == tracked.tracker.registered_version == "1"
    assert registered.run_id == tracked.tracker.run_id
    assert registered.tags["mlwf.run_id"] == RUN_ID
    assert registered.tags["mlwf.challenger.reason"] == "registered by its training"


def test_model_shows_the_metrics_with_the_rows_they_were_computed_on(tracked):
    model = tracked.client.get_logged_model(tracked.tracker.model_id)
    assert model.status == "READY"
    assert model.source_run_id == tracked.tracker.run_id
    assert {metric.key for metric in model.metrics} == set(tracked.run.data.metrics)
    assert {metric.dataset_digest for metric in model.metrics} == {DIGEST[:36]}


def test_registering_again_makes_a_new_version_and_moves_the_alias(tracking_uri, tracked, make_tracker):
    versions = []
    for run_id in ("first", "second"):
        tracker = make_tracker(tracking_uri, registered_model_name="again", alias="champion", run_id=run_id)
        tracker.start_run()
        tracker.log_workflow_results({"pipeline": tracked.model}, tracked.X.head(5), register_model=True)
        versions.append(tracker.registered_version)
    assert versions == ["1", "2"]
    assert tracker.connect().client.get_model_version_by_alias("again", "champion").tags["mlwf.run_id"] == "second"


def test_tracking_leaves_mlflows_own_default_alone(tracked):
    assert tracked.tracker.registered_version
    assert not mlflow.is_tracking_uri_set()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_tracking_is_silent(tracking_uri, tracked, capfd, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_workflow_results({"pipeline": tracked.model}, tracked.X.head(5))
    tracker.end_run()
    assert capfd.readouterr() == ("", "")


def test_log_params_flattens_cuts_and_mends_names(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_params({"class_weight": {"yes": 2, "no": 1}, "none": None, "text": "x" * 7000, "f1 >50K": 1, "a//b": 2})
    tracker.log_params({"class_weight": {"yes": 2}})
    params = tracker.connect().client.get_run(tracker.run_id).data.params
    assert params.pop("text") == "x" * 5999 + "…"
    assert params == {"class_weight.yes": "2", "class_weight.no": "1", "none": "None", "f1 _50K": "1", "a__b": "2"}


def test_log_params_takes_more_than_mlflow_takes_at_once(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_params({f"p{number}": number for number in range(250)})
    assert len(tracker.connect().client.get_run(tracker.run_id).data.params) == 250


def test_log_params_refuses_another_value(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_params({"depth": 3})
    with pytest.raises(TrackingError, match=r"^parameter depth was logged already"):
        tracker.log_params({"depth": 4})


def test_log_workflow_results_logs_nothing_twice(tracking_uri, make_tracker, tracked):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_params({"classifier__max_depth": 3})
    tracker.log_metrics({"tuning_best_score": 0.9})
    tuning = {"best_params": {"classifier__max_depth": 3}, "best_score": 0.9}
    tracker.log_workflow_results({"pipeline": tracked.model, "tuning_summary": tuning})
    assert len(tracker.connect().client.get_metric_history(tracker.run_id, "tuning_best_score")) == 1


def test_connect_refuses_a_name_that_would_fail_after_the_training(tracking_uri, make_tracker):
    with pytest.raises(TrackingError) as caught:
        make_tracker(tracking_uri, registered_model_name="team/model").connect()
    assert str(caught.value) == "tracking.registered_model_name 'team/model' holds a / or a :, which MLflow refuses"


def test_end_run_keeps_why_it_failed(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.end_run(status="FAILED", error="no rows\nof class b")
    run = tracker.connect().client.get_run(tracker.run_id)
    assert run.info.status == "FAILED"
    assert (run.data.tags["mlwf.status"], run.data.tags["mlwf.error"]) == ("failed", "no rows of class b")


def test_a_model_that_cannot_be_logged_is_a_tracking_error(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    with pytest.raises(TrackingError, match="saving the model failed"):
        tracker.log_workflow_results({"pipeline": Unshippable()})
    assert not tracker.connect().client.search_logged_models([tracker.experiment_id])


def test_a_tracker_that_was_not_started_reports_so(tracking_uri, make_tracker):
    with pytest.raises(TrackingError, match=r"^logging parameters failed: .*call start_run\(\) first$"):
        make_tracker(tracking_uri).log_params({"depth": 3})


def test_a_tracker_is_for_one_run(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    with pytest.raises(TrackingError, match="was started already; create a new tracker for a new run"):
        tracker.start_run()


def test_importing_and_creating_a_tracker_does_not_import_mlflow():
    code = (
        "import sys\n"
        "from mlwf.modules.tracking import create_mlflow_tracker\n"
        "from mlwf.specs.experiment import ClassifierModelSpec\n"
        "from mlwf.specs.tracking import MLflowSpec\n"
        "create_mlflow_tracker(MLflowSpec(), ClassifierModelSpec())\n"
        "print([name for name in ('mlflow', 'matplotlib', 'sqlalchemy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class Unshippable:
    """No model: skops finds its class again, and refuses it."""

    def predict(self, X):
        return [0] * len(X)


def test_slices_whose_signs_mlflow_does_not_take_have_metrics_of_their_own(tracked, tracking_uri, make_tracker):
    def scored(value: float, where: str) -> Score:
        return Score("f1", ON_TEST, 9, value=value, slice=where)

    labels = tracked.model.predict(tracked.X)
    slices = (scored(0.25, "currency = $"), scored(0.5, "currency = €"), scored(0.75, "currency = CHF"))
    evaluation = Evaluation(ON_TEST, (), Predictions(np.unique(labels), labels), labels, slices=slices)
    tracker = make_tracker(tracking_uri, registered_model_name="penguins")
    tracker.start_run()
    result = RunResult("penguins", datetime.now(UTC), model=ShippedModel(tracked.model), test=evaluation)
    tracker.log_workflow_results(result, register_model=True)
    data = tracker.connect().client.get_run(tracker.run_id).data
    assert data.metrics == {
        "test_f1/currency is _-9f37734a": 0.25,
        "test_f1/currency is _-8187b8f9": 0.5,
        "test_f1/currency is CHF": 0.75,
    }
    assert data.tags["mlflow.note.content"] == (
        "- `test_*`: test set of 200 rows that no step before saw\n- `*-9f37734a`: currency = $\n"
        "- `*-8187b8f9`: currency = €"
    )
    assert tracker.registered_version == "1"


def test_a_run_may_have_more_of_all_than_mlflow_takes_at_once(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    many = {f"name {number}": number for number in range(1200)}
    tracker.log_params(many)
    tracker.log_metrics(many)
    tracker.set_tags(many)
    data = tracker.connect().client.get_run(tracker.run_id).data
    assert (len(data.params), len(data.metrics)) == (1200, 1200)
    assert data.tags.keys() >= many.keys()


def test_columns_beyond_the_longest_schema_are_left_out(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    X = pd.DataFrame({"a" * 1_100_000: [1.0, 2.0]})
    dataset = TrackedDataset(X, np.array([0, 1]), "wide", DIGEST)
    tracker.log_workflow_results({"pipeline": DummyClassifier().fit(X, [0, 1])}, rows=TrackedRows([dataset]))
    (used,) = tracker.connect().client.get_run(tracker.run_id).inputs.dataset_inputs
    assert not used.dataset.schema
    assert json.loads(used.dataset.profile) == {"num_rows": 2, "num_elements": 4}
