"""Scorers, metrics and what they are measured on: what is refused, word for word."""

from __future__ import annotations

from typing import get_args

import pytest

from mlwf.errors import Refusal
from mlwf.evaluation.metrics import OWN_METRICS
from mlwf.specs import catalogue

SCORERS = (
    "accuracy, average_precision, balanced_accuracy, d2_brier_score, d2_log_loss_score, f1, f1_macro, f1_micro, "
    "f1_weighted, jaccard, jaccard_macro, jaccard_micro, jaccard_weighted, matthews_corrcoef, neg_brier_score, "
    "neg_log_loss, neg_negative_likelihood_ratio, positive_likelihood_ratio, precision, precision_macro, "
    "precision_micro, precision_weighted, recall, recall_macro, recall_micro, recall_weighted, roc_auc, roc_auc_ovo, "
    "roc_auc_ovo_weighted, roc_auc_ovr, roc_auc_ovr_weighted, top_k_accuracy"
)
METRICS = (
    "accuracy, average_precision, balanced_accuracy, brier_score, d2_brier_score, d2_log_loss_score, ece, f1, "
    "f1_macro, f1_micro, f1_weighted, jaccard, jaccard_macro, jaccard_micro, jaccard_weighted, log_loss, "
    "matthews_corrcoef, "
    "negative_likelihood_ratio, positive_likelihood_ratio, precision, precision_macro, precision_micro, "
    "precision_weighted, recall, recall_macro, recall_micro, recall_weighted, roc_auc, roc_auc_ovo, "
    "roc_auc_ovo_weighted, roc_auc_ovr, roc_auc_ovr_weighted, top_k_accuracy"
)


def words(refusal: Refusal | None) -> tuple[str, str] | None:
    return refusal and (refusal.message, refusal.hint)


def test_scorer_names_are_those_of_classifiers() -> None:
    assert ", ".join(catalogue.scorer_names()) == SCORERS


def test_metric_names_are_natural() -> None:
    assert ", ".join(catalogue.metric_names()) == METRICS


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("roc_auc", None),
        ("neg_log_loss", None),
        ("log_loss", ("unknown scorer 'log_loss'", "did you mean neg_log_loss?")),
        (
            "negative_likelihood_ratio",
            ("unknown scorer 'negative_likelihood_ratio'", "did you mean neg_negative_likelihood_ratio?"),
        ),
        ("acuracy", ("unknown scorer 'acuracy'", "did you mean accuracy?")),
        ("zzz", ("unknown scorer 'zzz'", f"accepted: {SCORERS}")),
        ("r2", ("'r2' does not score classifiers", f"accepted: {SCORERS}")),
        ("ece", ("'ece' is a metric, not a scorer", "neg_brier_score and neg_log_loss choose by probabilities")),
    ],
)
def test_check_scorer_says_what_is_accepted(name: str, refusal: tuple[str, str] | None) -> None:
    assert words(catalogue.check_scorer(name)) == refusal


def test_check_scorer_refuses_to_choose_by_probabilities_that_are_not_there() -> None:
    assert words(catalogue.check_scorer("neg_log_loss", "svc", {})) == (
        "neg_log_loss needs probabilities, which svc does not give",
        "accepted: a scorer of labels or decision values, such as roc_auc",
    )


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("roc_auc", "svc"), ("neg_log_loss", "knn"), ("neg_log_loss", "no_such_algorithm")],
)
def test_check_scorer_lets_an_algorithm_serve(name: str, algorithm: str) -> None:
    assert catalogue.check_scorer(name, algorithm, {}) is None


@pytest.mark.parametrize(
    ("name", "algorithm", "calibrated", "refusal"),
    [
        ("log_loss", "gradient_boosting", False, None),
        ("neg_log_loss", "gradient_boosting", False, None),
        ("roc_auc", "svc", False, None),
        (
            "log_loss",
            "svc",
            False,
            ("log_loss needs probabilities, which svc does not give", "add a calibration section"),
        ),
        ("log_loss", "svc", True, None),
        ("log_loss", "no_such_algorithm", False, None),
        ("ece", "gradient_boosting", False, None),
        ("ece", "svc", True, None),
        ("ece", "svc", False, ("ece needs probabilities, which svc does not give", "add a calibration section")),
        ("logloss", "svc", False, ("unknown metric 'logloss'", "did you mean log_loss?")),
        (
            "mean_squared_error",
            "svc",
            True,
            ("'mean_squared_error' does not score classifiers", f"accepted: {METRICS}"),
        ),
    ],
)
def test_check_metric_says_what_is_wrong(
    name: str, algorithm: str, calibrated: bool, refusal: tuple[str, str] | None
) -> None:
    assert words(catalogue.check_metric(name, algorithm, {}, calibrated)) == refusal


