"""Rules that need two sections of an experiment, or the catalogue: what no single spec can see."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from mlwf.specs import catalogue
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, KeyPath, SpecProblem
from mlwf.specs.tuning import GridSearchSpec, RandomizedSearchSpec


def broken_rules(spec: ExperimentSpec, *, doubtful: Collection[KeyPath] = ()) -> list[SpecProblem]:
    """List what contradicts itself in an experiment; a rule that reads something doubtful is left out."""
    return [
        problem
        for rule in RULES
        if not any(_overlap(path, pattern) for path in doubtful for pattern in rule.reads)
        for problem in rule.check(spec)
    ]


@dataclass(frozen=True)
class Rule:
    """A rule, and what it reads: dotted paths, where `*` is any item."""

    check: Callable[[ExperimentSpec], Iterator[SpecProblem]]
    reads: tuple[str, ...]


def _overlap(path: KeyPath, pattern: str) -> bool:
    """Whether one of the two is, or is inside, the other."""
    return all(part == "*" or part == str(key) for key, part in zip(path, pattern.split("."), strict=False))


def _encoding_is_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    try:
        codecs.lookup(spec.data.read.encoding)
    except (LookupError, ValueError):
        yield SpecProblem(
            ("data", "read", "encoding"), f"is {GOT}, which is no encoding", "accepted: utf-8, latin-1, ..."
        )


def _test_rows_are_others(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.data.test_path == spec.data.path:
        yield SpecProblem(("data", "test_path"), "is the same as path", "the test needs rows of its own")


def _columns_have_one_role(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Each column is the target, a weight, a time, dropped, or a feature once."""
    roles: dict[str | int, str] = {spec.data.target: "the target"}
    for name in ("sample_weight", "time"):
        column = getattr(spec.data, name)
        if column in roles:
            yield SpecProblem(("data", name), f"is {GOT}, which is {roles[column]} already")
        elif column is not None:
            roles[column] = f"data.{name}"
    for index, column in enumerate(spec.data.drop):
        path = ("data", "drop", index)
        if column == spec.data.target:
            yield SpecProblem(path, f"is {GOT}, which is the target", "it is not a feature anyway: leave it out here")
        elif roles.get(column) == "dropped":
            yield SpecProblem(path, f"is {GOT}, which is listed twice")
        roles.setdefault(column, "dropped")
    yield from _features_have_no_other_role(spec, roles)


def _features_have_no_other_role(spec: ExperimentSpec, roles: dict[str | int, str]) -> Iterator[SpecProblem]:
    for number, feature in enumerate(() if spec.features == "auto" else spec.features):
        for index, column in enumerate(feature.columns):
            if column in roles:
                role = roles[column]
                hint = "it has a meaning of its own: leave it out here" if role.startswith("data.") else ""
                hint = {"the target": "a feature cannot be what is predicted"}.get(role, hint)
                yield SpecProblem(("features", number, "columns", index), f"is {GOT}, which is {role} already", hint)
            roles[column] = f"in features.{number}"


