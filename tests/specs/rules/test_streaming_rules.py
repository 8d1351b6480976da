"""What needs all rows in memory at once is refused with `data.stream: true`, where it stands."""

from __future__ import annotations

import pytest

from mlwf.specs.loading import load_experiment
from mlwf.specs.rules.data_rules import problems_of_streaming

START = "data: {path: d.parquet, target: y, stream: true}\n"
XGBOOST = "model: {algorithm: xgboost}\n"
TRACKED = "tracking: {}\ndata: {path: d.parquet, target: y, stream: true, test_path: t.parquet}\n"
NEED = "need all rows in memory at once; accepted with data.stream:"
NEEDS = "which " + NEED.replace("need", "needs", 1)
LEAVE_OUT = "need all rows in memory at once; leave it out, or data.stream: false"
READS = "that is to predict rows as its own training read them; accepted with data.stream:"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (START, f"x.yaml:1:1  model.algorithm: is 'hist_gradient_boosting', {NEEDS} lightgbm, xgboost"),
        (START + "model: {algorithm: svc}", f"x.yaml:2:20  model.algorithm: is 'svc', {NEEDS} lightgbm, xgboost"),
        (
            START + "model: {algorithm: auto}",
            f"x.yaml:2:20  model.algorithm: is 'auto', and most of its models {NEED} lightgbm, xgboost",
        ),
        (
            START + "models: {a: {algorithm: knn}, b: {algorithm: lightgbm}}",
            f"x.yaml:2:25  models.a.algorithm: is 'knn', {NEEDS} lightgbm, xgboost",
        ),
        (
            START + "model: {algorithm: xgboost, hyperparameters: {tree_method: exact}}",
            f"x.yaml:2:60  model.hyperparameters.tree_method: is 'exact', {NEEDS} 'auto', 'hist'",
        ),
        (
            START + "model: {algorithm: lightgbm, hyperparameters: {linear_tree: true}}",
            f"x.yaml:2:61  model.hyperparameters.linear_tree: is true, {NEEDS} false",
        ),
        (
            START + XGBOOST + "tuning: {strategy: grid, param_grid: {classifier__tree_method: [hist, exact]}}",
            f"x.yaml:3:39  tuning.param_grid.classifier__tree_method: may {LEAVE_OUT}",
        ),
        (
            START + XGBOOST + "features: [{type: numeric, columns: [a], imputer: mean, scaler: null}]",
            f"x.yaml:3:51  features.0.imputer: is 'mean', {NEEDS} null, constant",
        ),
        (
            START + XGBOOST + "features: [{type: numeric, columns: [a], imputer: null}]",
            f"x.yaml:3:12  features.0.scaler: is 'standard', {NEEDS} null",
        ),
        (
            START + XGBOOST + "features: [{type: categorical, columns: [a], encoder: target}]",
            f"x.yaml:3:55  features.0.encoder: is 'target', {NEEDS} native, onehot, ordinal",
        ),
        (
            START + XGBOOST + "features: [{type: text, columns: [a]}]",
            f"x.yaml:3:19  features.0.type: is 'text', {NEEDS} numeric, categorical, boolean, ordinal, date",
        ),
        (
            START.replace("d.parquet", "d.csv") + XGBOOST,
            "x.yaml:1:14  data.path: is 'd.csv', which is read as a whole; data.stream is for Parquet",
        ),
        (
            START + XGBOOST + "compute: {backend: dask}",
            "x.yaml:3:20  compute.backend: is 'dask', which sends rows to workers; accepted with data.stream: local",
        ),
        (
            TRACKED + XGBOOST + 'gates: [{metric: roc_auc, beats: "models:/m@champion"}]',
            f"x.yaml:4:34  gates.0.beats: is 'models:/m@champion', a model {READS} baseline",
        ),
    ],
    ids=[
        *("default", "algorithm", "portfolio", "several", "tree_method", "linear_tree", "search", "imputer", "scaler"),
        *("encoder", "text", "csv", "dask", "champion"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused(told, text, problem):
    (line,) = told(text)
    assert line == problem


def test_the_same_experiments_are_taken_where_the_table_is_read(tmp_path):
    (tmp_path / "x.yaml").write_text(START)
    spec, _ = load_experiment(tmp_path / "x.yaml", ["data.stream=null"])
    assert [problem.path for problem in problems_of_streaming(spec)] == [("model", "algorithm")]
