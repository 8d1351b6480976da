"""WHEN: the phases of a run, top to bottom."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from sklearn.pipeline import Pipeline

from mlwf.engine.asks import Ask, Fitter, predict
from mlwf.engine.chain import Chain, Trained
from mlwf.engine.plain import PlainFitter
from mlwf.engine.rows import NO_ROWS, Rows, Split
from mlwf.errors import ConfigError, FitError, Problem, nearest
from mlwf.modules.calibration import calibrate, calibration_splitter, describe
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.tuning import list_candidates, tune
from mlwf.modules.validation import BASELINE, baselines, cross_validate, default_metrics, judge
from mlwf.orchestrator.journal import Journal, Outcome, one_line
from mlwf.orchestrator.material import Load
from mlwf.orchestrator.record import Record
from mlwf.orchestrator.setting import Setting
from mlwf.results import CalibrationResult, Judgement, TuningResult
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.model import ClassifierModelSpec

logger = logging.getLogger(__name__)


def build_ml_pipeline(
    feature_specs: Sequence[FeatureSpec],
    model_spec: ClassifierModelSpec,
    *,
    random_state: int = 42,
    by_position: bool = False,
) -> Pipeline:
    """Build the unfitted scikit-learn pipeline: a `preprocessor` and a `classifier`.

    With `by_position` X is an array whose columns are those of the specs, in the order of the specs.
    """
    preprocessor = build_preprocessor(feature_specs, random_state=random_state, by_position=by_position)
    classifier = build_classifier(model_spec, random_state=random_state)
    return Pipeline([("preprocessor", preprocessor), ("classifier", classifier)])


def run_workflow(spec: ExperimentSpec, load: Load, record: Record, journal: Journal) -> dict[str, Any]:
    """Run all phases and give the guide's results."""
    with journal.listening(), record.kept():
        # The data is read and checked before a tracking run begins, so that a mistake in it leaves none.
        with journal.phase("initialise"):
            record.reach_tracking()
            setting = Setting(spec, load(spec), journal)
            setting.check_classes()
            logger.info("Data shape: X=%s, y=%s", setting.table.X.shape, setting.table.y.shape)
            record.begin(setting)
        with journal.phase("build"):
            pipeline = build_phase(setting)
            record.built()
            journal.plan = setting.plan()
            logger.info("Built ML pipeline: %s", spec.model_name)
        with PlainFitter(setting.table, n_jobs=spec.compute.n_jobs, on_fit=journal.on_fit) as fit:
            journal.start_counting()
            with journal.phase("tune") as outcome:
                tuned = tune_phase(setting, pipeline, fit, outcome)
                record.tuned(tuned)
            with journal.phase("fit"):
                trained = fit_phase(setting, pipeline, tuned, fit)
            with journal.phase("calibrate") as outcome:
                trained, calibrated = calibrate_phase(setting, pipeline, trained, fit, outcome)
            record.trained(trained.model, calibrated)
            with journal.phase("validate") as outcome:
                chain = make_chain(setting, pipeline, trained.params, calibrated=calibrated is not None)
                validated = validate_phase(setting, chain, trained, fit, outcome, tuned=tuned is not None)
                if validated and setting.spec.validation.refit:
                    trained = refit_phase(setting, pipeline, trained, fit, calibrated=calibrated is not None)
                record.validated(validated, trained.model)
            with journal.phase("test") as outcome:
                tested = test_phase(setting, trained, fit, outcome)
                record.tested(tested)
        with journal.phase("log") as outcome:
            record.log(outcome)
        record.end()
        logger.info("ML workflow completed successfully")
    return record.results


def build_phase(setting: Setting) -> Pipeline:
    """Build the pipeline; raises ConfigError for a search over parameters that it does not have."""
    spec = setting.spec
    by_position = not hasattr(setting.table.X, "columns")
    pipeline = build_ml_pipeline(
        setting.material.features, spec.model, random_state=spec.random_state, by_position=by_position
    )
    if setting.tuning:
        accepted = set(pipeline.get_params())
        candidates = list_candidates(setting.tuning, random_state=spec.random_state)
        unknown = sorted({name for params in candidates for name in params} - accepted)
        if unknown:
            section = "tuning.param_grid" if setting.tuning.strategy == "grid" else "tuning.param_distributions"
            raise ConfigError(
                Problem("", f"{section}.{name}", "unknown parameter of the pipeline", nearest(name, accepted))
                for name in unknown
            )
    return pipeline


def tune_phase(setting: Setting, pipeline: Pipeline, fit: PlainFitter, outcome: Outcome) -> TuningResult | None:
    """Search for the best parameters; when that fails the run goes on with those written, and says so."""
    tuning, spec = setting.tuning, setting.spec
    if tuning is None:
        outcome.skip("not asked for")
        return None
    logger.info("Running parameter tuning: %s", tuning.tuning_name)
    own = nullcontext(fit) if tuning.n_jobs is None else fit.with_jobs(tuning.n_jobs)
    try:
        with own as searching:
            tuned = tune(
                tuning,
                pipeline,
                setting.table,
                setting.split.train,
                setting.folds(spec.tuning_folds),
                searching,
                random_state=spec.random_state,
                positive_class=spec.data.positive_class,
            )
    except Exception as error:
        _degrade(setting, "Tuning failed (%s). Proceeding without tuning.", error, outcome)
        return None
    logger.info("Tuning completed: best score=%.4f", tuned.best_score)
    if tuned.failures:
        setting.journal.warn(f"tuning: {tuned.n_failed} fits failed and score NaN; {one_line(tuned.failures[0])}")
    return tuned


