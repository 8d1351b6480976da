"""LightGBM, XGBoost and CatBoost, from experiment file to predictions; how a class of another library is described."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from mlwf.catalogue_writer import describe_algorithm
from mlwf.cli.boundary import run
from mlwf.engine.engine import Engine
from mlwf.engine.fit_key import FitKeyBuilder
from mlwf.engine.label_codes import with_label_codes
from mlwf.engine.model_file import load_model, save_model
from mlwf.engine.requests import FitRequest
from mlwf.engine.scheduling import estimate_seconds, releases_gil
from mlwf.errors import ConfigError, MlwfError
from mlwf.modules.model import build_classifier
from mlwf.modules.tracking.logged_model import requirements
from mlwf.specs.catalogue import ALGORITHMS, AlgorithmInfo
from mlwf.specs.catalogue.metadata import meets
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.splitting.rows import Rows, Table

BOOSTERS = ("lightgbm", "xgboost", "catboost")
ROUNDS = {name: ALGORITHMS[name].rounds for name in BOOSTERS}
DISTRIBUTIONS = {"lightgbm": "lightgbm", "xgboost": ALGORITHMS["xgboost"].distribution, "catboost": "catboost"}


PASSED_ON = {
    "lightgbm": {"classifier__extra_trees": [False, True]},
    "xgboost": {"classifier__one_drop": [False]},
    "catboost": {"classifier__depth": [2, 3]},
}
"""Hyperparameters that a classifier does not have before they are set."""


def experiment(algorithm: str) -> dict[str, Any]:
    return {
        "data": {"path": "t.csv", "target": "y", "sample_weight": "w"},
        "model": {"algorithm": algorithm, "hyperparameters": {"learning_rate": 0.2}, "class_weight": "balanced"},
        "tuning": {
            "strategy": "grid",
            "param_grid": {f"classifier__{ROUNDS[algorithm]}": [4, 8], **PASSED_ON[algorithm]},
            "scoring": "neg_log_loss",
        },
        "calibration": {"method": "sigmoid", "keep": "always"},
        "threshold": {"scoring": "f1"},
        "validation": {"strategy": "train_test", "cv_folds": 3},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a table of numbers, texts and missing values."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    x, city = draw.normal(size=240), draw.choice(["Bergen", "Lyon", "Turin"], 240)
    bought = np.where(x + (city == "Lyon") + draw.normal(0, 0.5, 240) > 0.3, "yes", "no")
    weight = draw.integers(1, 4, 240)
    pd.DataFrame({"x": np.where(x > 2, np.nan, x), "city": city, "w": weight, "y": bought}).to_csv("t.csv", index=False)
    return tmp_path


def write(folder: Path, content: dict[str, Any]) -> None:
    (folder / "e.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def train(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = run(["train", "e.yaml", "--quiet", "--format", "json"])
    messages = capsys.readouterr()
    assert (code, messages.err) == (0, "")
    return json.loads(messages.out)


def build(algorithm: str, **hyperparameters: Any) -> Any:
    return build_classifier(ClassifierModelSpec(algorithm=algorithm, hyperparameters=hyperparameters))


def numbers(classes: tuple[Any, ...] = ("no", "yes")) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(120, 3))
    X[::9, 1] = np.nan
    return X, np.array(classes)[np.digitize(X[:, 0] + draw.normal(0, 0.5, 120), np.arange(len(classes) - 1))]


@pytest.mark.parametrize("is_tracked", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "tracked"])
@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_an_experiment_is_trained_and_predicted_with(
    folder: Path, capsys: Any, algorithm: str, is_tracked: bool
) -> None:
    write(folder, experiment(algorithm) | ({"tracking": {"tracking_uri": "sqlite:///mlflow.db"}} if is_tracked else {}))
    summary = train(capsys)
    assert {phase["name"] for phase in summary["phases"] if phase["status"] != "done"} == (
        {"test"} if is_tracked else {"test", "log"}
    )
    assert summary["warnings"] == []
    assert summary["versions"][DISTRIBUTIONS[algorithm]] == version(DISTRIBUTIONS[algorithm])
    assert summary["importances"]["columns"]

    assert run(["predict", summary["run_id"], "t.csv", "-o", "p.csv"]) == 0
    model = load_model(Path("runs", summary["run_id"], "model.skops"))
    rows = pd.read_csv("t.csv")
    assert pd.read_csv("p.csv")["prediction"].tolist() == model.predict(rows).tolist()

    for logged in Path("mlartifacts").rglob("MLmodel"):
        flavor = yaml.safe_load(logged.read_text())["flavors"]["sklearn"]
        assert set(ALGORITHMS[algorithm].trusted_types) <= set(flavor["skops_trusted_types"])
        pinned = f"{DISTRIBUTIONS[algorithm]}=={version(DISTRIBUTIONS[algorithm])}"
        assert pinned in logged.with_name("requirements.txt").read_text().split()
        predicted = subprocess.run(
            [sys.executable, "-c", FROM_MLFLOW, str(logged.parent)],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
        )  # fmt: skip
        assert predicted.returncode == 0, predicted.stderr
        assert json.loads(predicted.stdout.splitlines()[-1]) == model.predict(rows).tolist()
    assert len([*Path("mlartifacts").rglob("MLmodel")]) == is_tracked

    capsys.readouterr()
    again = train(capsys)
    assert (again["fits"]["fitted"], again["scores"]) == (0, summary["scores"])


FROM_MLFLOW = """
import json, sys
sys.modules["mlwf"] = None
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(pandas.read_csv("t.csv")).tolist()))
"""


WRONG: dict[str, list[tuple[dict[str, Any], str]]] = {
    "lightgbm": [
        ({"num_leafs": 3}, "unknown hyperparameter of lightgbm; did you mean num_leaves?"),
        ({"num_leaves": 1}, "is 1; accepted: an integer from 2 to 131072"),
        ({"boosting_type": "goss"}, "is 'goss'; accepted: dart, gbdt or rf"),
        ({"min_data_in_leaf": 5}, "is another name of min_child_samples; write min_child_samples"),
        ({"n_jobs": 2}, "belongs to the whole experiment; set compute.n_jobs"),
        ({"categorical_feature": [1]}, "follows from the features; leave it out"),
    ],
    "xgboost": [
        ({"max_dept": 3}, "unknown hyperparameter of xgboost; did you mean max_depth?"),
        ({"subsample": 0}, "is 0; accepted: a number above 0 and at most 1"),
        (
            {"early_stopping_rounds": 5},
            (
                "stops by other rows than those of the fit, which it does not get; "
                "search the number of rounds: one fit serves all of its values"
            ),
        ),
        ({"device": "cuda"}, "belongs to another kind of machine: fits run on processors; leave it out"),
        ({"verbosity": 2}, "would print among the results; use --verbose on the command line"),
        ({"objective": "multi:softmax"}, "follows from the classes of the target; leave it out"),
    ],
    "catboost": [
        ({"itrations": 3}, "unknown hyperparameter of catboost; did you mean iterations?"),
        ({"n_estimators": 3}, "is another name of iterations; write iterations"),
        ({"depth": 17}, "is 17; accepted: an integer from 1 to 16"),
        ({"learning_rate": None}, "is null; accepted: a number above 0"),
        ({"class_weights": [1, 2]}, "weighs classes by their place; set model.class_weight"),
        ({"thread_count": 2}, "belongs to the whole experiment; set compute.n_jobs"),
        ({"random_seed": 2}, "belongs to the whole experiment; set random_state at the top of the file"),
    ],
}


@pytest.mark.parametrize(
    ("algorithm", "hyperparameters", "message"),
    [
        pytest.param(name, hyperparameters, message, id=f"{name} {next(iter(hyperparameters))}")
        for name, cases in WRONG.items()
        for hyperparameters, message in cases
    ],
)
def test_validate_locates_what_is_wrong(
    folder: Path, capsys: Any, algorithm: str, hyperparameters: Any, message: str
) -> None:
    write(folder, {**experiment(algorithm), "model": {"algorithm": algorithm, "hyperparameters": hyperparameters}})
    assert run(["validate", "e.yaml"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    ((name, value),) = hyperparameters.items()
    assert f"model.hyperparameters.{name}: {message}" in told
    is_value = message.startswith("is ") and "another name" not in message
    column = f"    {name}: ".index(":") + 3 if is_value and not isinstance(value, list) else 5
    assert f"e.yaml:8:{column} " in told


def test_all_missing_extras_are_reported_before_any_data_is_read(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("lightgbm", "catboost"):
        monkeypatch.setitem(sys.modules, package, None)
    models = {name: {"algorithm": name} for name in ("lightgbm", "xgboost", "catboost")}
    write(folder, {"data": {"path": "none.csv", "target": "y"}, "models": models})
    assert run(["train", "e.yaml", "--quiet"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "e.yaml:6:16 models.lightgbm.algorithm: is 'lightgbm', and lightgbm is not installed; pip install 'mlwf[lightgbm]'" in told  # fmt: skip # noqa: E501
    assert "e.yaml:10:16 models.catboost.algorithm: is 'catboost', and catboost is not installed; pip install 'mlwf[catboost]'" in told  # fmt: skip # noqa: E501
    assert "xgboost" not in told


def test_a_library_that_cannot_be_loaded_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(info: AlgorithmInfo) -> Any:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(AlgorithmInfo, "load_class", load)
    with pytest.raises(ConfigError) as caught:
        build("lightgbm")
    assert str(caught.value) == (
        "model.algorithm: is 'lightgbm', and lightgbm cannot be imported (libgomp.so.1: cannot open shared object "
        "file); pip install 'mlwf[lightgbm]'"
    )


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_the_catalogue_has_the_defaults_of_the_library(algorithm: str) -> None:
    described = describe_algorithm(ALGORITHMS[algorithm])["parameters"]
    X, y = numbers()
    model = with_label_codes(build(algorithm)).fit(X, y)
    used = {"lightgbm": lightgbm_parameters, "xgboost": xgboost_parameters, "catboost": catboost_parameters}[algorithm](
        model
    )
    compared = {name: used[name] for name in described if name in used}
    assert {name: value for name, value in compared.items() if value != described[name]["default"]} == {}
    assert len(compared) >= 15
    for name, parameter in described.items():
        is_known = parameter["default"] is not None
        assert not is_known or any(meets(parameter["default"], each) for each in parameter["accepts"]), name


def lightgbm_parameters(model: Any) -> dict[str, Any]:
    text = model.booster_.model_to_string().split("parameters:\n")[1].split("end of parameters")[0]
    written = dict(line.strip("[]").split(": ", 1) for line in text.splitlines() if ": " in line)
    skipped = {"monotone_constraints", "objective", "num_iterations"}
    own = {
        "colsample_bytree": "feature_fraction", "min_child_samples": "min_data_in_leaf",
        "subsample": "bagging_fraction",
        "min_child_weight": "min_sum_hessian_in_leaf", "min_split_gain": "min_gain_to_split",
        "n_estimators": "num_iterations", "reg_alpha": "lambda_l1", "reg_lambda": "lambda_l2",
        "subsample_for_bin": "bin_construct_sample_cnt", "subsample_freq": "bagging_freq",
    }  # fmt: skip
    by_name = {
        name: written[own.get(name, name)] for name in ALGORITHMS["lightgbm"].more if own.get(name, name) in written
    }
    return {
        name: like(value, ALGORITHMS["lightgbm"].more[name].default)
        for name, value in by_name.items()
        if name not in skipped
    }


def xgboost_parameters(model: Any) -> dict[str, Any]:
    (booster,) = model.estimators_
    found: dict[str, Any] = {}

    def collect(part: Any) -> None:
        for name, value in part.items() if isinstance(part, dict) else ():
            collect(value)
            if not isinstance(value, dict | list):
                found.setdefault(name, value)

    collect(json.loads(booster.get_booster().save_config()))
    own = {"gamma": "min_split_loss"}
    skipped = {"base_score", "monotone_constraints", "tree_method"}
    more = ALGORITHMS["xgboost"].more
    by_name = {name: found[own.get(name, name)] for name in more if own.get(name, name) in found}
    return {name: like(value, more[name].default) for name, value in by_name.items() if name not in skipped}


def catboost_parameters(model: Any) -> dict[str, Any]:
    (booster,) = model.estimators_
    skipped = {name for name, parameter in ALGORITHMS["catboost"].more.items() if parameter.default is None}
    skipped.add("max_leaves")  # of symmetric trees it follows from the depth
    return {name: close(value) for name, value in booster.get_all_params().items() if name not in skipped}


def like(value: str, default: Any) -> Any:
    if isinstance(default, bool):
        return value not in {"0", "false"}
    return value if isinstance(default, str) else close(float(value))


def close(value: Any) -> Any:
    # Single precision.
    return float(f"{value:.6g}") if isinstance(value, float) else value


@pytest.mark.parametrize("algorithm", BOOSTERS)
@pytest.mark.parametrize(
    "classes",
    [("no", "yes"), ("a", "b", "c"), (False, True), (-3, 7), (0.0, 1.0, 2.0)],
    ids=["two texts", "three texts", "booleans", "integers", "floats"],
)
def test_labels_of_any_type_come_out_again(algorithm: str, classes: tuple[Any, ...]) -> None:
    X, y = numbers(classes)
    model = with_label_codes(build(algorithm, **{ROUNDS[algorithm]: 20})).fit(X, y)
    assert model.classes_.tolist() == list(classes)
    predicted = model.predict(X)
    assert predicted.shape == y.shape
    assert (predicted == y).mean() > 0.8
    assert predicted.tolist() == [classes[code] for code in model.predict_proba(X).argmax(axis=1)]


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_its_fits_are_those_of_the_library(algorithm: str) -> None:
    X, y = numbers()
    codes = y if algorithm == "lightgbm" else np.unique(y, return_inverse=True)[1]
    table, rows, weight = Table(X, y, weight=np.arange(1, 121) / 60), Rows(np.arange(len(y))), np.arange(1, 121) / 60
    pipeline = Pipeline([("classifier", build(algorithm, learning_rate=0.2))])
    name = ROUNDS[algorithm]
    with Engine(table) as engine:
        requests = [FitRequest(pipeline, {f"classifier__{name}": n}, rows, (rows,)) for n in (3, 5, 3)]
        results = engine(requests)
        assert engine.counts.fitted == 1
    for result, n in zip(results, (3, 5, 3), strict=True):
        plain = clone(pipeline[-1]).set_params(**{name: n}).fit(X, codes, sample_weight=weight)
        np.testing.assert_array_equal(result.predictions[0].proba, plain.predict_proba(X))


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_a_fit_whose_pipeline_is_fitted_as_a_whole_takes_any_labels(algorithm: str, tmp_path: Path) -> None:
    X, y = numbers()
    rows = Rows(np.arange(len(y)))
    pipeline = Pipeline([("classifier", build(algorithm, **{ROUNDS[algorithm]: 3}))], memory=str(tmp_path))
    with Engine(Table(X, y)) as engine:
        (result,) = engine([FitRequest(pipeline, {}, rows, (rows,), keep_model=True)])
    assert result.error is None
    assert result.model.classes_.tolist() == ["no", "yes"]


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_a_fit_is_known_again_by_the_same_version_alone(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = numbers()
    rows = Rows(np.arange(len(y)))
    request = FitRequest(build(algorithm), {}, rows, (rows,))
    keys = [FitKeyBuilder().identify(request, Table(X, y)).key for _ in range(2)]
    monkeypatch.setattr("mlwf.engine.fit_key.version", lambda name: "0.1")
    assert keys[0] == keys[1] != FitKeyBuilder().identify(request, Table(X, y)).key
    monkeypatch.delitem(ALGORITHMS, algorithm)
    assert FitKeyBuilder().identify(request, Table(X, y)) is None


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_its_fits_give_the_same_bits_with_and_without_a_seed(algorithm: str) -> None:
    X, y = numbers()
    bagging = {"lightgbm": {"subsample_freq": 1}, "catboost": {"bootstrap_type": "Bernoulli"}}.get(algorithm, {})
    model = build(algorithm, **{ROUNDS[algorithm]: 5, "subsample": 0.5, **bagging})
    unseeded = type(model)(**{name: value for name, value in model.get_params().items() if name != "random_state"})
    for each in (model, unseeded):
        fits = [with_label_codes(clone(each)).fit(X, y).predict_proba(X) for _ in range(2)]
        np.testing.assert_array_equal(*fits)


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_a_fit_is_known_again_however_its_parameters_were_set(algorithm: str) -> None:
    X, y = numbers()
    rows = Rows(np.arange(len(y)))
    dart = {"lightgbm": {"boosting_type": "dart"}, "xgboost": {"booster": "dart"}, "catboost": {}}[algorithm]
    written = build(algorithm, max_bin=16) if algorithm != "catboost" else build(algorithm, border_count=16)
    tried = {"border_count": 16} if algorithm == "catboost" else {"max_bin": 16}
    requests = [
        FitRequest(written.set_params(**dart), {}, rows, (rows,)),
        FitRequest(clone(written), {}, rows, (rows,)),
        FitRequest(build(algorithm), tried | dart, rows, (rows,)),
    ]
    assert len({FitKeyBuilder().identify(request, Table(X, y)).key for request in requests}) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads what each thread has used from /proc")
@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_a_fit_takes_one_thread(algorithm: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS, algorithm], capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if "NUM_THREADS" not in name},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    own, others = json.loads(done.stdout)
    assert own > 5
    assert others <= 1


THREADS = """
import os, sys
import numpy as np
from mlwf.engine.label_codes import with_label_codes
from mlwf.modules.model import build_classifier
from mlwf.specs.experiment import ClassifierModelSpec

