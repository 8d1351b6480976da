from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import ConfigError, DataError, MlwfError
from mlwf.modules.feature_store import Joined, join_features
from mlwf.modules.feature_store.repo import opened
from mlwf.modules.feature_store.retrieval import retrieve, retrieve_by_feast
from mlwf.modules.feature_store.selection import select
from mlwf.specs.feature_store import FeatureStoreSpec

DATA = Path(__file__).parents[3] / "examples" / "feature_store" / "data"
FEATURES = ["weather", "planes_monthly:flights_prev_month", "departures"]


def join(repo: Path, rows: pd.DataFrame, time: str | None = "event_timestamp", **given: Any) -> Joined:
    given = {"features": FEATURES, **given}
    return join_features(FeatureStoreSpec(repo_path=str(repo), **given), rows, time=time)


def departure_of_last_flight(joined: Joined) -> pd.Series:
    departures = pd.read_parquet(DATA / "departures.parquet").set_index("last_flight_id")["event_timestamp"]
    return joined.rows["last_flight_id"].map(departures)


def test_no_label_sees_its_own_flight_or_a_later_one(flights_repo: Path, flights: pd.DataFrame) -> None:
    joined = join(flights_repo, flights)
    known = joined.rows["last_flight_id"].notna()
    assert known.mean() > 0.9
    assert not (joined.rows["last_flight_id"] == joined.rows["flight_id"]).any()
    assert (departure_of_last_flight(joined) <= joined.rows["event_timestamp"])[known].all()


def test_a_join_two_days_later_would_see_the_flight_itself(flights_repo: Path, flights: pd.DataFrame) -> None:
    late = flights.assign(event_timestamp=flights["event_timestamp"] + pd.Timedelta(days=2))
    joined = join(flights_repo, late)
    assert (departure_of_last_flight(joined) > flights["event_timestamp"]).mean() > 0.5
    assert (joined.rows["last_flight_id"] == flights["flight_id"]).any()


def test_label_rows_keep_their_order_index_and_repetitions(flights_repo: Path, flights: pd.DataFrame) -> None:
    shuffled = flights.iloc[:300].sample(frac=1, random_state=0)
    rows = pd.concat([shuffled, shuffled.iloc[:50], shuffled.iloc[10:20]])
    joined = join(flights_repo, rows)
    pd.testing.assert_frame_equal(joined.rows[list(rows.columns)], rows)
    alone = join(flights_repo, flights.iloc[:300]).rows
    pd.testing.assert_frame_equal(joined.rows, alone.loc[rows.index], check_dtype=False)


def test_rows_without_key_or_time_are_kept_with_nulls_and_counted(flights_repo: Path, flights: pd.DataFrame) -> None:
    rows = flights.iloc[:6].copy()
    rows.loc[rows.index[0], "tailnum"] = None
    rows.loc[rows.index[1], "tailnum"] = "N000"
    rows.loc[rows.index[2], "event_timestamp"] = pd.NaT
    joined = join(flights_repo, rows, features=["weather:temp", "planes:engine", "planes:seats"])
    assert joined.rows["seats"].isna().tolist()[:3] == [True, True, True]
    assert joined.rows["temp"].isna().tolist() == [False, False, True, False, False, False]
    planes_seen = pd.read_parquet(DATA / "planes.parquet")["tailnum"]
    assert joined.unmatched == {"weather": 1, "planes": 3 + int((~rows["tailnum"][3:].isin(planes_seen)).sum())}


def test_what_was_joined_is_named(flights_repo: Path, flights: pd.DataFrame, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "mlwf"):
        joined = join(flights_repo, flights)
    assert joined.features[-3:] == ("last_dep_delay", "mean_dep_delay_last5", "departures_so_far")
    assert joined.keys == ("origin", "tailnum")
    assert joined.n_rows == len(flights)
    assert caplog.messages == [
        "Joined 16 features from 3 views to 4800 label rows",
        f"{joined.unmatched['planes_monthly']} of 4800 label rows got nothing from the view planes_monthly",
        "91 of 4800 label rows got nothing from the view departures",
    ]


