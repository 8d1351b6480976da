"""Two runs at once in one process: each has its own warnings and log, and the process is left as it was."""

from __future__ import annotations

import gc
import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from mlwf import ClassifierModelSpec, GridSearchSpec, NumericFeatureSpec, run_ml_workflow
from mlwf.modules.runs import list_runs
from mlwf.processes import SharedState

FEATURES = [NumericFeatureSpec(columns=["height", "weight"], imputer="median")]
STOPS_EARLY = ClassifierModelSpec(algorithm="logistic_regression", hyperparameters={"max_iter": 1})
CONVERGES = ClassifierModelSpec(algorithm="logistic_regression")
TUNING = GridSearchSpec(param_grid={"classifier__C": [0.1, 1.0]}, cv_folds=2)


def process():
    """Describe what of this process a run changes for its time."""
    blas = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
    level = logging.getLogger("mlwf").level
    return warnings.showwarning, list(warnings.filters), level, gc.get_freeze_count(), blas


@pytest.mark.filterwarnings("default")
def test_two_runs_at_once_leave_the_process_as_it_was_and_hear_their_own_warnings(mixed, runs_dir):
    X, y = mixed
    second_began, first_ended = threading.Event(), threading.Event()

    def first(step):
        # It begins first, is in the middle when the second begins, and ends first.
        if step.phase == "tune":
            assert second_began.wait(60)

    def second(step):
        if step.phase == "tune":
            second_began.set()
        if step.phase == "validate":
            assert first_ended.wait(60)

    def run(model, on_progress, done):
        options = {"tuning_spec": TUNING, "runs_dir": runs_dir / model.model_name, "on_progress": on_progress}
        try:
            return run_ml_workflow(FEATURES, model, X, y, **options)
        finally:
            done.set()

    models = [
        each.model_copy(update={"model_name": name}) for name, each in zip("ab", (STOPS_EARLY, CONVERGES), strict=True)
    ]
    run_ml_workflow(FEATURES, CONVERGES, X, y)
    before = process()
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(run, models[0], first, first_ended)
        other = threads.submit(run, models[1], second, threading.Event())
        noisy, quiet = one.result(120), other.result(120)
    assert process() == before
    assert quiet["warnings"] == []
    assert len(noisy["warnings"]) == 1
    assert noisy["warnings"][0].startswith("ConvergenceWarning: lbfgs failed to converge")
    for name, label in (("a", "b"), ("b", "a")):
        (row,) = list_runs(runs_dir / name)
        log = (runs_dir / name / row["run_id"] / "run.log").read_text("utf-8")
        assert f"Built ML pipeline: {name}" in log
        assert f"Built ML pipeline: {label}" not in log


def test_a_state_is_changed_by_the_first_and_restored_by_the_last():
    told = []

    class Change:
        def __enter__(self):
            told.append("changed")

        def __exit__(self, *_):
            told.append("restored")

    state = SharedState(Change)
    one, other = state.held(), state.held()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert told == ["changed"]
    other.__exit__(None, None, None)
    assert told == ["changed", "restored"]


def test_a_warning_of_the_host_is_displayed_by_the_host_afterwards(mixed):
    X, y = mixed
    heard = []
    shown = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: heard.append(str(message))
    try:
        run_ml_workflow(FEATURES, CONVERGES, X, np.asarray(y))
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("of the host", UserWarning, stacklevel=1)
    finally:
        warnings.showwarning = shown
    assert heard == ["of the host"]
