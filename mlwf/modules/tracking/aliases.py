"""Give registered versions their aliases, and keep in their tags since when, why, and which version was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlwf.errors import UsageError
from mlwf.modules.tracking.connection import locked_database, mlflow_errors, uri_text
from mlwf.modules.tracking.mlflow_store import Store, open_store
from mlwf.modules.tracking.run_values import user_name
from mlwf.text import redact

LONGEST_TAG = 5000
NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""Error codes of MLflow for a name, an alias or a version that a registry does not have."""


@dataclass(frozen=True)
class AliasChange:
    """An alias that went from one version of a registered model to another."""

    model: str
    alias: str
    version: str
    before: str | None
    """The version that had it; None where none had."""
    since: str
    """When, in ISO 8601."""
    reason: str
    by: str
    """The user."""


def move_alias(
    tracking_uri: str, model: str, alias: str, version: str, *, reason: str, details: Mapping[str, str] | None = None
) -> AliasChange | None:
    """Give a version an alias; None where it has it already. `details` are further tags, as `mlwf.ALIAS.KEY`."""
    store = open_store(tracking_uri)
    doing = f"giving {model} version {version} the alias {alias}"
    with mlflow_errors(store.tracking_uri, doing), locked_database(store.tracking_uri):
        return set_alias(store, model, alias, version, reason=reason, details=details)


def return_alias(
    tracking_uri: str, model: str, alias: str, *, version: str | None = None, reason: str | None = None
) -> AliasChange:
    """Give an alias back to the version that had it before the present one.

    Raises UsageError where no version has it, another has it than `version`, or it is not known which had it before.
    """
    store = open_store(tracking_uri)
    doing = f"giving the alias {alias} of {model} back"
    with mlflow_errors(store.tracking_uri, doing), locked_database(store.tracking_uri):
        present = holder(store, model, alias)
        where = f"{uri_text(store.tracking_uri)}: {model}"
        if present is None:
            raise UsageError(f"{where}: no version is {alias}, so there is nothing to give back")
        if version not in (None, present):
            raise UsageError(f"{where}: version {present} is {alias}, and not version {version}")
        before = store.client.get_model_version(model, present).tags.get(_key(alias, "before"))
        if not before:
            raise UsageError(f"{where}: its tags do not say which version was {alias} before version {present}")
        if not _is_there(store, model, before):
            raise UsageError(f"{where}: version {before}, which was {alias} before version {present}, is deleted")
        why = f"given back by version {present}" + (f": {reason}" if reason else "")
        change = set_alias(store, model, alias, before, reason=why, is_return=True)
        assert change is not None
        return change


def set_alias(
    store: Store,
    model: str,
    alias: str,
    version: str,
    *,
    reason: str,
    details: Mapping[str, str] | None = None,
    is_return: bool = False,
) -> AliasChange | None:
    """Do as `move_alias`, on an open store. A version that gets it back keeps what it had before it the first time."""
    before = holder(store, model, alias)
    if before == version:
        return None
    now = datetime.now(UTC).isoformat(timespec="seconds")
    change = AliasChange(model, alias, version, before, now, redact(reason)[:LONGEST_TAG], user_name())
    tags: dict[str, str | None] = {
        "since": now, "reason": change.reason, "by": change.by, "until": None, "after": None, **(details or {})
    }  # fmt: skip
    if not is_return:
        tags["before"] = before
    # Before the alias itself: where it fails in between, the next try still knows who had it.
    _tag(store, model, version, alias, tags)
    store.client.set_registered_model_alias(model, alias, version)
    if before is not None:
        _tag(store, model, before, alias, {"until": now, "after": version})
    return change


def holder(store: Store, model: str, alias: str) -> str | None:
    """Give the version that has an alias; None where none has, or there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        return str(store.client.get_model_version_by_alias(model, alias).version)
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        return None


def _is_there(store: Store, model: str, version: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_model_version(model, version)
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        return False
    return True


def _tag(store: Store, model: str, version: str, alias: str, tags: Mapping[str, str | None]) -> None:
    """Set tags of a version, and delete those that are None."""
    known: Mapping[str, Any] = store.client.get_model_version(model, version).tags
    for name, text in tags.items():
        key = _key(alias, name)
        if text is not None:
            store.client.set_model_version_tag(model, version, key, text[:LONGEST_TAG])
        elif key in known:
            store.client.delete_model_version_tag(model, version, key)


def _key(alias: str, name: str) -> str:
    return f"mlwf.{alias}.{name}"