def test_nothing_is_printed(flights_repo: Path, flights: pd.DataFrame, capfd: pytest.CaptureFixture[str]) -> None:
    join(flights_repo, flights.iloc[:5])
    assert capfd.readouterr() == ("", "")


def test_the_default_is_every_view_in_a_steady_order(flights_repo: Path, flights: pd.DataFrame) -> None:
    rows = flights.drop(columns="carrier")
    joined = join(flights_repo, rows, features=None)
    assert list(joined.unmatched) == ["departures", "planes", "planes_monthly", "weather"]
    assert len(joined.features) == 6 + 8 + 6 + 9


def test_n_features_keeps_the_first(flights_repo: Path, flights: pd.DataFrame) -> None:
    joined = join(flights_repo, flights, features=["planes:engine", "weather"], n_features=3)
    assert joined.features == ("engine", "temp", "dewp")
    assert list(joined.rows.columns) == [*flights.columns, "engine", "temp", "dewp"]


def test_sample_indices_keep_those_rows_in_their_order(flights_repo: Path, flights: pd.DataFrame) -> None:
    spec = FeatureStoreSpec(repo_path=str(flights_repo), features=["weather"], sample_indices=[7, 2])
    assert join_features(spec, flights, time="event_timestamp").rows["flight_id"].tolist() == [
        flights["flight_id"][7],
        flights["flight_id"][2],
    ]
    assert join_features(spec, flights, time="event_timestamp", sample=False).n_rows == len(flights)


def test_timestamp_is_the_time_of_rows_that_have_none(flights_repo: Path, flights: pd.DataFrame) -> None:
    moment = flights["event_timestamp"][100]
    joined = join(flights_repo, flights.drop(columns="event_timestamp"), time=None, timestamp=moment.isoformat())
    expected = join(flights_repo, flights.assign(event_timestamp=moment))
    pd.testing.assert_frame_equal(joined.rows[list(joined.features)], expected.rows[list(joined.features)])
    gaps = flights.assign(event_timestamp=flights["event_timestamp"].where(flights.index < 50))
    mixed = join(flights_repo, gaps, timestamp=moment.isoformat()).rows
    pd.testing.assert_frame_equal(mixed[list(joined.features)][50:], expected.rows[list(joined.features)][50:])


def test_naive_times_are_taken_as_utc(flights_repo: Path, flights: pd.DataFrame) -> None:
    naive = flights.assign(event_timestamp=flights["event_timestamp"].dt.tz_localize(None).astype(str))
    expected = join(flights_repo, flights)
    pd.testing.assert_frame_equal(
        join(flights_repo, naive).rows[list(expected.features)], expected.rows[list(expected.features)]
    )


@pytest.mark.parametrize(
    ("change", "given", "error", "message"),
    [
        (
            {}, {"features": ["wether:temp", "weather:tmp", "zzz"]}, ConfigError,
            ("feature_store.features.0: no view wether in the feature repo; did you mean weather?\n"
            "feature_store.features.1: no feature tmp in the view weather; did you mean temp?\n"
            "feature_store.features.2: no view zzz in the feature repo; "
            "accepted: departures, planes, planes_monthly, weather"),
        ),
        (
            {}, {"features": None, "feature_service": "all"}, ConfigError,
            "feature_store.feature_service: no feature service all; the repo has none",
        ),
        (
            {}, {"sample_indices": [3, 4800]}, ConfigError,
            "feature_store.sample_indices: 4800 is outside of the 4800 label rows; accepted: 0 to 4799",
        ),
        (
            {}, {"time": "event_time"}, DataError,
            "event_time: no such column in the label rows; data.time names it; did you mean event_timestamp?",
        ),
        (
            {}, {"time": None}, ConfigError,
            ("data.time: the features hold from a time on, and the label rows have none; name the column with their "
            "event time in data.time, or one time for all in feature_store.timestamp"),
        ),
        (
            {"tailnum": None, "tail": "tailnum"}, {}, DataError,
            ("tailnum: no such column in the label rows; it is the key of the feature view planes_monthly; "
            "did you mean tail?"),
        ),
        (
            {}, {"features": ["planes_monthly"]}, DataError,
            ("carrier: is a column of the label rows and a feature of the view planes_monthly; drop or rename the "
            "column, or name in feature_store.features only those you want"),
        ),
        (
            {"tailnum": "flight"}, {}, DataError,
            ("tailnum: key holds numbers in the label rows, text in the feature view planes_monthly; "
            "save both as the same type"),
        ),
    ],
    ids=["features", "service", "sample", "time", "no time", "key", "name taken", "key type"],
)  # fmt: skip
def test_what_is_wrong_is_reported(
    flights_repo: Path,
    flights: pd.DataFrame,
    change: dict[str, str | None],
    given: dict[str, Any],
    error: type[MlwfError],
    message: str,
) -> None:
    rows = flights.drop(columns=list(change), errors="ignore").assign(
        **{new: flights[old] for new, old in change.items() if old}
    )
    with pytest.raises(error) as caught:
        join(flights_repo, rows, **given)
    assert str(caught.value) == message


