"""An experiment file becomes its spec, or every problem in it is told, in file order, in our words."""

from __future__ import annotations

import random
import textwrap
from pathlib import Path

import pytest

from mlwf.errors import ConfigError
from mlwf.specs.catalogue import algorithm_names, metric_names, scorer_names
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import load_experiment, load_resolved
from mlwf.specs.writing import dump_experiment

DATA = "data: {path: d.csv, target: y}\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text, name="x.yaml"):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def load(text, *overrides):
    return load_experiment(write(text), overrides)[0]


def told(text, *overrides):
    with pytest.raises(ConfigError) as raised:
        load(text, *overrides)
    return [str(problem) for problem in raised.value.problems]


# What is loaded


def test_three_lines_are_an_experiment():
    spec, document = load_experiment(write("data:\n  path: d.csv\n  target: y\n", "churn.yaml"))
    assert spec == ExperimentSpec(name="churn", data={"path": str(Path("d.csv").absolute()), "target": "y"})
    assert document.path == Path("churn.yaml")


def test_relative_paths_are_relative_to_the_file_they_are_written_in():
    write(
        """\
        data: {path: base.csv, target: y, test_path: "t/*.csv"}
        feature_store:
          repo_path: repo
          initialize: true
          views: [{name: weather, source: w.parquet, entity: origin}]
        """,
        "common/base.yaml",
    )
    text = """\
        extends: ../common/base.yaml
        data: {path: own.csv}
        tracking: {tracking_uri: "sqlite:///own.db"}
        """
    spec, _ = load_experiment(write(text, "configs/x.yaml"), ["feature_store.repo_path=../set"])
    root = Path.cwd()
    assert spec.data.path == f"{root}/configs/own.csv"
    assert spec.data.test_path == f"{root}/common/t/*.csv"
    assert spec.tracking.tracking_uri == f"sqlite:///{root}/configs/own.db"
    assert spec.feature_store.repo_path == f"{root}/set"
    assert spec.feature_store.views[0].source == f"{root}/common/w.parquet"


def test_the_default_store_lies_beside_the_experiment_file():
    write("tracking: {alias: a, registered_model_name: m}", "common/base.yaml")
    spec, _ = load_experiment(write(f"extends: ../common/base.yaml\n{DATA}", "configs/x.yaml"))
    assert spec.tracking.tracking_uri == f"sqlite:///{Path.cwd()}/configs/mlflow.db"


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:5000",
        "https://a.b",
        "databricks",
        "databricks://x",
        "postgresql+psycopg2://a/b",
        "sqlite:////a.db",
        "sqlite:///:memory:",
    ],
)
def test_addresses_stay_as_they_are(uri):
    assert load(f"{DATA}tracking: {{tracking_uri: '{uri}'}}").tracking.tracking_uri == uri


def test_a_path_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert load("data: {path: ~/d.csv, target: y}").data.path == "/home/me/d.csv"


def test_texts_that_look_like_something_else_stay_texts():
    spec = load("data: {path: d.csv, target: on, positive_class: yes, drop: [no, 1:30, 2024-01-01]}")
    assert (spec.data.target, spec.data.positive_class) == ("on", "yes")
    assert spec.data.drop == ["no", "1:30", "2024-01-01"]


def test_class_labels_keep_their_types():
    spec = load(f"{DATA}model: {{class_weight: {{0: 1.0, a: 3}}}}")
    assert spec.model.class_weight == {0: 1.0, "a": 3}


# All problems at once


