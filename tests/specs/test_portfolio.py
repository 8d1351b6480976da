"""The portfolio is plain data that the catalogue takes."""

from __future__ import annotations

import pytest

from mlwf.specs.catalogue.algorithms import ALGORITHMS, check_hyperparameters
from mlwf.specs.catalogue.param_grids import check_param_grid
from mlwf.specs.portfolio import BOOSTERS, PORTFOLIO, STAND_INS, build_portfolio

SCIKIT_LEARN = {name for name, info in ALGORITHMS.items() if info.package == "sklearn"}


@pytest.mark.parametrize("name", PORTFOLIO)
def test_portfolio_entry_is_one_of_the_catalogue(name: str) -> None:
    model = PORTFOLIO[name]
    assert model["algorithm"] in ALGORITHMS
    assert check_hyperparameters(model["algorithm"], model["hyperparameters"]) == []
    grid = model.get("tuning", {}).get("param_grid", {})
    assert check_param_grid(model["algorithm"], "auto", grid) == []


def test_portfolio_without_extras_keeps_boosting() -> None:
    models = build_portfolio(SCIKIT_LEARN)

    assert set(STAND_INS) < set(models)
    assert {model["algorithm"] for model in models.values()} <= SCIKIT_LEARN


@pytest.mark.parametrize("booster", BOOSTERS)
def test_portfolio_with_one_extra_leaves_the_stand_ins_out(booster: str) -> None:
    models = build_portfolio({*SCIKIT_LEARN, booster})

    assert booster in {model["algorithm"] for model in models.values()}
    assert not set(STAND_INS) & set(models)
