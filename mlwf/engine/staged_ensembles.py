"""Ensembles that grow one stage after another: one fit contains the fit with every smaller number of stages.

Each tree is made from those before it and from the next numbers of a seeded generator, and none looks ahead. So what a
fit of 500 rounds or trees has after 100 of them is a fit of 100, to the bit. That holds for early stopping too: whether
a fit stops depends on the rounds until then alone. The other way round, a booster's fit of 100 rounds can be continued.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from itertools import accumulate, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import validate_data

from mlwf.engine.label_codes import encoded_classifier, with_encoded_classifier
from mlwf.engine.staged_boosters import BOOSTERS, StagedBooster
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.specs.catalogue.algorithms import Stages, find_algorithm


def stage_parameter(classifier: Any, n_rows: int) -> str | None:
    """Name the parameter of which one fit contains the fits with all smaller values, from 1 on, to the bit.

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
    info = find_algorithm(classifier)
    if info is None or info.stages is None or info.rounds is None or not _is_plain(classifier, info.rounds):
        return None
    is_exact = info.stages.is_exact(classifier, n_rows) and _can_truncate(info.stages)
    return info.rounds if is_exact else None


def truncated(model: Any, stage: int) -> Any:
    """Copy a fitted ensemble as a fit with only `stage` stages would have left it; both share their trees.

    Where the fit stopped before that, the copy has all that there is. It is not for a warm start, which would draw its
    random numbers after those of the longer fit.
    """
    stages, rounds = _stages_of(model)
    if stages.library is not None:
        return with_encoded_classifier(model, BOOSTERS[stages.library].cut(encoded_classifier(model), stage))
    cut = copy.copy(model).set_params(**{rounds: stage})
    for name, value in vars(model).items():
        # Early stopping by a scorer leaves a histogram booster a method of its own, which would call `model`.
        if getattr(value, "__self__", None) is model:
            delattr(cut, name)
    for names, length in ((stages.attributes, stage), (stages.attributes_from_start, stage + 1)):
        for name in names:
            if hasattr(model, name):
                # Copied, since a view of an array would hold every tree of the longer fit in memory.
                setattr(cut, name, copy.copy(getattr(model, name)[:length]))
    if "n_estimators_" in vars(cut):
        cut.n_estimators_ = len(cut.estimators_)
    if hasattr(cut, "oob_scores_"):
        cut.oob_score_ = cut.oob_scores_[-1]
    return cut


def is_resumable(model: Any) -> bool:
    """Tell whether a fitted classifier, whose stage parameter is known, can be continued to more stages, to the bit."""
    rule = _stages_of(model)[0].is_resumable
    return rule is not None and rule(model)


def may_be_resumable(classifier: Any) -> bool:
    """Tell of an unfitted classifier whether some of its fits can be continued."""
    info = find_algorithm(classifier)
    return info is not None and info.stages is not None and info.stages.is_resumable is not None


def resume(model: Any) -> Any:
    """Copy a resumable fitted classifier such that a fit with more stages adds to those it has."""
    return copy.deepcopy(model).set_params(warm_start=True)


def staged_predictions(model: Any, X: Any, stages: Sequence[int]) -> list[Predictions]:
    """Predict X, of shape (n_rows, n_features), with the truncated model of each stage, in one pass over the trees.

    Bits and memory layout are those of `predict(truncated(model, stage), X)`. scikit-learn's `staged_predict_proba`
    gives a histogram booster of eight classes or more other last bits than its `predict_proba`: numpy's sum over the
    classes depends on the layout.
    """
    stages_of_model, _ = _stages_of(model)
    if stages_of_model.library is not None:
        booster = BOOSTERS[stages_of_model.library]
        n_stages = booster.n_stages(encoded_classifier(model))
        return [_predict_booster(model, booster, X, min(stage, n_stages)) for stage in stages]
    if stages_of_model.prediction is None:
        return [predict(truncated(model, stage), X) for stage in stages]
    n_stages = len(getattr(model, stages_of_model.attributes[0]))
    ends = [min(stage, n_stages) for stage in stages]
    by_end = PASSES[stages_of_model.prediction](model, X, frozenset(ends))
    return [by_end[end] for end in ends]


def _stages_of(model: Any) -> tuple[Stages, str]:
    info = find_algorithm(encoded_classifier(model))
    if info is None or info.stages is None or info.rounds is None:
        raise TypeError(f"{type(model).__name__} has no stages")
    return info.stages, info.rounds


def _is_plain(classifier: Any, parameter: str) -> bool:
    # CatBoost keeps its parameters there alone.
    params = classifier.get_params(deep=False)
    value = params.get(parameter)
    return (
        type(value) is int
        and value >= 1
        and isinstance(params.get("random_state"), int | np.integer)
        and params.get("n_jobs", params.get("thread_count")) in (None, 1)
        and not params.get("warm_start")
        and not params.get("oob_score")
    )


def _predict_booster(model: Any, booster: StagedBooster, X: Any, end: int) -> Predictions:
    classifier = encoded_classifier(model)
    proba = booster.predict_proba(classifier, X, end)
    decision = None
    if classifier is not model:
        # As a VotingClassifier averages one.
        proba = np.average(np.asarray([proba]), axis=0)
    elif booster.decision_function is not None and hasattr(model, "decision_function"):
        decision = booster.decision_function(model, X, end)
    return Predictions(model.classes_, model.classes_[proba.argmax(axis=1)], proba, decision)


def _can_truncate(stages: Stages) -> bool:
    # Only a private attribute may have another meaning in another version.
    return not any(name.startswith("_") for name in stages.attributes) or _cuts_rounds()


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


def _pass_gradient_boosting(model: Any, X: Any, ends: Collection[int]) -> Mapping[int, Predictions]:
    return {end: _decide(model, values) for end, values in _decisions(model, X, ends, len(model.estimators_)).items()}


def _pass_histogram_boosting(model: Any, X: Any, ends: Collection[int]) -> Mapping[int, Predictions]:
    return {
        end: _decide(model, values, is_histogram=True)
        for end, values in _decisions(model, X, ends, model.n_iter_).items()
    }


def _decisions(model: Any, X: Any, ends: Collection[int], n_stages: int) -> dict[int, NDArray[np.float64]]:
    if set(ends) == {n_stages}:
        return {n_stages: model.decision_function(X)}
    decisions = islice(model.staged_decision_function(X), max(ends, default=0))
    return {end: decision for end, decision in enumerate(decisions, start=1) if end in ends}


def _decide(model: Any, decision: NDArray[np.float64], *, is_histogram: bool = False) -> Predictions:
    """Do what the boosters' `predict_proba` and `predict` do with decision values."""
    if decision.size == len(decision):
        # The one booster gives it in one column, the other in none.
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


PASSES: dict[str, Callable[[Any, Any, Collection[int]], Mapping[int, Predictions]]] = {
    "boosting": _pass_gradient_boosting,
    "histogram_boosting": _pass_histogram_boosting,
    "forest": _pass_forest,
}
"""What predicts at several stages in one pass, by `Stages.prediction`."""
