"""Ensembles that grow one stage after another: one fit holds the fit with every smaller number of stages.

Each tree is made from those before it and from the next numbers of a seeded generator, and none looks ahead. So what a
fit of 500 rounds or trees has after 100 of them is a fit of 100, to the bit. That holds for early stopping too: whether
a fit stops depends on the rounds until then alone. The other way round, a booster's fit of 100 rounds can be continued.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import validate_data

from mlwf.evaluation.predictions import Predictions, predict


@dataclass(frozen=True)
class StagedEnsemble:
    """How a classifier grows."""

    parameter: str
    """The parameter that says how many stages."""
    by_stage: tuple[str, ...]
    """Fitted attributes with one item a stage; the trees come first."""
    with_start: tuple[str, ...] = ()
    """Fitted attributes with one item more, from before the first stage, or with none."""
    is_exact: Callable[[Any, int], bool] = lambda classifier, n_rows: True
    """Whether an unfitted one grows so on that number of rows, as far as it is not what all have in common."""
    is_resumable: Callable[[Any], bool] | None = None
    """Whether scikit-learn's warm start of a fitted one is exact; None where none is, or none worth the memory."""


STAGED_ENSEMBLES: dict[type, StagedEnsemble] = {
    GradientBoostingClassifier: StagedEnsemble(
        "n_estimators",
        ("estimators_", "train_score_", "oob_improvement_", "oob_scores_"),
        is_exact=lambda booster, _: booster.init in (None, "zero"),
        # Early stopping compares with the rounds before, which a warm start has forgotten.
        is_resumable=lambda booster: booster.n_iter_no_change is None,
    ),
    HistGradientBoostingClassifier: StagedEnsemble(
        "max_iter",
        # Its rounds have no public name: `_cuts_rounds` tells whether this one still serves.
        ("_predictors",),
        ("train_score_", "validation_score_"),
        is_exact=lambda booster, n_rows: _is_known_histogram(booster, n_rows),
        is_resumable=lambda booster: not booster.do_early_stopping_,
    ),
    RandomForestClassifier: StagedEnsemble("n_estimators", ("estimators_",)),
    ExtraTreesClassifier: StagedEnsemble("n_estimators", ("estimators_",)),
    BaggingClassifier: StagedEnsemble(
        "n_estimators",
        # From its seeds the property `estimators_samples_` draws the samples again.
        ("estimators_", "estimators_features_", "_seeds"),
        is_exact=lambda bagging, _: _is_of_trees(bagging),
    ),
    AdaBoostClassifier: StagedEnsemble(
        "n_estimators",
        ("estimators_", "estimator_weights_", "estimator_errors_"),
        is_exact=lambda booster, _: _is_of_trees(booster),
    ),
}


def stage_parameter(classifier: Any, n_rows: int) -> str | None:
    """Name the parameter of which one fit holds the fits with all smaller values, from 1 on, to the bit.

    Parameters
    ----------
    classifier
        Unfitted.
    n_rows
        How many rows it will be trained on: some classifiers stop early only with many.

    Returns
    -------
    str or None
        `n_estimators` or `max_iter`; None where that is not known to be so: for another class or a derived one, a
        random state that is no integer, several jobs (threads add the trees up in any order), warm starts, an
        out-of-bag score, and a value that is no plain integer.
    """
    staged = STAGED_ENSEMBLES.get(type(classifier))
    if staged is None or not _is_plain(classifier, staged.parameter) or not staged.is_exact(classifier, n_rows):
        return None
    return staged.parameter


def truncated(model: Any, stage: int) -> Any:
    """Copy a fitted ensemble as a fit with only `stage` stages would have left it; both share their trees.

    Where the fit stopped before that, the copy has all that there is. It is not for a warm start, which would draw its
    random numbers after those of the longer fit.
    """
    staged = STAGED_ENSEMBLES[type(model)]
    cut = copy.copy(model).set_params(**{staged.parameter: stage})
    for name, value in vars(model).items():
        # Early stopping by a scorer leaves a histogram booster a method of its own, which would ask `model`.
        if getattr(value, "__self__", None) is model:
            delattr(cut, name)
    for names, length in ((staged.by_stage, stage), (staged.with_start, stage + 1)):
        for name in names:
            if hasattr(model, name):
                # Copied, since a view of an array would hold every tree of the longer fit in memory.
                setattr(cut, name, copy.copy(getattr(model, name)[:length]))
    if isinstance(model, GradientBoostingClassifier):
        cut.n_estimators_ = len(cut.estimators_)
        if hasattr(model, "oob_score_"):
            cut.oob_score_ = cut.oob_scores_[-1]
    return cut


def is_resumable(model: Any) -> bool:
    """Tell whether a fitted classifier, whose stage parameter is known, can be continued to more stages, to the bit."""
    goes = STAGED_ENSEMBLES[type(model)].is_resumable
    return goes is not None and goes(model)


def may_be_resumable(classifier: Any) -> bool:
    """Tell of an unfitted classifier whether its fits may be such that go on."""
    staged = STAGED_ENSEMBLES.get(type(classifier))
    return staged is not None and staged.is_resumable is not None


