"""Scorers, by which something is chosen; metrics, which are reported; and the sources of their rows.

A scorer has scikit-learn's name and greater is better; a metric may also have the natural name of a `neg_` scorer:
`log_loss` is neg_log_loss, reported in its natural sign. `ece`, the expected calibration error, is ours: it has no
scorer, because the class shares alone bring it to zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

from mlwf.errors import Refusal
from mlwf.specs.catalogue.algorithms import gives_probabilities
from mlwf.specs.catalogue.metadata import ScorerMetadata, metadata


@dataclass(frozen=True)
class MetricInfo:
    """What is known of a metric; of scikit-learn's, the fields from `needs` on come from its scorer."""

    range: tuple[float, float] = (-math.inf, math.inf)
    """Least and greatest value."""
    label: str = ""
    """How a table writes it, where that is not its name."""
    default_for: tuple[str, ...] = ()
    """Targets (`binary`, `multiclass`) for which it is reported when no metrics are named."""
    is_trivial: bool = False
    """Whether the class shares alone are nearly perfect by it, so that there is no baseline to beat."""
    is_one_sided: bool = False
    """Whether it is best when every row is called positive, so that it can choose no threshold."""
    is_easily_beaten: bool = False
    """Whether random guesses beat the majority class, so that beating the baseline means nothing."""
    is_own: bool = False
    """Whether scikit-learn does not have it: `mlwf.evaluation.metrics` computes it."""
    needs: Sequence[str] = ()
    """Methods of the model of which it takes the first that there is."""
    binary: bool = True
    multiclass: bool = True
    greater_is_better: bool = True
    """Whether more of it is better, in its natural sign: not of log_loss, but of neg_log_loss."""

    @property
    def needs_probabilities(self) -> bool:
        """Whether it can do with nothing but probabilities."""
        return list(self.needs) == ["predict_proba"]

    @property
    def needs_labels(self) -> bool:
        """Whether it looks at nothing but predicted labels."""
        return list(self.needs) == ["predict"]

    @property
    def binary_only(self) -> bool:
        """Whether it serves targets of two classes only."""
        return not self.multiclass


_SHARE = MetricInfo((0.0, 1.0))
_LOSS = MetricInfo((0.0, math.inf))
_OF_LABELS = replace(_SHARE, is_easily_beaten=True)
_ALWAYS = ("binary", "multiclass")


def _averaged(name: str) -> dict[str, MetricInfo]:
    return {f"{name}_{average}": _OF_LABELS for average in ("macro", "micro", "weighted")}


METRICS: dict[str, MetricInfo] = {
    "accuracy": replace(_SHARE, default_for=_ALWAYS),
    "balanced_accuracy": replace(_SHARE, default_for=_ALWAYS),
    "roc_auc": replace(_SHARE, default_for=("binary",)),
    "roc_auc_ovr": replace(_SHARE, default_for=("multiclass",)),
    "roc_auc_ovr_weighted": _SHARE,
    "roc_auc_ovo": _SHARE,
    "roc_auc_ovo_weighted": _SHARE,
    "average_precision": _SHARE,
    "top_k_accuracy": _SHARE,
    "log_loss": replace(_LOSS, label="log loss", default_for=_ALWAYS),
    "brier_score": replace(_LOSS, label="Brier score"),
    "ece": replace(
        _SHARE, label="ECE", is_own=True, is_trivial=True, needs=("predict_proba",), greater_is_better=False
    ),
    "d2_brier_score": MetricInfo(),
    "d2_log_loss_score": MetricInfo(),
    "matthews_corrcoef": MetricInfo((-1.0, 1.0)),
    "negative_likelihood_ratio": _LOSS,
    "positive_likelihood_ratio": _LOSS,
    "f1": _OF_LABELS,
    **_averaged("f1"),
    "jaccard": _OF_LABELS,
    **_averaged("jaccard"),
    "precision": _OF_LABELS,
    **_averaged("precision"),
    "recall": replace(_OF_LABELS, is_one_sided=True),
    **_averaged("recall"),
}
"""By natural name."""

DEFAULT_METRICS = tuple(name for name, info in METRICS.items() if info.default_for)
"""Metrics reported when none are named, those of them that the model and the number of classes serve."""


@cache
def metric_info(name: str) -> MetricInfo:
    """Give what is known of a metric or scorer; raises KeyError when it is unknown or scores no classifiers.

    >>> metric_info("log_loss").greater_is_better, metric_info("neg_log_loss").greater_is_better
    (False, True)
    """
    scorer = metric_scorer(name)
    if scorer is None:
        return METRICS[name]
    # A scorer of a scikit-learn that is newer than the table is one of which nothing but the scorer is known.
    info = replace(METRICS.get(scorer.removeprefix("neg_"), MetricInfo()), **_classifier_scorers()[scorer])
    if not name.startswith("neg_"):
        return info
    low, high = info.range
    return replace(info, range=(-high, -low), greater_is_better=True)


