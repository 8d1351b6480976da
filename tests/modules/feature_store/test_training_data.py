from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import ConfigError, DataError
from mlwf.modules.feature_store import create_feast_manager
from mlwf.specs.feature_store import FeatureViewSpec


def test_the_public_call_returns_features_and_target(flights_repo: Path, flights: pd.DataFrame) -> None:
    given: dict[str, Any] = {"features": ["weather"], "target": "arr_delayed", "time": "event_timestamp"}
    feast_manager = create_feast_manager(
        repo_path=str(flights_repo), n_features=2, initialize=False, force_recreate=False, labels=flights, **given
    )
    X, y = feast_manager.get_training_data(sample_indices=[5, 3], timestamp=None)
    assert list(X.columns) == [*flights.columns.drop(["arr_delayed", "event_timestamp"]), "temp", "dewp"]
    assert X["flight_id"].tolist() == flights["flight_id"][[5, 3]].tolist()
    np.testing.assert_array_equal(y, flights["arr_delayed"][[5, 3]])
    assert feast_manager.joined is not None
    assert feast_manager.joined.keys == ("origin",)


def test_a_repo_is_created_on_the_way(
    tmp_path: Path, flight_views: list[FeatureViewSpec], flights: pd.DataFrame
) -> None:
    manager = create_feast_manager(
        tmp_path / "repo", initialize=True, views=flight_views, features=["planes:seats"], target="arr_delayed",
        labels=lambda: flights.head(20),
    )  # fmt: skip
    X, y = manager.get_training_data(timestamp=flights["event_timestamp"].max().to_pydatetime())
    assert len(X) == len(y) == 20
    assert X["seats"].notna().any()


def test_what_is_missing_is_reported(flights_repo: Path, flights: pd.DataFrame) -> None:
    with pytest.raises(ConfigError) as no_labels:
        create_feast_manager(flights_repo, target="arr_delayed").get_training_data()
    assert str(no_labels.value) == (
        "feature_store.labels: a feature repo holds features, not what is predicted: label rows are needed; "
        "give labels a table with keys, event time and target"
    )
    with pytest.raises(ConfigError) as no_target:
        create_feast_manager(flights_repo, labels=flights).get_training_data()
    assert str(no_target.value) == "feature_store.labels.target: the column to predict is not named"
    with pytest.raises(DataError) as wrong_target:
        create_feast_manager(flights_repo, labels=flights, target="delayed").get_training_data()
    assert str(wrong_target.value) == "delayed: no such column in the label rows; did you mean arr_delayed?"
