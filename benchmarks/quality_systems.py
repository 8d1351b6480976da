"""The systems of the quality benchmark: what each is called, where it runs, and the measurement of one fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from benchmarks.measuring import ONE_THREAD, NotMeasuredError, cpu_of
from benchmarks.quality_tables import ROOT, TARGET, Table

SCRIPT = Path(__file__).parent / "quality_fit.py"
SMALLEST = 1e-15
"""What a probability of 0 counts as, before rows are made to sum to 1 again."""


@dataclass(frozen=True)
class System:
    """What gives probabilities for new rows after a fit."""

    title: str
    requirements: Sequence[str] = ()
    """What pip installs into an environment of its own; empty for what runs in this one."""

    @property
    def is_ours(self) -> bool:
        """Whether it is part of mlwf, and is measured again when mlwf has changed."""
        return not self.requirements


SYSTEMS: dict[str, System] = {
    "portfolio": System("mlwf, `algorithm: auto`"),
    "hist_gradient_boosting": System("hist_gradient_boosting"),
    "gradient_boosting": System("gradient_boosting"),
    "logistic_regression": System("logistic_regression"),
    "random_forest": System("random_forest, 300 trees"),
    "tuned_lightgbm": System("lightgbm, grid of 20"),
    "flaml": System("FLAML", ("flaml[automl]", "pyarrow")),
    "autogluon": System("AutoGluon medium", ("autogluon.tabular[lightgbm,catboost,xgboost]", "pyarrow")),
}
"""All systems, by the name that `--systems` takes."""


def install(name: str, environments: Path) -> str:
    """Give the Python of a system, whose environment is made if it is not there yet.

    Raises NotMeasuredError with the end of what pip wrote when that fails.
    """
    system = SYSTEMS[name]
    if system.is_ours:
        return sys.executable
    folder = environments / name
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        print(f"Installing {', '.join(system.requirements)} into {folder}", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *system.requirements]
        for command in ([sys.executable, "-m", "venv", str(folder)], pip):
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            if ended.returncode:
                raise NotMeasuredError(f"{name} could not be installed: {ended.stderr.strip()[-500:]}")
        done.touch()
    return str(python)


def measure_fit(
    name: str, table: Table, split: int, *, python: str, seconds: float, n_cores: int, clock: str = "wall"
) -> dict[str, Any]:
    """Fit a system to one split in a process of its own.

    Gives `log_loss`, `roc_auc` and `accuracy` on the test rows, `cpu` of the process with all its children and
    imports, `fit_seconds` and `predict_seconds` (of 1,000 rows) of wall time, and the numbers of rows; `failed` alone
    if it failed.
    """
    train, test = table.split(split)
    with TemporaryDirectory() as folder:
        place = Path(folder)
        train.to_parquet(place / "train.parquet")
        test.to_parquet(place / "test.parquet")
        command = [python, str(SCRIPT), name, folder, str(seconds), str(n_cores), clock]
        try:
            cpu = cpu_of(command, cwd=place, env=_environment(name, n_cores))
        except RuntimeError as error:
            return {"failed": str(error)[-500:]}
        found = json.loads((place / "fit.json").read_text(encoding="utf-8"))
        probabilities = np.load(place / "probabilities.npy")
    sizes = {"n_train": len(train), "n_test": len(test)}
    return {**evaluate(test[TARGET], probabilities, table.n_classes), "cpu": cpu, **found, **sizes}


def evaluate(y: pd.Series[Any], probabilities: Any, n_classes: int) -> dict[str, float]:
    """Score probabilities of shape (n_samples, n_classes); the AUC of several classes is one against the rest."""
    if probabilities.shape[1] != n_classes:
        raise ValueError(f"probabilities of {probabilities.shape[1]} classes, not {n_classes}")
    sure = np.clip(probabilities, SMALLEST, None)
    sure = sure / sure.sum(axis=1, keepdims=True)
    labels = list(range(n_classes))
    return {
        "log_loss": float(log_loss(y, sure, labels=labels)),
        "roc_auc": float(roc_auc_score(y, sure[:, 1] if n_classes == 2 else sure, multi_class="ovr", labels=labels)),
        "accuracy": float(accuracy_score(y, sure.argmax(axis=1))),
    }


def _environment(name: str, n_cores: int) -> dict[str, str]:
    threads = dict.fromkeys(ONE_THREAD, str(n_cores))
    # Ours is imported from this tree; a foreign environment must not find it.
    path = {"PYTHONPATH": str(ROOT)} if SYSTEMS[name].is_ours else {}
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # Threads that wait in a loop for the next piece of work would be counted as work.
    return {**kept, **threads, **path, "OMP_WAIT_POLICY": "passive"}
