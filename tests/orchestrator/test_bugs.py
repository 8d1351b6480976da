"""A bug of ours never passes for a success: exit code 4, its traceback, and a record of the run that says so."""

from __future__ import annotations

import json
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from mlwf.cli.boundary import run
from mlwf.errors import DataError, raise_if_bug

SECTIONS = {
    "search": {"tuning": {"strategy": "grid", "param_grid": {"classifier__var_smoothing": [1e-9, 1e-3]}}},
    "calibration": {"calibration": {"cv_folds": 2}},
    "threshold": {"threshold": {}},
}
BUGS = {
    "search": ("mlwf.modules.tuning.tune.make_cv_results", SECTIONS["search"]),
    "a scorer of the search": ("mlwf.modules.tuning.trials.score", SECTIONS["search"]),
    "a fit": ("mlwf.engine.work._predict", {}),
    "calibration": ("mlwf.modules.calibration.fit_calibrators", SECTIONS["calibration"]),
    "its measure": ("mlwf.orchestrator.training_steps.describe", SECTIONS["calibration"]),
    "threshold": ("mlwf.modules.threshold._candidates", SECTIONS["threshold"]),
    "a metric": (
        "mlwf.evaluation.calibration_error._equal_mass_bins",
        {"validation": {"cv_folds": 2, "metrics": ["ece"]}},
    ),
    "its resamples": (
        "mlwf.evaluation.resampling.encode",
        {"validation": {"strategy": "train_test", "metrics": ["log_loss"]}},
    ),
    "findings": ("mlwf.orchestrator.evaluation_phases.find", {}),
    "the plan": ("mlwf.orchestrator.evaluation_phases.baselines", {}),
    "what the run works on": ("mlwf.orchestrator.run_inputs._describe_data", {}),
    "the summary": ("mlwf.run_result._classes", {}),
}


def misspell(monkeypatch, place):
    """Put a function in a module of ours that asks for an attribute which nobody has."""
    module, _, name = place.rpartition(".")
    namespace = {"__name__": module}
    exec("def call(*args, **options):\n    return object().misspelt", namespace)
    # A package may show a function under the name of the module that holds it.
    monkeypatch.setattr(import_module(module), name, namespace["call"])


@pytest.fixture
def experiment(tmp_path, mixed, monkeypatch):
    """Write an experiment file with these sections in a folder of its own, and stand there."""
    X, y = mixed
    X.assign(size=y).to_csv(tmp_path / "people.csv", index=False)
    monkeypatch.chdir(tmp_path)

    def write(sections):
        written = {
            "data": {"path": "people.csv", "target": "size"},
            "features": [{"type": "numeric", "columns": ["height", "weight"]}],
            "model": {"algorithm": "gaussian_nb"},
            "validation": {"cv_folds": 2},
        }
        Path("e.yaml").write_text(yaml.safe_dump(written | sections), "utf-8")

    return write


def left_behind():
    """Read what the one run left: its state and its summary."""
    (folder,) = (path for path in Path("runs").iterdir() if not path.name.startswith("."))
    return [json.loads((folder / name).read_text("utf-8")) for name in ("state.json", "summary.json")]


@pytest.mark.parametrize(("place", "sections"), BUGS.values(), ids=BUGS)
def test_a_misspelt_attribute_of_ours_ends_the_run_with_its_traceback(experiment, monkeypatch, capfd, place, sections):
    experiment(sections)
    misspell(monkeypatch, place)
    assert run(["train", "-q", "e.yaml"]) == 4
    told = capfd.readouterr().err
    assert "mlwf: AttributeError: 'object' object has no attribute 'misspelt'\nThis is a bug in mlwf" in told
    traceback = Path(re.search(r"traceback in (\S+)", told)[1])
    assert "line 2, in call\n" in traceback.read_text()
    traceback.unlink()
    state, summary = left_behind()
    assert (state["status"], summary["status"]) == ("failed", "failed")
    assert summary["error"] == "'object' object has no attribute 'misspelt'"


@pytest.mark.parametrize(
    "place",
    [BUGS["search"][0], "mlwf.modules.tracking.tracker.draw_plots", "mlwf.modules.tracking.plots._confusion"],
    ids=["search", "tracking", "plots"],
)
def test_a_bug_ends_the_mlflow_run_as_failed(experiment, monkeypatch, capfd, empty_store, place):
    shutil.copy(empty_store, "mlflow.db")
    experiment({**SECTIONS["search"], "tracking": {}})
    misspell(monkeypatch, place)
    assert run(["train", "-q", "e.yaml"]) == 4
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    (found,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert found.info.status == "FAILED"
    assert found.data.tags["mlwf.error"] == "'object' object has no attribute 'misspelt'"
    Path(re.search(r"traceback in (\S+)", capfd.readouterr().err)[1]).unlink()


def test_only_what_a_line_of_ours_raised_is_a_bug():
    namespace = {"__name__": "mlwf.somewhere"}
    exec("def ours(error):\n    raise error", namespace)
    for error in (AttributeError(), KeyError(), AssertionError(), ValueError()):
        with pytest.raises(type(error)) as raised:
            namespace["ours"](error)
        with pytest.raises(type(error)):
            raise_if_bug(raised.value)
    for error in (DataError("wrong"), MemoryError(), OSError(), UserWarning()):
        with pytest.raises(type(error)) as raised:
            namespace["ours"](error)
        raise_if_bug(raised.value)
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("text")
    raise_if_bug(raised.value)


def _raised_through(module: str, error: Exception) -> Exception:
    """Give an error that a line of this module raised, which mlwf called."""
    called, ours = {"__name__": module}, {"__name__": "mlwf.somewhere"}
    exec("def call(error):\n    raise error", called)
    exec("def call(function, error):\n    function(error)", ours)
    with pytest.raises(type(error)) as raised:
        ours["call"](called["call"], error)
    return raised.value


def test_a_wrong_call_of_pythons_own_library_is_a_bug():
    with pytest.raises(TypeError):
        raise_if_bug(_raised_through("json.encoder", TypeError("not serializable")))
    raise_if_bug(_raised_through("json.decoder", ValueError("the file holds no JSON")))
    raise_if_bug(_raised_through("socket", OSError("refused")))
    for module in ("sklearn.base", "__main__", "a_plugin"):
        raise_if_bug(_raised_through(module, TypeError("a wrong parameter")))
