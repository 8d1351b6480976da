"""Features from a Feast repo: the repo is created or opened, and joined point-in-time to the label rows."""

from __future__ import annotations

from mlwf.modules.feature_store.joining import FeastTrainingData, create_feast_manager, join_features
from mlwf.modules.feature_store.online import Materialized, materialize
from mlwf.modules.feature_store.pull import Joined, freeze_pull
from mlwf.modules.feature_store.repo import prepare_repo

__all__ = [
    "FeastTrainingData",
    "Joined",
    "Materialized",
    "create_feast_manager",
    "freeze_pull",
    "join_features",
    "materialize",
    "prepare_repo",
]
