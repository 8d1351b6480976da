"""Real terminal sessions, compared whole: a changed message is a reviewed diff.

A session is a file of `tests/sessions`, made of what a person sees:

    ; A remark, anywhere between commands. `; slow` alone on a line marks the session so,
    ; and `; with: configs/data/penguins.csv` puts a file of the project into the session's folder.
    $ a command, run by bash in the session's folder
    > and its further lines
    what it writes to stdout
    ! what it writes to stderr
    [exit 2]

Within a command stdout comes first, whatever was written first; the exit code stands there when it is not 0. After a
deliberate change `UPDATE_SESSIONS=1 pytest tests/test_sessions.py` writes the files anew, and `git diff` shows what
people will read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.warm_start import warm_mlwf

ROOT = Path(__file__).parent.parent
SESSIONS = sorted((ROOT / "tests/sessions").glob("*.session"))
IS_SLOW = re.compile(r"^; slow$", re.MULTILINE)
LONG = {
    "bad_data", "codes", "continued", "evaluate", "explain", "gates", "init", "killed", "nested", "on_error_fail",
    "predict", "terminal", "train", "unreachable_server", "verbose",
}  # fmt: skip
"""Sessions of many runs, which are slow too: tests of the same without a process for each command are not."""
COLD = re.compile(r"^[$>] .*(kill -|in_terminal|ulimit)", re.MULTILINE)
"""Sessions that do something to the process of a command, so that none of them is a fork of `tests/warm_start.py`."""
MOST_SECONDS = 300

VOLATILE = [
    # Which phases take long enough to be told, and where their line breaks.
    (r"(?m)^Time  .*(\n {6,}\S.*)*", "Time         ..."),
    (r"(?m)^<1>Time  .*(\n<1> {6,}<0>.*)*", "<1>Time       <0><1>  <0>..."),
    (r"\| \*\*Time\*\* \| .*", "| **Time** | ... |"),
    # Durations, and the space that fills a column of them.
    (r"(?<![\w.])(\d+(\.\d+)? s|\d+ min \d+ s)(?![\w.])", "0.0 s"),
    (r"  +(0\.0 s|Time  )", r"  \1"),
    (r'("(?:fit_|remaining_)?seconds": )[\d.e-]+', r"\g<1>0.0"),
    # Moments, with the space that fills a column of them.
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b", "2026-01-01 12:00"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?", "2026-01-01T12:00:00"),
    # Files that are saved where the system keeps such, and ports that were free.
    (r"\S*/mlwf-traceback-\w+\.txt", "/tmp/mlwf-traceback-0.txt"),
    (r"(127\.0\.0\.1|localhost):\d{4,5}", r"\1:5000"),
    (r"mlwf \d+\.\d+\.\d+\S*", "mlwf 0.0.0"),
]
"""What differs from run to run, and what stands for it."""

IDS = {
    r"\b\d{8}-\d{6}-[0-9a-f]{4}\b": "20260101-120000-{:04}",
    r"\b[0-9a-f]{32}\b": "{:032}",
}
"""Ids of runs, ours and MLflow's, and what stands for the first, the second, ... that a session shows."""


@dataclass
class Step:
    """A command, with the remarks before it and what it wrote."""

    remarks: str
    command: str
    wrote: str


def read_session(text: str) -> list[Step]:
    """Split a session into its commands."""
    steps: list[Step] = []
    remarks: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append(Step("".join(remarks), line[2:], ""))
            remarks = []
        elif line.startswith(("> ", ">")) and steps and not steps[-1].wrote:
            steps[-1].command += "\n" + line[2:]
        elif line.startswith("; "):
            remarks.append(line + "\n")
        else:
            steps[-1].wrote += line + "\n"
    return steps


def write_session(steps: list[Step]) -> str:
    return "".join(f"{step.remarks}$ {prompted(step.command)}\n{step.wrote}" for step in steps)


def prompted(command: str) -> str:
    return "\n> ".join(command.splitlines()).replace("\n> \n", "\n>\n")


