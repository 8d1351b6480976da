"""The models of a run in words: which one was chosen, or what the ensemble is made of."""

from __future__ import annotations

from typing import Any

import pytest

from mlwf.tables.leaderboard import describe_selection

MEMBERS = [{"name": "linear", "weight": 0.25}, {"name": "near_2", "weight": 0.75}]
KEPT = {"kept": True, "reason": "better by 0.1", "members": MEMBERS}


@pytest.mark.parametrize(
    ("ensemble", "told"),
    [
        (None, "linear is the best by neg_log_loss of 2 models, 6 candidates"),
        (KEPT, "an ensemble of 2 members, from 6 candidates of 2 models; better by 0.1\nnear_2 75%, linear 25%"),
        (
            {**KEPT, "kept": False, "reason": "which may be chance"},
            (
                "linear is the best by neg_log_loss of 2 models, 6 candidates\n"
                "an ensemble was not kept: which may be chance"
            ),
        ),
    ],
    ids=["alone", "kept", "not kept"],
)
def test_it_is_told_what_ships(ensemble: dict[str, Any] | None, told: str) -> None:
    models = [{"name": "linear", "n_candidates": 1}, {"name": "near", "n_candidates": 5}]
    selection = {"scoring": "neg_log_loss", "best": "linear", "models": models, "ensemble": ensemble}
    assert describe_selection(selection) == told
