"""What LightGBM, XGBoost and CatBoost accept, which they do not declare themselves; for their entries in `ALGORITHMS`.

Each hyperparameter stands here by its own name, with the default of the library. What is an alias of another one, or
belongs elsewhere in an experiment, is refused with the place to write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Any

from mlwf.errors import Refusal
from mlwf.specs.catalogue.metadata import Constraint


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter that its class does not describe."""

    default: Any
    """What the library takes where it is not set; None where that depends on the data."""
    accepts: list[Constraint]


def _integer(default: int | None, least: int = 0, most: int | None = None) -> Parameter:
    constraint: Constraint = {"type": "integer", "min": least}
    return _parameter(default, constraint if most is None else {**constraint, "max": most})


def _number(default: float | None, least: float = 0, most: float | None = None) -> Parameter:
    constraint: Constraint = {"type": "number", "min": least}
    return _parameter(default, constraint if most is None else {**constraint, "max": most})


def _above(default: float | None, least: float = 0, most: float | None = None) -> Parameter:
    constraint: Constraint = {"type": "number", "above": least}
    return _parameter(default, constraint if most is None else {**constraint, "max": most})


def _share(default: float | None) -> Parameter:
    return _above(default, 0, 1)


def _flag(default: bool | None) -> Parameter:
    return _parameter(default, {"type": "boolean"})


def _option(default: str | None, *values: str) -> Parameter:
    return _parameter(default, {"type": "options", "values": sorted(values)})


def _signs() -> Parameter:
    return _parameter(None, {"type": "list", "items": {"type": "integer", "min": -1, "max": 1}})


def _parameter(default: Any, constraint: Constraint) -> Parameter:
    # No null: where the default depends on the data, it is had by leaving the parameter out. CatBoost drops a null
    # when it is cloned.
    return Parameter(default, [constraint])


LIGHTGBM: dict[str, Parameter] = {
    "boost_from_average": _flag(True),
    "boosting_type": _option("gbdt", "dart", "gbdt", "rf"),
    "cat_l2": _number(10.0),
    "cat_smooth": _number(10.0),
    "class_weight": Parameter(None, [{"type": "options", "values": ["balanced"]}, {"type": "map"}]),
    "colsample_bytree": _share(1.0),
    "data_sample_strategy": _option("bagging", "bagging", "goss"),
    "drop_rate": _number(0.1, 0, 1),
    "extra_trees": _flag(False),
    "feature_fraction_bynode": _share(1.0),
    "importance_type": _option("split", "gain", "split"),
    "is_unbalance": _flag(False),
    "learning_rate": _above(0.1),
    "linear_lambda": _number(0.0),
    "linear_tree": _flag(False),
    "max_bin": _integer(255, 2, 65535),
    "max_cat_threshold": _integer(32, 1),
    "max_cat_to_onehot": _integer(4, 1),
    "max_delta_step": _number(0.0),
    "max_depth": _integer(-1, -1),
    "max_drop": _integer(50, -1),
    "min_child_samples": _integer(20),
    "min_child_weight": _number(0.001),
    "min_data_in_bin": _integer(3, 1),
    "min_data_per_group": _integer(100, 1),
    "min_split_gain": _number(0.0),
    "monotone_constraints": _signs(),
    "monotone_constraints_method": _option("basic", "advanced", "basic", "intermediate"),
    "monotone_penalty": _number(0.0),
    "n_estimators": _integer(100, 1),
    "neg_bagging_fraction": _share(1.0),
    "num_grad_quant_bins": _integer(4, 2),
    "num_leaves": _integer(31, 2, 131072),
    "objective": _option(None, "binary", "cross_entropy", "multiclass", "multiclassova"),
    "other_rate": _number(0.1, 0, 1),
    "path_smooth": _number(0.0),
    "pos_bagging_fraction": _share(1.0),
    "quant_train_renew_leaf": _flag(False),
    "reg_alpha": _number(0.0),
    "reg_lambda": _number(0.0),
    "scale_pos_weight": _above(1.0),
    "skip_drop": _number(0.5, 0, 1),
    "stochastic_rounding": _flag(True),
    "subsample": _share(1.0),
    "subsample_for_bin": _integer(200_000, 1),
    "subsample_freq": _integer(0),
    "top_rate": _number(0.2, 0, 1),
    "uniform_drop": _flag(False),
    "use_quantized_grad": _flag(False),
    "xgboost_dart_mode": _flag(False),
    "zero_as_missing": _flag(False),
}
"""Those of LGBMClassifier, and those that it passes on to the library."""

