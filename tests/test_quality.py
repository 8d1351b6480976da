"""The quality benchmark measures fits as it says, keeps them, and its report computes what it claims."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality import REPORT, KeptFits, main
from benchmarks.quality_report import BEGIN, END, corrected_interval, mean_ranks, write_report
from benchmarks.quality_systems import SYSTEMS, evaluate, measure_fit
from benchmarks.quality_tables import TARGET, shipped_tables, tables_of


def fit_of(log_loss, **more):
    """Make what the measurement of one fit gives."""
    found = {"log_loss": log_loss, "roc_auc": 0.9, "accuracy": 0.8, "cpu": 12.0, "fit_seconds": 7.0}
    return {**found, "predict_seconds": 0.02, "note": "", "n_train": 70, "n_test": 30, **more}


@pytest.mark.parametrize("name", shipped_tables())
def test_shipped_table_has_columns_and_classes_from_zero(name):
    table = shipped_tables()[name]()
    assert len(table.X) == len(table.y) > 100
    assert sorted(set(table.y.tolist())) == list(range(table.n_classes))
    assert TARGET not in table.X


def test_split_is_stratified_and_the_same_each_time():
    table = shipped_tables()["penguins"]()
    train, test = table.split(0)
    assert (len(train), len(test)) == (240, 104)
    assert train[TARGET].value_counts(normalize=True)[0] == pytest.approx(np.mean(table.y == 0), abs=0.01)
    assert table.split(0)[1].equals(test)
    assert not table.split(1)[1].equals(test)


def test_folder_gives_its_tables_with_the_last_column_as_target(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": ["x", None, "z"], "kind": ["no", "yes", None]})
    frame.to_csv(tmp_path / "some.csv", index=False)
    frame.to_parquet(tmp_path / "some.parquet")
    ((name, load),) = tables_of(tmp_path).items()
    table = load()
    assert (name, list(table.X), table.y.tolist()) == ("some", ["a", "b"], [0, 1])


def test_scores_are_those_of_scikit_learn_with_certainty_cut():
    scores = evaluate(pd.Series([0, 1, 1, 0]), np.array([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [1.0, 0.0]]), 2)
    assert scores["log_loss"] == pytest.approx(-np.log([0.8, 0.6, 0.9, 1.0]).mean())
    assert (scores["roc_auc"], scores["accuracy"]) == (1.0, 1.0)


def test_scores_need_a_column_for_each_class():
    with pytest.raises(ValueError, match=r"^probabilities of 2 classes, not 3$"):
        evaluate(pd.Series([0, 1, 2]), np.full((3, 2), 0.5), 3)


def test_fit_is_measured_with_its_children():
    table = shipped_tables()["iris"]()
    found = measure_fit("logistic_regression", table, 0, python=sys.executable, seconds=60, n_cores=1)
    assert found["log_loss"] < 0.3
    assert found["accuracy"] > 0.9
    assert found["cpu"] > 0.5  # the command line that trains is a child of the process
    assert (found["n_train"], found["n_test"], found["note"]) == (105, 45, "Pipeline")


def test_fit_that_fails_is_reported(tmp_path):
    table = shipped_tables()["iris"]()
    found = measure_fit("flaml", table, 0, python=sys.executable, seconds=1, n_cores=1)
    assert list(found) == ["failed"]
    assert "No module named 'flaml'" in found["failed"]


def test_mean_rank_is_by_split_and_then_table():
    measured = {
        "one": {"a": [fit_of(0.1), fit_of(0.3)], "b": [fit_of(0.2), fit_of(0.2)]},
        "two": {"a": [fit_of(0.1)], "b": [{"failed": "no"}]},
    }
    assert mean_ranks(measured) == {"a": 1.25, "b": 1.75}


def test_interval_is_corrected_for_splits_that_share_rows():
    low, high = corrected_interval([1.0, 2.0, 3.0, 4.0], test_share=3 / 7)
    plain = 3.182446 * np.std([1, 2, 3, 4], ddof=1) / 2
    assert (low + high) / 2 == pytest.approx(2.5)
    assert (high - low) / 2 == pytest.approx(plain * np.sqrt((1 / 4 + 3 / 7) / (1 / 4)), rel=1e-5)
    assert corrected_interval([1.0], test_share=0.4) is None


def test_report_has_ranks_differences_and_a_table_for_each_data_set():
    measured = {
        "iris": {
            "portfolio": {"0": fit_of(0.10), "1": fit_of(0.12)},
            "flaml": {"0": fit_of(0.20), "1": fit_of(0.20)},
            "autogluon": {"0": {"failed": "no"}, "1": {"failed": "no"}},
        }
    }
    report = write_report(measured, command="python -m benchmarks.quality", machine="here", seconds=60, n_cores=2)
    assert "Each table is split 2 times at random" in report
    assert "Failed: AutoGluon medium on iris." in report
    assert "| mlwf, `algorithm: auto` | 1.00 | 1 | 1 | 12 | 12 | 20 |" in report
    assert "| iris | -45.0 [-131.6, +41.6] | – |" in report
    assert "| FLAML | 0.2000 | 0.9000 | 0.800 | 12 | 7 | 20 |" in report


def test_kept_fits_are_not_measured_again_but_ours_if_wished(tmp_path):
    path = tmp_path / "fits.json"
    kept = KeptFits(path, seconds=60)
    kept.add("iris", "portfolio", 0, fit_of(0.1))
    kept.add("iris", "flaml", 0, fit_of(0.2))
    again = KeptFits(path, seconds=60, is_again=True)
    assert ("iris", "flaml", 0) in again
    assert ("iris", "portfolio", 0) not in again
    again.add("iris", "portfolio", 0, fit_of(0.05))
    assert ("iris", "portfolio", 0) in again
    assert again.of(["iris"], ["portfolio"], 1) == {"iris": {"portfolio": {"0": fit_of(0.05)}}}


def test_fits_of_another_time_limit_are_refused(tmp_path):
    path = tmp_path / "fits.json"
    KeptFits(path, seconds=60).add("iris", "flaml", 0, fit_of(0.2))
    with pytest.raises(SystemExit, match="was measured otherwise"):
        KeptFits(path, seconds=10)


def test_command_measures_what_is_missing_and_writes_the_report(tmp_path, capsys):
    options = ["--tables", "iris", "--systems", "logistic_regression", "--work", str(tmp_path)]
    main([*options, "--output", str(tmp_path / "quality.md")])
    report = (tmp_path / "quality.md").read_text(encoding="utf-8")
    command = "python -m benchmarks.quality --splits 1 --tables iris --systems logistic_regression"
    assert f"Written by `{command}`" in report
    assert json.loads((tmp_path / "fits.json").read_text())["measured"]["iris"]["logistic_regression"]["0"]["cpu"] > 0
    assert "iris, split 0, logistic_regression: log loss" in capsys.readouterr().err


def test_unknown_table_and_system_are_refused(capsys):
    with pytest.raises(SystemExit, match=r"^no table moons; there are: titanic, penguins, "):
        main(["--tables", "moons"])
    with pytest.raises(SystemExit):
        main(["--systems", "oracle"])
    assert f"is oracle; accepted: {','.join(SYSTEMS)}" in capsys.readouterr().err


def test_readme_quotes_the_committed_table():
    committed = REPORT.read_text(encoding="utf-8")
    table = committed[committed.index(BEGIN) : committed.index(END) + len(END)]
    assert table in (REPORT.parent.parent / "README.md").read_text(encoding="utf-8")
