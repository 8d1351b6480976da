"""Labels for classes that take the numbers 0, 1, ... alone, such as XGBoost's: any label goes in, and comes out again.

Such a classifier is fitted and shipped in a VotingClassifier of one, which encodes the labels and decodes what is
predicted: a model file needs nothing of mlwf for it. Its probabilities are those of the one.
"""

from __future__ import annotations

import copy
from typing import Any

from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mlwf.specs.catalogue import find_algorithm


def with_label_codes(model: Any) -> Any:
    """Give an unfitted classifier as it is fitted, or a pipeline with it; of other classes the very same."""
    if isinstance(model, Pipeline):
        name, classifier = model.steps[-1]
        fitting = with_label_codes(classifier)
        # A pipeline with a cache, or with metadata for its steps, stays what it is.
        return model if fitting is classifier else model.set_params(**{name: fitting})
    info = find_algorithm(model)
    if info is None or not info.takes_codes:
        return model
    return VotingClassifier([(info.package, model)], voting="soft")


def encoded_classifier(model: Any) -> Any:
    """Give the fitted classifier inside of one that encodes labels; of any other model the model itself."""
    if isinstance(model, VotingClassifier) and len(model.estimators_) == 1:
        (classifier,) = model.estimators_
        info = find_algorithm(classifier)
        if info is not None and info.takes_codes:
            return classifier
    return model


def with_encoded_classifier(model: Any, classifier: Any) -> Any:
    """Copy a fitted model with another fitted classifier of its own inside, as `encoded_classifier` gave it."""
    if encoded_classifier(model) is model:
        return classifier
    ((name, unfitted),) = model.estimators
    params = {each: classifier.get_params(deep=False)[each] for each in unfitted.get_params(deep=False)}
    copied = copy.copy(model)
    copied.estimators = [(name, clone(unfitted).set_params(**params))]
    copied.estimators_ = [classifier]
    copied.named_estimators_ = Bunch(**{name: classifier})
    return copied
