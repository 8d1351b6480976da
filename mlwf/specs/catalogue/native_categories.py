"""Categories that an algorithm splits itself, instead of numbers made of them: `encoder: native`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlwf.errors import Refusal
from mlwf.specs.catalogue.algorithms import ALGORITHMS

NATIVE = "native"
"""The encoder that leaves categories to the algorithm."""
NUMBERS = "onehot, ordinal, target"
"""The encoders that make numbers of categories."""

Found = tuple[tuple[str | int, ...], Refusal]
"""Where, in an experiment whose model is at `model`, and why it is not accepted."""


def native_algorithms() -> list[str]:
    """List the algorithms that split categories themselves, sorted."""
    return sorted(name for name, info in ALGORITHMS.items() if info.categories)


def is_native(feature: Any) -> bool:
    """Whether a feature spec leaves its categories to the algorithm."""
    return getattr(feature, "encoder", None) == NATIVE


def count_native(features: Sequence[Any]) -> int:
    """Count the columns whose categories are left to the algorithm."""
    return sum(len(feature.columns) for feature in features if is_native(feature))


def count_columns(features: Sequence[Any]) -> int | None:
    """Count the columns that features are prepared to; None where that depends on the rows."""
    widths = [_width(feature) for feature in features]
    return None if None in widths else sum(width for width in widths if width is not None)


def check_native(algorithm: str, features: Sequence[Any], hyperparameters: Mapping[str, Any]) -> Iterator[Found]:
    """Yield what contradicts `encoder: native`; nothing is known of an unknown algorithm."""
    if algorithm not in ALGORITHMS or not count_native(features):
        return
    info = ALGORITHMS[algorithm].categories
    for index, feature in enumerate(features):
        path = ("features", index, "encoder")
        if info is None and is_native(feature):
            accepted = f"accepted: {NUMBERS}; native is for {', '.join(native_algorithms())}"
            yield path, Refusal(f"is 'native', and {algorithm} takes numbers alone", accepted)
        elif info is not None and info.needs_all_columns and _width(feature) is None:
            message = f"is {feature.encoder!r}, beside native: {algorithm} is told of each column before the fit"
            yield path, Refusal(message, "accepted beside native: native, ordinal")
    if info is not None and info.parameter in hyperparameters:
        message = "contradicts encoder: native, which sets it"
        yield ("model", "hyperparameters", info.parameter), Refusal(message, "leave one of the two out", at_key=True)


def _width(feature: Any) -> int | None:
    """Count the columns that a feature is prepared to; None where the fit decides."""
    if getattr(feature, "encoder", None) in ("onehot", "target"):
        return None
    each = len(getattr(feature, "parts", ())) or getattr(feature, "n_components", 1)
    return int(len(feature.columns) * each)
