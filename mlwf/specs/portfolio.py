"""The models that `algorithm: auto` tries, in order, and the ensemble that is made of them.

How it was chosen: each entry was fitted in five folds to some thirty tables (150 to 34,000 rows, 2 to 26 classes, with
and without categories), and the ensembles of the out-of-fold predictions were compared on rows that no fit had seen.
An entry stays where leaving it out makes the ensembles worse on the mean of the tables, and no value was chosen for
any one table. What was found:

- Models of different kinds serve the ensemble more than a better tuned booster: the linear model and the network come
  first, since they cost nearly nothing and err elsewhere.
- Boosters with few leaves, few columns a tree and a slow rate are better than the defaults on small tables, and the
  number of rounds decides which tables they serve: it is the one value that is searched, as one fit contains all.
- The order is that of the gain for the cost, so that a time limit cuts the least useful ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

ENSEMBLE_SIZE = 25
"""Members of the ensemble, drawn with replacement."""

SCORING = "neg_log_loss"
"""What candidates are compared by."""

ROUNDS = [50, 100, 200, 400, 800]
"""Boosting rounds of a slow booster."""

BOOSTERS = ("lightgbm", "xgboost", "catboost")
"""Algorithms of extras; where none of them is installed, entries of `STAND_INS` take their place."""


def _model(algorithm: str, hyperparameters: dict[str, Any], **searched: list[Any]) -> dict[str, Any]:
    model: dict[str, Any] = {"algorithm": algorithm, "hyperparameters": hyperparameters}
    if searched:
        grid = {f"classifier__{name}": values for name, values in searched.items()}
        model["tuning"] = {"strategy": "grid", "param_grid": grid}
    return model


PORTFOLIO: dict[str, dict[str, Any]] = {
    "linear": _model("logistic_regression", {"max_iter": 300}, C=[0.01, 0.1, 1.0, 10.0]),
    "network": _model("mlp", {"hidden_layer_sizes": [64], "alpha": 0.01, "learning_rate_init": 0.003, "max_iter": 60}),
    "lightgbm_shallow": _model(
        "lightgbm",
        {
            "learning_rate": 0.05,
            "num_leaves": 8,
            "min_child_samples": 5,
            "colsample_bytree": 0.5,
            "subsample": 0.8,
            "subsample_freq": 1,
            "reg_lambda": 10.0,
        },
        n_estimators=ROUNDS,
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
        max_iter=[50, 100, 200, 400],
    ),
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
    "catboost": _model(
        "catboost",
        {"learning_rate": 0.06, "depth": 6, "l2_leaf_reg": 3.0, "boosting_type": "Plain"},
        iterations=[25, 50, 100, 200, 400],
    ),
    "trees": _model(
        "extra_trees", {"n_estimators": 300, "criterion": "entropy", "max_features": 0.5, "min_samples_leaf": 3}
    ),
    "lightgbm": _model("lightgbm", {"learning_rate": 0.1, "num_leaves": 31}, n_estimators=[25, 50, 100, 200, 400]),
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
        max_iter=[25, 50, 100, 200, 400],
    ),
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
        "random_forest", {"n_estimators": 300, "criterion": "entropy", "max_features": 0.4, "min_samples_leaf": 5}
    ),
    "trees_deep": _model("extra_trees", {"n_estimators": 300}),
}
"""All entries, shaped like the `models` section of an experiment, in the order in which they are tried."""

STAND_INS = ("hist_shallow", "hist")
"""Entries that are tried only where none of `BOOSTERS` is installed."""


def build_portfolio(installed: Collection[str]) -> dict[str, dict[str, Any]]:
    """Give the entries whose algorithms are installed, in the order in which they are tried.

    >>> list(build_portfolio({"logistic_regression", "hist_gradient_boosting", "lightgbm"}))
    ['linear', 'lightgbm_shallow', 'lightgbm_random', 'lightgbm']
    >>> list(build_portfolio({"logistic_regression", "hist_gradient_boosting"}))
    ['linear', 'hist_shallow', 'hist']
    """
    left_out = STAND_INS if any(name in installed for name in BOOSTERS) else ()
    return {
        name: model for name, model in PORTFOLIO.items() if model["algorithm"] in installed and name not in left_out
    }
