"""A terminal or a job whose encoding lacks characters: what can be printed is printed, and nothing fails for it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlwf.cli.boundary import run
from mlwf.cli.display import prepare_streams

CLASSES = {"größer": 3, "kleiner 💥": 4}
SUMMARY = {
    "run_id": "r1",
    "name": "größe €",
    "status": "done",
    "seconds": 1.0,
    "summary": {"model_name": "größe", "algorithm": "svc", "n_features": 2, "cv_score": 0.5, "cv_std": 0.1},
    "data": {"source": "größe.csv", "rows": 7, "columns": 2, "target": "größe", "classes": CLASSES},
    "scores": [
        {
            "metric": "accuracy", "source": "test", "value": 0.5, "n_rows": 7, "note": "",
            "interval": {"low": 0.25, "high": 0.75, "level": 0.95, "method": "bootstrap of rows"},
        }
    ],
    "gates": [{"asked": "≥", "got": "–", "passed": True, "source": "test", "note": ""}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/r1").mkdir(parents=True)
    Path("runs/r1/state.json").write_text('{"run_id": "r1", "name": "x", "status": "done"}')
    Path("runs/r1/summary.json").write_text(json.dumps(SUMMARY))
    Path("größe.yaml").write_text("data: {path: größe.csv, target: 💥}\nmodel: {algorithm: größe}\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def encoded(monkeypatch):
    """Give a function that runs a command with streams of an encoding, and gives its code and the bytes it wrote."""

    def run_encoded(encoding, arguments):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        prepare_streams()
        code = run(arguments)
        for stream in streams.values():
            stream.flush()
        return code, *(stream.buffer.getvalue() for stream in streams.values())

    return run_encoded


COMMANDS = {
    "table": (["summary", "r1"], 0),
    "markdown": (["summary", "r1", "--format", "markdown"], 0),
    "json": (["summary", "r1", "--format", "json"], 0),
    "runs": (["runs"], 0),
    "runs as markdown": (["runs", "--format", "markdown"], 0),
    "a wrong file": (["validate", "größe.yaml"], 2),
    "no such file": (["train", "💥.yaml"], 2),
    "a wrong option": (["train", "--größe"], 2),
    "help": (["--help"], 0),
    "help of a command": (["train", "--help"], 0),
    "schema": (["schema"], 0),
}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8", "utf-16"])
@pytest.mark.parametrize(("arguments", "code"), COMMANDS.values(), ids=COMMANDS)
def test_every_command_prints_in_every_encoding(folder, encoded, encoding, arguments, code):
    ended, out, err = encoded(encoding, arguments)
    assert ended == code
    assert (out if code == 0 else err).decode(encoding)
    assert b"Traceback" not in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_reads_back_in_every_encoding(folder, encoded, encoding):
    _, out, _ = encoded(encoding, ["summary", "r1", "--format", "json"])
    assert json.loads(out.decode(encoding))["data"]["classes"] == CLASSES


def test_columns_stay_below_each_other_without_unicode(folder, encoded):
    _, out, _ = encoded("ascii", ["summary", "r1"])
    lines = out.decode("ascii").splitlines()
    assert lines[0] == r"gr\xf6\xdfe \u20ac done in 1.0 s, 1 gate met  r1"
    assert r"Target     gr\xf6\xdfe: gr\xf6\xdfer 3 (43%), kleiner \U0001f4a5 4 (57%)" in lines
    heading = next(line for line in lines if line.strip().startswith("metric"))
    row = next(line for line in lines if line.strip().startswith("accuracy"))
    assert "0.2500 - 0.7500" in row
    assert len(heading) == len(row)


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C"},
    ],
    ids=["C without UTF-8", "strict ASCII", "C"],
)
def test_a_process_of_another_encoding_prints_what_it_can(folder, environment):
    done = subprocess.run(
        [sys.executable, "-m", "mlwf", "summary", "r1"], env=os.environ | environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"0.2500" in done.stdout


def test_a_file_name_that_the_locale_cannot_hold_is_told(folder):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    Path("e.yaml").write_text("name: größe\ndata: {path: größe.csv, target: a}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mlwf", "validate", "--data", "e.yaml"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert done.stderr.startswith((b"e.yaml:2:14", b"mlwf: "))
    assert b"bug" not in done.stderr
