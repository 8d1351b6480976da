"""What every section of an experiment file has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler

from mlwf.errors import InvalidValueError
from mlwf.specs.field_docs import field_docs


class Spec(BaseModel):
    """A frozen section: unknown keys are refused, a boolean is no integer, each field's sentence is its help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        protected_namespaces=(),
        validate_default=True,
    )

    @classmethod
    def sentences(cls) -> dict[str, str]:
        """Give each field the sentence beneath it."""
        # Not pydantic's use_attribute_docstrings: to parse all sources is a quarter of what `mlwf validate` takes.
        classes = [each for each in reversed(cls.__mro__) if issubclass(each, Spec)]
        return {
            field: sentence
            for each in classes
            for field, sentence in field_docs(each.__module__, each.__name__).items()
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core_schema)
        fields = handler.resolve_ref_schema(schema).get("properties", {})
        for field, sentence in cls.sentences().items():
            # A field that has this description already keeps it.
            if handler.resolve_ref_schema(fields[field]).get("description") != sentence:
                fields[field]["description"] = sentence
        return schema


def refuse_no_jobs(n_jobs: int) -> int:
    """Raise an InvalidValueError for 0, which scikit-learn and joblib give no meaning."""
    if n_jobs == 0:
        raise InvalidValueError("0 fits at the same time is none", "accepted: -1 (one for each core), 1, 2, ...")
    return n_jobs
