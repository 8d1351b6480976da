"""A run, and all that reads a table for its model afterwards, read it as the training did."""

from __future__ import annotations

import shutil
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlwf import CategoricalFeatureSpec, ClassifierModelSpec, NumericFeatureSpec, run_ml_workflow
from mlwf.errors import DataError, MlwfError, UsageError
from mlwf.orchestrator.api import check_data, run_experiment
from mlwf.orchestrator.champion import load_champions
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.drafting import draft_experiment
from mlwf.orchestrator.prediction import predict_table
from mlwf.orchestrator.run_data import load_tables
from mlwf.orchestrator.run_log import RunLog
from mlwf.specs.data import ReadSpec
from mlwf.specs.loading import load_experiment

CODES = ["010", "020", "030", "040", "050", "060"]
EXPERIMENT = """
data: {path: train.csv, target: label}
features:
  - {type: categorical, columns: [code]}
  - {type: numeric, columns: [x]}
model: {algorithm: logistic_regression}
validation: {strategy: none}
"""


def rows_of_codes(n=240, seed=0):
    rng = np.random.default_rng(seed)
    code = rng.choice(CODES, n)
    label = np.where(rng.random(n) < np.where(code < "035", 0.95, 0.05), "yes", "no")
    return pd.DataFrame(
        {"account": [f"{i:06}" for i in range(n)], "code": code, "x": rng.normal(size=n), "label": label}
    )


@pytest.fixture(scope="module")
def codes_run(tmp_path_factory):
    """Train on codes with leading zeros, with a store; give the folder."""
    folder = tmp_path_factory.mktemp("codes")
    rows_of_codes().to_csv(folder / "train.csv", index=False)
    (folder / "e.yaml").write_text(EXPERIMENT + "tracking: {registered_model_name: codes, alias: champion}\n", "utf-8")
    train(folder)
    return folder


def train(folder, *overrides):
    spec, document = load_experiment(folder / "e.yaml", overrides)
    return run_experiment(spec, document, runs_dir=folder / "runs")


def predict(folder, name, run="latest", **options):
    out = folder / f"out_{name}"
    store = f"sqlite:///{folder}/mlflow.db"
    done = predict_table(run, str(folder / name), out, runs_dir=folder / "runs", tracking_uri=store, **options)
    if name.endswith(".parquet"):
        return done, pq.read_table(out).to_pandas()
    return done, pd.read_csv(out, dtype=str, keep_default_na=False)


def probabilities(frame):
    return frame["probability_yes"].astype(float).to_numpy()


@pytest.fixture(scope="module")
def known(codes_run):
    """Give the probabilities of the six codes."""
    pd.DataFrame({"code": CODES, "x": 0.0}).to_csv(codes_run / "known.csv", index=False)
    return probabilities(predict(codes_run, "known.csv")[1])


