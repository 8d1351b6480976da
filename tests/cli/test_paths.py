from __future__ import annotations

import pytest

from mlwf.cli.run_lookup import all_from_here, from_here


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{here}/data/a.csv  is empty", "data/a.csv  is empty"),
        ("--set data.path  {here}/a.csv, {here}/b.csv", "--set data.path  a.csv, b.csv"),
        ("sqlite:///{here}/mlflow.db", "sqlite:///mlflow.db"),
        ("{here}: is a folder", "{here}: is a folder"),
        ("{here}-2/a.csv", "{here}-2/a.csv"),
        ("/backup{here}/a.csv", "/backup{here}/a.csv"),
        ("data/a.csv", "data/a.csv"),
    ],
    ids=["a file", "every file", "a store", "the folder itself", "a neighbour", "a copy elsewhere", "relative already"],
)
def test_paths_below_the_current_folder_are_written_relative_to_it(here, text, shown):
    assert from_here(text.format(here=here)) == shown.format(here=here)


def test_at_the_root_paths_stay_as_they_are(monkeypatch):
    monkeypatch.chdir("/")
    assert from_here("/data/a.csv") == "/data/a.csv"


def test_every_text_of_a_summary_is_reached(here):
    summary = {"data": {"source": f"{here}/a.csv", "rows": 3}, "warnings": [f"{here}/b.csv is old", None]}
    assert all_from_here(summary) == {"data": {"source": "a.csv", "rows": 3}, "warnings": ["b.csv is old", None]}
