"""A trustworthy tabular classifier from one YAML file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "mlwf.orchestrator.api": ["run_ml_workflow"],
    "mlwf.orchestrator.loaded_run": ["Run", "load_run"],
    "mlwf.run_result": ["get_workflow_summary"],
    "mlwf.orchestrator.pipeline_config": ["build_ml_pipeline"],
    "mlwf.modules.preprocessing": ["FeatureSpecPipeline"],
    "mlwf.modules.model": ["GradientBoostingClassifierImpl"],
    "mlwf.modules.tuning": ["GridSearch", "RandomizedSearch", "create_tuning"],
    "mlwf.modules.calibration": ["ClassifierCalibration", "create_calibration"],
    "mlwf.modules.tracking": ["MLflowTracker", "create_mlflow_tracker"],
    "mlwf.modules.feature_store": ["create_feast_manager"],
    "mlwf.specs.experiment": [
        "CalibrationSpec",
        "CandidateModelSpec",
        "ClassifierModelSpec",
        "ComputeSpec",
        "EnsembleSpec",
        "FindingsSpec",
        "GateSpec",
        "SelectionSpec",
        "ThresholdSpec",
        "ValidationSpec",
    ],
    "mlwf.specs.data": ["DataSpec", "ReadSpec"],
    "mlwf.specs.feature_store": ["FeatureStoreSpec", "FeatureViewSpec"],
    "mlwf.specs.features": [
        "BooleanFeatureSpec",
        "CategoricalFeatureSpec",
        "DateFeatureSpec",
        "FeatureSpec",
        "NumericFeatureSpec",
        "OrdinalFeatureSpec",
        "TextFeatureSpec",
    ],
    "mlwf.specs.tracking": ["MLflowSpec"],
    "mlwf.specs.tuning": [
        "GridSearchSpec",
        "GridSearchSpecBuilder",
        "HalvingSearchSpec",
        "OptunaSearchSpec",
        "ParamTuningSpec",
        "RandomizedSearchSpec",
        "RandomizedSearchSpecBuilder",
    ],
    "mlwf.errors": ["ConfigError", "DataError", "FeatureStoreError", "FitError", "MlwfError", "TrackingError"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]

if TYPE_CHECKING:
    from mlwf.errors import ConfigError, DataError, FeatureStoreError, FitError, MlwfError, TrackingError
    from mlwf.modules.calibration import ClassifierCalibration, create_calibration
    from mlwf.modules.feature_store import create_feast_manager
    from mlwf.modules.model import GradientBoostingClassifierImpl
    from mlwf.modules.preprocessing import FeatureSpecPipeline
    from mlwf.modules.tracking import MLflowTracker, create_mlflow_tracker
    from mlwf.modules.tuning import GridSearch, RandomizedSearch, create_tuning
    from mlwf.orchestrator.api import run_ml_workflow
    from mlwf.orchestrator.loaded_run import Run, load_run
    from mlwf.orchestrator.pipeline_config import build_ml_pipeline
    from mlwf.run_result import get_workflow_summary
    from mlwf.specs.data import DataSpec, ReadSpec
    from mlwf.specs.experiment import (
        CalibrationSpec,
        CandidateModelSpec,
        ClassifierModelSpec,
        ComputeSpec,
        EnsembleSpec,
        FindingsSpec,
        GateSpec,
        SelectionSpec,
        ThresholdSpec,
        ValidationSpec,
    )
    from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec
    from mlwf.specs.features import (
        BooleanFeatureSpec,
        CategoricalFeatureSpec,
        DateFeatureSpec,
        FeatureSpec,
        NumericFeatureSpec,
        OrdinalFeatureSpec,
        TextFeatureSpec,
    )
    from mlwf.specs.tracking import MLflowSpec
    from mlwf.specs.tuning import (
        GridSearchSpec,
        GridSearchSpecBuilder,
        HalvingSearchSpec,
        OptunaSearchSpec,
        ParamTuningSpec,
        RandomizedSearchSpec,
        RandomizedSearchSpecBuilder,
    )


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for (PEP 562): the command line must not wait for scikit-learn."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'mlwf' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
