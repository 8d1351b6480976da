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
from mlwf.orchestrator.planning import plan_fits

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
}
CALIBRATIONS = {
    "uncalibrated": None,
    "disabled": CalibrationSpec(enabled=False),
    "ensemble": CalibrationSpec(cv_folds=2),
    "single": CalibrationSpec(ensemble=False),
    "holdout": CalibrationSpec(holdout=0.3),
}
GRID = {"classifier__n_estimators": [2, 5], "classifier__max_depth": [1, 2]}
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
    planned = {phase.name: phase.fits for phase in journal.plan}
    # A column that may be a leak is looked at on further rows.
    looked_at, found = planned["judge"], done["judge"]
    assert planned == {name: done[name] for name in planned} | {"judge": looked_at}
    assert found >= looked_at > 0
    assert steps[-1].done == steps[-1].planned == sum(done.values())


def test_a_plan_counts_what_a_naive_script_would_fit(mixed_setting):
    setting, recipe = mixed_setting(
        model={"hyperparameters": {"n_estimators": 5}},
        tuning={
            "strategy": "grid",
            "param_grid": {"classifier__n_estimators": [2, 5], "classifier__max_depth": [1, 2]},
        },
        calibration={"method": "sigmoid"},
    )
    plan = {phase.name: (phase.asked, phase.fits, phase.recorded) for phase in plan_fits(setting, recipe)}
    # Two numbers of trees are read off one fit, the fold models of the search calibrate, and the calibration is
    # repeated in each fold of the validation; the baseline there counts as a fit.
    assert plan == {
        "tune": (20, 10, 0),
        "fit": (1, 1, 0),
        "calibrate": (5, 0, 0),
        "threshold": (0, 0, 0),
        "validate": (30, 30, 0),
        "test": (0, 0, 0),
        "judge": (4, 4, 0),
    }
