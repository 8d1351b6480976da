"""Searches: what a halving cannot do, and what limits a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.specs.loading import load_experiment
from mlwf.specs.tuning import HalvingSearchSpec, OptunaSearchSpec

DATA = "data: {path: d.csv, target: y}\n"
GRID = "param_grid: {classifier__max_depth: [3]}"
HISTOGRAM = "model: {algorithm: hist_gradient_boosting}\n"
SPACE = "param_distributions: {classifier__max_depth: [3]}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{DATA}tuning: {{strategy: halving, {GRID}, resource: classifier__max_depth}}",
            (
                "x.yaml:2:81  tuning.resource: is 'classifier__max_depth', which is no resource of "
                "hist_gradient_boosting; did you mean classifier__max_iter?"
            ),
        ),
        (
            f"{DATA}{HISTOGRAM}tuning: {{strategy: halving, {GRID}, resource: rows}}",
            (
                "x.yaml:3:81  tuning.resource: is 'rows', which is no resource of hist_gradient_boosting; "
                "accepted: classifier__max_iter, n_samples"
            ),
        ),
        (
            (
                f"{DATA}model: {{algorithm: svc}}\n"
                "tuning: {strategy: halving, param_grid: {classifier__C: [1]}, resource: classifier__max_iter}"
            ),
            (
                "x.yaml:3:73  tuning.resource: is 'classifier__max_iter', which is no resource of svc; "
                "accepted: n_samples"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: halving, param_grid: {{classifier__max_iter: [50, 100]}}}}",
            (
                "x.yaml:2:42  tuning.param_grid.classifier__max_iter: is what halving gives candidates more and "
                "more of, up to max_resources; leave it out, or write resource: n_samples"
            ),
        ),
        (
            (
                f"{DATA}{HISTOGRAM}tuning: {{strategy: halving, resource: classifier__max_iter, "
                "param_grid: [{classifier__max_depth: [3]}, {classifier__max_iter: [50]}]}"
            ),
            (
                "x.yaml:3:105  tuning.param_grid.1.classifier__max_iter: is what halving gives candidates more and "
                "more of, up to max_resources; leave it out, or write resource: n_samples"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: halving, {GRID}, factor: 1}}",
            "x.yaml:2:79  tuning.factor: is 1; accepted: at least 2",
        ),
        (
            f"{DATA}tuning: {{strategy: halving, {GRID}, max_resources: 0}}",
            "x.yaml:2:86  tuning.max_resources: is 0; accepted: at least 1",
        ),
        (
            f"{DATA}tuning: {{strategy: halving, param_grid: {{classifier__max_depht: [3]}}}}",
            (
                "x.yaml:2:42  tuning.param_grid.classifier__max_depht: unknown hyperparameter of "
                "hist_gradient_boosting; did you mean classifier__max_depth?"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: halving, param_grid: []}}",
            (
                "x.yaml:2:41  tuning.param_grid: is an empty list: there is nothing to try; "
                "accepted: classifier__NAME with a list of values"
            ),
        ),
        (
            (
                f"{DATA}model: {{algorithm: knn, hyperparameters: {{n_neighbors: 3, weights: uniform, p: 1}}}}\n"
                "tuning: {strategy: optuna}"
            ),
            (
                "x.yaml:3:1  tuning: param_distributions is missing: the hyperparameters set all that is searched of "
                "knn; name the parameters to try: param_distributions: {classifier__NAME: [...]}"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: random, param_distributions: {{classifier__max_depth: {{each: [1, 0]}}}}}}",
            (
                "x.yaml:2:84  tuning.param_distributions.classifier__max_depth.each.1: is 0; "
                "accepted: an integer of at least 1 or null"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: optuna, param_distributions: [{{classifier__max_depth: [3]}}]}}",
            "x.yaml:2:49  tuning.param_distributions: expected a map, got a list",
        ),
        (
            f"{DATA}tuning: {{strategy: optuna, param_distributions: {{classifier__max_depth: {{normal: [1, 2]}}}}}}",
            (
                "x.yaml:2:74  tuning.param_distributions.classifier__max_depth.normal: unknown distribution 'normal'; "
                "did you mean uniform?"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: optuna, {SPACE}, n_iter: 0}}",
            "x.yaml:2:87  tuning.n_iter: is 0; accepted: at least 1",
        ),
        (
            f"{DATA}tuning: {{strategy: optuna, {SPACE}, n_trials: 5}}",
            (
                "x.yaml:2:79  tuning.n_trials: unknown key; accepted: cv_folds, enabled, max_candidates, n_iter, "
                "n_jobs, param_distributions, refit, scoring, strategy, timeout_seconds"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: grid, {GRID}, timeout_seconds: 0}}",
            "x.yaml:2:85  tuning.timeout_seconds: is 0; accepted: above 0 and a finite number",
        ),
        (
            f"{DATA}tuning: {{strategy: random, {SPACE}, timeout_seconds: .inf}}",
            "x.yaml:2:96  tuning.timeout_seconds: is .inf; accepted: above 0 and a finite number",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, {GRID}, max_candidates: 0}}",
            "x.yaml:2:84  tuning.max_candidates: is 0; accepted: at least 1",
        ),
    ],
    ids=lambda value: (
        value.removeprefix(DATA)[:90] if isinstance(value, str) and not value.startswith("x.yaml") else ""
    ),
)
def test_a_search_that_cannot_be_done_is_told_whole(told, text, problem):
    assert told(text) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        f"tuning: {{strategy: halving, {GRID}}}",
        f"tuning: {{strategy: halving, {GRID}, resource: n_samples, factor: 2, max_resources: 500}}",
        f"tuning: {{strategy: halving, {GRID}, resource: classifier__max_iter}}",
        "tuning: {strategy: halving, resource: n_samples, param_grid: {classifier__max_iter: [50, 100]}}",
        "model: {algorithm: mlp}\ntuning: {strategy: halving, param_grid: {classifier__max_iter: [50, 100]}}",
        f"tuning: {{strategy: halving, {GRID}, scoring: [accuracy, f1], refit: f1}}",
        "tuning: {strategy: optuna, n_iter: 5, param_distributions: {classifier__max_depth: [2, 3, null]}}",
        f"tuning: {{strategy: grid, {GRID}, timeout_seconds: 0.5, max_candidates: 1}}",
    ],
    ids=lambda text: text[:80],
)
def test_what_can_be_done_is_loaded(text):
    Path("x.yaml").write_text(DATA + text)
    load_experiment(Path("x.yaml"))


def test_the_strategy_chooses_the_spec():
    Path("x.yaml").write_text(f"{DATA}tuning: {{strategy: halving, {GRID}}}")
    assert isinstance(load_experiment(Path("x.yaml"))[0].tuning, HalvingSearchSpec)
    Path("x.yaml").write_text(f"{DATA}tuning: {{strategy: optuna, {SPACE}}}")
    assert isinstance(load_experiment(Path("x.yaml"))[0].tuning, OptunaSearchSpec)
