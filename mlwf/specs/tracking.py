"""The `tracking` section: where MLflow keeps the run."""

from __future__ import annotations

from pydantic import Field

from mlwf.specs.base import Spec


class MLflowSpec(Spec):
    """Tracking with MLflow; an empty section keeps everything in `mlflow.db` and `mlartifacts/` beside this file."""

    enabled: bool = True
    """Whether to track at all."""
    tracking_uri: str = Field("sqlite:///mlflow.db", min_length=1)
    """MLflow store: `sqlite:///FILE` (relative to this file), or the address of a server."""
    experiment_name: str | None = Field(None, min_length=1)
    """MLflow experiment; the default is the experiment's name."""
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
