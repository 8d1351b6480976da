"""Labels as numbers: for classes that take 0, 1, ... alone, such as XGBoost's, and for those that sort texts anew.

Such a classifier is fitted and shipped in a VotingClassifier of one, which encodes the labels and decodes what is
predicted: a model file needs nothing of mlwf for it. Its probabilities are those of the one.

Others take texts, and look for the different ones several times a fit, each time by sorting all: a second of a million.
They are fitted on numbers, and get the texts as `classes_` afterwards.
"""

from __future__ import annotations

import copy
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mlwf.specs.catalogue import find_algorithm
from mlwf.splitting.rows import encode_labels


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


def fit_on_codes(model: Any, X: Any, y: NDArray[Any], **weight: Any) -> Any:
    """Fit a classifier on labels, and leave it as its `fit` does, without the sorting of texts where that can be."""
    holders = _label_holders(model) if y.dtype == object else ()
    if not holders:
        return model.fit(X, y, **weight)
    classes, codes = encode_labels(y)
    model.fit(X, codes, **weight)
    for name in holders:
        (getattr(model, name) if name else model).classes_ = classes
    return model


def _label_holders(model: Any) -> tuple[str, ...]:
    """Name the fitted attributes whose `classes_` is all that a classifier keeps of labels, "" for its own."""
    if isinstance(model, VotingClassifier):
        return ("", "le_") if len(model.estimators) == 1 else ()
    if isinstance(model, DummyClassifier):
        return ("",) if model.strategy == "prior" else ()
    info, params = find_algorithm(model), model.get_params(deep=False)
    if info is None or isinstance(params.get("class_weight"), dict) or params.get("scoring", "loss") != "loss":
        # Weights and a scorer's positive class are given by the label.
        return ()
    return info.label_holders
