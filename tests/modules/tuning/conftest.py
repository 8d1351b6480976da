"""What the searches are tried on, and what makes two results the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture
def pipeline() -> Callable[[Any], Pipeline]:
    """Give what puts a scaler before a classifier."""
    return lambda classifier: Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])


@pytest.fixture
def data() -> Callable[..., Any]:
    """Give what makes 120 rows or more that are hard to classify."""

    def make(n_classes: int = 2, n_samples: int = 120) -> Any:
        return make_classification(
            n_samples, 6, n_informative=4, n_redundant=0, n_classes=n_classes, flip_y=0.2, random_state=0
        )

    return make


@pytest.fixture
def assert_same_results() -> Callable[[Mapping[str, Any], Mapping[str, Any]], None]:
    """Give what compares two `cv_results_` to the bit, in all but the times."""

    def check(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        assert list(ours) == list(theirs)
        for key, expected in theirs.items():
            if key.endswith("_time"):
                continue
            if key == "params":
                assert ours[key] == expected
            elif key.startswith("param_"):
                assert ours[key].dtype == expected.dtype, key
                assert ours[key].mask.tolist() == expected.mask.tolist()
                assert ours[key].tolist() == expected.tolist()
            else:
                assert ours[key].dtype == expected.dtype, key
                assert np.array_equal(ours[key], expected, equal_nan=expected.dtype.kind == "f"), key

    return check