XGBOOST: dict[str, Parameter] = {
    "base_score": Parameter(None, [{"type": "number", "above": 0, "below": 1}]),
    "booster": _option("gbtree", "dart", "gbtree"),
    "colsample_bylevel": _share(1.0),
    "colsample_bynode": _share(1.0),
    "colsample_bytree": _share(1.0),
    "gamma": _number(0.0),
    "grow_policy": _option("depthwise", "depthwise", "lossguide"),
    "importance_type": _option("gain", "cover", "gain", "total_cover", "total_gain", "weight"),
    "learning_rate": _above(0.3),
    "max_bin": _integer(256, 2),
    "max_cat_threshold": _integer(64, 1),
    "max_cat_to_onehot": _integer(4, 1),
    "max_delta_step": _number(0.0),
    "max_depth": _integer(6),
    "max_leaves": _integer(0),
    "min_child_weight": _number(1.0),
    "monotone_constraints": _signs(),
    "multi_strategy": _option("one_output_per_tree", "multi_output_tree", "one_output_per_tree"),
    "n_estimators": _integer(100, 1),
    "normalize_type": _option("tree", "forest", "tree"),
    "num_parallel_tree": _integer(1, 1),
    "one_drop": _flag(False),
    "rate_drop": _number(0.0, 0, 1),
    "reg_alpha": _number(0.0),
    "reg_lambda": _number(1.0),
    "sample_type": _option("uniform", "uniform", "weighted"),
    "scale_pos_weight": _above(1.0),
    "skip_drop": _number(0.0, 0, 1),
    "subsample": _share(1.0),
    "tree_method": _option("auto", "approx", "auto", "exact", "hist"),
}
"""Those of XGBClassifier, and those that it passes on to the library."""

CATBOOST: dict[str, Parameter] = {
    "approx_on_full_history": _flag(False),
    "bagging_temperature": _number(1.0),
    "boost_from_average": _flag(False),
    "boosting_type": _option("Plain", "Ordered", "Plain"),
    "bootstrap_type": _option("MVS", "Bayesian", "Bernoulli", "MVS", "No"),
    "border_count": _integer(254, 1, 65535),
    "depth": _integer(6, 1, 16),
    "feature_border_type": _option(
        "GreedyLogSum",
        *("GreedyLogSum", "GreedyMinEntropy", "MaxLogSum", "Median", "MinEntropy"),
        *("Uniform", "UniformAndQuantiles"),
    ),
    "fold_len_multiplier": _above(2.0, 1),
    "grow_policy": _option("SymmetricTree", "Depthwise", "Lossguide", "SymmetricTree"),
    "has_time": _flag(False),
    "iterations": _integer(1000, 1),
    "l2_leaf_reg": _number(3.0),
    "leaf_estimation_iterations": _integer(None, 1),
    "leaf_estimation_method": _option(None, "Gradient", "Newton"),
    "learning_rate": _above(None),
    "loss_function": _option(None, "CrossEntropy", "Logloss", "MultiClass", "MultiClassOneVsAll"),
    "max_ctr_complexity": _integer(None),
    "max_leaves": _integer(31, 2, 64),
    "min_data_in_leaf": _integer(1, 1),
    "model_size_reg": _number(0.5),
    "monotone_constraints": _signs(),
    "one_hot_max_size": _integer(None, 0, 255),
    "random_strength": _number(1.0),
    "rsm": _share(1.0),
    "sampling_frequency": _option("PerTree", "PerTree", "PerTreeLevel"),
    "score_function": _option("Cosine", "Cosine", "L2", "NewtonCosine", "NewtonL2"),
    "subsample": _share(None),
}
"""Those of CatBoostClassifier that serve the training of a classifier on one core."""

_NO_OTHER_ROWS = Refusal(
    "stops by other rows than those of the fit, which it does not get",
    "search the number of rounds: one fit serves all of its values",
    at_key=True,
)
_CLASS_WEIGHT = Refusal("weighs classes by their place", "set model.class_weight", at_key=True)
_BY_FEATURES = Refusal("follows from the features", "leave it out", at_key=True)
_BY_CLASSES = Refusal("follows from the classes of the target", "leave it out", at_key=True)
_ONE_CORE = Refusal("belongs to another kind of machine: fits run on processors", "leave it out", at_key=True)


def _aliases(**names: str) -> dict[str, Refusal]:
    return {
        alias: Refusal(f"is another name of {name}", f"write {name}", at_key=True)
        for name, aliases in names.items()
        for alias in aliases.split()
    }


LIGHTGBM_REFUSES: dict[str, Refusal] = {
    **dict.fromkeys(
        ("early_stopping", "early_stopping_round", "early_stopping_rounds", "n_iter_no_change"), _NO_OTHER_ROWS
    ),
    **dict.fromkeys(("cat_feature", "categorical_column", "categorical_feature", "categorical_features"), _BY_FEATURES),
    **dict.fromkeys(("num_class", "num_classes"), _BY_CLASSES),
    **dict.fromkeys(("device", "device_type"), _ONE_CORE),
    **_aliases(
        boosting_type="boosting boost",
        colsample_bytree="feature_fraction sub_feature",
        feature_fraction_bynode="colsample_bynode sub_feature_bynode",
        is_unbalance="unbalance unbalanced_sets",
        learning_rate="eta shrinkage_rate",
        max_bin="max_bins",
        min_child_samples="min_data_in_leaf min_data min_samples_leaf min_data_per_leaf",
        min_child_weight="min_sum_hessian min_sum_hessian_in_leaf min_sum_hessian_per_leaf min_hessian",
        min_split_gain="min_gain_to_split",
        monotone_constraints="mc monotone_constraint monotonic_cst",
        n_estimators="num_iterations num_iteration num_trees num_tree num_round num_rounds nrounds num_boost_round "
        "n_iter max_iter",
        num_leaves="num_leaf max_leaf max_leaves max_leaf_nodes",
        objective="application app loss objective_type",
        reg_alpha="lambda_l1 l1_regularization",
        reg_lambda="lambda_l2 lambda l2_regularization",
        subsample="bagging bagging_fraction sub_row",
        subsample_for_bin="bin_construct_sample_cnt subsample_for_bins",
        subsample_freq="bagging_freq",
    ),
}

