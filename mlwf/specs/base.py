"""What every section of an experiment file has in common, and the sentence beneath each field."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from inspect import cleandoc
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler


def written_sentences(module: str, spec: str) -> dict[str, str]:
    """Give the fields that a class writes itself, each with its sentence, in order; its module is not imported.

    Nothing is known of a class whose source is not there.

    >>> written_sentences("mlwf.specs.validation", "ValidationSpec")["cv_folds"]
    'Number of folds, of tuning and calibration too unless they say otherwise.'
    """
    return _classes(module).get(spec, {})


@cache
def _classes(module: str) -> dict[str, dict[str, str]]:
    try:
        found = find_spec(module)
        source = found.loader.get_source(module) if found and found.loader else None  # type: ignore[attr-defined]
    except (ImportError, ValueError):  # a class that was made in a notebook, say
        return {}
    classes = [node for node in ast.parse(source or "").body if isinstance(node, ast.ClassDef)]
    return {node.name: dict(_sentences(node)) for node in classes}


def _sentences(spec: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(spec.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                yield name, cleandoc(sentence)


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
            for field, sentence in written_sentences(each.__module__, each.__name__).items()
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core_schema)
        fields = handler.resolve_ref_schema(schema).get("properties", {})
        for field, sentence in cls.sentences().items():
            # A section that says so itself need not be told.
            if handler.resolve_ref_schema(fields[field]).get("description") != sentence:
                fields[field]["description"] = sentence
        return schema
