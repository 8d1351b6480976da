"""Paths as a person at this prompt would write them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def from_here(text: str) -> str:
    """Write every absolute path below the current folder relative to it; also in `sqlite:////here/mlflow.db`."""
    folder = str(Path.cwd()).rstrip(os.sep)
    # What stands before must not belong to the path: /backup/home/me is not /home/me.
    return re.sub(rf"(?<![\w.-]){re.escape(folder + os.sep)}", "", text) if folder else text


def all_from_here(content: Any) -> Any:
    """Do the same for every text in a summary."""
    if isinstance(content, str):
        return from_here(content)
    if isinstance(content, Mapping):
        return {key: all_from_here(value) for key, value in content.items()}
    if isinstance(content, list):
        return [all_from_here(value) for value in content]
    return content