XGBOOST_REFUSES: dict[str, Refusal] = {
    **dict.fromkeys(("callbacks", "early_stopping_rounds", "eval_metric"), _NO_OTHER_ROWS),
    **dict.fromkeys(
        ("enable_categorical", "feature_types", "feature_weights", "interaction_constraints", "missing"), _BY_FEATURES
    ),
    **dict.fromkeys(("num_class", "objective"), _BY_CLASSES),
    **dict.fromkeys(("device", "gpu_id", "predictor", "sampling_method"), _ONE_CORE),
    "validate_parameters": Refusal("checks what mlwf has checked", "leave it out", at_key=True),
    **_aliases(
        gamma="min_split_loss",
        learning_rate="eta",
        n_estimators="num_boost_round num_round iterations",
        reg_alpha="alpha",
        reg_lambda="lambda",
    ),
}

CATBOOST_REFUSES: dict[str, Refusal] = {
    **dict.fromkeys(
        (
            *("best_model_min_trees", "custom_metric", "early_stopping_rounds", "eval_metric", "od_pval", "od_type"),
            *("od_wait", "use_best_model"),
        ),
        _NO_OTHER_ROWS,
    ),
    **dict.fromkeys(("auto_class_weights", "class_weights", "scale_pos_weight"), _CLASS_WEIGHT),
    **dict.fromkeys(
        ("cat_features", "embedding_features", "ignored_features", "nan_mode", "text_features"), _BY_FEATURES
    ),
    **dict.fromkeys(("class_names", "classes_count"), _BY_CLASSES),
    **dict.fromkeys(("devices", "task_type"), _ONE_CORE),
    **_aliases(
        border_count="max_bin",
        depth="max_depth",
        iterations="n_estimators num_boost_round num_trees",
        l2_leaf_reg="reg_lambda",
        learning_rate="eta",
        loss_function="objective",
        max_leaves="num_leaves",
        min_data_in_leaf="min_child_samples",
        rsm="colsample_bylevel",
    ),
}


def lightgbm_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    """Estimate what a fit of LightGBM takes on one core; columns of zeros and ones take less."""
    depth = model.max_depth if model.max_depth > 0 else 17
    leaves = min(model.num_leaves, 2**depth, n_rows // max(1, model.min_child_samples) + 1)
    return float((1.5e-4 + 1.7e-6 * leaves * n_columns + 1.6e-7 * n_rows) * model.n_estimators * n_outputs)


def xgboost_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    """Estimate what a fit of XGBoost takes on one core."""
    params = model.get_params()
    depth = 6 if params["max_depth"] is None else params["max_depth"] or 16
    leaves = min(2**depth, params["max_leaves"] or 2**depth, n_rows)
    seconds = 1e-3 + 6e-7 * leaves * n_columns + 5e-10 * n_rows * n_columns * log2(leaves + 1) + 1.3e-7 * n_rows
    n_trees = (params["n_estimators"] or 100) * (params["num_parallel_tree"] or 1)
    return float(seconds * n_trees * n_outputs)


def catboost_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    """Estimate what a fit of CatBoost takes on one core."""
    params = model.get_params()
    depth = params.get("depth", 6)
    seconds = 4e-4 + 2e-6 * 2**depth * n_columns + 1e-10 * n_rows * n_columns * depth + 1.8e-7 * n_rows
    n_times = 4 if params.get("boosting_type") == "Ordered" else 1
    return float(seconds * params.get("iterations", 1000) * n_outputs * n_times)


def is_exact_lightgbm(model: Any, n_rows: int) -> bool:
    """Tell whether a fit of LightGBM has those with fewer rounds in it: dart changes the trees that it has."""
    return bool(model.boosting_type in {"gbdt", "rf"})


def is_exact_xgboost(model: Any, n_rows: int) -> bool:
    """Tell whether a fit of XGBoost has those with fewer rounds in it: dart changes the trees that it has."""
    return bool(model.booster in {None, "gbtree"})


def is_exact_catboost(model: Any, n_rows: int) -> bool:
    """Tell whether a fit of CatBoost has those with fewer rounds in it.

    Its own choice of a learning rate depends on how many rounds there are, and it cuts symmetric trees alone.
    """
    params = model.get_params()
    return params.get("learning_rate") is not None and params.get("grow_policy") in {None, "SymmetricTree"}
