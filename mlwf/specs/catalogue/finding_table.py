"""What a run may find about itself. The checks are functions of `mlwf.modules.findings.find`, by the same codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The gravest first."""


@dataclass(frozen=True)
class FindingInfo:
    """What is known of a finding."""

    severities: tuple[Severity, ...]
    """How grave it can be."""


FINDINGS: dict[str, FindingInfo] = {
    "leakage": FindingInfo(("error",)),
    "identifier": FindingInfo(("warning",)),
    "duplicates": FindingInfo(("warning", "info")),
    "no_better_than_baseline": FindingInfo(("error",)),
    "grid_edge": FindingInfo(("info",)),
    "rare_class": FindingInfo(("warning",)),
    "uncalibrated": FindingInfo(("warning", "info")),
    "degraded": FindingInfo(("warning",)),
}
"""By code, in the order in which findings of one severity are listed."""
