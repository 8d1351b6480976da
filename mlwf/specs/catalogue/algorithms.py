"""The classifiers: one entry an algorithm with all that is known of it, and the checks of its hyperparameters.

What the installed libraries declare themselves, such as the hyperparameters, is generated into `catalogue.json`; what
they do not declare is written here. After a change run `python -m mlwf.catalogue_writer`. Only `load_class` imports a
classifier.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import pairwise
from math import log2
from typing import Any, Literal

from mlwf.errors import Refusal, closest
from mlwf.specs.catalogue.boosters import (
    CATBOOST,
    CATBOOST_REFUSES,
    LIGHTGBM,
    LIGHTGBM_REFUSES,
    XGBOOST,
    XGBOOST_REFUSES,
    Parameter,
    catboost_seconds,
    is_exact_catboost,
    is_exact_lightgbm,
    is_exact_xgboost,
    lightgbm_seconds,
    xgboost_seconds,
)
from mlwf.specs.catalogue.metadata import AlgorithmMetadata, Constraint, accepted, meets, metadata, short_value
from mlwf.specs.catalogue.search_spaces import (
    CATBOOST_SPACE,
    DECISION_TREE_SPACE,
    FOREST_SPACE,
    GAUSSIAN_NB_SPACE,
    GRADIENT_BOOSTING_SPACE,
    HIST_GRADIENT_BOOSTING_SPACE,
    KNN_SPACE,
    LIGHTGBM_SPACE,
    LOGISTIC_REGRESSION_SPACE,
    MLP_SPACE,
    SVC_SPACE,
    XGBOOST_SPACE,
    SearchSpace,
)

Cost = Callable[[Any, int, int, int], float]
"""Seconds of a fit: of the unfitted classifier, the rows, the columns, and the outputs (one for two classes)."""


@dataclass(frozen=True, kw_only=True)
class Stages:
    """How one fit of an ensemble contains the fits with fewer trees or boosting rounds, to the bit.

    The rules speak of an unfitted classifier with an integer seed, one job and neither a warm start nor an out-of-bag
    score.
    """

    prediction: Literal["boosting", "histogram_boosting", "forest"] | None = None
    """How `engine.staged_ensembles` predicts at several stages in one pass; None predicts at each stage anew."""
    library: Literal["lightgbm", "xgboost", "catboost"] | None = None
    """The library that has its own way to predict with fewer trees and to cut them, in `engine.staged_boosters`."""
    attributes: tuple[str, ...] = ()
    """Fitted attributes with one item a stage; the trees come first. None where a library keeps them."""
    attributes_from_start: tuple[str, ...] = ()
    """Fitted attributes with one item more, from before the first stage, or with none."""
    is_exact: Callable[[Any, int], bool] = lambda classifier, n_rows: True
    """Whether that holds for a classifier on that number of rows."""
    is_resumable: Callable[[Any], bool] | None = None
    """Whether scikit-learn's warm start of a fitted one is exact; None where none is, or none worth the memory."""


@dataclass(frozen=True, kw_only=True)
class NativeCategories:
    """How an algorithm is told which of its columns hold categories; the pipeline puts these columns first."""

    parameter: str
    """The hyperparameter that names them."""
    value: Callable[[int, int | None], Any]
    """What it is set to: of the number of such columns, and of all columns (None where only the fit knows)."""
    form: Literal["codes", "texts"] = "codes"
    """What the columns hold: whole numbers from 0 on, NaN for what training never saw; or texts, in a DataFrame."""
    most: Callable[[Any], int | None] = lambda classifier: None
    """Most categories of a column that an unfitted classifier takes; the rarest beyond that become one."""
    needs_all_columns: bool = False
    """Whether the number of all columns has to be known before the fit."""


