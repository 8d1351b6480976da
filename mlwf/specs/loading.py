"""An experiment file -> its spec, or every problem in it at once."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlwf.config import Document, KeyPath, Order, dotted, value_at
from mlwf.errors import ConfigError, Problem
from mlwf.specs.base import DEFAULT_STORE, absolute, path_keys
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, SpecProblem, describe_value, explain
from mlwf.specs.rules import broken_rules, unused_options
from mlwf.specs.tracking import STORE_VARIABLE, environment_store, without_login
from mlwf.text import is_redacted, redact


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> tuple[ExperimentSpec, Document]:
    """Read an experiment file, with all that it extends and the overrides.

    Relative paths become absolute: they are relative to the file they are written in, and with `--set` to `path`.

    Parameters
    ----------
    path
        The experiment file; messages show it as it is given here.
    overrides
        `KEY=VALUE` each, as behind `--set`.

    Returns
    -------
    The spec, and the document that knows where each value is written.

    Raises
    ------
    ConfigError
        With every problem, in file order.
    """
    document = Document.read(path, overrides)
    data = _resolved(document)
    own = list(_problems_of_files(document, data))
    spec, problems, doubtful = _validate(data, document.unreadable)
    doubtful |= {problem.path for problem in own if problem.at_key}
    found = [*own, *problems, *broken_rules(spec, doubtful=doubtful)]
    located = [*document.problems, *(_located(problem, document) for problem in found)]
    if located:
        raise ConfigError(problem for _, problem in sorted(located, key=lambda each: each[0]))
    return spec, document


def describe_unused(spec: ExperimentSpec, document: Document | None = None) -> list[str]:
    """Say which options are written and have no effect, and where in a document; what is harmful is refused instead."""
    found = unused_options(spec)
    if document is None:
        return [str(_unlocated(problem, {})) for problem in found]
    return [str(problem) for _, problem in sorted(_located(problem, document) for problem in found)]


def load_resolved(path: Path) -> ExperimentSpec:
    """Read the experiment that a run has written, wherever it is read.

    What came from the environment of the run, such as the password of its tracking server, may be gone by now: it is
    left at its default.
    """
    document = Document.read(path)
    spec, problems, _ = _validate(_resolved(document), document.unreadable)
    located = [_located(problem, document) for problem in problems]
    if located or not document.unreadable <= document.secrets.keys():
        raise ConfigError(problem for _, problem in [*document.problems, *located])
    return spec


def store_of_run(path: Path) -> str | None:
    """Give the tracking store that the `config.yaml` of a run names; None where the variable that named it is gone.

    A login is not written down with the run: it is that of MLFLOW_TRACKING_URI, where this names the same store.
    """
    tracking = load_resolved(path).tracking
    if tracking is None or "tracking_uri" not in tracking.model_fields_set:
        return None
    uri, current = tracking.tracking_uri, environment_store()
    if current and redact(without_login(current)) == redact(without_login(uri)):
        return current
    return without_login(uri) if is_redacted(uri) else uri


def check_experiment(spec: ExperimentSpec) -> None:
    """Raise a ConfigError with all that contradicts itself in an experiment that comes from Python."""
    data = spec.model_dump()
    problems = [_unlocated(problem, data) for problem in broken_rules(spec)]
    if problems:
        raise ConfigError(problems)


def _resolved(document: Document) -> dict[str, Any]:
    """Return the data with its paths absolute and its name filled in."""
    data = copy.deepcopy(document.data)
    # A file may have a name that is no text, such as one that another encoding wrote.
    data.setdefault("name", os.fsencode(document.path.stem).decode("utf-8", "backslashreplace"))
    for path in path_keys(data):
        if _has(document.data, path):
            placed = absolute(value_at(data, path), document.folder(path))
        else:
            is_used = value_at(data, ("tracking", "enabled")) is not False
            placed = (environment_store() if is_used else None) or absolute(DEFAULT_STORE, document.path.parent)
        value_at(data, path[:-1])[path[-1]] = placed
    return data


def _problems_of_files(document: Document, data: dict[str, Any]) -> Iterator[SpecProblem]:
    """Find what only an experiment file can get wrong; what is reported here is taken out of `data`."""
    for section, field in ExperimentSpec.model_fields.items():
        if document.is_blank((section,)) and field.default is None:
            del data[section]
            hint = f"write {section}: {{}} for its defaults, or {section}: null for none"
            yield SpecProblem((section,), "nothing is written here", hint, at_key=True)
    store = data.get("feature_store")
    if isinstance(store, dict) and "labels" in store:
        del store["labels"]
        hint = "the label rows of an experiment file are data"
        yield SpecProblem(("feature_store", "labels"), "unknown key", hint, at_key=True)
    features = data.get("features")
    for number, feature in enumerate(features if isinstance(features, list) else ()):
        columns = feature.get("columns") if isinstance(feature, dict) else None
        if not isinstance(columns, list):
            continue
        for index, column in enumerate(columns):
            if isinstance(column, int) and not isinstance(column, bool):
                columns[index] = str(column)
                message = f"expected the name of a column, got {GOT}"
                yield SpecProblem(("features", number, "columns", index), message, "quote it if it is a name")


STORE: KeyPath = ("tracking", "tracking_uri")
"""The one value that the environment gives without `${env:...}`: where MLflow's own clients look for it."""