@pytest.mark.parametrize(
    ("metric", "scorer"),
    [
        ("accuracy", "accuracy"),
        ("log_loss", "neg_log_loss"),
        ("neg_log_loss", "neg_log_loss"),
        ("brier_score", "neg_brier_score"),
        ("ece", None),
        ("r2", None),
        ("zzz", None),
    ],
)
def test_metric_scorer_is_scikit_learns(metric: str, scorer: str | None) -> None:
    assert catalogue.metric_scorer(metric) == scorer


def test_binary_only_metrics_are_those_of_one_positive_class() -> None:
    assert [name for name in catalogue.metric_names() if catalogue.metric_info(name).binary_only] == [
        "f1",
        "jaccard",
        "negative_likelihood_ratio",
        "positive_likelihood_ratio",
        "precision",
        "recall",
        "roc_auc",
    ]


def test_multiclass_only_metric_is_top_k_accuracy() -> None:
    assert [name for name in catalogue.metric_names() if not catalogue.metric_info(name).binary] == ["top_k_accuracy"]


def test_metrics_that_need_probabilities() -> None:
    assert [name for name in catalogue.metric_names() if catalogue.metric_info(name).needs_probabilities] == [
        "brier_score",
        "d2_brier_score",
        "d2_log_loss_score",
        "ece",
        "log_loss",
        "roc_auc_ovo",
        "roc_auc_ovo_weighted",
        "roc_auc_ovr",
        "roc_auc_ovr_weighted",
    ]


def test_metrics_of_labels_are_those_that_do_without_scores() -> None:
    of_scores = {"average_precision", "roc_auc", "top_k_accuracy"}
    others = {name for name in catalogue.metric_names() if not catalogue.metric_info(name).needs_labels}
    assert others == of_scores | {
        name for name in catalogue.metric_names() if catalogue.metric_info(name).needs_probabilities
    }


def test_metrics_of_which_less_is_better() -> None:
    assert [name for name in catalogue.metric_names() if not catalogue.metric_info(name).greater_is_better] == [
        "brier_score",
        "ece",
        "log_loss",
        "negative_likelihood_ratio",
    ]


@pytest.mark.parametrize("scorer", ["neg_log_loss", "neg_brier_score", "roc_auc"])
def test_greater_is_better_of_every_scorer(scorer: str) -> None:
    assert catalogue.metric_info(scorer).greater_is_better


def test_each_metric_has_an_entry() -> None:
    assert sorted(catalogue.METRICS) == catalogue.metric_names()


def test_own_metrics_have_a_function() -> None:
    assert [name for name, info in catalogue.METRICS.items() if info.is_own] == [*OWN_METRICS]


@pytest.mark.parametrize(
    ("fact", "names"),
    [
        ("is_trivial", ["ece"]),
        ("is_one_sided", ["recall"]),
        ("default_for", ["accuracy", "balanced_accuracy", "roc_auc", "roc_auc_ovr", "log_loss"]),
    ],
)
def test_metrics_of_which_something_special_is_true(fact: str, names: list[str]) -> None:
    assert [name for name, info in catalogue.METRICS.items() if getattr(info, fact)] == names


def test_metrics_of_labels_of_single_classes_are_easily_beaten() -> None:
    beaten = {name for name, info in catalogue.METRICS.items() if info.is_easily_beaten}
    assert beaten == {name for name in METRICS.split(", ") if name.startswith(("f1", "jaccard", "precision", "recall"))}


def test_sources_are_ranked_by_how_far_they_can_be_trusted() -> None:
    assert [*catalogue.SOURCES] == [*get_args(catalogue.Source)] == sorted(catalogue.SOURCES, key=catalogue.rank_of)
    assert [*catalogue.TRAINING_SOURCES] == ["test", "train_test", "cross_validation"]
    assert [*catalogue.SOURCES] == [*catalogue.TRAINING_SOURCES, "new_rows"]


def test_registered_models_are_compared_on_rows_that_no_model_has_seen() -> None:
    assert catalogue.UNSEEN == ("test", "train_test")


def test_source_is_worded() -> None:
    hold_out = catalogue.SOURCES["train_test"]
    assert (hold_out.label, hold_out.in_text, hold_out.where) == ("Hold-out", "hold-out", "on the hold-out")
    assert (hold_out.lacking, hold_out.metric_prefix) == ("the run has no hold-out", "val")
