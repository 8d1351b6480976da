"""Threshold and slices: what cannot be chosen by, and what is no part of the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.specs.catalogue.metadata import metadata
from mlwf.specs.experiment import threshold_scorers
from mlwf.specs.loading import load_experiment

DATA = "data: {path: d.csv, target: y}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{DATA}threshold: {{scoring: roc_auc}}",
            (
                "x.yaml:2:22  threshold.scoring: is 'roc_auc', which is the same whatever the threshold; "
                "accepted: a scorer of labels, such as balanced_accuracy or f1"
            ),
        ),
        (
            f"{DATA}threshold: {{scoring: recall}}",
            (
                "x.yaml:2:22  threshold.scoring: is 'recall', which is best when every row is called positive; "
                "accepted: a scorer that also minds wrong calls, such as balanced_accuracy or f1"
            ),
        ),
        (
            f"{DATA}threshold: {{scoring: log_loss}}",
            (
                "x.yaml:2:22  threshold.scoring: is 'log_loss', which is the same whatever the threshold; "
                "accepted: a scorer of labels, such as balanced_accuracy or f1"
            ),
        ),
        (
            f"{DATA}threshold: {{scoring: ece}}",
            (
                "x.yaml:2:22  threshold.scoring: is 'ece', which is the same whatever the threshold; accepted: a "
                "scorer of labels, such as balanced_accuracy or f1"
            ),
        ),
        (
            f"{DATA}threshold: {{scoring: f2}}",
            (
                "x.yaml:2:22  threshold.scoring: unknown scorer 'f2'; accepted: accuracy, balanced_accuracy, f1, "
                "f1_macro, f1_micro, f1_weighted, jaccard, jaccard_macro, jaccard_micro, jaccard_weighted, "
                "matthews_corrcoef, neg_negative_likelihood_ratio, positive_likelihood_ratio, precision, "
                "precision_macro, precision_micro, precision_weighted, recall_macro, recall_micro, "
                "recall_weighted"
            ),
        ),
        (
            f"{DATA}threshold: {{scoring: jacard}}",
            "x.yaml:2:22  threshold.scoring: unknown scorer 'jacard'; did you mean jaccard?",
        ),
        (
            f"{DATA}validation: {{slices: ['']}}",
            (
                "x.yaml:2:23  validation.slices.0: is '', which is empty; accepted: a column, or COLUMN OPERATOR "
                "VALUE such as age > 60"
            ),
        ),
        (
            f"{DATA}validation: {{slices: [sex, 'age => 60']}}",
            (
                "x.yaml:2:28  validation.slices.1: is 'age => 60', which has the unknown operator =>; accepted: "
                "=, !=, <, <=, >, >="
            ),
        ),
        (
            f"{DATA}validation: {{slices: ['a > \"x']}}",
            (
                "x.yaml:2:23  validation.slices.0: is 'a > \"x', which opens a quote and does not close it; "
                "accepted: \"...\" or '...'"
            ),
        ),
        (
            f"{DATA}validation: {{slices: ['age > old']}}",
            (
                "x.yaml:2:23  validation.slices.0: is 'age > old', which has a value without order behind >; "
                "accepted: a number, or a date such as 2024-01-31"
            ),
        ),
        (
            f"{DATA}validation: {{slices: ['20 < age < 60']}}",
            (
                "x.yaml:2:23  validation.slices.0: is '20 < age < 60', which has two operators; accepted: one, "
                "and quotes around a column or value that holds another"
            ),
        ),
        (
            f"{DATA}validation: {{slices: [sex = null]}}",
            (
                "x.yaml:2:23  validation.slices.0: is 'sex = null', which compares with null; accepted: a finite "
                "number, true, false or text, in quotes if need be"
            ),
        ),
        (
            f"{DATA}validation: {{slices: [sex=Female, a, 'sex == \"Female\"']}}",
            "x.yaml:2:38  validation.slices.2: is 'sex == \"Female\"', which is listed twice",
        ),
        (
            f"{DATA}validation: {{slices: [y = 1]}}",
            (
                "x.yaml:2:23  validation.slices.0: is 'y = 1', which asks for the target; accepted: what is "
                "known before the prediction"
            ),
        ),
        (
            f"{DATA}validation: {{slices: [y]}}",
            (
                "x.yaml:2:23  validation.slices.0: is 'y', which asks for the target; accepted: what is known "
                "before the prediction"
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
        f"{DATA}threshold: {{}}",
        f"{DATA}threshold: {{scoring: f1}}",
        f"{DATA}threshold: {{scoring: neg_negative_likelihood_ratio}}",
        f"{DATA}validation: {{slices: [sex, sex = Female, 'age > 60', 'age > 70', flag = true]}}",
        "data: {path: d.csv, target: y, drop: [sex]}\nvalidation: {slices: [sex]}",
        f"{DATA}validation: {{slices: [yes = 1]}}",
    ],
    ids=lambda text: text.removeprefix(DATA)[:70],
)
def test_what_contradicts_nothing_is_loaded(text):
    Path("x.yaml").write_text(text)
    load_experiment(Path("x.yaml"))


def test_every_algorithm_has_something_to_hold_against_a_threshold():
    silent = [
        name
        for name, algorithm in metadata()["algorithms"].items()
        if not algorithm["decision_function"] and algorithm["probabilities"] is not True
    ]
    assert silent == []


def test_threshold_scorers_are_scorers_of_labels():
    assert {"f1", "balanced_accuracy", "precision_macro"} <= set(threshold_scorers())
    assert not {"roc_auc", "average_precision", "neg_log_loss", "ece", "top_k_accuracy"} & set(threshold_scorers())
