"""Soft votes of pipelines: fitted by the fits of their members, so that no member is fitted for a second vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder

from mlwf.engine.requests import FitRequest, FitResult, Fitter
from mlwf.evaluation.predictions import Predictions


def build_vote(members: Mapping[str, Any], weights: Sequence[float]) -> VotingClassifier:
    """Build the unfitted classifier that averages the probabilities of pipelines, by their names."""
    return VotingClassifier(list(members.items()), voting="soft", weights=list(weights))


def fit_votes(requests: Sequence[FitRequest], fit: Fitter) -> list[FitResult]:
    """Make the fits of the requests, of which those of a soft vote are taken apart into those of its members.

    The predictions are those of the vote to the bit: `VotingClassifier` averages them by the same call. Its members
    are fitted on the labels as they are, where it would encode them first.
    """
    parts = [_members(request) for request in requests]
    results = iter(fit([member for part in parts for member in part]))
    return [
        _vote(request, list(islice(results, len(part)))) if is_vote(request) else next(results)
        for request, part in zip(requests, parts, strict=True)
    ]


def is_vote(request: FitRequest) -> bool:
    """Tell whether a request is for a soft vote; one inside a search is fitted as a whole."""
    pipeline = request.pipeline
    is_soft = type(pipeline) is VotingClassifier and pipeline.voting == "soft"
    return is_soft and not request.params and request.candidate_fold is None


def _members(request: FitRequest) -> list[FitRequest]:
    if not is_vote(request):
        return [request]
    return [replace(request, pipeline=member) for _, member in request.pipeline.estimators]


def _vote(request: FitRequest, results: Sequence[FitResult]) -> FitResult:
    """Put the results of the members together."""
    fit_seconds = sum(result.fit_seconds for result in results)
    predict_seconds = sum(result.predict_seconds for result in results)
    # What is late has an error too.
    missing = sorted((result for result in results if result.error), key=lambda result: not result.is_late)
    if missing:
        return replace(missing[0], predictions=(), model=None, fit_seconds=fit_seconds)
    predicted = list(zip(*(result.predictions for result in results), strict=True))
    weights = request.pipeline.weights
    return FitResult(
        tuple(average(parts, weights) for parts in predicted),
        _assemble(request.pipeline, [result.model for result in results]) if request.keep_model else None,
        fit_seconds,
        predict_seconds,
    )


def average(parts: Sequence[Predictions], weights: Sequence[float] | None) -> Predictions:
    """Average the probabilities of several models for the same rows, as VotingClassifier does."""
    proba = np.average(np.asarray([part.proba for part in parts]), axis=0, weights=weights)
    classes = parts[0].classes
    return Predictions(classes, classes[np.argmax(proba, axis=1)], proba)


def _assemble(unfitted: VotingClassifier, models: Sequence[Any]) -> Any:
    """Make the fitted vote of fitted members."""
    vote = clone(unfitted)
    vote.estimators_ = list(models)
    # scikit-learn has a Bunch, which skops does not load.
    vote.named_estimators_ = {name: model for (name, _), model in zip(vote.estimators, models, strict=True)}
    vote.le_ = LabelEncoder().fit(models[0].classes_)
    vote.classes_ = vote.le_.classes_
    if hasattr(models[0], "feature_names_in_"):
        vote.feature_names_in_ = models[0].feature_names_in_
    return vote