def fit_phase(setting: Setting, pipeline: Pipeline, tuned: TuningResult | None, fit: Fitter) -> Trained:
    """Fit the pipeline, with the best parameters where there are, on the rows that are trained on."""
    logger.info("Fitting pipeline on training data")
    params = dict(tuned.best_params) if tuned else {}
    return make_chain(setting, pipeline, params, calibrated=False, keep_model=True)(setting.split, fit)


def calibrate_phase(
    setting: Setting, pipeline: Pipeline, trained: Trained, fit: Fitter, outcome: Outcome
) -> tuple[Trained, CalibrationResult | None]:
    """Calibrate the probabilities; when that fails the run goes on with the classifier's own, and says so."""
    calibration, spec = setting.calibration, setting.spec
    if calibration is None:
        outcome.skip("not asked for")
        return trained, None
    logger.info("Running calibration: %s", calibration.calibration_name)
    try:
        calibrated = make_chain(setting, pipeline, trained.params, calibrated=True, keep_model=True)(setting.split, fit)
    except Exception as error:
        _degrade(setting, "Calibration failed (%s). Proceeding without.", error, outcome)
        return trained, None
    logger.info("Calibration completed")
    return calibrated, describe(calibration, cv_folds=spec.calibration_folds, n_rows=len(setting.split.train))


def validate_phase(
    setting: Setting, chain: Chain, trained: Trained, fit: Fitter, outcome: Outcome, *, tuned: bool
) -> Judgement | None:
    """Estimate the scores of the trained model on rows that it did not see."""
    spec = setting.spec
    if spec.validation.strategy == "none":
        outcome.skip("not asked for")
        logger.info("Skipping validation")
        return None
    common: dict[str, Any] = {
        "metrics": _metrics(setting, trained.model),
        "positive_class": spec.data.positive_class,
    }
    if spec.validation.strategy == "cross_validation":
        validated = cross_validate(
            chain,
            setting.table,
            setting.split.train,
            setting.folds(spec.validation.cv_folds),
            fit,
            circumstances=setting.cross_validated(tuned=tuned),
            **common,
        )
        logger.info("CV Accuracy: %.4f ± %.4f", validated.value("accuracy"), validated.std("accuracy"))
    else:
        assert trained.predictions is not None
        (baseline,) = baselines(setting.table, [setting.split], fit)
        validated = judge(
            trained.predictions,
            setting.table.y_of(setting.split.test),
            weight=setting.table.weight_of(setting.split.test),
            baseline=baseline,
            circumstances=setting.held_out(),
            **common,
        )
        logger.info("Hold-out accuracy: %.4f", validated.value("accuracy"))
    for problem in validated.problems:
        setting.journal.warn(problem)
    return validated


def refit_phase(setting: Setting, pipeline: Pipeline, trained: Trained, fit: Fitter, *, calibrated: bool) -> Trained:
    """Train the scored model's recipe again on all rows, the hold-out included."""
    chain = make_chain(setting, pipeline, trained.params, calibrated=calibrated, keep_model=True)
    refitted = chain(Split(setting.table.all_rows, NO_ROWS), fit)
    setting.journal.warn(
        "validation.refit: the shipped model was fitted again on all rows; the score is of the one before"
    )
    return refitted


def test_phase(setting: Setting, trained: Trained, fit: Fitter, outcome: Outcome) -> Judgement | None:
    """Score the shipped model on the test set."""
    test = setting.material.test
    if test is None:
        outcome.skip("no test set")
        return None
    (baseline,) = fit([Ask(BASELINE, {}, setting.shipped_rows, keep_model=True, class_weighted=False)])
    tested = judge(
        predict(trained.model, test.X),
        test.y,
        weight=test.weight,
        baseline=predict(baseline.model, test.X),
        metrics=_metrics(setting, trained.model),
        positive_class=setting.spec.data.positive_class,
        circumstances=setting.tested(),
    )
    logger.info("Test Accuracy: %.4f", tested.value("accuracy"))
    for problem in tested.problems:
        setting.journal.warn(problem)
    return tested


def make_chain(
    setting: Setting, pipeline: Pipeline, params: Any, *, calibrated: bool, keep_model: bool = False
) -> Chain:
    """Make phases 4 and 5 with these parameters, to be repeated on any rows."""
    calibration, spec = setting.calibration, setting.spec

    def fit_only(split: Split, fit: Fitter) -> Trained:
        # A lazy classifier such as knn fails only when it predicts, so a model that ships predicts a row at least.
        judged = split.test if len(split.test) else Rows(split.train.index[:1])
        (answer,) = fit([Ask(pipeline, params, split.train, (judged,), keep_model)])
        if answer.error:
            raise FitError(f"the model could not be fitted: {answer.error}")
        return Trained(answer.predictions[0] if len(split.test) else None, params, answer.model)

    def fit_and_calibrate(split: Split, fit: Fitter) -> Trained:
        assert calibration is not None
        folds = setting.folds(spec.calibration_folds)
        return calibrate(
            calibration,
            pipeline,
            params,
            setting.table,
            split,
            calibration_splitter(calibration, folds, random_state=spec.random_state),
            fit,
            keep_model=keep_model,
            random_state=spec.random_state,
        )

    return fit_and_calibrate if calibrated else fit_only


def _metrics(setting: Setting, model: Any) -> list[str]:
    has_probabilities = hasattr(model, "predict_proba")
    return setting.spec.validation.metrics or default_metrics(
        setting.table.classes, has_probabilities=has_probabilities
    )


def _degrade(setting: Setting, words: str, error: Exception, outcome: Outcome) -> None:
    """Go on without a phase, visibly; or stop, when the experiment says so."""
    if setting.spec.on_error == "fail":
        raise FitError(f"{words.split(' (')[0]}: {one_line(error)} (on_error: fail)") from error
    logger.warning(words, one_line(error))
    logger.debug("details", exc_info=error)
    outcome.degrade(one_line(error))
