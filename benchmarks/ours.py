"""The same with mlwf, through what a user calls."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from benchmarks import plain
from benchmarks.measuring import NotMeasuredError, Stopwatch
from benchmarks.plain import found
from benchmarks.workloads import (
    CV_FOLDS,
    SCORING,
    STAGES,
    Workload,
    adult_census,
    cheap_candidates,
    grid_of_64,
    many_columns,
    one_model,
)
from mlwf import CalibrationSpec, ClassifierModelSpec, GridSearchSpec, MLflowSpec, create_tuning, run_ml_workflow
from mlwf.orchestrator import evaluation_phases as evidence
from mlwf.specs.tuning import HalvingSearchSpec, OptunaSearchSpec, RandomizedSearchSpec

FACTORS = {"gradient_boosting": 2, "hist_gradient_boosting": 4, "lightgbm": 4}
"""By which halving takes candidates away: of 16 are left 8, 4, 2 and 1, or 4 and 1, which get up to 192 rounds. By 4
the first of the two misses the best score by 0.23 %."""
N_TRIALS = 10
"""What Optuna gets, of 64 candidates."""
N_DRAWN = 20
"""What a random search gets, of 64 candidates."""


def search(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int, n_jobs: int = 1, n_rates: int = 4) -> None:
    """Search the grid of 64 candidates and refit."""
    load = grid_of_64(algorithm, is_quick=is_quick, n_rates=n_rates)
    _search(watch, load, _grid_search(load), n_jobs=n_jobs)


def adult(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Search the adult census and refit."""
    load = adult_census(is_quick=is_quick)
    _search(watch, load, _grid_search(load))


def chain(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int) -> None:
    """Search and refit, calibrate, cross-validate what was calibrated, in one call."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    with watch.part("chain"):
        results = _workflow(load, calibration_spec=CalibrationSpec(method="isotonic"))
    watch.record(
        "chain",
        best_params=results["tuning_summary"]["best_params"],
        best_score=results["tuning_summary"]["best_score"],
        calibrated=results["pipeline"].predict_proba(load.X_new),
        scores=_scores(results),
    )


def nested(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int) -> None:
    """Search for the model that ships, and evaluate the search itself in five outer folds, in one call."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    with watch.part("nested"):
        results = _workflow(load, nested=True)
    watch.record(
        "nested",
        best_params=results["tuning_summary"]["best_params"],
        refit=results["pipeline"].predict_proba(load.X_new),
        scores=_scores(results),
    )


def inexact(
    watch: Stopwatch, *, algorithm: str, strategy: str, is_quick: bool, repeat: int, scoring: str = SCORING
) -> None:
    """Search by another strategy where the grid searches, boosting rounds being what halving gives out."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    if strategy == "optuna":
        try:
            importlib.import_module("optuna")
        except ImportError as error:
            raise NotMeasuredError(str(error)) from error
    make = {"grid": _grid_search, "random": _random, "halving": _halving, "optuna": _optuna}[strategy]
    spec = make(load).model_copy(update={"scoring": scoring})
    watch.count_fits(type(load.pipeline[-1]))
    with watch.part("search"):
        searched = create_tuning(spec, random_state=repeat).fit(load.pipeline, load.X, load.y)
    watch.record("search", best_params=dict(searched.best_params_), best_score=float(searched.best_score_))


def portfolio(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Compare and average the models of `algorithm: auto` on the rows of the grid, by log loss."""
    load = grid_of_64("lightgbm", is_quick=is_quick)
    with watch.part("search"):
        results = run_ml_workflow(
            load.features,
            ClassifierModelSpec(algorithm="auto"),
            load.X,
            load.y,
            validation_strategy="none",
            random_state=repeat,
            on_error="fail",
        )
    watch.record("search", best_score=-results["leaderboard"]["ensemble"]["log_loss"])


def baseline(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Cross-validate one model and fit it, by a plain script and by mlwf in the same process, in turns."""
    load = one_model(is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    for name in ("plain", "mlwf") if repeat % 2 == 0 else ("mlwf", "plain"):
        with watch.part(name):
            if name == "plain":
                done = plain.baseline(load)
            else:
                results = _workflow(load)
                done = {"scores": _scores(results), "model": results["pipeline"]}
        watch.record(name, scores=done["scores"], predictions=done["model"].predict_proba(load.X_new))


def leaks(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Cross-validate one model of many columns, and measure the search for leaks apart from all else."""
    load = many_columns(is_quick=is_quick)
    search = evidence.search_leaks

    def measured(*arguments: Any, **options: Any) -> Any:
        with watch.part("search"):
            return search(*arguments, **options)

    evidence.search_leaks = measured
    with watch.part("run"):
        _workflow(load)
    evidence.search_leaks = search
    parts = watch.parts
    parts["rest"] = {unit: parts["run"][unit] - parts["search"][unit] for unit in parts["run"]}


def tracked(watch: Stopwatch, *, tracking: bool, is_quick: bool, repeat: int) -> None:
    """Search 64 cheap candidates twice, with a tracking store or without: the first run makes the store."""
    load = cheap_candidates(is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    spec = MLflowSpec(tracking_uri="sqlite:///mlflow.db", experiment_name="speed") if tracking else None
    for name in ("first", "run"):
        with watch.part(name):
            results = _workflow(load, mlflow_spec=spec)
        assert (results.get("mlflow_run_id") is not None) is tracking
        watch.record(
            name,
            best_params=results["tuning_summary"]["best_params"],
            scores=_scores(results),
            refit=results["pipeline"].predict_proba(load.X_new),
        )


def _search(watch: Stopwatch, load: Workload, spec: Any, *, n_jobs: int = 1) -> None:
    watch.count_fits(type(load.pipeline[-1]))
    searching = create_tuning(spec, n_jobs=n_jobs)
    with watch.part("search"):
        searching.fit(load.pipeline, load.X, load.y)
    watch.record("search", **found(searching, load))


def _workflow(load: Workload, *, nested: bool = False, **specs: Any) -> dict[str, Any]:
    """Run the workflow; it takes as many cores as it is given, which is one."""
    return run_ml_workflow(
        load.features,
        load.model,
        load.X,
        load.y,
        validation_params={"cv_folds": CV_FOLDS, "nested": nested, "metrics": [SCORING]},
        tuning_spec=_grid_search(load) if load.grid else None,
        on_error="fail",
        **specs,
    )


def _scores(results: Mapping[str, Any]) -> list[float]:
    (score,) = (score for score in results["scores"] if score.metric == SCORING)
    return list(score.folds)


def _halving(load: Workload) -> HalvingSearchSpec:
    rounds = f"classifier__{STAGES[load.model.algorithm]}"
    others = {name: values for name, values in load.grid.items() if name != rounds}
    return HalvingSearchSpec(
        param_grid=others,
        resource=rounds,
        max_resources=max(load.grid[rounds]),
        factor=FACTORS[load.model.algorithm],
        scoring=SCORING,
        cv_folds=CV_FOLDS,
    )


def _random(load: Workload) -> RandomizedSearchSpec:
    return RandomizedSearchSpec(param_distributions=dict(load.grid), n_iter=N_DRAWN, scoring=SCORING, cv_folds=CV_FOLDS)


def _optuna(load: Workload) -> OptunaSearchSpec:
    return OptunaSearchSpec(param_distributions=dict(load.grid), n_iter=N_TRIALS, scoring=SCORING, cv_folds=CV_FOLDS)


def _grid_search(load: Workload) -> GridSearchSpec:
    return GridSearchSpec(param_grid=dict(load.grid), scoring=SCORING, cv_folds=CV_FOLDS)
