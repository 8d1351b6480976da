"""A classifier of another library is one entry of the catalogue: LightGBM's, from experiment file to predictions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from lightgbm import LGBMClassifier
from sklearn.pipeline import Pipeline

from mlwf.catalogue_writer import describe_algorithm, describe_catalogue, write_catalogue
from mlwf.cli.boundary import run
from mlwf.engine.engine import Engine
from mlwf.engine.fit_key import FitKeyBuilder
from mlwf.engine.model_file import load_model, save_model
from mlwf.engine.requests import FitRequest
from mlwf.engine.scheduling import estimate_seconds, releases_gil
from mlwf.errors import MlwfError
from mlwf.modules.model import build_classifier
from mlwf.specs.catalogue import ALGORITHMS, AlgorithmInfo
from mlwf.specs.catalogue import metadata as metadata_module
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.splitting.rows import Rows, Table

LIGHTGBM = AlgorithmInfo(
    class_path="lightgbm.LGBMClassifier",
    extra="lightgbm",
    rounds="n_estimators",
    presets={"n_jobs": 1, "verbose": -1},
    accepts={
        "num_leaves": [{"type": "integer", "min": 2, "max": 131072}],
        "n_estimators": [{"type": "integer", "min": 1}],
        "boosting_type": [{"type": "options", "values": ["dart", "gbdt", "rf"]}],
    },
    importances="splits by each column, counted",
    trusted_types=("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"),
    needs_seed=lambda classifier: False,
    seconds=lambda model, n_rows, n_columns, n_outputs: (
        1e-8 * n_rows * n_columns * log2(model.num_leaves) * model.n_estimators * n_outputs
    ),
    releases_gil=True,
)
EXPERIMENT: dict[str, Any] = {
    "data": {"path": "t.csv", "target": "y", "sample_weight": "w"},
    "model": {"algorithm": "lightgbm", "hyperparameters": {"min_child_samples": 5}},
    "tuning": {
        "strategy": "grid",
        "param_grid": {"classifier__n_estimators": [4, 8], "classifier__num_leaves": [3, 7]},
        "scoring": "neg_log_loss",
    },
    "calibration": {"method": "sigmoid", "keep": "always"},
    "threshold": {"scoring": "f1"},
    "validation": {"strategy": "train_test", "cv_folds": 3},
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the catalogue with the entry of LightGBM, as `python -m mlwf.catalogue_writer` does."""
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ALGORITHMS, "lightgbm", LIGHTGBM)
        path.write_text(write_catalogue(describe_catalogue()), encoding="utf-8")
    return path


@pytest.fixture
def offered(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(ALGORITHMS, "lightgbm", LIGHTGBM)
    monkeypatch.setattr(metadata_module, "PATH", catalogue)
    metadata_module.metadata.cache_clear()
    yield
    metadata_module.metadata.cache_clear()


@pytest.fixture
def experiment(offered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of an experiment with LightGBM, beside its data."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    x, city = draw.normal(size=240), draw.choice(["Bergen", "Lyon", "Turin"], 240)
    bought = np.where(x + (city == "Lyon") + draw.normal(0, 0.5, 240) > 0.3, "yes", "no")
    weight = draw.integers(1, 4, 240)
    pd.DataFrame({"x": np.where(x > 2, np.nan, x), "city": city, "w": weight, "y": bought}).to_csv("t.csv", index=False)
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT), encoding="utf-8")
    return path


def train(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = run(["train", "e.yaml", "--quiet", "--format", "json"])
    messages = capsys.readouterr()
    assert (code, messages.err) == (0, "")
    return json.loads(messages.out)


def test_an_entry_is_described_by_type_hints_and_its_own_words() -> None:
    described = describe_algorithm(LIGHTGBM)
    parameters = described.pop("parameters")
    assert described == {
        "class_path": "lightgbm.LGBMClassifier",
        "sample_weight": True,
        "decision_function": True,
        "probabilities": True,
        "missing_values": True,
        "native_categories": False,
    }
    assert not {"random_state", "n_jobs"} & parameters.keys()
    assert {name: parameters[name] for name in ("learning_rate", "class_weight", "num_leaves")} == {
        "learning_rate": {"accepts": [{"type": "number"}], "default": 0.1},
        "class_weight": {"accepts": [{"type": "map"}, {"type": "string"}, {"type": "null"}], "default": None},
        "num_leaves": {"accepts": LIGHTGBM.accepts["num_leaves"], "default": 31},
    }


def test_a_class_without_type_hints_is_described_by_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(LGBMClassifier.__init__, "__annotations__")
    parameters = describe_algorithm(AlgorithmInfo(class_path="lightgbm.LGBMClassifier"))["parameters"]
    accepts = {name: parameters[name]["accepts"] for name in ("num_leaves", "boosting_type", "objective")}
    assert accepts == {
        "num_leaves": [{"type": "integer"}],
        "boosting_type": [{"type": "string"}],
        "objective": [{"type": "any"}],
    }


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        pytest.param({"num_leafs": 3}, "num_leafs: unknown hyperparameter of lightgbm; did you mean num_leaves?"),
        pytest.param({"num_leaves": 1}, "num_leaves: is 1; accepted: an integer from 2 to 131072"),
        pytest.param({"learning_rate": "fast"}, "learning_rate: is 'fast'; accepted: a number"),
        pytest.param({"n_jobs": 2}, "n_jobs: belongs to the whole experiment; set compute.n_jobs"),
    ],
    ids=["name", "value of the entry", "value by its type", "set elsewhere"],
)
def test_validate_locates_what_is_wrong(experiment: Path, capsys: Any, hyperparameters: Any, said: str) -> None:
    wrong = {**EXPERIMENT, "model": {"algorithm": "lightgbm", "hyperparameters": hyperparameters}}
    experiment.write_text(yaml.safe_dump(wrong), encoding="utf-8")
    assert run(["validate", "e.yaml"]) == 2
    messages = " ".join(capsys.readouterr().err.split())
    assert f"model.hyperparameters.{said}" in messages


