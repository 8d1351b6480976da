"""What determines a fit, and the key by which the fit cache finds it: in another phase, run or process."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy
import sklearn
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder

from mlwf.engine.requests import FitRequest
from mlwf.engine.staged_ensembles import stage_parameter
from mlwf.errors import FitError, raise_if_bug
from mlwf.specs.catalogue import find_algorithm
from mlwf.splitting.rows import Table

ENGINE = 1
"""Counted up when the same request would give other bits, so that older entries of the cache are not used."""

VERSIONS = (
    f"engine {ENGINE}, scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
    f"pandas {pd.__version__}, {platform.machine()}"
)

NEEDS_SEED: dict[type, Callable[[Any], bool]] = {
    DummyClassifier: lambda dummy: dummy.strategy in {"stratified", "uniform"},
    TargetEncoder: lambda encoder: isinstance(encoder.cv, int),
}
"""When estimators that are no algorithm of the catalogue make use of their `random_state`."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """What comes before the classifier, unfitted; None where nothing does."""

    preprocessor: Pipeline | None

    @cached_property
    def digest(self) -> str:
        """Identify it."""
        return str(joblib.hash(self.preprocessor))

    @cached_property
    def is_reproducible(self) -> bool:
        """Whether a second fit on the same rows gives the same bits."""
        return self.preprocessor is None or is_reproducible(self.preprocessor)


@dataclass(frozen=True, eq=False)
class Parts:
    """A pipeline with its parameters set, taken apart."""

    preparation: Preparation
    name: str | None
    """Name of the last step; None for a classifier that is in no pipeline."""
    classifier: Any
    """The last step, unfitted."""
    _digests: dict[str | None, str] = field(default_factory=dict, repr=False)

    @cached_property
    def is_reproducible(self) -> bool:
        """Whether a second fit on the same rows gives the same bits."""
        return self.preparation.is_reproducible and is_reproducible(self.classifier)

    def stage(self, n_rows: int) -> tuple[str, int] | None:
        """Give the parameter of which smaller values are parts of the same fit, and its value; None without one."""
        name = stage_parameter(self.classifier, n_rows) if self.is_reproducible else None
        return None if name is None else (name, int(self.classifier.get_params(deep=False)[name]))

    def learner(self, stage: tuple[str, int] | None) -> str:
        """Identify the classifier, whatever its stage."""
        name = None if stage is None else stage[0]
        if name not in self._digests:
            # A clone, since LightGBM remembers in its attributes which parameters were set one by one.
            alike = clone(self.classifier)
            alike = alike if name is None else alike.set_params(**{name: 1})
            self._digests[name] = str(joblib.hash(alike)) + _version_of(alike)
        return self._digests[name]

    def assemble(self, preprocessor: Pipeline | None, classifier: Any) -> Any:
        """Put fitted parts together, as a fit of the pipeline would have left them."""
        if self.name is None:
            return classifier
        return Pipeline([*(preprocessor.steps if preprocessor else ()), (self.name, classifier)])

    def classifier_of(self, assembled: Any) -> Any:
        """Give the classifier of what was put together."""
        return assembled if self.name is None else assembled[-1]


@dataclass(frozen=True, eq=False)
class FitKey:
    """What determines the fit of a request."""

    table: Table
    parts: Parts
    stage: tuple[str, int] | None
    """The stage parameter and its value, where smaller values are parts of the same fit."""
    preparation: str
    """Identifies the prepared training rows."""
    group: str
    """Identifies the fit, whatever its stage."""
    key: str
    """Identifies the fit."""


class FitKeyBuilder:
    """Makes the keys of requests; remembers the pipelines and tables that it has seen."""

    def __init__(self) -> None:
        self._parts: dict[tuple[int, str], Parts] = {}
        self._digests: dict[int, str] = {}
        self._seen: list[Any] = []  # an id is given again once its object is gone

    def identify(self, request: FitRequest, table: Table) -> FitKey | None:
        """Give the key of a request's fit; None for one that has to be fitted as a whole each time.

        That is what gives other bits each time, and what cannot be taken apart: parameters that do not exist, a step
        that is no estimator, a class that is neither scikit-learn's nor in the catalogue.
        """
        try:
            parts = self._parts_of(request.pipeline, request.params)
            if not parts.is_reproducible:
                return None
            stage = parts.stage(len(request.train))
            learner = parts.learner(stage)
        except Exception as error:
            raise_if_bug(error)
            return None
        table = table if request.table is None else request.table
        preparation = _digest(VERSIONS, self._digest_of(table), request.train.digest, parts.preparation.digest)
        # Class weights change the fit, and not how its rows are prepared.
        weighting = repr(table.class_weight) if request.class_weighted else ""
        group = _digest(preparation, weighting, learner)
        return FitKey(table, parts, stage, preparation, group, _digest(group, repr(stage)))

    def _parts_of(self, pipeline: Any, params: Mapping[str, Any]) -> Parts:
        key = (id(pipeline), str(joblib.hash(dict(params))))
        if key not in self._parts:
            self._seen.append(pipeline)
            self._parts[key] = self._take_apart(pipeline, params)
        return self._parts[key]

    def _take_apart(self, pipeline: Any, params: Mapping[str, Any]) -> Parts:
        params = {name: clone(value, safe=False) for name, value in params.items()}
        if not isinstance(pipeline, Pipeline):
            return Parts(Preparation(None), None, clone(pipeline).set_params(**params))
        if pipeline.memory is not None or pipeline.transform_input is not None:
            raise FitError("such a pipeline is fitted as a whole")
        name, classifier = pipeline.steps[-1]
        if params and all(each.startswith(f"{name}__") for each in params):
            # A search changes the classifier alone most often; then the preparation stays the very same.
            own = {each.removeprefix(f"{name}__"): value for each, value in params.items()}
            return Parts(self._parts_of(pipeline, {}).preparation, name, clone(classifier).set_params(**own))
        resolved = clone(pipeline).set_params(**params)
        name, classifier = resolved.steps[-1]
        return Parts(Preparation(resolved[:-1] if len(resolved) > 1 else None), name, classifier)

    def _digest_of(self, table: Table) -> str:
        if id(table) not in self._digests:
            self._seen.append(table)
            self._digests[id(table)] = table.digest or str(joblib.hash((table.X, table.y, table.weight)))
        return self._digests[id(table)]


def _version_of(classifier: Any) -> str:
    """Name the version of what is not scikit-learn's, whose versions are part of every key."""
    info = find_algorithm(classifier)
    return "" if info is None or info.package == "sklearn" else f" {info.distribution} {version(info.distribution)}"


def is_reproducible(estimator: Any) -> bool:
    """Tell whether a second fit on the same rows gives the same bits: classes that are known, with fixed seeds."""
    if not hasattr(estimator, "get_params"):
        return False
    for each in (estimator, *estimator.get_params(deep=True).values()):
        if not hasattr(each, "get_params") or isinstance(each, type):
            continue
        info = find_algorithm(each)
        if info is None and not type(each).__module__.startswith("sklearn."):
            return False
        seed = each.get_params(deep=False).get("random_state", 0)
        needs_seed = NEEDS_SEED.get(type(each), lambda _: True) if info is None else info.needs_seed
        if not isinstance(seed, int | np.integer | str) and needs_seed(each):
            return False
    return True


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
