"""Which penguin is it? The workflow from Python: search, calibrate, cross-validate, predict."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlwf import (
    CalibrationSpec,
    CategoricalFeatureSpec,
    ClassifierModelSpec,
    GridSearchSpecBuilder,
    NumericFeatureSpec,
    get_workflow_summary,
    run_ml_workflow,
)

DATA = Path(__file__).parents[2] / "configs/data"

train = pd.read_csv(DATA / "penguins.csv")
test = pd.read_csv(DATA / "penguins_test.csv")
feature_specs = [
    NumericFeatureSpec(columns=["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]),
    CategoricalFeatureSpec(columns=["island", "sex"]),
]
columns = [column for spec in feature_specs for column in spec.columns]

results = run_ml_workflow(
    feature_specs,
    ClassifierModelSpec(model_name="penguins", algorithm="logistic_regression"),
    X=train[columns],
    y=train["species"],
    X_test=test[columns],
    y_test=test["species"],
    validation_params={"cv_folds": 5, "shuffle": True},
    tuning_spec=GridSearchSpecBuilder().set_param_grid({"classifier__C": [0.1, 1.0, 10.0]}).build(),
    calibration_spec=CalibrationSpec(method="temperature"),
)

for key, value in get_workflow_summary(results).items():
    print(f"{key:22} {value}")

model = results["pipeline"]  # scikit-learn's own objects, fitted
chances = pd.DataFrame(model.predict_proba(test[columns]), columns=model.classes_)
print(chances.head(3).round(3).to_string())
