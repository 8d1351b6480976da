from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from mlwf.errors import ConfigError, DataError
from mlwf.modules.feature_store import join_features, materialize
from mlwf.specs.feature_store import FeatureStoreSpec, ServingSpec

STAMPS = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-01"], utc=True)


def online(spec: FeatureStoreSpec) -> ServingSpec:
    return ServingSpec(**dict(spec))


def test_online_features_are_the_offline_ones_of_that_time_whatever_their_type(repo_of: Any, table: Any) -> None:
    facts = table(
        "facts",
        k=[1, 1, 2, 3],
        t=STAMPS,
        text=["x", "y", None, "z"],
        whole=pd.array([1, 2**60 + 1, None, 4], "Int64"),
        real=[0.5, 1.5, None, 2.5],
        flag=[False, True, None, True],
        day=[date(1950, 1, 2), date(2000, 2, 29), None, date(2020, 1, 1)],
        moment=pd.to_datetime(["1950-01-02 03:04:05", "2020-01-01 00:00:01", None, "2020-01-02 00:00:00"], utc=True),
    )
    always = table("always", a=["p", "q"], b=[1, 2], size=[7.0, None])
    spec = repo_of(
        {"name": "facts", "source": facts, "entity": "k", "timestamp": "t"},
        {"name": "always", "source": always, "entity": ["a", "b"]},
    )
    until = datetime(2020, 1, 2, 12, tzinfo=UTC)
    assert materialize(spec, until).views == ("facts", "always")
    rows = pd.DataFrame({"k": [2.0, 1, None, 9, 1, 3], "a": list("pqpqpp"), "b": [1, 2, 2, 2, 1, 1]})
    now = join_features(online(spec), rows, time=None)
    then = join_features(spec.model_copy(update={"timestamp": until.isoformat()}), rows, time=None)
    assert now.features == then.features
    assert now.unmatched == {"facts": 3, "always": 3}
    # Feast gives times as they are stored online, in another unit and with a time of day.
    read = [
        joined.rows.assign(
            day=pd.to_datetime(joined.rows["day"]).dt.date, moment=joined.rows["moment"].dt.as_unit("us")
        )
        for joined in (now, then)
    ]
    pd.testing.assert_frame_equal(*read, check_dtype=False)


def test_what_has_expired_by_now_is_null_online(repo_of: Any, table: Any) -> None:
    fresh = pd.Timestamp.now("UTC").floor("s").as_unit("us")
    source = table("v", k=[1, 2], t=[fresh, fresh - pd.Timedelta(days=3)], x=[1.0, 2.0])
    spec = repo_of({"name": "v", "source": source, "entity": "k", "timestamp": "t", "ttl": "2d"})
    materialize(spec, (fresh - pd.Timedelta(days=2)).to_pydatetime())
    materialize(spec)
    joined = join_features(online(spec), pd.DataFrame({"k": [1, 2]}), time=None)
    assert joined.rows["x"].tolist()[0] == 1.0
    assert joined.unmatched == {"v": 1}


def test_a_key_of_another_type_is_refused_online(repo_of: Any, table: Any) -> None:
    spec = repo_of({"name": "v", "source": table("v", k=[1], x=[1]), "entity": "k"})
    with pytest.raises(DataError) as refused:
        join_features(online(spec), pd.DataFrame({"k": ["1"]}), time=None)
    assert str(refused.value) == (
        "k: key holds text in the label rows, numbers in the feature view v; save both as the same type"
    )
    with pytest.raises(ConfigError, match="no view w in the feature repo"):
        materialize(spec.model_copy(update={"features": ["w"]}))
