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
    ThresholdSpec,
    run_ml_workflow,
)
from mlwf.orchestrator import api
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.workflow import plan_fits

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
ALIKE = {"disabled": "uncalibrated", "random": "ensemble"}
"""Tunings that are planned like others; they are slow beside any calibration but this one."""


def make_case(validation, tuning, calibration):
    is_alike = calibration != ALIKE.get(tuning, calibration) or (calibration == "disabled" and tuning != "untuned")
    marks = [pytest.mark.slow] if is_alike else []
    return pytest.param(validation, tuning, calibration, id=f"{validation}-{tuning}-{calibration}", marks=marks)


CASES = [make_case(*case) for case in itertools.product(VALIDATIONS, TUNINGS, CALIBRATIONS)]


@pytest.fixture
def run_log_of(monkeypatch, mixed):
    """Give what runs a workflow and gives its run log and its steps."""
    X, y = mixed
    run_logs, steps = [], []

    class KeptLog(RunLog):
        def __init__(self, on_progress=None):
            super().__init__(on_progress)
            run_logs.append(self)

    monkeypatch.setattr(api, "RunLog", KeptLog)

    def run(validation, **options):
        params = dict(validation)
        run_ml_workflow(
            [NumericFeatureSpec(columns=["height", "weight"])],
            ClassifierModelSpec(algorithm="logistic_regression"),
            X,
            y,
            validation_strategy=params.pop("strategy"),
            validation_params=params,
            on_progress=steps.append,
            **options,
        )
        return run_logs[-1], steps

    return run


def check(run_log, steps, *, off=0):
    done = {phase.name: phase.fits for phase in run_log.phases}
    planned = {phase.name: phase.fits for phase in run_log.plan}
    # Which columns may be leaks, and are probed, is known when all are screened.
    looked_at = planned["findings"]
    assert looked_at == 0
    assert [phase.columns for phase in run_log.plan if phase.columns] == [2]
    screening = [step for step in steps if step.phase == "findings"]
    assert all(step.has_work and step.columns_planned == 2 for step in screening)
    assert [screening[0].columns_done, screening[-1].columns_done] == [0, 2]
    assert abs(planned["validate"] - done["validate"]) <= off
    assert planned == {name: done[name] for name in planned} | {"findings": looked_at, "validate": planned["validate"]}
    if off:
        return
    assert steps[-1].done == steps[-1].planned == sum(done.values())
    assert sum(phase.asked for phase in run_log.plan) <= run_log.counts.asked


@pytest.mark.parametrize(("validation", "tuning", "calibration"), CASES)
def test_as_many_fits_are_done_as_planned(run_log_of, mixed, validation, tuning, calibration):
    X, y = mixed
    test = {"X_test": X, "y_test": y} if tuning in {"grid", "untuned"} else {}
    calibration_spec = CALIBRATIONS[calibration]
    check(*run_log_of(VALIDATIONS[validation], tuning_spec=TUNINGS[tuning], calibration_spec=calibration_spec, **test))


@pytest.mark.parametrize("calibration", ["uncalibrated", "ensemble"])
@pytest.mark.parametrize("tuning", ["untuned", "grid"])
@pytest.mark.parametrize("nested", [True, False], ids=["nested", "not nested"])
def test_as_many_fits_are_done_as_planned_for_a_threshold(run_log_of, nested, tuning, calibration):
    validation = {**VALIDATIONS["cv"], "nested": nested}
    calibration_spec = CALIBRATIONS[calibration]
    # The candidate that a fold will choose, and whether another fold has fitted it on the same rows, nobody knows yet.
    off = 3 if nested and tuning == "grid" else 0
    check(
        *run_log_of(
            validation, tuning_spec=TUNINGS[tuning], calibration_spec=calibration_spec, threshold_spec=ThresholdSpec()
        ),
        off=off,
    )


def test_a_plan_counts_what_a_naive_script_would_fit(mixed_context):
    context, config = mixed_context(
        model={"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 5}},
        tuning={
            "strategy": "grid",
            "param_grid": {"classifier__n_estimators": [2, 5], "classifier__max_depth": [1, 2]},
        },
        calibration={"method": "sigmoid"},
    )
    plan = {phase.name: (phase.asked, phase.fits, phase.recorded) for phase in plan_fits(context, config)}
    # Two numbers of trees are read off one fit, the fold models of the search calibrate, and the calibration is
    # repeated in each fold of the validation; the baseline there counts as a fit.
    assert plan == {
        "tune": (20, 10, 0),
        "fit": (1, 1, 0),
        "calibrate": (5, 0, 0),
        "threshold": (0, 0, 0),
        "validate": (30, 30, 0),
        "test": (0, 0, 0),
        "findings": (0, 0, 0),
    }
