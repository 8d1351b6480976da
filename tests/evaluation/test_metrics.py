"""Metrics give scikit-learn's numbers, for some rows and for many resamples of them at once."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mlwf.evaluation.metrics import OWN_METRICS, OwnMetric, build_metric, build_metrics
from mlwf.evaluation.predictions import Predictions
from mlwf.specs.catalogue import METRICS, MetricInfo, metric_info, metric_names

N_ROWS, N_RESAMPLES = 120, 7


def predicted(classes: list, *, dtype: object = None, seed: int = 0) -> tuple[Predictions, np.ndarray]:
    """Give predictions better than chance, with many ties among the scores, and the labels they are for."""
    random = np.random.default_rng(seed)
    labels = np.array(classes, dtype=dtype)
    y = random.integers(len(classes), size=N_ROWS)
    scores = random.gamma(1, size=(N_ROWS, len(classes))) + 0.8 * np.eye(len(classes))[y]
    # A share of 1/16 sums to exactly one, and repeats itself.
    shares = np.floor(16 * scores / scores.sum(axis=1, keepdims=True))
    shares[:, -1] = 16 - shares[:, :-1].sum(axis=1)
    proba = shares / 16
    return Predictions(labels, labels[proba.argmax(axis=1)], proba), labels[y]


def draws(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(1, size=(N_RESAMPLES, N_ROWS)).astype(float)


KINDS = {
    "numbers": partial(predicted, [0, 1]),
    "booleans": partial(predicted, [False, True]),
    "objects": partial(predicted, ["no", "yes"], dtype=object),
    "three": partial(predicted, ["a", "b", "c"], dtype=object),
    "four": partial(predicted, [3, 5, 7, 9]),
}
AVERAGES = ["macro", "micro", "weighted"]
RATIOS = {
    "f1": sklearn_metrics.f1_score,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
    "jaccard": sklearn_metrics.jaccard_score,
}


def of_labels(function, **keywords):
    return lambda p, y, w: function(y, p.labels, sample_weight=w, **keywords)


OF_LABELS = {
    "accuracy": of_labels(sklearn_metrics.accuracy_score),
    "balanced_accuracy": of_labels(sklearn_metrics.balanced_accuracy_score),
    "matthews_corrcoef": of_labels(sklearn_metrics.matthews_corrcoef),
    **{f"{n}_{a}": of_labels(f, average=a) for n, f in RATIOS.items() for a in AVERAGES},
}
OF_PROBABILITIES = {
    "log_loss": lambda p, y, w: sklearn_metrics.log_loss(y, p.proba, sample_weight=w, labels=p.classes),
    "neg_log_loss": lambda p, y, w: -sklearn_metrics.log_loss(y, p.proba, sample_weight=w, labels=p.classes),
    "brier_score": lambda p, y, w: sklearn_metrics.brier_score_loss(y, p.proba, sample_weight=w, labels=p.classes),
    "roc_auc_ovr": lambda p, y, w: sklearn_metrics.roc_auc_score(
        y, p.proba[:, 1] if len(p.classes) == 2 else p.proba, sample_weight=w, multi_class="ovr"
    ),
}
FOR_ANY = {**OF_LABELS, **OF_PROBABILITIES}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FOR_ANY)
def test_resampled_equals_scikit_learns_with_counts_as_weights(kind, name):
    said, y = KINDS[kind]()
    metric = build_metric(name, classes=said.classes)
    assert metric.prepare is not None
    expected = [FOR_ANY[name](said, y, row) for row in draws()]
    np.testing.assert_allclose(metric.resampled(said, y, draws()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FOR_ANY)
def test_metric_equals_scikit_learns(name):
    said, y = KINDS["three"]()
    weight = np.random.default_rng(2).gamma(1, size=N_ROWS)
    metric = build_metric(name, classes=said.classes)
    assert metric(said, y) == FOR_ANY[name](said, y, None)
    assert metric(said, y, weight) == FOR_ANY[name](said, y, weight)


def of_two(name, said, y, weight, positive):
    """Compute a metric of two classes by scikit-learn alone."""
    column = said.proba[:, said.classes.tolist().index(positive)]
    if name in RATIOS:
        return RATIOS[name](y, said.labels, pos_label=positive, sample_weight=weight)
    if name == "brier_score":
        return sklearn_metrics.brier_score_loss(y, column, pos_label=positive, sample_weight=weight)
    if name == "average_precision":
        return sklearn_metrics.average_precision_score(y == positive, column, sample_weight=weight)
    return sklearn_metrics.roc_auc_score(y == said.classes[-1], said.proba[:, -1], sample_weight=weight)


@pytest.mark.parametrize("position", [0, 1], ids=["first positive", "last positive"])
@pytest.mark.parametrize("kind", ["numbers", "booleans", "objects"])
@pytest.mark.parametrize("name", [*RATIOS, "brier_score", "average_precision", "roc_auc"])
def test_resampled_of_two_classes_equals_scikit_learns(kind, name, position):
    said, y = KINDS[kind]()
    positive = said.classes[position]
    metric = build_metric(name, classes=said.classes, positive_class=positive)
    assert metric.prepare is not None
    assert metric(said, y) == pytest.approx(of_two(name, said, y, None, positive), abs=1e-15)
    expected = [of_two(name, said, y, row, positive) for row in draws()]
    np.testing.assert_allclose(metric.resampled(said, y, draws()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("position", [0, 1], ids=["first positive", "last positive"])
@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_resampled_ranks_by_decision_values_where_there_are_any(name, position):
    said, y = KINDS["objects"]()
    decision = np.round(np.random.default_rng(3).normal(size=N_ROWS) + (y == "yes"), 1)
    said = Predictions(said.classes, said.labels, said.proba, decision)
    metric = build_metric(name, classes=said.classes, positive_class=said.classes[position])
    expected = [metric(said, y, row) for row in draws()]
    np.testing.assert_allclose(metric.resampled(said, y, draws()), expected, rtol=0, atol=1e-12)
    assert metric(said, y) != metric(Predictions(said.classes, said.labels, said.proba), y)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("objects", "positive_likelihood_ratio"),
        ("objects", "negative_likelihood_ratio"),
        ("objects", "d2_log_loss_score"),
        ("three", "roc_auc_ovo"),
        ("four", "top_k_accuracy"),
        ("three", "average_precision"),
    ],
)
def test_resampled_equals_the_metric_of_repeated_rows(kind, name):
    said, y = KINDS[kind]()
    metric = build_metric(name, classes=said.classes)
    for row in draws():
        rows = np.repeat(np.arange(N_ROWS), row.astype(int))
        assert metric.resampled(said, y, row[None])[0] == pytest.approx(metric(said.take(rows), y[rows]), abs=1e-12)


def test_resampled_one_by_one_takes_counts_times_weights():
    said, y = KINDS["objects"]()
    counts = draws() * np.random.default_rng(2).gamma(1, size=N_ROWS)
    metric = build_metric("d2_log_loss_score", classes=said.classes)
    expected = [metric(said, y, row) for row in counts]
    np.testing.assert_allclose(metric.resampled(said, y, counts), expected, rtol=0, atol=1e-12)


def test_own_metric_of_one_function_is_resampled_one_by_one(monkeypatch):
    said, y = KINDS["objects"]()

    def mean_share(predictions, y, weight, positive):
        return float(np.average(predictions.labels == positive, weights=weight))

    monkeypatch.setitem(METRICS, "share", MetricInfo((0.0, 1.0), is_own=True))
    monkeypatch.setitem(OWN_METRICS, "share", OwnMetric(mean_share))
    metric = build_metric("share", classes=said.classes)
    expected = [metric(said, y, row) for row in draws()]
    np.testing.assert_allclose(metric.resampled(said, y, draws()), expected, rtol=0, atol=1e-12)


def test_resampler_is_undefined_where_a_metric_takes_no_weights():
    said, y = KINDS["three"]()
    metric = build_metric("roc_auc_ovo", classes=said.classes)
    assert np.isfinite(metric.resampler(said, y)(draws())).all()
    assert np.isnan(metric.resampler(said, y, np.ones(N_ROWS))(draws())).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("roc_auc", np.nan),
        ("average_precision", np.nan),
        ("recall", 0.0),
        ("balanced_accuracy", 0.75),
        ("matthews_corrcoef", 0.0),
        ("accuracy", 0.75),
    ],
)
def test_resampled_without_any_positive(name, expected):
    classes = np.array(["no", "yes"], dtype=object)
    labels, y = classes[[0, 0, 0, 1, 1]], classes[[0, 0, 0, 0, 1]]
    said = Predictions(classes, labels, np.array([[0.8, 0.2]] * 3 + [[0.3, 0.7]] * 2))
    value = build_metric(name, classes=classes).resampled(said, y, np.array([[1.0, 1, 1, 1, 0]]))
    np.testing.assert_array_equal(value, [expected])


@pytest.mark.parametrize("name", ["precision", "f1_macro", "matthews_corrcoef", "jaccard_weighted"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_resampled_of_a_class_that_is_never_predicted_equals_scikit_learns(name):
    said, y = KINDS["objects"]()
    said = Predictions(said.classes, np.full(N_ROWS, "no", dtype=object))
    metric = build_metric(name, classes=said.classes)
    expected = [metric(said, y, row) for row in draws()]
    np.testing.assert_allclose(metric.resampled(said, y, draws()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["log_loss", "ece", "roc_auc"])
def test_metric_raises_without_the_scores_it_needs_and_its_resamples_are_undefined(name):
    said, y = KINDS["numbers"]()
    said = Predictions(said.classes, said.labels)
    metric = build_metric(name, classes=said.classes)
    with pytest.raises((AttributeError, ValueError)):
        metric(said, y)
    assert np.isnan(metric.resampled(said, y, draws())).all()


def test_resampled_is_undefined_where_the_model_does_not_know_a_class():
    said, y = KINDS["three"]()
    known = Predictions(said.classes[:2], said.labels, np.full((N_ROWS, 2), 0.5))
    for metric in build_metrics(["log_loss", "brier_score", "ece"], classes=said.classes).values():
        assert np.isnan(metric.resampled(known, y, draws())).all()


def test_log_loss_of_a_certain_mistake_is_finite_as_scikit_learns():
    classes, y = np.array([0, 1]), np.array([0, 1])
    said = Predictions(classes, classes[::-1], np.array([[0.0, 1.0], [1.0, 0.0]]))
    value = build_metric("log_loss", classes=classes).resampled(said, y, np.ones((1, 2)))
    assert value[0] == sklearn_metrics.log_loss(y, said.proba) > 36


@pytest.mark.parametrize("name", metric_names())
def test_every_metric_stays_in_its_range(name):
    said, y = KINDS["numbers" if metric_info(name).binary_only else "three"]()
    metric = build_metric(name, classes=said.classes)
    low, high = metric.info.range
    assert low <= metric(said, y) <= high
    resampled = metric.resampled(said, y, draws())
    assert ((low <= resampled) & (resampled <= high)).all()


@pytest.mark.parametrize(
    ("name", "direction", "range_"),
    [
        ("accuracy", True, (0, 1)),
        ("f1_macro", True, (0, 1)),
        ("roc_auc_ovr", True, (0, 1)),
        ("matthews_corrcoef", True, (-1, 1)),
        ("log_loss", False, (0, np.inf)),
        ("neg_log_loss", True, (-np.inf, 0)),
        ("brier_score", False, (0, np.inf)),
        ("ece", False, (0, 1)),
        ("d2_log_loss_score", True, (-np.inf, np.inf)),
    ],
)
def test_metrics_know_their_direction_and_range(name, direction, range_):
    metric = build_metric(name, classes=np.array([0, 1, 2]))
    assert (metric.name, metric.info.greater_is_better, metric.info.range) == (name, direction, range_)


def test_build_metrics_keeps_the_order_of_names():
    assert list(build_metrics(["roc_auc", "ece", "accuracy"], classes=np.array([0, 1]))) == [
        "roc_auc",
        "ece",
        "accuracy",
    ]