@dataclass(frozen=True, kw_only=True)
class AlgorithmInfo:
    """All that is known of one algorithm."""

    class_path: str
    """Where its class is imported from, such as `sklearn.svm.SVC`."""
    streams: Mapping[str, tuple[Any, ...]] | None = None
    """Hyperparameters, with the values of each by which a fit keeps no copy of its rows but their bins, so that they
    may stay on the disk; None where it always does."""
    extra: str | None = None
    """The extra of mlwf that installs its package; None for what comes with mlwf."""
    wheels: tuple[str, ...] = ()
    """What pip may call its package, the likeliest first, where that is not the name by which it is imported."""
    takes_codes: bool = False
    """Whether its class takes the numbers from 0 on as labels, or gives labels in a shape of its own.

    Then its fitted model is a VotingClassifier of one, which encodes the labels and decodes the predictions.
    """
    label_holders: tuple[str, ...] = ()
    """Fitted attributes whose `classes_` is all that it keeps of class labels, "" for its own; empty if it keeps more.

    Then it is fitted on numbers, and given the labels afterwards.
    """
    rounds: str | None = None
    """The hyperparameter that says of how many rounds of boosting, or trees, its models are made."""
    presets: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that every experiment sets, such as one job: the engine runs fits side by side."""
    tuples: frozenset[str] = frozenset()
    """Hyperparameters that are tuples; YAML and JSON have only lists."""
    accepts: Mapping[str, list[Constraint]] = field(default_factory=dict)
    """What hyperparameters accept, where the class itself does not declare it, or declares more than its fit takes."""
    more: Mapping[str, Parameter] = field(default_factory=dict)
    """Hyperparameters that the class itself does not describe, with their defaults."""
    refuses: Mapping[str, Refusal] = field(default_factory=dict)
    """Hyperparameters that no experiment sets: other names of one, and what belongs elsewhere."""
    items: Mapping[str, Constraint] = field(default_factory=dict)
    """What the items of a hyperparameter's list must be: scikit-learn checks them at the fit alone."""
    categories: NativeCategories | None = None
    """How it is told of categories that it splits itself; None where it takes numbers alone."""
    instead_of: Mapping[str, str] = field(default_factory=dict)
    """What to write instead of a deprecated hyperparameter."""
    trusted_types: tuple[str, ...] = ()
    """Types in the file of a fitted model, besides those that skops trusts itself."""
    needs_seed: Callable[[Any], bool] = lambda classifier: True
    """Whether an unfitted classifier without a seed gives other bits each time."""
    seconds: Cost = lambda classifier, n_rows, n_columns, n_outputs: 0.0
    """What a fit takes on one core of a machine of today, within a factor of three or so."""
    faster: str | None = None
    """The algorithm that makes such models in a fraction of the time where rows are many."""
    releases_gil: bool = False
    """Whether two threads fit nearly twice as many as one."""
    stages: Stages | None = None
    """How a fit contains the fits of fewer `rounds`; None where it does not."""
    search_space: SearchSpace | None = None
    """What a search tries where the experiment names no parameters; None where it must name them."""

    @property
    def package(self) -> str:
        """The package that its class is imported from, `sklearn` for scikit-learn."""
        return self.class_path.partition(".")[0]

    @property
    def distribution(self) -> str:
        """What pip calls the package; of several names the one that is installed."""
        if self.package == "sklearn":
            return "scikit-learn"
        return next(filter(_is_distribution, self.wheels), (*self.wheels, self.package)[0])

    @property
    def is_installed(self) -> bool:
        """Whether its package can be imported, which is not done."""
        return find_spec(self.package) is not None

    def load_class(self) -> Any:
        """Import its class; raises ImportError where the package is not installed."""
        module, _, name = self.class_path.rpartition(".")
        return getattr(import_module(module), name)

    def is_class_of(self, estimator: Any) -> bool:
        """Tell whether an estimator is of this class, and of none derived from it."""
        module, _, name = self.class_path.rpartition(".")
        # An instance exists only where its module has been imported.
        return getattr(sys.modules.get(module), name, None) is type(estimator)


