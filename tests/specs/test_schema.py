"""The JSON Schema takes what mlwf takes, and its committed copy is current."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from mlwf.specs.schema import COMMITTED, experiment_schema

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
MINIMAL = {"data": {"path": "d.csv", "target": "y"}}


def problems(data):
    return [error.json_path for error in jsonschema.Draft202012Validator(experiment_schema()).iter_errors(data)]


def test_committed_schema_is_current():
    current = json.dumps(experiment_schema(), indent=2) + "\n"
    assert COMMITTED.read_text() == current, "run: python -m mlwf.specs.schema"


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(experiment_schema())


@pytest.mark.parametrize("config", CONFIGS, ids=[config.stem for config in CONFIGS])
def test_schema_takes_the_shipped_configs(config):
    assert problems(yaml.safe_load(config.read_text())) == []


def test_schema_takes_values_from_the_environment():
    data = {**MINIMAL, "random_state": "${env:SEED:42}", "validation": {"shuffle": "${env:SHUFFLE}"}}
    assert problems(data) == []


def test_schema_takes_splits_gates_and_findings():
    data = {
        "data": {"path": "d.csv", "target": "y", "groups": "g"},
        "threshold": {"scoring": "f1"},
        "validation": {"splitter": "leave_one_group_out", "nested": True, "slices": ["sex", "age > 60"]},
        "gates": [{"metric": "ece", "max": 0.03, "bound": "upper", "source": "test"}, {"finding": "leakage"}],
        "findings": {"ignore": ["rare_class"]},
    }
    assert problems(data) == []


@pytest.mark.parametrize(
    ("section", "value", "path"),
    [
        ("modle", {}, "$"),
        ("model", {"algorithm": "gradient_bosting"}, "$.model.algorithm"),
        ("random_state", "forty-two", "$.random_state"),
        ("validation", {"metrics": ["accurracy"]}, "$.validation.metrics"),
        ("tuning", {"param_grid": {}}, "$.tuning"),
        ("features", [{"columns": ["a"]}], "$.features"),
        ("threshold", {"scoring": "roc_auc"}, "$.threshold"),
        ("validation", {"splitter": "kfolds"}, "$.validation.splitter"),
        ("gates", [{"metric": "accurracy"}], "$.gates[0].metric"),
        ("gates", [{"finding": "leekage"}], "$.gates[0].finding"),
        ("gates", [{"mim": 1}], "$.gates[0]"),
        ("findings", {"ignore": ["leekage"]}, "$.findings.ignore[0]"),
    ],
    ids=[
        "unknown section",
        "unknown algorithm",
        "wrong type",
        "unknown metric",
        "no strategy",
        "no type",
        "scorer without threshold",
        "unknown splitter",
        "unknown metric in a gate",
        "unknown finding in a gate",
        "unknown key in a gate",
        "unknown finding",
    ],
)
def test_schema_refuses(section, value, path):
    data = copy.deepcopy(MINIMAL)
    data[section] = value
    assert problems(data) == [path]


def test_schema_wants_data_unless_the_file_extends_another():
    assert problems({"name": "x"}) == ["$"]
    assert problems({"extends": "base.yaml", "name": "x"}) == []


def test_every_field_has_its_sentence():
    schema = experiment_schema()
    sections = {"the file": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, field in section["properties"].items()
        # A section whose sentence is that of its spec says it there.
        if not (field.get("description") or "$ref" in field)
    ]
    assert silent == []
