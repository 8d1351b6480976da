"""The experiment file: its sections together, and those that are short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator

from mlwf.specs import catalogue
from mlwf.specs.base import Spec, parse_seconds, refuse_no_jobs
from mlwf.specs.catalogue import TrainingSource
from mlwf.specs.catalogue.splitter_table import SplitterName, default_splitter
from mlwf.specs.data import ClassLabel, DataSpec
from mlwf.specs.feature_store import FeatureStoreSpec
from mlwf.specs.features import FeaturesSection
from mlwf.specs.portfolio import ENSEMBLE_SIZE, build_portfolio
from mlwf.specs.tracking import MLflowSpec
from mlwf.specs.tuning import GridSearchSpec, ParamTuningSpec, TuningSection


class ClassifierModelSpec(Spec):
    """The classifier."""

    model_name: str | None = Field(None, min_length=1)
    """Name shown in tables and tracking; the default is the experiment's name."""
    algorithm: str = "hist_gradient_boosting"
    """Which classifier, by its name in the catalogue, or `auto`."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """scikit-learn's parameters of the classifier; what is left out keeps scikit-learn's default."""
    class_weight: Literal["balanced"] | dict[ClassLabel, float] | None = None
    """Weight of each class during fits: `balanced`, or a map from class to weight."""


class CandidateModelSpec(Spec):
    """One of several models, of which the best ships."""

    algorithm: str
    """Which classifier, by its name in the catalogue."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """The library's own parameters of the classifier; what is left out keeps its default."""
    tuning: TuningSection | None = None
    """Which hyperparameters to try; left out, none. All models are compared by `selection.scoring`."""


class SelectionSpec(Spec):
    """How one of several models is chosen: all of them on the same folds, by the same scorer."""

    scoring: str = "neg_log_loss"
    """scikit-learn scorer that chooses among all candidates of all models."""
    cv_folds: int | None = Field(None, ge=2)
    """Folds that they are compared on; the default is `validation.cv_folds`."""
    class_weight: Literal["balanced"] | dict[ClassLabel, float] | None = None
    """Weight of each class during the fits of all models: `balanced`, or a map from class to weight."""


class EnsembleSpec(Spec):
    """An average of the best candidates' probabilities, which ships if it is better than the best of them.

    Greedy selection with replacement over all candidates of all models, on their out-of-fold predictions (Caruana et
    al. 2004, Ensemble selection from libraries of models).
    """

    enabled: bool = True
    """Whether to average at all."""
    size: int = Field(25, ge=1)
    """How often a candidate is added; one that is added again weighs more."""
    keep: Literal["better", "always"] = "better"
    """Ship the ensemble only if its log loss, by weights of other folds, is better beyond doubt, or always."""


AUTO = "auto"
"""The algorithm that stands for all models of the portfolio."""


@cache
def _portfolio() -> dict[str, CandidateModelSpec]:
    # What is not installed is left out, and the resolved experiment says what is there.
    installed = [name for name, info in catalogue.ALGORITHMS.items() if info.is_installed]
    return {name: CandidateModelSpec.model_validate(model) for name, model in build_portfolio(installed).items()}


@dataclass(frozen=True)
class ModelSection:
    """One model of an experiment, wherever it is written."""

    name: str
    path: tuple[str, ...]
    """Where its algorithm is written."""
    tuning_path: tuple[str, ...]
    model: ClassifierModelSpec
    tuning: ParamTuningSpec | None
    """Its search as written, whether it is enabled or not."""


class CalibrationSpec(Spec):
    """Calibration of the probabilities, from predictions on rows that the fitted model did not see."""

    enabled: bool = True
    """Whether to calibrate at all."""
    method: Literal["sigmoid", "isotonic", "temperature"] = "sigmoid"
    """`sigmoid` (Platt) for few rows, `isotonic` for a thousand and more, `temperature` keeps the order of classes."""
    ensemble: bool = True
    """Ship the average of the calibrated fold models; false ships one model with one calibrator."""
    keep: Literal["better", "always"] = "better"
    """Ship the calibrated model only if its out-of-fold log loss is better beyond doubt, or always."""
    cv_folds: int | None = Field(None, ge=2)
    """Folds of the calibration; the default is `validation.cv_folds`."""
    holdout: float | None = Field(None, gt=0, lt=1)
    """Calibrate on this share of the training rows instead of folds; the model is fitted on the others."""

    @property
    def calibration_name(self) -> str:
        """Name of the calibration in logs."""
        return f"{self.method} calibration"


