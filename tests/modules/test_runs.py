from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import RunNotFoundError, UsageError
from mlwf.modules import runs
from mlwf.modules.runs import RunFolder, create_run, environment, find_run, list_runs, prune_runs
from mlwf.text import json_text

SUMMARY = {
    "name": "penguins",
    "status": "done",
    "started_at": "2026-11-23T19:15:00+00:00",
    "seconds": 4.5,
    "summary": {"algorithm": "gradient_boosting"},
    "data": {"rows": 344},
    "scores": [
        {"metric": "accuracy", "source": "cross_validation", "value": 0.98, "std": 0.01},
        {"metric": "accuracy", "source": "test", "value": 0.97, "std": None},
    ],
    "tracking": {"run_id": "f00dcafe"},
}


def make_run(
    runs_dir: Path, run_id: str, started_at: str = "2026-11-23T19:15:00+00:00", **summary: object
) -> RunFolder:
    run = RunFolder(runs_dir / run_id, run_id)
    run.write_json("state.json", {"run_id": run_id, "name": "penguins", "status": "running", "started_at": started_at})
    if summary:
        run.write_json("summary.json", summary)
    return run


def test_run_id_begins_with_the_time_and_is_the_folder(tmp_path):
    run = create_run(tmp_path / "runs", "penguins")
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", run.run_id)
    assert run.path == tmp_path / "runs" / run.run_id
    assert run.read_json("state.json")["name"] == "penguins"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.run_id]


def test_run_ids_are_unique_when_many_begin_at_once(tmp_path, monkeypatch):
    # One hexadecimal digit in place of four: sixteen runs within a second have to draw again and again.
    monkeypatch.setattr(
        runs.secrets, "token_hex", lambda n, draw=runs.secrets.token_hex: draw(n)[0] if n == 2 else draw(n)
    )
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create_run(tmp_path, "x"), range(16)))
    assert len({run.run_id for run in made}) == 16
    assert len(list(tmp_path.iterdir())) == 16


@pytest.mark.parametrize("runs_dir", ["file", "file/runs"])
def test_create_run_reports_why_it_cannot(tmp_path, runs_dir):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        create_run(tmp_path / runs_dir, "x")
    assert str(caught.value) == f"{tmp_path / runs_dir}: cannot make a run folder here: Not a directory"


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    run = create_run(tmp_path, "x")
    run.write_text("config.yaml", "old")

    def write_half() -> None:
        with run.writing("config.yaml") as draft:
            draft.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert run.file("config.yaml").read_text() == "old"
    assert sorted(path.name for path in run.path.iterdir()) == ["config.yaml", "state.json"]


def test_files_may_lie_in_folders(tmp_path):
    run = create_run(tmp_path, "x")
    assert run.write_text("plots/roc.svg", "<svg/>") == run.path / "plots" / "roc.svg"
    assert run.file("plots/roc.svg").read_text() == "<svg/>"


def test_arrays_come_back_as_they_were(tmp_path):
    run = create_run(tmp_path, "x")
    path = run.write_arrays("splits.npz", {"train_0": [0, 2], "test_0": np.array([1])})
    with np.load(path) as arrays:
        assert {name: list(arrays[name]) for name in arrays} == {"train_0": [0, 2], "test_0": [1]}


def test_json_holds_what_results_hold():
    text = json_text(
        {
            1: np.int64(3),
            "float": np.float64(0.1),
            "float32": np.float32(0.5),
            "bool": np.bool_(True),
            "array": np.array([[1.0, np.nan], [np.inf, -np.inf]]),
            "column": pd.Series([1, None], dtype="Int64"),
            "missing": [float("nan"), pd.NA, pd.NaT, None],
            "time": pd.Timestamp("2026-11-23", tz="UTC"),
            "date": date(2026, 11, 23),
            "path": Path("runs/x"),
            "tuple": (1, "é"),
            "label": np.str_(">50K"),
        }
    )
    assert "é" in text
    assert json.loads(text) == {
        "1": 3,
        "float": 0.1,
        "float32": 0.5,
        "bool": True,
        "array": [[1.0, None], [None, None]],
        "column": [1, None],
        "missing": [None, None, None, None],
        "time": "2026-11-23T00:00:00+00:00",
        "date": "2026-11-23",
        "path": "runs/x",
        "tuple": [1, "é"],
        "label": ">50K",
    }