@pytest.mark.parametrize("run", ["latest", "models:/codes@champion"], ids=["run", "registry"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_unseen_code_changes_nothing_of_the_others(codes_run, known, run, suffix):
    table = pd.DataFrame({"code": [*CODES, "X99"], "x": 0.0})
    name = f"letters{suffix}"
    table.to_csv(codes_run / name, index=False) if suffix == ".csv" else table.to_parquet(codes_run / name)
    done, out = predict(codes_run, name, run)
    assert np.array_equal(probabilities(out)[:6], known)
    assert [str(each) for each in done.unknown] == [
        "1 of 7 rows holds values of `code` that training never saw: X99 (1)"
    ]


def test_a_table_of_unseen_codes_is_refused_and_so_is_any_where_asked(codes_run):
    pd.DataFrame({"code": [10] * 20, "x": 0.0}).to_parquet(codes_run / "numbers.parquet")
    with pytest.raises(
        DataError, match=r"code: 20 of 20 rows hold values of `code` that training never saw: 10 \(20\)"
    ):
        predict(codes_run, "numbers.parquet")
    pd.DataFrame({"code": ["010", "X99"], "x": 0.0}).to_csv(codes_run / "one.csv", index=False)
    with pytest.raises(DataError, match="--fail-on-unseen forbids it"):
        predict(codes_run, "one.csv", fail_on_unseen=True)
    assert not (codes_run / "out_one.csv").exists()


def test_columns_that_are_passed_through_keep_their_texts(codes_run):
    (codes_run / "keys.csv").write_text(
        "account,big,version,country,note,code,x\n"
        '000001,100000000000000001,2.10,NA,"a, b",010,1\n'
        "000002,,1.00,,  c ,020,2\n",
        "utf-8",
    )
    out = predict(codes_run, "keys.csv")[1]
    assert out.iloc[:, :5].to_numpy().tolist() == [
        ["000001", "100000000000000001", "2.10", "NA", "a, b"],
        ["000002", "", "1.00", "", "  c "],
    ]


def test_columns_of_parquet_that_are_passed_through_keep_their_types(codes_run):
    table = pa.table(
        {
            "key": pa.array([Decimal(10**24), None], pa.decimal128(38, 0)),
            "id": pa.array([10**17 + 1, None], pa.int64()),
            "code": ["010", "020"],
            "x": [1.0, 2.0],
        }
    )
    pq.write_table(table, codes_run / "typed.parquet")
    predict(codes_run, "typed.parquet")
    out = pq.read_table(codes_run / "out_typed.parquet")
    assert out.select(["key", "id"]).equals(table.select(["key", "id"]))


def test_a_column_with_the_name_of_an_output_is_kept_under_another(codes_run, known):
    pd.DataFrame({"code": CODES, "x": 0.0, "prediction": "old", "probability_yes": 0.5, "input_prediction": 1}).to_csv(
        codes_run / "taken.csv", index=False
    )
    done, out = predict(codes_run, "taken.csv")
    assert done.renamed == {"prediction": "input_prediction_", "probability_yes": "input_probability_yes"}
    assert out["input_prediction_"].tolist() == ["old"] * 6
    assert np.array_equal(probabilities(out), known)


def test_a_table_may_be_written_otherwise_than_the_training(codes_run, known):
    pd.DataFrame({"code": CODES, "x": 0.0}).to_csv(codes_run / "semi.csv", index=False, sep=";", decimal=",")
    _, out = predict(codes_run, "semi.csv", read={"sep": ";", "decimal": ","})
    assert np.array_equal(probabilities(out), known)


def test_a_run_without_a_schema_still_predicts(codes_run, known, tmp_path):
    shutil.copytree(codes_run / "runs", tmp_path / "runs")
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.name.startswith("2"))
    (run / "table_schema.json").unlink()
    shutil.copy(codes_run / "known.csv", tmp_path)
    assert np.array_equal(probabilities(predict(tmp_path, "known.csv")[1]), known)


def test_a_schema_of_another_version_is_refused_in_a_sentence(codes_run, tmp_path):
    shutil.copytree(codes_run / "runs", tmp_path / "runs")
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.name.startswith("2"))
    (run / "table_schema.json").write_text('{"version": 99, "columns": []}', "utf-8")
    shutil.copy(codes_run / "known.csv", tmp_path)
    with pytest.raises(MlwfError, match=r"table_schema\.json: is no table schema that this version of mlwf can read"):
        predict(tmp_path, "known.csv")


def test_a_file_is_read_as_the_frame_was_that_a_run_from_python_was_given(tmp_path):
    rows = rows_of_codes().drop(columns="account").assign(code=lambda frame: frame["code"].replace("060", "NA"))
    features = [CategoricalFeatureSpec(columns=["code"]), NumericFeatureSpec(columns=["x"])]
    results = run_ml_workflow(
        features,
        ClassifierModelSpec(algorithm="logistic_regression"),
        rows.drop(columns="label"),
        rows["label"],
        "none",
        runs_dir=tmp_path / "runs",
    )
    rows.to_csv(tmp_path / "t.csv", index=False)
    done, out = predict(tmp_path, "t.csv")
    expected = results["pipeline"].predict_proba(rows[["code", "x"]])[:, 1]
    np.testing.assert_array_equal(probabilities(out), expected)
    assert not done.unknown


def loaded(folder, text, *overrides):
    (folder / "e.yaml").write_text(text, "utf-8")
    return load_tables(load_experiment(folder / "e.yaml", overrides)[0])


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["007", "7"], ["007", "7"]),
        (["1E5", "10E4"], ["10E4", "1E5"]),
        (["01", "02"], ["01", "02"]),
        (["1", "0"], [0, 1]),
        (["TRUE", "FALSE"], [False, True]),
    ],
    ids=["leading zeros", "exponents", "two digits", "whole numbers", "booleans"],
)
def test_labels_stay_apart_as_they_are_written(tmp_path, texts, classes):
    pd.DataFrame({"x": [0.5, 1.5] * 10, "y": texts * 10}).to_csv(tmp_path / "t.csv", index=False)
    data = loaded(tmp_path, "data: {path: t.csv, target: y}\n").data
    assert np.unique(data.y).tolist() == classes


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_many_codes_are_classes_where_the_file_says_so(tmp_path, suffix):
    frame = pd.DataFrame({"x": np.arange(1800) % 7, "y": np.arange(1800) % 60})
    name = f"t{suffix}"
    frame.to_csv(tmp_path / name, index=False) if suffix == ".csv" else frame.to_parquet(tmp_path / name)
    text = f"data: {{path: {name}, target: y}}\n"
    with pytest.raises(DataError, match=r"data\.types: \{y: text\} takes them so"):
        loaded(tmp_path, text)
    assert len(np.unique(loaded(tmp_path, text, "data.types.y=text").data.y)) == 60


