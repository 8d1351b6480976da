from __future__ import annotations

import pytest

from mlwf.provenance import Protocol, Provenance
from mlwf.tables.descriptions import describe_calibration, describe_folds, describe_threshold

FOLDS = {"method": "isotonic", "ensemble": True, "cv_folds": 5, "holdout": None}
BEFORE = {"log_loss": 0.281, "brier_score": 0.0891, "ece": 0.021}
AFTER = {"log_loss": 0.2791, "brier_score": 0.0885, "ece": 0.00801}
THRESHOLD = {"scoring": "f1", "value": 0.41234, "response": "predict_proba", "score": 0.7231, "default_score": 0.7184}


TUNED = {"provenance": Provenance(None, 275, Protocol("calibration"), labels=("hyperparameters",)).to_dict()}


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        (FOLDS, "isotonic, 5 folds, ensemble"),
        ({**FOLDS, "ensemble": False, "cv_folds": 3}, "isotonic, 3 folds, one model"),
        ({**FOLDS, "ensemble": False, "cv_folds": None, "holdout": 0.2}, "isotonic, fitted on a hold-out of 20%"),
    ],
    ids=["ensemble", "one model", "holdout"],
)
def test_calibration_of_a_time_that_did_not_measure_it(calibration, told):
    assert describe_calibration(calibration) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"kept": True, "reason": "better beyond doubt", "before": BEFORE, "after": AFTER},
            (
                "kept: better beyond doubt\n"
                "out-of-fold log loss 0.2810 -> 0.2791, Brier score 0.0891 -> 0.0885, ECE 0.0210 -> 0.0080"
            ),
        ),
        (
            {
                "kept": False,
                "reason": "log loss 0.2 -> 0.3",
                "before": BEFORE,
                "after": AFTER,
                "difference": {"value": -0.1},
            },
            "not kept: log loss 0.2 -> 0.3\nout-of-fold Brier score 0.0891 -> 0.0885, ECE 0.0210 -> 0.0080",
        ),
        (
            {"kept": True, "reason": "", "before": None, "after": AFTER, **TUNED},
            "kept\nout-of-fold log loss 0.2791, Brier score 0.0885, ECE 0.0080 (tuned on the same rows)",
        ),
        ({"kept": True, "reason": "always", "before": BEFORE, "after": None}, "kept: always"),
    ],
    ids=["kept", "told by the reason", "without probabilities before", "not measured"],
)
def test_calibration_tells_what_it_changed(changes, told):
    assert describe_calibration({**FOLDS, **changes}) == f"isotonic, 5 folds, ensemble\n{told}"


@pytest.mark.parametrize(
    ("changes", "positive", "told"),
    [
        (
            {},
            ">50K",
            ">50K from a probability of 0.4123 on\ncross-fitted f1 0.7231, against 0.7184 with the default threshold",
        ),
        (
            {"value": -0.2, "response": "decision_function", **TUNED},
            None,
            (
                "positive from a decision value of -0.2000 on\n"
                "cross-fitted f1 0.7231, against 0.7184 with the default threshold (tuned on the same rows)"
            ),
        ),
    ],
    ids=["probability", "decision value"],
)
def test_threshold_tells_what_it_is_worth(changes, positive, told):
    assert describe_threshold({**THRESHOLD, **changes}, positive) == told


def chose(params, *, models=None, calibrated=None, threshold=None, features=None):
    return {"models": models, "params": params, "calibrated": calibrated, "threshold": threshold, "features": features}


@pytest.mark.parametrize(
    ("folds", "told"),
    [
        (
            [chose({"classifier__max_depth": depth, "classifier__C": 1.0}) for depth in (3, 2, None, 2, 2)],
            "5 folds chose 3 different settings\nmax_depth: 2 (3 folds), 3 (1 fold), null (1 fold)\nC: 1.0",
        ),
        (
            [chose({"classifier__C": 1.0}, models={"linear": 1.0}), chose({}, models={"near": 1.0})],
            "2 folds chose 2 different settings\nmodel: linear (1 fold), near (1 fold)\nC: 1.0 (1 fold), - (1 fold)",
        ),
        (
            [chose({}, models={"linear": 0.4, "near": 0.6}), chose({}, models={"near": 1.0})],
            "everything repeated in 2 folds\nensemble: in 1 of 2 folds\nmean weights: near 0.80, linear 0.20",
        ),
        ([chose({"preprocessor__k": 1})] * 3, "3 folds chose the same settings\npreprocessor__k: 1"),
        (
            [chose({"classifier__C": c}) for c in range(8)],
            (
                "8 folds chose 8 different settings\n"
                "C: 0 (1 fold), 1 (1 fold), 2 (1 fold), 3 (1 fold), 4 (1 fold), 5 (1 fold), and 2 more"
            ),
        ),
        (
            [chose({}, calibrated=True, threshold=0.5), chose({}, calibrated=False, threshold=0.41)],
            "everything repeated in 2 folds\ncalibrated: in 1 of 2 folds\nthreshold: 0.4100 – 0.5000",
        ),
        ([chose({}, threshold=0.41)] * 2, "everything repeated in 2 folds\nthreshold: 0.4100"),
        (
            [chose({}, features=["a", "b", "c"]), chose({}, features=["a", "b"])],
            "everything repeated in 2 folds\nfeatures: 2–3 columns; not in all folds: c",
        ),
        ([chose({}, features=["a"])] * 2, "everything repeated in 2 folds\nfeatures: the same 1 column"),
    ],
    ids=[
        "different",
        "models",
        "ensemble",
        "the same",
        "many",
        "calibrated",
        "one threshold",
        "features",
        "the same features",
    ],
)
def test_nested_tells_what_the_folds_chose(folds, told):
    assert describe_folds(folds) == told