@pytest.mark.parametrize("text", ["20261123-191500-4f2a", "20261123-191500-4", "20261123-1915", "f00dcafe", "f00d"])
def test_find_run_takes_an_id_of_either_kind_or_a_unique_beginning(tmp_path, text):
    make_run(tmp_path, "20261123-191500-4f2a", **SUMMARY)
    make_run(tmp_path, "20261124-080000-0001")
    assert find_run(tmp_path, text).run_id == "20261123-191500-4f2a"


def test_find_run_takes_the_folder_as_a_shell_completes_it(tmp_path):
    make_run(tmp_path, "20261123-191500-4f2a")
    assert find_run(tmp_path / "elsewhere", f"{tmp_path}/20261123-191500-4f2a/").run_id == "20261123-191500-4f2a"


def test_find_run_takes_latest(tmp_path):
    make_run(tmp_path, "b", "2026-11-23T08:00:00+00:00")
    make_run(tmp_path, "a", "2026-11-24T08:00:00+00:00")
    assert find_run(tmp_path, "latest").run_id == "a"


@pytest.mark.parametrize(
    ("ids", "text", "message"),
    [
        pytest.param([], "x", "no run here; `mlwf train CONFIG` makes one", id="none"),
        pytest.param(["r1", "r2"], "r", "2 runs begin with 'r': r2, r1", id="ambiguous"),
        pytest.param(list("abcdefgh"), "", "8 runs begin with '': h, g, f, e, d, and 3 more", id="many"),
        pytest.param(["run-4f2a"], "run-4f2b", "no run 'run-4f2b'; did you mean run-4f2a?", id="typo"),
        pytest.param(["r1", "r2"], "quickstart", "no run 'quickstart'; the newest: r2, r1", id="unlike"),
    ],
)
def test_find_run_reports_what_there_is(tmp_path, ids, text, message):
    for run_id in ids:
        make_run(tmp_path, run_id)
    with pytest.raises(RunNotFoundError) as caught:
        find_run(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}: {message}"


def test_list_runs_reads_summaries(tmp_path):
    make_run(tmp_path, "r1", **SUMMARY)
    assert list_runs(tmp_path) == [
        {
            "run_id": "r1",
            "name": "penguins",
            "status": "done",
            "started_at": "2026-11-23T19:15:00+00:00",
            "seconds": 4.5,
            "algorithm": "gradient_boosting",
            "rows": 344,
            "score": SUMMARY["scores"][0],
            "test": SUMMARY["scores"][1],
            "registered": None,
            "aliases": [],
            "gates": None,
        }
    ]


@pytest.mark.parametrize(("passed", "outcome"), [([True, True], "met"), ([True, False], "not met")])
def test_list_runs_reports_whether_gates_are_met(tmp_path, passed, outcome):
    make_run(tmp_path, "r1", **SUMMARY, gates=[{"passed": each} for each in passed])
    assert list_runs(tmp_path)[0]["gates"] == outcome


@pytest.fixture
def several(tmp_path):
    """Give a folder with runs of three days: of two names, one of them failed."""
    for day, name, status, accuracy in (
        (1, "adult", "done", 0.7),
        (2, "adult-small", "failed", None),
        (3, "birds", "done", 0.9),
    ):
        score = {"metric": "accuracy", "source": "test", "value": accuracy}
        summary = {"name": name, "status": status, "scores": [] if accuracy is None else [score]}
        make_run(tmp_path, f"2026110{day}-1", f"2026-11-0{day}T12:00:00+00:00", **summary)
    return tmp_path


@pytest.mark.parametrize(
    ("filters", "days"),
    [
        pytest.param({}, "321", id="none"),
        pytest.param({"name": "adult*"}, "21", id="name"),
        pytest.param({"status": ["failed"]}, "2", id="status"),
        pytest.param({"since": datetime(2026, 11, 2, 12, tzinfo=UTC)}, "32", id="since"),
        pytest.param({"until": datetime(2026, 11, 2, 12, tzinfo=UTC)}, "1", id="until"),
        pytest.param({"sort": "accuracy"}, "312", id="sort"),
        pytest.param({"sort": "accuracy", "status": ["done"]}, "31", id="both"),
    ],
)
def test_list_runs_takes_filters(several, filters, days):
    assert "".join(row["run_id"][7] for row in list_runs(several, **filters)) == days


def test_list_runs_shows_the_metric_that_it_sorts_by(several):
    with pytest.raises(
        UsageError, match=r"^--sort acuracy: none of these runs has this metric; did you mean accuracy\?$"
    ):
        list_runs(several, sort="acuracy")


