"""What the phases of one run share: the spec, the rows, the splitters, the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from mlwf.engine.costs import RunTime
from mlwf.modules.data import Dataset, list_slices, select_features
from mlwf.orchestrator.run_data import RunData
from mlwf.orchestrator.run_log import RunLog
from mlwf.specs.catalogue import SPLITTERS
from mlwf.specs.default_search import with_default_spaces
from mlwf.specs.experiment import CalibrationSpec, EnsembleSpec, ExperimentSpec, ThresholdSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.slice_spec import SliceSpec
from mlwf.specs.tuning import ParamTuningSpec
from mlwf.splitting.rows import Rows, Split, Splitter, Table
from mlwf.splitting.splitters import fold_splitter, holdout_splitter


@dataclass(frozen=True, eq=False)
class RunContext:
    """A run's spec over its data."""

    spec: ExperimentSpec
    """The experiment, with the parameters that searches try by default."""
    run_data: RunData
    run_log: RunLog
    time: RunTime = field(default_factory=RunTime)
    """How much of it the run has."""
    _splits: dict[tuple[int, str], tuple[Split, ...]] = field(default_factory=dict, repr=False)
    """The splits that were made already, by the number of folds and the rows."""

    def __post_init__(self) -> None:
        # Every phase reads the spec, and none of them which parameters a search tries by default.
        object.__setattr__(self, "spec", with_default_spaces(self.spec, len(self.split.train)))

    @cached_property
    def table(self) -> Table:
        """The rows as the engine takes them."""
        return self._table_of(self.run_data.data)

    def table_with(self, features: Sequence[FeatureSpec]) -> Table:
        """Give the rows with other features than those of the run: those inferred in a fold."""
        raw = self.run_data.raw
        if raw is None or list(features) == list(self.run_data.features):
            return self.table
        # Of the rows that suggest these features, each value can be read; of those that a fold holds out, not always.
        X = select_features(raw.X, features, where=raw.source, unreadable_is_missing=True)
        return self._table_of(replace(self.run_data.data, X=X))

    @property
    def split(self) -> Split:
        """The rows that are trained on, and those held out."""
        return self.run_data.split

    @property
    def shipped_rows(self) -> Rows:
        """The rows that the shipped model is trained on."""
        return self.table.all_rows if self.is_refitted else self.split.train

    @property
    def is_refitted(self) -> bool:
        """Whether the shipped model is fitted again on all rows after it was scored."""
        validation = self.spec.validation
        return validation.strategy == "train_test" and validation.refit

    @property
    def tuning(self) -> ParamTuningSpec | None:
        """The search of the one model, where one is asked for."""
        return self.spec.tuning if self.spec.tuning and self.spec.tuning.enabled else None

    @property
    def ensemble(self) -> EnsembleSpec | None:
        """The ensemble, where one is asked for."""
        ensemble = self.spec.averaging
        return ensemble if ensemble and ensemble.enabled else None

    @property
    def is_searched(self) -> bool:
        """Whether candidates are compared before the model is fitted."""
        return self.tuning is not None or self.spec.candidates is not None

    @property
    def calibration(self) -> CalibrationSpec | None:
        """The calibration, where one is asked for."""
        return self.spec.calibration if self.spec.calibration and self.spec.calibration.enabled else None

    @property
    def threshold(self) -> ThresholdSpec | None:
        """The threshold, where one is to be chosen."""
        return self.spec.threshold if self.spec.threshold and self.spec.threshold.enabled else None

    @property
    def n_features(self) -> int:
        """Number of feature columns, before they are encoded."""
        return sum(len(feature.columns) for feature in self.run_data.features)

    @property
    def resolved(self) -> ExperimentSpec:
        """The spec with what was inferred in it: the features, what a search tries, and how rows are split."""
        validation = self.spec.validation.model_copy(update={"splitter": self.spec.splitter})
        found = {"features": list(self.run_data.features), "validation": validation}
        return self.spec.resolved.model_copy(update=found)

    @property
    def is_ordered(self) -> bool:
        """Whether rows are predicted by models of earlier ones alone."""
        return SPLITTERS[self.spec.splitter].is_ordered

    @property
    def is_nested(self) -> bool:
        """Whether each fold of the validation repeats all that is chosen."""
        return self.spec.validation.nested

    def folds(self, n_splits: int) -> Splitter:
        """Give the one splitter, with as many folds as a stage has; the same rows are split once in a run."""
        validation = self.spec.validation
        split = fold_splitter(
            self.spec.splitter,
            n_splits=n_splits,
            shuffle=validation.shuffle,
            random_state=self.spec.random_state,
            n_repeats=validation.n_repeats,
            gap=validation.gap,
            max_train_size=validation.max_train_size,
        )

        def split_once(table: Table, rows: Rows) -> tuple[Split, ...]:
            key = (n_splits, rows.digest)
            if key not in self._splits:
                self._splits[key] = split(table, rows)
            return self._splits[key]

        return split_once

    @property
    def calibration_splitter(self) -> Splitter:
        """The splitter of the calibration: into folds, or one share of the rows held out."""
        assert self.calibration is not None
        if self.calibration.holdout is None:
            return self.folds(self.spec.calibration_folds)
        return holdout_splitter(
            test_size=self.calibration.holdout,
            random_state=self.spec.random_state,
            kind="stratified_kfold" if self.spec.splitter == "predefined_split" else self.spec.splitter,
            gap=self.spec.validation.gap,
        )

    @property
    def threshold_folds(self) -> int:
        """Folds whose models choose the threshold, where no calibration has predicted rows already."""
        return self.spec.tuning_folds

    @cached_property
    def validation_splits(self) -> tuple[Split, ...]:
        """The folds of the validation; none unless it is a cross-validation."""
        if self.spec.validation.strategy != "cross_validation":
            return ()
        return self.folds(self.spec.validation.cv_folds)(self.table, self.split.train)

    @cached_property
    def slices(self) -> tuple[SliceSpec, ...]:
        """The slices that are reported apart, each column that is written alone as one for each of its values."""
        return list_slices(self.spec.validation.slices, self.run_data.data)

    def _table_of(self, data: Dataset) -> Table:
        return Table(
            data.X,
            data.y,
            data.weight,
            self.spec.class_weight,
            data.digest,
            groups=data.groups,
            time=data.instants,
            fold=data.fold,
        )