@pytest.mark.parametrize("is_tracked", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "tracked"])
def test_an_experiment_is_validated_trained_and_predicted_with(experiment: Path, capsys: Any, is_tracked: bool) -> None:
    tracking = {"tracking": {"tracking_uri": "sqlite:///mlflow.db"}} if is_tracked else {}
    experiment.write_text(yaml.safe_dump(EXPERIMENT | tracking), encoding="utf-8")
    assert run(["validate", "e.yaml", "--data"]) == 0
    capsys.readouterr()
    summary = train(capsys)
    assert {phase["name"] for phase in summary["phases"] if phase["status"] != "done"} == (
        {"test"} if is_tracked else {"test", "log"}
    )
    assert summary["warnings"] == []
    assert summary["versions"]["lightgbm"] == version("lightgbm")
    assert summary["importances"]["note"] == "splits by each column, counted; mean over 3 fold models"

    assert run(["predict", summary["run_id"], "t.csv", "-o", "p.csv"]) == 0
    model = load_model(Path("runs", summary["run_id"], "model.skops"))
    rows = pd.read_csv("t.csv")
    assert pd.read_csv("p.csv")["prediction"].tolist() == model.predict(rows).tolist()

    capsys.readouterr()
    for logged in Path("mlartifacts").rglob("MLmodel"):
        flavor = yaml.safe_load(logged.read_text())["flavors"]["sklearn"]
        assert set(LIGHTGBM.trusted_types) <= set(flavor["skops_trusted_types"])
        assert f"lightgbm=={version('lightgbm')}" in logged.with_name("requirements.txt").read_text().split()
    assert len([*Path("mlartifacts").rglob("MLmodel")]) == is_tracked

    again = train(capsys)
    assert (again["fits"]["fitted"], again["scores"]) == (0, summary["scores"])


@pytest.mark.usefixtures("offered")
def test_its_fits_are_those_of_the_library() -> None:
    X, y = _numbers()
    table, rows = Table(X, y), Rows(np.arange(len(y)))
    pipeline = Pipeline([("classifier", build_classifier(ClassifierModelSpec(algorithm="lightgbm")))])
    with Engine(table) as engine:
        requests = [FitRequest(pipeline, {"classifier__n_estimators": n}, rows, (rows,)) for n in (3, 5, 3)]
        results = engine(requests)
        assert engine.counts.fitted == 2
    for result, n in zip(results, (3, 5, 3), strict=True):
        plain = LGBMClassifier(n_estimators=n, n_jobs=1, verbose=-1, random_state=42).fit(X, y)
        np.testing.assert_array_equal(result.predictions[0].proba, plain.predict_proba(X))


@pytest.mark.usefixtures("offered")
def test_a_fit_is_known_again_by_the_same_version_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = _numbers()
    rows = Rows(np.arange(len(y)))
    request = FitRequest(build_classifier(ClassifierModelSpec(algorithm="lightgbm")), {}, rows, (rows,))
    keys = [FitKeyBuilder().identify(request, Table(X, y)).key for _ in range(2)]
    monkeypatch.setattr("mlwf.engine.fit_key.version", lambda name: "0.1")
    assert keys[0] == keys[1] != FitKeyBuilder().identify(request, Table(X, y)).key
    monkeypatch.delitem(ALGORITHMS, "lightgbm")
    assert FitKeyBuilder().identify(request, Table(X, y)) is None


@pytest.mark.usefixtures("offered")
def test_its_cost_is_that_of_the_entry() -> None:
    booster = LGBMClassifier(num_leaves=8, n_estimators=10)
    assert estimate_seconds(booster, 1000, 5, 2) == pytest.approx(1e-3 + 1e-8 * 1000 * 5 * 3 * 10)
    assert releases_gil(booster)


@pytest.mark.usefixtures("offered")
def test_its_model_file_is_trusted_by_the_entry_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = _numbers()
    model = build_classifier(ClassifierModelSpec(algorithm="lightgbm")).fit(X, y)
    save_model(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(load_model(tmp_path / "model.skops").predict_proba(X), model.predict_proba(X))
    monkeypatch.delitem(ALGORITHMS, "lightgbm")
    with pytest.raises(MlwfError, match=r"holds types that a model of mlwf never has: .*lightgbm\.basic\.Booster"):
        load_model(tmp_path / "model.skops")


def test_a_library_that_is_not_installed_is_told_before_any_fit(
    experiment: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert run(["train", "e.yaml", "--quiet"]) == 2
    messages = " ".join(capsys.readouterr().err.split())
    assert "is 'lightgbm', and lightgbm is not installed; pip install 'mlwf[lightgbm]'" in messages


def _numbers() -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(120, 3))
    return X, np.where(X[:, 0] + draw.normal(0, 0.5, 120) > 0, "yes", "no")
