"""What one writes without mlwf: plain scikit-learn scripts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline

from benchmarks.measuring import NotMeasuredError, Stopwatch
from benchmarks.workloads import CV_FOLDS, SCORING, STAGES, Workload, adult_census, grid_of_64


def chain(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int) -> None:
    """Search and refit, calibrate, cross-validate what was calibrated."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    with watch.part("chain"):
        with watch.part("search"):
            search = _search(load)
        calibrated = CalibratedClassifierCV(search.best_estimator_, method="isotonic", cv=CV_FOLDS)
        scores = cross_val_score(calibrated, load.X, load.y, cv=CV_FOLDS, scoring=SCORING)
        calibrated.fit(load.X, load.y)
    watch.record("search", **found(search, load))
    watch.record(
        "chain",
        best_params=search.best_params_,
        best_score=search.best_score_,
        calibrated=calibrated.predict_proba(load.X_new),
        scores=scores,
    )


def search(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int, scoring: str = SCORING) -> None:
    """Search and refit."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    with watch.part("search"):
        found_by_grid = _search(load, scoring)
    watch.record("search", **found(found_by_grid, load))


def fewest_fits(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int) -> None:
    """Make the fits alone that the chain cannot do without, of rows that are prepared once, and use none of them."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    rounds = f"classifier__{STAGES[algorithm]}"
    watch.count_fits(type(load.pipeline[-1]))
    longest = list(ParameterGrid({**load.grid, rounds: [max(load.grid[rounds])]}))
    splits = list(StratifiedKFold(CV_FOLDS).split(load.X, load.y))
    scores: dict[tuple[int, int], list[float]] = {}
    for train, test in splits:
        with watch.part("fits"):
            prepare = load.pipeline[:-1]
            X, y = prepare.fit_transform(load.X.iloc[train]), load.y[train]
            models = [_with(load, params)[-1].fit(X, y) for params in longest]
        X_test = prepare.transform(load.X.iloc[test])
        for place, model in enumerate(models):
            for stage, values in enumerate(model.staged_decision_function(X_test), start=1):
                if stage in load.grid[rounds]:
                    scores.setdefault((place, stage), []).append(roc_auc_score(load.y[test], np.ravel(values)))
    place, stage = max(scores, key=lambda candidate: np.mean(scores[candidate]))
    best = {**longest[place], rounds: stage}
    with watch.part("fits"):
        _with(load, best).fit(load.X, load.y)
        for train, _ in splits:
            for inner, _ in StratifiedKFold(CV_FOLDS).split(load.X.iloc[train], load.y[train]):
                _with(load, best).fit(load.X.iloc[train[inner]], load.y[train[inner]])
    watch.record("fits", best_params=best)


def nested(watch: Stopwatch, *, algorithm: str, is_quick: bool, repeat: int) -> None:
    """Search for the model that ships, then evaluate the search itself in five outer folds."""
    load = grid_of_64(algorithm, is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    scorer, scores = get_scorer(SCORING), []
    with watch.part("nested"):
        shipped = _search(load)
        for train, test in StratifiedKFold(CV_FOLDS).split(load.X, load.y):
            search = _searching(load).fit(load.X.iloc[train], load.y[train])
            scores.append(scorer(search, load.X.iloc[test], load.y[test]))
    watch.record(
        "nested",
        best_params=shipped.best_params_,
        refit=shipped.predict_proba(load.X_new),
        scores=np.array(scores),
    )


def baseline(load: Workload) -> dict[str, Any]:
    """Cross-validate one model and fit it."""
    scores = cross_val_score(load.pipeline, load.X, load.y, cv=CV_FOLDS, scoring=SCORING)
    model = load.pipeline.fit(load.X, load.y)
    return {"scores": scores, "model": model}


def adult(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Search the adult census and refit."""
    load = adult_census(is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    with watch.part("search"):
        search = _search(load)
    watch.record("search", **found(search, load))


def adult_with_dask(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Do the same with dask-ml's search, in one thread."""
    try:
        import dask
        from dask_ml.model_selection import GridSearchCV as DaskGridSearchCV
    except ImportError as error:
        raise NotMeasuredError(str(error)) from error
    load = adult_census(is_quick=is_quick)
    watch.count_fits(type(load.pipeline[-1]))
    with dask.config.set(scheduler="synchronous"), watch.part("search"):
        search = DaskGridSearchCV(load.pipeline, dict(load.grid), cv=CV_FOLDS, scoring=SCORING)
        search.fit(load.X, load.y)
    watch.record("search", **found(search, load))


def found(search: Any, load: Workload) -> dict[str, Any]:
    """Give all that a search came to: every score, the best candidate, the refitted model's predictions of new rows."""
    return {
        "params": list(search.cv_results_["params"]),
        **{name: search.cv_results_[name] for name in search.cv_results_ if name.endswith("_test_score")},
        "best_params": dict(search.best_params_),
        "best_score": float(search.best_score_),
        "refit": search.best_estimator_.predict_proba(load.X_new),
    }


def _with(load: Workload, params: dict[str, Any]) -> Pipeline:
    return clone(load.pipeline).set_params(**params)


def _search(load: Workload, scoring: str = SCORING) -> GridSearchCV:
    return _searching(load, scoring).fit(load.X, load.y)


def _searching(load: Workload, scoring: str = SCORING) -> GridSearchCV:
    return GridSearchCV(clone(load.pipeline), dict(load.grid), cv=CV_FOLDS, scoring=scoring)
