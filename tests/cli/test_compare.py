"""Runs are compared from their folders, wherever these are, and from the registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from mlwf.cli.boundary import run

ROOT = Path(__file__).parents[2]
ONE = """\
data: {path: penguins.csv, test_path: penguins_test.csv, target: species}
features: [{type: numeric, columns: [body_mass_g, bill_length_mm]}, {type: categorical, columns: [sex]}]
model: {algorithm: logistic_regression}
validation: {cv_folds: 3, metrics: [accuracy, log_loss], slices: [island]}
gates: [{metric: accuracy, min: 0.9}]
"""
OTHER = """\
extends: one.yaml
features: [{type: numeric, columns: [body_mass_g]}, {type: categorical, columns: [sex]}]
model: {hyperparameters: {C: 0.5}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a run of each of two experiments, in the order of their names."""
    folder = tmp_path_factory.mktemp("compare")
    for name in ("penguins.csv", "penguins_test.csv"):
        shutil.copy(ROOT / "configs/data" / name, folder)
    for name, text in {"one": ONE, "other": OTHER}.items():
        (folder / f"{name}.yaml").write_text(text)
        run(["train", str(folder / f"{name}.yaml"), "--quiet", "--format", "json", "--runs-dir", str(folder / "runs")])
    return folder


@pytest.fixture
def compare(folder, monkeypatch, capsys):
    """Give what compares runs, and gives the exit code and what was written."""
    monkeypatch.chdir(folder)
    capsys.readouterr()

    def compare(*arguments):
        code = run(["compare", *arguments])
        written = capsys.readouterr()
        return code, written.out, written.err

    return compare


@pytest.fixture
def ids(folder):
    return sorted(path.name for path in (folder / "runs").glob("2*"))


def test_compare_finds_what_two_runs_differ_in(compare, ids):
    code, out, err = compare(*ids, "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["schema_version"] == 1
    assert [run["run_id"] for run in found["runs"]] == ids
    assert [each["key"] for each in found["configuration"]] == [
        "name", "features.bill_length_mm", "model.hyperparameters.C",
    ]  # fmt: skip
    assert {score["source"] for score in found["scores"]} == {"test", "cross_validation"}
    assert all(score["differences"]["B"]["value"] < 0 and not score["refused"] for score in found["scores"])
    assert {score["slice"] for score in found["slices"]} == {
        f"island = {name}" for name in ("Biscoe", "Dream", "Torgersen")
    }
    assert [gate["verdicts"]["B"]["passed"] for gate in found["gates"]] == [False]


def test_the_interval_is_that_of_one_bootstrap_of_both(compare, ids):
    """The run's own interval and that of a run beside itself come from the same resamples."""
    _, out, _ = compare(ids[0], ids[1], ids[0], "--format", "json")
    by_label = [score["differences"] for score in json.loads(out)["scores"] if score["source"] == "test"]
    assert all(each["B"]["interval"]["low"] < each["B"]["value"] < each["B"]["interval"]["high"] for each in by_label)
    assert all(each["C"] == {"value": 0.0, "interval": None, "distinguishable": None} for each in by_label)


def test_markdown_is_a_comment_that_a_bot_finds_again(compare, ids):
    code, out, _ = compare(*ids, "--format", "markdown")
    first, second, *_ = out.splitlines()
    assert (code, first, second) == (0, "<!-- mlwf compare other -->", "## other: of 2 metrics 2 worse")
    assert "| model.hyperparameters.C | - | 0.5 |" in out


def test_table_of_two_runs_shows_how_much_better_the_other_is(compare, ids):
    _, out, _ = compare(*ids)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "A B B better by 95 % interval" in lines
    assert "features of bill_length_mm numeric: imputer median, scaler standard -" in lines


@pytest.mark.parametrize(
    ("arguments", "code", "err"),
    [
        (["--fail-if-worse", "accuracy"], 3, "--fail-if-worse accuracy: B is worse than A beyond chance\n"),
        (
            ["--fail-if-worse", "acuracy"],
            2,
            "--fail-if-worse acuracy: these runs have no such metric; did you mean accuracy?\n",
        ),
    ],
    ids=["worse", "unknown"],
)
def test_fail_if_worse_is_the_exit_code(compare, ids, arguments, code, err):
    found = compare(*ids, *arguments)
    assert (found[0], found[2]) == (code, err)


def test_fail_if_worse_lets_a_better_run_pass(compare, ids):
    assert compare(*reversed(ids), "--fail-if-worse", "accuracy")[0] == 0


def test_runs_of_other_folders_are_compared(compare, folder, ids):
    if not (folder / "elsewhere").exists():
        shutil.copytree(folder / "runs" / ids[0], folder / "elsewhere" / ids[0])
    for name in ("elsewhere/latest", f"elsewhere/{ids[0]}", f"elsewhere/{ids[0][:-2]}"):
        code, out, err = compare(name, "latest", "--format", "json")
        assert (code, err) == (0, "")
        assert [run["run_id"] for run in json.loads(out)["runs"]] == ids


def test_one_run_is_none_to_compare(compare):
    code, _, err = compare("latest")
    assert code == 2
    assert err == ("mlwf compare: names one run; name two or more, the first of which the others are compared with\n")


def test_an_unknown_run_is_named(compare, ids):
    code, _, err = compare("latest", "nothing")
    assert (code, err) == (2, f"runs: no run 'nothing'; the newest: {ids[1]}, {ids[0]}\n")


def test_a_run_that_was_cut_off_is_refused(compare, folder):
    killed = folder / "killed" / "20260101-120000-0001"
    killed.mkdir(parents=True)
    (killed / "state.json").write_text('{"run_id": "20260101-120000-0001", "name": "x", "status": "killed"}')
    code, _, err = compare("latest", "killed/latest")
    assert (code, err) == (2, "20260101-120000-0001: is killed, and has no results to compare\n")


def test_summaries_fit_their_schema(folder, ids, capsys):
    capsys.readouterr()
    assert run(["schema", "--summary"]) == 0
    schema = json.loads(capsys.readouterr().out)
    for run_id in ids:
        summary = json.loads((folder / "runs" / run_id / "summary.json").read_text())
        jsonschema.validate(summary, schema)
        assert summary["schema_version"] == schema["properties"]["schema_version"]["const"]
        assert [*summary] == [*schema["properties"]]
        assert {*schema["$defs"]["score"]["properties"]} == {*summary["scores"][0]}


@pytest.mark.slow
def test_a_registered_model_and_a_tracked_run_are_compared(compare, folder, ids, empty_store, capsys):
    """From the store alone: the folder of runs is empty."""
    shutil.copy(empty_store, folder)
    (folder / "tracked.yaml").write_text(
        "extends: one.yaml\ntracking: {registered_model_name: birds, alias: champion}\n"
    )
    assert run(["train", "tracked.yaml", "--quiet", "--runs-dir", "tracked"]) == 0
    capsys.readouterr()
    (run_id,) = (path.name for path in Path("tracked").glob("2*"))
    store = ["--tracking-uri", "sqlite:///mlflow.db", "--runs-dir", "none", "--format", "json"]
    for name in ("models:/birds@champion", run_id):
        code, out, err = compare(name, f"runs/{ids[1]}", *store)
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert [each["run_id"] for each in found["runs"]] == [run_id, ids[1]]
        assert all(score["differences"] for score in found["scores"])
