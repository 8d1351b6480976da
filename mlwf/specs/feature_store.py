"""The `feature_store` section: features that are joined to the label rows from a Feast repo."""

from __future__ import annotations

from pydantic import Field

from mlwf.specs.base import Spec
from mlwf.specs.data import DataSpec


class FeatureViewSpec(Spec):
    """A Feast feature view to declare when the repo is created; its schema is inferred from the source."""

    name: str = Field(min_length=1)
    """Name of the view."""
    source: str = Field(min_length=1)
    """Parquet file with the features, relative to this file."""
    entity: str | list[str]
    """Key column or columns, of the source and of the label rows alike."""
    timestamp: str | None = None
    """Column with the time from which a row holds; left out when the rows hold at any time."""
    ttl: str | None = None
    """How long a row holds, such as `3h` or `40d`; left out it holds until the next one."""


class FeatureStoreSpec(Spec):
    """Features from a Feast repo, joined to the label rows as they were known at each row's time."""

    enabled: bool = True
    """Whether to join at all."""
    repo_path: str = Field(min_length=1)
    """Folder of the Feast repo, relative to this file."""
    features: list[str] | None = Field(None, min_length=1)
    """What to join: `view:feature`, or a whole `view`; the default is every view of the repo."""
    feature_service: str | None = Field(None, min_length=1)
    """A feature service to join, instead of `features`."""
    views: list[FeatureViewSpec] = Field(default_factory=list)
    """Views to declare when the repo is initialized."""
    initialize: bool = False
    """Create the repo and apply `views` before joining; what exists already is kept."""
    force_recreate: bool = False
    """Start over: delete what mlwf created there and initialize anew."""
    n_features: int | None = Field(None, ge=1)
    """Keep only the first so many features."""
    sample_indices: list[int] | None = Field(None, min_length=1)
    """Keep only these label rows, by position from 0."""
    timestamp: str | None = None
    """Time as of which features are joined, for label rows that carry none (`data.time`)."""
    labels: DataSpec | None = None
    """Label rows, when called from Python without X and y; in an experiment file they are `data`."""

    def should_initialize(self) -> bool:
        """Whether the repo is created and applied before the join."""
        return self.initialize or self.force_recreate
