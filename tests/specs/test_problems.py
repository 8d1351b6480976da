"""What pydantic finds is told in our words: one wrong value, one line."""

from __future__ import annotations

import pytest

DATA = "data: {path: d.csv, target: y}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # Keys
        (f"{DATA}modle: {{}}", "x.yaml:2:1  modle: unknown key; did you mean model?"),
        (
            f"{DATA}halving: {{}}",
            (
                "x.yaml:2:1  halving: unknown key; accepted: calibration, compute, data, ensemble, extends, "
                "feature_store, features, findings, gates, "
                "model, models, name, on_error, random_state, selection, threshold, tracking, tuning, validation"
            ),
        ),
        (f"{DATA}extend: a.yaml", "x.yaml:2:1  extend: unknown key; did you mean extends?"),
        (
            f"{DATA}1: x",
            (
                "x.yaml:2:1  1: unknown key; accepted: calibration, compute, data, ensemble, extends, feature_store, "
                "features, findings, gates, model, models, "
                "name, on_error, random_state, selection, threshold, tracking, tuning, validation"
            ),
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a], scalr: null}}]",
            "x.yaml:2:42  features.0.scalr: unknown key; did you mean scaler?",
        ),
        (
            f"{DATA}features: [{{type: numeric, numeric: 1, columns: [a]}}]",
            "x.yaml:2:28  features.0.numeric: unknown key; accepted: columns, fill_value, imputer, scaler, type",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, param_grid: {{classifier__max_depth: [3]}}, n_iter: 3}}",
            (
                "x.yaml:2:68  tuning.n_iter: unknown key; accepted: cv_folds, enabled, max_candidates, n_jobs, "
                "param_grid, refit, scoring, strategy, timeout_seconds"
            ),
        ),
        (
            f"{DATA}feature_store: {{repo_path: r, labels: {{}}}}",
            "x.yaml:2:31  feature_store.labels: unknown key; the label rows of an experiment file are data",
        ),
        (
            f"{DATA}model: {{hyperparameters: {{1: 2}}}}",
            "x.yaml:2:27  model.hyperparameters.1: 1 cannot be a key here; accepted: text",
        ),
        (
            f"{DATA}model: {{class_weight: {{null: 2}}}}",
            "x.yaml:2:24  model.class_weight.None: null cannot be a key here; accepted: text, a number, true or false",
        ),
        # Missing keys
        ("name: n", "x.yaml:1:1  data is missing (The table to learn from)"),
        ("data: {path: d.csv}", "x.yaml:1:1  data: target is missing (Column to predict)"),
        (
            "name: n\ndata:\n  target: y",
            "x.yaml:2:1  data: path is missing (CSV or Parquet: a file, a folder or a glob, relative to this file)",
        ),
        (
            f"{DATA}features: [{{type: numeric}}]",
            "x.yaml:2:12  features.0: columns is missing (Names of the columns, or positions when X is an array)",
        ),
        (
            f"{DATA}features:\n- columns: [a]",
            "x.yaml:3:3  features.0: type is missing; accepted: boolean, categorical, date, numeric, ordinal, text",
        ),
        (
            f"{DATA}tuning: {{param_grid: {{}}}}",
            "x.yaml:2:1  tuning: strategy is missing; accepted: grid, halving, optuna, random",
        ),
        # Kinds of values
        (f"{DATA}random_state: true", "x.yaml:2:15  random_state: expected an integer, got true"),
        (f"{DATA}random_state: 1.5", "x.yaml:2:15  random_state: expected an integer, got 1.5"),
        (f"{DATA}random_state: '1'", "x.yaml:2:15  random_state: expected an integer, got '1'"),
        (f"{DATA}random_state:", "x.yaml:2:14  random_state: expected an integer, got null"),
        (
            "data: {path: d.csv, target: 2019}",
            "x.yaml:1:29  data.target: expected text, got 2019; quote it to make it text",
        ),
        ("data: {path: d.csv, target: null}", "x.yaml:1:29  data.target: expected text, got null"),
        ("data: {path: [d.csv], target: y}", "x.yaml:1:14  data.path: expected text, got a list"),
        ("data: {path: {a: 1}, target: y}", "x.yaml:1:14  data.path: expected text, got a map"),
        ("data: {path: {}, target: y}", "x.yaml:1:14  data.path: expected text, got an empty map"),
        ("data: {path: d.csv, target: y, drop: a}", "x.yaml:1:38  data.drop: expected a list, got 'a'"),
        ("data: d.csv", "x.yaml:1:7  data: expected a map, got 'd.csv'"),
        ("data:", "x.yaml:1:6  data: expected a map, got null"),
        (f"{DATA}features: numeric", "x.yaml:2:11  features: expected auto or a list, got 'numeric'"),
        (f"{DATA}features: [a]", "x.yaml:2:12  features.0: expected a map, got 'a'"),
        (
            f"{DATA}features: [{{type: numeric, columns: [1.5]}}]",
            "x.yaml:2:38  features.0.columns.0: expected text, got 1.5; quote it to make it text",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [3]}}]",
            "x.yaml:2:38  features.0.columns.0: expected the name of a column, got 3; quote it if it is a name",
        ),
        (
            f"{DATA}features: [{{type: ordinal, columns: [a], categories: [low, null]}}]",
            "x.yaml:2:60  features.0.categories.1: expected text, a number, true or false, got null",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a], imputer: constant, fill_value: x}}]",
            "x.yaml:2:73  features.0.fill_value: expected a number, got 'x'",
        ),
        (f"{DATA}validation: {{shuffle: yes}}", "x.yaml:2:23  validation.shuffle: expected true or false, got 'yes'"),
        (f"{DATA}validation: {{test_size: half}}", "x.yaml:2:25  validation.test_size: expected a number, got 'half'"),
        (
            f"{DATA}tuning: {{strategy: grid, scoring: 5, param_grid: {{classifier__max_depth: [3]}}}}",
            "x.yaml:2:35  tuning.scoring: expected text or a list, got 5",
        ),
        (
            (
                f"{DATA}tuning: {{strategy: grid, scoring: [f1, 5], refit: f1, param_grid: "
                f"{{classifier__max_depth: [3]}}}}"
            ),
            "x.yaml:2:40  tuning.scoring.1: expected text, got 5; quote it to make it text",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, param_grid: {{classifier__max_depth: 3}}}}",
            "x.yaml:2:62  tuning.param_grid.classifier__max_depth: expected a list, got 3",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, param_grid: 3}}",
            "x.yaml:2:38  tuning.param_grid: expected a list or a map, got 3",
        ),
        (
            f"{DATA}model: {{class_weight: blanced}}",
            "x.yaml:2:23  model.class_weight: expected balanced or a map, got 'blanced'",
        ),
        (f"{DATA}model: {{class_weight: {{a: x}}}}", "x.yaml:2:27  model.class_weight.a: expected a number, got 'x'"),
        (
            f"{DATA}on_error: {'x' * 60}",
            f"x.yaml:2:11  on_error: is '{'x' * 35}...'; accepted: degrade, fail",
        ),
        # Nothing
        (
            f"{DATA}tracking:",
            (
                "x.yaml:2:1  tracking: nothing is written here; "
                "write tracking: {} for its defaults, or tracking: null for none"
            ),
        ),
        # Choices
        (
            f"{DATA}calibration: {{method: isotoni}}",
            "x.yaml:2:23  calibration.method: is 'isotoni'; accepted: isotonic, sigmoid, temperature",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a], scaler: none}}]",
            (
                "x.yaml:2:50  features.0.scaler: is 'none'; accepted: maxabs, minmax, power, quantile, robust, "
                "standard, null"
            ),
        ),
        (
            f"{DATA}features: [{{type: nummeric, columns: [a]}}]",
            "x.yaml:2:19  features.0.type: is 'nummeric'; did you mean numeric?",
        ),
        (
            f"{DATA}features: [{{type: 5, columns: [a]}}]",
            "x.yaml:2:19  features.0.type: is 5; accepted: boolean, categorical, date, numeric, ordinal, text",
        ),
        (f"{DATA}tuning: {{strategy: gird}}", "x.yaml:2:20  tuning.strategy: is 'gird'; did you mean grid?"),
        (
            f"{DATA}tuning: {{strategy: bayes}}",
            "x.yaml:2:20  tuning.strategy: is 'bayes'; accepted: grid, halving, optuna, random",
        ),
        # Ranges
        (f"{DATA}random_state: -1", "x.yaml:2:15  random_state: is -1; accepted: at least 0 and at most 4294967295"),
        (f"{DATA}validation: {{cv_folds: 1}}", "x.yaml:2:24  validation.cv_folds: is 1; accepted: at least 2"),
        (
            f"{DATA}calibration: {{holdout: 1}}",
            "x.yaml:2:24  calibration.holdout: is 1; accepted: above 0 and below 1",
        ),
        (
            f"{DATA}calibration: {{holdout: .nan}}",
            "x.yaml:2:24  calibration.holdout: is .nan; accepted: above 0 and below 1",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a], imputer: constant, fill_value: .inf}}]",
            "x.yaml:2:73  features.0.fill_value: is .inf; accepted: a finite number",
        ),
        (
            f"{DATA}features: [{{type: ordinal, columns: [a], categories: [low]}}]",
            "x.yaml:2:54  features.0.categories: is a list; accepted: 2 items or more",
        ),
        (f"{DATA}features: [{{type: numeric, columns: []}}]", "x.yaml:2:37  features.0.columns: is empty"),
        ("data: {path: '', target: y}", "x.yaml:1:14  data.path: is empty"),
        (
            "data: {path: d.csv, target: y, read: {decimal: ',,'}}",
            "x.yaml:1:48  data.read.decimal: is ',,'; accepted: one character",
        ),
        (
            f"{DATA}tracking: {{registered_model_name: m, alias: a b}}",
            "x.yaml:2:45  tracking.alias: is 'a b'; accepted: letters, digits, _ and -",
        ),
        (
            f"{DATA}feature_store: {{repo_path: r, initialize: true, views: [{{name: 1a, source: s, entity: e}}]}}",
            "x.yaml:2:64  feature_store.views.0.name: is '1a'; accepted: a letter, then letters, digits and _",
        ),
        (
            f"{DATA}feature_store: {{repo_path: r, sample_indices: [-1]}}",
            "x.yaml:2:48  feature_store.sample_indices.0: is -1; accepted: at least 0",
        ),
        # Splits, gates and findings
        (
            f"{DATA}gates: {{metric: accuracy}}",
            "x.yaml:2:8  gates: expected a list, got a map",
        ),
        (
            f"{DATA}gates:",
            "x.yaml:2:7  gates: expected a list, got null",
        ),
        (
            f"{DATA}gates: [accuracy]",
            "x.yaml:2:9  gates.0: expected a map, got 'accuracy'",
        ),
        (
            f"{DATA}gates: [{{metrik: accuracy, min: 1}}]",
            "x.yaml:2:10  gates.0.metrik: unknown key; did you mean metric?",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, mim: 1}}]",
            "x.yaml:2:28  gates.0.mim: unknown key; did you mean min?",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: high}}]",
            "x.yaml:2:33  gates.0.min: expected a number, got 'high'",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: .nan}}]",
            "x.yaml:2:33  gates.0.min: is .nan; accepted: a finite number",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, max: true}}]",
            "x.yaml:2:33  gates.0.max: expected a number, got true",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: baseline, by: -1}}]",
            "x.yaml:2:49  gates.0.by: is -1; accepted: at least 0 and a finite number",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 1, bound: lowest}}]",
            "x.yaml:2:43  gates.0.bound: is 'lowest'; accepted: lower, point, upper",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 1, source: holdout}}]",
            "x.yaml:2:44  gates.0.source: is 'holdout'; accepted: cross_validation, test, train_test, null",
        ),
        (
            f"{DATA}gates: [{{metric: [accuracy], min: 1}}]",
            "x.yaml:2:18  gates.0.metric: expected text, got a list",
        ),
        (
            f"{DATA}gates: [{{metric: '', min: 1}}]",
            "x.yaml:2:18  gates.0.metric: is empty",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 1, slice: 3}}]",
            "x.yaml:2:43  gates.0.slice: expected text, got 3; quote it to make it text",
        ),
        (
            f"{DATA}gates: [{{finding: true}}]",
            "x.yaml:2:19  gates.0.finding: expected text, got true; quote it to make it text",
        ),
        (
            f"{DATA}findings: [leakage]",
            "x.yaml:2:11  findings: expected a map, got a list",
        ),
        (
            f"{DATA}findings: {{ignore: leakage}}",
            "x.yaml:2:20  findings.ignore: expected a list, got 'leakage'",
        ),
        (
            f"{DATA}findings: {{ignor: []}}",
            "x.yaml:2:12  findings.ignor: unknown key; did you mean ignore?",
        ),
        (
            f"{DATA}findings: {{ignore: [1]}}",
            "x.yaml:2:21  findings.ignore.0: expected text, got 1; quote it to make it text",
        ),
        (
            f"{DATA}calibration: {{keep: best}}",
            "x.yaml:2:21  calibration.keep: is 'best'; accepted: always, better",
        ),
        (
            f"{DATA}validation: {{splitter: kfolds}}",
            (
                "x.yaml:2:24  validation.splitter: is 'kfolds'; accepted: kfold, leave_one_group_out, "
                "predefined_split, repeated_kfold, repeated_stratified_kfold, stratified_group_kfold, "
                "stratified_kfold, time_series_split, null"
            ),
        ),
        (
            f"{DATA}validation: {{n_repeats: 1}}",
            "x.yaml:2:25  validation.n_repeats: is 1; accepted: at least 2",
        ),
        (
            f"{DATA}validation: {{gap: -1}}",
            "x.yaml:2:19  validation.gap: is -1; accepted: at least 0",
        ),
        (
            f"{DATA}validation: {{max_train_size: 0}}",
            "x.yaml:2:30  validation.max_train_size: is 0; accepted: at least 1",
        ),
        (
            f"{DATA}validation: {{nested: yes}}",
            "x.yaml:2:22  validation.nested: expected true or false, got 'yes'",
        ),
        (
            f"{DATA}validation: {{slices: sex}}",
            "x.yaml:2:22  validation.slices: expected a list, got 'sex'",
        ),
        (
            f"{DATA}validation: {{slices: [1]}}",
            "x.yaml:2:23  validation.slices.0: expected text, got 1; quote it to make it text",
        ),
        (
            f"{DATA}threshold:",
            (
                "x.yaml:2:1  threshold: nothing is written here; write threshold: {} for its defaults, or "
                "threshold: null for none"
            ),
        ),
        (
            f"{DATA}threshold: {{}}\nthreshhold: {{}}",
            "x.yaml:3:1  threshhold: unknown key; did you mean threshold?",
        ),
        (
            f"{DATA}threshold: {{scorer: f1}}",
            "x.yaml:2:13  threshold.scorer: unknown key; did you mean scoring?",
        ),
        (
            f"{DATA}threshold: f1",
            "x.yaml:2:12  threshold: expected a map, got 'f1'",
        ),
        (
            "data: {path: d.csv, target: y, groups: 5}",
            "x.yaml:1:40  data.groups: expected text, got 5; quote it to make it text",
        ),
        (
            "data: {path: d.csv, target: y, fold: ''}",
            "x.yaml:1:38  data.fold: is empty",
        ),
        (
            "data: {path: d.csv, target: y, group: a}",
            "x.yaml:1:32  data.group: unknown key; did you mean groups?",
        ),
        (
            f"{DATA}tracking: {{register_anyway: always}}",
            "x.yaml:2:29  tracking.register_anyway: expected true or false, got 'always'",
        ),
        # What a section says of itself
        (
            f"{DATA}compute: {{n_jobs: 0}}",
            "x.yaml:2:19  compute.n_jobs: 0 fits at the same time is none; accepted: -1 (one for each core), 1, 2, ...",
        ),
        (
            f"{DATA}compute: {{time_limit: 10 minutes}}",
            (
                "x.yaml:2:23  compute.time_limit: is '10 minutes'; accepted: seconds above 0, or a text such as 90s, "
                "10m or 1h30m"
            ),
        ),
        (
            f"{DATA}compute: {{time_limit: .inf}}",
            "x.yaml:2:23  compute.time_limit: is .inf; accepted: seconds above 0, or a text such as 90s, 10m or 1h30m",
        ),
        (
            f"{DATA}compute: {{time_limit: true}}",
            "x.yaml:2:23  compute.time_limit: expected text or a number, got true",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a], imputer: constant}}]",
            "x.yaml:2:51  features.0.imputer: constant needs fill_value, what to put in",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a], fill_value: 1.5}}]",
            "x.yaml:2:54  features.0.fill_value: 1.5 is unused; it needs imputer: constant",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a, a]}}]",
            "x.yaml:2:37  features.0.columns: column 'a' is listed twice",
        ),
    ],
    ids=lambda value: (
        value.removeprefix(DATA)[:50] if isinstance(value, str) and not value.startswith("x.yaml") else ""
    ),
)
def test_a_wrong_value_is_told_whole(told, text, problem):
    assert told(text) == [problem]


