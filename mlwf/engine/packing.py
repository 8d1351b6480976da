"""What a fit said, as the bytes of an .npz file that come back to the bit, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from mlwf.engine.predictions import Predictions
from mlwf.errors import raise_if_bug


@dataclass(frozen=True, eq=False)
class Recorded:
    """What is known of a fit."""

    predictions: tuple[Predictions, ...] = field(repr=False)
    """In the order in which the rows were asked for."""
    fit_seconds: float
    predict_seconds: float
    warnings: tuple[tuple[str, str], ...] = ()
    """What was warned of meanwhile: the category and the message."""


def pack(entry: Recorded) -> bytes | None:
    """Write what a fit says about some rows as an .npz file; None when it would not come back to the bit."""
    parts: dict[str, Any] = {}
    for said in entry.predictions:
        parts["texts" if said.classes.dtype == object else "classes"] = _as_plain(said.classes)
        parts["codes"] = _codes(said)
        parts |= {name: part for name in ("proba", "decision") if (part := getattr(said, name)) is not None}
    if entry.warnings:
        parts["warnings"] = np.array(entry.warnings, dtype=np.str_)
    # Of these kinds nothing is pickled.
    if any(part is None or part.dtype.kind not in "biufU" for part in parts.values()):
        return None
    content = BytesIO()
    # Their number, since a zip file whose list of members is damaged may seem to have fewer.
    np.savez(content, about=np.array([entry.fit_seconds, entry.predict_seconds, len(parts)]), **parts)
    return content.getvalue()


def _as_plain(classes: NDArray[Any]) -> NDArray[Any] | None:
    if classes.dtype != object:
        return classes
    values = classes.tolist()
    if not {*map(type, values)} <= {str}:
        return None
    plain = np.array(values, dtype=np.str_)
    return plain if plain.tolist() == values else None  # numpy cuts zeros off the end of a text


def _codes(said: Predictions) -> NDArray[Any] | None:
    """Give the position of each label among the classes; None when the classes do not give it back to the bit."""
    if said.labels.dtype != said.classes.dtype or said.labels.ndim != 1 or said.classes.ndim != 1:
        return None
    values = said.labels.tolist()
    try:
        place_of = {value: place for place, value in enumerate(said.classes.tolist())}
        codes = np.fromiter(map(place_of.__getitem__, values), dtype=np.intp, count=len(values))
    except (KeyError, TypeError):
        return None
    if said.labels.dtype == object:
        is_same = {*map(type, values)} <= {str}
    else:
        is_same = said.classes[codes].tobytes() == said.labels.tobytes()
    return codes.astype(np.min_scalar_type(len(said.classes))) if is_same else None


def unpack(content: bytes) -> Recorded | None:
    """Read an entry; None when it is not whole."""
    try:
        # Whole members first: numpy would make room for whatever a damaged header says, before any checksum is known.
        with ZipFile(BytesIO(content)) as archive:
            members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
        parts = {name: np.load(BytesIO(member), allow_pickle=False) for name, member in members.items()}
    except Exception as error:  # what is raised depends on the bytes, and these can be anything
        raise_if_bug(error)
        return None
    try:
        fit_seconds, predict_seconds, n_parts = parts.pop("about").tolist()
        if len(parts) != n_parts:
            return None
        warned = tuple(map(tuple, parts.pop("warnings").tolist())) if "warnings" in parts else ()
        if not parts:
            return Recorded((), fit_seconds, predict_seconds, warned)
        classes = parts["classes"] if "classes" in parts else parts["texts"].astype(object)
        said = Predictions(classes, classes[parts["codes"]], parts.get("proba"), parts.get("decision"))
    except (ArithmeticError, LookupError, TypeError, ValueError):  # whole members, and not those of an entry
        return None
    return Recorded((said,), fit_seconds, predict_seconds, warned)