def resume(model: Any) -> Any:
    """Copy a fitted classifier that goes on such that a fit with more stages adds to those it has."""
    return copy.deepcopy(model).set_params(warm_start=True)


def staged_predictions(model: Any, X: Any, stages: Sequence[int]) -> list[Predictions]:
    """Say of X, of shape (n_rows, n_features), what the truncated model of each stage says, in one pass over the trees.

    Bits and memory layout are those of `predict(truncated(model, stage), X)`. scikit-learn's `staged_predict_proba`
    gives a histogram booster of eight classes or more other last bits than its `predict_proba`: numpy's sum over the
    classes depends on the layout.
    """
    passing = PASSES.get(type(model))
    if passing is None:
        return [predict(truncated(model, stage), X) for stage in stages]
    n_stages = len(getattr(model, STAGED_ENSEMBLES[type(model)].by_stage[0]))
    ends = [min(stage, n_stages) for stage in stages]
    said = passing(model, X, frozenset(ends))
    return [said[end] for end in ends]


def _is_plain(classifier: Any, parameter: str) -> bool:
    value = getattr(classifier, parameter)
    return (
        type(value) is int
        and value >= 1
        and isinstance(classifier.random_state, int | np.integer)
        and getattr(classifier, "n_jobs", None) in (None, 1)
        and not getattr(classifier, "warm_start", False)
        and not getattr(classifier, "oob_score", False)
    )


def _is_of_trees(ensemble: Any) -> bool:
    # Other members can fail on a later sample or weighting, and then the smaller ensembles would be lost as well.
    tree = ensemble.estimator
    is_tree = type(tree) is DecisionTreeClassifier and isinstance(tree.random_state, int | np.integer | None)
    return tree is None or is_tree


def _is_known_histogram(booster: Any, n_rows: int) -> bool:
    # As in scikit-learn's fit: "auto" is early stopping above this number of rows.
    stops = n_rows > 10_000 if booster.early_stopping == "auto" else booster.early_stopping
    # A scorer of one's own may look at `max_iter`.
    is_known = booster.loss == "log_loss" and not (stops and callable(booster.scoring))
    return is_known and _cuts_rounds()


@cache
def _cuts_rounds() -> bool:
    """Try whether `truncated` cuts this scikit-learn's histogram boosters."""
    X = np.arange(8.0).reshape(-1, 1)
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1, random_state=0).fit(X, X.ravel() > 3)
    first, second = model.staged_decision_function(X)
    try:
        cut = truncated(model, 1).decision_function(X)
    except AttributeError:
        return False
    return np.array_equal(cut, first) and not np.array_equal(cut, second)


def _pass_booster(model: Any, X: Any, ends: Collection[int]) -> Mapping[int, Predictions]:
    if set(ends) == {len(getattr(model, STAGED_ENSEMBLES[type(model)].by_stage[0]))}:
        return {end: _decide(model, model.decision_function(X)) for end in ends}
    decisions = islice(model.staged_decision_function(X), max(ends, default=0))
    return {end: _decide(model, decision) for end, decision in enumerate(decisions, start=1) if end in ends}


def _decide(model: Any, decision: NDArray[np.float64]) -> Predictions:
    """Do what the boosters' `predict_proba` and `predict` do with decision values."""
    is_histogram = isinstance(model, HistGradientBoostingClassifier)
    if decision.size == len(decision):
        # The one booster says it in one column, the other in none.
        decision = decision.ravel()
        positive = expit(2 * decision if model.loss == "exponential" else decision)
        # A decision value of 0 is the first class for the one and the second for the other.
        code = (decision > 0 if is_histogram else decision >= 0).astype(int)
        return Predictions(model.classes_, model.classes_[code], np.column_stack([1 - positive, positive]), decision)
    decision = np.asfortranarray(decision) if is_histogram else decision
    return Predictions(model.classes_, model.classes_[decision.argmax(axis=1)], softmax(decision), decision)


def _pass_forest(model: Any, X: Any, ends: Collection[int]) -> Mapping[int, Predictions]:
    # A forest refuses more than the conversion below, such as missing values in a sparse matrix.
    truncated(model, 1).predict_proba(X)
    X = validate_data(model, X, dtype=np.float32, accept_sparse="csr", reset=False, ensure_all_finite="allow-nan")
    trees = model.estimators_[: max(ends, default=0)]
    sums = accumulate(tree.predict_proba(X, check_input=False) for tree in trees)
    probas = {end: total / end for end, total in enumerate(sums, start=1) if end in ends}
    labels = {end: model.classes_.take(proba.argmax(axis=1)) for end, proba in probas.items()}
    return {end: Predictions(model.classes_, labels[end], proba) for end, proba in probas.items()}


PASSES: dict[type, Callable[[Any, Any, Collection[int]], Mapping[int, Predictions]]] = {
    GradientBoostingClassifier: _pass_booster,
    HistGradientBoostingClassifier: _pass_booster,
    RandomForestClassifier: _pass_forest,
    ExtraTreesClassifier: _pass_forest,
}
"""What predicts at several stages in one pass."""