class ThresholdSpec(Spec):
    """The threshold of a model of two classes, chosen on out-of-fold predictions; it travels with the model."""

    enabled: bool = True
    """Whether to choose one at all; the classifier's own is a probability of one half."""
    scoring: str = "balanced_accuracy"
    """scikit-learn scorer of labels that the threshold shall make best, such as f1."""


def threshold_scorers() -> list[str]:
    """List the scorers that can choose a threshold, sorted: those of labels, for two classes."""
    infos = ((name, catalogue.metric_info(name)) for name in catalogue.scorer_names())
    return [name for name, info in infos if info.needs_labels and info.binary and not info.is_one_sided]


class ValidationSpec(Spec):
    """How the reported score is estimated."""

    strategy: Literal["cross_validation", "train_test", "none"] = "cross_validation"
    """`cross_validation` for most data, `train_test` for a single hold-out split off before anything is fitted, or
    `none`."""
    splitter: SplitterName | None = None
    """How folds are drawn; the default follows from `data.fold`, `data.groups` and `data.time`, and is
    stratified_kfold without them. A hold-out follows the groups and the time too."""
    cv_folds: int = Field(5, ge=2)
    """Number of folds, of tuning and calibration too unless they say otherwise."""
    shuffle: bool = True
    """Shuffle the rows before they are cut into folds; a time and given folds leave nothing to shuffle."""
    n_repeats: int = Field(3, ge=2)
    """How often the repeated splitters cut the rows anew."""
    gap: int = Field(0, ge=0)
    """Rows left out between the rows to learn from and the later ones to evaluate on, where time splits them."""
    max_train_size: int | None = Field(None, ge=1)
    """Learn from the latest rows only, a window that slides; left out, from all earlier rows."""
    nested: bool = False
    """Repeat everything in every fold: feature inference, search, calibration, threshold. The score is then free of
    what was chosen, and costs as many searches as there are folds."""
    test_size: float = Field(0.2, gt=0, lt=1)
    """Share of the rows held out by `train_test`."""
    refit: bool = False
    """After `train_test`, fit the shipped model again on all rows; it is then not the very model that was scored."""
    metrics: list[str] | None = Field(None, min_length=1)
    """Metrics to report, by scikit-learn's names; the default is accuracy, balanced accuracy, ROC AUC and log loss
    where the model serves them."""
    slices: list[str] = Field(default_factory=list)
    """Parts of the rows to report apart: a column for each of its values, or a condition such as `age > 60` or
    `sex = Female` (also ==, !=, <, <=, >=)."""


BASELINE = "baseline"

REGISTERED_MODEL = re.compile(
    r"models:/(?P<name>(?!\s*[@/])[^/:]+)(@(?P<alias>(?!(?i:latest|v\d+)$)[A-Za-z0-9_\-]+)|/(?P<version>\d+))", re.ASCII
)
"""A version in MLflow's registry, by its alias or its number."""


DEMANDS = ("min", "max", "beats")
"""Keys of a gate on a metric, one of which says what is demanded of it."""


class GateSpec(Spec):
    """One demand: a metric within bounds, a metric better than another model's, or a finding that must not occur."""

    metric: str | None = Field(None, min_length=1)
    """One of the run's metrics."""
    min: float | None = Field(None, allow_inf_nan=False)
    """The metric is at least this."""
    max: float | None = Field(None, allow_inf_nan=False)
    """The metric is at most this."""
    beats: str | None = Field(None, min_length=1)
    """The metric is better than that of `baseline`, or of a registered model such as `models:/NAME@champion`."""
    by: float | None = Field(None, ge=0, allow_inf_nan=False)
    """How much better, whatever the sign of the metric; without it, any difference above zero is enough."""
    bound: Literal["point", "lower", "upper"] = "point"
    """What is held against it: the number itself, or an end of its 95 % interval."""
    source: TrainingSource | None = None
    """Whose number; the default is the best that the run has: test set, hold-out, cross-validation."""
    slice: str | None = Field(None, min_length=1)
    """One of `validation.slices`, or a value of one that names a column: `sex = Female`."""
    finding: str | None = Field(None, min_length=1)
    """Code of a finding that must not occur; stands alone."""


class FindingsSpec(Spec):
    """Which findings to ignore."""

    ignore: list[str] = Field(default_factory=list)
    """Codes of findings that are not reported."""


