"""The `tracking` section: where MLflow keeps the run, and the names that its stores refuse."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field

from mlwf.errors import Refusal
from mlwf.specs.base import DEFAULT_STORE, Spec, absolute

LONGEST = {"experiment": 256, "run": 250, "model": 256, "alias": 255}
"""Characters that a name may have."""


def refused_experiment(name: str) -> Refusal | None:
    """Say why no experiment can be called so, in words that follow `which`; None when it can."""
    return _refused_text(name, "experiment")


def refused_run(name: str) -> Refusal | None:
    """Say why no run can be called so, in words that follow `which`; None when it can."""
    return _refused_text(name, "run")


def refused_model(name: str) -> Refusal | None:
    """Say why no registered model can be called so, in words that follow `which`; None when it can.

    >>> refused_model("a/b")
    Refusal(message='holds a / or a :', hint='accepted: a name without them', at_key=False, suggests=False)
    >>> refused_model("census.2024")
    """
    if not name.strip():
        return Refusal("is blank", "accepted: a name")
    if re.search("[/:]", name):
        return Refusal("holds a / or a :", "accepted: a name without them")
    if name == "." or name.startswith(".."):
        return Refusal("MLflow takes for a path", "accepted: a name other than . that does not begin with ..")
    return _refused_text(name, "model")


def refused_alias(name: str) -> Refusal | None:
    """Say why no alias can be called so, in words that follow `which`; None when it can.

    >>> refused_alias("V2")
    Refusal(message='MLflow keeps for itself', hint='accepted: all but latest, v1, v2, ...', ...)
    """
    if not re.fullmatch(r"[A-Za-z0-9_\-]+", name):
        return Refusal("is no alias", "accepted: letters, digits, _ and -")
    if re.fullmatch(r"latest|v\d+", name, re.IGNORECASE):
        return Refusal("MLflow keeps for itself", "accepted: all but latest, v1, v2, ...")
    return _refused_text(name, "alias")


def _refused_text(name: str, kind: str) -> Refusal | None:
    if "\0" in name:
        return Refusal("holds the character NUL", "accepted: a name without it")
    if len(name) > LONGEST[kind]:
        return Refusal(f"has {len(name)} characters", f"accepted: at most {LONGEST[kind]}")
    return None


STORE_VARIABLE: Final = "MLFLOW_TRACKING_URI"
"""Variable of MLflow that names the store where the experiment file does not."""


StoreOrigin = Literal["tracking.tracking_uri", "MLFLOW_TRACKING_URI", "default"]
"""What names a store: a key of the experiment, a variable, or nothing."""


class MLflowSpec(Spec):
    """Tracking with MLflow; an empty section tracks at MLFLOW_TRACKING_URI, else in `mlflow.db` beside this file."""

    enabled: bool = True
    """Whether to track at all."""
    tracking_uri: str = Field(DEFAULT_STORE, min_length=1)
    """MLflow store: `sqlite:///FILE` (relative to this file) or a server's address; left out, MLFLOW_TRACKING_URI."""
    experiment_name: str | None = Field(None, min_length=1)
    """MLflow experiment; the default is MLFLOW_EXPERIMENT_NAME, else the experiment's name."""
    registered_model_name: str | None = Field(None, min_length=1)
    """Register the model under this name."""
    alias: str | None = Field(None, pattern=r"^[A-Za-z0-9_\-]+$")
    """Give the registered version this alias."""
    register_anyway: bool = False
    """Register the model also when a gate is not met."""
    log_model_signature: bool = True
    """Store the model's input and output columns with it."""

    def should_register_model(self) -> bool:
        """Whether the model is registered."""
        return self.registered_model_name is not None


def environment_store() -> str | None:
    """Give the store that MLFLOW_TRACKING_URI names, the file of a SQLite one absolute; None where it names none."""
    uri = os.environ.get(STORE_VARIABLE)
    return absolute(uri, Path.cwd()) if uri else None


def with_environment(spec: MLflowSpec) -> MLflowSpec:
    """Fill in the store that MLFLOW_TRACKING_URI names, where the spec names none."""
    uri = environment_store()
    if uri is None or "tracking_uri" in spec.model_fields_set:
        return spec
    return spec.model_copy(update={"tracking_uri": uri})


def store_origin(spec: MLflowSpec, *, is_written: bool | None = None) -> StoreOrigin:
    """Say what names the store: the experiment, MLflow's environment, or nothing.

    `is_written` tells whether the experiment file names it; None for an experiment that comes from Python.
    """
    uri = environment_store()
    if is_written is None:
        is_written = "tracking_uri" in spec.model_fields_set and spec.tracking_uri != uri
    return "tracking.tracking_uri" if is_written else STORE_VARIABLE if uri else "default"


def without_login(uri: str) -> str:
    """Take the login out of a store's address, which is then asked for where it is used.

    >>> without_login("https://me:secret@tracking.example/mlflow")
    'https://tracking.example/mlflow'
    """
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
