"""What is told of an experiment file that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlwf.errors import ConfigError
from mlwf.specs.loading import load_experiment


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told() -> Callable[[str], list[str]]:
    """Give what loads a text as `x.yaml` and lists every problem that is told of it."""

    def load(text: str) -> list[str]:
        Path("x.yaml").write_text(text)
        with pytest.raises(ConfigError) as raised:
            load_experiment(Path("x.yaml"))
        return [str(problem) for problem in raised.value.problems]

    return load