class ComputeSpec(Spec):
    """How much of the machine to use, or which machines."""

    n_jobs: int = -1
    """Fits at the same time; -1 is one for each core. It never changes a result."""
    backend: Literal["local", "dask"] = "local"
    """Where fits run: on this machine, or on a Dask cluster (extra `dask`). It never changes a result."""
    address: str | None = None
    """Address of a Dask scheduler, such as tcp://host:8786; without it a cluster is started on this machine."""
    time_limit: int | float | str | None = None
    """How long the whole run may take: seconds, or a text such as 90s, 10m or 1h30m. Candidates of a search that
    cannot be finished in time are left out, the costliest first: alone of this section it may change a result, which
    then depends on how fast the machine is."""

    @field_validator("n_jobs")
    @classmethod
    def _is_a_count(cls, n_jobs: int) -> int:
        return refuse_no_jobs(n_jobs)

    @field_validator("time_limit")
    @classmethod
    def _is_a_duration(cls, time_limit: int | float | str | None) -> int | float | str | None:
        if time_limit is not None:
            parse_seconds(time_limit)
        return time_limit

    @property
    def time_limit_seconds(self) -> float | None:
        """The time limit in seconds; None without one."""
        return None if self.time_limit is None else parse_seconds(self.time_limit)


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
    models: dict[str, CandidateModelSpec] | None = Field(None, min_length=1)
    """Several models, by names of your own, instead of `model` and `tuning`: the best ships."""
    selection: SelectionSpec | None = None
    """How one of several models is chosen."""
    ensemble: EnsembleSpec | None = None
    """An average of several models; left out, the best one ships."""
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
    """Which findings to ignore."""
    on_error: Literal["degrade", "fail"] = "degrade"
    """When the fits of tuning, calibration, threshold or findings fail: go on without and report that, or stop with
    exit code 1."""

    @property
    def tuning_folds(self) -> int:
        """Folds of the search, and of a threshold that no calibration chooses."""
        own = self.tuning.cv_folds if self.tuning and self.tuning.enabled else None
        if self.candidates is not None:
            own = self.choice.cv_folds
        return own or self.validation.cv_folds

    @property
    def candidates(self) -> Mapping[str, CandidateModelSpec] | None:
        """The models of which the best ships, by their names; None for an experiment with one model."""
        return _portfolio() if self.is_automatic else self.models

    @property
    def is_automatic(self) -> bool:
        """Whether the models are those of the portfolio."""
        return self.models is None and self.model.algorithm == AUTO

    @property
    def averaging(self) -> EnsembleSpec | None:
        """The ensemble as written, or that of the portfolio."""
        # What was measured with the portfolio: its average is worth more than the doubt about it.
        ensemble = EnsembleSpec(size=ENSEMBLE_SIZE, keep="always")
        return ensemble if self.ensemble is None and self.is_automatic else self.ensemble

    @property
    def resolved(self) -> ExperimentSpec:
        """The experiment with the models of the portfolio written out, where it names `auto`."""
        if not self.is_automatic:
            return self
        model = ClassifierModelSpec(model_name=self.model.model_name)
        found = {"model": model, "models": self.candidates, "selection": self.choice, "ensemble": self.averaging}
        return self.model_copy(update=found)

    @property
    def choice(self) -> SelectionSpec:
        """How one of several models is chosen, as written or by default."""
        return self.selection or SelectionSpec()

    @property
    def class_weight(self) -> Literal["balanced"] | dict[ClassLabel, float] | None:
        """Weight of each class during fits."""
        return self.model.class_weight if self.candidates is None else self.choice.class_weight

    @property
    def is_searched(self) -> bool:
        """Whether anything is compared on folds before the model is fitted."""
        return self.candidates is not None or (self.tuning is not None and self.tuning.enabled)

    @property
    def model_sections(self) -> tuple[ModelSection, ...]:
        """The one model, or each of several."""
        if self.candidates is None:
            return (ModelSection(self.model_name, ("model",), ("tuning",), self.model, self.tuning),)
        return tuple(
            ModelSection(
                name,
                ("models", name),
                ("models", name, "tuning"),
                ClassifierModelSpec(algorithm=model.algorithm, hyperparameters=model.hyperparameters),
                model.tuning,
            )
            for name, model in self.candidates.items()
        )

    def search_of(self, section: ModelSection) -> ParamTuningSpec | None:
        """Give the search of a model: of several models, one without a search is tried as it is written."""
        written = section.tuning if section.tuning and section.tuning.enabled else None
        if self.candidates is None:
            return written
        search = written or GridSearchSpec(param_grid=[{}])
        return search.model_copy(update={"scoring": self.choice.scoring, "refit": None, "cv_folds": None})

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
