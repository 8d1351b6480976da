"""What is written loads again to the same experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import CategoricalFeatureSpec, NumericFeatureSpec
from mlwf.specs.loading import load_experiment
from mlwf.specs.writing import LEFT_OUT, draft_experiment_text, dump_experiment

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def loaded(tmp_path, text, name="experiment.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return load_experiment(path)


@pytest.mark.parametrize("config", CONFIGS, ids=[config.stem for config in CONFIGS])
def test_dump_experiment_loads_to_the_same_spec(config, tmp_path):
    spec, document = load_experiment(config)
    assert loaded(tmp_path, dump_experiment(spec, document=document))[0] == spec


@pytest.mark.parametrize("name", ["1e-3", "0o17", "12:30", "yes", "null", "2024-01-05", "~", "1_000", "=", "a: b", "#"])
def test_dump_experiment_keeps_texts_that_look_like_something_else(name, tmp_path):
    spec = ExperimentSpec(
        name="texts",
        data={"path": "/data.csv", "target": "y", "positive_class": name},
        features=[NumericFeatureSpec(columns=[name], scaler=None)],
        model={"class_weight": {name: 2.0, 0: 1.0, True: 3.0}},
    )
    assert loaded(tmp_path, dump_experiment(spec))[0] == spec


GROUPS, TIME, FOLD = "groups: g", "time: t", "fold: f"


@pytest.mark.parametrize(
    ("columns", "validation", "written"),
    [
        ("", "{}", {"splitter": "stratified_kfold", "cv_folds": 5, "shuffle": True}),
        ("", "{splitter: kfold, shuffle: false}", {"splitter": "kfold", "cv_folds": 5, "shuffle": False}),
        (
            "",
            "{splitter: repeated_kfold, n_repeats: 7}",
            {"splitter": "repeated_kfold", "cv_folds": 5, "shuffle": True, "n_repeats": 7},
        ),
        (GROUPS, "{cv_folds: 3}", {"splitter": "stratified_group_kfold", "cv_folds": 3, "shuffle": True}),
        (GROUPS, "{splitter: leave_one_group_out}", {"splitter": "leave_one_group_out"}),
        (FOLD, "{}", {"splitter": "predefined_split"}),
        (TIME, "{gap: 2}", {"splitter": "time_series_split", "cv_folds": 5, "gap": 2}),
        (
            TIME,
            "{max_train_size: 50}",
            {"splitter": "time_series_split", "cv_folds": 5, "gap": 0, "max_train_size": 50},
        ),
    ],
)
def test_dump_experiment_writes_the_resolved_splitter_and_what_it_uses(columns, validation, written, tmp_path):
    text = f"data: {{path: /d.csv, target: y, {columns}}}\nvalidation: {validation}\n"
    spec, document = loaded(tmp_path, text)
    resolved = spec.validation.model_copy(update={"splitter": spec.splitter})
    dumped = dump_experiment(spec.model_copy(update={"validation": resolved}), document=document)
    again, _ = loaded(tmp_path, dumped)
    assert again == spec.model_copy(update={"validation": resolved})
    rest = {"strategy": "cross_validation", "refit": False, "nested": False}
    assert yaml.safe_load(dumped)["validation"] == rest | written


def test_dump_experiment_writes_gates_as_they_are_meant(tmp_path):
    text = """\
data: {path: /d.csv, target: y, test_path: /t.csv}
threshold: {scoring: f1}
validation: {metrics: [f1], slices: [sex]}
tracking: {tracking_uri: "sqlite:////m.db", registered_model_name: m, register_anyway: true}
gates:
  - {metric: f1, min: 0, slice: sex=Female}
  - {metric: f1, beats: "models:/m@champion", by: 0.01, bound: lower, source: test}
  - {finding: leakage}