def ticks():
    found = {}
    for id in os.listdir("/proc/self/task"):
        part = open(f"/proc/self/task/{id}/stat").read().rsplit(")", 1)[1].split()
        found[id] = int(part[11]) + int(part[12])
    return found

X = np.random.default_rng(0).normal(size=(20_000, 5))
model = with_label_codes(build_classifier(ClassifierModelSpec(algorithm=sys.argv[1])))
before = ticks()
model.fit(X, X[:, 0] > 0)
used = {id: count - before.get(id, 0) for id, count in ticks().items()}
own = used.pop(str(os.getpid()))
print([own, sum(used.values())])
"""


def test_what_a_fit_costs_grows_with_its_size() -> None:
    for algorithm in BOOSTERS:
        booster = build(algorithm, **{ROUNDS[algorithm]: 100})
        twice = build(algorithm, **{ROUNDS[algorithm]: 200})
        small = estimate_seconds(booster, 1000, 10, 2)
        assert estimate_seconds(twice, 1000, 10, 2) == pytest.approx(2 * small, rel=0.1)
        assert estimate_seconds(booster, 100_000, 10, 2) > 3 * small
        assert estimate_seconds(booster, 1000, 10, 5) == pytest.approx(5 * small, rel=0.1)
        assert releases_gil(booster)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", BOOSTERS)
@pytest.mark.parametrize(("n_rows", "n_columns"), [(500, 5), (20_000, 20), (2000, 100)])
def test_the_estimate_of_a_fit_is_within_a_factor_of_three(algorithm: str, n_rows: int, n_columns: int) -> None:
    import time

    X = np.random.default_rng(0).normal(size=(n_rows, n_columns))
    y = X[:, 0] + X[:, 1] * X[:, 2] > 0
    booster = build(algorithm, **{ROUNDS[algorithm]: 50})
    started = time.process_time()
    with_label_codes(clone(booster)).fit(X, y)
    taken = time.process_time() - started
    # Other machines are faster or slower.
    assert taken / 6 < estimate_seconds(booster, n_rows, n_columns, 2) < taken * 6


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_its_model_file_is_trusted_by_the_entry_alone(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = numbers()
    model = with_label_codes(build(algorithm, **{ROUNDS[algorithm]: 3})).fit(X, y)
    save_model(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(load_model(tmp_path / "model.skops").predict_proba(X), model.predict_proba(X))
    monkeypatch.delitem(ALGORITHMS, algorithm)
    with pytest.raises(MlwfError, match=rf"holds types that a model of mlwf never has: .*{algorithm}\."):
        load_model(tmp_path / "model.skops")


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_a_model_file_without_its_library_says_what_to_install(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = numbers()
    save_model(with_label_codes(build(algorithm, **{ROUNDS[algorithm]: 3})).fit(X, y), tmp_path / "model.skops")
    for name in [name for name in sys.modules if name.partition(".")[0] == algorithm]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MlwfError) as caught:
        load_model(tmp_path / "model.skops")
    assert str(caught.value) == (
        f"{tmp_path / 'model.skops'}: the model needs {algorithm}, which is not installed; "
        f"pip install 'mlwf[{algorithm}]'"
    )


def test_a_model_requires_the_libraries_of_all_that_it_averages() -> None:
    from mlwf.engine.votes import build_vote

    X, y = numbers()
    parts = {name: with_label_codes(build(name, **{ROUNDS[name]: 2})) for name in BOOSTERS}
    vote = build_vote({name: Pipeline([("classifier", part)]) for name, part in parts.items()}, [1, 1, 2]).fit(X, y)
    pinned = {line.partition("==")[0] for line in requirements(vote)}
    assert {*DISTRIBUTIONS.values()} <= pinned
    assert not {*DISTRIBUTIONS.values()} & {line.partition("==")[0] for line in requirements(parts["lightgbm"])} - {
        "lightgbm"
    }


def test_the_wheel_that_is_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    info = AlgorithmInfo(class_path="xgboost.XGBClassifier", wheels=("no-such-wheel", "pytest"))
    assert info.distribution == "pytest"
    assert AlgorithmInfo(class_path="xgboost.XGBClassifier", wheels=("none-1", "none-2")).distribution == "none-1"
    assert AlgorithmInfo(class_path="sklearn.svm.SVC").distribution == "scikit-learn"


# How a class of another library is described


ENTRY = AlgorithmInfo(
    class_path="lightgbm.LGBMClassifier",
    extra="lightgbm",
    accepts={"num_leaves": [{"type": "integer", "min": 2, "max": 131072}]},
)


def test_an_entry_is_described_by_type_hints_and_its_own_words() -> None:
    described = describe_algorithm(ENTRY)
    parameters = described.pop("parameters")
    assert {name: described[name] for name in ("class_path", "sample_weight", "probabilities", "missing_values")} == {
        "class_path": "lightgbm.LGBMClassifier",
        "sample_weight": True,
        "probabilities": True,
        "missing_values": True,
    }
    assert not {"random_state", "n_jobs"} & parameters.keys()
    assert {name: parameters[name] for name in ("learning_rate", "class_weight", "num_leaves")} == {
        "learning_rate": {"accepts": [{"type": "number"}], "default": 0.1},
        "class_weight": {"accepts": [{"type": "map"}, {"type": "string"}, {"type": "null"}], "default": None},
        "num_leaves": {"accepts": ENTRY.accepts["num_leaves"], "default": 31},
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


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_no_hyperparameter_is_both_offered_and_refused(algorithm: str) -> None:
    info = ALGORITHMS[algorithm]
    assert not info.more.keys() & info.refuses.keys()
    written = [refusal.hint.removeprefix("write ") for refusal in info.refuses.values() if "write " in refusal.hint]
    assert set(written) <= info.more.keys()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_every_value_that_is_offered_trains(algorithm: str) -> None:
    # What needs another hyperparameter beside it, or another target.
    needs = {
        ("lightgbm", "objective"): {"multiclass", "multiclassova"},
        ("lightgbm", "boosting_type"): {"rf"},
        ("catboost", "score_function"): {"NewtonCosine", "NewtonL2"},
        ("catboost", "bagging_temperature"): {1.0},
        ("catboost", "max_leaves"): {31},
        ("catboost", "min_data_in_leaf"): {1},
    }
    X, y = numbers()
    failed = []
    for name, parameter in ALGORITHMS[algorithm].more.items():
        options = [value for constraint in parameter.accepts for value in constraint.get("values", [])]
        for value in [*options, *([] if parameter.default is None else [parameter.default])]:
            hyperparameters = {ROUNDS[algorithm]: 2} | {name: value}
            if ROUNDS[algorithm] == name or value in needs.get((algorithm, name), set()):
                continue
            try:
                with_label_codes(build(algorithm, **hyperparameters)).fit(X, y)
            except Exception as error:
                failed.append((name, value, str(error)[:80]))
    assert failed == []
