"""Say of a problem of the data where in the experiment file it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlwf.config import Document, KeyPath, Order
from mlwf.errors import ConfigError, DataError, MlwfError, Problem


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Give the problems of the data, and of a store's names, the line and column that they come from, in file order."""
    try:
        yield
    except (ConfigError, DataError) as error:
        found = sorted((_locate(problem, document) for problem in error.problems), key=lambda each: each[0])
        raise type(error)(problem for _, problem in found) from error
    except MlwfError as error:
        # A store's address, say, that came from the environment.
        # As it was raised: escaped, as it is shown, a value might not be found in it.
        told = str(error.args[0]) if error.args else ""
        concealed = document.conceal(told)
        if concealed == told:
            raise
        raise type(error)(concealed) from None


def _locate(problem: Problem, document: Document) -> tuple[Order, Problem]:
    order, placed = _placed(problem, document)
    message, hint = document.conceal(placed.message), document.conceal(placed.hint)
    return order, Problem(placed.where, placed.key, message, hint)


def _placed(problem: Problem, document: Document) -> tuple[Order, Problem]:
    path = _dotted_path(problem.key, document.data)
    if path:
        message = f"{problem.message} in {problem.where}" if problem.where else problem.message
        return document.problem(path, message, problem.hint, key=problem.message.startswith("unknown"))
    path, role = _named_in(problem, document.data)
    message = problem.message.replace(f", which {role} names", "")
    subject = ": ".join(part for part in (problem.where, problem.key) if part)
    return document.problem(path, f"{subject}: {message}" if subject else message, problem.hint)


def _dotted_path(key: str, data: dict[str, Any]) -> KeyPath:
    """Read a key such as `feature_store.features.0`; empty when no section begins it."""
    parts = key.split(".")
    if len(parts) < 2 or parts[0] not in data:
        return ()
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _named_in(problem: Problem, data: dict[str, Any]) -> tuple[KeyPath, str]:
    """Find where the file names a column, or the table when nothing names the column."""
    table = _section(data, "data")
    if problem.message.startswith("data.positive_class"):
        return ("data", "positive_class"), ""
    for role in ("target", "sample_weight", "time", "groups", "fold"):
        if problem.key and table.get(role) == problem.key:
            return ("data", role), f"data.{role}"
    for index, column in enumerate(table.get("drop") or ()):
        if column == problem.key:
            return ("data", "drop", index), "data.drop"
    features = data.get("features")
    for number, feature in enumerate(features if isinstance(features, list) else ()):
        for index, column in enumerate(feature.get("columns") or ()):
            if str(column) == problem.key:
                return ("features", number, "columns", index), "features"
    is_test = _is_of(problem.where, table.get("test_path"))
    return ("data", "test_path" if is_test else "path"), ""


def _section(data: dict[str, Any], name: str) -> dict[str, Any]:
    section = data.get(name)
    return section if isinstance(section, dict) else {}


def _is_of(where: str, path: Any) -> bool:
    # The file's path is relative to the file; what was read has an absolute one.
    return isinstance(path, str) and bool(where) and where.endswith(path.removeprefix("./").replace("../", ""))
