"""Every sample of the orchestrator guide that a reader would type, with its import line changed.

The samples keep the guide's variables and its comments; what stands around them defines the variables with small real
data. Workflow 4 lost the comment behind a backslash, which is no Python.
"""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from mlwf import (
    CalibrationSpec,
    ClassifierModelSpec,
    DataSpec,
    FeatureStoreSpec,
    FeatureViewSpec,
    GridSearchSpec,
    MLflowSpec,
    NumericFeatureSpec,
    build_ml_pipeline,
    create_calibration,
    create_feast_manager,
    create_mlflow_tracker,
    create_tuning,
    get_workflow_summary,
    run_ml_workflow,
)
from mlwf.modules.tuning import list_candidates

FLIGHTS = Path(__file__).parent.parent / "examples/feature_store/data"

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X, y = X.iloc[:240, :12], y[:240]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

feature_specs = [
    NumericFeatureSpec(columns=list(X.columns[:6])),
    NumericFeatureSpec(columns=list(X.columns[6:]), scaler="robust"),
]
model_spec = ClassifierModelSpec(
    model_name="tumours", algorithm="gradient_boosting", hyperparameters={"n_estimators": 4, "max_depth": 2}
)
tuning_spec = GridSearchSpec(param_grid={"classifier__max_depth": [1, 2]}, cv_folds=2)
calib_spec = CalibrationSpec(method="sigmoid", cv_folds=2)
GUIDE_PARAMETERS = {
    "feature_specs": inspect.Parameter.empty,
    "model_spec": inspect.Parameter.empty,
    "X": inspect.Parameter.empty,
    "y": inspect.Parameter.empty,
    "validation_strategy": "cross_validation",
    "validation_params": None,
    "test_size": 0.2,
    "random_state": 42,
    "X_test": None,
    "y_test": None,
    "tuning_spec": None,
    "calibration_spec": None,
    "mlflow_spec": None,
    "feature_store_spec": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guide")


@pytest.fixture(scope="module")
def mlflow_spec(folder: Path) -> MLflowSpec:
    return MLflowSpec(tracking_uri=f"sqlite:///{folder}/mlflow.db", registered_model_name="tumours")


@pytest.fixture(scope="module")
def feature_store_spec(folder: Path) -> FeatureStoreSpec:
    """Describe a Feast repo that is made on the way, and the label rows of 200 flights."""
    pd.read_parquet(FLIGHTS / "flights.parquet").head(200).to_parquet(folder / "flights.parquet")
    weather = FeatureViewSpec(
        name="weather", source=str(FLIGHTS / "weather.parquet"), entity="origin", timestamp="event_timestamp", ttl="3h"
    )
    planes = FeatureViewSpec(
        name="planes", source=str(FLIGHTS / "planes.parquet"), entity="tailnum", timestamp="event_timestamp"
    )
    return FeatureStoreSpec(
        repo_path=str(folder / "repo"),
        features=["weather:temp", "weather:wind_speed", "planes:seats"],
        views=[weather, planes],
        initialize=True,
        labels=DataSpec(path=str(folder / "flights.parquet"), target="arr_delayed", time="event_timestamp"),
    )


# --- signatures


def test_run_ml_workflow_has_the_guides_parameters_and_defaults() -> None:
    parameters = inspect.signature(run_ml_workflow).parameters.values()
    positional = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(positional.items()) == list(GUIDE_PARAMETERS.items())
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters if p.name not in GUIDE_PARAMETERS)


def test_build_ml_pipeline_and_get_workflow_summary_have_the_guides_parameters() -> None:
    build = inspect.signature(build_ml_pipeline).parameters.values()
    assert [p.name for p in build if p.kind is p.POSITIONAL_OR_KEYWORD] == ["feature_specs", "model_spec"]
    assert list(inspect.signature(get_workflow_summary).parameters) == ["results"]


# --- build_ml_pipeline


