from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec, parse_time

VIEW = {"name": "v", "source": "v.parquet", "entity": "k", "timestamp": "t"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30min", timedelta(minutes=30)),
        ("3h", timedelta(hours=3)),
        ("40d", timedelta(days=40)),
        ("2w", timedelta(weeks=2)),
        (None, None),
    ],
)
def test_ttl_is_read(text: str | None, expected: timedelta | None) -> None:
    assert FeatureViewSpec(**VIEW, ttl=text).lifetime == expected


@pytest.mark.parametrize("entity", ["k", ["k"]], ids=["name", "list"])
def test_keys_are_a_list_either_way(entity: Any) -> None:
    assert FeatureViewSpec(**{**VIEW, "entity": entity}).keys == ["k"]


@pytest.mark.parametrize("text", ["2013-06-01T12:00:00", "2013-06-01 14:00+02:00", "2013-06-01T12:00Z"])
def test_a_time_without_zone_is_utc(text: str) -> None:
    assert parse_time(text).timestamp() == 1370088000


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"ttl": "3 hours"}, "ttl",
         "'3 hours' is no duration; accepted: a whole number and one of s, min, h, d, w, such as 3h"),
        ({"ttl": "0d"}, "ttl", "'0d' is no duration; accepted: a whole number and one of s, min, h, d, w, such as 3h"),
        ({"ttl": "99999999999w"}, "ttl", "'99999999999w' is too long a time"),
        ({"ttl": "3h", "timestamp": None}, "ttl",
         "rows without a timestamp hold at any time; leave out ttl, or name the timestamp column"),
        ({"entity": []}, "entity", "names no column; accepted: the name of a key column, or a list of them"),
        ({"entity": ["k", "k"]}, "entity", "key column 'k' is listed twice"),
    ],
    ids=["ttl", "no life", "too long", "ttl without timestamp", "no key", "key twice"],
)  # fmt: skip
def test_a_wrong_view_is_refused(given: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FeatureViewSpec(**{**VIEW, **given})
    assert [(error["loc"][0], error["msg"]) for error in caught.value.errors()] == [(where, f"Value error, {message}")]


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"features": ["a:b:c"]}, "features", "'a:b:c' is no reference; accepted: view:feature, or view"),
        ({"features": ["a", "a"]}, "features", "feature 'a' is listed twice"),
        ({"sample_indices": [3, 3]}, "sample_indices", "row 3 is listed twice"),
        ({"timestamp": "soon"}, "timestamp", "'soon' is no time; accepted: ISO 8601, such as 2013-06-01T12:00:00Z"),
    ],
    ids=["reference", "feature twice", "row twice", "time"],
)  # fmt: skip
def test_a_wrong_section_is_refused(given: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FeatureStoreSpec(repo_path="repo", **given)
    assert [(error["loc"][0], error["msg"]) for error in caught.value.errors()] == [(where, f"Value error, {message}")]


def test_a_negative_row_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        FeatureStoreSpec(repo_path="repo", sample_indices=[-1])
