"""What every section of an experiment file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen section: unknown keys are refused, a boolean is no integer, each field's sentence is its help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        validate_default=True,
    )