def normalised(text: str, folder: Path, seen: dict[str, str]) -> str:
    """Replace what differs from run to run by what stands for it; `seen` keeps the ids of the session."""

    def stand_for(id_: str, stand_in: str) -> str:
        return seen.setdefault(id_, stand_in.format(1 + sum(len(other) == len(id_) for other in seen)))

    text = text.replace(str(folder), "/here")
    for pattern, stand_in in IDS.items():
        for id_ in re.findall(pattern, text):
            text = text.replace(id_, stand_for(id_, stand_in))
    for pattern, stand_in in VOLATILE:
        text = re.sub(pattern, stand_in, text)
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def run_step(command: str, folder: Path, environment: dict[str, str], seen: dict[str, str]) -> str:
    """Run a command as a process of its own and give what it wrote, as a session shows it."""
    told = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    wrote = normalised(told.stdout, folder, seen)
    wrote += "".join(f"! {line}".rstrip() + "\n" for line in normalised(told.stderr, folder, seen).splitlines())
    return wrote + (f"[exit {told.returncode}]\n" if told.returncode else "")


@pytest.fixture(scope="module")
def installed():
    """Give the environment of a person who has installed mlwf and set nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "_TYPER"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "utf-8",
        "PROJECT": str(ROOT),
    }


@pytest.fixture(scope="module")
def warm_bin(installed):
    with warm_mlwf(installed) as folder:
        yield folder


@pytest.fixture
def environment(session, installed, tmp_path, request):
    """Give that environment with a home of the session's own."""
    home = tmp_path / "home"
    home.mkdir()
    path = installed["PATH"]
    if not COLD.search(session.read_text()):
        path = f"{request.getfixturevalue('warm_bin')}{os.pathsep}{path}"
    return installed | {"HOME": str(home), "PATH": path}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "here"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=[pytest.mark.slow] if path.stem in LONG or IS_SLOW.search(path.read_text()) else [],
        )
        for path in SESSIONS
    ],
)
def test_session_reads_as_recorded(session, folder, environment):
    recorded = session.read_text()
    for name in re.findall(r"^; with: (\S+)$", recorded, re.MULTILINE):
        shutil.copy(ROOT / name, folder)
    steps = read_session(recorded)
    seen: dict[str, str] = {}
    for step in steps:
        step.wrote = run_step(step.command, folder, environment, seen)
    happened = write_session(steps)
    if os.environ.get("UPDATE_SESSIONS"):
        session.write_text(happened)
    assert happened == session.read_text()


def test_sessions_that_are_marked_as_long_exist():
    assert LONG - {path.stem for path in SESSIONS} == set()


def test_a_session_is_written_as_it_was_read():
    text = "; Why.\n$ cat <<END\n> a: 1\n>\n> END\na: 1\n# b\n! oh\n[exit 2]\n; Then.\n$ true\n"
    assert write_session(read_session(text)) == text


def test_what_differs_from_run_to_run_is_replaced(tmp_path):
    text = f"{tmp_path}/a: done in 12.5 s, 3 min 4 s  20251123-200512-f58e  4c494ddba2d544718e7fd5bdcf41fc08   \n"
    assert normalised(text, tmp_path, {}) == f"/here/a: done in 0.0 s, 0.0 s  20260101-120000-0001  {1:032}\n"


def test_each_run_keeps_its_number(tmp_path):
    seen = {}
    assert normalised("20251123-200512-f58e\n", tmp_path, seen) == "20260101-120000-0001\n"
    again = normalised("20251123-200513-aaaa 20251123-200512-f58e\n", tmp_path, seen)
    assert again == "20260101-120000-0002 20260101-120000-0001\n"


def test_other_numbers_are_kept(tmp_path):
    text = "accuracy 0.9818, 20 of 57 fits, 5 folds, 275 rows, hours_3 s2\n"
    assert normalised(text, tmp_path, {}) == text


@pytest.mark.parametrize("command", ["mlwf --version", "mlwf validate nowhere.yaml", "mlwf nothing", "mlwf | head -1"])
def test_a_command_of_the_process_that_is_warm_is_one_that_starts_anew(command, installed, warm_bin, tmp_path):
    forked = installed | {"PATH": f"{warm_bin}{os.pathsep}{installed['PATH']}"}
    told = [run_step(command, tmp_path, environment, {}) for environment in (installed, forked, forked | {"A": "b"})]
    assert told[1:] == [told[0]] * 2