def test_build_ml_pipeline_step_by_step() -> None:
    from mlwf import FeatureSpecPipeline, GradientBoostingClassifierImpl

    preprocessor = FeatureSpecPipeline(feature_specs)

    classifier = GradientBoostingClassifierImpl(model_spec)

    pipeline = Pipeline([
        ('preprocessor', preprocessor),
        ('classifier', classifier)
    ])  # fmt: skip

    assert repr(pipeline) == repr(build_ml_pipeline(feature_specs, model_spec))


def test_build_ml_pipeline_example() -> None:
    pipeline = build_ml_pipeline(feature_specs, model_spec)
    pipeline.fit(X_train, y_train)  # Fits both steps
    predictions = pipeline.predict(X_test)  # Transforms then predicts

    assert list(pipeline.named_steps) == ["preprocessor", "classifier"]
    assert predictions.shape == y_test.shape


# --- Integration Points


def test_with_feature_store(feature_store_spec: FeatureStoreSpec) -> None:
    labels = pd.read_parquet(feature_store_spec.labels.path)
    create_feast_manager(feature_store_spec.repo_path, initialize=True, views=feature_store_spec.views)
    # Where the repo is there, the guide's four arguments open it; the label rows are ours to name.
    feature_store_spec = feature_store_spec.model_copy(update={"n_features": 3, "initialize": False})

    feast_manager = create_feast_manager(
        repo_path=feature_store_spec.repo_path,
        n_features=feature_store_spec.n_features,
        initialize=feature_store_spec.should_initialize(),
        force_recreate=feature_store_spec.force_recreate
    )  # fmt: skip
    feast_manager.labels, feast_manager.target, feast_manager.time = labels, "arr_delayed", "event_timestamp"

    X, y = feast_manager.get_training_data(
        sample_indices=feature_store_spec.sample_indices,
        timestamp=feature_store_spec.timestamp
    )  # fmt: skip

    assert len(X) == len(y) == len(labels)
    assert feast_manager.joined is not None
    assert len(feast_manager.joined.features) == 3
    assert set(feast_manager.joined.features) <= set(X.columns)


def test_with_parameter_tuning() -> None:
    # Before tuning
    pipeline = build_ml_pipeline(feature_specs, model_spec)
    # Pipeline unfitted, with default hyperparameters

    # After tuning
    if tuning_spec and tuning_spec.enabled:
        tuning = create_tuning(tuning_spec)
        tuning.fit(pipeline, X, y)
        pipeline = tuning.get_best_estimator()
    # Pipeline now has best hyperparameters AND is fitted!

    # Don't fit again - already fitted during grid search
    # Just validate
    scores = cross_val_score(pipeline, X, y, cv=5)

    check_is_fitted(pipeline)
    assert len(scores) == 5
    summary = tuning.get_results_summary()
    assert pipeline.get_params()["classifier__max_depth"] == summary["best_params"]["classifier__max_depth"]


