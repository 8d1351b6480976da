"""A strategy is a spec in `mlwf.specs.tuning` and an entry in `STRATEGIES`: nothing else has to know it."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytest
from sklearn.linear_model import LogisticRegression

from mlwf.modules.tuning import GridSearch, create_tuning, list_candidates
from mlwf.modules.tuning.tune import STRATEGIES, Strategy, grid_candidates, try_all
from mlwf.specs.tuning import ParamTuningSpec, TuningSection


class BackwardSearchSpec(ParamTuningSpec):
    strategy: Literal["backward"] = "backward"
    param_grid: dict[str, list[Any]]


def _try_backward(spec, search, candidates, random_state):
    return try_all(spec, search, candidates[::-1], random_state)


@pytest.fixture
def _backward(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "backward", Strategy(_try_backward, grid_candidates))


@pytest.mark.usefixtures("_backward")
def test_a_strategy_is_an_entry(pipeline, data):
    spec = BackwardSearchSpec(param_grid={"classifier__C": [0.1, 1.0, 10.0]}, max_candidates=2)
    assert (spec.parameters, spec.space_key) == (["classifier__C"], "param_grid")
    assert list_candidates(spec) == [{"classifier__C": 0.1}, {"classifier__C": 1.0}]
    search = create_tuning(spec)
    assert type(search) is GridSearch
    search.fit(pipeline(LogisticRegression()), *data())
    assert search.cv_results_["params"] == [{"classifier__C": 1.0}, {"classifier__C": 0.1}]
    assert search.result_.strategy == "backward"
    assert search.result_.stopped == "the first 2 of 3 candidates, as tuning.max_candidates says"


def test_every_spec_of_a_search_has_its_strategy():
    specs = get_args(get_args(TuningSection)[0])
    assert {get_args(spec.model_fields["strategy"].annotation)[0] for spec in specs} == set(STRATEGIES)
