"""The classifier of an experiment: built by name, checked against the installed scikit-learn."""

from __future__ import annotations

import pytest

from mlwf.errors import ConfigError
from mlwf.modules.model import GradientBoostingClassifierImpl, build_classifier
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ClassifierModelSpec


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_is_built_with_its_own_defaults_and_presets(algorithm: str) -> None:
    info = ALGORITHMS[algorithm]
    default = info.load_class()()

    built = build_classifier(ClassifierModelSpec(algorithm=algorithm), random_state=7)

    assert type(built) is type(default)
    seed = {} if algorithm in ("knn", "gaussian_nb") else {"random_state": 7}
    expected = {**default.get_params(), **info.presets, **seed}
    assert {name: value for name, value in built.get_params().items() if value == value} == {
        name: value
        for name, value in expected.items()
        if value == value  # XGBoost's `missing` is NaN
    }


def test_the_default_algorithm_is_hist_gradient_boosting() -> None:
    assert type(build_classifier(ClassifierModelSpec())).__name__ == "HistGradientBoostingClassifier"


def test_the_public_name_builds_whichever_algorithm() -> None:
    spec = ClassifierModelSpec(algorithm="knn", hyperparameters={"n_neighbors": 3})

    assert repr(GradientBoostingClassifierImpl(spec)) == "KNeighborsClassifier(n_neighbors=3)"


def test_hyperparameters_are_set() -> None:
    hyperparameters = {"max_iter": 50, "learning_rate": 0.05, "max_leaf_nodes": None, "random_state": 3}

    built = build_classifier(ClassifierModelSpec(algorithm="hist_gradient_boosting", hyperparameters=hyperparameters))

    assert {name: built.get_params()[name] for name in hyperparameters} == hyperparameters


def test_hidden_layer_sizes_become_a_tuple() -> None:
    built = build_classifier(ClassifierModelSpec(algorithm="mlp", hyperparameters={"hidden_layer_sizes": [8, 4]}))

    assert built.hidden_layer_sizes == (8, 4)


def test_svc_estimates_no_probabilities_by_default() -> None:
    assert not hasattr(build_classifier(ClassifierModelSpec(algorithm="svc")), "predict_proba")


def test_an_unknown_algorithm_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        build_classifier(ClassifierModelSpec(algorithm="gradient_bosting"))

    assert str(caught.value) == "model.algorithm: unknown algorithm 'gradient_bosting'; did you mean gradient_boosting?"


def test_wrong_hyperparameters_are_reported_all_at_once() -> None:
    hyperparameters = {"n_estimators": 0, "max_depht": 3, "max_depth": "deep"}

    with pytest.raises(ConfigError) as caught:
        build_classifier(ClassifierModelSpec(algorithm="random_forest", hyperparameters=hyperparameters))

    assert str(caught.value).splitlines() == [
        (
            "model.hyperparameters.n_estimators: The 'n_estimators' parameter of RandomForestClassifier must be an int "
            "in the range [1, inf). Got 0 instead"
        ),
        "model.hyperparameters.max_depht: unknown hyperparameter of random_forest; did you mean max_depth?",
        (
            "model.hyperparameters.max_depth: The 'max_depth' parameter of RandomForestClassifier must be an int "
            "in the range [1, inf) or None. Got 'deep' instead"
        ),
    ]


def test_something_else_than_a_spec_is_refused() -> None:
    with pytest.raises(TypeError, match="model_spec is a str; accepted: ClassifierModelSpec"):
        build_classifier("gradient_boosting")  # type: ignore[arg-type]
