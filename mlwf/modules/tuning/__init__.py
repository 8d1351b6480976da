"""Search for the best parameters, with the very results of scikit-learn's searches.

tune.py            the strategies, a search from beginning to end, its result
candidates.py      the candidates of a grid or of distributions, and the strategies grid and random
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
    "tune",
]
