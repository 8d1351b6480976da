"""The JSON Schema of experiment files, made of the specs; editors complete and check the YAML with it.

`python -m mlwf.specs.schema` writes the copy that is committed beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from mlwf.specs.catalogue import FINDINGS, algorithm_names, metric_names, scorer_names
from mlwf.specs.experiment import AUTO, ExperimentSpec, threshold_scorers
from mlwf.specs.tuning import TuningSection

COMMITTED = Path(__file__).with_name("experiment.schema.json")
SUMMARY = Path(__file__).with_name("summary.schema.json")
"""That of a run's summary; it is written by hand."""

FROM_ENVIRONMENT = {"type": "string", "pattern": r"\$\{env:[A-Za-z_][A-Za-z0-9_]*(:[^}]*)?\}"}
"""A value that is read from the environment, and may stand where a number or a boolean is expected."""


def experiment_schema() -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of an experiment file."""
    schema = ExperimentSpec.model_json_schema()
    sections = schema["$defs"]
    for section in [schema, *sections.values()]:
        for field in section.get("properties", {}).values():
            field.pop("title", None)
    _enumerate(sections["ClassifierModelSpec"], "algorithm", [AUTO, *algorithm_names()])
    _enumerate(sections["CandidateModelSpec"], "algorithm", algorithm_names())
    for search in get_args(get_args(TuningSection)[0]):
        _one_or_several(sections[search.__name__], "scoring", scorer_names())
        _one_or_several(sections[search.__name__], "refit", scorer_names())
    _one_or_several(sections["ValidationSpec"], "metrics", metric_names())
    _enumerate(sections["ThresholdSpec"], "scoring", threshold_scorers())
    _one_or_several(sections["GateSpec"], "metric", metric_names())
    _one_or_several(sections["GateSpec"], "finding", FINDINGS)
    _one_or_several(sections["FindingsSpec"], "ignore", FINDINGS)
    # Label rows in the feature store are for callers from Python.
    sections["FeatureStoreSpec"]["properties"].pop("labels")
    schema["properties"] = {
        "extends": {"type": "string", "description": "Experiment file to build upon, relative to this one."},
        **schema["properties"],
    }
    # What a base file gives need not stand here again.
    required = schema.pop("required")
    schema["anyOf"] = [{"required": ["extends"]}, {"required": required}]
    sections["DataSpec"].pop("required")
    for section in sections.values():
        # In YAML the kind must be written; in Python the class says it.
        kinds = [key for key, field in section["properties"].items() if "const" in field]
        section["required"] = [*kinds, *section.get("required", [])]
    _allow_environment(schema)
    schema["title"] = "mlwf experiment"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def summary_schema() -> dict[str, Any]:
    """Read the JSON Schema of the `summary.json` of a run."""
    schema: dict[str, Any] = json.loads(SUMMARY.read_text(encoding="utf-8"))
    return schema


def _enumerate(section: dict[str, Any], key: str, names: Iterable[str]) -> None:
    section["properties"][key]["enum"] = sorted(names)


def _one_or_several(section: dict[str, Any], key: str, names: Iterable[str]) -> None:
    """Put the accepted names wherever the field takes a text or a list of texts."""
    field = section["properties"][key]
    for choice in [field, *field.get("anyOf", [])]:
        if choice.get("type") == "string":
            choice["enum"] = sorted(names)
        elif choice.get("type") == "array":
            choice["items"] = {"type": "string", "enum": sorted(names)}


def _allow_environment(node: Any) -> None:
    """Let `${env:NAME}` stand for numbers and booleans, which it becomes when it is read."""
    if isinstance(node, list):
        for item in node:
            _allow_environment(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "properties":
                node[key] = {name: _or_environment(field) for name, field in value.items()}
            else:
                _allow_environment(value)


def _or_environment(field: dict[str, Any]) -> dict[str, Any]:
    if field.get("type") not in {"integer", "number", "boolean"}:
        return field
    kept: dict[str, Any] = {key: field[key] for key in ("description", "default") if key in field}
    own = {key: value for key, value in field.items() if key not in kept}
    return kept | {"anyOf": [own, FROM_ENVIRONMENT]}


if __name__ == "__main__":
    COMMITTED.write_text(json.dumps(experiment_schema(), indent=2) + "\n", encoding="utf-8")
