"""Whether a column can be the target of a classifier, and its labels in plain types."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import Problem
from mlwf.modules.data.columns import Column, cell_text, numbers_of
from mlwf.specs.data import IN_MEMORY, ClassLabel
from mlwf.splitting.rows import count_labels, encode_labels
from mlwf.text import format_name, pluralize

MANY_CLASSES = 50
FEW_ROWS_PER_CLASS = 20
SHOWN_CLASSES = 10


def labels_of(column: Column) -> NDArray[Any] | Problem:
    """Give the labels of a column without missing values: booleans, int64, or texts as objects.

    Whole numbers that are written as floats, as pandas does where some were missing, are int64.
    """
    kind = column.kind
    plain: dict[str, type] = {"texts": object, "booleans": bool}
    if kind not in {*plain, "numbers"}:
        return column.problem(f"holds {kind}", "accepted as classes: texts, whole numbers, true and false")
    if kind in plain or column.values.dtype.kind in "iu":
        labels: NDArray[Any] = column.values.to_numpy(dtype=plain.get(kind, np.int64))
        return labels
    numbers: NDArray[np.float64] = numbers_of(column.values).to_numpy(dtype=np.float64)
    broken = ~np.isfinite(numbers) | (numbers != np.round(numbers))
    if broken.any():
        return column.problem(f"{column.first(broken)}: looks like a regression target", _as_text(column))
    return numbers.astype(np.int64)


def check_classes(column: Column, y: NDArray[Any], positive_class: ClassLabel | None) -> list[Problem]:
    """Check the classes to learn: two or more, not too many, the positive one among them."""
    classes = encode_labels(y)[0]
    count = len(classes)
    if count == 1:
        return [column.problem(f"has one class, {cell_text(classes[0])}", "a classifier needs at least two")]
    if count > MANY_CLASSES and y.dtype.kind == "i":
        message = (
            f"holds {count:,} different numbers from {classes[0]} to {classes[-1]}: looks like a regression target"
        )
        return [column.problem(message, _as_text(column))]
    if count > MANY_CLASSES and len(y) < FEW_ROWS_PER_CLASS * count:
        message = f"has {count:,} classes in {pluralize(len(y), 'row')}: looks like an identifier or free text"
        return [column.problem(message, "a class needs rows to learn it from")]
    return [] if positive_class is None else _check_positive(column, classes, positive_class)


def _as_text(column: Column) -> str:
    if column.where == IN_MEMORY:
        return "if they are classes, write them as texts"
    return f"if they are classes, data.types: {{{format_name(column.name)}: text}} takes them so"


def _check_positive(column: Column, classes: NDArray[Any], positive_class: ClassLabel) -> list[Problem]:
    if not any(_same(label, positive_class) for label in classes):
        message = f"data.positive_class is {_described(positive_class)}, which does not occur"
        twins = [label for label in classes if str(label).lower() == str(positive_class).lower()]
        hint = f"the class is {_described(twins[0])}: write {_yaml(twins[0])}" if twins else _accepted(classes)
        return [column.problem(message, hint, config_key="data.positive_class")]
    if len(classes) > 2:
        message = f"data.positive_class is {cell_text(positive_class)}, yet there are {len(classes)} classes"
        hint = "leave it out; it is for targets of two classes"
        return [column.problem(message, hint, config_key="data.positive_class")]
    return []


def check_same_classes(column: Column, trained: NDArray[Any]) -> list[Problem]:
    """Check that every class of a test table occurs in training; whole numbers may be written as floats."""
    classes = encode_labels(trained)[0]
    problems = []
    for label in sorted(column.values.unique(), key=lambda each: (_type_of(each), each)):
        if not any(_same(label, known) for known in classes):
            rows = pluralize(int((column.values == label).sum()), "row")
            message = f"class {cell_text(label)} ({rows}) does not occur in training"
            twins = [known for known in classes if str(known).lower() == str(label).lower()]
            hint = f"the class there is {_described(twins[0])}" if twins else _accepted(classes)
            problems.append(column.problem(message, hint))
    return problems


def check_class_counts(y: NDArray[Any], folds: int, what: str, *, where: str = "", key: str = "") -> list[Problem]:
    """List the classes that have fewer rows than there are folds.

    Parameters
    ----------
    y : array of shape (n_samples,)
        Class labels.
    folds : int
        Number of folds.
    what : str
        The folds' key in the experiment file, such as `validation.cv_folds`.
    where, key : str
        The data file and its target.
    """
    problems = []
    for label, count in zip(*count_labels(y), strict=True):
        if count < folds:
            message = f"class {cell_text(label)} has {pluralize(int(count), 'row')}, fewer than {what} ({folds})"
            fewer = f"set {what}: {count}, or " if count > 1 else ""
            hint = f"{fewer}leave the rows of this class out of the data"
            problems.append(Problem(where=where, key=key, message=message, hint=hint))
    return problems


def _same(label: Any, other: Any) -> bool:
    return bool(_type_of(label) == _type_of(other) and label == other)


def _type_of(label: Any) -> str:
    if isinstance(label, bool | np.bool_):
        return "boolean"
    return "text" if isinstance(label, str) else "number"


def _described(label: Any) -> str:
    return f"the {_type_of(label)} {cell_text(label)}"


def _yaml(label: Any) -> str:
    return f'"{label}"' if isinstance(label, str) else cell_text(label)


def _accepted(classes: NDArray[Any]) -> str:
    more = ", ..." if len(classes) > SHOWN_CLASSES else ""
    return f"accepted: {', '.join(map(cell_text, classes[:SHOWN_CLASSES]))}{more}"
