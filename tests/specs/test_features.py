"""What a feature spec refuses by itself, and how categories are compared."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mlwf.specs.features import Feature, category_text

FEATURE: TypeAdapter[Any] = TypeAdapter(Feature)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"type": "numeric", "columns": ["a", "a"]}, "column 'a' is listed twice"),
        ({"type": "numeric", "columns": ["a", 1]}, "names and positions are mixed"),
        ({"type": "numeric", "columns": [-1]}, "position -1 is negative; the first column is 0"),
        ({"type": "numeric", "columns": [""]}, "a column name is empty"),
        ({"type": "numeric", "columns": ["a"], "imputer": "constant"}, "imputer: constant needs fill_value"),
        (
            {"type": "numeric", "columns": ["a"], "fill_value": 0},
            "fill_value: 0.0 is unused; it needs imputer: constant",
        ),
        (
            {"type": "boolean", "columns": ["a"], "imputer": None, "fill_value": False},
            "fill_value: False is unused; it needs imputer: constant",
        ),
        ({"type": "ordinal", "columns": ["a"], "categories": [1, 1.0]}, "category '1' is listed twice"),
        (
            {"type": "ordinal", "columns": ["a"], "categories": [1, 2], "imputer": "constant", "fill_value": 3},
            "fill_value: 3 is not a category; accepted: 1, 2",
        ),
        ({"type": "date", "columns": ["a"], "parts": ["year", "year"]}, "part 'year' is listed twice"),
    ],
)
def test_a_feature_that_contradicts_itself_is_refused(feature: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FEATURE.validate_python(feature)

    assert message in str(caught.value)


def test_a_constant_may_be_zero_or_false() -> None:
    assert FEATURE.validate_python({"type": "numeric", "columns": ["a"], "imputer": "constant", "fill_value": 0})
    assert FEATURE.validate_python({"type": "boolean", "columns": ["a"], "imputer": "constant", "fill_value": False})


@pytest.mark.parametrize(
    ("category", "text"),
    [(3, "3"), (3.0, "3"), ("3.0", "3"), (2.5, "2.5"), (True, "True"), ("2020-01-01 00:00:00", "2020-01-01")],
)
def test_equal_categories_have_one_text(category: Any, text: str) -> None:
    assert category_text(category) == text
