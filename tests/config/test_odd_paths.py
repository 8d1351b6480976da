"""Paths that are none, or lead nowhere: each is told where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.errors import ConfigError
from mlwf.specs.loading import load_experiment

DATA = "data: {path: a.csv, target: b}\n"
LONG = "x" * 300
UP = "../" * 1_500

AT = "e.yaml:1:10  extends:"
EXTENDS = {
    "a link to itself": ("loop.yaml", f"{AT} loop.yaml cannot be read: Too many levels of symbolic links"),
    "a NUL": ('"a\\0b.yaml"', rf"{AT} a\x00b.yaml cannot be read: embedded null byte"),
    "a long name": (f"{LONG}.yaml", f"{AT} {'x' * 159}…{'x' * 120}.yaml cannot be read: File name too long"),
    "a folder": ("folder", f"{AT} folder is a folder, not a file"),
    "no end": ("/dev/zero", f"{AT} /dev/zero holds more than 10 MB, which is no experiment file"),
    "nothing": ("/dev/null", "/dev/null  the file is empty"),
    "an unknown home": (
        "~no-such-user/x.yaml",
        f"{AT} ~no-such-user/x.yaml does not exist; there is no folder ~no-such-user",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop.yaml").symlink_to("loop.yaml")
    Path("folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("name", "told"), EXTENDS.values(), ids=EXTENDS)
def test_a_file_that_cannot_be_extended_is_told(folder, name, told):
    Path("e.yaml").write_text(f"extends: {name}\n{DATA}")
    with pytest.raises(ConfigError) as caught:
        load_experiment(Path("e.yaml"))
    assert str(caught.value) == told


def test_a_path_of_many_steps_up_is_cut(folder):
    with pytest.raises(ConfigError) as caught:
        load_experiment(Path(f"{UP}x.yaml"))
    told = str(caught.value)
    assert len(told) < 400
    assert told.startswith("../../../")
    assert told.endswith("cannot be read: File name too long")


def test_files_that_extend_each_other_without_end_are_told(folder):
    for number in range(60):
        Path(f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n{DATA}")
    with pytest.raises(ConfigError) as caught:
        load_experiment(Path("0.yaml"))
    assert str(caught.value) == "49.yaml:1:10  extends: more than 50 files extend each other"


def test_a_thousand_keys_of_set_are_told(folder):
    Path("e.yaml").write_text(DATA)
    with pytest.raises(ConfigError) as caught:
        load_experiment(Path("e.yaml"), [".".join("a" * 1_000) + "=1"])
    assert str(caught.value).endswith("is nested deeper than 64 levels")


KEYS = ["data.path", "data.test_path", "tracking.tracking_uri", "feature_store.repo_path"]
PATHS = {"NUL": "a\\0b.csv", "home": "~no-such-user/a.csv", "long": LONG, "up": UP}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("key", KEYS)
def test_a_path_is_judged_where_it_is_read(folder, key, path):
    Path("e.yaml").write_text(f"{DATA}feature_store: {{repo_path: repo, features: ['a:b']}}\n")
    prefix = "sqlite:///" if key.startswith("tracking") else ""
    spec, _ = load_experiment(Path("e.yaml"), [f'{key}="{prefix}{path}"'])
    assert spec.data.target == "b"
