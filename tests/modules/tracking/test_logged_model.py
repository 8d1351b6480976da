"""The logged model in a fresh process that has MLflow and scikit-learn, and no mlwf."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from mlwf.errors import TrackingError
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.tracking import load_registered_model
from mlwf.modules.tracking.logged_model import save_model
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
)

FRESH = """
import json, pickle, sys
sys.modules["mlwf"] = None
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    asked = pickle.load(file)
said = {}
for name, rows in asked.items():
    raw = model.get_raw_model()
    served = model.predict(rows, params={"predict_method": "predict_proba"})
    said[name] = {"labels": list(model.predict(rows)), "proba": raw.predict_proba(rows).tolist()}
    said[name] |= {"served": served.to_numpy().tolist(), "classes": list(served)}
print(json.dumps(said))
"""

KINDS = {
    "number": NumericFeatureSpec(columns=["number"]),
    "whole": NumericFeatureSpec(columns=["whole"]),
    "small": NumericFeatureSpec(columns=["small"]),
    "flag": BooleanFeatureSpec(columns=["flag"]),
    "text": CategoricalFeatureSpec(columns=["text"]),
    "code": CategoricalFeatureSpec(columns=["code"], encoder="target"),
    "label": CategoricalFeatureSpec(columns=["label"], encoder="ordinal", imputer="most_frequent"),
    "grade": OrdinalFeatureSpec(columns=["grade"], categories=["low", "mid", "high"]),
    "day": DateFeatureSpec(columns=["day"]),
    "moment": DateFeatureSpec(columns=["moment"], parts=["hour", "dayofweek"]),
}
UNSEEN = {
    "number": 1e9,
    "whole": -5,
    "small": 0.5,
    "flag": 1,
    "text": "unseen",
    "code": 999,
    "label": "unseen",
    "grade": "unseen",
    "day": "2031-05-06",
    "moment": "2031-05-06T23:00:00+02:00",
}


def make_rows(n: int = 120) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    start = pd.Timestamp("2025-01-01")
    return pd.DataFrame(
        {
            "number": draw.normal(size=n),
            "whole": draw.integers(0, 50, n),
            "small": draw.integers(0, 9, n).astype("int8"),
            "flag": draw.random(n) < 0.5,
            "text": draw.choice(["a", "b", "c"], n),
            "code": draw.choice([10, 20, 30], n),
            "label": pd.Categorical(draw.choice(["x", "y"], n)),
            "grade": draw.choice(["low", "mid", "high"], n),
            "day": start + pd.to_timedelta(draw.integers(0, 500, n), unit="D"),
            "moment": (start + pd.to_timedelta(draw.integers(0, 9000, n), unit="h")).tz_localize("UTC"),
        }
    )


def with_value(row: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    return row.assign(**{column: pd.Series([value], index=row.index)})


def make_cases(X: pd.DataFrame) -> dict[str, pd.DataFrame]:
    row = X.iloc[[7]]
    unreadable = X.head(20).astype(object)
    for place, column in enumerate(X):
        unreadable.iloc[place, unreadable.columns.get_loc(column)] = None
    cases = {
        "as trained": X.head(20),
        "single row": row,
        "reordered": X.head(20)[list(X)[::-1]],
        "more columns": X.head(20).assign(more=1),
        "nullable dtypes": X.head(20).convert_dtypes(),
        "objects with holes": unreadable,
        "inferred with holes": unreadable.infer_objects(),
        "all missing": pd.DataFrame({column: [None] for column in X}),
        "from records": pd.DataFrame(json.loads(row.to_json(orient="records", date_format="iso"))),
    }
    for column in X:
        cases[f"{column} is None"] = row.assign(**{column: pd.Series([None], index=row.index, dtype=object)})
        cases[f"{column} is NaN"] = with_value(row, column, float("nan"))
        cases[f"{column} is NaN among others"] = X.head(5).assign(
            **{column: X.head(5)[column].astype(object).where(X.index[:5] != 2, np.nan)}
        )
        cases[f"{column} is unseen"] = with_value(row, column, UNSEEN[column])
    cases["day is NaT"] = with_value(row, "day", pd.NaT)
    return cases


CASES = list(make_cases(make_rows()))


@pytest.fixture(scope="module")
def logged(store_at, make_tracker, tmp_path_factory):
    """Log a calibrated model over a column of every kind, and predict with it in a fresh process."""
    folder = tmp_path_factory.mktemp("model")
    X = make_rows()
    y = np.where(X["number"] + (X["text"] == "a") + 0.02 * X["whole"] + X["flag"] > 1.2, "yes", "no")
    X.loc[:3, "text"] = None
    pipeline = Pipeline(
        [("preprocessor", build_preprocessor(list(KINDS.values()))), ("classifier", LogisticRegression(max_iter=2000))]
    )
    model = CalibratedClassifierCV(pipeline, cv=3).fit(X, y)
    tracker = make_tracker(store_at(folder))
    tracker.start_run()
    tracker.log_workflow_results({"pipeline": model}, X.head(100))
    path = load_registered_model(f"models:/{tracker.model_id}", tracker.tracking_uri).parent
    cases = make_cases(X)
    pd.to_pickle(cases, folder / "cases.pickle")
    command = [sys.executable, "-c", FRESH, str(path), str(folder / "cases.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return model, cases, json.loads(done.stdout), path, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_model_predicts_in_a_fresh_process_what_the_run_s_own_predicts(logged, case):
    model, cases, predicted, _, _ = logged
    assert predicted[case]["labels"] == list(model.predict(cases[case]))
    assert predicted[case]["proba"] == model.predict_proba(cases[case]).tolist()
    assert (predicted[case]["served"], predicted[case]["classes"]) == (predicted[case]["proba"], ["no", "yes"])


def test_model_answers_differ_so_that_equal_ones_mean_something(logged):
    _, _, predicted, _, _ = logged
    assert len({tuple(map(tuple, each["proba"])) for each in predicted.values()}) > 20
    assert {label for each in predicted.values() for label in each["labels"]} == {"yes", "no"}


def test_model_in_a_fresh_process_complains_of_nothing_but_extra_columns(logged):
    *_, stderr = logged
    assert re.sub(r".*Found extra inputs in the model input.*\n", "", stderr) == ""


def test_model_pins_what_a_fresh_environment_needs(logged):
    *_, path, _ = logged
    needed = ("mlflow", "scikit-learn", "skops", "pandas", "numpy", "scipy")
    assert (path / "requirements.txt").read_text().split() == [f"{name}=={version(name)}" for name in needed]


def test_model_is_stored_compressed_and_reports_its_size(logged):
    from mlflow.models import Model

    *_, path, _ = logged
    (file,) = path.glob("*.skops")
    with ZipFile(file) as parts:
        assert {part.compress_type for part in parts.infolist()} == {ZIP_DEFLATED}
    # All but the description itself, whose size is not known before it is written.
    others = sum(part.stat().st_size for part in path.rglob("*") if part.is_file() and part.name != "MLmodel")
    assert Model.load(str(path)).model_size_bytes == pytest.approx(others, abs=20_000)


def test_model_file_that_is_there_is_copied(tmp_path, logged):
    *_, path, _ = logged
    there = tmp_path / "model.skops"
    there.write_bytes((path / "model.skops").read_bytes())
    save_model(object(), tmp_path / "saved", model_file=there)
    assert (tmp_path / "saved" / "model.skops").read_bytes() == there.read_bytes()


def test_requirements_are_not_compared_with_all_that_is_installed(tmp_path, monkeypatch):
    import importlib_metadata
    from mlflow.utils import environment, requirements_utils

    asked = []
    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    monkeypatch.setattr(importlib_metadata, "packages_distributions", lambda: asked.append(True) or {})
    check = environment.warn_dependency_requirement_mismatches
    save_model(DummyClassifier(), tmp_path / "saved")
    assert (tmp_path / "saved" / "requirements.txt").read_text().splitlines()[:2] == [
        f"{name}=={version(name)}" for name in ("mlflow", "scikit-learn")
    ]
    assert not asked
    assert environment.warn_dependency_requirement_mismatches is check
    check([f"mlflow=={version('mlflow')}"])
    assert asked


def test_model_that_skops_cannot_save_is_an_error_of_tracking(tmp_path):
    model = FunctionTransformer(lambda rows: rows)
    with pytest.raises(
        TrackingError, match=r"model\.skops: not saved, because a model of these types would not be loaded: "
    ):
        save_model(model, tmp_path / "saved")


def test_model_reports_its_columns(logged):
    from mlflow.models import Model

    *_, path, _ = logged
    described = Model.load(str(path))
    inputs = described.signature.inputs
    assert inputs.input_names() == list(KINDS)
    assert described.metadata["input_columns"] == {name: str(dtype) for name, dtype in make_rows().dtypes.items()}


def test_model_that_is_served_reports_which_column_is_missing(logged):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    *_, path, _ = logged
    rows = logged[1]["as trained"].drop(columns=["text", "flag"])
    with pytest.raises(MlflowException, match=r"Model is missing inputs \['flag', 'text'\]"):
        mlflow.pyfunc.load_model(str(path)).predict(rows)


def test_model_that_is_served_reports_which_date_it_cannot_read_behind_the_words_of_the_server(logged):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    *_, path, _ = logged
    model = mlflow.pyfunc.load_model(str(path))
    record = json.loads(logged[1]["single row"].to_json(orient="records", date_format="iso"))[0] | {"day": "31/12/2020"}
    with pytest.raises(MlflowException, match="unexpected error") as caught:
        invocations(
            json.dumps({"dataframe_records": [record]}), "application/json", model, model.metadata.get_input_schema()
        )
    assert "31/12/2020" in json.loads(caught.value.serialize_as_json())["stack_trace"]


def test_server_answers_labels_and_probabilities_by_class_where_a_request_asks(logged):
    model, cases, *_ = logged
    rows = cases["single row"]
    (chances,) = model.predict_proba(rows).tolist()
    assert serve(logged) == serve(logged, {"predict_method": "predict"}) == [*model.predict(rows)]
    (served,) = serve(logged, {"predict_method": "predict_proba"})
    assert served == pytest.approx(dict(zip(["no", "yes"], chances, strict=True)))


def test_server_refuses_another_method_and_says_which_there_are(logged):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="predict_method is 'transform'; accepted: predict, predict_proba"):
        serve(logged, {"predict_method": "transform"})


def serve(logged, params=None):
    """Answer a request for one row as MLflow's server does."""
    import mlflow.pyfunc
    from mlflow.pyfunc.scoring_server import invocations

    *_, path, _ = logged
    model = mlflow.pyfunc.load_model(str(path))
    rows = json.loads(logged[1]["single row"].to_json(orient="records", date_format="iso"))
    request = {"dataframe_records": rows} | ({"params": params} if params else {})
    answer = invocations(json.dumps(request), "application/json", model, model.metadata.get_input_schema())
    assert answer.status == 200
    return json.loads(answer.response)["predictions"]


