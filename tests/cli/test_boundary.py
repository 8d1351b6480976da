from __future__ import annotations

import errno
import os
import pathlib
import re
import subprocess
import sys

import pytest

from mlwf import errors
from mlwf.cli import commands
from mlwf.cli.boundary import run


@pytest.fixture
def failing(monkeypatch):
    """Give a function that makes `mlwf runs` meet an error."""

    def fail(error):
        def raise_it(*_, **__):
            raise error

        monkeypatch.setattr(commands, "show_runs", raise_it)

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.UsageError("no"), 2, "no\n"),
        (errors.ConfigError("no"), 2, "no\n"),
        (
            errors.DataError([errors.Problem("a.csv", "x", "no"), errors.Problem("", "", "nor")]),
            2,
            "a.csv  x: no\nnor\n",
        ),
        (errors.RunNotFoundError("no"), 2, "no\n"),
        (errors.FitError("no"), 1, "no\n"),
        (errors.TrackingError("no"), 1, "no\n"),
        (errors.FeatureStoreError("no"), 1, "no\n"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a"), 1, "mlwf: runs/a: No space left on device\n"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), 1, "mlwf: Permission denied\n"),
        (MemoryError(), 1, "mlwf: the memory of this machine does not suffice\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_boundary_says_what_went_wrong(failing, capsys, error, code, said):
    failing(error)
    assert run(["runs"]) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("error", [KeyError("x"), FileNotFoundError(errno.ENOENT, "none", "a"), AssertionError()])
def test_boundary_keeps_the_traceback_of_our_own_mistake(failing, capsys, tmp_path, monkeypatch, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(error)
    assert run(["runs"]) == 4
    told = capsys.readouterr().err
    (saved,) = re.findall(r"^This is a bug in mlwf; please report it with the traceback in (\S+)$", told, re.MULTILINE)
    assert told.startswith(f"mlwf: {type(error).__name__}")
    assert "in raise_it" in pathlib.Path(saved).read_text()


def test_boundary_writes_paths_as_seen_from_here(failing, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failing(errors.DataError(errors.Problem(f"{tmp_path}/a.csv", "", "is empty")))
    run(["runs"])
    assert capsys.readouterr().err == "a.csv  is empty\n"


def test_command_does_not_look_for_garbage_in_what_it_has_imported():
    code = (
        "import atexit, gc, sys; from mlwf.cli import main; sys.argv = ['mlwf', '--version'];"
        "atexit.register(lambda: print(gc.get_threshold()[0], gc.isenabled(), gc.get_freeze_count() > 10_000)); main()"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "10000 True True"


def test_a_column_that_no_experiment_file_names_is_told_with_what_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("p.csv").write_text("a,species\n1,x\n2,y\n")
    assert run(["init", "p.csv", "--target", "spices"]) == 2
    expected = "p.csv  spices: no such column, which data.target names; did you mean species?\n"
    assert capsys.readouterr().err == expected
