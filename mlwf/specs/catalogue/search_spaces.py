"""What a search tries of each algorithm's hyperparameters where an experiment names none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Tried = Mapping[str, Any]
"""By hyperparameter, what is tried of it: a list of values, or a distribution as experiments write it."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What a search tries of an algorithm, by the number of rows that it is tried on."""

    source: str
    """Where the hyperparameters and their ranges are from."""
    distributions: Callable[[int], Tried]
    """Gives what `random` and `optuna` draw from, for a number of rows."""
    grid: Callable[[int], Mapping[str, list[Any]]]
    """Gives the values of which `grid` and `halving` try every combination, for a number of rows."""


TABARENA = "TabArena (Erickson et al. 2025, arXiv 2506.16791)"
GRINSZTAJN = "Grinsztajn, Oyallon and Varoquaux (2022, arXiv 2207.08815)"
FEW_ROWS, MANY_ROWS = 2_000, 20_000


def _at_most(most: int, share: int, n_rows: int, *, least: int = 2) -> int:
    """Give `most`, or one in `share` of the rows where that is less, and `least` where even that is more."""
    return max(least, min(most, n_rows // share))


def _leaves(n_rows: int) -> dict[str, list[int]]:
    # More leaves than rows to fill them only cost time.
    return {"lograndint": [3, _at_most(256, 8, n_rows, least=16) + 1]}


def _rows_of_leaf(most: int, n_rows: int) -> dict[str, list[int]]:
    return {"lograndint": [1, _at_most(most, 20, n_rows) + 1]}


def _rounds(most: int) -> list[int]:
    return [n_rounds for n_rounds in (25, 50, 100, 200, 400, 800) if n_rounds <= most]


def _trees(n_rows: int) -> int:
    return 300 if n_rows <= FEW_ROWS else 200 if n_rows <= MANY_ROWS else 100


# A boosted model has as many rounds as one of the numbers under `each`, all of which are read off one fit: what early
# stopping would choose on rows of its own, the folds of the search choose here.
HIST_GRADIENT_BOOSTING_SPACE = SearchSpace(
    source=f"{TABARENA}, for LightGBM",
    distributions=lambda n_rows: {
        "learning_rate": {"loguniform": [0.01, 0.3]},
        "max_leaf_nodes": _leaves(n_rows),
        "min_samples_leaf": _rows_of_leaf(100, n_rows),
        "l2_regularization": {"loguniform": [0.001, 10.0]},
        "max_features": {"uniform": [0.3, 1.0]},
        "early_stopping": [False],
        "max_iter": {"each": _rounds(400)},
    },
    grid=lambda n_rows: {
        "learning_rate": [0.03, 0.1],
        "max_leaf_nodes": [7, 31],
        "max_features": [0.5, 1.0],
        "early_stopping": [False],
        "max_iter": _rounds(400),
    },
)

GRADIENT_BOOSTING_SPACE = SearchSpace(
    source=GRINSZTAJN,
    distributions=lambda n_rows: {
        "learning_rate": {"loguniform": [0.01, 0.3]},
        "max_depth": {"randint": [2, 7]},
        "min_samples_leaf": _rows_of_leaf(50, n_rows),
        "subsample": {"uniform": [0.5, 1.0]},
        "max_features": {"uniform": [0.2, 1.0]},
        "n_estimators": {"each": _rounds(400 if n_rows <= FEW_ROWS else 200)},
    },
    grid=lambda n_rows: {
        "learning_rate": [0.03, 0.1],
        "max_depth": [2, 3, 5],
        "subsample": [0.5, 1.0],
        "n_estimators": _rounds(400 if n_rows <= FEW_ROWS else 200),
    },
)

FOREST_SPACE = SearchSpace(
    source=f"{GRINSZTAJN}; {TABARENA}",
    distributions=lambda n_rows: {
        "max_features": ["sqrt", 0.2, 0.4, 0.6, 0.8, 1.0],
        "min_samples_leaf": _rows_of_leaf(50, n_rows),
        "criterion": ["gini", "entropy"],
        "bootstrap": [False, True],
        "n_estimators": [_trees(n_rows)],
    },
    grid=lambda n_rows: {
        "max_features": ["sqrt", 0.5],
        "min_samples_leaf": [1, 3, 10],
        "criterion": ["gini", "entropy"],
        "n_estimators": [_trees(n_rows)],
    },
)

LOGISTIC_REGRESSION_SPACE = SearchSpace(
    source="scikit-learn's LogisticRegressionCV has C from 1e-4 to 1e4; TabArena's linear model from 0.1 to 1,000",
    distributions=lambda n_rows: {"C": {"loguniform": [0.001, 1000.0]}, "max_iter": [1000]},
    grid=lambda n_rows: {"C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0], "max_iter": [1000]},
)

DECISION_TREE_SPACE = SearchSpace(
    source=GRINSZTAJN,
    distributions=lambda n_rows: {
        "max_leaf_nodes": _leaves(n_rows),
        "min_samples_leaf": _rows_of_leaf(100, n_rows),
        "criterion": ["gini", "entropy"],
        "ccp_alpha": {"loguniform": [1e-5, 0.02]},
    },
    grid=lambda n_rows: {
        "max_leaf_nodes": [4, 8, 16, 64],
        "min_samples_leaf": sorted({_at_most(most, 20, n_rows) for most in (5, 20, 100)}),
    },
)

KNN_SPACE = SearchSpace(
    source=TABARENA,
    # The first fold of a time series, or a nested one, has no more than some of the rows to find neighbours among.
    distributions=lambda n_rows: {
        "n_neighbors": {"lograndint": [1, _at_most(500, 8, n_rows) + 1]},
        "weights": ["uniform", "distance"],
        "p": [1, 2],
    },
    grid=lambda n_rows: {
        "n_neighbors": sorted({_at_most(most, 8, n_rows) for most in (5, 10, 20, 50, 100, 200)}),
        "weights": ["uniform", "distance"],
        "p": [1, 2],
    },
)

SVC_SPACE = SearchSpace(
    source="Hsu, Chang and Lin (2003), A practical guide to support vector classification; narrower",
    distributions=lambda n_rows: {"C": {"loguniform": [0.03, 1000.0]}, "gamma": {"loguniform": [0.0001, 1.0]}},
    grid=lambda n_rows: {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [0.001, 0.01, 0.1, "scale"]},
)

GAUSSIAN_NB_SPACE = SearchSpace(
    source="scikit-learn's default, up to as much variance as the widest column has",
    distributions=lambda n_rows: {"var_smoothing": {"loguniform": [1e-9, 1.0]}},
    grid=lambda n_rows: {"var_smoothing": [1e-9, 1e-6, 0.001, 0.01, 0.1, 1.0]},
)

MLP_SPACE = SearchSpace(
    source="auto-sklearn (Feurer et al. 2022, arXiv 2007.04074), narrower",
    distributions=lambda n_rows: {
        "hidden_layer_sizes": [[32], [128], [256], [32, 32], [128, 128], [64, 64, 64]],
        "alpha": {"loguniform": [1e-6, 1.0]},
        "learning_rate_init": {"loguniform": [0.0003, 0.01]},
        "early_stopping": [n_rows > FEW_ROWS],
    },
    grid=lambda n_rows: {
        "hidden_layer_sizes": [[32], [128], [64, 64]],
        "alpha": [0.0001, 0.01, 1.0],
        "early_stopping": [n_rows > FEW_ROWS],
    },
)

LIGHTGBM_SPACE = SearchSpace(
    source=TABARENA,
    distributions=lambda n_rows: {
        "learning_rate": {"loguniform": [0.01, 0.3]},
        "num_leaves": _leaves(n_rows),
        "min_child_samples": _rows_of_leaf(100, n_rows),
        "colsample_bytree": {"uniform": [0.3, 1.0]},
        "subsample": {"uniform": [0.6, 1.0]},
        "subsample_freq": [1],
        "reg_lambda": {"loguniform": [0.001, 10.0]},
        "extra_trees": [False, True],
        "n_estimators": {"each": _rounds(800)},
    },
    grid=lambda n_rows: {
        "learning_rate": [0.03, 0.1],
        "num_leaves": [7, 31],
        "colsample_bytree": [0.5, 1.0],
        "n_estimators": _rounds(800),
    },
)

XGBOOST_SPACE = SearchSpace(
    source=TABARENA,
    distributions=lambda n_rows: {
        "learning_rate": {"loguniform": [0.01, 0.3]},
        "max_depth": {"lograndint": [2, 11]},
        "min_child_weight": {"loguniform": [0.001, 5.0]},
        "subsample": {"uniform": [0.6, 1.0]},
        "colsample_bynode": {"uniform": [0.3, 1.0]},
        "reg_alpha": {"loguniform": [0.0001, 5.0]},
        "reg_lambda": {"loguniform": [0.001, 10.0]},
        "n_estimators": {"each": _rounds(400)},
    },
    grid=lambda n_rows: {
        "learning_rate": [0.03, 0.1],
        "max_depth": [3, 6],
        "colsample_bynode": [0.5, 1.0],
        "n_estimators": _rounds(400),
    },
)

CATBOOST_SPACE = SearchSpace(
    source="CatBoost's own guide to tuning (catboost.ai/docs/concepts/parameter-tuning)",
    distributions=lambda n_rows: {
        "learning_rate": {"loguniform": [0.02, 0.3]},
        "depth": {"randint": [4, 9]},
        "l2_leaf_reg": {"loguniform": [0.5, 30.0]},
        "random_strength": {"loguniform": [0.1, 10.0]},
        "rsm": {"uniform": [0.5, 1.0]},
        "iterations": {"each": _rounds(400)},
    },
    grid=lambda n_rows: {
        "learning_rate": [0.03, 0.1],
        "depth": [4, 6],
        "l2_leaf_reg": [1.0, 10.0],
        "iterations": _rounds(400),
    },
)