def test_model_without_probabilities_is_served_with_labels_alone(tmp_path):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    X = pd.DataFrame({"number": [0.0, 1.0, 2.0, 3.0]})
    save_model(LinearSVC().fit(X, [7, 7, 8, 8]), tmp_path / "saved", X)
    model = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    assert list(model.predict(X)) == [7, 7, 8, 8]
    with pytest.raises(MlflowException, match=r"is 'predict_proba'; accepted: predict$"):
        model.predict(X, params={"predict_method": "predict_proba"})


def test_model_brings_an_example_that_is_valid_json_and_predicts(logged):
    model, _, _, path, _ = logged
    example = json.loads((path / "serving_input_example.json").read_text(), parse_constant=pytest.fail)
    rows = pd.DataFrame(**example["dataframe_split"])
    assert rows["text"].isna().sum() == 4
    assert list(model.predict(rows)) == list(model.predict(logged[1]["as trained"].head(5)))


def test_model_over_an_array_predicts_from_arrays_and_frames(tracking_uri, make_tracker):
    import mlflow

    draw = np.random.default_rng(0)
    X = draw.normal(size=(80, 3))
    y = (X[:, 0] > 0).astype(int)
    features = [NumericFeatureSpec(columns=[0, 1]), NumericFeatureSpec(columns=[2], scaler=None)]
    model = Pipeline([("preprocessor", build_preprocessor(features)), ("classifier", LogisticRegression())]).fit(X, y)
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_workflow_results({"pipeline": model}, X[:100])
    loaded = mlflow.pyfunc.load_model(str(load_registered_model(f"models:/{tracker.model_id}", tracking_uri).parent))
    X[2, 1] = np.nan
    expected = list(model.predict(X))
    assert list(loaded.predict(X)) == expected
    assert list(loaded.predict(pd.DataFrame(X))) == expected
    assert list(loaded.predict(np.array([[1, 2, 3]]))) == [1]


def test_model_without_a_signature_where_the_spec_says_so(tracking_uri, make_tracker, tracked):
    from mlflow.models import Model

    tracker = make_tracker(tracking_uri, log_model_signature=False)
    tracker.start_run()
    tracker.log_workflow_results({"pipeline": tracked.model}, tracked.X.head(5))
    path = load_registered_model(f"models:/{tracker.model_id}", tracking_uri).parent
    assert Model.load(str(path)).signature is None