def test_prune_keeps_runs_that_are_registered_or_not_over_or_not_sent(tmp_path):
    registered = {"registered_model": "birds", "version": "3"}
    kept = {"registered": registered, "unsent": {"missing": {"model": "the store is full"}}}
    for name, tracking in kept.items():
        make_run(tmp_path, name, status="done", tracking=tracking)
    make_run(tmp_path, "old", status="done", tracking={"registered_model": "birds", "version": None, "missing": {}})
    make_run(tmp_path, "elsewhere")
    own = RunFolder(tmp_path / "own", "own")
    own.write_json("state.json", {"run_id": "own", "status": "running", "process": runs.this_process()})
    done = prune_runs(tmp_path, list_runs(tmp_path))
    assert done.removed == ("old",)
    assert done.kept == {
        "registered": "registered as birds 3",
        "unsent": "`mlwf push` can send more of it",
        "elsewhere": "it may run on another machine; --status unfinished removes it",
        "own": "running",
    }
    assert done.n_bytes > 0
    assert {path.name for path in tmp_path.iterdir()} == done.kept.keys()
    assert "elsewhere" in prune_runs(tmp_path, list_runs(tmp_path), unfinished=True).removed


def test_list_runs_is_newest_first_and_leaves_other_folders_out(tmp_path):
    make_run(tmp_path, "old", "2026-01-01T00:00:00+00:00")
    make_run(tmp_path, "new", "2026-11-23T00:00:00+00:00")
    (tmp_path / ".fits").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    assert [row["run_id"] for row in list_runs(tmp_path)] == ["new", "old"]
    assert list_runs(tmp_path / "absent") == []


def test_a_run_is_running_while_its_process_lives(tmp_path):
    run = create_run(tmp_path, "x")
    assert run.status == "running"
    run.end("failed", "the server is gone")
    assert run.status == "failed"
    assert run.read_json("state.json")["reason"] == "the server is gone"


def test_a_run_whose_process_is_gone_was_killed(tmp_path):
    code = (
        f"from pathlib import Path; from mlwf.modules.runs import create_run; create_run(Path({str(tmp_path)!r}), 'x')"
    )
    subprocess.run([sys.executable, "-c", f"{code}; import os; os.kill(os.getpid(), 9)"], check=False)
    assert [row["status"] for row in list_runs(tmp_path)] == ["killed"]


def test_a_run_of_another_machine_or_container_is_unfinished(tmp_path):
    run = create_run(tmp_path, "x")
    state = run.read_json("state.json")
    run.write_json("state.json", {**state, "process": {**state["process"], "namespace": "elsewhere"}})
    assert run.status == "unfinished"


def test_a_run_that_ended_while_it_was_looked_at_was_not_killed(tmp_path, monkeypatch):
    run = create_run(tmp_path, "x")

    def ends_meanwhile(process):
        run.end("done")
        return False

    monkeypatch.setattr("mlwf.modules.runs.is_running", ends_meanwhile)
    assert run.status == "done"


def test_a_broken_summary_does_not_hide_the_run(tmp_path):
    run = create_run(tmp_path, "x")
    run.write_text("summary.json", '{"status": "do')
    assert [(row["name"], row["status"], row["score"]) for row in list_runs(tmp_path)] == [("x", "running", None)]


def test_environment_is_a_sorted_list_that_pip_understands():
    first, *lines = environment().splitlines()
    assert re.fullmatch(r"# Python 3\.\d+\.\d+\S*, \w+ \w+", first)
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert any(re.fullmatch(r"scikit-learn==1\.\d+\.\d+", line) for line in lines)
    assert all("==" in line for line in lines)


def test_environment_has_what_the_metadata_of_each_distribution_say(tmp_path, monkeypatch):
    for folder, text in {
        "odd-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: Odd_Name\nVersion: 1.0+local\n\nVersion: 9\n",
        "old-2.egg-info/PKG-INFO": "Metadata-Version: 1.0\nName: old\nVersion: 2\n",
    }.items():
        (tmp_path / folder).parent.mkdir()
        (tmp_path / folder).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = environment().splitlines()
    assert "odd_name==1.0+local" in lines
    assert "old==2" in lines
    assert set(lines[1:]) == {f"{dist.metadata['Name'].lower()}=={dist.version}" for dist in distributions()}


def test_runs_are_found_without_heavy_imports(tmp_path):
    make_run(tmp_path, "r1", **SUMMARY)
    code = (
        "import sys; from pathlib import Path; from mlwf.modules.runs import find_run, list_runs;"
        f"find_run(Path({str(tmp_path)!r}), 'r1').read_json('summary.json'); list_runs(Path({str(tmp_path)!r}));"
        "print({'numpy', 'pandas', 'sklearn', 'mlflow', 'feast'} & set(sys.modules))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert outcome.stdout == "set()\n"
