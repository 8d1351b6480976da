"""Model files: what is saved predicts the same in a process without mlwf; what could do harm is refused."""

from __future__ import annotations

import json
import operator
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold
from sklearn.neighbors import VALID_METRICS, KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mlwf.engine.label_codes import with_label_codes
from mlwf.engine.model_file import load_model, save_model, trusted_types
from mlwf.errors import MlwfError
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.orchestrator.pipeline_config import build_ml_pipeline
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    FeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
    TextFeatureSpec,
)

N = 120
BINARY = np.array(["no", "yes"] * (N // 2))
THREE = np.array(["a", "b", "c"] * (N // 3))
SMALL: dict[str, dict[str, Any]] = {
    "gradient_boosting": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 5},
    "random_forest": {"n_estimators": 5},
    "extra_trees": {"n_estimators": 5},
    "mlp": {"hidden_layer_sizes": [4], "max_iter": 5000, "tol": 0.1},
    "lightgbm": {"n_estimators": 5},
    "xgboost": {"n_estimators": 5},
    "catboost": {"iterations": 5},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient_boosting with exponential loss": ("gradient_boosting", {"n_estimators": 5, "loss": "exponential"}),
    "gradient_boosting from zero": ("gradient_boosting", {"n_estimators": 5, "init": "zero"}),
    "hist_gradient_boosting that stops early": ("hist_gradient_boosting", {"max_iter": 9, "early_stopping": True}),
    "logistic_regression by saga": ("logistic_regression", {"solver": "saga", "l1_ratio": 0.5, "max_iter": 9999}),
    "knn by ball tree": ("knn", {"algorithm": "ball_tree", "metric": "manhattan"}),
    "gaussian_process of several optimisations": ("gaussian_process", {"n_restarts_optimizer": 2}),
    "knn by brute force": ("knn", {"algorithm": "brute", "metric": "cosine"}),
    "mlp by sgd": ("mlp", {"solver": "sgd", "hidden_layer_sizes": [4], "max_iter": 5000, "tol": 0.1}),
    "lightgbm of linear trees, dropped": (
        "lightgbm",
        {"n_estimators": 5, "boosting_type": "dart", "linear_tree": True},
    ),
    "lightgbm as a forest": (
        "lightgbm",
        {"n_estimators": 5, "boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1},
    ),
    "xgboost with dropped trees": ("xgboost", {"n_estimators": 5, "booster": "dart", "rate_drop": 0.5}),
    "xgboost as boosted forests": ("xgboost", {"n_estimators": 5, "num_parallel_tree": 3, "subsample": 0.5}),
    "catboost of leaves": ("catboost", {"iterations": 5, "grow_policy": "Lossguide"}),
    "catboost by ordered boosting": ("catboost", {"iterations": 5, "boosting_type": "Ordered"}),
    "mlp by lbfgs": ("mlp", {"solver": "lbfgs", "hidden_layer_sizes": [4], "max_iter": 50000, "alpha": 5.0}),
}


def _values(kind: str) -> list[Any]:
    rng = np.random.default_rng(len(kind))
    values: list[Any] = {
        "numeric": rng.normal(size=N).round(2).tolist(),
        "categorical": rng.choice(["red", "green", "blue"], N).tolist(),
        "boolean": rng.choice([True, False], N).tolist(),
        "ordinal": rng.choice(["small", "medium", "large"], N).tolist(),
        "date": pd.date_range("2019-01-01", periods=N, freq="31h").tolist(),
        "text": [f"text {row} of {rng.choice(['one', 'another'])} kind" for row in range(N)],
    }[kind]
    return [None if hole else value for value, hole in zip(values, rng.random(N) < 0.2, strict=True)]


def _two_columns() -> list[FeatureSpec]:
    return [NumericFeatureSpec(columns=["numeric"]), CategoricalFeatureSpec(columns=["categorical"])]


def _every_option() -> list[FeatureSpec]:
    """Return every imputer, scaler and encoder of every type; each spec has a column of its own."""
    options: list[tuple[type[FeatureSpec], dict[str, Any]]] = []
    scalers = ("standard", "minmax", "maxabs", "robust", None)
    imputers = ("mean", "median", "most_frequent", "knn", None)
    options += [(NumericFeatureSpec, {"imputer": i, "scaler": s}) for i, s in zip(imputers, scalers, strict=True)]
    options += [(NumericFeatureSpec, {"scaler": scaler}) for scaler in ("quantile", "power")]
    options += [(NumericFeatureSpec, {"imputer": "constant", "fill_value": 1.5})]
    options += [
        (CategoricalFeatureSpec, {"encoder": encoder, **imputer})
        for encoder, imputer in product(
            ("onehot", "ordinal", "target"),
            ({}, {"imputer": "most_frequent"}, {"imputer": "constant", "fill_value": "red"}),
        )
    ]
    options += [(BooleanFeatureSpec, {"imputer": imputer}) for imputer in ("most_frequent", None)]
    options += [(BooleanFeatureSpec, {"imputer": "constant", "fill_value": True})]
    sizes = {"categories": ["small", "medium", "large"]}
    options += [(OrdinalFeatureSpec, {**sizes, "imputer": imputer}) for imputer in ("most_frequent", None)]
    options += [(OrdinalFeatureSpec, {**sizes, "imputer": "constant", "fill_value": "medium"})]
    parts = ["year", "quarter", "month", "day", "dayofweek", "dayofyear", "hour", "minute"]
    options += [(DateFeatureSpec, {"parts": parts})]
    options += [(TextFeatureSpec, {"n_components": 3})]
    options += [
        (DateFeatureSpec, {"imputer": imputer, "scaler": scaler, "parts": ["month"]})
        for imputer, scaler in zip(("mean", "median", "most_frequent", None, "mean"), scalers, strict=True)
    ]
    return [kind(columns=[f"column {index}"], **option) for index, (kind, option) in enumerate(options)]


def _frame(specs: list[FeatureSpec]) -> pd.DataFrame:
    return pd.DataFrame({spec.columns[0]: pd.Series(_values(spec.type), dtype=object) for spec in specs})


def _frames_to_predict(specs: list[FeatureSpec]) -> list[pd.DataFrame]:
    """Return the rows that a model predicts: all, typed, reordered, one, and missing or unseen in every way."""
    rows = _frame(specs)
    unseen = {"categorical": "violet", "ordinal": "huge"}
    known = {spec.columns[0]: rows[spec.columns[0]].dropna().iloc[0] for spec in specs}
    strange = known | {spec.columns[0]: unseen[spec.type] for spec in specs if spec.type in unseen}
    typed = rows.astype({spec.columns[0]: "string" for spec in specs if spec.type in unseen})
    return [
        rows,
        typed.convert_dtypes(),
        rows[rows.columns[::-1]].assign(more="x"),
        rows.iloc[[7]],
        pd.DataFrame([dict.fromkeys(rows)]),
        pd.DataFrame([*(dict.fromkeys(rows, kind) for kind in (None, np.nan, pd.NA, pd.NaT)), strange], dtype=object),
    ]


def _pipeline(algorithm: str, hyperparameters: dict[str, Any], specs: list[FeatureSpec]) -> Pipeline:
    spec = ClassifierModelSpec(algorithm=algorithm, hyperparameters=hyperparameters)
    return with_label_codes(
        Pipeline([("preprocessor", build_preprocessor(specs)), ("classifier", build_classifier(spec))])
    )


def _simple(algorithm: str = "logistic_regression") -> Pipeline:
    return _pipeline(algorithm, {}, _two_columns())


def _native(algorithm: str) -> Pipeline:
    numeric, categorical = _two_columns()
    model = ClassifierModelSpec(algorithm=algorithm, hyperparameters=SMALL.get(algorithm, {}))
    features = [numeric, categorical.model_copy(update={"encoder": "native"})]
    return with_label_codes(build_ml_pipeline(features, model))


def _fold() -> StratifiedKFold:
    return StratifiedKFold(3, shuffle=True, random_state=0)


CASES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "every preprocessing option": lambda: (
        _pipeline("hist_gradient_boosting", {"max_iter": 5}, _every_option()),
        THREE,
    ),
    **{
        f"native categories of {algorithm}": lambda algorithm=algorithm: (_native(algorithm), THREE)
        for algorithm, info in ALGORITHMS.items()
        if info.categories
    },
    **{
        f"{algorithm} of {len(set(y))} classes": lambda algorithm=algorithm, y=y: (
            _pipeline(algorithm, SMALL.get(algorithm, {}), _two_columns()),
            y,
        )
        for algorithm, y in product(ALGORITHMS, (BINARY, THREE))
    },
    **{
        name: lambda variant=variant: (_pipeline(*variant, _two_columns()), BINARY)
        for name, variant in VARIANTS.items()
    },
    **{
        f"{method} calibration, ensemble {ensemble}": lambda method=method, ensemble=ensemble: (
            CalibratedClassifierCV(_simple(), method=method, ensemble=ensemble, cv=_fold()),
            THREE,
        )
        for method, ensemble in product(("sigmoid", "isotonic", "temperature"), (True, False))
    },
    "calibrated svc": lambda: (CalibratedClassifierCV(_simple("svc"), cv=3), BINARY),
    "calibrated frozen model": lambda: (
        CalibratedClassifierCV(FrozenEstimator(_simple().fit(_frame(_two_columns()), BINARY))),
        BINARY,
    ),
    "threshold of a calibrated model": lambda: (
        FixedThresholdClassifier(
            CalibratedClassifierCV(_simple(), cv=_fold()),
            threshold=0.3,
            pos_label="yes",
            response_method="predict_proba",
        ),
        BINARY,
    ),
    "dummy": lambda: (DummyClassifier(strategy="prior"), BINARY),
}

FRESH_PROCESS = """
import json, pickle, sys
from pathlib import Path
sys.modules["mlwf"] = None
import skops.io

folder = Path(sys.argv[1])
trusted = json.loads(sys.argv[2])
results = {}
for file in sorted(folder.glob("*.skops")):
    model = skops.io.load(file, trusted=trusted)
    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    frames = pickle.loads(file.with_suffix(".frames").read_bytes())
    results[file.stem] = [(model.predict(rows), getattr(model, method)(rows)) for rows in frames]
(folder / "results").write_bytes(pickle.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Any], list[Any]]]:
    """Fit and save every case, and let one process without mlwf answer for all of them."""
    folder = tmp_path_factory.mktemp("models")
    expected = {}
    for case, build in CASES.items():
        model, y = build()
        specs = _every_option() if case == "every preprocessing option" else _two_columns()
        model.fit(_frame(specs), y)
        method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
        expected[case] = [(model.predict(rows), getattr(model, method)(rows)) for rows in _frames_to_predict(specs)]
        save_model(model, folder / f"{case}.skops")
        (folder / f"{case}.frames").write_bytes(pickle.dumps(_frames_to_predict(specs)))
    arguments = [sys.executable, "-W", "error", "-c", FRESH_PROCESS, str(folder), json.dumps(trusted_types())]
    finished = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    actual = pickle.loads((folder / "results").read_bytes())
    return {case: (expected[case], actual[case]) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_saved_model_predicts_the_same_in_a_process_without_mlwf(results: dict[str, Any], case: str) -> None:
    expected, actual = results[case]

    assert len(actual) == len(expected) == 6
    for (labels, scores), (expected_labels, expected_scores) in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(labels, expected_labels)
        np.testing.assert_array_equal(scores, expected_scores)
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("case", CASES)
def test_a_model_predicts_alike_however_its_rows_arrive(results: dict[str, Any], case: str) -> None:
    rows, typed, reordered, one, missing_alone, others = [scores for _, scores in results[case][0]]

    np.testing.assert_array_equal(typed, rows)
    np.testing.assert_array_equal(reordered, rows)
    np.testing.assert_allclose(one, rows[[7]], rtol=1e-12)
    for missing in others[:4]:
        np.testing.assert_allclose(missing, missing_alone[0], rtol=1e-12)


def test_every_algorithm_has_a_case() -> None:
    assert {case.split(" of ")[0] for case in CASES if case.endswith(" classes")} == set(ALGORITHMS)


@pytest.mark.parametrize("metric", sorted(set(VALID_METRICS["ball_tree"]) - {"pyfunc"}))
def test_neighbours_by_any_distance_are_saved(metric: str, tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((30, 2))
    metric_params = {"seuclidean": {"V": np.ones(2)}, "mahalanobis": {"VI": np.eye(2)}}.get(metric)
    knn = KNeighborsClassifier(metric=metric, metric_params=metric_params, algorithm="ball_tree").fit(X, BINARY[:30])

    save_model(knn, tmp_path / "model.skops")

    assert load_model(tmp_path / "model.skops").predict_proba(X).tolist() == knn.predict_proba(X).tolist()


def test_a_model_file_is_compressed(tmp_path: Path) -> None:
    model = _simple().fit(_frame(_two_columns()), BINARY)

    save_model(model, tmp_path / "model.skops")

    assert (tmp_path / "model.skops").stat().st_size < len(skops.io.dumps(model)) / 10


def test_every_trusted_name_exists() -> None:
    for name in trusted_types():
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


def test_nothing_that_calls_what_a_file_names_is_trusted() -> None:
    callers = {"operator.methodcaller", "operator.call", "numpy.vectorize", "numpy.frompyfunc", "builtins.eval"}

    assert not callers & set(trusted_types())


@pytest.mark.parametrize(
    ("function", "name"),
    [
        pytest.param(os.getcwd, "posix.getcwd", id="function"),
        pytest.param(operator.methodcaller("to_pickle", "x"), "operator.methodcaller", id="method caller"),
        pytest.param(pd.read_pickle, "pandas.io.pickle.read_pickle", id="pandas function"),
    ],
)
def test_a_type_that_is_not_allowed_is_refused(function: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(FunctionTransformer(function), path)

    with pytest.raises(MlwfError) as caught:
        load_model(path)

    assert str(caught.value) == f"{path}: refused, because it holds types that a model of mlwf never has: {name}"


def test_a_model_that_would_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_text("older")

    with pytest.raises(MlwfError) as caught:
        save_model(FunctionTransformer(os.getcwd), path)

    message = "not saved, because a model of these types would not be loaded: posix.getcwd"
    assert str(caught.value) == f"{path}: {message}"
    assert path.read_text() == "older"


def test_an_object_that_skops_cannot_write_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(MlwfError, match=r"model\.skops: a FunctionTransformer cannot be saved as a skops file: "):
        save_model(FunctionTransformer(kw_args={"x": (row for row in [1])}), tmp_path / "model.skops")


def test_saving_replaces_the_older_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_text("older")

    save_model(DummyClassifier(strategy="uniform"), path)

    assert load_model(path).strategy == "uniform"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("where", "reason"), [("absent/model.skops", "No such file or directory"), ("folder", "Is a directory")]
)
def test_a_file_that_cannot_be_written_is_an_error(where: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(MlwfError) as caught:
        save_model(DummyClassifier(), tmp_path / where)

    assert str(caught.value) == f"{tmp_path / where}: the model cannot be written: {reason}"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("where", "reason"), [("absent.skops", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_an_error(where: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(MlwfError) as caught:
        load_model(tmp_path / where)

    assert str(caught.value) == f"{tmp_path / where}: the model cannot be read: {reason}"


def _truncated(path: Path) -> None:
    save_model(DummyClassifier(), path)
    path.write_bytes(path.read_bytes()[:-30])


def _damaged(path: Path) -> None:
    save_model(DummyClassifier(), path)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)


def _other_archive(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_text("name: x"), id="text"),
        pytest.param(lambda path: path.write_bytes(pickle.dumps(DummyClassifier())), id="pickle"),
        pytest.param(_truncated, id="truncated"),
        pytest.param(_damaged, id="damaged"),
        pytest.param(_other_archive, id="another archive"),
    ],
)
def test_a_file_that_is_no_complete_skops_file_is_an_error(write: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    write(path)

    with pytest.raises(MlwfError) as caught:
        load_model(path)

    assert str(caught.value).startswith(f"{path}: this is not a whole skops file (")


@pytest.mark.parametrize("knows_skops", [True, False], ids=["known skops", "another skops"])
def test_file_is_what_skops_itself_writes(tmp_path, monkeypatch, knows_skops):
    model = _pipeline("gradient_boosting", SMALL["gradient_boosting"], _two_columns()).fit(
        _frame(_two_columns()), THREE
    )
    expected = skops.io.dumps(model)
    if not knows_skops:
        monkeypatch.setitem(sys.modules, "skops.io._utils", None)
    path = tmp_path / "model.skops"
    save_model(model, path)
    assert _content(path.read_bytes()) == _content(expected)
    with ZipFile(path) as file:
        assert (b"\n" in file.read("schema.json")) is not knows_skops


def _content(file: bytes) -> tuple[Any, list[bytes]]:
    """Give the schema and the arrays, both without the addresses of objects that skops names things by."""
    with ZipFile(BytesIO(file)) as parts:
        schema = json.loads(re.sub(rb"\d{9,}", b"0", parts.read("schema.json")))
        return schema, [parts.read(name) for name in parts.namelist() if name != "schema.json"]


def test_no_array_library_is_imported_for_model_files_and_the_same_types_are_trusted():
    trusted = "import skops.io._trusted_types as t, sys; print({k: v for k, v in vars(t).items() if '_NAMES' in k})"
    adapter = "import sklearn.externals.array_api_compat.dask.array"
    has_dask = "print('dask' in sys.modules)"
    ours = f"import mlwf.engine.model_file; {trusted}; {has_dask}; {adapter}; {has_dask}"
    expected, got = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
        for code in (trusted, ours)
    )
    assert got == [*expected, "False", "True"]
    assert "sklearn.ensemble._forest.RandomForestClassifier" in got[0]
