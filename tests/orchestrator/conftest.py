"""Small data for whole workflows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlwf import CategoricalFeatureSpec, FeatureSpec, NumericFeatureSpec
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import PipelineConfig
from mlwf.orchestrator.run_data import load_arrays
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.workflow import build_pipeline
from mlwf.specs.data import IN_MEMORY, DataSpec
from mlwf.specs.experiment import ExperimentSpec


@pytest.fixture(scope="session")
def mixed() -> tuple[pd.DataFrame, Any]:
    """Give 150 rows of numbers, categories and booleans with nulls, and a binary target of texts."""
    draw = np.random.default_rng(7)
    X = pd.DataFrame(
        {
            "height": draw.normal(170, 10, 150),
            "weight": draw.normal(70, 12, 150),
            "city": draw.choice(["Bergen", "Lyon", "Turin"], 150),
            "grade": draw.choice(["a", "b"], 150),
        }
    )
    y = np.where(X["height"] + 6 * (X["city"] == "Lyon") + draw.normal(0, 7, 150) > 172, "tall", "short")
    X.loc[[4, 9, 77], "height"] = None
    X.loc[[5, 9, 140], "city"] = None
    return X, y.astype(object)


@pytest.fixture(scope="session")
def mixed_features() -> list[FeatureSpec]:
    """Give the features of `mixed`, written."""
    return [
        NumericFeatureSpec(columns=["height", "weight"]),
        CategoricalFeatureSpec(columns=["grade"]),
        CategoricalFeatureSpec(columns=["city"], encoder="target"),
    ]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait before a store is asked again."""
    from mlwf.modules.tracking import sending

    monkeypatch.setattr(sending, "RETRY_SECONDS", 0)


@pytest.fixture
def mixed_context(mixed: Any, mixed_features: list[FeatureSpec]) -> Callable[..., tuple[RunContext, PipelineConfig]]:
    """Give what sets up an experiment on `mixed` from the sections of its file, ready for the first fit."""

    def set_up(**sections: Any) -> tuple[RunContext, PipelineConfig]:
        X, y = mixed
        spec = ExperimentSpec(
            name="mixed", data=DataSpec(path=IN_MEMORY, target="size"), features=mixed_features, **sections
        )
        context = RunContext(spec, load_arrays(X, y)(spec), RunLog())
        return context, build_pipeline(context)

    return set_up
