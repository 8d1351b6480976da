"""The guide's searches: a class with `fit`, as scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlwf.engine.asks import Ask
from mlwf.engine.engine import Engine
from mlwf.engine.rows import Splitter, Table
from mlwf.engine.splitters import fold_splitter
from mlwf.errors import FitError
from mlwf.modules.tuning.tune import tune
from mlwf.specs.tuning import ParamTuningSpec


class GridSearch:
    """The guide's search: `fit`, then `get_best_estimator` or scikit-learn's fitted attributes."""

    def __init__(
        self, spec: ParamTuningSpec, *, random_state: int = 42, splitter: Splitter | None = None, n_jobs: int = 1
    ) -> None:
        self.spec = spec
        self.random_state = random_state
        self.splitter = splitter
        self.n_jobs = n_jobs

    def fit(self, pipeline: Any, X: Any, y: Any) -> GridSearch:
        """Search on X of shape (n_samples, n_features) and y of shape (n_samples,), then fit the best on all rows.

        Without a splitter the folds are those of scikit-learn's `cv=5`: stratified and not shuffled.
        """
        table = Table(X, np.asarray(y))
        folds = self.splitter or fold_splitter(
            "stratified_kfold", n_splits=self.spec.cv_folds or 5, shuffle=False, random_state=self.random_state
        )
        with Engine(table, n_jobs=self.spec.n_jobs or self.n_jobs) as fit:
            self.result_ = tune(self.spec, pipeline, table, table.all_rows, folds, fit, random_state=self.random_state)
            (best,) = fit([Ask(pipeline, self.result_.best_params, table.all_rows, keep_model=True)])
        if best.error:
            raise FitError(f"the best candidate could not be fitted on all rows: {best.error}")
        self.best_estimator_ = best.model
        self.cv_results_ = self.result_.cv_results
        self.best_params_ = self.result_.best_params
        self.best_score_ = self.result_.best_score
        self.best_index_ = self.result_.best_index
        return self

    def get_results_summary(self) -> dict[str, Any]:
        """Give the best parameters and their score, and how they were found."""
        return self.result_.summary()

    def get_best_estimator(self) -> Any:
        """Give the best pipeline, fitted on all rows."""
        return self.best_estimator_


class RandomizedSearch(GridSearch):
    """The guide's search over candidates drawn from distributions."""


class HalvingSearch(GridSearch):
    """A search that gives the better candidates more and more of a resource."""


class OptunaSearch(GridSearch):
    """A search over candidates that Optuna proposes."""


def create_tuning(spec: ParamTuningSpec, *, random_state: int = 42, n_jobs: int = 1) -> GridSearch:
    """Make the search that `spec` describes."""
    return SEARCHES[spec.strategy](spec, random_state=random_state, n_jobs=n_jobs)


SEARCHES: dict[str, type[GridSearch]] = {
    "grid": GridSearch,
    "random": RandomizedSearch,
    "halving": HalvingSearch,
    "optuna": OptunaSearch,
}
