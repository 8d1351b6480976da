"""What the phases of one run share: the spec, the rows, the splitters, the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlwf.engine.rows import Rows, Split, Splitter, Table, fold_splitter
from mlwf.errors import DataError, Problem
from mlwf.modules.calibration import count_calibration_fits
from mlwf.modules.data import check_class_counts
from mlwf.modules.tuning import list_candidates
from mlwf.modules.validation import Circumstances
from mlwf.orchestrator.journal import Journal
from mlwf.orchestrator.material import Material
from mlwf.specs.calibration import CalibrationSpec
from mlwf.specs.catalogue import binary_only, scorer_names
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.tuning import ParamTuningSpec


@dataclass(frozen=True, eq=False)
class Setting:
    """A run's spec over its material."""

    spec: ExperimentSpec
    material: Material
    journal: Journal

    @cached_property
    def table(self) -> Table:
        """The rows as the engine takes them."""
        data = self.material.data
        return Table(data.X, data.y, data.weight, self.spec.model.class_weight, data.digest)

    @property
    def split(self) -> Split:
        """The rows that are trained on, and those held out."""
        return self.material.split

    @property
    def shipped_rows(self) -> Rows:
        """The rows that the shipped model is trained on."""
        validation = self.spec.validation
        refitted = validation.strategy == "train_test" and validation.refit
        return self.table.all_rows if refitted else self.split.train

    @property
    def tuning(self) -> ParamTuningSpec | None:
        """The search, where one is asked for."""
        return self.spec.tuning if self.spec.tuning and self.spec.tuning.enabled else None

    @property
    def calibration(self) -> CalibrationSpec | None:
        """The calibration, where one is asked for."""
        return self.spec.calibration if self.spec.calibration and self.spec.calibration.enabled else None

    @property
    def n_features(self) -> int:
        """Number of feature columns, before they are encoded."""
        return sum(len(feature.columns) for feature in self.material.features)

    @property
    def resolved(self) -> ExperimentSpec:
        """The spec with the features that were inferred in it."""
        return self.spec.model_copy(update={"features": list(self.material.features)})

    def folds(self, n_splits: int) -> Splitter:
        """Give the one splitter, with as many folds as a stage wants."""
        validation = self.spec.validation
        return fold_splitter(
            validation.splitter, n_splits=n_splits, shuffle=validation.shuffle, random_state=self.spec.random_state
        )

    def plan(self) -> dict[str, int]:
        """Count the fits that each phase will ask for."""
        spec, validation = self.spec, self.spec.validation
        calibrate = count_calibration_fits(self.calibration, cv_folds=spec.calibration_folds) if self.calibration else 0
        once, folds = calibrate or 1, validation.cv_folds
        # Every estimate fits the baseline too, which costs nothing.
        validate = {"cross_validation": folds * (once + 1), "train_test": 1 + once * validation.refit, "none": 0}
        candidates = list_candidates(self.tuning, random_state=spec.random_state) if self.tuning else []
        return {
            "build": 0,
            "tune": len(candidates) * spec.tuning_folds,
            "fit": 1,
            "calibrate": calibrate,
            "validate": validate[validation.strategy],
            "test": 1 if self.material.test is not None else 0,
        }

    def check_classes(self) -> None:
        """Refuse a class with too few rows for the folds that need it, and a weight for none; raises DataError."""
        spec, y = self.spec, self.table.y_of(self.split.train)
        wanted: dict[str, int] = {}
        if self.tuning:
            wanted["tuning.cv_folds"] = spec.tuning_folds
        if self.calibration and self.calibration.holdout is None:
            wanted["calibration.cv_folds"] = spec.calibration_folds
        if spec.validation.strategy == "cross_validation":
            wanted["validation.cv_folds"] = spec.validation.cv_folds
        problems = self._check_class_weight() + self._check_scorers()
        for key, folds in sorted(wanted.items(), key=lambda item: -item[1])[:1]:
            problems += check_class_counts(y, folds, key, where=spec.data.path, key=spec.data.target)
        if not problems and spec.validation.splitter == "kfold":
            problems += self._check_every_fold_learns_all_classes(wanted)
        if not problems and {"calibration.cv_folds", "validation.cv_folds"} <= set(wanted):
            problems += self._check_classes_inside_folds(spec.calibration_folds)
        if problems:
            raise DataError(problems)

    def _check_class_weight(self) -> list[Problem]:
        weights = self.spec.model.class_weight
        if not isinstance(weights, dict):
            return []
        accepted = f"accepted: {', '.join(map(repr, self.table.classes.tolist()))}"
        known = set(self.table.classes.tolist())
        message = f"is no class of {self.spec.data.target}"
        return [
            Problem("", f"model.class_weight.{label}", message, accepted) for label in weights if label not in known
        ]

    def _check_scorers(self) -> list[Problem]:
        """Refuse scorers of two classes where there are more: nothing would be chosen or scored by them."""
        wanted = {"validation.metrics": self.spec.validation.metrics or []}
        if self.tuning:
            wanted["tuning.scoring"] = self.tuning.scorers
        classes = len(self.table.classes)
        message = "serves two classes, and the target has"
        return [
            Problem("", key, f"{name} {message} {classes}", f"accepted: {', '.join(_scorers_of_more_like(name))}")
            for key, names in wanted.items()
            for name in names
            if classes > 2 and binary_only(name)
        ]

    def _check_every_fold_learns_all_classes(self, wanted: Mapping[str, int]) -> list[Problem]:
        """Refuse folds without strata of which some leave a class with no row to learn from."""
        for folds in sorted(set(wanted.values())):
            for split in self.folds(folds)(self.table, self.split.train):
                unseen = np.setdiff1d(self.table.classes, self.table.y_of(split.train))
                if len(unseen):
                    message = f"kfold leaves class {unseen.tolist()[0]!r} no row to learn from in one of {folds} folds"
                    return [Problem("", "validation.splitter", message, "stratified_kfold keeps each class in all")]
        return []

    def _check_classes_inside_folds(self, folds: int) -> list[Problem]:
        """Refuse a class that has rows enough for each kind of folds, but not for the one inside the other."""
        outer = self.folds(self.spec.validation.cv_folds)(self.table, self.split.train)
        for label in self.table.classes:
            fewest = min(int((self.table.y_of(split.train) == label).sum()) for split in outer)
            if fewest < folds:
                message = (
                    f"class {label!r} has {fewest} rows where a fold of the validation leaves it least, fewer than"
                )
                hint = f"set calibration.cv_folds: {fewest}" if fewest > 1 else "leave the rows of this class out"
                message = f"{message} calibration.cv_folds ({folds})"
                return [Problem(self.spec.data.path, self.spec.data.target, message, hint)]
        return []

    def cross_validated(self, *, tuned: bool) -> Circumstances:
        """Say how a cross-validated number is got."""
        validation, rows = self.spec.validation, len(self.split.train)
        kind = "stratified " if validation.splitter == "stratified_kfold" else ""
        order = "shuffled" if validation.shuffle else "not shuffled"
        note = f"{validation.cv_folds}-fold {kind}cross-validation of {rows:,} rows, {order}"
        return self._circumstances("cross_validation", note, tuned=tuned)

    def held_out(self) -> Circumstances:
        """Say how a number on the hold-out is got."""
        note = f"hold-out of {len(self.split.test):,} rows, split off before anything was fitted"
        return self._circumstances("train_test", note, tuned=False)

    def tested(self) -> Circumstances:
        """Say how a number on the test set is got."""
        assert self.material.test is not None
        note = f"test set of {len(self.material.test.y):,} rows that no step before saw"
        return self._circumstances("test", note, tuned=False)

    def _circumstances(self, source: Any, note: str, *, tuned: bool) -> Circumstances:
        if tuned:
            note += "; tuned on the same rows"
        if source == "cross_validation" and self.material.inferred:
            note += "; features inferred on the same rows"
        judged = self.material.test if source == "test" else self.material.data
        if judged is not None and judged.weight is not None:
            note += f"; weighted by {self.spec.data.sample_weight}"
        return Circumstances(source, note, tuned)


def _scorers_of_more_like(name: str) -> list[str]:
    """List the scorers of more than two classes that begin alike, or all of them."""
    serving = [scorer for scorer in scorer_names() if not binary_only(scorer)]
    return [scorer for scorer in serving if scorer.startswith(f"{name}_")] or serving
