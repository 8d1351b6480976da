"""Search for the best parameters, with the very results of scikit-learn's searches.

tune.py            a search from beginning to end, its result, the table of strategies, grid and random
halving.py         the strategy halving
optuna_search.py   the strategy optuna
trials.py          fit and score candidates; scikit-learn's `cv_results_`
"""

from __future__ import annotations

from mlwf.modules.tuning.tune import (
    GridSearch,
    HalvingSearch,
    OptunaSearch,
    RandomizedSearch,
    check_installed,
    create_tuning,
    list_candidates,
    list_cheap_candidates,
    tune,
)

__all__ = [
    "GridSearch",
    "HalvingSearch",
    "OptunaSearch",
    "RandomizedSearch",
    "check_installed",
    "create_tuning",
    "list_candidates",
    "list_cheap_candidates",
    "tune",
]
