"""One value of a summary, and which runs are listed and removed."""

from __future__ import annotations

import json

import pytest

from mlwf.cli.boundary import run
from mlwf.cli.run_lookup import find_value
from mlwf.errors import UsageError

TEST, FOLDS = (
    {"metric": "roc_auc", "source": source, "value": value}
    for source, value in (("test", 0.9), ("cross_validation", 0.8))
)
SUMMARY = {
    "name": "x",
    "error": None,
    "data": {"rows": 5, "classes": {"no.1": 2}},
    "scores": [TEST, FOLDS, {"metric": "f1", "source": "test", "value": 0.5}],
    "slices": [{"slice": "age > 60.5", "metric": "f1", "source": "test", "value": 0.4}],
    "phases": [{"name": "tune", "status": "done"}],
    "gates": [{"asked": "a", "passed": True}],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "x"),
        ("error", None),
        ("data.rows", 5),
        ("data.classes.no.1", 2),
        ("scores.roc_auc.test.value", 0.9),
        ("scores.roc_auc", [TEST, FOLDS]),
        ("scores.f1.value", 0.5),
        ("scores.1.value", 0.8),
        ("slices.age > 60.5.f1.test.value", 0.4),
        ("phases.tune.status", "done"),
        ("gates.0.passed", True),
    ],
)
def test_find_value_takes_keys_places_and_names(path, value):
    assert find_value(SUMMARY, path) == value


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nam", "--get nam: the summary has no nam; did you mean name?"),
        ("", "--get : the summary has no empty name; accepted: data, error, gates, name, phases, scores, slices"),
        ("scores.roc_aux.test", "--get scores.roc_aux.test: scores has no roc_aux; did you mean roc_auc?"),
        ("scores.roc_auc.x", "--get scores.roc_auc.x: scores.roc_auc has no x; accepted: cross_validation, test"),
        ("data.rows.n", "--get data.rows.n: data.rows has no n; it is a single value"),
    ],
)  # fmt: skip
def test_find_value_names_what_is_near(path, message):
    with pytest.raises(UsageError) as caught:
        find_value(SUMMARY, path)
    assert str(caught.value) == message


MOMENTS = "accepted: 2026-11-28, 2026-11-28T06:50, or 12h, 30d, 8w for so long ago"
WHICH = "say which by --name, --status, --since or --until"


@pytest.fixture
def look(tmp_path, monkeypatch, capsys):
    """Give what runs a command where one run is, of the summary above."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"run_id": "r1", "name": "x", "status": "done"}')
    (folder / "summary.json").write_text(json.dumps({**SUMMARY, "status": "done"}))

    def look(*arguments):
        code = run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return look


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["name"], "x\n"),
        (["name", "--format", "json"], '"x"\n'),
        (["scores.roc_auc.test.value"], "0.9\n"),
        (["error"], "null\n"),
        (["gates.0.passed"], "true\n"),
    ],
    ids=" ".join,
)
def test_get_writes_one_value_for_scripts(look, arguments, out):
    assert look("summary", "latest", "--get", *arguments) == (0, out, "")


def test_get_has_no_markdown(look):
    err = "mlwf summary: --format markdown has no effect with --get; leave one of the two out\n"
    assert look("summary", "latest", "--get", "name", "--format", "markdown") == (2, "", err)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "1x"], (2, "", f"--since 1x: is no moment; {MOMENTS}\n")),
        (["--name", "y*"], (0, "", "runs: no run fits\n")),
        (["--prune"], (2, "", f"mlwf runs: --prune alone would remove all runs; {WHICH}\n")),
        (["--prune", "--name", "x", "--format", "json"], (0, '{\n  "removed": [\n    "r1"\n  ],\n  "kept": {},\n', "")),
    ],
    ids=["moment", "none", "all", "removed"],
)  # fmt: skip
def test_runs_are_chosen(look, arguments, expected):
    code, out, err = look("runs", *arguments)
    assert (code, out[: len(expected[1])], err) == expected