findings: {ignore: [degraded]}
"""
    spec, document = loaded(tmp_path, text)
    dumped = dump_experiment(spec, document=document)
    assert loaded(tmp_path, dumped)[0] == spec
    content = yaml.safe_load(dumped)
    assert content["gates"] == [
        {"metric": "f1", "min": 0.0, "bound": "point", "slice": "sex=Female"},
        {"metric": "f1", "beats": "models:/m@champion", "by": 0.01, "bound": "lower", "source": "test"},
        {"finding": "leakage"},
    ]
    assert content["findings"] == {"ignore": ["degraded"]}
    assert content["threshold"] == {"enabled": True, "scoring": "f1"}


def test_dump_experiment_says_nothing_of_gates_and_findings_that_are_none():
    dumped = dump_experiment(ExperimentSpec(data={"path": "d.csv", "target": "y"}))
    assert not {"gates", "findings", "threshold"} & yaml.safe_load(dumped).keys()


def test_dump_experiment_keeps_what_came_from_the_environment_to_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKING", "http://me:hunter2@tracking.example")
    text = "data: {path: d.csv, target: y}\ntracking: {tracking_uri: '${env:TRACKING}'}\n"
    spec, document = loaded(tmp_path, text)
    dumped = dump_experiment(spec, document=document)
    assert "hunter2" not in dumped
    assert loaded(tmp_path, dumped)[0] == spec


def test_draft_explains_each_key_and_loads(tmp_path):
    spec = ExperimentSpec(
        name="penguins",
        data={"path": "penguins.csv", "target": "species", "drop": ["id"]},
        features=[NumericFeatureSpec(columns=["bill"]), CategoricalFeatureSpec(columns=["sex"])],
    )
    text = draft_experiment_text(spec)
    assert (
        text
        == """\
# Name of the experiment, its model and its runs; the default is the file's name.
name: penguins

# The table to learn from.
data:
  # CSV or Parquet: a file, a folder or a glob, relative to this file.
  path: penguins.csv
  # Column to predict.
  target: species
  # Columns that are not features.
  drop: [id]

# Which columns go in and how each is prepared; `auto` infers it from the data.
features:
  - type: numeric
    columns: [bill]
    imputer: median
    scaler: standard
  - type: categorical
    columns: [sex]
    imputer: null
    encoder: onehot

# The classifier.
model:
  # Which classifier, by its name in the catalogue, or `auto`.
  algorithm: hist_gradient_boosting

# How the reported score is estimated.
validation:
  # `cross_validation` for most data, `train_test` for a single hold-out split off before
  # anything is fitted, or `none`.
  strategy: cross_validation
  # Number of folds, of tuning and calibration too unless they say otherwise.
  cv_folds: 5

# Which hyperparameters to try; left out, none.
# tuning: {strategy: random, n_iter: 10, scoring: neg_log_loss}

# How scores become probabilities; left out, as the classifier gives them.
# calibration: {method: sigmoid}

# Where MLflow keeps the run; left out, only `runs/` does.
# tracking: {tracking_uri: 'sqlite:///mlflow.db'}

"""
    )
    assert loaded(tmp_path, text)[0].features == spec.features


def test_draft_leaves_sections_out_that_load_when_uncommented(tmp_path):
    spec = ExperimentSpec(name="x", data={"path": "d.csv", "target": "y"})
    lines = draft_experiment_text(spec).splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("# tuning:"))
    uncommented = [
        line.removeprefix("# ") if line[2:3].islower() or line.startswith("#  ") else line for line in lines[begin:]
    ]
    spec, _ = loaded(tmp_path, "\n".join([*lines[:begin], *uncommented]))
    assert spec.tuning is not None
    assert spec.tuning.n_iter == LEFT_OUT["tuning"]["n_iter"]
    assert spec.calibration is not None
    assert spec.tracking is not None


def test_draft_is_yaml_of_any_reader():
    spec = ExperimentSpec(name="x", data={"path": "d.csv", "target": "y"})
    assert yaml.safe_load(draft_experiment_text(spec))["data"] == {"path": "d.csv", "target": "y"}


@pytest.mark.parametrize(
    "text",
    [
        "tracking: {tracking_uri: 'postgresql://me:s3cret@host/db'}",
        "compute: {backend: dask, address: 'tcp://s3cret:s3cret@host:8786'}",
        "feature_store: {repo_path: 's3://me:s3cret@bucket/repo', features: ['a:b']}",
    ],
    ids=["store", "scheduler", "feature repo"],
)
def test_the_login_of_an_address_is_not_written(tmp_path, text):
    if "compute" in text:
        spec = ExperimentSpec.model_validate(
            {"data": {"path": "d.csv", "target": "y"}, "compute": {"address": "tcp://s3cret:s3cret@host:8786"}}
        )
        written = dump_experiment(spec)
    else:
        (tmp_path / "x.yaml").write_text(f"data: {{path: d.csv, target: y}}\n{text}\n")
        spec, document = load_experiment(tmp_path / "x.yaml")
        written = dump_experiment(spec, document=document)
    assert "s3cret" not in written