def test_features_of_one_name_get_their_views_name(repo_of: Any, table: Any) -> None:
    stamps = pd.to_datetime(["2020-01-01"], utc=True)
    one = {"name": "one", "source": table("one", k=[1], t=stamps, x=[1], y=[2]), "entity": "k", "timestamp": "t"}
    two = {"name": "two", "source": table("two", k=[1], t=stamps, x=[3]), "entity": "k", "timestamp": "t"}
    rows = pd.DataFrame({"k": [1], "time": stamps})
    joined = join_features(repo_of(one, two), rows, time="time")
    assert joined.rows[list(joined.features)].iloc[0].to_dict() == {"one__x": 1, "y": 2, "two__x": 3}
    # Which names a feature has does not depend on how many are kept.
    assert join_features(repo_of(one, two, n_features=1), rows, time="time").features == ("one__x",)


def test_a_view_without_timestamp_holds_at_any_time(repo_of: Any, table: Any) -> None:
    spec = repo_of({"name": "v", "source": table("v", k=["a", "b"], x=[1, 2]), "entity": "k"})
    rows = pd.DataFrame({"k": ["b", "a", "c"], "time": pd.to_datetime(["1800-01-01", None, "2020-01-01"])})
    for time in (None, "time"):
        joined = join_features(spec, rows, time=time)
        assert joined.rows["x"].replace(np.nan, None).tolist() == [2, 1, None]


def test_two_keys_are_matched_together(repo_of: Any, table: Any) -> None:
    stamps = pd.to_datetime(["2020-01-01"] * 3, utc=True)
    source = table("v", a=["x", "x", "y"], b=[1, 2, 1], t=stamps, value=[10, 20, 30])
    spec = repo_of({"name": "v", "source": source, "entity": ["a", "b"], "timestamp": "t"})
    rows = pd.DataFrame({"b": [1, 1, 2, 2], "a": ["y", "x", "x", "y"], "time": stamps[0]})
    assert join_features(spec, rows, time="time").rows["value"].tolist()[:3] == [30, 10, 20]
    assert join_features(spec, rows, time="time").unmatched == {"v": 1}


def test_label_tables_of_one_row_and_of_none_can_be_joined(flights_repo: Path, flights: pd.DataFrame) -> None:
    assert join(flights_repo, flights.iloc[:1]).n_rows == 1
    assert join(flights_repo, flights.iloc[:0]).n_rows == 0


def test_the_join_of_flights_equals_feasts_own(flights_repo: Path, flights: pd.DataFrame) -> None:
    rows = flights.sample(150, random_state=0)
    with opened(flights_repo) as store:
        selection = select(store, FeatureStoreSpec(repo_path=str(flights_repo)))
        for name, view in selection.views.items():
            asked = (store, view, selection.features_of(name), rows, rows["event_timestamp"])
            own, feasts = retrieve(*asked), retrieve_by_feast(*asked)
            pd.testing.assert_frame_equal(own.columns, feasts.columns, check_dtype=False)
            assert own.unmatched == feasts.unmatched