def test_with_calibration() -> None:
    calibration_spec = calib_spec
    X_array, y_array = X, y
    pipeline = build_ml_pipeline(feature_specs, model_spec)

    # After training
    pipeline.fit(X_train, y_train)  # Fitted pipeline

    # Calibrate
    if calibration_spec and calibration_spec.enabled:
        calibration = create_calibration(calibration_spec)
        calibration.fit(pipeline, X_array, y_array)  # Uses CV to calibrate
        pipeline = calibration.calibrated_  # Wrapped in calibrator

    # Calibrated pipeline ready
    proba = pipeline.predict_proba(X_test)  # Calibrated probabilities!

    assert isinstance(pipeline, CalibratedClassifierCV)
    assert calibration.get_results_summary()["method"] == "sigmoid"
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_with_mlflow(mlflow_spec: MLflowSpec) -> None:
    results = run_ml_workflow(feature_specs, model_spec, X_train, y_train, validation_strategy="none")
    X_sample = X_train[:100]

    # MLflow tracks entire workflow
    mlflow_tracker = create_mlflow_tracker(mlflow_spec, model_spec)

    # Start
    mlflow_tracker.start_run()

    # Log throughout workflow
    mlflow_tracker.log_params({"n_samples": len(X_train)})
    mlflow_tracker.log_metrics({"precision": 0.75})

    # End
    mlflow_tracker.log_workflow_results(results, X_sample)
    mlflow_tracker.end_run(status="FINISHED")

    from mlflow import MlflowClient

    run = MlflowClient(mlflow_spec.tracking_uri).get_run(mlflow_tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["n_samples"] == "180"
    assert run.data.metrics["precision"] == 0.75


def test_custom_validation_metrics(mlflow_spec: MLflowSpec) -> None:
    results = run_ml_workflow(
        feature_specs, model_spec, X_train, y_train, validation_strategy="none", X_test=X_test, y_test=y_test
    )
    y_true, y_pred = y_test, results["test_predictions"]
    mlflow_tracker = create_mlflow_tracker(mlflow_spec, model_spec)
    mlflow_tracker.start_run()

    # Can extend in modules:
    from sklearn.metrics import precision_score, recall_score, f1_score  # isort: skip

    metrics = {
        'precision': precision_score(y_true, y_pred),
        'recall': recall_score(y_true, y_pred),
        'f1': f1_score(y_true, y_pred)
    }  # fmt: skip
    mlflow_tracker.log_metrics(metrics)

    mlflow_tracker.end_run()
    from mlflow import MlflowClient

    assert MlflowClient(mlflow_spec.tracking_uri).get_run(mlflow_tracker.run_id).data.metrics == metrics


# --- Advanced Usage


def test_error_handling_strategy(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(__name__)
    tuning_spec = GridSearchSpec(param_grid={"classifier__n_neighbors": [1000]})
    tuning = create_tuning(tuning_spec)
    original = pipeline = build_ml_pipeline(feature_specs, ClassifierModelSpec(algorithm="knn"))

    # Tuning failure doesn't stop workflow
    if tuning_spec and tuning_spec.enabled:
        try:
            tuning.fit(pipeline, X, y)
            pipeline = tuning.get_best_estimator()
        except Exception as e:
            logger.warning("Tuning failed (%s). Proceeding without tuning.", e)
            # Continue with original pipeline

    assert pipeline is original
    assert caplog.messages[0].startswith("Tuning failed (none of the 1 candidates could be scored: ")


def test_strategy_1_cross_validation() -> None:
    results = run_ml_workflow(
        feature_specs, model_spec, X_train, y_train,
        validation_strategy="cross_validation",
        validation_params={'cv_folds': 5}
    )  # fmt: skip

    assert isinstance(results["cv_score"], float)
    assert isinstance(results["cv_std"], float)
    assert results["cv_folds"] == 5
    assert results["validation_strategy"] == "cross_validation"
    assert "val_score" not in results


def test_strategy_2_train_test_split() -> None:
    results = run_ml_workflow(
        feature_specs, model_spec, X_train, y_train,
        validation_strategy="train_test",
        test_size=0.2
    )  # fmt: skip

    assert isinstance(results["val_score"], float)
    assert results["validation_strategy"] == "train_test"
    assert "cv_score" not in results


def test_strategy_3_none() -> None:
    results = run_ml_workflow(
        feature_specs, model_spec, X_train, y_train,
        validation_strategy="none"
    )  # fmt: skip

    assert results["validation_strategy"] == "none"
    assert not {"cv_score", "val_score", "test_accuracy"} & set(results)
    check_is_fitted(results["pipeline"])


def test_custom_workflow() -> None:
    # Custom workflow with feature selection
    def run_custom_workflow(feature_specs: Any, model_spec: Any, X: Any, y: Any) -> dict[str, Any]:
        # 1. Build initial pipeline
        pipeline = build_ml_pipeline(feature_specs, model_spec)

        # 2. Feature selection
        from sklearn.feature_selection import SelectKBest, f_classif

        selector = SelectKBest(f_classif, k=10)
        X_selected = selector.fit_transform(X, y)

        # 3. Train on selected features
        pipeline.fit(X_selected, y)

        # 4. Use standard validation
        scores = cross_val_score(pipeline, X_selected, y, cv=5)

        return {'pipeline': pipeline, 'cv_score': scores.mean()}  # fmt: skip

    # The selected columns are an array's: the specs name them by position.
    by_position = [NumericFeatureSpec(columns=list(range(10)))]
    results = run_custom_workflow(by_position, model_spec, X_train, y_train)

    check_is_fitted(results["pipeline"])
    assert 0.5 < results["cv_score"] <= 1


def test_get_workflow_summary_usage(capsys: pytest.CaptureFixture[str]) -> None:
    results = run_ml_workflow(feature_specs, model_spec, X_train, y_train)
    summary = get_workflow_summary(results)

    print(f"Model: {summary['model_name']}")  # noqa: T201
    print(f"CV Accuracy: {summary['cv_score']:.3f} ± {summary['cv_std']:.3f}")  # noqa: T201
    print(f"Tuning: {'Yes' if summary.get('tuning_enabled') else 'No'}")  # noqa: T201

    assert capsys.readouterr().out == (
        f"Model: tumours\nCV Accuracy: {results['cv_score']:.3f} ± {results['cv_std']:.3f}\nTuning: No\n"
    )
    assert summary == {
        "model_name": "tumours",
        "algorithm": "gradient_boosting",
        "validation_strategy": "cross_validation",
        "cv_score": results["cv_score"],
        "cv_std": results["cv_std"],
        "cv_folds": 5,
        "n_features": 12,
        "tuning_enabled": False,
        "calibration_enabled": False,
        "mlflow_enabled": False,
        "feature_store_enabled": False,
        "threshold_enabled": False,
    }


# --- Common Workflows


def test_workflow_1_quick_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    # Minimal configuration for quick baseline
    from mlwf import run_ml_workflow

    results = run_ml_workflow(
        feature_specs=feature_specs,
        model_spec=model_spec,
        X=X_train,
        y=y_train,
        validation_strategy="cross_validation"
    )  # fmt: skip

    print(f"Baseline CV: {results['cv_score']:.3f}")  # noqa: T201

    assert capsys.readouterr().out == f"Baseline CV: {results['cv_score']:.3f}\n"


def test_workflow_2_full_production_pipeline(mlflow_spec: MLflowSpec) -> None:
    # Complete workflow with all bells and whistles
    results = run_ml_workflow(
        feature_specs=feature_specs,
        model_spec=model_spec,
        X=X_train,
        y=y_train,
        X_test=X_test,
        y_test=y_test,
        validation_strategy="cross_validation",
        validation_params={'cv_folds': 10},
        random_state=42,
        tuning_spec=tuning_spec,           # Hyperparameter optimization
        calibration_spec=calib_spec,        # Probability calibration
        mlflow_spec=mlflow_spec,            # Experiment tracking
        feature_store_spec=None             # Direct data loading
    )  # fmt: skip

    # Everything tracked, tuned, calibrated!

    types = {key: type(value) for key, value in results.items()}
    assert types == {
        "run_id": type(None),
        "importances": dict,
        "model_name": str,
        "algorithm": str,
        "n_features": int,
        "validation_strategy": str,
        "tuning_enabled": bool,
        "calibration_enabled": bool,
        "mlflow_enabled": bool,
        "feature_store_enabled": bool,
        "threshold_enabled": bool,
        "mlflow_run_id": str,
        "mlflow_experiment_id": str,
        "tuning_summary": dict,
        "pipeline": CalibratedClassifierCV,
        "calibration_summary": dict,
        "cv_score": float,
        "cv_std": float,
        "cv_folds": int,
        "test_predictions": np.ndarray,
        "test_accuracy": float,
        "phases": list,
        "scores": list,
        "slices": list,
        "findings": list,
        "gates": list,
        "warnings": list,
    }
    assert [results[f"{part}_enabled"] for part in ("tuning", "calibration", "mlflow")] == [True, True, True]
    assert results["feature_store_enabled"] is False
    assert set(results["tuning_summary"]) >= {"best_params", "best_score"}
    assert np.array_equal(results["pipeline"].predict(X_test), results["test_predictions"])
    assert results["test_accuracy"] == (results["test_predictions"] == y_test).mean()
    assert {phase.name: phase.status for phase in results["phases"] if phase.status != "done"} == {
        "threshold": "skipped"
    }
    _assert_tracked(results, mlflow_spec)


def _assert_tracked(results: dict[str, Any], mlflow_spec: MLflowSpec) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_spec.tracking_uri)
    run = client.get_run(results["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == results["mlflow_experiment_id"]
    guide_metrics = {"cv_score", "cv_std", "test_accuracy"}
    assert {name: run.data.metrics[name] for name in guide_metrics} == {name: results[name] for name in guide_metrics}
    assert run.data.metrics["tuning_best_score"] == results["tuning_summary"]["best_score"]
    expected = {"model_name": "tumours", "algorithm": "gradient_boosting", "n_features": "12", "n_samples": "180"}
    assert {name: run.data.params[name] for name in expected} == expected
    assert run.data.params["n_estimators"] == "4"
    assert client.get_registered_model("tumours").name == "tumours"


def test_workflow_3_with_feature_store(mlflow_spec: MLflowSpec, feature_store_spec: FeatureStoreSpec) -> None:
    feature_specs = [
        NumericFeatureSpec(columns=["temp", "wind_speed", "seats", "distance"]),
    ]

    # Data loaded from Feast feature store
    results = run_ml_workflow(
        feature_specs=feature_specs,
        model_spec=model_spec,
        X=None,  # Loaded from feature store
        y=None,  # Loaded from feature store
        validation_strategy="cross_validation",
        mlflow_spec=mlflow_spec,
        feature_store_spec=feature_store_spec  # ← Data source
    )  # fmt: skip

    assert results["feature_store_enabled"] is True
    assert list(results["pipeline"].feature_names_in_) == ["distance", "temp", "wind_speed", "seats"]
    # The label rows have a time: no row is judged by a model that learnt from later ones, so the first are not judged.
    assert results["scores"][0].n_rows == 165


def test_workflow_4_hyperparameter_search() -> None:
    from mlwf import GridSearchSpecBuilder

    # Focus on finding best hyperparameters
    tuning_spec = GridSearchSpecBuilder()\
        .set_param_grid({
            "classifier__n_estimators": [50, 100, 150, 200],
            "classifier__learning_rate": [0.01, 0.05, 0.1, 0.2],
            "classifier__max_depth": [3, 5, 7, 9]
        })\
        .set_cv_folds(5)\
        .set_n_jobs(-1)\
        .build()  # fmt: skip

    assert len(list_candidates(tuning_spec)) == 64


@pytest.mark.slow
def test_workflow_4_hyperparameter_search_runs() -> None:
    from mlwf import GridSearchSpecBuilder

    # Focus on finding best hyperparameters
    tuning_spec = GridSearchSpecBuilder()\
        .set_param_grid({
            "classifier__n_estimators": [50, 100, 150, 200],
            "classifier__learning_rate": [0.01, 0.05, 0.1, 0.2],
            "classifier__max_depth": [3, 5, 7, 9]
        })\
        .set_cv_folds(5)\
        .set_n_jobs(-1)\
        .build()  # fmt: skip

    results = run_ml_workflow(
        feature_specs=feature_specs,
        model_spec=model_spec,
        X=X_train,
        y=y_train,
        tuning_spec=tuning_spec,
        validation_strategy="none"  # Skip CV, tuning does it
    )  # fmt: skip

    best_params = results["tuning_summary"]["best_params"]
    best_score = results["tuning_summary"]["best_score"]

    assert set(best_params) == {"classifier__n_estimators", "classifier__learning_rate", "classifier__max_depth"}
    assert isinstance(best_score, float)


# --- Error handling


def test_no_data_is_said_in_the_guides_words() -> None:
    with pytest.raises(ValueError, match=r"^No data provided and feature store not configured$"):
        run_ml_workflow(feature_specs, model_spec, None, None)