def _some_column_is_a_feature(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.features == []:
        yield SpecProblem(("features",), f"is {GOT}: no column goes in", "accepted: auto, or a list of features")


def _class_weights_are_weights(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    weights = spec.model.class_weight
    for label, weight in weights.items() if isinstance(weights, dict) else ():
        if not (math.isfinite(weight) and weight >= 0):
            path = ("model", "class_weight", label)
            yield SpecProblem(path, f"is {GOT}", "accepted: a finite number, at least 0")


def _refit_names_a_scorer(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tuning is None:
        return
    names = spec.tuning.scorers
    accepted = f"accepted: {', '.join(names)}"
    if not names:
        yield SpecProblem(("tuning", "scoring"), "is an empty list", "accepted: a scorer, or a list of them")
    elif spec.tuning.refit is None and len(names) > 1:
        message = "refit is missing: scoring names several scorers, and one must choose"
        yield SpecProblem(("tuning", "refit"), message, accepted, about=("tuning",))
    elif spec.tuning.refit is not None and spec.tuning.refit not in names:
        yield SpecProblem(("tuning", "refit"), f"is {GOT}, which scoring does not name", accepted)


def _search_has_candidates(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    found = _parameters(spec)
    if found is None:
        return
    path, parameters = found
    if not parameters:
        hint = "accepted: classifier__NAME with a list of values"
        yield SpecProblem(path, f"is {GOT}: there is nothing to try", hint)


def _holdout_has_no_folds(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibration = spec.calibration
    if calibration is None or calibration.holdout is None:
        return
    if calibration.cv_folds is not None:
        message = "contradicts holdout, which calibrates without folds"
        yield SpecProblem(("calibration", "cv_folds"), message, "leave one of the two out", at_key=True)
    if not calibration.ensemble:
        message = "contradicts holdout, where there is one model in any case"
        yield SpecProblem(("calibration", "ensemble"), message, "leave one of the two out", at_key=True)


def _test_size_has_an_effect(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse elsewhere what only a hold-out uses: it would promise one."""
    validation = spec.validation
    if validation.strategy == "train_test":
        return
    given = [name for name in ("test_size", "refit") if name in validation.model_fields_set]
    for name in given:
        if name == "test_size" or validation.refit:
            message = f"has no effect with strategy {validation.strategy}"
            hint = "write strategy: train_test, or leave it out"
            yield SpecProblem(("validation", name), message, hint, at_key=True)


def _alias_has_a_model(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    alias = spec.tracking.alias if spec.tracking else None
    if spec.tracking is None or alias is None:
        return
    path = ("tracking", "alias")
    if re.fullmatch(r"latest|v\d+", alias, re.IGNORECASE):
        yield SpecProblem(path, f"is {GOT}, which MLflow keeps for itself", "accepted: all but latest, v1, v2, ...")
    if spec.tracking.registered_model_name is None:
        message = "has no model to name: registered_model_name is missing"
        yield SpecProblem(path, message, "an alias is given to a registered version", at_key=True)


def _tracking_uri_is_a_store(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    uri = spec.tracking.tracking_uri if spec.tracking else ""
    is_store = re.match(r"(sqlite|https?|postgresql|mysql|mssql)(\+\w+)?://|databricks($|:)", uri)
    if spec.tracking and not is_store:
        hint = "accepted: sqlite:///FILE, http://HOST:PORT"
        yield SpecProblem(("tracking", "tracking_uri"), f"is {GOT}, which is no store of MLflow", hint)


def _one_way_to_name_features(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    store = spec.feature_store
    if store and store.features is not None and store.feature_service is not None:
        message = "contradicts features: both say what to join"
        yield SpecProblem(("feature_store", "feature_service"), message, "leave one of the two out", at_key=True)


def _views_are_declared(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    store = spec.feature_store
    if store is None:
        return
    if store.views and not store.should_initialize():
        hint = "add initialize: true, or leave them out"
        yield SpecProblem(("feature_store", "views"), "are declared, and nothing creates them", hint, at_key=True)
    if store.should_initialize() and not store.views:
        name = "initialize" if store.initialize else "force_recreate"
        yield SpecProblem(("feature_store", name), "has nothing to create: views is missing", at_key=True)
    names: set[str] = set()
    for index, view in enumerate(store.views):
        if view.name in names:
            yield SpecProblem(("feature_store", "views", index, "name"), f"is {GOT}, which names another view already")
        names.add(view.name)


def _rows_have_one_time(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.feature_store and spec.feature_store.timestamp is not None and spec.data.time is not None:
        message = "contradicts data.time, which gives each row its own time"
        yield SpecProblem(("feature_store", "timestamp"), message, "leave one of the two out", at_key=True)


def _algorithm_is_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if hint := catalogue.check_algorithm(spec.model.algorithm):
        yield SpecProblem(("model", "algorithm"), f"is {GOT}", hint, tells_value=True)


def _hyperparameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    for name, message, hint in catalogue.check_hyperparameters(spec.model.algorithm, spec.model.hyperparameters):
        path = ("model", "hyperparameters", name)
        yield SpecProblem(path, message, hint, at_key=not message.startswith("is "), tells_value=True)


def _parameters(spec: ExperimentSpec) -> tuple[KeyPath, Any] | None:
    """Find what the search tries."""
    if isinstance(spec.tuning, GridSearchSpec):
        return ("tuning", "param_grid"), spec.tuning.param_grid
    if isinstance(spec.tuning, RandomizedSearchSpec):
        return ("tuning", "param_distributions"), spec.tuning.param_distributions
    return None


def _tried_parameters_are_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    found = _parameters(spec)
    if found is None:
        return
    where, parameters = found
    check = catalogue.check_param_grid if where[-1] == "param_grid" else catalogue.check_param_distributions
    for path, message, hint in check(spec.model.algorithm, spec.features, parameters):
        at_key = isinstance(path[-1], str) and not message.startswith("is ")
        yield SpecProblem((*where, *path), message, hint, at_key=at_key, tells_value=True)


def _scorers_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.tuning is None:
        return
    is_list = isinstance(spec.tuning.scoring, list)
    for index, name in enumerate(spec.tuning.scorers):
        if verdict := catalogue.check_scorer(name, spec.model.algorithm, spec.model.hyperparameters):
            path = ("tuning", "scoring", index) if is_list else ("tuning", "scoring")
            yield SpecProblem(path, *verdict, tells_value=True)


def _metrics_serve(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    calibrated = spec.calibration is not None and spec.calibration.enabled
    for index, name in enumerate(spec.validation.metrics or ()):
        model = spec.model
        if verdict := catalogue.check_metric(name, model.algorithm, model.hyperparameters, calibrated):
            yield SpecProblem(("validation", "metrics", index), *verdict, tells_value=True)


def _weights_are_used(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    algorithm = spec.model.algorithm
    if catalogue.check_algorithm(algorithm) or catalogue.takes_sample_weight(algorithm):
        return
    message = f"has no effect: {algorithm} cannot weigh rows"
    hint = "choose another algorithm, or leave it out"
    if spec.data.sample_weight is not None:
        yield SpecProblem(("data", "sample_weight"), message, hint, at_key=True)
    if spec.model.class_weight is not None:
        yield SpecProblem(("model", "class_weight"), message, hint, at_key=True)


_MODEL = ("model.algorithm", "model.hyperparameters")
_TRIED = ("tuning.strategy", "tuning.param_grid", "tuning.param_distributions")
_ROLES = ("data.target", "data.sample_weight", "data.time", "data.drop", "features.*.columns")

RULES: tuple[Rule, ...] = (
    Rule(_encoding_is_known, ("data.read.encoding",)),
    Rule(_test_rows_are_others, ("data.path", "data.test_path")),
    Rule(_columns_have_one_role, _ROLES),
    Rule(_some_column_is_a_feature, ("features",)),
    Rule(_algorithm_is_known, ("model.algorithm",)),
    Rule(_hyperparameters_are_known, _MODEL),
    Rule(_class_weights_are_weights, ("model.class_weight",)),
    Rule(_weights_are_used, ("model.algorithm", "data.sample_weight", "model.class_weight")),
    Rule(_refit_names_a_scorer, ("tuning.refit", "tuning.scoring")),
    Rule(_search_has_candidates, _TRIED),
    Rule(_tried_parameters_are_known, ("model.algorithm", "features.*.type", *_TRIED)),
    Rule(_scorers_serve, ("tuning.scoring", *_MODEL)),
    Rule(_holdout_has_no_folds, ("calibration.holdout", "calibration.cv_folds", "calibration.ensemble")),
    Rule(_test_size_has_an_effect, ("validation.strategy", "validation.test_size", "validation.refit")),
    Rule(_metrics_serve, ("validation.metrics", "calibration.enabled", *_MODEL)),
    Rule(_tracking_uri_is_a_store, ("tracking.tracking_uri",)),
    Rule(_alias_has_a_model, ("tracking.alias", "tracking.registered_model_name")),
    Rule(_one_way_to_name_features, ("feature_store.features", "feature_store.feature_service")),
    Rule(
        _views_are_declared, ("feature_store.views.*.name", "feature_store.initialize", "feature_store.force_recreate")
    ),
    Rule(_rows_have_one_time, ("feature_store.timestamp", "data.time")),
)
