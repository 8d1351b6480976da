"""Training data straight from a feature repo, for callers from Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from mlwf.errors import ConfigError, DataError, Problem, nearest
from mlwf.modules.feature_store.joining import Joined, join_features
from mlwf.modules.feature_store.repo import prepare_repo
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec

Labels: TypeAlias = "pd.DataFrame | Callable[[], pd.DataFrame]"


class FeastTrainingData:
    """The label rows of a feature repo, ready to be joined with its features."""

    def __init__(
        self,
        spec: FeatureStoreSpec,
        labels: Labels | None = None,
        *,
        target: str | None = None,
        time: str | None = None,
    ) -> None:
        self.spec = spec
        self.labels = labels
        self.target = target
        self.time = time
        self.joined: Joined | None = None
        """The last join: feature names, key columns, and how many rows each view had nothing for."""

    def get_training_data(
        self, sample_indices: Sequence[int] | None = None, timestamp: str | datetime | None = None
    ) -> tuple[pd.DataFrame, Any]:
        """Join the features to the label rows.

        Parameters
        ----------
        sample_indices
            Keep only these label rows, by position from 0.
        timestamp
            Time as of which features are joined, for label rows that carry none.

        Returns
        -------
        X : DataFrame, (n_samples, n_columns)
            The label rows' columns but target and time, then the features. Keys are among them, so that a feature
            spec can name one; `joined.keys` says which they are.
        y : array, (n_samples,)
            The target.
        """
        spec = self._with_arguments(sample_indices, timestamp)
        rows = self._label_rows()
        if self.target is None:
            raise ConfigError(Problem("", "feature_store.labels.target", "the column to predict is not named"))
        if self.target not in rows.columns:
            hint = nearest(self.target, map(str, rows.columns))
            raise DataError(Problem("", self.target, "no such column in the label rows", hint))
        self.joined = join_features(spec, rows, time=self.time)
        X = self.joined.rows.drop(columns=[self.target, *([self.time] if self.time else [])])
        return X, self.joined.rows[self.target].to_numpy()

    def _with_arguments(
        self, sample_indices: Sequence[int] | None, timestamp: str | datetime | None
    ) -> FeatureStoreSpec:
        given: dict[str, Any] = {}
        if sample_indices is not None:
            given["sample_indices"] = [int(position) for position in sample_indices]
        if timestamp is not None:
            given["timestamp"] = timestamp.isoformat() if isinstance(timestamp, datetime) else timestamp
        # Built anew and not copied, so that the arguments are checked like the fields.
        return FeatureStoreSpec(**{**dict(self.spec), **given}) if given else self.spec

    def _label_rows(self) -> pd.DataFrame:
        if self.labels is None:
            message = "a feature repo holds features, not what is predicted: label rows are needed"
            hint = "give labels a table with keys, event time and target"
            raise ConfigError(Problem("", "feature_store.labels", message, hint))
        return self.labels() if callable(self.labels) else self.labels


def create_feast_manager(
    repo_path: str | Path,
    n_features: int | None = None,
    initialize: bool = False,
    force_recreate: bool = False,
    *,
    features: Sequence[str] | None = None,
    feature_service: str | None = None,
    views: Sequence[FeatureViewSpec] = (),
    labels: Labels | None = None,
    target: str | None = None,
    time: str | None = None,
) -> FeastTrainingData:
    """Open a feature repo, after creating it when asked to.

    Parameters
    ----------
    repo_path
        Folder of the Feast repo.
    n_features
        Keep only the first so many features.
    initialize
        Create the repo and apply `views`; what exists already is kept.
    force_recreate
        Delete what mlwf created there, and initialize anew.
    features, feature_service
        `view:feature` or `view` references, or the name of a service; the default is every view.
    views
        Views to declare when the repo is created.
    labels
        Label rows, or a function that loads them.
    target, time
        Columns of the label rows: what is predicted, and the event time.
    """
    spec = FeatureStoreSpec(
        repo_path=str(repo_path),
        features=None if features is None else list(features),
        feature_service=feature_service,
        views=list(views),
        initialize=initialize,
        force_recreate=force_recreate,
        n_features=n_features,
    )
    prepare_repo(spec)
    return FeastTrainingData(spec, labels, target=target, time=time)
