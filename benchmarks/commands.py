"""The command line, measured as whole processes."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measuring import N_STARTS, QUICKSTART_ROUNDS, Stopwatch, cpu_of
from benchmarks.workloads import CONFIGS, grid_of_64
from mlwf.cli.boundary import run as mlwf_run
from mlwf.orchestrator import evaluation_phases

LIBRARIES = "import typer, pydantic, yaml"
MLWF = [sys.executable, "-m", "mlwf"]

IMPORTS = "import mlflow, sklearn, pandas, matplotlib"
UNTRACKED_IMPORTS = (
    "import typer, pydantic, yaml, rich.console, pandas, "
    "sklearn.ensemble, sklearn.compose, sklearn.calibration, skops.io"
)
"""What training without tracking needs: neither MLflow nor matplotlib."""

SEARCHED = """\
data: {path: rows.csv, target: target}
features: [{type: numeric, columns: [%s]}]
model: {algorithm: gradient_boosting}
tuning: {strategy: grid, scoring: roc_auc, param_grid: %s}
calibration: {method: isotonic}
compute: {n_jobs: 1}
"""
SMALL = """\
data: {path: rows.csv, target: target}
model: {algorithm: logistic_regression}
"""


ADULT = """\
data: {path: adult.parquet, test_path: adult_test.parquet, target: income, drop: [education]}
"""


def twice(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Give the same command two times in one folder: the second finds what the first computed."""
    config = _experiment(SEARCHED, is_quick=is_quick)
    for number, name in enumerate(("first", "second"), start=1):
        with watch.part(name):
            cpu_of([*MLWF, "train", str(config), "--quiet"], cwd=Path())
        summaries = sorted(Path("runs").glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
        assert len(summaries) == number
        watch.record(name, **_result(summaries[-1]))


def light(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Start the commands that fit nothing, in turns with an import of the libraries that they need.

    Each counts with the median of its starts.
    """
    config = _experiment(SMALL, is_quick=True)
    for options in ([], ["--set", "model.hyperparameters.C=0.1"]):
        cpu_of([*MLWF, "train", str(config), "--quiet", *options], cwd=Path())
    first = next(path.name for path in sorted(Path("runs").iterdir()) if path.name[0] != ".")
    commands = {
        "import": [sys.executable, "-c", LIBRARIES],
        "--help": [*MLWF, "--help"],
        "summary": [*MLWF, "summary", "latest"],
        "compare": [*MLWF, "compare", first, "latest"],
        "validate": [*MLWF, "validate", str(config)],
    }
    n_rounds = 1 if is_quick else 1 + N_STARTS
    rounds = [{name: cpu_of(command, cwd=Path()) for name, command in commands.items()} for _ in range(n_rounds)]
    _count(rounds, watch)


def adult(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Train on the adult census, measure its importances apart from all else, and write the page of the run."""
    for name in ("adult.parquet", "adult_test.parquet"):
        rows = pd.read_parquet(CONFIGS / "data" / name)
        (rows[:500] if is_quick else rows).to_parquet(name)
    Path("adult.yaml").write_text(ADULT, encoding="utf-8")
    measure = evaluation_phases.add_importances

    def measured(run: Any) -> Any:
        with watch.part("importances"):
            return measure(run)

    evaluation_phases.add_importances = measured
    with watch.part("run"):
        assert mlwf_run(["train", "adult.yaml", "--quiet", "--format", "json"]) == 0
    evaluation_phases.add_importances = measure
    parts = watch.parts
    parts["rest"] = {unit: parts["run"][unit] - parts["importances"][unit] for unit in parts["run"]}
    parts["report"] = {"cpu": cpu_of([*MLWF, "report", "latest"], cwd=Path())}


def quickstart(watch: Stopwatch, *, is_quick: bool, repeat: int) -> None:
    """Run the quickstart in a new folder with a new store, again, and untracked, in turns with imports alone.

    Each counts with the median of its rounds.
    """
    shutil.copytree(CONFIGS, "configs")
    tracked = Path("configs", "quickstart.yaml")
    text = tracked.read_text(encoding="utf-8")
    untracked = tracked.with_name("untracked.yaml")
    untracked.write_text(text[: text.index("tracking:")], encoding="utf-8")
    commands = {
        "imports": [sys.executable, "-c", IMPORTS],
        "tracked": [*MLWF, "train", str(tracked), "--quiet"],
        "again": [*MLWF, "train", str(tracked), "--quiet"],
        "untracked imports": [sys.executable, "-c", UNTRACKED_IMPORTS],
        "untracked": [*MLWF, "train", str(untracked), "--quiet", "--fresh"],
    }
    rounds = []
    for _ in range(1 if is_quick else 1 + QUICKSTART_ROUNDS):
        for left in ("runs", "mlartifacts"):
            shutil.rmtree(left, ignore_errors=True)
        Path("mlflow.db").unlink(missing_ok=True)
        rounds.append({name: cpu_of(command, cwd=Path()) for name, command in commands.items()})
    _count(rounds, watch)


def _count(rounds: Sequence[Mapping[str, float]], watch: Stopwatch) -> None:
    """Let the median of the rounds count; but for the first of several, which may write byte code."""
    for name in rounds[0]:
        watch.parts[name] = {"cpu": statistics.median(cpu[name] for cpu in rounds[1:] or rounds)}


def _experiment(text: str, *, is_quick: bool) -> Path:
    """Write an experiment file with its data into the folder that this process is in."""
    load = grid_of_64("gradient_boosting", is_quick=is_quick)
    load.X.assign(target=load.y).to_csv("rows.csv", index=False)
    config = Path("experiment.yaml")
    columns = ", ".join(load.X.columns)
    config.write_text(text % (columns, json.dumps(dict(load.grid))) if "%s" in text else text, encoding="utf-8")
    return config


def _result(path: Path) -> dict[str, Any]:
    """Give what two runs of one experiment must have in common: every score, and all that was chosen."""
    summary = json.loads(path.read_text(encoding="utf-8"))
    candidates = json.loads((path.parent / "candidates.json").read_text(encoding="utf-8"))
    splits = {name: candidates[name] for name in candidates if name.startswith("split")}
    assert splits
    chosen = {name: summary["tuning"][name] for name in ("best_params", "best_score")}
    return {**splits, **chosen, "scores": summary["scores"], "calibration": summary["calibration"]}
