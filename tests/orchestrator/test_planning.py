"""The fits that are planned are those that are done."""

from __future__ import annotations

import itertools

import pytest

from mlwf import (
    CalibrationSpec,
    ClassifierModelSpec,
    GridSearchSpec,
    NumericFeatureSpec,
    RandomizedSearchSpec,
    run_ml_workflow,
)
from mlwf.orchestrator import guide
from mlwf.orchestrator.journal import Journal

VALIDATIONS = {
    "cv": {"strategy": "cross_validation", "cv_folds": 3, "metrics": ["accuracy"]},
    "train_test": {"strategy": "train_test", "metrics": ["accuracy"]},
    "refit": {"strategy": "train_test", "refit": True},
    "none": {"strategy": "none"},
}
TUNINGS = {
    "untuned": None,
    "disabled": GridSearchSpec(param_grid={"classifier__C": [1.0]}, enabled=False),
    "grid": GridSearchSpec(param_grid={"classifier__C": [0.1, 1.0]}, cv_folds=2),
    "random": RandomizedSearchSpec(
        param_distributions={"classifier__C": {"loguniform": [0.1, 1.0]}}, n_iter=3, cv_folds=2
    ),
    "failing": GridSearchSpec(param_grid={"classifier__l1_ratio": [1.0]}, cv_folds=2),
}
CALIBRATIONS = {
    "uncalibrated": None,
    "disabled": CalibrationSpec(enabled=False),
    "ensemble": CalibrationSpec(cv_folds=2),
    "single": CalibrationSpec(ensemble=False),
    "holdout": CalibrationSpec(holdout=0.3),
}
CASES = list(itertools.product(VALIDATIONS, TUNINGS, CALIBRATIONS))


@pytest.mark.parametrize(
    ("validation", "tuning", "calibration"),
    CASES,
    ids=["-".join(case) for case in CASES],
)
def test_as_many_fits_are_done_as_planned(monkeypatch, mixed, validation, tuning, calibration):
    X, y = mixed
    journals = []

    class Kept(Journal):
        def __init__(self, on_progress=None):
            super().__init__(on_progress)
            journals.append(self)

    monkeypatch.setattr(guide, "Journal", Kept)
    steps = []
    strategy = VALIDATIONS[validation]["strategy"]
    run_ml_workflow(
        [NumericFeatureSpec(columns=["height", "weight"])],
        ClassifierModelSpec(algorithm="logistic_regression"),
        X,
        y,
        validation_strategy=strategy,
        validation_params={key: value for key, value in VALIDATIONS[validation].items() if key != "strategy"},
        tuning_spec=TUNINGS[tuning],
        calibration_spec=CALIBRATIONS[calibration],
        X_test=X if tuning in {"grid", "untuned"} else None,
        y_test=y if tuning in {"grid", "untuned"} else None,
        on_progress=steps.append,
    )
    (journal,) = journals
    done = {phase.name: phase.fits for phase in journal.phases}
    # A column that may be a leak is looked at on further rows.
    looked_at, found = journal.plan["judge"], done["judge"]
    assert dict(journal.plan) == {name: done[name] for name in journal.plan} | {"judge": looked_at}
    assert found >= looked_at == 2
    assert steps[-1].done == steps[-1].asked == sum(done.values())