def scorer_names() -> list[str]:
    """List the scorers of classifiers, sorted."""
    return sorted(_classifier_scorers())


def metric_names() -> list[str]:
    """List the metrics by their natural names, sorted; the `neg_` names are accepted too."""
    own = [name for name, info in METRICS.items() if info.is_own]
    return sorted([*(name.removeprefix("neg_") for name in _classifier_scorers()), *own])


def metric_scorer(name: str) -> str | None:
    """Give the scorer behind a metric, or None where there is none; where the names differ, the signs do."""
    return next((scorer for scorer in (name, f"neg_{name}") if scorer in _classifier_scorers()), None)


def check_scorer(
    name: str, algorithm: str | None = None, hyperparameters: Mapping[str, Any] | None = None
) -> Refusal | None:
    """Say what is wrong with a scorer, and with its choosing among models of the algorithm when that is given."""
    if name in METRICS and METRICS[name].is_own:
        hint = "neg_brier_score and neg_log_loss choose by probabilities"
        return Refusal(f"{name!r} is a metric, not a scorer", hint)
    if name not in _classifier_scorers():
        return _unknown("scorer", name, scorer_names())
    if algorithm is None or _serves(name, algorithm, hyperparameters or {}):
        return None
    # Calibration comes after the search, so that it cannot help here.
    hint = "accepted: a scorer of labels or decision values, such as roc_auc"
    return Refusal(_lacks_probabilities(name, algorithm), hint)


def check_metric(name: str, algorithm: str, hyperparameters: Mapping[str, Any], calibrated: bool) -> Refusal | None:
    """Say what is wrong with a metric: it is unknown, or the model cannot serve it."""
    if name not in metric_names() and metric_scorer(name) is None:
        return _unknown("metric", name, metric_names())
    if calibrated or _serves(name, algorithm, hyperparameters):
        return None
    return Refusal(_lacks_probabilities(name, algorithm), "add a calibration section")


@cache
def _classifier_scorers() -> dict[str, ScorerMetadata]:
    return {name: scorer for name, scorer in metadata()["scorers"].items() if scorer["binary"] or scorer["multiclass"]}


def _serves(name: str, algorithm: str, hyperparameters: Mapping[str, Any]) -> bool:
    # An unknown algorithm is a problem of its own.
    known = algorithm in metadata()["algorithms"]
    return not (known and metric_info(name).needs_probabilities) or gives_probabilities(algorithm, hyperparameters)


def _lacks_probabilities(name: str, algorithm: str) -> str:
    return f"{name} needs probabilities, which {algorithm} does not give"


def _unknown(kind: str, name: str, accepted: list[str]) -> Refusal:
    if f"neg_{name}" in accepted:
        return Refusal(f"unknown {kind} {name!r}", f"did you mean neg_{name}?", suggests=True)
    if name in metadata()["scorers"] or f"neg_{name}" in metadata()["scorers"]:
        return Refusal(f"{name!r} does not score classifiers", f"accepted: {', '.join(accepted)}")
    return Refusal.of_name(f"unknown {kind} {name!r}", name, accepted)


TrainingSource = Literal["test", "train_test", "cross_validation"]
"""Where the numbers of a training come from."""
Source = Literal[TrainingSource, "new_rows"]
"""The same, and a table that is scored later."""


@dataclass(frozen=True)
class SourceInfo:
    """How a source is named, and what it is good for."""

    label: str
    """Its name at the beginning of a line; inside a sentence `in_text`."""
    where: str
    """Where something is the case: `on the test set`."""
    metric_prefix: str
    """What the names of its metrics in MLflow begin with."""
    is_unseen: bool = True
    """Whether no model of an earlier run can have learnt from its rows."""

    @property
    def in_text(self) -> str:
        """Its name inside a sentence."""
        return self.label.lower()

    @property
    def lacking(self) -> str:
        """Say that a run has no such rows."""
        return f"the run has no {self.in_text}"


SOURCES: dict[Source, SourceInfo] = {
    "test": SourceInfo("Test set", "on the test set", "test"),
    "train_test": SourceInfo("Hold-out", "on the hold-out", "val"),
    "cross_validation": SourceInfo("Cross-validation", "in cross-validation", "cv", is_unseen=False),
    "new_rows": SourceInfo("New rows", "on the new rows", "new", is_unseen=False),
}
"""The most trustworthy first."""

TRAINING_SOURCES: tuple[TrainingSource, ...] = get_args(TrainingSource)
UNSEEN: tuple[Source, ...] = tuple(source for source, info in SOURCES.items() if info.is_unseen)
"""Sources on whose rows a registered model can be compared."""


def rank_of(source: Source) -> int:
    """Rank a source by how much its scores can be trusted; 0 is the best."""
    return [*SOURCES].index(source)
