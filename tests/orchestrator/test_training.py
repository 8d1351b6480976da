"""What is chosen in a fold is chosen on its training rows alone, and every number says on which rows it was got."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict

from mlwf import CalibrationSpec, ClassifierModelSpec, GridSearchSpec, ThresholdSpec, run_ml_workflow
from mlwf.engine.out_of_fold import OutOfFold, TrainedModel
from mlwf.errors import FitError
from mlwf.modules.inference import infer_features
from mlwf.modules.threshold import choose_threshold
from mlwf.orchestrator.choosing import search
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_data import load_arrays, with_test
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.run_provenance import (
    add_calibration_provenance,
    add_threshold_provenance,
    of_cross_validation,
    of_holdout,
    of_search,
    of_test,
)
from mlwf.orchestrator.training_steps import (
    add_threshold,
    calibrate_pipeline,
    describe_choices,
    fit_pipeline,
    make_nested_train_fn,
    make_train_fn,
)
from mlwf.orchestrator.workflow import build_pipeline
from mlwf.specs.data import IN_MEMORY, DataSpec
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import NumericFeatureSpec
from mlwf.splitting.rows import Rows, Split
from tests.reference_fitter import ReferenceFitter

N = 150
RANDOM = np.random.default_rng(11)
SIGNAL = RANDOM.normal(size=N)
Y = np.where(SIGNAL + RANDOM.normal(0, 1, N) > 0.4, "yes", "no").astype(object)
# Bayes takes four copies for four witnesses, and is far too sure: a calibration is worth keeping.
COPIES = pd.DataFrame({f"copy_{at}": SIGNAL + RANDOM.normal(0, 0.1, N) for at in range(4)})
MIXED = pd.DataFrame(
    {
        "signal": SIGNAL,
        "noise": RANDOM.normal(size=N),
        "city": RANDOM.choice(["Bergen", "Lyon", "Turin"], N),
        "flag": np.full(N, "usual"),
    }
)
NUMBERS = [NumericFeatureSpec(columns=list(COPIES.columns))]
BAYES = {"algorithm": "gaussian_nb"}
TREE = {"algorithm": "decision_tree", "hyperparameters": {"max_depth": 3}}
DEPTHS = {"strategy": "grid", "param_grid": {"classifier__max_depth": [1, 4]}, "cv_folds": 3}
VALIDATION = {"cv_folds": 3, "metrics": ["accuracy"]}


def context_of(X, y, *, carried=None, test=None, **sections):
    """Make the context of a run on rows that are in memory."""
    carried = carried or {}
    data = DataSpec(path=IN_MEMORY, target="y").model_copy(update={name: name for name in carried})
    spec = ExperimentSpec(data=data, **{"validation": VALIDATION, **sections})
    load = load_arrays(X, y, **carried)
    return RunContext(spec, (with_test(load, *test) if test else load)(spec), RunLog())


class Counting(ReferenceFitter):
    """Makes fits on the rows of a context, and counts them."""

    def __init__(self, context):
        super().__init__(context.table, on_fit=self._count)
        self.n_fits = 0

    def _count(self):
        self.n_fits += 1


def config_of(context, fit):
    """Make the config that a run has when it validates, and keep the models of the folds."""
    config = build_pipeline(context)
    if context.tuning is not None:
        config = config.with_search(search(context, config, context.split.train, fit))
    return dataclasses.replace(
        config, is_calibrated=context.calibration is not None, has_threshold=context.threshold is not None
    )


# A fold that is not nested


@pytest.fixture(scope="module")
def sure():
    """Give a context in which a calibration is worth keeping."""
    return context_of(COPIES, Y, features=NUMBERS, model=BAYES, calibration={"cv_folds": 4}, threshold={})


def test_a_fold_calibrates_on_the_rows_of_its_fold(sure):
    folds = StratifiedKFold(4, shuffle=True, random_state=42)
    with Counting(sure) as fit:
        config = dataclasses.replace(config_of(sure, fit), has_threshold=False)
        for split in sure.validation_splits:
            train, test = split.train.index, split.test.index
            trained = make_train_fn(sure, config)(split, fit)
            expected = CalibratedClassifierCV(clone(config.pipeline), cv=folds).fit(COPIES.iloc[train], Y[train])
            assert np.array_equal(trained.predictions.proba, expected.predict_proba(COPIES.iloc[test]))
            assert trained.calibration.kept
            assert trained.calibration.n_rows == 100
            said = cross_val_predict(config.pipeline, COPIES.iloc[train], Y[train], cv=folds, method="predict_proba")
            assert trained.calibration.before.log_loss == pytest.approx(log_loss(Y[train], said))


def test_a_fold_decides_in_each_fold_whether_its_calibration_is_kept():
    # Logistic regression needs none.
    context = context_of(
        COPIES, Y, features=NUMBERS, model={"algorithm": "logistic_regression"}, calibration={"method": "isotonic"}
    )
    with Counting(context) as fit:
        config = config_of(context, fit)
        for split in context.validation_splits:
            trained = make_train_fn(context, config)(split, fit)
            plain = fit_pipeline(config, split, fit)
            assert not trained.calibration.kept
            assert np.array_equal(trained.predictions.proba, plain.predictions.proba)
            assert np.array_equal(trained.model.predict_proba(COPIES), plain.model.predict_proba(COPIES))


@pytest.mark.parametrize("keep", ["better", "always"])
def test_a_fold_chooses_its_threshold_on_calibrated_scores_of_other_folds(sure, keep):
    spec = sure.calibration.model_copy(update={"keep": keep})
    context = RunContext(sure.spec.model_copy(update={"calibration": spec}), sure.run_data, RunLog())
    with Counting(context) as fit:
        config = config_of(context, fit)
        split = context.validation_splits[0]
        trained = make_train_fn(context, config)(split, fit)
        fits = fit.n_fits
        alone = calibrate_pipeline(context, config, split, fit)
    assert alone.out_of_fold.predictions.decision is None
    expected = choose_threshold(context.threshold, alone.out_of_fold, context.table)
    assert trained.threshold == expected
    assert expected.n_rows == 100
    said_yes = trained.predictions.proba[:, 1] >= expected.value
    assert np.array_equal(trained.predictions.labels, np.where(said_yes, "yes", "no"))
    # The calibration's four fits are all that there were.
    assert fits == 4


def test_a_fold_whose_calibration_is_not_kept_chooses_its_threshold_on_the_classifiers_own_scores():
    model = {"algorithm": "logistic_regression"}
    context = context_of(
        COPIES, Y, features=NUMBERS, model=model, calibration={"method": "isotonic"}, threshold={"scoring": "f1"}
    )
    split, folds = context.validation_splits[0], StratifiedKFold(3, shuffle=True, random_state=42)
    train = split.train.index
    with Counting(context) as fit:
        config = config_of(context, fit)
        trained = make_train_fn(context, config)(split, fit)
    said = cross_val_predict(config.pipeline, COPIES.iloc[train], Y[train], cv=folds, method="predict_proba")
    assert not trained.calibration.kept
    assert np.array_equal(trained.out_of_fold.predictions.proba, said)
    assert trained.threshold == choose_threshold(context.threshold, trained.out_of_fold, context.table)


@pytest.mark.parametrize(
    ("sections", "fits"),
    [
        ({}, 3 + 1),
        ({"tuning": DEPTHS}, 3 + 1),
        ({"calibration": {"cv_folds": 2}}, 2),
        ({"tuning": DEPTHS, "calibration": {"cv_folds": 2, "keep": "always"}}, 2),
        ({"calibration": {"holdout": 0.4, "keep": "always"}}, 1),
    ],
    ids=["alone", "after a search", "after a calibration", "after both", "after a calibration on a hold-out"],
)
def test_the_threshold_of_a_fold_takes_what_fold_models_have_said(sections, fits):
    model = TREE if "tuning" in sections else BAYES
    context = context_of(COPIES, Y, features=NUMBERS, model=model, threshold={}, **sections)
    with Counting(context) as fit:
        train_fn = make_train_fn(context, config_of(context, fit))
        before = fit.n_fits
        trained = train_fn(context.validation_splits[0], fit)
    assert trained.threshold is not None
    assert fit.n_fits - before == fits


def test_the_runs_own_threshold_takes_what_the_search_has_said():
    context = context_of(COPIES, Y, features=NUMBERS, model=TREE, threshold={"scoring": "f1"}, tuning=DEPTHS)
    with Counting(context) as fit:
        config = config_of(context, fit)
        trained = fit_pipeline(config, context.split, fit)
        fits = fit.n_fits
        settled = add_threshold(context, config, trained, context.split, fit)
        assert fit.n_fits == fits
        # Fitted anew, the fold models say the same.
        anew = add_threshold(context, dataclasses.replace(config, out_of_fold=None), trained, context.split, fit)
    assert settled.threshold == anew.threshold


def test_the_search_of_the_run_has_no_say_in_the_threshold_of_a_fold():
    context = context_of(COPIES, Y, features=NUMBERS, model=TREE, threshold={}, tuning=DEPTHS)
    with Counting(context) as fit:
        config = config_of(context, fit)
        forgetful = dataclasses.replace(config, out_of_fold=None)
        for split in context.validation_splits:
            ours, theirs = (make_train_fn(context, each)(split, fit).threshold for each in (config, forgetful))
            assert ours == theirs
            assert ours.n_rows == len(split.train)


# A calibration on a hold-out


def holdout_context(holdout, **sections):
    calibration = {"holdout": holdout, **sections.pop("calibration", {})}
    return context_of(COPIES, Y, features=NUMBERS, model=BAYES, calibration=calibration, **sections)


def test_a_calibration_on_a_hold_out_is_measured_by_cutting_that_again():
    context = holdout_context(0.4, calibration={"keep": "always"})
    with Counting(context) as fit:
        trained = calibrate_pipeline(context, config_of(context, fit), context.split, fit)
    result, out_of_fold = trained.calibration, trained.out_of_fold
    assert (result.n_rows, result.cv_folds, result.holdout) == (60, None, 0.4)
    assert len(out_of_fold.folds) == 3
    assert sorted(np.concatenate(out_of_fold.folds).tolist()) == list(range(60))
    assert result.after.log_loss == pytest.approx(log_loss(Y[out_of_fold.rows.index], out_of_fold.predictions.proba))
    (inner,) = context.calibration_splitter(context.table, context.split.train)
    assert set(out_of_fold.rows.index) == set(inner.test.index)


@pytest.mark.parametrize("keep", ["better", "always"])
def test_a_hold_out_too_small_to_be_cut_measures_nothing(keep):
    context = holdout_context(0.02, calibration={"keep": keep})
    with Counting(context) as fit:
        trained = calibrate_pipeline(context, config_of(context, fit), context.split, fit)
    assert trained.calibration.kept is (keep == "always")
    assert (trained.calibration.before, trained.calibration.after) == (None, None)


def test_no_threshold_is_chosen_on_scores_from_before_a_calibration():
    context = holdout_context(0.02, calibration={"keep": "always"}, threshold={})
    with Counting(context) as fit:
        config = config_of(context, fit)
        with pytest.raises(FitError) as refused:
            make_train_fn(context, config)(context.split, fit)
        assert str(refused.value) == "the calibration leaves no rows to choose it on"
        # Nor on those of the search, which are of the same kind.
        trained = calibrate_pipeline(context, config, context.split, fit)
        some = Rows(np.arange(4))
        searched = dataclasses.replace(config, out_of_fold=OutOfFold(some, trained.predictions, (np.arange(4),)))
        with pytest.raises(FitError, match="leaves no rows"):
            add_threshold(context, searched, trained, context.split, fit)


def test_in_order_nothing_is_chosen_on_later_rows():
    order = RANDOM.permutation(N)
    context = context_of(
        COPIES, Y, features=NUMBERS, model=BAYES, calibration={"cv_folds": 4}, threshold={}, carried={"time": order}
    )
    split = Split(context.split.train, context.validation_splits[-1].test)
    with Counting(context) as fit:
        config = config_of(context, fit)
        out_of_fold = calibrate_pipeline(context, config, split, fit).out_of_fold
        trained = make_train_fn(context, config)(split, fit)
    assert all(order[out_of_fold.rows.index[fold]].min() > N // 5 for fold in out_of_fold.folds)
    expected = choose_threshold(context.threshold, out_of_fold, context.table, ordered=True)
    assert trained.threshold == expected
    assert expected != choose_threshold(context.threshold, out_of_fold, context.table)


# A nested fold


def exchanged(y, rows):
    """Exchange the labels of neighbours in some rows, which leaves every stratified split where it was."""
    y, inside = y.copy(), set(rows.tolist())
    pairs = [row for row in range(1, len(y) - 1) if {row, row + 1} <= inside and y[row] != y[row + 1]]
    for row in pairs:
        y[[row, row + 1]] = y[[row + 1, row]]
    assert len(pairs) > 1
    return y


def turned(y, rows):
    """Turn the labels of some rows round."""
    y = y.copy()
    y[rows] = np.where(y[rows] == "yes", "no", "yes")
    return y


def spoilt(X, rows):
    """Put into some rows what is found nowhere else: it changes which features all rows together suggest."""
    X = X.copy()
    X.loc[rows, "signal"] *= -50
    X.loc[rows, "noise"] = 1e6 + np.arange(len(rows))
    X.loc[rows, "city"] = [f"nowhere {row}" for row in rows]
    X.loc[rows, "flag"] = [f"unusual {row % 2}" for row in rows]
    return X


FOLD = {"fold": np.arange(N) % 4}
EVERYTHING = {"model": TREE, "tuning": DEPTHS, "calibration": {"keep": "better"}, "threshold": {"scoring": "f1"}}
ALWAYS = {**EVERYTHING, "calibration": {"keep": "always", "holdout": 0.4}}
# What suits 75 rows is too many for the 50 that a fold's search learns from.
TOO_MANY = {"strategy": "grid", "param_grid": {"classifier__n_neighbors": [60]}, "cv_folds": 2}
FAILING = {"model": {"algorithm": "knn"}, "tuning": TOO_MANY, "threshold": {}}
NESTED = {
    "stratified folds": (exchanged, None, EVERYTHING),
    "given folds": (turned, FOLD, EVERYTHING),
    "a calibration on a hold-out": (exchanged, None, ALWAYS),
    "a search that fails": (exchanged, None, FAILING),
}


@pytest.mark.parametrize(("relabelled", "carried", "sections"), NESTED.values(), ids=NESTED)
def test_a_nested_fold_is_not_moved_by_the_rows_that_it_judges(relabelled, carried, sections):
    nested = {"carried": carried, "validation": {**VALIDATION, "nested": True}, **sections}
    clean = context_of(MIXED, Y, **nested)
    split = clean.validation_splits[1]
    held_out = split.test.index
    dirty = context_of(spoilt(MIXED, held_out), relabelled(Y, held_out), **nested)
    assert np.array_equal(dirty.validation_splits[1].test.index, held_out)
    assert np.array_equal(dirty.validation_splits[1].train.index, split.train.index)
    # What all rows suggest is another thing, so whoever looks at them is found out.
    assert list(dirty.run_data.features) != list(clean.run_data.features)

    found = []
    for context in (clean, dirty):
        with Counting(context) as fit:
            config = config_of(context, fit)
            assert config.out_of_fold is not None
            found.append(make_nested_train_fn(context, config)(split, fit))
    before, after = found
    assert list(before.features) == list(after.features)
    assert before.params == after.params
    assert before.calibration == after.calibration
    assert before.threshold == after.threshold
    assert np.array_equal(before.model.predict_proba(MIXED), after.model.predict_proba(MIXED))
    assert np.array_equal(before.model.predict(MIXED), after.model.predict(MIXED))
    assert not np.array_equal(before.predictions.proba, after.predictions.proba)


def test_a_nested_fold_searches_as_scikit_learn_does_on_its_training_rows():
    context = context_of(COPIES, Y, features=NUMBERS, model=TREE, tuning=DEPTHS)
    folds = StratifiedKFold(3, shuffle=True, random_state=42)
    chosen = []
    with Counting(context) as fit:
        config = config_of(context, fit)
        for split in context.validation_splits:
            trained = make_nested_train_fn(context, config)(split, fit)
            train, test = split.train.index, split.test.index
            grid = GridSearchCV(config.pipeline, DEPTHS["param_grid"], cv=folds).fit(COPIES.iloc[train], Y[train])
            assert trained.params == grid.best_params_
            assert np.array_equal(trained.predictions.proba, grid.predict_proba(COPIES.iloc[test]))
            chosen.append(trained.params["classifier__max_depth"])
    # The folds need not agree with the run, nor with each other.
    assert set(chosen) != {config.params["classifier__max_depth"]}


def test_a_nested_fold_chooses_its_threshold_by_its_own_search():
    context = context_of(COPIES, Y, features=NUMBERS, model=TREE, tuning=DEPTHS, threshold={"scoring": "f1"})
    split = context.validation_splits[0]
    with Counting(context) as fit:
        config = config_of(context, fit)
        trained = make_nested_train_fn(context, config)(split, fit)
        told = dataclasses.replace(config, params=trained.params, is_tuned=False, out_of_fold=None)
        assert trained.threshold == make_train_fn(context, told)(split, fit).threshold
    assert trained.threshold.n_rows == 100


def test_a_nested_fold_infers_its_features_from_its_training_rows():
    X = MIXED.copy()
    context = context_of(X, Y, model=BAYES)
    split = context.validation_splits[2]
    X = spoilt(X, split.test.index)
    context = context_of(X, Y, model=BAYES)
    with Counting(context) as fit:
        config = config_of(context, fit)
        for number, each in enumerate(context.validation_splits):
            trained = make_nested_train_fn(context, config)(each, fit)
            expected = infer_features(X.iloc[each.train.index]).features
            assert list(trained.features) == expected
            columns = [column for feature in expected for column in feature.columns]
            # Two folds learn from the odd rows, as the run does: that need not be told.
            assert ("flag" in columns) is (number != 2)
            assert describe_choices(context, trained)["features"] == (columns if number == 2 else None)


def test_features_that_are_written_are_not_inferred():
    context = context_of(COPIES, Y, features=NUMBERS, model=BAYES)
    with Counting(context) as fit:
        trained = make_nested_train_fn(context, config_of(context, fit))(context.validation_splits[0], fit)
    assert trained.features is None
    nothing = {"models": None, "params": {}, "calibrated": None, "threshold": None, "features": None}
    assert describe_choices(context, trained) == nothing


def test_choices_tell_what_a_fold_chose():
    context = context_of(MIXED, Y, **EVERYTHING)
    with Counting(context) as fit:
        trained = make_nested_train_fn(context, config_of(context, fit))(context.validation_splits[0], fit)
    assert describe_choices(context, trained) == {
        "models": None,
        "params": trained.params,
        "calibrated": trained.calibration.kept,
        "threshold": trained.threshold.value,
        "features": None,
    }


def test_a_search_that_fails_in_a_fold_is_told_and_the_fold_goes_on_with_what_is_written():
    context = context_of(COPIES, Y, features=NUMBERS, **FAILING)
    with Counting(context) as fit:
        config = config_of(context, fit)
        assert config.params == {"classifier__n_neighbors": 60}
        for split in context.validation_splits:
            trained = make_nested_train_fn(context, config)(split, fit)
            written = dataclasses.replace(config, params={}, is_tuned=False)
            plain = make_train_fn(context, written)(split, fit)
            assert trained.params == {}
            assert trained.threshold == plain.threshold
            assert np.array_equal(trained.predictions.proba, plain.predictions.proba)
    assert context.run_log.warnings == [
        (
            "a fold of the nested validation was not tuned: none of the 1 candidates could be scored: ValueError: "
            "Expected n_neighbors <= n_samples_fit, but n_neighbors = 60, n_samples_fit = 50, n_samples = 50"
        )
    ]


def test_a_search_that_fails_in_a_fold_fails_the_run_where_asked():
    context = context_of(COPIES, Y, features=NUMBERS, on_error="fail", **FAILING)
    with Counting(context) as fit:
        train_fn = make_nested_train_fn(context, config_of(context, fit))
        with pytest.raises(
            FitError, match="none of the 1 candidates could be scored: ValueError: Expected n_neighbors"
        ):
            train_fn(context.validation_splits[0], fit)


def test_a_fit_that_fails_is_told():
    context = context_of(
        COPIES, Y, features=NUMBERS, model={"algorithm": "knn", "hyperparameters": {"n_neighbors": 120}}
    )
    with (
        Counting(context) as fit,
        pytest.raises(FitError, match=r"^the model could not be fitted: ValueError: Expected"),
    ):
        make_train_fn(context, config_of(context, fit))(context.validation_splits[0], fit)


# Circumstances


DAYS = {"time": np.arange(N)}
PEOPLE = {"groups": np.arange(N) // 10}
ROWS = "of 150 rows"
NOTES = {
    "stratified_kfold": ({}, None, f"3-fold stratified cross-validation {ROWS}, shuffled"),
    "in order of the table": ({"shuffle": False}, None, f"3-fold stratified cross-validation {ROWS}, not shuffled"),
    "kfold": ({"splitter": "kfold"}, None, f"3-fold cross-validation {ROWS}, shuffled"),
    "repeated_stratified_kfold": (
        {"splitter": "repeated_stratified_kfold", "n_repeats": 2},
        None,
        f"2 times 3-fold stratified cross-validation {ROWS}",
    ),
    "repeated_kfold": ({"splitter": "repeated_kfold"}, None, f"3 times 3-fold cross-validation {ROWS}"),
    "stratified_group_kfold": (
        {},
        PEOPLE,
        f"3-fold stratified cross-validation {ROWS}, groups of groups kept together",
    ),
    "leave_one_group_out": (
        {"splitter": "leave_one_group_out"},
        PEOPLE,
        f"cross-validation {ROWS}, leaving out one groups of 15",
    ),
    "time_series_split": ({}, DAYS, "3-fold cross-validation of 111 rows, learnt from earlier time"),
    "time_series_split with a gap": (
        {"gap": 5},
        DAYS,
        "3-fold cross-validation of 111 rows, learnt from earlier time, 5 rows left out before each",
    ),
    "predefined_split": ({}, FOLD, f"cross-validation {ROWS} by the 4 folds of fold"),
}


@pytest.mark.parametrize(("validation", "carried", "note"), NOTES.values(), ids=NOTES)
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_a_cross_validated_number_says_how_the_rows_were_cut(validation, carried, note, nested):
    context = context_of(
        COPIES, Y, features=NUMBERS, carried=carried, validation={**VALIDATION, "nested": nested, **validation}
    )
    told = of_cross_validation(context, ())
    assert told.note == f"{'nested ' * nested}{note}"
    assert told.rows == tuple(f"fold_{at}_test" for at in range(len(context.validation_splits)))
    assert (told.source, told.selected_on, told.tuned_on_same_rows) == ("cross_validation", {}, False)


CHOSEN = ("hyperparameters", "features", "calibration", "threshold")
INSIDE = ("fold_0_train", "fold_1_train", "fold_2_train")


def test_what_the_run_chose_before_it_validates_was_chosen_on_the_rows_that_it_judges():
    told = of_cross_validation(context_of(MIXED, Y, carried={"sample_weight": np.ones(N)}), CHOSEN)
    assert told.note == (
        f"3-fold stratified cross-validation {ROWS}, shuffled; tuned on the same rows; features inferred on the same "
        "rows; weighted by sample_weight"
    )
    assert told.tuned_on_same_rows
    # Each fold repeats the calibration and the threshold in any case.
    assert told.selected_on == {
        "hyperparameters": ("train",) * 3, "features": ("train",) * 3, "calibration": INSIDE, "threshold": INSIDE,
    }  # fmt: skip


def test_features_alone_are_labelled_and_no_tuning():
    told = of_cross_validation(context_of(MIXED, Y), ("features",))
    assert told.note.endswith("shuffled; features inferred on the same rows")
    assert not told.tuned_on_same_rows


def test_a_nested_number_is_free_of_what_was_chosen():
    told = of_cross_validation(context_of(MIXED, Y, validation={**VALIDATION, "nested": True}), CHOSEN)
    assert told.note == f"nested 3-fold stratified cross-validation {ROWS}, shuffled"
    assert not told.tuned_on_same_rows
    assert told.selected_on == dict.fromkeys(CHOSEN, INSIDE)


@pytest.mark.parametrize(
    ("carried", "how"),
    [
        (None, ""),
        (DAYS, ", the latest by time"),
        (PEOPLE, ", whole groups of groups"),
        ({**DAYS, **PEOPLE}, ", the latest by time"),
    ],
    ids=["any rows", "time", "groups", "both"],
)
def test_a_held_out_number_says_which_rows_were_held_out(carried, how):
    validation = {"strategy": "train_test", "splitter": "time_series_split" if carried and "time" in carried else None}
    context = context_of(MIXED, Y, carried=carried, validation=validation)
    told = of_holdout(context, CHOSEN, TrainedModel(None))
    n_rows = len(context.split.test)
    assert told.note == f"hold-out of {n_rows} rows{how}, split off before anything was fitted"
    assert told.rows == ("holdout",)
    assert told.selected_on == dict.fromkeys(CHOSEN, ("train",))
    assert (told.source, told.tuned_on_same_rows) == ("train_test", False)


def test_a_number_of_the_test_set_says_so():
    context = context_of(MIXED, Y, test=(MIXED[:40], Y[:40]))
    told = of_test(context, CHOSEN)
    assert told.note == "test set of 40 rows that no step before saw"
    assert (told.source, told.rows, told.tuned_on_same_rows) == ("test", ("test",), False)
    assert told.selected_on == dict.fromkeys(CHOSEN, ("train",))


@pytest.mark.parametrize(
    ("features", "sections", "chosen"),
    [
        ("auto", {"tuning_spec": GridSearchSpec(**DEPTHS), "calibration_spec": CalibrationSpec()}, CHOSEN[:3]),
        ("auto", {"threshold_spec": ThresholdSpec()}, ("features", "threshold")),
        (NUMBERS, {"calibration_spec": CalibrationSpec(enabled=False)}, ()),
    ],
    ids=["tuning and calibration", "threshold", "nothing"],
)
def test_scores_of_a_run_name_what_it_has_chosen(features, sections, chosen):
    validation = {"cv_folds": 3, "metrics": ["accuracy"]}
    results = run_ml_workflow(
        features, ClassifierModelSpec(**TREE), COPIES, Y, validation_params=validation, **sections
    )
    assert [tuple(score.provenance.selected_on) for score in results["scores"]] == [chosen]


def test_what_is_chosen_says_on_which_rows_and_what_was_chosen_on_them_before():
    context = context_of(MIXED, Y, carried={"sample_weight": np.ones(N)}, **EVERYTHING)
    with Counting(context) as fit:
        config = build_pipeline(context)
        tuned = search(context, config, context.split.train, fit)
        config = dataclasses.replace(config.with_search(tuned), is_calibrated=True, has_threshold=True)
        tuned = dataclasses.replace(tuned, provenance=of_search(context, config, tuned.cv_folds))
        trained = make_train_fn(context, config)(context.split, fit)
    before = {"hyperparameters": ("train",), "features": ("train",)}
    same = "; tuned on the same rows; features inferred on the same rows"

    assert tuned.note == f"mean over 3 folds {ROWS}{same}; all rows count alike, whatever their weight"
    calibration = add_calibration_provenance(context, config, trained.calibration)
    assert calibration.note == f"out-of-fold predictions {ROWS}, by calibrators of other folds{same}"
    threshold = add_threshold_provenance(context, config, trained)
    assert threshold.note == f"out-of-fold predictions {ROWS}, each by the threshold of other folds{same}"
    for told in (tuned, calibration, threshold):
        assert told.rows == ("train",)
    assert (tuned.chosen, calibration.chosen) == (before, before)
    assert threshold.chosen == {**before, "calibration": ("train",)}


def test_what_is_not_chosen_is_not_told():
    context = context_of(COPIES, Y, features=NUMBERS, model=BAYES, threshold={}, calibration={})
    with Counting(context) as fit:
        config = config_of(context, fit)
        trained = make_train_fn(context, dataclasses.replace(config, is_calibrated=False))(context.split, fit)
    told = add_threshold_provenance(context, config, trained)
    assert (told.note, told.chosen) == (
        f"out-of-fold predictions {ROWS}, each by the threshold of other folds", {},
    )  # fmt: skip


ODD = {
    "dates": ([f"2024-01-{day:02d}" for day in RANDOM.integers(1, 25, N)], "unknown"),
    "numbers": (np.round(SIGNAL, 1).astype(object), "unknown"),
    "texts of numbers": ([f"{value:.1f}" for value in SIGNAL], "unknown"),
    "booleans": ((SIGNAL > 0).astype(object), "maybe"),
}


@pytest.mark.parametrize(("values", "odd"), ODD.values(), ids=ODD)
def test_a_judged_value_that_a_folds_features_cannot_read_counts_as_missing(values, odd):
    X = MIXED.assign(column=values).astype({"column": object})
    X.loc[7, "column"] = odd
    context = context_of(X, Y, model=BAYES)
    (split,) = (split for split in context.validation_splits if 7 in split.test.index)
    blank = context_of(X.where(X["column"] != odd, X.assign(column=None)), Y, model=BAYES)
    with Counting(context) as fit:
        trained = make_nested_train_fn(context, config_of(context, fit))(split, fit)
    with Counting(blank) as fit:
        expected = make_nested_train_fn(blank, config_of(blank, fit))(split, fit)
    assert list(trained.features) != list(context.run_data.features)
    assert np.array_equal(trained.predictions.proba, expected.predictions.proba)


def test_a_fold_whose_rows_suggest_no_feature_is_told():
    fold = np.repeat(["a", "b"], 20)
    X = pd.DataFrame({"x": np.where(fold == "a", 1.0, np.arange(40) % 7)})
    with pytest.raises(FitError, match="suggest no feature; list the features"):
        run_ml_workflow(
            "auto",
            ClassifierModelSpec(algorithm="decision_tree"),
            X,
            np.arange(40) % 2,
            validation_params={"nested": True},
            fold=fold,
        )
