"""No option is without effect silently: each is always used, or a rule tells where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from mlwf.errors import ConfigError
from mlwf.specs.base import Spec
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import describe_unused, load_experiment

DATA = "data: {path: d.csv, target: y}\n"
LISTED = "features: [{type: numeric, columns: [a]}]\n"
SPACE = "{classifier__n_neighbors: [1]}"
NONE = "no effect: strategy is none and there is no test set"

SOMETIMES: dict[str, tuple[str, str]] = {
    "calibration.cv_folds": (f"{DATA}calibration: {{holdout: 0.2, cv_folds: 3}}", "contradicts holdout"),
    "calibration.ensemble": (f"{DATA}calibration: {{holdout: 0.2, ensemble: false}}", "contradicts holdout"),
    "compute.address": (f"{DATA}compute: {{address: 'tcp://host:8786'}}", "no effect with backend local"),
    "compute.n_jobs": (
        f"{DATA}compute: {{backend: dask, address: 'tcp://host:8786', n_jobs: 2}}",
        "no effect with address",
    ),
    "data.fold": (
        "data: {path: d.csv, target: y, fold: f}\nvalidation: {splitter: kfold}",
        "no effect with splitter kfold",
    ),
    "data.groups": ("data: {path: d.csv, target: y, groups: g, time: t}", "competes with data.time"),
    "data.read.encoding": ("data: {path: d.parquet, target: y, read: {encoding: ascii}}", "no effect: it is for CSV"),
    "data.read.sep": ("data: {path: d.PQ, target: y, read: {sep: ';'}}", "no effect: it is for CSV"),
    "data.sample_weight": (
        "data: {path: d.csv, target: y, sample_weight: w}\nmodel: {algorithm: knn}",
        "no effect: knn cannot weigh rows",
    ),
    "feature_store.feature_service": (
        f"{DATA}feature_store: {{repo_path: r, features: [v], feature_service: s}}",
        "contradicts features",
    ),
    "feature_store.force_recreate": (
        f"{DATA}feature_store: {{repo_path: r, force_recreate: true}}",
        "nothing to create",
    ),
    "feature_store.initialize": (f"{DATA}feature_store: {{repo_path: r, initialize: true}}", "nothing to create"),
    "feature_store.timestamp": (
        "data: {path: d.csv, target: y, time: t}\nfeature_store: {repo_path: r, timestamp: '2020-01-01'}",
        "contradicts data.time",
    ),
    "feature_store.views": (
        f"{DATA}feature_store: {{repo_path: r, views: [{{name: v, source: s, entity: k}}]}}",
        "nothing creates them",
    ),
    "feature_store.views.ttl": (
        f"{DATA}feature_store: {{repo_path: r, initialize: true, views: [{{name: v, source: s, entity: k, ttl: 3h}}]}}",
        "leave out ttl",
    ),
    "features.fill_value": (
        f"{DATA}features: [{{type: numeric, columns: [a], fill_value: 0.0}}]",
        "it needs imputer: constant",
    ),
    "findings.ignore": (
        f"{DATA}findings: {{ignore: [leakage]}}\ngates: [{{finding: leakage}}]",
        "leakage",
    ),
    "gates.beats": (f"{DATA}gates: [{{metric: accuracy, min: 0.5, beats: baseline}}]", "contradicts min"),
    "gates.bound": (f"{DATA}gates: [{{finding: leakage, bound: lower}}]", "finding"),
    "gates.by": (f"{DATA}gates: [{{metric: accuracy, min: 0.5, by: 0.1}}]", "no effect without beats"),
    "gates.source": (f"{DATA}gates: [{{metric: accuracy, min: 0.5, source: test}}]", "there is no test set"),
    "gates.slice": (f"{DATA}gates: [{{metric: accuracy, min: 0.5, slice: a}}]", "validation.slices does not list"),
    "model.class_weight": (
        f"{DATA}model: {{algorithm: knn, class_weight: balanced}}",
        "no effect: knn cannot weigh rows",
    ),
    **{
        f"models.tuning.{key}": (
            f"{DATA}models: {{a: {{algorithm: knn, tuning: {{strategy: grid, param_grid: {SPACE}, {key}: {value}}}}}}}",
            "belongs to all models",
        )
        for key, value in {"scoring": "accuracy", "refit": "f1", "cv_folds": "3", "n_jobs": "1"}.items()
    },
    "selection.class_weight": (
        f"{DATA}models: {{a: {{algorithm: knn}}}}\nselection: {{class_weight: balanced}}",
        "no effect: knn cannot weigh rows",
    ),
    "selection.cv_folds": (
        "data: {path: d.csv, target: y, fold: f}\nmodels: {a: {algorithm: knn}}\nselection: {cv_folds: 3}",
        "no effect with splitter predefined_split",
    ),
    "selection.scoring": (f"{DATA}selection: {{scoring: accuracy}}", "there is one model"),
    "tracking.alias": (f"{DATA}tracking: {{alias: champion}}", "has no model to name"),
    "tracking.register_anyway": (f"{DATA}tracking: {{register_anyway: true}}", "no effect without"),
    "tuning.cv_folds": (
        (
            "data: {path: d.csv, target: y, fold: f}\n"
            "tuning: {strategy: grid, param_grid: {classifier__max_depth: [1]}, cv_folds: 3}"
        ),
        "no effect with splitter predefined_split",
    ),
    "tuning.n_jobs": (
        (
            f"{DATA}compute: {{backend: dask}}\n"
            "tuning: {strategy: grid, param_grid: {classifier__max_depth: [1]}, n_jobs: 2}"
        ),
        "no effect with backend dask",
    ),
    "tuning.refit": (
        f"{DATA}tuning: {{strategy: grid, param_grid: {{classifier__max_depth: [1]}}, refit: f1}}",
        "which scoring does not name",
    ),
    "validation.cv_folds": (f"{DATA}validation: {{strategy: train_test, cv_folds: 3}}", "cut into that many folds"),
    "validation.gap": (f"{DATA}validation: {{gap: 3}}", "no effect with splitter stratified_kfold"),
    "validation.max_train_size": (
        "data: {path: d.csv, target: y, time: t}\nvalidation: {strategy: train_test, max_train_size: 9}",
        "nothing in this experiment is cut into folds",
    ),
    "validation.metrics": (f"{DATA}validation: {{strategy: none, metrics: [accuracy]}}", NONE),
    "validation.n_repeats": (f"{DATA}validation: {{n_repeats: 3}}", "no effect with splitter stratified_kfold"),
    "validation.nested": (
        f"{DATA}{LISTED}validation: {{nested: true}}",
        "the features are listed and nothing is tuned",
    ),
    "validation.refit": (f"{DATA}validation: {{refit: true}}", "no effect with strategy cross_validation"),
    "validation.shuffle": (
        f"{DATA}validation: {{strategy: train_test, shuffle: false}}",
        "nothing in this experiment is cut into folds",
    ),
    "validation.slices": (f"{DATA}validation: {{strategy: none, slices: [a]}}", NONE),
    "validation.test_size": (f"{DATA}validation: {{test_size: 0.3}}", "no effect with strategy cross_validation"),
}
"""Options that some other option takes the effect from: an experiment where that is so, and what is told."""

ALWAYS = {
    "": {
        "name", "random_state", "on_error",
    },
    "data": {
        "path", "target", "test_path", "positive_class", "time", "drop", "drop_missing_target", "stream",
    },
    "data.read": {"decimal", "thousands", "na_values", "keep_default_na"},
    "data.types": {"date"},
    "features": {"type", "columns", "imputer", "scaler", "encoder", "categories", "parts", "n_components"},
    "model": {"model_name", "algorithm", "hyperparameters"},
    "models": {"algorithm", "hyperparameters"},
    "models.tuning": {
        "enabled", "strategy", "timeout_seconds", "max_candidates", "param_grid", "param_distributions", "n_iter",
        "factor", "resource", "max_resources",
    },
    "ensemble": {"enabled", "size", "keep"},
    "tuning": {
        "enabled", "strategy", "scoring", "timeout_seconds", "max_candidates", "param_grid", "param_distributions",
        "n_iter", "factor", "resource", "max_resources",
    },
    "calibration": {"enabled", "method", "keep", "holdout"},
    "threshold": {"enabled", "scoring"},
    "validation": {"strategy", "splitter"},
    "tracking": {
        "enabled", "tracking_uri", "experiment_name", "registered_model_name", "log_model_signature",
    },
    "feature_store": {
        "enabled", "repo_path", "features", "n_features", "sample_indices", "pull",
        "labels",  # from Python alone
    },
    "feature_store.views": {"name", "source", "entity", "timestamp"},
    "compute": {"backend", "time_limit"},
    "gates": {"metric", "min", "max", "finding"},
}  # fmt: skip
"""Options that have their effect wherever their section has one."""


def fields(spec: type[Spec], where: str = "") -> Iterator[str]:
    """Name every field of an experiment that holds a value, by its path; items of a list have that of the list."""
    for name, field in spec.model_fields.items():
        path = f"{where}.{name}" if where else name
        inner = [] if path == "feature_store.labels" else list(specs_in(field.annotation))
        if path in {"feature_store.views"} or not inner:
            yield path
        for each in inner:
            yield from fields(each, path)


def specs_in(annotation: Any) -> Iterator[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for part in get_args(annotation):
        yield from specs_in(part)


def test_every_option_is_always_used_or_has_a_rule():
    always = {f"{section}.{name}".lstrip(".") for section, names in ALWAYS.items() for name in names}
    assert not always & SOMETIMES.keys()
    assert set(fields(ExperimentSpec)) == always | SOMETIMES.keys()


@pytest.mark.parametrize(("text", "words"), SOMETIMES.values(), ids=SOMETIMES)
def test_an_option_without_effect_is_told_where_it_stands(text, words):
    Path("x.yaml").write_text(text)
    try:
        told = describe_unused(*load_experiment(Path("x.yaml")))
    except ConfigError as error:
        told = [str(problem) for problem in error.problems]
    assert len(told) == 1
    assert words in told[0]
    assert told[0].startswith("x.yaml:")


@pytest.mark.parametrize(
    "text",
    [
        (
            "tuning: {strategy: grid, param_grid: {classifier__max_depth: [1]}}\n"
            "validation: {strategy: train_test, cv_folds: 3, shuffle: false}"
        ),
        "calibration: {}\nvalidation: {strategy: none, cv_folds: 3}",
        "threshold: {}\nvalidation: {strategy: none, cv_folds: 3}",
        "validation: {nested: true}",
        "compute: {n_jobs: -1, backend: dask, address: 'tcp://host:8786'}",
        "compute: {n_jobs: 2, backend: dask}",
    ],
    ids=["search", "calibration", "threshold", "inferred features", "a whole cluster", "a cluster of this machine"],
)
def test_an_option_that_some_stage_uses_is_not_told(text):
    Path("x.yaml").write_text(DATA + text)
    assert describe_unused(*load_experiment(Path("x.yaml"))) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "tuning: {strategy: grid, param_grid: {classifier__max_depth: [1]}, n_jobs: 0}",
            "x.yaml:2:76  tuning.n_jobs: 0 fits at the same time is none; accepted: -1 (one for each core), 1, 2, ...",
        ),
        (
            "model: {class_weight: {a: 0}}",
            "x.yaml:2:27  model.class_weight.a: is 0; accepted: a finite number, above 0",
        ),
    ],
    ids=["fits", "a class"],
)
def test_a_number_that_leaves_nothing_is_refused(told, text, problem):
    assert told(DATA + text) == [problem]
