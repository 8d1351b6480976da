"""Scorers, by which something is chosen, and metrics, which are reported.

A scorer has scikit-learn's name and greater is better; a metric may also have the natural name of a `neg_` scorer:
`log_loss` is neg_log_loss, reported in its natural sign. `ece`, the expected calibration error, is ours: it has no
scorer, because the class shares alone bring it to zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlwf.errors import nearest
from mlwf.specs.catalogue.algorithms import ScorerFacts, Verdict, facts, gives_probabilities

OWN_METRICS: dict[str, ScorerFacts] = {
    "ece": {"needs": ["predict_proba"], "binary": True, "multiclass": True, "greater_is_better": False},
}
"""Metrics that scikit-learn does not have."""


def scorer_names() -> list[str]:
    """List the scorers of classifiers, sorted."""
    return sorted(_classifier_scorers())


def metric_names() -> list[str]:
    """List the metrics by their natural names, sorted; the `neg_` names are accepted too."""
    return sorted([*(name.removeprefix("neg_") for name in _classifier_scorers()), *OWN_METRICS])


def metric_scorer(name: str) -> str | None:
    """Give the scorer behind a metric, or None where there is none; where the names differ, the signs do."""
    return next((scorer for scorer in (name, f"neg_{name}") if scorer in _classifier_scorers()), None)


def binary_only(name: str) -> bool:
    """Whether the scorer or metric serves targets of two classes only."""
    return not _facts_of(name)["multiclass"]


def multiclass_only(name: str) -> bool:
    """Whether the scorer or metric says nothing about targets of two classes."""
    return not _facts_of(name)["binary"]


def needs_probabilities(name: str) -> bool:
    """Whether the scorer or metric can do with nothing but probabilities."""
    return _facts_of(name)["needs"] == ["predict_proba"]


def needs_labels(name: str) -> bool:
    """Whether the scorer or metric looks at nothing but predicted labels."""
    return _facts_of(name)["needs"] == ["predict"]


def greater_is_better(name: str) -> bool:
    """Whether more of the metric is better, in its natural sign: not of log_loss, but of neg_log_loss."""
    return name.startswith("neg_") or _facts_of(name)["greater_is_better"]


def check_scorer(
    name: str, algorithm: str | None = None, hyperparameters: Mapping[str, Any] | None = None
) -> Verdict | None:
    """Say what is wrong with a scorer, and with its choosing among models of the algorithm when that is given."""
    if name in OWN_METRICS:
        return f"{name!r} is a metric, not a scorer", "neg_brier_score and neg_log_loss choose by probabilities"
    if name not in _classifier_scorers():
        return _unknown("scorer", name, scorer_names())
    if algorithm is None or _serves(name, algorithm, hyperparameters or {}):
        return None
    # Calibration comes after the search, so that it cannot help here.
    return _lacks_probabilities(name, algorithm), "accepted: a scorer of labels or decision values, such as roc_auc"


def check_metric(name: str, algorithm: str, hyperparameters: Mapping[str, Any], calibrated: bool) -> Verdict | None:
    """Say what is wrong with a metric: it is unknown, or the model cannot serve it."""
    if name not in OWN_METRICS and metric_scorer(name) is None:
        return _unknown("metric", name, metric_names())
    if calibrated or _serves(name, algorithm, hyperparameters):
        return None
    return _lacks_probabilities(name, algorithm), "add a calibration section"


def _classifier_scorers() -> dict[str, ScorerFacts]:
    return {name: scorer for name, scorer in facts()["scorers"].items() if scorer["binary"] or scorer["multiclass"]}


def _facts_of(name: str) -> ScorerFacts:
    return OWN_METRICS.get(name) or facts()["scorers"][metric_scorer(name) or name]


def _serves(name: str, algorithm: str, hyperparameters: Mapping[str, Any]) -> bool:
    # An unknown algorithm is a problem of its own, told elsewhere.
    known = algorithm in facts()["algorithms"]
    return not (known and needs_probabilities(name)) or gives_probabilities(algorithm, hyperparameters)


def _lacks_probabilities(name: str, algorithm: str) -> str:
    return f"{name} needs probabilities, which {algorithm} does not give"


def _unknown(kind: str, name: str, accepted: list[str]) -> Verdict:
    if f"neg_{name}" in accepted:
        return f"unknown {kind} {name!r}", f"did you mean neg_{name}?"
    if name in facts()["scorers"] or f"neg_{name}" in facts()["scorers"]:
        return f"{name!r} does not score classifiers", f"accepted: {', '.join(accepted)}"
    return f"unknown {kind} {name!r}", nearest(name, accepted)