def test_all_problems_are_told_at_once_in_file_order(monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    write("compute: {n_jobs: 0}\nvalidation: {cv_fold: 3}\n", "base.yaml")
    text = """\
        extends: base.yaml
        features:
          - {type: nummeric, columns: [a]}
          - {type: numeric, columns: [b, y], imputer: men}
        model:
          algorithm: svc
          hyperparameters: {C: -1}
        model: {}
        data: {path: "${env:UNSET}", targt: y}
        validation: {metrics: [log_loss], test_size: 2}
        calibration:
        """
    assert told(text, "random_state=true", "features.7=x") == [
        "x.yaml:3:12  features.0.type: is 'nummeric'; did you mean numeric?",
        "x.yaml:4:47  features.1.imputer: is 'men'; accepted: constant, knn, mean, median, most_frequent, null",
        "x.yaml:7:24  model.hyperparameters.C: is -1; accepted: a number above 0",
        "x.yaml:8:1  model: duplicate key; it is first written at x.yaml:5:1",
        "x.yaml:9:1  data: target is missing (Column to predict)",
        "x.yaml:9:14  data.path: the environment variable UNSET is not set; set it, or write ${env:UNSET:default}",
        "x.yaml:9:30  data.targt: unknown key; did you mean target?",
        "x.yaml:10:46  validation.test_size: is 2; accepted: above 0 and below 1",
        (
            "x.yaml:11:1  calibration: nothing is written here; "
            "write calibration: {} for its defaults, or calibration: null for none"
        ),
        "base.yaml:1:19  compute.n_jobs: 0 fits at the same time is none; accepted: -1 (one for each core), 1, 2, ...",
        "base.yaml:2:14  validation.cv_fold: unknown key; did you mean cv_folds?",
        "--set random_state  random_state: expected an integer, got true",
        "--set features.7  features: has no item 7; accepted: 0 to 1",
    ]


def test_a_wrong_value_elsewhere_hides_no_contradiction():
    text = (
        "random_state: x\n"
        "calibration: {holdout: 0.2, cv_folds: 3, method: m}\n"
        "features: [{type: numeric, columns: [y], scaler: s}]\n"
    )
    assert [problem.split("  ")[1].split(":")[0] for problem in told(DATA + text)] == [
        "random_state",
        "calibration.cv_folds",
        "calibration.method",
        "features.0.columns.0",
        "features.0.scaler",
    ]


def test_a_contradiction_with_something_unreadable_is_not_told():
    text = f"{DATA}calibration: {{holdout: x, cv_folds: 3}}\nmodel: {{algorithm: [svc], hyperparameters: {{C: 1}}}}"
    assert told(text) == [
        "x.yaml:2:24  calibration.holdout: expected a number, got 'x'",
        "x.yaml:3:20  model.algorithm: expected text, got a list",
    ]


def test_a_value_from_extends_and_one_from_set_are_told_at_their_origin():
    write(f"{DATA}calibration: {{method: m}}\n", "base.yaml")
    assert told("extends: base.yaml\n", "tuning.strategy=x") == [
        "base.yaml:2:23  calibration.method: is 'm'; accepted: isotonic, sigmoid, temperature",
        "--set tuning.strategy  tuning.strategy: is 'x'; accepted: grid, halving, optuna, random",
    ]


# Secrets


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("random_state: ${env:S}", ["x.yaml:2:15  random_state: expected an integer, got ${env:S}"]),
        ("on_error: ${env:S}", ["x.yaml:2:11  on_error: is ${env:S}; accepted: degrade, fail"]),
        (
            "model:\n  algorithm: ${env:S}",
            [
                (
                    "x.yaml:3:14  model.algorithm: is not accepted: ${env:S}; "
                    f"accepted: auto, {', '.join(algorithm_names())}"
                )
            ],
        ),
        (
            "model: {hyperparameters: {early_stopping: '${env:S}'}}",
            [
                (
                    "x.yaml:2:43  model.hyperparameters.early_stopping: is not accepted: ${env:S}; "
                    "accepted: auto, true or false"
                )
            ],
        ),
        (
            "features: [{type: numeric, columns: ['${env:S}', '${env:S}']}]",
            ["x.yaml:2:37  features.0.columns: is not accepted: ${env:S}"],
        ),
        (
            "features: [{type: '${env:S}', columns: [a]}]",
            [
                (
                    "x.yaml:2:19  features.0.type: is not accepted: ${env:S}; "
                    "accepted: boolean, categorical, date, numeric, ordinal, text"
                )
            ],
        ),
        (
            "validation: {metrics: ['${env:S}']}",
            [f"x.yaml:2:24  validation.metrics.0: is not accepted: ${{env:S}}; accepted: {', '.join(metric_names())}"],
        ),
        (
            "tracking: {tracking_uri: 'ftp://${env:S}'}",
            [
                (
                    "x.yaml:2:26  tracking.tracking_uri: is ftp://${env:S}, which is no store of MLflow; "
                    "accepted: sqlite:///FILE, http://HOST:PORT"
                )
            ],
        ),
        (
            (
                "tuning: {strategy: grid, scoring: [accuracy, '${env:S}'], refit: f1,\n"
                "         param_grid: {classifier__max_depth: [3]}}"
            ),
            [
                f"x.yaml:2:46  tuning.scoring.1: is not accepted: ${{env:S}}; accepted: {', '.join(scorer_names())}",
                "x.yaml:2:66  tuning.refit: is 'f1', which scoring does not name; accepted: accuracy, ${env:S}",
            ],
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_no_message_shows_what_came_from_the_environment(text, problems, monkeypatch):
    monkeypatch.setenv("S", SECRET)
    assert told(DATA + text) == problems


def test_the_dump_keeps_secrets_and_loads_the_same_from_another_folder(monkeypatch):
    monkeypatch.setenv("S", SECRET)
    monkeypatch.setenv("N", "7")
    monkeypatch.setenv("YES", "true")
    text = """\
        random_state: ${env:N}
        data: {path: "${env:S}/d.csv", target: "${env:S}", positive_class: "${env:N}", drop: ["${env:S}2"]}
        features: [{type: numeric, columns: ["${env:S}3"], imputer: constant, fill_value: !!float "${env:N}"}]
        validation:
          cv_folds: ${env:N}
          shuffle: ${env:YES}
        tracking: {tracking_uri: "sqlite:///${env:S}.db"}
        compute: {n_jobs: !!int "${env:N}"}
        """
    spec, document = load_experiment(write(text, "configs/x.yaml"))
    dumped = dump_experiment(spec, document=document)
    assert SECRET not in dumped
    assert load_experiment(write(dumped, "runs/1/config.yaml"))[0] == spec


def test_a_run_is_read_without_the_environment_it_had(monkeypatch):
    monkeypatch.setenv("S", SECRET)
    text = f"{DATA}tracking: {{tracking_uri: 'http://${{env:S}}'}}\ncompute: {{n_jobs: !!int '${{env:N:3}}'}}\n"
    spec, document = load_experiment(write(text))
    config = write(dump_experiment(spec, document=document), "runs/1/config.yaml")
    assert load_resolved(config) == spec
    monkeypatch.delenv("S")
    resolved = load_resolved(config)
    assert resolved.data == spec.data
    assert resolved.compute.n_jobs == 3
    assert resolved.tracking.tracking_uri.endswith("/mlflow.db")


def test_a_run_that_somebody_spoiled_is_told():
    with pytest.raises(ConfigError, match=r"^x.yaml:2:15  random_state: expected an integer, got 'x'$"):
        load_resolved(write(f"{DATA}random_state: x\n"))
    with pytest.raises(ConfigError, match=r"^x.yaml:2:15  random_state: the tag !x is not supported$"):
        load_resolved(write(f"{DATA}random_state: !x 3\n"))


# Anything at all


WHOLE = """\
name: whole
random_state: 7
data: {path: d.csv, test_path: t.csv, target: y, positive_class: 1, sample_weight: w, drop: [a, b], read: {sep: ";"}}
features:
  - {type: numeric, columns: [c, d], imputer: constant, fill_value: 0, scaler: null}
  - {type: ordinal, columns: [e], categories: [low, high], imputer: most_frequent}
  - {type: date, columns: [f], parts: [year, month]}
model: {algorithm: random_forest, hyperparameters: {max_depth: 3}, class_weight: {0: 1.0, 1: 2}}
tuning:
  strategy: grid
  param_grid: [{classifier__max_depth: [1, null], classifier__n_estimators: [5]}]
  scoring: [accuracy, f1]
  refit: f1
calibration: {method: isotonic, cv_folds: 3}
threshold: {scoring: f1}
validation: {strategy: train_test, test_size: 0.3, metrics: [accuracy], slices: [sex, "age > 60"]}
tracking: {tracking_uri: "sqlite:///m.db", registered_model_name: m, alias: best, register_anyway: true}
gates:
  - {metric: accuracy, min: 0.9, bound: lower, source: test, slice: sex = Female}
  - {metric: accuracy, beats: "models:/m@best", by: 0}
  - {finding: leakage}
findings: {ignore: [degraded]}
feature_store:
  repo_path: r
  initialize: true
  views: [{name: v, source: s.parquet, entity: [k], timestamp: t, ttl: 3h}]
compute: {n_jobs: 2}
on_error: fail
"""

PIECES = [
    "",
    " ",
    "\n",
    "  ",
    ":",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    '"',
    "#",
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    "|",
    ">",
]
PIECES += [
    "null",
    "true",
    "-1",
    "1e999",
    ".nan",
    "x",
    "\t",
    "é",
    "\x07",
    "${env:HOME}",
    "${env:",
    "<<",
    "? ",
    "---\n",
    "%",
    "@",
]
PIECES += [
    "9" * 30,
    "type",
    "strategy",
    "data",
    "0",
    "1",
    "[[]]",
    "{a: {b: c}}",
    "[1, [2]]",
    "extends: x.yaml\n",
    "10e400",
]


def mutated(text, chance):
    for _ in range(chance.randint(1, 4)):
        begin = chance.randrange(len(text))
        kind = chance.randrange(4)
        end = min(len(text), begin + (chance.randrange(12) if kind else 0))
        piece = chance.choice(PIECES) if kind < 3 else ""
        if kind == 2:
            lines = text.splitlines(keepends=True)
            chance.shuffle(lines)
            text = "".join(lines) if chance.random() < 0.1 else text
        text = text[:begin] + piece + text[end:]
    return text


def replaced(text, chance):
    """Put another value where one stands, such that the text is YAML still."""
    places = [
        index for index, letter in enumerate(text) if letter in ":[," and text[index + 1 : index + 2] not in ("\n", "/")
    ]
    begin = chance.choice(places) + 1
    end = begin
    while text[end] not in ",]}\n":
        end += 1
    value = chance.choice(
        ["null", "true", "-1", "0", "1.5", ".nan", "x", "''", "[]", "{}", "[x]", "{x: 1}", "1e999", "y", "[null]"]
    )
    return f"{text[:begin]} {value}{text[end:]}"


@pytest.mark.parametrize("change", [mutated, replaced])
def test_whatever_is_written_is_a_spec_or_told(change):
    chance = random.Random(20)
    outcomes = {"loaded": 0, "told": 0}
    odd: list[tuple[str, str]] = []
    for _ in range(400):
        text = change(WHOLE, chance)
        path = write(text)
        try:
            spec, document = load_experiment(path)
        except ConfigError as error:
            outcomes["told"] += 1
            lines = [str(problem) for problem in error.problems]
            odd += [(text, line) for line in lines if not line.startswith("x.yaml") or "\n" in line]
            continue
        outcomes["loaded"] += 1
        assert load_experiment(write(dump_experiment(spec, document=document), "again.yaml"))[0] == spec, text
    assert odd == []
    # Most texts that were cut and pasted are no YAML: but some are an experiment still.
    assert min(outcomes.values()) > 3, outcomes


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_set_is_a_spec_or_told(seed):
    chance = random.Random(seed)
    path = write(WHOLE)
    told = 0
    words = [
        "data",
        "features",
        "0",
        "1",
        "columns",
        "model",
        "hyperparameters",
        "max_depth",
        "tuning",
        "param_grid",
        "x",
        "",
        "type",
    ]
    for _ in range(300):
        key = ".".join(chance.choice(words) for _ in range(chance.randint(1, 4)))
        value = "".join(chance.choice(PIECES) for _ in range(chance.randint(0, 3)))
        try:
            load_experiment(path, [f"{key}={value}"])
        except ConfigError as error:
            told += bool(error.problems)
    assert told > 100


def test_a_file_name_that_is_no_text_names_the_experiment_all_the_same(tmp_path):
    path = tmp_path / "conf\udcff.yaml"
    path.write_text("data: {path: a.csv, target: y}")
    spec, _ = load_experiment(path)
    assert spec.name == r"conf\xff"


@pytest.mark.parametrize("uri", ["http://[::1", "http://host:port", "postgresql://host:99999999/db"])
def test_an_address_that_is_none_is_told(tmp_path, uri):
    path = tmp_path / "e.yaml"
    path.write_text(f"data: {{path: a.csv, target: y}}\ntracking: {{tracking_uri: '{uri}'}}\n")
    with pytest.raises(ConfigError, match=r"e\.yaml:2:26  tracking\.tracking_uri: is .*, which is no store of MLflow"):
        load_experiment(path)
