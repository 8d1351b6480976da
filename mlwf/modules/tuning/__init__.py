"""Search for the best parameters, with the very results of scikit-learn's searches.

tune.py         a search from beginning to end, and its result
candidates.py   what a search tries
trials.py       candidates that are asked for and scored
exhaustive.py   the strategies grid and random
halving.py      the strategy halving
proposals.py    the strategy optuna
cv_results.py   scikit-learn's `cv_results_`
search.py       the guide's classes
"""

from __future__ import annotations

from mlwf.modules.tuning.candidates import list_candidates, list_parameters
from mlwf.modules.tuning.optuna_search import check_installed
from mlwf.modules.tuning.tune import GridSearch, HalvingSearch, OptunaSearch, RandomizedSearch, create_tuning, tune

__all__ = [
    "GridSearch",
    "HalvingSearch",
    "OptunaSearch",
    "RandomizedSearch",
    "check_installed",
    "create_tuning",
    "list_candidates",
    "list_parameters",
    "tune",
]
