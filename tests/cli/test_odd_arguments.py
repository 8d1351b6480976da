"""Odd paths and names on the command line: each is told in a line that can be shown, and none is a bug of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlwf.cli.boundary import run
from mlwf.text import is_hidden

ODD = {
    "escape": "a\x1b[31m\u202e.csv",
    "newline": "a\nb.csv",
    "not UTF-8": "a\udcff.csv",
    "long name": "x" * 300 + ".csv",
    "long path": "../" * 1_500 + "a.csv",
    "link to itself": "loop.csv",
    "folder": "folder.csv",
    "nothing": "/dev/null",
    "full": "/dev/full",
    "unknown home": "~no-such-user/a.csv",
    "empty": "",
    "blank": " ",
    "below a file": "e.yaml/a.csv",
    "address": "http://[::1",
    "glob": "[",
}
COMMANDS = {
    "train": ["train", "{}"],
    "train runs": ["train", "e.yaml", "--runs-dir", "{}/runs"],
    "train set": ["train", "e.yaml", "--set", "{}"],
    "train set data": ["train", "e.yaml", "--set", "data.path={}"],
    "plan runs": ["plan", "e.yaml", "--runs-dir", "{}"],
    "validate": ["validate", "{}", "--data"],
    "summary": ["summary", "{}"],
    "summary runs": ["summary", "r1", "--runs-dir", "{}"],
    "summary store": ["summary", "nothing", "--tracking-uri", "{}"],
    "predict": ["predict", "{}", "p.csv", "-o", "o.csv"],
    "predict data": ["predict", "r1", "{}", "-o", "o.csv"],
    "predict output": ["predict", "r1", "p.csv", "-o", "{}"],
    "predict store": ["predict", "models:/a@b", "p.csv", "-o", "o.csv", "--tracking-uri", "{}"],
    "predict model": ["predict", "models:/{}@b", "p.csv", "-o", "o.csv", "--tracking-uri", "sqlite:///none/m.db"],
    "init": ["init", "{}", "--target", "a"],
    "init target": ["init", "p.csv", "--target", "{}"],
    "init output": ["init", "p.csv", "--target", "a", "-o", "{}"],
    "runs": ["runs", "--runs-dir", "{}"],
    "cache": ["cache", "--runs-dir", "{}"],
    "option": ["train", "--{}"],
    "command": ["{}"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    Path("loop.csv").symlink_to("loop.csv")
    Path("folder.csv").mkdir()
    Path("p.csv").write_text("a,b\n1,2\n")
    Path("e.yaml").write_text("data: {path: p.csv, target: a}\n")
    Path("runs/r1").mkdir(parents=True)
    Path("runs/r1/state.json").write_text(json.dumps({"run_id": "r1", "name": "a\x1b", "status": "done"}))
    return tmp_path


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_odd_arguments_are_told(folder, capsys, arguments):
    wrong = []
    for name, odd in ODD.items():
        code = run([argument.replace("{}", odd) for argument in arguments])
        told = capsys.readouterr()
        hidden = {character for character in told.out + told.err if is_hidden(character)} - {"\n"}
        longest = max(map(len, told.err.splitlines()), default=0)
        if code not in {0, 1, 2} or hidden or longest > 700:
            wrong.append(f"{name}: exit {code}, hidden {hidden}, {longest} characters: {told.err[:300]}")
    assert wrong == []