@pytest.mark.parametrize("path", ["t", "t/**/*.parquet", "t/region=*/*.parquet"])
def test_keys_of_folders_are_columns(tmp_path, path):
    frame = pd.DataFrame({"x": range(20), "region": ["north", "so/uth"] * 10, "y": ["a", "b", "b", "a"] * 5})
    frame.to_parquet(tmp_path / "t", partition_cols=["region"])
    data = loaded(tmp_path, f"data: {{path: '{path}', target: y}}\n").data
    assert sorted(zip(data.X["x"], data.X["region"], strict=True)) == sorted(zip(frame.x, frame.region, strict=True))


def test_a_key_of_folders_that_is_a_column_too_is_refused(tmp_path):
    (tmp_path / "t" / "x=1").mkdir(parents=True)
    pd.DataFrame({"x": [1], "y": ["a"]}).to_csv(tmp_path / "t" / "x=1" / "a.csv", index=False)
    with pytest.raises(DataError, match="x: is a column of the file and the key of its folder too"):
        loaded(tmp_path, "data: {path: t, target: y}\n")


@pytest.mark.parametrize("keep", [True, False])
def test_csv_and_parquet_of_one_table_are_one_table(tmp_path, keep):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "country": rng.choice(["NA", "ZA", ""], 60),
            "id": pa.array([10**17 + int(i) for i in rng.integers(0, 5, 59)] + [None]).to_pandas(
                integer_object_nulls=True
            ),
            "n": rng.normal(size=60),
            "when": ["9999-12-31", "2024-03-31"] * 30,
            "y": ["a", "b"] * 30,
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    pq.write_table(
        pa.table({**frame, "id": pa.array(frame["id"], pa.int64(), from_pandas=True)}), tmp_path / "t.parquet"
    )
    text = """
data: {path: t.csv, target: y}
features:
  - {type: categorical, columns: [country, id]}
  - {type: numeric, columns: [n]}
  - {type: date, columns: [when]}
"""
    one, other = (
        loaded(tmp_path, text, f"data.path={name}", f"data.read.keep_default_na={str(keep).lower()}").data
        for name in ("t.csv", "t.parquet")
    )
    pd.testing.assert_frame_equal(one.X, other.X, check_exact=True)
    assert one.digest == other.digest
    assert set(one.X["country"].dropna()) == ({"ZA"} if keep else {"ZA", "NA"})
    assert one.X["id"].nunique() == 5


def test_what_was_read_as_missing_is_told(tmp_path):
    pd.DataFrame({"country": ["NA", "ZA"] * 10, "y": ["a", "b", "b", "a"] * 5}).to_csv(tmp_path / "t.csv", index=False)
    text = "data: {path: t.csv, target: y, read: {na_values: ['-9']}}\n"
    text += "features: [{type: categorical, columns: [country]}]\n"
    assert list(loaded(tmp_path, text).notes()) == [
        "read as missing: country ('NA' 10); data.read.keep_default_na: false keeps such words as texts",
        "data.read.na_values: '-9' is nowhere in the table",
    ]
    assert list(loaded(tmp_path, text, "data.read.keep_default_na=false", "data.read.na_values=[]").notes()) == []


def test_a_class_that_is_read_as_missing_is_named(tmp_path):
    pd.DataFrame({"x": range(30), "y": ["None", "minor", "major"] * 10}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError) as raised:
        loaded(tmp_path, "data: {path: t.csv, target: y}\n")
    assert str(raised.value).removeprefix(f"{tmp_path}/") == (
        "t.csv  y: 10 of 30 values missing in the target, of them 'None' in 10 rows; "
        "data.read.keep_default_na: false keeps such words as classes, and "
        "data.drop_missing_target: true leaves these rows out"
    )


