"""The fits of an experiment are counted before they are made, and those that are kept can be shown and removed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf.cli.boundary import run

EXPERIMENT = """\
data: {path: t.csv, target: y}
model: {algorithm: decision_tree}
tuning: {strategy: grid, param_grid: {classifier__max_depth: [1, 2]}, cv_folds: 3}
calibration: {cv_folds: 3, keep: always}
validation: {cv_folds: 3}
"""

BEFORE = """\
Phase      One by one  To fit  Recorded
tune                6       6         0
fit                 1       1         0
calibrate           3       0         0
validate           12      12         0
all                22      19         0
"""
AFTER = """\
| Phase | One by one | To fit | Recorded |
| --- | ---: | ---: | ---: |
| tune | 6 | 0 | 6 |
| fit | 1 | 0 | 1 |
| calibrate | 3 | 0 | 3 |
| validate | 12 | 0 | 12 |
| all | 22 | 0 | 22 |
"""


@pytest.fixture
def written(tmp_path, monkeypatch, capsys):
    """Give a function that runs a command beside the experiment, and gives what it writes to standard output."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=60)
    pd.DataFrame({"x": x, "y": np.where(x > 0, "yes", "no")}).to_csv("t.csv", index=False)
    (tmp_path / "e.yaml").write_text(EXPERIMENT)

    def written(*arguments):
        assert run([*arguments]) == 0
        return capsys.readouterr().out

    return written


def test_a_plan_counts_the_fits_that_are_left(written):
    assert written("plan", "e.yaml") == BEFORE
    written("train", "e.yaml", "--quiet")
    assert written("plan", "e.yaml", "--format", "markdown") == AFTER


def test_the_cache_shows_what_it_keeps_until_it_is_cleared(written):
    assert written("cache") == "runs/.fits: 0 fits, 0 models, 0.0 MB\n"
    written("train", "e.yaml", "--quiet")
    full = written("cache")
    assert full.startswith("runs/.fits: 22 fits, ")
    assert written("cache", "--clear") == full.replace("\n", " removed\n")
    assert written("cache") == "runs/.fits: 0 fits, 0 models, 0.0 MB\n"
