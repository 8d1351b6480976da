"""What of a run its store does not have yet: kept in a folder, part by part, until it is sent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Part = Literal[
    "parameters",
    "metrics",
    "datasets",
    "files",
    "plots",
    "model",
    "model metrics",
    "registration",
    "summary",
    "tags",
    "end of run",
]
PARTS: tuple[Part, ...] = get_args(Part)
"""What a store gets of a run, in the order in which it is sent; each is tried by itself."""

CLOSING: tuple[Part, ...] = ("summary", "tags", "end of run")
"""The parts that say how the run ended, and with what missing."""

STATE = "state.json"

SUMMARY = "summary.json"

_FOLDERS: dict[Part, str] = {"files": "files", "plots": "plots", "model": "model", "summary": "summary"}
"""Parts that are files, and the folders in which they wait."""


@dataclass(eq=False)
class Unsent:
    """The parts of one run that wait to be sent, and why they were not."""

    folder: Path
    known: dict[str, Any] = field(default_factory=dict)
    """What the store said of the run: `run_id`, `experiment_id`, `model_id`, `version`."""
    waiting: dict[Part, Any] = field(default_factory=dict)
    """What each part is to send."""
    missing: dict[Part, str] = field(default_factory=dict)
    """Why a part was not sent when it was tried."""

    @classmethod
    def load(cls, folder: Path) -> Unsent | None:
        """Read what a run left behind; None where no MLflow run was begun."""
        try:
            content = json.loads((folder / STATE).read_text(encoding="utf-8"))
            return cls(folder, content["known"], content["waiting"], content["missing"])
        except (OSError, ValueError, KeyError):
            return None

    def place(self, part: Part) -> Path:
        """Give the folder in which the files of a part wait."""
        folder = self.folder / _FOLDERS[part]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def add(self, part: Part, content: Any = True) -> None:
        """Let a part wait: lists grow, maps are merged, anything else is replaced."""
        before = self.waiting.get(part)
        if isinstance(before, list):
            content = [*before, *content]
        elif isinstance(before, dict) and isinstance(content, Mapping):
            content = {**before, **content}
        self.waiting[part] = content
        self.write()

    def done(self, part: Part) -> None:
        """Forget a part that the store has."""
        self.waiting.pop(part, None)
        self.missing.pop(part, None)
        if part in _FOLDERS:
            shutil.rmtree(self.folder / _FOLDERS[part], ignore_errors=True)
        self.write()

    def failed(self, part: Part, reason: str) -> None:
        """Keep why a part was not sent."""
        self.missing[part] = reason
        self.write()

    def refused(self) -> dict[Part, str]:
        """Give what is missing of the run's content; that it is not told of is another matter."""
        return {part: reason for part, reason in self.missing.items() if part not in CLOSING}

    def write(self) -> None:
        """Write it all down, so that a process that ends here loses nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"known": self.known, "waiting": self.waiting, "missing": self.missing}
        draft = self.folder / f".{os.getpid()}-{STATE}"
        draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        draft.replace(self.folder / STATE)


def describe_missing(missing: Mapping[Part, str]) -> str:
    """Say in one line which parts were not sent and why; parts with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for part, reason in missing.items():
        by_reason.setdefault(reason, []).append(part)
    return "; ".join(f"{', '.join(parts)}: {reason}" for reason, parts in by_reason.items())