GRID = "param_grid: {classifier__max_depth: [1]}"


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (f"tuning: {{stratgy: grid, {GRID}}}", "2:10  tuning.stratgy: unknown key; did you mean strategy?"),
        (f"tuning: {{Strategy: grid, {GRID}}}", "2:10  tuning.Strategy: unknown key; did you mean strategy?"),
        (f"tuning: {{{GRID}, method: grid}}", "2:52  tuning.method: unknown key; did you mean strategy?"),
        (f"tuning: {{strategy: gird, {GRID}}}", "2:20  tuning.strategy: is 'gird'; did you mean grid?"),
        (f"tuning: {{{GRID}}}", "2:1  tuning: strategy is missing; accepted: grid, halving, optuna, random"),
        ("features: [{columns: [a], tpye: numeric}]", "2:27  features.0.tpye: unknown key; did you mean type?"),
        ("features: [{kind: numeric, columns: [a]}]", "2:13  features.0.kind: unknown key; did you mean type?"),
        ("features: [{type: numric, columns: [a]}]", "2:19  features.0.type: is 'numric'; did you mean numeric?"),
    ],
    ids=[
        "search",
        "capital",
        "another word",
        "its value",
        "missing",
        "feature",
        "another word there",
        "its value there",
    ],
)
def test_the_kind_of_a_section_is_told_where_it_is_misspelt(told, section, problem):
    assert told(f"data: {{path: d.csv, target: y}}\n{section}") == [f"x.yaml:{problem}"]
