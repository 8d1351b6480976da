"""A search without parameters tries the catalogue's space of the algorithm, as if that were written."""

from __future__ import annotations

from typing import Any

import pytest

from mlwf.specs.catalogue import ALGORITHMS, check_param_distributions, check_param_grid
from mlwf.specs.default_search import with_default_space
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.tuning import GridSearchSpec, HalvingSearchSpec, OptunaSearchSpec, RandomizedSearchSpec

SPACES = {name: info for name, info in ALGORITHMS.items() if info.search_space is not None}
DATA = "data: {path: d.csv, target: y}\n"


def model(algorithm: str, **hyperparameters: Any) -> ClassifierModelSpec:
    return ClassifierModelSpec(algorithm=algorithm, hyperparameters=hyperparameters)


@pytest.mark.parametrize("n_rows", [10, 150, 2_000, 1_000_000])
@pytest.mark.parametrize("algorithm", SPACES)
def test_a_space_is_of_values_that_the_algorithm_takes(algorithm, n_rows):
    random = with_default_space(RandomizedSearchSpec(), model(algorithm), n_rows)
    grid = with_default_space(GridSearchSpec(), model(algorithm), n_rows)
    assert check_param_distributions(algorithm, [], random.param_distributions) == []
    assert check_param_grid(algorithm, [], grid.param_grid) == []


@pytest.mark.parametrize("algorithm", SPACES)
def test_a_grid_is_within_what_is_drawn_from_or_leaves_a_default(algorithm):
    space = SPACES[algorithm].search_space
    assert space.grid(1_000).keys() <= space.distributions(1_000).keys()


@pytest.mark.parametrize("algorithm", SPACES)
def test_the_same_hyperparameters_are_searched_whatever_the_number_of_rows(algorithm):
    space = SPACES[algorithm].search_space
    assert list(space.grid(10)) == list(space.grid(1_000_000))
    assert list(space.distributions(10)) == list(space.distributions(1_000_000))


def test_rounds_are_tried_together():
    boosters = [name for name, info in SPACES.items() if info.stages and info.rounds and "boosting" in name]
    assert boosters
    for name in boosters:
        rounds = SPACES[name].search_space.distributions(1_000)[SPACES[name].rounds]
        assert list(rounds) == ["each"]


def test_few_rows_bound_the_neighbours():
    searched = with_default_space(RandomizedSearchSpec(), model("knn"), 80).param_distributions
    assert searched["classifier__n_neighbors"] == {"lograndint": [1, 11]}


def test_what_the_model_sets_is_left_out():
    spec = OptunaSearchSpec(n_iter=7)
    searched = with_default_space(spec, model("gradient_boosting", learning_rate=0.1, n_estimators=40), 500)
    assert list(searched.param_distributions) == [
        "classifier__max_depth",
        "classifier__min_samples_leaf",
        "classifier__subsample",
        "classifier__max_features",
    ]
    assert searched.n_iter == 7


def test_parameters_that_are_written_stay_alone():
    spec = GridSearchSpec(param_grid={"classifier__C": [1.0]})
    assert with_default_space(spec, model("logistic_regression"), 100) is spec


def test_halving_gives_more_and_more_rounds_up_to_those_of_the_space():
    searched = with_default_space(HalvingSearchSpec(), model("hist_gradient_boosting"), 500)
    assert "classifier__max_iter" not in searched.param_grid
    assert searched.max_resources == 400


@pytest.mark.parametrize(
    ("spec", "hyperparameters", "most"),
    [(HalvingSearchSpec(max_resources=60), {}, 60), (HalvingSearchSpec(), {"max_iter": 90}, None)],
    ids=["written", "the model's"],
)
def test_halving_has_as_many_rounds_as_are_written(spec, hyperparameters, most):
    searched = with_default_space(spec, model("hist_gradient_boosting", **hyperparameters), 500)
    assert searched.max_resources == most


def test_halving_by_rows_tries_rounds():
    searched = with_default_space(HalvingSearchSpec(resource="n_samples"), model("hist_gradient_boosting"), 500)
    assert searched.param_grid["classifier__max_iter"] == [25, 50, 100, 200, 400]
    assert searched.max_resources is None


def test_an_algorithm_without_a_space_is_refused(told):
    assert told(f"{DATA}model: {{algorithm: gaussian_process}}\ntuning: {{strategy: grid}}") == [
        (
            "x.yaml:3:1  tuning: param_grid is missing: gaussian_process has no search space of its own; "
            "name the parameters to try: param_grid: {classifier__NAME: [...]}"
        )
    ]


def test_one_of_several_models_without_a_space_is_refused_at_its_search(told):
    models = "{near: {algorithm: knn}, smooth: {algorithm: gaussian_process, tuning: {strategy: random}}}"
    assert told(f"{DATA}models: {models}") == [
        (
            "x.yaml:2:72  models.smooth.tuning: param_distributions is missing: gaussian_process has no search space "
            "of its own; name the parameters to try: param_distributions: {classifier__NAME: [...]}"
        )
    ]


def test_an_unknown_algorithm_is_told_once(told):
    problems = told(f"{DATA}model: {{algorithm: kn}}\ntuning: {{strategy: grid}}")
    assert len(problems) == 1
    assert problems[0].startswith("x.yaml:2:20  model.algorithm: is 'kn'")


def test_every_algorithm_has_a_space_but_the_one_that_fits_its_hyperparameters_itself():
    assert ALGORITHMS.keys() - SPACES.keys() == {"gaussian_process"}
