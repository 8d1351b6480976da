"""Gates that cannot be judged, or that no run could meet, are told before the first fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.specs.data import IN_MEMORY
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import check_experiment, load_experiment

DATA = "data: {path: d.csv, target: y}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{DATA}gates: [{{min: 3}}]",
            "x.yaml:2:9  gates.0: names neither a metric nor a finding; accepted: one of the two",
        ),
        (
            f"{DATA}gates: [{{}}]",
            "x.yaml:2:9  gates.0: names neither a metric nor a finding; accepted: one of the two",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.5, finding: leakage}}]",
            "x.yaml:2:38  gates.0.finding: contradicts metric: a gate holds one of the two; make two gates of it",
        ),
        (
            f"{DATA}gates: [{{finding: leakage, min: 0.5}}]",
            "x.yaml:2:28  gates.0.min: has no effect beside finding; leave it out",
        ),
        (
            f"{DATA}gates: [{{finding: leekage}}]",
            "x.yaml:2:19  gates.0.finding: is 'leekage'; did you mean leakage?",
        ),
        (
            f"{DATA}gates: [{{finding: x}}]",
            (
                "x.yaml:2:19  gates.0.finding: is 'x'; accepted: degraded, drift, duplicates, grid_edge, identifier, "
                "leakage, no_better_than_baseline, rare_class, uncalibrated"
            ),
        ),
        (
            f"{DATA}gates: [{{finding: leakage}}]\nfindings: {{ignore: [leakage]}}",
            ("x.yaml:2:19  gates.0.finding: is 'leakage', which findings.ignore leaves out; leave one of the two out"),
        ),
        (
            f"{DATA}findings: {{ignore: [rare_clas]}}",
            "x.yaml:2:21  findings.ignore.0: is 'rare_clas'; did you mean rare_class?",
        ),
        (
            f"{DATA}findings: {{ignore: [leakage, leakage]}}",
            "x.yaml:2:30  findings.ignore.1: is 'leakage', which is listed twice",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy}}]",
            "x.yaml:2:9  gates.0: holds its metric against nothing; accepted: min, max, or beats",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, bound: lower}}]",
            "x.yaml:2:9  gates.0: holds its metric against nothing; accepted: min, max, or beats",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.5, beats: baseline}}]",
            "x.yaml:2:38  gates.0.beats: contradicts min: a gate has bounds or an opponent; make two gates of it",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, max: 0.5, beats: baseline}}]",
            "x.yaml:2:38  gates.0.beats: contradicts max: a gate has bounds or an opponent; make two gates of it",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.5, by: 0.1}}]",
            "x.yaml:2:38  gates.0.by: has no effect without beats; write beats: baseline, or leave it out",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, by: 0.1}}]",
            "x.yaml:2:28  gates.0.by: has no effect without beats; write beats: baseline, or leave it out",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.9, max: 0.5}}]",
            "x.yaml:2:43  gates.0.max: is 0.5, which is below min; accepted: at least min",
        ),
        (
            f"{DATA}gates: [{{metric: roc_auc, min: 92}}]",
            "x.yaml:2:32  gates.0.min: is 92, and roc_auc lies between 0 and 1; did you mean 0.92?",
        ),
        (
            f"{DATA}gates: [{{metric: roc_auc, min: -0.1}}]",
            "x.yaml:2:32  gates.0.min: is -0.1, and roc_auc lies between 0 and 1; accepted: 0 to 1",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, max: 120}}]",
            "x.yaml:2:33  gates.0.max: is 120, and accuracy lies between 0 and 1; accepted: 0 to 1",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: baseline, by: 2}}]",
            "x.yaml:2:49  gates.0.by: is 2, and accuracy lies between 0 and 1; did you mean 0.02?",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'base'}}]",
            "x.yaml:2:35  gates.0.beats: is 'base'; accepted: baseline, models:/NAME@ALIAS, models:/NAME/VERSION",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'models:/m'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/m'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'models:/m@latest'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/m@latest'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'models:/m@v3'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/m@v3'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            (
                f"{DATA}gates: [{{metric: accuracy, beats: 'models:/..@best'}}]\n"
                "tracking: {}\nvalidation: {strategy: train_test}"
            ),
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/..@best', whose name MLflow takes for a path; "
                "accepted: a name other than . that does not begin with .."
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'models:/m/latest'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/m/latest'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'models:/a/b@c'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/a/b@c'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'models:/@c'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/@c'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, beats: 'runs:/x/model'}}]",
            (
                "x.yaml:2:35  gates.0.beats: is 'runs:/x/model'; accepted: baseline, models:/NAME@ALIAS, "
                "models:/NAME/VERSION"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, test_path: t.csv}\ngates: [{metric: accuracy, beats: "
                "'models:/m@champion'}]"
            ),
            (
                "x.yaml:2:35  gates.0.beats: is 'models:/m@champion', a registered model, and nothing is "
                "tracked; add a tracking section"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, test_path: t.csv}\ntracking: {enabled: false}\ngates: [{metric: "
                "accuracy, beats: 'models:/m@champion'}]"
            ),
            (
                "x.yaml:3:35  gates.0.beats: is 'models:/m@champion', a registered model, and nothing is "
                "tracked; set tracking.enabled: true"
            ),
        ),
        (
            f"{DATA}tracking: {{}}\ngates: [{{metric: accuracy, beats: 'models:/m@champion'}}]",
            (
                "x.yaml:3:35  gates.0.beats: is 'models:/m@champion', a registered model, which is compared on a "
                "test set or a hold-out only; add data.test_path, or write validation.strategy: train_test"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, test_path: t.csv}\ntracking: {}\ngates: [{metric: accuracy, beats: "
                "'models:/m/3', source: cross_validation}]"
            ),
            (
                "x.yaml:3:58  gates.0.source: is 'cross_validation', whose rows a registered model may have "
                "learnt from; accepted: test, train_test"
            ),
        ),
        (
            (
                "data: {path: d.csv, target: y, test_path: t.csv}\ntracking: {}\nvalidation: {slices: "
                "[sex]}\ngates: [{metric: accuracy, beats: 'models:/m/3', slice: sex = Female}]"
            ),
            (
                "x.yaml:4:50  gates.0.slice: contradicts beats: a registered model is compared on all rows; "
                "leave one of the two out"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: f1, min: 0.5}}]",
            "x.yaml:2:18  gates.0.metric: is 'f1', which the run does not compute; add it to validation.metrics",
        ),
        (
            f"{DATA}validation: {{metrics: [f1]}}\ngates: [{{metric: roc_auc, min: 0.5}}]",
            ("x.yaml:3:18  gates.0.metric: is 'roc_auc', which the run does not compute; add it to validation.metrics"),
        ),
        (
            f"{DATA}gates: [{{metric: acuracy, min: 0.5}}]",
            "x.yaml:2:18  gates.0.metric: unknown metric 'acuracy'; did you mean accuracy?",
        ),
        (
            f"{DATA}gates: [{{metric: ece, max: 0.03}}]",
            "x.yaml:2:18  gates.0.metric: is 'ece', which the run does not compute; add it to validation.metrics",
        ),
        (
            f"{DATA}gates: [{{metric: neg_log_loss, max: 0.03}}]",
            (
                "x.yaml:2:18  gates.0.metric: is 'neg_log_loss', which the run does not compute; add it to "
                "validation.metrics"
            ),
        ),
        (
            f"{DATA}model: {{algorithm: svc}}\ngates: [{{metric: log_loss, max: 0.3}}]",
            (
                "x.yaml:3:18  gates.0.metric: log_loss needs probabilities, which svc does not give; add a "
                "calibration section"
            ),
        ),
        (
            (
                f"{DATA}model: {{algorithm: svc}}\nvalidation: {{metrics: [log_loss]}}\n"
                "gates: [{metric: log_loss, max: 0.3}]"
            ),
            (
                "x.yaml:3:24  validation.metrics.0: log_loss needs probabilities, which svc does not give; add a "
                "calibration section"
            ),
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.5, source: test}}]",
            "x.yaml:2:46  gates.0.source: is 'test', and there is no test set; add data.test_path, or leave it out",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.5, source: train_test}}]",
            (
                "x.yaml:2:46  gates.0.source: is 'train_test', and validation.strategy is cross_validation; "
                "write strategy: train_test, or leave it out"
            ),
        ),
        (
            (
                f"{DATA}validation: {{strategy: train_test}}\ngates: [{{metric: accuracy, min: 0.5, source: "
                "cross_validation}]"
            ),
            (
                "x.yaml:3:46  gates.0.source: is 'cross_validation', and validation.strategy is train_test; "
                "write strategy: cross_validation, or leave it out"
            ),
        ),
        (
            f"{DATA}validation: {{strategy: none}}\ngates: [{{metric: accuracy, min: 0.5}}]",
            (
                "x.yaml:3:10  gates.0.metric: has no rows to be computed on: validation.strategy is none, and "
                "there is no test set; write another strategy, or add data.test_path"
            ),
        ),
        (
            (
                f"{DATA}validation: {{strategy: none}}\ntracking: {{}}\n"
                "gates: [{metric: accuracy, beats: 'models:/m@c'}]"
            ),
            (
                "x.yaml:4:10  gates.0.metric: has no rows to be computed on: validation.strategy is none, and "
                "there is no test set; write another strategy, or add data.test_path"
            ),
        ),
        (
            f"{DATA}validation: {{slices: [age > 60]}}\ngates: [{{metric: accuracy, min: 0.5, slice: age > 50}}]",
            "x.yaml:3:45  gates.0.slice: is 'age > 50', which validation.slices does not list; add it there",
        ),
        (
            f"{DATA}gates: [{{metric: accuracy, min: 0.5, slice: sex = Female}}]",
            "x.yaml:2:45  gates.0.slice: is 'sex = Female', which validation.slices does not list; add it there",
        ),
        (
            f"{DATA}validation: {{slices: [sex]}}\ngates: [{{metric: accuracy, min: 0.5, slice: sex != Female}}]",
            "x.yaml:3:45  gates.0.slice: is 'sex != Female', which validation.slices does not list; add it there",
        ),
        (
            f"{DATA}validation: {{slices: [sex]}}\ngates: [{{metric: accuracy, min: 0.5, slice: sex => Female}}]",
            (
                "x.yaml:3:45  gates.0.slice: is 'sex => Female', which has the unknown operator =>; accepted: =, "
                "!=, <, <=, >, >="
            ),
        ),
        (
            f"{DATA}tracking: {{register_anyway: true, registered_model_name: m}}",
            "x.yaml:2:12  tracking.register_anyway: has no effect without gates; add gates, or leave it out",
        ),
        (
            f"{DATA}tracking: {{register_anyway: true}}",
            (
                "x.yaml:2:12  tracking.register_anyway: has no effect without registered_model_name; add "
                "registered_model_name, or leave it out"
            ),
        ),
        (
            f"{DATA}tracking: {{register_anyway: true}}\ngates: [{{finding: leakage}}]",
            (
                "x.yaml:2:12  tracking.register_anyway: has no effect without registered_model_name; add "
                "registered_model_name, or leave it out"
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
        f"{DATA}gates: []",
        f"{DATA}gates: [{{metric: accuracy, min: 0.5, max: 0.5, bound: lower, source: cross_validation}}]",
        f"{DATA}gates: [{{metric: log_loss, max: 0.3}}, {{metric: roc_auc_ovr, min: 0}}, {{finding: leakage}}]",
        f"{DATA}gates: [{{metric: accuracy, beats: baseline, by: 0.02, bound: upper}}]",
        f"{DATA}gates: [{{metric: log_loss, max: 92}}]",
        f"{DATA}validation: {{metrics: [matthews_corrcoef]}}\ngates: [{{metric: matthews_corrcoef, min: -0.5}}]",
        f"{DATA}validation: {{metrics: [f1]}}\ngates: [{{metric: f1, min: 0.5}}, {{metric: accuracy, min: 0.5}}]",
        f"{DATA}model: {{algorithm: svc}}\ncalibration: {{}}\ngates: [{{metric: log_loss, max: 0.5}}]",
        "data: {path: d.csv, target: y, test_path: t.csv}\ngates: [{metric: accuracy, min: 0.5, source: test}]",
        (
            "data: {path: d.csv, target: y, test_path: t.csv}\nvalidation: {strategy: none}\ngates: [{metric: "
            "accuracy, min: 0.5}]"
        ),
        (
            "data: {path: d.csv, target: y, test_path: t.csv}\ntracking: {}\ngates: [{metric: accuracy, beats: "
            "'models:/my model@champion'}]"
        ),
        (
            f"{DATA}tracking: {{}}\nvalidation: {{strategy: train_test}}\ngates: [{{metric: accuracy, beats: "
            "'models:/m/12'}]"
        ),
        f"{DATA}validation: {{slices: [sex]}}\ngates: [{{metric: accuracy, min: 0.5, slice: 'sex == \"Female\"'}}]",
        (f"{DATA}validation: {{slices: [age>60.0]}}\ngates: [{{metric: accuracy, beats: baseline, slice: age > 60}}]"),
        f"{DATA}tracking: {{registered_model_name: m, register_anyway: true}}\ngates: [{{finding: leakage}}]",
        f"{DATA}findings: {{ignore: [leakage, rare_class]}}\ngates: [{{finding: degraded}}]",
    ],
    ids=lambda text: text.removeprefix(DATA)[:70],
)
def test_what_contradicts_nothing_is_loaded(text):
    Path("x.yaml").write_text(text)
    load_experiment(Path("x.yaml"))


def test_a_gate_on_a_finding_stands_alone(told):
    text = f"{DATA}gates: [{{finding: leakage, bound: point, slice: a, source: test, by: 0, max: 1, beats: baseline}}]"
    assert told(text) == [
        "x.yaml:2:28  gates.0.bound: has no effect beside finding; leave it out",
        "x.yaml:2:42  gates.0.slice: has no effect beside finding; leave it out",
        "x.yaml:2:52  gates.0.source: has no effect beside finding; leave it out",
        "x.yaml:2:66  gates.0.by: has no effect beside finding; leave it out",
        "x.yaml:2:73  gates.0.max: has no effect beside finding; leave it out",
        "x.yaml:2:81  gates.0.beats: has no effect beside finding; leave it out",
    ]


def test_each_wrong_gate_is_told(told):
    text = """\