def test_a_test_set_is_read_by_the_training(tmp_path):
    rows_of_codes().to_csv(tmp_path / "train.csv", index=False)
    test = rows_of_codes(100, seed=1)
    test.loc[3, "code"] = "X99"
    test.to_csv(tmp_path / "test.csv", index=False)
    (tmp_path / "e.yaml").write_text(EXPERIMENT.replace("train.csv,", "train.csv, test_path: test.csv,"), "utf-8")
    spec, document = load_experiment(tmp_path / "e.yaml")
    told = "test set: 1 of 100 rows holds values of `code` that training never saw: X99 (1)"
    assert check_data(spec, document) == [told]
    summary = train(tmp_path)
    assert summary["warnings"] == [told]
    assert summary["data"]["unknown_in_test"][0]["values"] == {"X99": 1}
    (accuracy,) = (score["value"] for score in summary["scores"] if score["metric"] == "accuracy")
    assert accuracy > 0.85
    with pytest.raises(DataError, match="--fail-on-unseen forbids it"):
        run_experiment(spec, document, runs_dir=tmp_path / "runs", fail_on_unseen=True)


def test_a_champion_reads_the_rows_as_its_own_training_did(codes_run):
    """The codes are numbers to this experiment, and texts to the champion."""
    rows_of_codes(200, seed=3).to_csv(codes_run / "new.csv", index=False)
    text = (
        "data: {path: new.csv, target: label, drop: [account]}\n"
        "features: [{type: numeric, columns: [code, x]}]\n"
        "model: {algorithm: logistic_regression}\n"
        "validation: {strategy: train_test, test_size: 0.4, metrics: [accuracy]}\n"
        "tracking: {}\n"
        "gates: [{metric: accuracy, beats: 'models:/codes@champion'}]\n"
    )
    (codes_run / "challenger.yaml").write_text(text, "utf-8")
    spec, _ = load_experiment(codes_run / "challenger.yaml")
    context = RunContext(spec, load_tables(spec), RunLog())
    (champion,) = load_champions(context).values()
    rows_of_codes(200, seed=3).drop(columns="label").to_csv(codes_run / "again.csv", index=False)
    labels = predict(codes_run, "again.csv", "models:/codes@champion")[1]["prediction"]
    assert champion.predictions.labels.tolist() == labels[context.split.test.index].tolist()
    assert (champion.predictions.labels == context.run_data.data.y[context.split.test.index]).mean() > 0.9


def test_init_reads_as_it_is_told_and_leaves_out_what_no_feature_can_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pa.table(
        {
            "zip": ["x"] * 20,
            "list": pa.array([[1]] * 20),
            "time": pa.array([1] * 20, pa.time32("s")),
            "n": np.arange(20) % 7 / 2,
            "y": ["a", "b"] * 10,
        }
    )
    pq.write_table(table, "t.parquet")
    spec, _ = load_experiment(draft_experiment("t.parquet", "y", None, drop=["zip"]).path)
    assert spec.data.drop == ["zip", "list", "time"]
    (tmp_path / "codes.csv").write_text(
        "zip;n;y\n" + "".join(f"0{i};1,{i};{'ab'[i % 2]}\n" for i in range(9)) * 3, "utf-8"
    )
    with pytest.raises(DataError, match=r"data\.read\.sep"):
        draft_experiment("codes.csv", "y", None)
    path = draft_experiment("codes.csv", "y", None, read=ReadSpec(sep=";", decimal=",")).path
    spec, document = load_experiment(path)
    assert spec.data.types == {"zip": "text"}
    assert (spec.data.read.sep, spec.data.read.decimal) == (";", ",")
    assert [(feature.type, feature.columns) for feature in spec.features] == [
        ("categorical", ["zip"]),
        ("numeric", ["n"]),
    ]
    assert check_data(spec, document) == []
    with pytest.raises(UsageError, match=r"--drop zop: no such column in codes\.csv; did you mean zip\?"):
        draft_experiment("codes.csv", "y", tmp_path / "b.yaml", read=ReadSpec(sep=";"), drop=["zop"])


def test_a_column_may_be_called_like_a_variable_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"${env:HOME}": [1.5, 2, 3, 1.5] * 5, "self": [1, 2] * 10, "y": ["a", "b"] * 10}).to_csv(
        "t.csv", index=False
    )
    spec, document = load_experiment(draft_experiment("t.csv", "y", None).path)
    assert spec.features[0].columns == ["${env:HOME}", "self"]
    assert check_data(spec, document) == []