_STAND_INS: dict[KeyPath, Any] = {
    ("data",): {"path": "-", "target": "-"},
    ("data", "path"): "-",
    ("data", "target"): "-",
}
"""What an experiment cannot be without, while the rest of it is checked."""


def _validate(
    data: dict[str, Any], unreadable: Collection[KeyPath]
) -> tuple[ExperimentSpec, list[SpecProblem], set[KeyPath]]:
    """Make the spec; where that fails, leave out what is wrong, so that the rest can be checked.

    Paths in `unreadable` have a problem already. Returns the spec, the other problems, and all paths whose values in
    the spec are not those of the file.
    """
    reported = {path for each in unreadable for path in _leave_out(data, each)}
    left_out = set(reported)
    problems: list[SpecProblem] | None = None
    while True:
        try:
            return ExperimentSpec.model_validate(data), problems or [], left_out
        except ValidationError as error:
            found = explain(error.errors(include_url=False), data)
        # After the first round, problems come only of what was left out.
        if problems is None:
            problems = [each for each in found if not any(each.path[: len(path)] == path for path in reported)]
        cut = {path for each in found for path in _leave_out(data, each.path, is_missing=each.about is not None)}
        if not cut:
            data.clear()
        left_out |= cut or {()}


def _leave_out(data: dict[str, Any], path: KeyPath, *, is_missing: bool = False) -> set[KeyPath]:
    """Take a value out of `data`, or the section that lacks it; return what was taken out, if it was there still."""
    if path in _STAND_INS:
        holder = value_at(data, path[:-1])
        if isinstance(holder, dict):
            holder[path[-1]] = copy.deepcopy(_STAND_INS[path])
        return {path}
    path = path[:-1] if is_missing else path
    # Without one of its items a list would be another list: leave out all of it.
    while path and not isinstance(value_at(data, path[:-1]), dict | None):
        path = path[:-1]
    if not path or not _has(data, path):
        return set()
    del value_at(data, path[:-1])[path[-1]]
    return {path}


def _has(data: Any, path: KeyPath) -> bool:
    holder = value_at(data, path[:-1])
    return isinstance(holder, dict) and path[-1] in holder


def _located(problem: SpecProblem, document: Document) -> tuple[Order, Problem]:
    """Say where a problem is, without telling what came from the environment."""
    if problem.path == STORE and not _has(document.data, STORE):
        message = problem.message.replace(GOT, describe_value(environment_store()))
        return document.order(STORE), Problem(STORE_VARIABLE, "", message, problem.hint)
    message, hint = problem.message, problem.hint
    secret = next((text for path, text in document.secrets.items() if path[: len(problem.path)] == problem.path), None)
    if secret is not None and problem.tells_value:
        message, hint = f"is not accepted: {secret}", "" if problem.suggests else hint
    got = document.secrets.get(problem.path) or describe_value(value_at(document.data, problem.path))
    message, hint = document.redact(message).replace(GOT, got), document.redact(hint)
    return document.problem(problem.path, message, hint, key=problem.at_key, about=problem.about)


def _unlocated(problem: SpecProblem, data: dict[str, Any]) -> Problem:
    path = problem.path if problem.about is None else problem.about
    return Problem(
        "", dotted(path), problem.message.replace(GOT, describe_value(value_at(data, problem.path))), problem.hint
    )
