"""What stands beside every number: data first, and one sentence that is made of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlwf.provenance import Protocol, Provenance, ScoredBeforeRefit
from tests.provenances import ON_FOLDS, ON_HOLDOUT, ON_TEST

NUMBERS = {
    "test": (ON_TEST, "test set of 200 rows", " that no step before saw", ()),
    "folds": (
        replace(
            ON_FOLDS,
            labels=("hyperparameters", "features"),
            weighted_by="a; b",
            n_weightless=3,
            is_pooled=True,
            n_folds_left_out=1,
        ),
        "3-fold stratified cross-validation of 90 rows",
        ", shuffled",
        (
            "tuned on the same rows",
            "features inferred on the same rows",
            "weighted by a; b, 3 rows of weight 0 left out",
            "all folds together",
            "without 1 fold that the time limit left no time for",
        ),
    ),
    "nested": (
        replace(ON_FOLDS, n_rows=1234, protocol=Protocol("leave_one_group_out", 7, column="{id}", is_nested=True)),
        "nested cross-validation of 1,234 rows",
        ", leaving out one {id} of 7",
        (),
    ),
    "hold-out": (
        replace(ON_HOLDOUT, before_refit=ScoredBeforeRefit(calibrated=False, threshold=0.25)),
        "hold-out of 90 rows",
        ", split off before anything was fitted",
        ("of the model before the refit (calibration not kept, threshold 0.2500)",),
    ),
    "search": (
        Provenance(None, 90, Protocol("search", n_folds=3), ignores_weights=True),
        "mean over 3 folds of 90 rows",
        "",
        ("all rows count alike, whatever their weight",),
    ),
}


@pytest.mark.parametrize(("provenance", "title", "details", "remarks"), NUMBERS.values(), ids=NUMBERS)
def test_the_sentence_is_made_of_the_fields(provenance, title, details, remarks):
    assert (provenance.title, provenance.details, provenance.remarks) == (title, details, remarks)
    assert provenance.note == "; ".join([title + details, *remarks])


@pytest.mark.parametrize("provenance", [case[0] for case in NUMBERS.values()], ids=NUMBERS)
def test_what_json_keeps_makes_the_same_sentence(provenance):
    again = Provenance.from_dict(json.loads(json.dumps(provenance.to_dict())))
    assert again == replace(provenance, rows=(), selected_on={})
    assert again.note == provenance.note
