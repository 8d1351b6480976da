"""The sentences beneath the fields of a class, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from inspect import cleandoc
from itertools import pairwise


def field_docs(module: str, spec: str) -> dict[str, str]:
    """Give the fields that a class writes itself, each with its sentence, in order; its module is not imported.

    Nothing is known of a class whose source is not there.

    >>> field_docs("mlwf.specs.experiment", "ValidationSpec")["cv_folds"]
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
