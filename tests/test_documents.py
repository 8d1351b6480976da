"""What the documents show in `console` blocks is what happens: every command is typed, in order, in a copy.

A line `...` stands for any lines. Output is stdout, and of a command that fails stderr as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm_start import warm_mlwf

ROOT = Path(__file__).parent.parent
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
VOLATILE = [
    (r"\b\d{8}-\d{6}-[0-9a-f]{4}\b", "RUN"),
    (r"\b[0-9a-f]{32}\b", "MLFLOW-RUN"),
    (r"(?<![\w.])(\d+(\.\d+)? s|\d+ min \d+ s)(?![\w.])", "SECONDS"),
    # The last digits of a float belong to the machine.
    (r"(\d\.\d{4})\d{6,}", r"\1"),
    (r"[ \t]+", " "),
    (r"(?m) $", ""),
]
DOCUMENTS = {
    "README.md": ".",
    "examples/feature_store/README.md": ".",
    "examples/python/README.md": "examples/python",
    "examples/titanic/README.md": "examples/titanic",
}
"""Each document, and the folder in which a reader types its commands."""


def read_steps(markdown: str) -> list[tuple[str, str]]:
    """List the commands of all console blocks, each with the output that is shown."""
    steps: list[tuple[str, str]] = []
    for line in "".join(CONSOLE.findall(markdown)).splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line.startswith("> ") and not steps[-1][1]:
            steps[-1] = (f"{steps[-1][0]}\n{line[2:]}", "")
        else:
            steps[-1] = (steps[-1][0], f"{steps[-1][1]}{line}\n")
    return steps


def settled(text: str) -> str:
    for pattern, stands in VOLATILE:
        text = re.sub(pattern, stands, text)
    return text.rstrip("\n") + "\n"


def is_told_by(shown: str, happened: str) -> bool:
    lines = [r"(.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in settled(shown).splitlines()]
    return re.fullmatch("".join(lines), settled(happened)) is not None


@pytest.fixture(scope="module")
def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with warm_mlwf(kept) as folder:
        yield kept | {"PATH": f"{folder}{os.pathsep}{kept['PATH']}"}


def type_command(command: str, folder: Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    return ran.stdout + (ran.stderr if ran.returncode else "")


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_shows_what_happens(name, tmp_path, environment):
    for part in ("configs", "examples"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("runs", "feature_repo", "ml*"))
    steps = read_steps((ROOT / name).read_text())
    assert steps
    for command, shown in steps:
        happened = type_command(command, tmp_path / DOCUMENTS[name], environment)
        assert is_told_by(shown, happened), f"$ {command}\n{happened}\ninstead of\n{shown}"


def test_every_document_is_typed():
    documents = [*ROOT.glob("*.md"), *(ROOT / "examples").glob("*/*.md")]
    typed = [str(path.relative_to(ROOT)) for path in documents if CONSOLE.search(path.read_text())]
    assert sorted(typed) == sorted(DOCUMENTS)


@pytest.mark.parametrize(
    ("shown", "happened", "is_told"),
    [
        pytest.param("a\n", "a\n", True, id="the same"),
        pytest.param("a\n", "a\nb\n", False, id="a line more"),
        pytest.param("a\n...\n", "a\nb\nc\n", True, id="left out"),
        pytest.param("a\n...\nd\n", "a\nb\nc\n", False, id="left out, and then another"),
        pytest.param("took 3 s\n", "took 2 min 3 s\n", True, id="durations"),
        pytest.param("score  0.81\n", "score 0.82\n", False, id="scores"),
        pytest.param("", "Traceback\n", False, id="nothing shown"),
    ],
)
def test_comparison_can_fail(shown, happened, is_told):
    assert is_told_by(shown, happened) is is_told
