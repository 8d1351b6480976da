from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlwf.modules.feature_store import prepare_repo
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec

DATA = Path(__file__).parents[3] / "examples" / "feature_store" / "data"


@pytest.fixture(scope="session")
def flight_views() -> list[FeatureViewSpec]:
    return [
        FeatureViewSpec(
            name="weather", source=str(DATA / "weather.parquet"), entity="origin", timestamp="event_timestamp", ttl="3h"
        ),
        FeatureViewSpec(
            name="planes", source=str(DATA / "planes.parquet"), entity="tailnum", timestamp="event_timestamp"
        ),
        FeatureViewSpec(
            name="planes_monthly",
            source=str(DATA / "planes_monthly.parquet"),
            entity="tailnum",
            timestamp="event_timestamp",
            ttl="40d",
        ),
        FeatureViewSpec(
            name="departures", source=str(DATA / "departures.parquet"), entity="tailnum", timestamp="event_timestamp"
        ),
    ]


@pytest.fixture(scope="session")
def flights_repo(tmp_path_factory: pytest.TempPathFactory, flight_views: list[FeatureViewSpec]) -> Path:
    repo = tmp_path_factory.mktemp("flights") / "repo"
    prepare_repo(FeatureStoreSpec(repo_path=str(repo), views=flight_views, initialize=True))
    return repo


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return pd.read_parquet(DATA / "flights.parquet")


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Write a Parquet file from columns, and return its path."""

    def write(name: str, **columns: Any) -> str:
        path = tmp_path / f"{name}.parquet"
        pd.DataFrame(columns).to_parquet(path)
        return str(path)

    return write


@pytest.fixture
def repo_of(tmp_path: Path) -> Any:
    """Create a repo from views given as dictionaries, and return the spec that joins them."""

    def create(*views: dict[str, Any], **given: Any) -> FeatureStoreSpec:
        specs = [FeatureViewSpec(**view) for view in views]
        spec = FeatureStoreSpec(repo_path=str(tmp_path / "repo"), views=specs, initialize=True, **given)
        prepare_repo(spec)
        return spec

    return create
