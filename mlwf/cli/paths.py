"""Paths as a person at this prompt would write them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def from_here(text: str) -> str:
    """Write every absolute path below the current folder relative to it; also in `sqlite:////here/mlflow.db`."""
    folder = str(Path.cwd()).rstrip(os.sep)
    # What stands before must not belong to the path: /backup/home/me is not /home/me.
    return re.sub(rf"(?<![\w.-]){re.escape(folder + os.sep)}", "", text) if folder else text


def all_from_here(content: Any, keep: Callable[[str], str] = str) -> Any:
    """Do the same for every text in a summary; `keep` writes all of them, and the keys, as they can be shown."""
    if isinstance(content, str):
        return keep(from_here(content))
    if isinstance(content, Mapping):
        return {
            keep(key) if isinstance(key, str) else key: all_from_here(value, keep) for key, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [all_from_here(value, keep) for value in content]
    return content
