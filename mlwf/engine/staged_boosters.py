"""What LightGBM, XGBoost and CatBoost have of their own to predict with fewer trees, and to cut the others off.

The functions take a fitted classifier of the library, not one that encodes labels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class StagedBooster:
    """How one library does it."""

    n_stages: Callable[[Any], int]
    """Count the rounds of a fitted classifier."""
    predict_proba: Callable[[Any, Any, int], NDArray[Any]]
    """Predict probabilities of rows with the first so many rounds, on one core."""
    decision_function: Callable[[Any, Any, int], NDArray[Any]] | None
    """Give the decision values with the first so many rounds; None where the class has none."""
    cut: Callable[[Any, int], Any]
    """Copy a fitted classifier as a fit with so many rounds would have left it."""


def _cut_lightgbm(model: Any, stage: int) -> Any:
    from lightgbm import Booster

    cut = copy.copy(model)
    # What was set one by one is kept there as well, and would be set in the model too.
    cut._other_params = copy.copy(model._other_params)
    cut.set_params(n_estimators=stage)
    cut._Booster = Booster(model_str=model.booster_.model_to_string(num_iteration=stage))
    return cut


def _cut_xgboost(model: Any, stage: int) -> Any:
    cut, booster = copy.copy(model).set_params(n_estimators=stage), model.get_booster()
    cut._Booster = booster[: min(stage, booster.num_boosted_rounds())]
    return cut


def _cut_catboost(model: Any, stage: int) -> Any:
    cut = model.copy()
    cut.shrink(min(stage, model.tree_count_))
    # `set_params` refuses a fitted one.
    cut._init_params["iterations"] = stage
    return cut


BOOSTERS: dict[str, StagedBooster] = {
    "lightgbm": StagedBooster(
        n_stages=lambda model: model.booster_.current_iteration(),
        predict_proba=lambda model, X, end: model.predict_proba(X, num_iteration=end),
        decision_function=lambda model, X, end: model.decision_function(X, num_iteration=end),
        cut=_cut_lightgbm,
    ),
    "xgboost": StagedBooster(
        n_stages=lambda model: model.get_booster().num_boosted_rounds(),
        predict_proba=lambda model, X, end: model.predict_proba(X, iteration_range=(0, end)),
        decision_function=None,
        cut=_cut_xgboost,
    ),
    "catboost": StagedBooster(
        n_stages=lambda model: model.tree_count_,
        predict_proba=lambda model, X, end: model.predict_proba(X, ntree_end=end, thread_count=1),
        decision_function=None,
        cut=_cut_catboost,
    ),
}
"""By `Stages.library` of the catalogue's entries."""