data: {path: d.csv, target: y}
validation: {slices: [sex =]}
gates:
  - {metric: f1, min: 92}
  - {metric: accuracy, beats: "models:/m@champion", slice: sex}
  - {finding: leakege}
findings: {ignore: [leakage, identifiers]}
"""
    assert [problem.partition("  ")[2].split(":")[0] for problem in told(text)] == [
        "validation.slices.0",
        "gates.0.metric",
        "gates.0.min",
        "gates.1.beats",
        "gates.1.beats",
        "gates.1.slice",
        "gates.1.slice",
        "gates.2.finding",
        "findings.ignore.1",
    ]


def test_a_gate_with_a_wrong_value_is_not_judged_further(told):
    assert told(f"{DATA}gates: [{{metric: accuracy, min: high}}]\nfindings: {{ignore: [x]}}") == [
        "x.yaml:2:33  gates.0.min: expected a number, got 'high'",
        (
            "x.yaml:3:21  findings.ignore.0: is 'x'; accepted: degraded, drift, duplicates, grid_edge, identifier, "
            "leakage, no_better_than_baseline, rare_class, uncalibrated"
        ),
    ]


def test_a_call_from_python_may_have_its_test_rows_beside_the_spec():
    gates = [
        {"metric": "accuracy", "min": 0.5, "source": "test"},
        {"metric": "accuracy", "min": 0.5},
        {"metric": "accuracy", "beats": "models:/m@champion"},
    ]
    data = {"path": IN_MEMORY, "target": "y"}
    check_experiment(ExperimentSpec(data=data, validation={"strategy": "none"}, tracking={}, gates=gates))


def test_no_message_shows_a_bound_that_came_from_the_environment(told, monkeypatch):
    monkeypatch.setenv("S", "9271")
    assert told(f"{DATA}gates: [{{metric: accuracy, min: !!int '${{env:S}}'}}]") == [
        "x.yaml:2:33  gates.0.min: is not accepted: ${env:S}; accepted: 0 to 1"
    ]
