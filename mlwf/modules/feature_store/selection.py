"""Which features are joined: the references of the spec, resolved against the repo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mlwf.errors import ConfigError, FeatureStoreError, Problem, nearest
from mlwf.modules.feature_store.declared import HOLDS_AT_ANY_TIME
from mlwf.modules.feature_store.repo import quiet_feast
from mlwf.specs.feature_store import FeatureStoreSpec


@dataclass(frozen=True)
class Feature:
    """One feature to join."""

    view: str
    """Name of the view, or the alias that a feature service gives it."""
    name: str
    column: str
    """Name it gets beside the label columns: its own, or `view__name` when two views have one of that name."""


@dataclass(frozen=True)
class Selection:
    """The features to join, in order, and the views they come from."""

    features: tuple[Feature, ...]
    views: dict[str, Any] = field(default_factory=dict)
    """Feast's definitions by the name used in `features`."""

    def features_of(self, view: str) -> list[Feature]:
        """Return the features that come from one view, in order."""
        return [feature for feature in self.features if feature.view == view]

    def needs_time(self) -> bool:
        """Whether any view has rows that hold from a time on."""
        return any(not holds_at_any_time(view) for view in self.views.values())


def select(store: Any, spec: FeatureStoreSpec) -> Selection:
    """Resolve `features` or `feature_service`; the default is every feature view, declared ones first.

    Raises
    ------
    ConfigError
        When a view, feature or service is not in the repo; with the nearest name.
    """
    with quiet_feast():
        known = {view.name: view for view in store.list_all_feature_views()}
    if spec.feature_service is not None:
        if spec.features is not None:
            message = "contradicts features: both say what to join"
            raise ConfigError(Problem("", "feature_store.feature_service", message, "leave one of the two out"))
        views, pairs = _of_service(store, spec.feature_service)
    else:
        views, pairs = known, _of_references(known, spec)
    clashes = {name for name, times in Counter(name for _, name in pairs).items() if times > 1}
    features = tuple(
        Feature(view, name, f"{view}__{name}" if name in clashes else name)
        for view, name in pairs[: spec.n_features]
    )  # fmt: skip
    used = {feature.view: views[feature.view] for feature in features}
    _refuse_disabled(used.values())
    return Selection(features, used)


def split_on_demand(store: Any, selection: Selection) -> tuple[Selection, Selection]:
    """Split a selection into what is stored, with all that on-demand views need, and what is computed from it."""
    computed = {name: view for name, view in selection.views.items() if is_on_demand(view)}
    stored = {name: view for name, view in selection.views.items() if name not in computed}
    features = [feature for feature in selection.features if feature.view in stored]
    for view in computed.values():
        for projection in view.source_feature_view_projections.values():
            with quiet_feast():
                source = store.registry.get_any_feature_view(projection.name, store.project)
            stored.setdefault(projection.name_to_use(), source.with_projection(projection))
            wanted = {(feature.view, feature.name) for feature in features}
            features += [
                # Under its full name: the caller leaves out again what the selection does not name.
                Feature(projection.name_to_use(), one.name, f"{projection.name_to_use()}__{one.name}")
                for one in projection.features
                if (projection.name_to_use(), one.name) not in wanted
            ]
    rest = tuple(feature for feature in selection.features if feature.view in computed)
    return Selection(tuple(features), stored), Selection(rest, computed)


def is_on_demand(view: Any) -> bool:
    """Whether a view is computed from others and from the label row."""
    return hasattr(view, "feature_transformation") and not hasattr(view, "batch_source")


def holds_at_any_time(view: Any) -> bool:
    """Whether mlwf declared the view without a timestamp."""
    return HOLDS_AT_ANY_TIME in (view.tags or {})


def keys_of(view: Any) -> dict[str, str]:
    """Return the key columns: name in the label rows to name in the source."""
    renamed = view.projection.join_key_map
    return {
        renamed.get(column.name, column.name): column.name for column in view.entity_columns if not _is_dummy(column)
    }


def _of_references(known: dict[str, Any], spec: FeatureStoreSpec) -> list[tuple[str, str]]:
    references = spec.features
    if references is None:
        # The registry's order is the order of past applies; the declared order, then names, is the same everywhere.
        declared = [view.name for view in spec.views if view.name in known]
        others = sorted(
            name for name, view in known.items() if not is_on_demand(view) and getattr(view, "enabled", True)
        )  # fmt: skip
        references = list(dict.fromkeys([*declared, *others]))
    pairs: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for position, reference in enumerate(references):
        where = f"feature_store.features.{position}"
        view, _, name = reference.partition(":")
        if view not in known:
            problems.append(Problem("", where, f"no view {view} in the feature repo", nearest(view, known)))
            continue
        names = [feature.name for feature in known[view].features]
        if name and name not in names:
            problems.append(Problem("", where, f"no feature {name} in the view {view}", nearest(name, names)))
            continue
        pairs += [(view, one) for one in ([name] if name else names)]
    if problems:
        raise ConfigError(problems)
    return list(dict.fromkeys(pairs))


def _of_service(store: Any, name: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    with quiet_feast():
        services = {service.name: service for service in store.list_feature_services()}
        if name not in services:
            hint = nearest(name, services) if services else "the repo has none"
            raise ConfigError(Problem("", "feature_store.feature_service", f"no feature service {name}", hint))
        views: dict[str, Any] = {}
        pairs: list[tuple[str, str]] = []
        for projection in services[name].feature_view_projections:
            try:
                view = store.registry.get_any_feature_view(projection.name, store.project)
            except Exception as error:
                message = f"feature service {name} needs the view {projection.name}, which the feature repo has not"
                raise FeatureStoreError(message) from error
            views[projection.name_to_use()] = view.with_projection(projection)
            pairs += [(projection.name_to_use(), feature.name) for feature in projection.features]
    return views, pairs


def _refuse_disabled(views: Iterable[Any]) -> None:
    disabled = [view.name for view in views if not getattr(view, "enabled", True)]
    if disabled:
        message = f"disabled in the feature repo: {', '.join(disabled)}"
        raise ConfigError(
            Problem("", "feature_store.features", message, "feast feature-views enable NAME enables a view")
        )


def _is_dummy(column: Any) -> bool:
    # Feast gives a view without entities a key column of its own.
    return bool(column.name == "__dummy_id")
