"""Every experiment file that the project ships is valid, by itself and with its data, and the first one trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mlwf.cli.boundary import run
from mlwf.specs.loading import load_experiment

ROOT = Path(__file__).parent.parent
SHIPPED = sorted(
    str(path.relative_to(ROOT))
    for folder in ("configs", "examples")
    for path in (ROOT / folder).rglob("*.yaml")
    # A Feast repo that a run has made has a file of its own.
    if path.name != "feature_store.yaml" or path.parent.name == "configs"
)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    for part in ("configs", "examples"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("runs", "feature_repo", "ml*"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_are_found():
    assert {"configs/minimal.yaml", "configs/feature_store.yaml", "examples/titanic/titanic.yaml"} <= set(SHIPPED)


def test_all_are_valid(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert run(["validate", *SHIPPED]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "config",
    # Those with a feature store import Feast and join.
    [
        pytest.param(config, marks=[pytest.mark.slow] if "feature_store" in config else [], id=config)
        for config in SHIPPED
    ],
)
def test_config_is_valid_with_its_data(config, copy, capsys):
    assert run(["validate", "--data", config]) == 0, capsys.readouterr().err


def test_minimal_is_three_lines():
    assert len((ROOT / "configs/minimal.yaml").read_text().splitlines()) == 3


@pytest.mark.parametrize("config", [config for config in SHIPPED if config != "configs/minimal.yaml"])
def test_config_begins_with_what_it_is_for(config):
    assert (ROOT / config).read_text().startswith("# ")


def test_every_config_has_a_name_of_its_own():
    names = [load_experiment(ROOT / config)[0].name for config in SHIPPED]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.slow
def test_quickstart_runs_every_phase(copy, capsys):
    assert run(["train", "configs/quickstart.yaml", "--format", "json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {phase["name"]: phase["status"] for phase in told["phases"]} == dict.fromkeys(
        ["initialise", "build", "tune", "fit", "calibrate", "validate", "test", "findings", "log"], "done"
    ) | {"threshold": "skipped"}
    assert [gate["passed"] for gate in told["gates"]] == [True, True]
    assert told["summary"]["cv_score"] > 0.95
    assert told["summary"]["test_accuracy"] > 0.95
    assert told["tracking"]["registered_model"] == "penguins"
    assert {path.name for path in copy.iterdir()} == {"configs", "examples", "mlartifacts", "mlflow.db", "runs"}
