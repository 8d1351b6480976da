"""The models that `algorithm: auto` tries, in order, and the ensemble that is made of them.

How they were chosen: about thirty settings were fitted in five folds to each of some twenty tables (120 to 34,000 rows,
2 to 26 classes, with and without categories), greedy ensembles were made of the out-of-fold predictions, and these were
compared on rows that no fit had seen, though the choice among settings and orders has. The order is that in which a
setting lowered the log loss of the ensemble most for its CPU, on the mean of all tables, each counting no more than
10 %; the largest trees stand in it for the sake of tables of tens of thousands of rows. Found:

- Settings that err differently serve the ensemble more than tuned ones that are alike: CatBoost, the linear model,
  trees of four leaves and trees with random thresholds together come within 1 % of ten settings, at a third of the CPU.
  After ten more of them gain nothing: more choices fit the noise of few rows.
- The number of rounds decides which tables a booster serves: it is what is searched, as one fit contains all. More than
  400 gained nothing in an ensemble, and doubled the CPU.
- Few columns a tree, few leaves and a slow rate are better than the defaults below some thousand rows; the defaults and
  larger trees are better above. CatBoost needs symmetric trees of depth 4 only, at a quarter of its default's CPU.
- Categories as one column each are as good for boosters, on tables of that size, as the algorithm's own treatment, and
  CatBoost's own takes five times the CPU.
- Of two forests and two of extra trees, those with larger leaves are better: the others are too sure of themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

ENSEMBLE_SIZE = 25
"""Members of the ensemble, drawn with replacement."""

SCORING = "neg_log_loss"
"""What candidates are compared by."""

ROUNDS = [50, 100, 200, 400]
"""Rounds of boosters that take small steps."""
FEWER_ROUNDS = [25, 50, 100, 200, 400]
"""Rounds of boosters that take larger steps, or larger trees."""

BOOSTERS = ("lightgbm", "xgboost", "catboost")
"""Algorithms of extras; where none of them is installed, entries of `STAND_INS` take their place."""


def _model(algorithm: str, hyperparameters: dict[str, Any], **searched: list[Any]) -> dict[str, Any]:
    model: dict[str, Any] = {"algorithm": algorithm, "hyperparameters": hyperparameters}
    if searched:
        grid = {f"classifier__{name}": values for name, values in searched.items()}
        model["tuning"] = {"strategy": "grid", "param_grid": grid}
    return model


PORTFOLIO: dict[str, dict[str, Any]] = {
    "lightgbm_columns": _model(
        "lightgbm",
        {"learning_rate": 0.05, "num_leaves": 16, "min_child_samples": 10, "colsample_bytree": 0.5},
        n_estimators=FEWER_ROUNDS,
    ),
    "hist_shallow": _model(
        "hist_gradient_boosting",
        {
            "learning_rate": 0.06,
            "max_leaf_nodes": 6,
            "min_samples_leaf": 5,
            "l2_regularization": 5.0,
            "max_features": 0.5,
            "early_stopping": False,
        },
        max_iter=FEWER_ROUNDS,
    ),
    "linear": _model("logistic_regression", {"max_iter": 300}, C=[0.01, 0.1, 1.0, 10.0]),
    "lightgbm_random": _model(
        "lightgbm",
        {
            "learning_rate": 0.05,
            "num_leaves": 31,
            "min_child_samples": 5,
            "colsample_bytree": 0.8,
            "extra_trees": True,
        },
        n_estimators=ROUNDS,
    ),
    "lightgbm": _model("lightgbm", {"learning_rate": 0.1, "num_leaves": 31}, n_estimators=FEWER_ROUNDS),
    "hist": _model(
        "hist_gradient_boosting",
        {
            "learning_rate": 0.05,
            "max_leaf_nodes": 15,
            "min_samples_leaf": 10,
            "l2_regularization": 1.0,
            "max_features": 0.5,
            "early_stopping": False,
        },
        max_iter=FEWER_ROUNDS,
    ),
    "catboost": _model(
        "catboost",
        {"learning_rate": 0.1, "depth": 4, "l2_leaf_reg": 5.0, "boosting_type": "Plain"},
        iterations=FEWER_ROUNDS,
    ),
    "lightgbm_shallow": _model(
        "lightgbm",
        {"learning_rate": 0.05, "num_leaves": 4, "min_child_samples": 5, "colsample_bytree": 0.5},
        n_estimators=ROUNDS,
    ),
    "lightgbm_large": _model(
        "lightgbm",
        {
            "learning_rate": 0.05,
            "num_leaves": 48,
            "colsample_bytree": 0.4,
            "subsample": 0.8,
            "subsample_freq": 1,
        },
        n_estimators=FEWER_ROUNDS,
    ),
    "network": _model("mlp", {"hidden_layer_sizes": [100], "alpha": 1.0, "learning_rate_init": 0.003, "max_iter": 60}),
    "xgboost": _model(
        "xgboost",
        {
            "learning_rate": 0.05,
            "max_depth": 3,
            "min_child_weight": 3,
            "colsample_bytree": 0.5,
            "subsample": 0.7,
            "reg_lambda": 5.0,
        },
        n_estimators=ROUNDS,
    ),
    "forest": _model(
        "random_forest", {"criterion": "entropy", "max_features": 0.4, "min_samples_leaf": 5}, n_estimators=[100, 300]
    ),
    "trees": _model(
        "extra_trees", {"criterion": "entropy", "max_features": 0.5, "min_samples_leaf": 3}, n_estimators=[100, 300]
    ),
}
"""All entries, shaped like the `models` section of an experiment, in the order in which they are tried."""

STAND_INS = ("hist_shallow", "hist")
"""Entries that are tried only where none of `BOOSTERS` is installed."""


def build_portfolio(installed: Collection[str]) -> dict[str, dict[str, Any]]:
    """Give the entries whose algorithms are installed, in the order in which they are tried.

    >>> list(build_portfolio({"logistic_regression", "hist_gradient_boosting", "lightgbm"}))
    ['lightgbm_columns', 'linear', 'lightgbm_random', 'lightgbm', 'lightgbm_shallow', 'lightgbm_large']
    >>> list(build_portfolio({"logistic_regression", "hist_gradient_boosting"}))
    ['hist_shallow', 'linear', 'hist']
    """
    left_out = STAND_INS if any(name in installed for name in BOOSTERS) else ()
    return {
        name: model for name, model in PORTFOLIO.items() if model["algorithm"] in installed and name not in left_out
    }
