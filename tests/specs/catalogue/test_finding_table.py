"""The table of findings."""

from __future__ import annotations

from typing import get_args

from mlwf.modules.findings.find import CHECKS
from mlwf.specs.catalogue import FINDINGS, SEVERITIES, Severity


def test_each_finding_has_an_entry_and_a_check() -> None:
    assert [*FINDINGS] == [*CHECKS]


def test_severities_are_ranked() -> None:
    assert [*SEVERITIES] == [*get_args(Severity)]
    assert all(info.severities for info in FINDINGS.values())
