"""A search without parameters runs as if the catalogue's search space were written in the experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.base import clone

from mlwf.cli.boundary import run
from mlwf.modules.tuning import list_candidates
from mlwf.orchestrator.api import check_data, plan_experiment, run_experiment
from mlwf.orchestrator.run_advice import MANY_ROWS
from mlwf.orchestrator.workflow import plan_fits
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ClassifierModelSpec, ValidationSpec
from mlwf.specs.loading import load_experiment
from mlwf.specs.tuning import GridSearchSpec, HalvingSearchSpec, RandomizedSearchSpec

RANDOM = RandomizedSearchSpec(n_iter=2, cv_folds=2, scoring="neg_log_loss")
KNN = ClassifierModelSpec(algorithm="knn", hyperparameters={"p": 2})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder of one's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def experiment(mixed):
    """Give what writes an experiment on `mixed` and loads it."""
    X, y = mixed
    X.assign(size=y).to_csv("mixed.csv", index=False)

    def load(sections: str):
        Path("x.yaml").write_text(f"data: {{path: mixed.csv, target: size}}\n{sections}")
        return load_experiment(Path("x.yaml"))

    return load


SEARCH = "model: {algorithm: knn, hyperparameters: {p: 2}}\ntuning: {strategy: random, n_iter: 2, cv_folds: 2}\n"


def test_the_run_writes_out_what_was_searched_and_its_config_gives_the_same(experiment):
    summary = run_experiment(*experiment(SEARCH), runs_dir=Path("runs"))
    config = Path(summary["files"]["folder"], "config.yaml")
    assert yaml.safe_load(config.read_text())["tuning"]["param_distributions"] == {
        "classifier__n_neighbors": {"lograndint": [1, 19]},
        "classifier__weights": ["uniform", "distance"],
    }
    again = run_experiment(*load_experiment(config), runs_dir=Path("other"))
    for key in ("best_params", "best_score"):
        assert again["tuning"][key] == summary["tuning"][key]


def test_the_number_of_rows_is_that_of_the_training_rows(mixed_context):
    context, _ = mixed_context(model=KNN, tuning=RANDOM, validation=ValidationSpec(strategy="train_test"))
    assert len(context.split.train) == 120
    assert context.tuning.param_distributions["classifier__n_neighbors"] == {"lograndint": [1, 16]}


def test_a_search_that_is_not_enabled_stays_as_it_is(mixed_context):
    context, _ = mixed_context(model=KNN, tuning=GridSearchSpec(enabled=False))
    assert context.resolved.tuning == GridSearchSpec(enabled=False)


def test_rounds_of_a_booster_cost_one_fit_in_the_search_and_in_nested_folds(mixed_context):
    model = ClassifierModelSpec(algorithm="hist_gradient_boosting")
    validation = ValidationSpec(cv_folds=3, nested=True)
    context, config = mixed_context(model=model, tuning=RANDOM, validation=validation)
    assert len(list_candidates(context.tuning)) == 10
    tune, _, validate = (phase for phase in plan_fits(context, config) if phase.asked)
    assert (tune.asked, tune.fits) == (20, 4)
    assert validate.asked - validate.fits == 3 * (20 - 4)


def test_halving_gives_the_rounds_that_the_space_has(mixed_context):
    model = ClassifierModelSpec(algorithm="gradient_boosting", hyperparameters={"learning_rate": 0.1, "subsample": 1.0})
    context, _ = mixed_context(model=model, tuning=HalvingSearchSpec())
    assert context.tuning.param_grid == {"classifier__max_depth": [2, 3, 5]}
    assert context.tuning.max_resources == 400


def test_each_of_several_models_has_its_own_space(mixed_context):
    models = {
        "near": {"algorithm": "knn", "tuning": GridSearchSpec()},
        "linear": {"algorithm": "logistic_regression", "hyperparameters": {"max_iter": 50}, "tuning": GridSearchSpec()},
    }
    context, _ = mixed_context(models=models)
    searched = {name: list(model.tuning.param_grid) for name, model in context.resolved.models.items()}
    assert searched == {
        "near": ["classifier__n_neighbors", "classifier__weights", "classifier__p"],
        "linear": ["classifier__C"],
    }


@pytest.mark.parametrize("algorithm", [name for name, info in ALGORITHMS.items() if info.search_space is not None])
def test_a_pipeline_takes_every_parameter_of_the_space(mixed_context, algorithm):
    if (extra := ALGORITHMS[algorithm].extra) is not None:
        pytest.importorskip(extra)
    context, config = mixed_context(model=ClassifierModelSpec(algorithm=algorithm), tuning=RANDOM)
    for params in list_candidates(context.tuning):
        clone(config.pipeline).set_params(**params)


NOTE = (
    "tuning: tries n_neighbors lograndint [1, 19], weights ['uniform', 'distance']; "
    "after TabArena (Erickson et al. 2025, arXiv 2506.16791)"
)


def test_the_check_of_the_data_says_what_will_be_searched(experiment):
    spec, document = experiment(SEARCH)
    assert check_data(spec, document) == [NOTE]


def test_the_plan_says_what_will_be_searched(experiment, capsys):
    experiment(SEARCH)
    assert run(["plan", "x.yaml"]) == 0
    assert capsys.readouterr().err == f"x.yaml: {NOTE}\n"


def test_parameters_that_are_written_are_not_said_again(experiment):
    spec, document = experiment("tuning: {strategy: grid, param_grid: {classifier__max_depth: [1, 2]}}")
    assert plan_experiment(spec, document, runs_dir=Path("runs"))[1] == []


# Many rows


@pytest.mark.parametrize(
    ("n_rows", "algorithm", "notes"),
    [
        (
            MANY_ROWS,
            "gradient_boosting",
            [
                (
                    "model.algorithm: on 10,000 rows gradient_boosting takes several times as long as "
                    "hist_gradient_boosting"
                )
            ],
        ),
        (MANY_ROWS - 1, "gradient_boosting", []),
        (MANY_ROWS, "hist_gradient_boosting", []),
    ],
    ids=["many", "few", "the faster one"],
)
def test_an_algorithm_that_is_slow_with_many_rows_is_reported(n_rows, algorithm, notes):
    draw = np.random.default_rng(0)
    rows = np.column_stack([draw.normal(size=n_rows), draw.integers(0, 2, n_rows)])
    np.savetxt("many.csv", rows, delimiter=",", header="a,y", comments="", fmt=["%.6f", "%d"])
    Path("x.yaml").write_text(f"data: {{path: many.csv, target: y}}\nmodel: {{algorithm: {algorithm}}}\n")
    assert check_data(*load_experiment(Path("x.yaml"))) == notes
