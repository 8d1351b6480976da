"""Scorers over stored predictions give what scikit-learn's give over the model itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, get_scorer, log_loss

from mlwf.evaluation.predictions import build_scorer, predict, score

SCORERS = ["accuracy", "balanced_accuracy", "f1", "f1_macro", "precision", "recall", "roc_auc", "average_precision",
           "neg_log_loss", "neg_brier_score", "matthews_corrcoef", "jaccard", "d2_brier_score"]  # fmt: skip


@pytest.fixture(scope="module")
def binary():
    X, y = make_classification(200, 5, flip_y=0.2, random_state=0)
    return X, y


@pytest.mark.parametrize("name", SCORERS)
def test_score_equals_scikit_learns(binary, name):
    X, y = binary
    model = LogisticRegression().fit(X, y)
    scorer = build_scorer(name, classes=model.classes_)
    assert score(scorer, predict(model, X), y) == get_scorer(name)(model, X, y)


@pytest.mark.parametrize("name", ["roc_auc_ovr", "roc_auc_ovo_weighted", "f1_weighted", "neg_log_loss", "accuracy"])
def test_score_equals_scikit_learns_with_several_classes(name):
    X, y = make_classification(200, 6, n_informative=4, n_classes=3, random_state=0)
    model = LogisticRegression().fit(X, y)
    assert score(build_scorer(name, classes=model.classes_), predict(model, X), y) == get_scorer(name)(model, X, y)


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_score_takes_the_positive_class_of_string_labels(binary, positive):
    X, codes = binary
    y = np.array(["no", "yes"], dtype=object)[codes]
    model = LogisticRegression().fit(X, y)
    said = predict(model, X)
    f1 = build_scorer("f1", classes=model.classes_, positive_class=positive)
    precision = build_scorer("average_precision", classes=model.classes_, positive_class=positive)
    values = model.decision_function(X) * (1 if positive == "yes" else -1)
    assert score(f1, said, y) == f1_score(y, model.predict(X), pos_label=positive)
    assert score(precision, said, y) == average_precision_score(y == positive, values)


TEXTS = np.array(["a text", "another", "one more"], dtype=object)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize(
    ("name", "n_classes"),
    [
        *((name, 2) for name in SCORERS),
        *((name, 3) for name in ("roc_auc_ovr", "f1_macro", "neg_log_loss", "accuracy")),
    ],
)
def test_score_of_texts_is_that_of_their_positions_to_the_bit(name, n_classes, weighted):
    X, y = make_classification(200, 6, n_informative=4, n_classes=n_classes, flip_y=0.2, random_state=0)
    said = predict(LogisticRegression().fit(X, TEXTS[y]), X)
    weight = np.random.default_rng(0).random(200) if weighted else None
    scorer = build_scorer(name, classes=TEXTS[:n_classes])
    plain = replace(scorer, coded=None)
    assert score(scorer, said, TEXTS[y], weight=weight) == score(plain, said, TEXTS[y], weight=weight)


def test_texts_that_cannot_be_scored_are_named_as_texts(binary):
    X, codes = binary
    said = predict(LogisticRegression().fit(X, TEXTS[codes]), X)
    scorer = build_scorer("precision", classes=TEXTS[:2])
    y = np.where(codes == 0, "unknown", TEXTS[codes]).astype(object)
    with pytest.raises(ValueError, match=r"unknown|a text|multiclass"):
        score(scorer, said, y)


def test_score_takes_weights(binary):
    X, y = binary
    model = LogisticRegression().fit(X, y)
    weight = np.where(y == 1, 3.0, 1.0)
    expected = get_scorer("accuracy")(model, X, y, sample_weight=weight)
    assert score(build_scorer("accuracy", classes=model.classes_), predict(model, X), y, weight=weight) == expected


@pytest.mark.parametrize("n_classes", [2, 3])
def test_score_takes_probabilities_of_rows_in_which_a_class_does_not_occur(n_classes):
    X, y = make_classification(200, 6, n_informative=4, n_classes=n_classes, random_state=0)
    model = LogisticRegression().fit(X, y)
    some = y < n_classes - 1
    said = predict(model, X[some])
    expected = -log_loss(y[some], model.predict_proba(X[some]), labels=model.classes_)
    assert score(build_scorer("neg_log_loss", classes=model.classes_), said, y[some]) == expected
