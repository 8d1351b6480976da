"""Splitters, the columns they need, and the options that only some of them use."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.errors import ConfigError
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import check_experiment, load_experiment

DATA = "data: {path: d.csv, target: y}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{DATA}validation: {{splitter: stratified_group_kfold}}",
            (
                "x.yaml:2:24  validation.splitter: is 'stratified_group_kfold', which needs data.groups; name "
                "the column there"
            ),
        ),
        (
            f"{DATA}validation: {{splitter: leave_one_group_out}}",
            (
                "x.yaml:2:24  validation.splitter: is 'leave_one_group_out', which needs data.groups; name the "
                "column there"
            ),
        ),
        (
            f"{DATA}validation: {{splitter: time_series_split}}",
            ("x.yaml:2:24  validation.splitter: is 'time_series_split', which needs data.time; name the column there"),
        ),
        (
            f"{DATA}validation: {{splitter: predefined_split}}",
            "x.yaml:2:24  validation.splitter: is 'predefined_split', which needs data.fold; name the column there",
        ),
        (
            "data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: stratified_kfold}",
            (
                "x.yaml:2:24  validation.splitter: is 'stratified_kfold', which would train and evaluate on rows "
                "of one group (data.groups); accepted: stratified_group_kfold, leave_one_group_out, "
                "time_series_split, predefined_split"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: kfold}",
            (
                "x.yaml:2:24  validation.splitter: is 'kfold', which would train and evaluate on rows of one "
                "group (data.groups); accepted: stratified_group_kfold, leave_one_group_out, time_series_split, "
                "predefined_split"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: repeated_stratified_kfold}",
            (
                "x.yaml:2:24  validation.splitter: is 'repeated_stratified_kfold', which would train and "
                "evaluate on rows of one group (data.groups); accepted: stratified_group_kfold, leave_one_group_out, "
                "time_series_split, predefined_split"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: repeated_kfold}",
            (
                "x.yaml:2:24  validation.splitter: is 'repeated_kfold', which would train and evaluate on rows of "
                "one group (data.groups); accepted: stratified_group_kfold, leave_one_group_out, "
                "time_series_split, predefined_split"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g, time: t}\n",
            (
                "x.yaml:1:32  data.groups: competes with data.time: validation.splitter must say which of the "
                "two draws the folds; accepted: stratified_group_kfold (time has no part), time_series_split "
                "(groups are kept apart too)"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g, time: t}\nfeature_store: {repo_path: r}",
            (
                "x.yaml:1:32  data.groups: competes with data.time: validation.splitter must say which of the "
                "two draws the folds; accepted: stratified_group_kfold (time has no part), time_series_split "
                "(groups are kept apart too)"
            ),
        ),
        (
            "data: {path: d.csv, target: y, fold: f}\nvalidation: {splitter: kfold}",
            (
                "x.yaml:1:32  data.fold: has no effect with splitter kfold; write splitter: predefined_split, or "
                "leave it out"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g, fold: f}\nvalidation: {splitter: stratified_group_kfold}",
            (
                "x.yaml:1:43  data.fold: has no effect with splitter stratified_group_kfold; write splitter: "
                "predefined_split, or leave it out"
            ),
        ),
        (
            "data: {path: d.csv, target: y, fold: f}\nvalidation: {strategy: train_test}",
            (
                "x.yaml:2:24  validation.strategy: is 'train_test', and data.fold names folds, not a hold-out; "
                "accepted: cross_validation, none"
            ),
        ),
        (
            f"{DATA}validation: {{strategy: train_test, nested: true}}",
            (
                "x.yaml:2:36  validation.nested: has no effect with strategy train_test; write strategy: "
                "cross_validation, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{strategy: none, nested: true}}",
            (
                "x.yaml:2:30  validation.nested: has no effect with strategy none; write strategy: "
                "cross_validation, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{n_repeats: 5}}",
            (
                "x.yaml:2:14  validation.n_repeats: has no effect with splitter stratified_kfold; write "
                "splitter: repeated_stratified_kfold, or leave it out"
            ),
        ),
        (
            "data: {path: d.csv, target: y, time: t}\nvalidation: {n_repeats: 5}",
            (
                "x.yaml:2:14  validation.n_repeats: has no effect with splitter time_series_split (from "
                "data.time); write splitter: repeated_stratified_kfold, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{gap: 5}}",
            (
                "x.yaml:2:14  validation.gap: has no effect with splitter stratified_kfold; write splitter: "
                "time_series_split, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{strategy: train_test, gap: 5}}",
            (
                "x.yaml:2:36  validation.gap: has no effect with splitter stratified_kfold; write splitter: "
                "time_series_split, or leave it out"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, groups: g, time: t}\nvalidation: {strategy: train_test, splitter: "
                "stratified_group_kfold, gap: 5}"
            ),
            (
                "x.yaml:2:70  validation.gap: has no effect with splitter stratified_group_kfold; write "
                "splitter: time_series_split, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{max_train_size: 5}}",
            (
                "x.yaml:2:14  validation.max_train_size: has no effect with splitter stratified_kfold; write "
                "splitter: time_series_split, or leave it out"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, time: t}\nvalidation: {strategy: train_test, splitter: kfold, "
                "max_train_size: 5}"
            ),
            (
                "x.yaml:2:53  validation.max_train_size: has no effect with splitter kfold; write splitter: "
                "time_series_split, or leave it out"
            ),
        ),
        (
            "data: {path: d.csv, target: y, time: t}\nvalidation: {shuffle: true}",
            (
                "x.yaml:2:14  validation.shuffle: has no effect with splitter time_series_split (from "
                "data.time); leave it out"
            ),
        ),
        (
            ("data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: leave_one_group_out, shuffle: false}"),
            "x.yaml:2:45  validation.shuffle: has no effect with splitter leave_one_group_out; leave it out",
        ),
        (
            "data: {path: d.csv, target: y, fold: f}\nvalidation: {shuffle: false}",
            (
                "x.yaml:2:14  validation.shuffle: has no effect with splitter predefined_split (from data.fold); "
                "leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{splitter: repeated_kfold, shuffle: false}}",
            (
                "x.yaml:2:40  validation.shuffle: contradicts splitter repeated_kfold, which shuffles the rows "
                "anew each time; leave one of the two out"
            ),
        ),
        (
            "data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: leave_one_group_out, cv_folds: 3}",
            "x.yaml:2:45  validation.cv_folds: has no effect with splitter leave_one_group_out; leave it out",
        ),
        (
            "data: {path: d.csv, target: y, fold: f}\nvalidation: {cv_folds: 3}",
            (
                "x.yaml:2:14  validation.cv_folds: has no effect with splitter predefined_split (from "
                "data.fold); leave it out"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, fold: f}\ntuning: {strategy: grid, param_grid: "
                "{classifier__max_depth: [3]}, cv_folds: 3}"
            ),
            (
                "x.yaml:2:68  tuning.cv_folds: has no effect with splitter predefined_split (from data.fold); "
                "leave it out"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, groups: g}\nvalidation: {splitter: "
                "leave_one_group_out}\ncalibration: {cv_folds: 3}"
            ),
            "x.yaml:3:15  calibration.cv_folds: has no effect with splitter leave_one_group_out; leave it out",
        ),
        (
            "data: {path: d.csv, target: y, fold: f}\ncalibration: {cv_folds: 3, holdout: 0.2}",
            (
                "x.yaml:2:15  calibration.cv_folds: contradicts holdout, which calibrates without folds; leave "
                "one of the two out"
            ),
        ),
        (
            "data: {path: d.csv, target: y, time: t}\ncalibration: {ensemble: false}",
            (
                "x.yaml:2:25  calibration.ensemble: is false, which needs each row evaluated exactly once, unlike "
                "splitter time_series_split (from data.time); accepted: true"
            ),
        ),
        (
            f"{DATA}validation: {{splitter: repeated_stratified_kfold}}\ncalibration: {{ensemble: false}}",
            (
                "x.yaml:3:25  calibration.ensemble: is false, which needs each row evaluated exactly once, unlike "
                "splitter repeated_stratified_kfold; accepted: true"
            ),
        ),
        (
            f"{DATA}validation: {{splitter: repeated_kfold}}\ncalibration: {{ensemble: false}}",
            (
                "x.yaml:3:25  calibration.ensemble: is false, which needs each row evaluated exactly once, unlike "
                "splitter repeated_kfold; accepted: true"
            ),
        ),
        (
            "data: {path: d.csv, target: y, time: t}\ncalibration: {ensemble: false, holdout: 0.2}",
            (
                "x.yaml:2:15  calibration.ensemble: contradicts holdout, where there is one model in any case; "
                "leave one of the two out"
            ),
        ),
    ],
    ids=lambda value: (
        value.removeprefix(DATA)[:70] if isinstance(value, str) and not value.startswith("x.yaml") else ""
    ),
)
def test_a_contradiction_is_told_whole(told, text, problem):
    assert told(text) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "data: {path: d.csv, target: y, groups: g}\n",
        "data: {path: d.csv, target: y, time: t}\n",
        "data: {path: d.csv, target: y, fold: f}\n",
        "data: {path: d.csv, target: y, groups: g, time: t, fold: f}\n",
        (
            "data: {path: d.csv, target: y, groups: g, time: t}\nvalidation: {splitter: "
            "stratified_group_kfold, cv_folds: 3, shuffle: false}"
        ),
        "data: {path: d.csv, target: y, groups: g, time: t}\nvalidation: {splitter: time_series_split}",
        (
            "data: {path: d.csv, target: y, groups: g, time: t}\nvalidation: {splitter: leave_one_group_out, "
            "nested: true}"
        ),
        "data: {path: d.csv, target: y, time: t}\nvalidation: {splitter: stratified_kfold}",
        ("data: {path: d.csv, target: y, groups: g, fold: f}\nvalidation: {splitter: predefined_split, nested: true}"),
        "data: {path: d.csv, target: y, fold: f}\nvalidation: {strategy: none}",
        "data: {path: d.csv, target: y, time: t}\nvalidation: {cv_folds: 4, gap: 2, max_train_size: 100}",
        "data: {path: d.csv, target: y, time: t}\nvalidation: {strategy: train_test, gap: 2}",
        "data: {path: d.csv, target: y, time: t}\nvalidation: {strategy: train_test, splitter: kfold, gap: 2}",
        "data: {path: d.csv, target: y, time: t}\nvalidation: {max_train_size: null}",
        f"{DATA}validation: {{splitter: repeated_kfold, n_repeats: 5, cv_folds: 3, shuffle: true}}",
        f"{DATA}validation: {{strategy: none, nested: false, refit: false}}",
        (
            "data: {path: d.csv, target: y, fold: f}\ncalibration: {ensemble: false}\ntuning: {strategy: grid, "
            "param_grid: {classifier__max_depth: [3]}, cv_folds: null}"
        ),
        "data: {path: d.csv, target: y, groups: g}\ncalibration: {ensemble: false, cv_folds: 3}",
    ],
    ids=lambda text: text.removeprefix(DATA)[:70],
)
def test_what_contradicts_nothing_is_loaded(text):
    Path("x.yaml").write_text(text)
    load_experiment(Path("x.yaml"))


def test_a_doubtful_column_hides_what_depends_on_it(told, monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    data = "data: {path: d.csv, target: y, groups: '${env:UNSET}'}"
    assert told(f"{data}\nvalidation: {{splitter: leave_one_group_out, cv_folds: 3}}") == [
        "x.yaml:1:40  data.groups: the environment variable UNSET is not set; set it, or write ${env:UNSET:default}"
    ]


def test_options_are_not_judged_while_the_splitter_is_open(told):
    problems = told("data: {path: d.csv, target: y, groups: g, time: t}\nvalidation: {gap: 5}")
    assert [problem.split(":")[2].split("  ")[1] for problem in problems] == ["data.groups"]


def test_an_experiment_from_python_is_held_to_the_same_rules():
    spec = ExperimentSpec(
        data={"path": "d", "target": "y", "time": "t"}, validation={"shuffle": False}, calibration={"ensemble": False}
    )
    with pytest.raises(ConfigError) as raised:
        check_experiment(spec)
    assert str(raised.value).splitlines() == [
        "validation.shuffle: has no effect with splitter time_series_split (from data.time); leave it out",
        (
            "calibration.ensemble: is false, which needs each row evaluated exactly once, unlike splitter "
            "time_series_split (from data.time); accepted: true"
        ),
    ]


def test_a_resolved_splitter_contradicts_nothing():
    spec = ExperimentSpec(data={"path": "d", "target": "y", "groups": "g"})
    validation = spec.validation.model_copy(update={"splitter": spec.splitter})
    check_experiment(spec.model_copy(update={"validation": validation}))
