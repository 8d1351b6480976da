"""A scorer of two classes is refused where the target has more, before anything is fitted."""

from __future__ import annotations

import pytest
from sklearn.datasets import load_iris

from mlwf import ClassifierModelSpec, GridSearchSpecBuilder, run_ml_workflow
from mlwf.errors import DataError


def test_scorers_of_two_classes_are_refused_for_three():
    X, y = load_iris(return_X_y=True, as_frame=True)
    grid = {"classifier__max_depth": [2]}
    with pytest.raises(DataError) as refused:
        run_ml_workflow(
            feature_specs="auto",
            model_spec=ClassifierModelSpec(algorithm="decision_tree"),
            X=X,
            y=y,
            tuning_spec=GridSearchSpecBuilder().set_param_grid(grid).set_scoring("f1").build(),
        )
    assert str(refused.value).splitlines() == [
        "tuning.scoring: f1 serves two classes, and the target has 3; accepted: f1_macro, f1_micro, f1_weighted",
    ]
