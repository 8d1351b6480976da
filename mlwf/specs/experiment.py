"""The experiment file: its sections together, and the `compute` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from mlwf.specs.base import Spec, refuse_no_jobs
from mlwf.specs.catalogue.splitter_table import SplitterName, default_splitter
from mlwf.specs.classifier import CalibrationSpec, ClassifierModelSpec, ThresholdSpec
from mlwf.specs.data import DataSpec
from mlwf.specs.feature_store import FeatureStoreSpec
from mlwf.specs.features import FeaturesSection
from mlwf.specs.tracking import MLflowSpec
from mlwf.specs.tuning import TuningSection
from mlwf.specs.validation_spec import FindingsSpec, GateSpec, ValidationSpec


class ComputeSpec(Spec):
    """How much of the machine to use, or which machines."""

    n_jobs: int = -1
    """Fits at the same time; -1 is one for each core. It never changes a result."""
    backend: Literal["local", "dask"] = "local"
    """Where fits run: on this machine, or on a Dask cluster (extra `dask`). It never changes a result."""
    address: str | None = None
    """Address of a Dask scheduler, such as tcp://host:8786; without it a cluster is started on this machine."""

    @field_validator("n_jobs")
    @classmethod
    def _is_a_count(cls, n_jobs: int) -> int:
        return refuse_no_jobs(n_jobs)


class ExperimentSpec(Spec):
    """A mlwf experiment."""

    name: str = Field("experiment", min_length=1)
    """Name of the experiment, its model and its runs; the default is the file's name."""
    random_state: int = Field(42, ge=0, le=2**32 - 1)
    """Seed of everything random."""
    data: DataSpec
    """The table to learn from."""
    features: FeaturesSection = "auto"
    """Which columns go in and how each is prepared; `auto` infers it from the data."""
    model: ClassifierModelSpec = Field(default_factory=ClassifierModelSpec)
    """The classifier."""
    tuning: TuningSection | None = None
    """Which hyperparameters to try; left out, none."""
    calibration: CalibrationSpec | None = None
    """How scores become probabilities; left out, as the classifier gives them."""
    threshold: ThresholdSpec | None = None
    """From which probability on a row is called positive; left out, one half."""
    validation: ValidationSpec = Field(default_factory=ValidationSpec)
    """How the reported score is estimated."""
    tracking: MLflowSpec | None = None
    """Where MLflow keeps the run; left out, only `runs/` does."""
    feature_store: FeatureStoreSpec | None = None
    """Features joined to the label rows from a Feast repo."""
    compute: ComputeSpec = Field(default_factory=ComputeSpec)
    """How much of the machine to use."""
    gates: list[GateSpec] = Field(default_factory=list)
    """What the run must reach; otherwise exit code 3, and the model is not registered."""
    findings: FindingsSpec = Field(default_factory=FindingsSpec)
    """Which findings to keep quiet about."""
    on_error: Literal["degrade", "fail"] = "degrade"
    """When tuning or calibration fails: go on without it and say so, or stop with exit code 1."""

    @property
    def tuning_folds(self) -> int:
        """Folds of the search, and of a threshold that no calibration chooses."""
        own = self.tuning.cv_folds if self.tuning and self.tuning.enabled else None
        return own or self.validation.cv_folds

    @property
    def calibration_folds(self) -> int:
        """Folds of the calibration."""
        return (self.calibration and self.calibration.cv_folds) or self.validation.cv_folds

    @property
    def splitter(self) -> SplitterName:
        """How folds are drawn, as written or as the columns say."""
        return self.validation.splitter or default_splitter(self.data)

    @property
    def model_name(self) -> str:
        """Name of the model in tables and tracking."""
        return self.model.model_name or self.name
