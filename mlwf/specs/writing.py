"""An experiment -> YAML that loads again to the same experiment."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlwf.config import Document, value_at
from mlwf.specs.base import Spec, address_keys, beside
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import KeyPath
from mlwf.specs.rules import broken_rules, unused_options
from mlwf.text import redact

WIDTH = 96

COMMENTED = ("data", "model", "validation")
"""Sections whose keys a draft explains one by one."""

LEFT_OUT = {
    "tuning": {"strategy": "random", "n_iter": 10, "scoring": "neg_log_loss"},
    "calibration": {"method": "sigmoid"},
    "tracking": {"tracking_uri": "sqlite:///mlflow.db"},
}
"""What a draft shows of sections that it leaves out, ready to be uncommented."""


def dump_experiment(spec: ExperimentSpec, *, document: Document | None = None) -> str:
    """Write an experiment with everything that it resolved to.

    What came from the environment is written as the `${env:NAME}` of the document, and not as its value; the login of
    an address is left out, and must be written anew before such a file is trained again.
    """
    data = _without_noise(spec.model_dump())
    # A key that has no effect beside the others is refused or reported where it is written, so it is not.
    for problem in _refused(data):
        _remove(data, problem)
    if not data.get("model"):
        data.pop("model", None)
    for path in address_keys(data):
        if (address := value_at(data, path)) is not None:
            value_at(data, path[:-1])[path[-1]] = redact(address)
    if document:
        _restore_env(data, document)
    return _yaml(data)


def draft_experiment_text(spec: ExperimentSpec) -> str:
    """Write an experiment to begin with: each key with its sentence, and optional sections as comments."""
    data = {
        "name": spec.name,
        "data": spec.model_dump(exclude_defaults=True)["data"],
        "features": spec.model_dump()["features"],
        **_drafted_models(spec),
        "validation": {"strategy": spec.validation.strategy, "cv_folds": spec.validation.cv_folds},
    }
    if spec.compute.time_limit is not None:
        data["compute"] = {"time_limit": spec.compute.time_limit}
    data = _without_noise(data)
    left_out = {key: example for key, example in LEFT_OUT.items() if key != "tuning" or spec.models is None}
    return "\n".join([*_sections(data), *_optional(left_out)]) + "\n"


def _drafted_models(spec: ExperimentSpec) -> dict[str, Any]:
    if spec.models is None:
        return {"model": {"algorithm": spec.model.algorithm}}
    models = spec.model_dump(include={"models"}, exclude_unset=True)
    return {**models, "selection": {"scoring": spec.choice.scoring}, "ensemble": spec.model_dump()["ensemble"]}


def _sections(data: Mapping[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        yield from _sentences(ExperimentSpec, key)
        if key not in COMMENTED:
            yield _yaml({key: value}).rstrip("\n") + "\n"
            continue
        yield f"{key}:"
        section = _section(key)
        for inner, content in value.items():
            yield from _sentences(section, inner, indent="  ")
            yield "\n".join(f"  {line}" for line in _yaml({inner: content}).splitlines())
        yield ""


def _optional(left_out: Mapping[str, Any]) -> Iterator[str]:
    for key, example in left_out.items():
        yield from _sentences(ExperimentSpec, key)
        yield "\n".join(f"# {line}" for line in _yaml({key: example}).splitlines())
        yield ""


def _sentences(spec: type[Spec], key: str, indent: str = "") -> Iterator[str]:
    sentence = " ".join(spec.sentences().get(key, "").split())
    prefix = f"{indent}# "
    yield textwrap.fill(sentence, WIDTH, initial_indent=prefix, subsequent_indent=prefix)


def _section(key: str) -> type[Spec]:
    section: type[Spec] = ExperimentSpec.model_fields[key].annotation  # type: ignore[assignment]
    return section


def _without_noise(data: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Leave out what has no effect: a null, an empty list or an empty map that is the default."""
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if key in LISTS_OF_SPECS and isinstance(value, list):
            value = [_without_noise(item, depth=2) if isinstance(item, dict) else item for item in value]
        elif key == "models" and isinstance(value, dict):
            value = {name: _of_candidate(model) for name, model in value.items()}
        elif isinstance(value, dict) and (depth == 0 or key == "read"):
            value = _without_noise(value, depth=1)
        if (value is None and key not in MEANT_NULLS) or value in ({}, []):
            continue
        kept[key] = value
    return kept


def _of_candidate(model: Mapping[str, Any]) -> dict[str, Any]:
    tuning = model.get("tuning")
    return _without_noise({**model, "tuning": tuning and _without_noise(tuning, depth=1)}, depth=1)


LISTS_OF_SPECS = {"features", "gates", "views"}

MEANT_NULLS = {"imputer", "scaler"}
"""Fields whose null differs from their default."""


def _refused(data: dict[str, Any]) -> Iterator[KeyPath]:
    spec = ExperimentSpec.model_validate(data)
    for problem in (*broken_rules(spec), *unused_options(spec)):
        yield problem.path


def _remove(data: Any, path: KeyPath) -> None:
    holder = value_at(data, path[:-1])
    if isinstance(holder, dict):
        holder.pop(path[-1], None)


def _restore_env(data: dict[str, Any], document: Document) -> None:
    """Write `${env:...}` again for what came from the environment, such that it is read as the same kind of value."""
    for path, text in document.secrets.items():
        holder, value, read = value_at(data, path[:-1]), value_at(data, path), value_at(document.data, path)
        # What a run resolves, such as `features: auto` to a list, is its own.
        if value is None or isinstance(value, dict | list):
            continue
        # A path that was made absolute is relative to another folder than the run's.
        is_placed = isinstance(read, str) and value != redact(read) and not text.startswith("~")
        holder[path[-1]] = _Env(beside(text, document.folder(path)) if is_placed else text, type(value))


@dataclass(frozen=True)
class _Env:
    """`${env:...}` as it is written, and the kind of its value."""

    text: str
    kind: type


class _Dumper(yaml.SafeDumper):
    """Writes texts that YAML 1.2 would read as numbers in quotes, and lists indented."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML reads YAML 1.1: to it 1e-3 and 0o17 are texts that need no quotes.
    style = "'" if re.match(r"[-+.]?\d", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _env(dumper: yaml.SafeDumper, env: _Env) -> yaml.ScalarNode:
    # Unquoted it would be typed by its value anew, and inside of { } it cannot stand unquoted: so the kind is said.
    tag = {bool: "bool", int: "int", float: "float"}.get(env.kind, "str")
    return dumper.represent_scalar(f"tag:yaml.org,2002:{tag}", env.text, style="'")


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Env, _env)


def _escaped(value: Any) -> Any:
    """Escape the texts that would be read as environment variables, such as the name of a column; keys never are."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [*map(_escaped, value)]
    return value.replace("${env:", "$${env:") if isinstance(value, str) else value


def _yaml(data: Mapping[str, Any]) -> str:
    """Write a map in block style; inside of it, what fits on a line stands on a line."""
    data = _escaped(data)
    options: dict[str, Any] = {"Dumper": _Dumper, "sort_keys": False, "allow_unicode": True, "width": WIDTH}
    parts = [
        yaml.dump({key: value}, default_flow_style=None if isinstance(value, dict | list) else False, **options)
        for key, value in data.items()
    ]
    return "".join(parts)
