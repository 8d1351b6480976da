"""A disk that takes no more: one sentence, exit 1, no run that looks finished, and the next run works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SENTENCES = ("File too large", "disk I/O error", "database or disk is full")
EXPERIMENT = """\
data: {path: penguins.csv, target: species}
model: {algorithm: gaussian_nb}
validation: {strategy: train_test}
compute: {n_jobs: 1}
"""
BOUNDS = [600, 2_500, 9_000]
"""Bytes that a file may have: too few for what a run begins with, for its model, for its summary."""
TRACKED = [0, 3_000, 40_000, 400_000]

STEPS = """\
import contextlib, io, json, resource, sys
from pathlib import Path
import mlwf.orchestrator.api
import mlwf.orchestrator.prediction
from mlwf.cli.boundary import run
from mlwf.modules.runs import list_runs

def limited(size, arguments):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            code = run(arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return code, told.getvalue()

ends = []
for size, arguments in json.loads(sys.argv[1]):
    before = {row["run_id"] for row in list_runs(Path("runs"))}
    code, told = limited(resource.RLIM_INFINITY if size is None else size, arguments)
    statuses = [row["status"] for row in list_runs(Path("runs")) if row["run_id"] not in before]
    files = [str(path) for path in Path(".").rglob("*") if path.is_file() and ".fits" not in path.parts]
    ends.append({"code": code, "told": told, "statuses": statuses, "files": files})
print(json.dumps(ends))
"""

Step = tuple[int | None, list[str]]


def run_steps(folder: Path, *steps: Step) -> list[dict[str, Any]]:
    """Run commands, each with a bound of what a file may hold, and say how each ended and what files are there then."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS, json.dumps(steps)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ends: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return ends


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "configs/data/penguins.csv", tmp_path)
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    (tmp_path / "tracked.yaml").write_text(f"{EXPERIMENT}tracking: {{}}\n")
    return tmp_path


def assert_told(end: dict[str, Any]) -> None:
    (line,) = [line for line in end["told"].splitlines() if not line.startswith("[")]
    assert line.endswith(SENTENCES), line
    assert end["code"] == 1
    assert not {"done", "degraded"} & set(end["statuses"])
    assert [file for file in end["files"] if Path(file).name.startswith(".")] == []


@pytest.mark.parametrize(
    ("config", "bounds"),
    [
        pytest.param("e.yaml", BOUNDS, id="a run"),
        pytest.param("tracked.yaml", TRACKED, id="a tracked run", marks=pytest.mark.slow),
    ],
)
def test_a_run_without_room_says_so_and_the_next_one_works(folder, config, bounds):
    *without_room, last = run_steps(folder, *((bound, ["train", config]) for bound in [*bounds, None]))
    for end in without_room:
        assert_told(end)
    assert (last["code"], last["statuses"]) == (0, ["done"])


@pytest.mark.parametrize(
    "tables", [["out.csv"], pytest.param(["out.csv.gz", "out.parquet"], marks=pytest.mark.slow)], ids=" ".join
)
def test_tables_and_drafts_without_room_leave_no_file(folder, tables):
    predict = [["predict", "latest", "penguins.csv", "-o", name] for name in tables]
    init = ["init", "penguins.csv", "--target", "species", "-o", "draft.yaml"]
    commands = [*predict, init]
    trained, *ends = run_steps(
        folder,
        (None, ["train", "e.yaml"]),
        *((600, command) for command in commands),
        *((None, command) for command in commands),
    )
    assert trained["code"] == 0
    for end in ends[: len(commands)]:
        assert_told(end)
        assert not {*tables, "draft.yaml"} & {*end["files"]}
    assert [end["code"] for end in ends[len(commands) :]] == [0] * len(commands)
    assert {*tables, "draft.yaml"} <= {*ends[-1]["files"]}


@pytest.mark.parametrize("arguments", [["runs", "--format", "json"], ["--help"], ["validate", "e.yaml"]], ids=" ".join)
def test_standard_output_without_room_is_told(folder, arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mlwf", *arguments],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.replace("standard output: ", "") == "mlwf: No space left on device\n"