@cache
def _is_distribution(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _gradient_boosting_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    depth = model.max_depth or log2(n_rows + 2)
    return float(9e-8 * n_rows * model.subsample * n_columns * depth * model.n_estimators * n_outputs)


def _hist_gradient_boosting_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    leaves = min(model.max_leaf_nodes or 128, 2 ** min(model.max_depth or 10, 10), n_rows)
    return float((6e-5 * leaves + 5e-9 * n_rows * n_columns) * model.max_iter * n_outputs)


def _forest_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    return float(4e-8 * n_rows * log2(n_rows + 2) * n_columns**0.5 * model.n_estimators)


def _mlp_seconds(model: Any, n_rows: int, n_columns: int, n_outputs: int) -> float:
    widths = model.hidden_layer_sizes if hasattr(model.hidden_layer_sizes, "__len__") else [model.hidden_layer_sizes]
    sizes = [n_columns, *widths, n_outputs]
    return float(2e-9 * n_rows * sum(a * b for a, b in pairwise(sizes)) * model.max_iter)


def _stops_by_its_own_loss(booster: Any, n_rows: int) -> bool:
    # As in scikit-learn's fit: "auto" is early stopping above this number of rows.
    stops = n_rows > 10_000 if booster.early_stopping == "auto" else booster.early_stopping
    # A scorer of one's own may look at `max_iter`.
    return booster.loss == "log_loss" and not (stops and callable(booster.scoring))


_TREE = "sklearn.tree._tree.Tree"
_BUNCH = "sklearn.utils._bunch.Bunch"
_DISTANCES = (
    *("BrayCurtis", "Canberra", "Chebyshev", "Dice", "Euclidean", "Hamming", "Haversine", "Jaccard", "Mahalanobis"),
    *("Manhattan", "Minkowski", "RogersTanimoto", "RussellRao", "SEuclidean", "SokalMichener", "SokalSneath"),
)


def _forest(class_path: str) -> AlgorithmInfo:
    return AlgorithmInfo(
        class_path=class_path,
        label_holders=("",),
        rounds="n_estimators",
        presets={"n_jobs": 1},
        trusted_types=(_TREE,),
        seconds=_forest_seconds,
        releases_gil=True,
        stages=Stages(prediction="forest", attributes=("estimators_",)),
        search_space=FOREST_SPACE,
    )


ALGORITHMS: dict[str, AlgorithmInfo] = {
    "gradient_boosting": AlgorithmInfo(
        class_path="sklearn.ensemble.GradientBoostingClassifier",
        label_holders=("",),
        rounds="n_estimators",
        instead_of={"criterion": "it has no effect; leave it out"},
        trusted_types=(_TREE,),
        seconds=_gradient_boosting_seconds,
        faster="hist_gradient_boosting",
        releases_gil=True,
        stages=Stages(
            prediction="boosting",
            attributes=("estimators_", "train_score_", "oob_improvement_", "oob_scores_"),
            is_exact=lambda booster, n_rows: booster.init in (None, "zero"),
            # Early stopping compares with the rounds before, which a warm start has forgotten.
            is_resumable=lambda booster: booster.n_iter_no_change is None,
        ),
        search_space=GRADIENT_BOOSTING_SPACE,
    ),
    "hist_gradient_boosting": AlgorithmInfo(
        class_path="sklearn.ensemble.HistGradientBoostingClassifier",
        label_holders=("", "_label_encoder"),
        rounds="max_iter",
        items={"monotonic_cst": {"type": "integer", "min": -1, "max": 1}},
        categories=NativeCategories(
            parameter="categorical_features",
            value=lambda n_native, n_columns: list(range(n_native)),
            most=lambda booster: int(booster.max_bins),
        ),
        trusted_types=(
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            # What it checks the columns beside those of categories with.
            "sklearn.utils.validation.check_array",
        ),
        seconds=_hist_gradient_boosting_seconds,
        stages=Stages(
            prediction="histogram_boosting",
            # Its rounds have no public name: `mlwf.engine.staged_ensembles` checks whether this one still serves.
            attributes=("_predictors",),
            attributes_from_start=("train_score_", "validation_score_"),
            is_exact=_stops_by_its_own_loss,
            is_resumable=lambda booster: not booster.do_early_stopping_,
        ),
        search_space=HIST_GRADIENT_BOOSTING_SPACE,
    ),
    "random_forest": _forest("sklearn.ensemble.RandomForestClassifier"),
    "extra_trees": _forest("sklearn.ensemble.ExtraTreesClassifier"),
    "logistic_regression": AlgorithmInfo(
        class_path="sklearn.linear_model.LogisticRegression",
        label_holders=("",),
        instead_of={"penalty": "use l1_ratio (0 is l2, 1 is l1) and C (.inf is no penalty)"},
        needs_seed=lambda regression: regression.solver not in {"lbfgs", "newton-cg", "newton-cholesky"},
        seconds=lambda model, n_rows, n_columns, n_outputs: 1e-9 * n_rows * n_columns * model.max_iter * n_outputs,
        releases_gil=True,
        search_space=LOGISTIC_REGRESSION_SPACE,
    ),
    "decision_tree": AlgorithmInfo(
        class_path="sklearn.tree.DecisionTreeClassifier",
        label_holders=("",),
        trusted_types=(_TREE,),
        seconds=lambda model, n_rows, n_columns, n_outputs: 4e-8 * n_rows * log2(n_rows + 2) * n_columns,
        releases_gil=True,
        search_space=DECISION_TREE_SPACE,
    ),
    "knn": AlgorithmInfo(
        class_path="sklearn.neighbors.KNeighborsClassifier",
        label_holders=("",),
        trusted_types=(
            "sklearn.neighbors._ball_tree.BallTree",
            "sklearn.neighbors._kd_tree.KDTree",
            *(f"sklearn.metrics._dist_metrics.{name}Distance64" for name in _DISTANCES),
        ),
        search_space=KNN_SPACE,
    ),
    "svc": AlgorithmInfo(
        class_path="sklearn.svm.SVC",
        instead_of={"probability": "add a calibration section"},
        seconds=lambda model, n_rows, n_columns, n_outputs: 2e-9 * n_rows**2 * n_columns,
        releases_gil=True,
        search_space=SVC_SPACE,
    ),
    "gaussian_process": AlgorithmInfo(
        class_path="sklearn.gaussian_process.GaussianProcessClassifier",
        presets={"n_jobs": 1},
        refuses={
            "kernel": Refusal("is an object of Python: 1.0 * RBF(1.0) is taken", "leave it out", at_key=True),
            "multi_class": Refusal("gives no probabilities but by one_vs_rest", "leave it out", at_key=True),
        },
        trusted_types=(
            "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
            "sklearn.gaussian_process.kernels.ConstantKernel",
            "sklearn.gaussian_process.kernels.Product",
            "sklearn.gaussian_process.kernels.RBF",
        ),
        seconds=lambda model, n_rows, n_columns, n_outputs: 3e-10 * n_rows**3 * n_outputs,
        releases_gil=True,
    ),
    "gaussian_nb": AlgorithmInfo(
        class_path="sklearn.naive_bayes.GaussianNB",
        items={"priors": {"type": "number", "min": 0, "max": 1}},
        search_space=GAUSSIAN_NB_SPACE,
    ),
    "mlp": AlgorithmInfo(
        class_path="sklearn.neural_network.MLPClassifier",
        tuples=frozenset({"hidden_layer_sizes"}),
        items={"hidden_layer_sizes": {"type": "integer", "min": 1}},
        trusted_types=(
            "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
            "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        ),
        seconds=_mlp_seconds,
        search_space=MLP_SPACE,
    ),
    "lightgbm": AlgorithmInfo(
        class_path="lightgbm.LGBMClassifier",
        extra="lightgbm",
        rounds="n_estimators",
        # Without the last one it would time two ways of summing up, and take the faster.
        presets={"n_jobs": 1, "verbose": -1, "force_col_wise": True},
        more=LIGHTGBM,
        refuses=LIGHTGBM_REFUSES,
        # Of its names for that the one that its Dataset does not warn of.
        categories=NativeCategories(
            parameter="categorical_column", value=lambda n_native, n_columns: list(range(n_native))
        ),
        trusted_types=("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"),
        needs_seed=lambda booster: False,
        seconds=lightgbm_seconds,
        releases_gil=True,
        streams={"linear_tree": (False,)},
        stages=Stages(library="lightgbm", is_exact=is_exact_lightgbm),
        search_space=LIGHTGBM_SPACE,
    ),
    "xgboost": AlgorithmInfo(
        class_path="xgboost.XGBClassifier",
        extra="xgboost",
        wheels=("xgboost-cpu", "xgboost"),
        takes_codes=True,
        rounds="n_estimators",
        presets={"n_jobs": 1, "verbosity": 0, "n_estimators": 100},
        more=XGBOOST,
        refuses=XGBOOST_REFUSES,
        categories=NativeCategories(
            parameter="feature_types",
            value=lambda n_native, n_columns: ["c"] * n_native + ["q"] * ((n_columns or 0) - n_native),
            needs_all_columns=True,
        ),
        trusted_types=(_BUNCH, "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"),
        needs_seed=lambda booster: False,
        seconds=xgboost_seconds,
        releases_gil=True,
        streams={"tree_method": ("auto", "hist")},
        stages=Stages(library="xgboost", is_exact=is_exact_xgboost),
        search_space=XGBOOST_SPACE,
    ),
    "catboost": AlgorithmInfo(
        class_path="catboost.CatBoostClassifier",
        extra="catboost",
        takes_codes=True,
        rounds="iterations",
        presets={"thread_count": 1, "logging_level": "Silent", "allow_writing_files": False, "iterations": 1000},
        more=CATBOOST,
        refuses=CATBOOST_REFUSES,
        # A list would be copied by its constructor, which scikit-learn's clone refuses; a tuple needs a DataFrame.
        categories=NativeCategories(
            parameter="cat_features", value=lambda n_native, n_columns: tuple(range(n_native)), form="texts"
        ),
        trusted_types=(_BUNCH, "catboost.core.CatBoostClassifier"),
        needs_seed=lambda booster: False,
        seconds=catboost_seconds,
        releases_gil=True,
        stages=Stages(library="catboost", is_exact=is_exact_catboost),
        search_space=CATBOOST_SPACE,
    ),
}
"""All algorithms, by their names in an experiment file."""


def find_algorithm(estimator: Any) -> AlgorithmInfo | None:
    """Give the entry of an estimator's class; None for another class, and for one derived from it."""
    return next((info for info in ALGORITHMS.values() if info.is_class_of(estimator)), None)


def algorithm_names() -> list[str]:
    """List the algorithms, sorted."""
    return sorted(ALGORITHMS)


def hyperparameter_names(algorithm: str) -> list[str]:
    """List what can be set on a known algorithm, sorted."""
    parameters = metadata()["algorithms"][algorithm]["parameters"]
    return sorted(name for name, parameter in parameters.items() if not parameter.get("deprecated"))


def takes_sample_weight(algorithm: str) -> bool:
    """Whether fits of the algorithm can weigh rows."""
    return metadata()["algorithms"][algorithm]["sample_weight"]


def gives_probabilities(algorithm: str, hyperparameters: Mapping[str, Any]) -> bool:
    """Whether the algorithm with these hyperparameters has `predict_proba`."""
    return has_probabilities(metadata()["algorithms"][algorithm], hyperparameters)


def has_probabilities(algorithm: AlgorithmMetadata, hyperparameters: Mapping[str, Any]) -> bool:
    """Whether an algorithm of this description, with these hyperparameters, has `predict_proba`."""
    condition = algorithm["probabilities"]
    if isinstance(condition, bool):
        return condition
    default = algorithm["parameters"][condition["parameter"]]["default"]
    return hyperparameters.get(condition["parameter"], default) in condition["values"]


_JOBS = Refusal("belongs to the whole experiment", "set compute.n_jobs", at_key=True)
_SEED = Refusal("belongs to the whole experiment", "set random_state at the top of the file", at_key=True)
_PRINTS = Refusal("would print among the results", "use --verbose on the command line", at_key=True)

SET_ELSEWHERE: dict[str, Refusal] = {
    **dict.fromkeys(("n_jobs", "n_threads", "nthread", "nthreads", "num_thread", "num_threads", "thread_count"), _JOBS),
    **dict.fromkeys(("random_seed", "random_state", "seed"), _SEED),
    **dict.fromkeys(("logging_level", "silent", "verbose", "verbose_eval", "verbosity"), _PRINTS),
    "warm_start": Refusal("would carry one fit over into the next", "leave it out", at_key=True),
}
"""Parameters that no experiment sets on its classifier."""


def check_installed(algorithm: str) -> Refusal | None:
    """Give what is wrong with the name of a known algorithm whose package is not installed."""
    info = ALGORITHMS.get(algorithm)
    if info is None or info.extra is None or info.is_installed:
        return None
    return Refusal(f"is {algorithm!r}, and {info.package} is not installed", f"pip install 'mlwf[{info.extra}]'")


def check_hyperparameters(algorithm: str, parameters: Mapping[str, Any]) -> list[tuple[str, Refusal]]:
    """List what is wrong, by name; nothing is known of an unknown algorithm."""
    if algorithm not in ALGORITHMS:
        return []
    refusals = ((name, check_hyperparameter(algorithm, name, value)) for name, value in parameters.items())
    return [(name, refusal) for name, refusal in refusals if refusal]


def check_hyperparameter(algorithm: str, name: str, value: Any) -> Refusal | None:
    """Give what is wrong with one hyperparameter of a known algorithm."""
    return check_name(algorithm, name) or check_value(algorithm, name, value)


def check_name(algorithm: str, name: str, *, prefix: str = "") -> Refusal | None:
    """Give what is wrong with the name of a hyperparameter, whatever its value; a suggestion gets the prefix."""
    if name in SET_ELSEWHERE:
        return SET_ELSEWHERE[name]
    if name in ALGORITHMS[algorithm].refuses:
        return ALGORITHMS[algorithm].refuses[name]
    if name in hyperparameter_names(algorithm):
        return None
    if name in metadata()["algorithms"][algorithm]["parameters"]:
        instead = ALGORITHMS[algorithm].instead_of.get(name, "leave it out")
        return Refusal("was deprecated by scikit-learn", instead, at_key=True)
    names = hyperparameter_names(algorithm)
    refusal = Refusal.of_name(f"unknown hyperparameter of {algorithm}", name, names, at_key=True)
    return replace(refusal, hint=f"did you mean {prefix}{closest(name, names)}?") if refusal.suggests else refusal


def check_value(algorithm: str, name: str, value: Any) -> Refusal | None:
    """Give what is wrong with the value of a known hyperparameter."""
    accepts = metadata()["algorithms"][algorithm]["parameters"][name]["accepts"]
    if any(meets(value, constraint) for constraint in accepts):
        return None
    options = [option for constraint in accepts for option in constraint.get("values", [])]
    refusal = Refusal.of_name(f"is {short_value(value)}", value if isinstance(value, str) else "", options)
    return refusal if refusal.suggests else replace(refusal, hint=f"accepted: {accepted(accepts, value)}")
