"""The builders have a setter for every field of the spec they build."""

from __future__ import annotations

import pytest

from mlwf.specs.tuning import GridSearchSpec, GridSearchSpecBuilder, RandomizedSearchSpec, RandomizedSearchSpecBuilder

GRID = {"classifier__max_depth": [3, 5]}


@pytest.mark.parametrize(
    ("builder", "spec"),
    [(GridSearchSpecBuilder, GridSearchSpec), (RandomizedSearchSpecBuilder, RandomizedSearchSpec)],
    ids=["grid", "random"],
)
def test_builder_has_a_setter_for_every_field(builder, spec):
    setters = {name for name in dir(builder()) if name.startswith("set_")}
    assert setters == {f"set_{field}" for field in spec.model_fields if field != "strategy"}


def test_builder_chains_and_builds_the_spec():
    built = (
        GridSearchSpecBuilder()
        .set_param_grid(GRID)
        .set_cv_folds(3)
        .set_scoring(["accuracy", "f1"])
        .set_refit("f1")
        .set_n_jobs(-1)
        .build()
    )
    assert built == GridSearchSpec(param_grid=GRID, cv_folds=3, scoring=["accuracy", "f1"], refit="f1", n_jobs=-1)


def test_randomized_builder_builds_the_spec():
    built = RandomizedSearchSpecBuilder().set_param_distributions(GRID).set_n_iter(7).build()
    assert built == RandomizedSearchSpec(param_distributions=GRID, n_iter=7)


def test_builder_names_the_nearest_setter():
    with pytest.raises(AttributeError, match=r"^GridSearchSpecBuilder has no 'set_fold'; "):
        GridSearchSpecBuilder().set_fold  # noqa: B018


@pytest.mark.parametrize("value", [True, 1, "5"], ids=["boolean", "too few", "text"])
def test_builder_refuses_what_the_spec_refuses(value):
    with pytest.raises(ValueError, match="cv_folds"):
        GridSearchSpecBuilder().set_param_grid(GRID).set_cv_folds(value).build()
