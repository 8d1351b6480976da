"""The tables of sources and of findings."""

from __future__ import annotations

from typing import get_args

from mlwf.modules.findings.find import CHECKS
from mlwf.specs.catalogue import FINDINGS, SEVERITIES, SOURCES, UNSEEN, Severity, Source, rank_of


def test_sources_are_ranked_by_how_far_they_can_be_trusted() -> None:
    assert [*SOURCES] == [*get_args(Source)] == sorted(SOURCES, key=rank_of)
    assert [*SOURCES] == ["test", "train_test", "cross_validation"]


def test_registered_models_are_compared_on_rows_that_no_model_has_seen() -> None:
    assert UNSEEN == ("test", "train_test")


def test_source_is_worded() -> None:
    hold_out = SOURCES["train_test"]
    assert (hold_out.label, hold_out.in_text, hold_out.where) == ("Hold-out", "hold-out", "on the hold-out")
    assert (hold_out.lacking, hold_out.metric_prefix) == ("the run has no hold-out", "val")


def test_each_finding_has_an_entry_and_a_check() -> None:
    assert [*FINDINGS] == [*CHECKS]


def test_severities_are_ranked() -> None:
    assert [*SEVERITIES] == [*get_args(Severity)]
    assert all(info.severities for info in FINDINGS.values())
