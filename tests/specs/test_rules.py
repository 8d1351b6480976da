"""What contradicts itself, and what scikit-learn would refuse, is told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.errors import ConfigError
from mlwf.specs.catalogue import algorithm_names
from mlwf.specs.catalogue.native_categories import native_algorithms
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import NumericFeatureSpec
from mlwf.specs.loading import check_experiment, load_experiment
from mlwf.specs.tuning import GridSearchSpec

DATA = "data: {path: d.csv, target: y}\n"


GRID = "param_grid: {classifier__max_depth: [3]}"
STORE = "feature_store: {repo_path: r"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "data: {path: d.csv, target: y, read: {encoding: utf9}}",
            "x.yaml:1:49  data.read.encoding: is 'utf9', which is no encoding; accepted: utf-8, latin-1, ...",
        ),
        (
            "data: {path: d.csv, target: y, test_path: ./d.csv}",
            "x.yaml:1:43  data.test_path: is the same as path; the test needs rows of its own",
        ),
        (
            "data: {path: d.csv, target: y, sample_weight: y}",
            "x.yaml:1:47  data.sample_weight: is 'y', which is the target already",
        ),
        (
            "data: {path: d.csv, target: y, sample_weight: w, time: w}",
            "x.yaml:1:56  data.time: is 'w', which is data.sample_weight already",
        ),
        (
            "data: {path: d.csv, target: y, groups: y}\n",
            "x.yaml:1:40  data.groups: is 'y', which is the target already",
        ),
        (
            "data: {path: d.csv, target: y, time: t, groups: t}\n",
            "x.yaml:1:49  data.groups: is 't', which is data.time already",
        ),
        (
            "data: {path: d.csv, target: y, groups: g, fold: g}\n",
            "x.yaml:1:49  data.fold: is 'g', which is data.groups already",
        ),
        (
            "data: {path: d.csv, target: y, groups: g}\nfeatures: [{type: numeric, columns: [g]}]",
            (
                "x.yaml:2:38  features.0.columns.0: is 'g', which is data.groups already; it has a meaning of "
                "its own: leave it out here"
            ),
        ),
        (
            "data: {path: d.csv, target: y, fold: f}\nfeatures: [{type: numeric, columns: [f]}]",
            (
                "x.yaml:2:38  features.0.columns.0: is 'f', which is data.fold already; it has a meaning of its "
                "own: leave it out here"
            ),
        ),
        (
            "data: {path: d.csv, target: y, drop: [a, y]}",
            "x.yaml:1:42  data.drop.1: is 'y', which is the target; it is not a feature anyway: leave it out here",
        ),
        (
            "data: {path: d.csv, target: y, drop: [a, a]}",
            "x.yaml:1:42  data.drop.1: is 'a', which is listed twice",
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a, y]}}]",
            (
                "x.yaml:2:41  features.0.columns.1: is 'y', which is the target already; "
                "a feature cannot be what is predicted"
            ),
        ),
        (
            f"{DATA}features: [{{type: numeric, columns: [a]}}, {{type: date, columns: [b, a]}}]",
            "x.yaml:2:69  features.1.columns.1: is 'a', which is in features.0 already",
        ),
        (
            "data: {path: d.csv, target: y, drop: [a]}\nfeatures: [{type: numeric, columns: [a]}]",
            "x.yaml:2:38  features.0.columns.0: is 'a', which is dropped already",
        ),
        (
            "data: {path: d.csv, target: y, sample_weight: w}\nfeatures: [{type: numeric, columns: [w]}]",
            (
                "x.yaml:2:38  features.0.columns.0: is 'w', which is data.sample_weight already; "
                "it has a meaning of its own: leave it out here"
            ),
        ),
        (
            f"{DATA}features: []",
            "x.yaml:2:11  features: is an empty list: no column goes in; accepted: auto, or a list of features",
        ),
        (
            f"{DATA}model: {{class_weight: {{a: -1}}}}",
            "x.yaml:2:27  model.class_weight.a: is -1; accepted: a finite number, above 0",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, {GRID}, scoring: [accuracy, f1]}}",
            (
                "x.yaml:2:1  tuning: refit is missing: scoring names several scorers, and one must choose; "
                "accepted: accuracy, f1"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: grid, {GRID}, scoring: [accuracy, f1], refit: roc_auc}}",
            "x.yaml:2:100  tuning.refit: is 'roc_auc', which scoring does not name; accepted: accuracy, f1",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, {GRID}, scoring: []}}",
            "x.yaml:2:77  tuning.scoring: is an empty list; accepted: a scorer, or a list of them",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, param_grid: {{}}}}",
            (
                "x.yaml:2:38  tuning.param_grid: is an empty map: there is nothing to try; "
                "accepted: classifier__NAME with a list of values"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: random, param_distributions: []}}",
            (
                "x.yaml:2:49  tuning.param_distributions: is an empty list: there is nothing to try; "
                "accepted: classifier__NAME with a list of values"
            ),
        ),
        (
            f"{DATA}calibration: {{holdout: 0.2, cv_folds: 3}}",
            (
                "x.yaml:2:29  calibration.cv_folds: contradicts holdout, which calibrates without folds; "
                "leave one of the two out"
            ),
        ),
        (
            f"{DATA}calibration: {{holdout: 0.2, ensemble: false}}",
            (
                "x.yaml:2:29  calibration.ensemble: contradicts holdout, where there is one model in any case; "
                "leave one of the two out"
            ),
        ),
        (
            f"{DATA}validation: {{test_size: 0.3}}",
            (
                "x.yaml:2:14  validation.test_size: has no effect with strategy cross_validation; "
                "write strategy: train_test, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{strategy: none, refit: true}}",
            (
                "x.yaml:2:30  validation.refit: has no effect with strategy none; write strategy: train_test, "
                "or leave it out"
            ),
        ),
        (
            f"{DATA}tracking: {{tracking_uri: mlflow.db}}",
            (
                "x.yaml:2:26  tracking.tracking_uri: is 'mlflow.db', which is no store of MLflow; "
                "accepted: sqlite:///FILE, http://HOST:PORT"
            ),
        ),
        (
            f"{DATA}tracking: {{registered_model_name: m, alias: Latest}}",
            (
                "x.yaml:2:45  tracking.alias: is 'Latest', which MLflow keeps for itself; accepted: all but "
                "latest, v1, v2, ..."
            ),
        ),
        (
            f"{DATA}tracking: {{registered_model_name: m, alias: v12}}",
            (
                "x.yaml:2:45  tracking.alias: is 'v12', which MLflow keeps for itself; accepted: all but "
                "latest, v1, v2, ..."
            ),
        ),
        (
            f"{DATA}tracking: {{alias: best}}",
            (
                "x.yaml:2:12  tracking.alias: has no model to name: registered_model_name is missing; "
                "an alias is given to a registered version"
            ),
        ),
        (
            f"{DATA}{STORE}, features: [a], feature_service: s}}",
            (
                "x.yaml:2:46  feature_store.feature_service: contradicts features: both say what to join; "
                "leave one of the two out"
            ),
        ),
        (
            f"{DATA}{STORE}, views: [{{name: v, source: s, entity: e}}]}}",
            (
                "x.yaml:2:31  feature_store.views: are declared, and nothing creates them; "
                "add initialize: true, or leave them out"
            ),
        ),
        (
            f"{DATA}{STORE}, force_recreate: true}}",
            "x.yaml:2:31  feature_store.force_recreate: has nothing to create: views is missing",
        ),
        (
            f"{DATA}{STORE}, initialize: true}}",
            "x.yaml:2:31  feature_store.initialize: has nothing to create: views is missing",
        ),
        (
            f"data: {{path: d.csv, target: y, time: t}}\n{STORE}, timestamp: '2024-01-01'}}",
            (
                "x.yaml:2:31  feature_store.timestamp: contradicts data.time, which gives each row its own time; "
                "leave one of the two out"
            ),
        ),
        # The catalogue's
        (
            f"{DATA}model: {{algorithm: gradient_bosting}}",
            "x.yaml:2:20  model.algorithm: is 'gradient_bosting'; did you mean gradient_boosting?",
        ),
        (
            f"{DATA}model: {{algorithm: zzz}}",
            f"x.yaml:2:20  model.algorithm: is 'zzz'; accepted: auto, {', '.join(algorithm_names())}",
        ),
        (
            f"{DATA}model: {{hyperparameters: {{max_itre: 5}}}}",
            (
                "x.yaml:2:27  model.hyperparameters.max_itre: unknown hyperparameter of hist_gradient_boosting; "
                "did you mean max_iter?"
            ),
        ),
        (
            f"{DATA}model: {{hyperparameters: {{learning_rate: -0.1}}}}",
            "x.yaml:2:42  model.hyperparameters.learning_rate: is -0.1; accepted: a number above 0",
        ),
        (
            f"{DATA}tuning: {{strategy: grid, param_grid: {{classifier__max_depht: [3]}}}}",
            (
                "x.yaml:2:39  tuning.param_grid.classifier__max_depht: unknown hyperparameter of "
                "hist_gradient_boosting; did you mean classifier__max_depth?"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: grid, param_grid: [{{classifier__max_depth: [3, 0]}}]}}",
            (
                "x.yaml:2:67  tuning.param_grid.0.classifier__max_depth.1: is 0; accepted: an integer of at "
                "least 1 or null"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: random, param_distributions: {{classifier__max_depth: {{uniform: [3, 1]}}}}}}",
            (
                "x.yaml:2:83  tuning.param_distributions.classifier__max_depth.uniform: is [3, 1]; "
                "accepted: [low, high], low below high"
            ),
        ),
        (
            f"{DATA}tuning: {{strategy: grid, {GRID}, scoring: rocauc}}",
            "x.yaml:2:77  tuning.scoring: unknown scorer 'rocauc'; did you mean roc_auc?",
        ),
        (
            f"{DATA}validation: {{metrics: [accuracy, acuracy]}}",
            "x.yaml:2:34  validation.metrics.1: unknown metric 'acuracy'; did you mean accuracy?",
        ),
        (
            f"{DATA}model: {{algorithm: svc}}\nvalidation: {{metrics: [log_loss]}}",
            (
                "x.yaml:3:24  validation.metrics.0: log_loss needs probabilities, which svc does not give; "
                "add a calibration section"
            ),
        ),
        (
            "data: {path: d.csv, target: y, sample_weight: w}\nmodel: {algorithm: knn}",
            (
                "x.yaml:1:32  data.sample_weight: has no effect: knn cannot weigh rows; "
                "choose another algorithm, or leave it out"
            ),
        ),
        (
            (
                f"{DATA}features: [{{type: categorical, columns: [a], encoder: native}}]\n"
                "model: {algorithm: gradient_boosting}"
            ),
            (
                "x.yaml:2:55  features.0.encoder: is 'native', and gradient_boosting takes numbers alone; accepted: "
                f"onehot, ordinal, target; native is for {', '.join(native_algorithms())}"
            ),
        ),
        (
            (
                f"{DATA}features: [{{type: categorical, columns: [a], encoder: native}}]\n"
                "models: {a: {algorithm: hist_gradient_boosting}, b: {algorithm: knn}, c: {algorithm: svc}}\n"
                "selection: {scoring: accuracy}"
            ),
            (
                "x.yaml:2:55  features.0.encoder: is 'native', and knn takes numbers alone; accepted: "
                f"onehot, ordinal, target; native is for {', '.join(native_algorithms())}"
            ),
        ),
        (
            (
                f"{DATA}features: [{{type: categorical, columns: [a], encoder: native}}]\n"
                "model: {algorithm: hist_gradient_boosting, hyperparameters: {categorical_features: [0]}}"
            ),
            (
                "x.yaml:3:62  model.hyperparameters.categorical_features: contradicts encoder: native, which sets it; "
                "leave one of the two out"
            ),
        ),
        (
            f"{DATA}model: {{algorithm: knn, class_weight: balanced}}",
            (
                "x.yaml:2:25  model.class_weight: has no effect: knn cannot weigh rows; "
                "choose another algorithm, or leave it out"
            ),
        ),
    ],
    ids=lambda value: (
        value.removeprefix(DATA)[:60] if isinstance(value, str) and not value.startswith("x.yaml") else ""
    ),
)
def test_a_contradiction_is_told_whole(told, text, problem):
    assert told(text) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "calibration: {holdout: 0.2, ensemble: true}",
        "validation: {strategy: train_test, test_size: 0.3, refit: true}",
        "validation: {refit: false}",
        "model: {algorithm: svc}\ncalibration: {}\nvalidation: {metrics: [log_loss]}",
        f"tuning: {{strategy: grid, {GRID}, scoring: [accuracy, f1], refit: f1}}",
        "tracking: null\ntuning: null",
        "tracking: {}",
        "features: auto",
        (
            "tuning: {strategy: random, n_iter: 3, param_distributions: {classifier__learning_rate: "
            "{loguniform: [0.01, 0.3]}}}"
        ),
    ],
    ids=lambda text: text[:40],
)
def test_what_contradicts_nothing_is_loaded(text):
    Path("x.yaml").write_text(DATA + text)
    load_experiment(Path("x.yaml"))


def test_an_experiment_from_python_is_held_to_the_same_rules():
    spec = ExperimentSpec(
        data={"path": "d", "target": "y"},
        features=[NumericFeatureSpec(columns=["y"])],
        tuning=GridSearchSpec(param_grid={}, scoring=["accuracy", "f1"]),
    )
    with pytest.raises(ConfigError) as raised:
        check_experiment(spec)
    assert str(raised.value).splitlines() == [
        "features.0.columns.0: is 'y', which is the target already; a feature cannot be what is predicted",
        "tuning: refit is missing: scoring names several scorers, and one must choose; accepted: accuracy, f1",
        "tuning.param_grid: is an empty map: there is nothing to try; accepted: classifier__NAME with a list of values",
    ]


def test_an_experiment_from_python_may_name_columns_by_position():
    check_experiment(ExperimentSpec(data={"path": "d", "target": "y"}, features=[NumericFeatureSpec(columns=[0, 1])]))
