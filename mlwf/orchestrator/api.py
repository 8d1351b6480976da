"""Run, plan or check an experiment; `run_ml_workflow` for rows that are in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mlwf.config import Document, dotted
from mlwf.engine.fit_cache import FitCache
from mlwf.errors import ConfigError, DataError, Problem
from mlwf.modules.runs import create_run, fit_cache_folder
from mlwf.orchestrator.champion import load_champions
from mlwf.orchestrator.checks import check, located
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.loaded_run import Run
from mlwf.orchestrator.run_advice import describe_default_spaces, describe_faster_algorithms
from mlwf.orchestrator.run_data import load_arrays, load_tables, with_test
from mlwf.orchestrator.run_log import OnProgress, RunLog
from mlwf.orchestrator.run_recorder import RunRecorder
from mlwf.orchestrator.workflow import build_pipeline, limit_time, plan_fits, reserve_time, run_workflow
from mlwf.processes import DISPLAY
from mlwf.results import PhasePlan
from mlwf.specs.catalogue import SPLITTERS, default_splitter
from mlwf.specs.data import IN_MEMORY, ClassLabel, DataSpec
from mlwf.specs.experiment import (
    CalibrationSpec,
    CandidateModelSpec,
    ClassifierModelSpec,
    ComputeSpec,
    EnsembleSpec,
    ExperimentSpec,
    GateSpec,
    SelectionSpec,
    ThresholdSpec,
    ValidationSpec,
)
from mlwf.specs.feature_store import FeatureStoreSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.loading import check_experiment
from mlwf.specs.problems import GOT, describe_value, explain
from mlwf.specs.tracking import MLflowSpec, with_environment
from mlwf.specs.tuning import ParamTuningSpec


def run_experiment(
    spec: ExperimentSpec,
    document: Document,
    *,
    runs_dir: Path,
    fit_cache: FitCache | None = None,
    fail_on_unseen: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Run all phases of an experiment file and give the content of its `summary.json`.

    Fits that `fit_cache` has are not made again; the default has those of earlier runs in `runs_dir`. With
    `fail_on_unseen` a test set that holds values that the training never saw is a DataError before the first fit.
    """
    run_log = RunLog(on_progress)
    folder = create_run(runs_dir, spec.name)
    recorder = RunRecorder(spec, run_log, folder=folder, document=document)
    with located(document):
        load = partial(load_tables, fail_on_unseen=fail_on_unseen)
        run_workflow(spec, load, recorder, run_log, fit_cache=fit_cache or open_fit_cache(runs_dir))
    return recorder.summary


def open_fit_cache(runs_dir: Path, *, fresh: bool = False) -> FitCache:
    """Open the fit cache of a folder of runs; a fresh one has nothing yet of what is there."""
    return FitCache(fit_cache_folder(runs_dir), fresh=fresh)


def plan_experiment(
    spec: ExperimentSpec, document: Document, *, runs_dir: Path
) -> tuple[tuple[PhasePlan, ...], list[str]]:
    """Count what `run_experiment` would fit, and fit nothing; raises what would stop it before the first fit.

    Gives the phases, and what a person should know of what they will do.
    """
    with located(document):
        run_log = RunLog()
        context = RunContext(spec, load_tables(spec), run_log, limit_time(spec, run_log))
        check(context)
        fit_cache = FitCache(fit_cache_folder(runs_dir))
        reserve_time(context, fit_cache)
        phases = plan_fits(context, build_pipeline(context), fit_cache)
    return phases, [*describe_default_spaces(context, spec), *describe_faster_algorithms(context)]


def check_data(spec: ExperimentSpec, document: Document) -> list[str]:
    """Read the data of an experiment and raise everything that would stop its run before the first fit.

    Gives what a person should know of how the tables were read, and of what the run will do.
    """
    with located(document):
        context = RunContext(spec, load_tables(spec), RunLog())
        check(context)
        load_champions(context)
        build_pipeline(context)
        return [
            *context.run_data.notes(),
            *describe_default_spaces(context, spec),
            *describe_faster_algorithms(context),
        ]


# What a library does to the filters of warnings meanwhile is global to the process: of several runs at once each must
# begin and end while they are held.
@DISPLAY.held()
def run_ml_workflow(
    feature_specs: Sequence[FeatureSpec] | Literal["auto"],
    model_spec: ClassifierModelSpec | Mapping[str, CandidateModelSpec],
    X: Any,
    y: Any,
    validation_strategy: str = "cross_validation",
    validation_params: Mapping[str, Any] | None = None,
    test_size: float = 0.2,
    random_state: int = 42,
    X_test: Any = None,
    y_test: Any = None,
    tuning_spec: ParamTuningSpec | None = None,
    calibration_spec: CalibrationSpec | None = None,
    mlflow_spec: MLflowSpec | None = None,
    feature_store_spec: FeatureStoreSpec | None = None,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    time: Any = None,
    fold: Any = None,
    threshold_spec: ThresholdSpec | None = None,
    selection_spec: SelectionSpec | None = None,
    ensemble_spec: EnsembleSpec | None = None,
    compute_spec: ComputeSpec | None = None,
    gates: Sequence[GateSpec] = (),
    positive_class: ClassLabel | None = None,
    on_error: Literal["degrade", "fail"] = "degrade",
    runs_dir: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Run a workflow: tune, fit, calibrate, validate, test and track.

    Parameters
    ----------
    feature_specs
        Features and how each is prepared, or `auto`.
    model_spec
        The classifier; or several, by their names, of which the best ships.
    X : DataFrame or array of shape (n_samples, n_features), or None with a feature store
        A DataFrame is addressed by name, an array by position in the order of the specs.
    y : array of shape (n_samples,), or None with a feature store
        Class labels.
    validation_strategy
        `cross_validation`, `train_test` or `none`.
    validation_params
        Other fields of `ValidationSpec`, such as `cv_folds`, `nested` and `metrics`. Folds are not shuffled unless
        `shuffle` says so: `cv_score` is then the mean of scikit-learn's `cross_val_score(pipeline, X, y, cv=cv_folds)`.
    test_size
        Share of the rows held out by `train_test`, before anything is fitted.
    random_state
        Seed of everything random.
    X_test, y_test
        Rows for the final test.
    tuning_spec, calibration_spec, mlflow_spec, feature_store_spec
        What else to do; None leaves it out. A calibration is kept unless its `keep` says `better`.
    sample_weight : array of shape (n_samples,), optional
        Weight of each row in fits and reported scores.
    groups : array of shape (n_samples,), optional
        Which rows belong together: no group is both trained on and predicted.
    time : array of shape (n_samples,), optional
        When each row happened: no row is predicted by a model that was trained on later ones.
    fold : array of shape (n_samples,), optional
        Name of the fold in which each row is held out.
    threshold_spec
        Choose the threshold of a model of two classes; None leaves it at one half.
    selection_spec
        How one of several models is chosen; None takes the defaults.
    ensemble_spec
        Average the best candidates of several models; None ships the best.
    compute_spec
        Fits at the same time, where they are made, and a time limit; None takes the defaults.
    gates
        What the run must reach. A gate that is not met keeps the model from being registered, and raises nothing.
    positive_class
        Class that precision, recall and f1 speak of; the default is the last in sorted order.
    on_error
        Whether to continue without a tuning or calibration that fails.
    runs_dir
        Folder in which to keep the run and its fit cache, which the next run there continues from; without it
        nothing is written but to MLflow.
    on_progress
        Called as the run goes.

    Returns
    -------
    dict
        `pipeline`, the scores (`cv_score` and `cv_std`, or `val_score`; `test_accuracy`), `tuning_summary`,
        `leaderboard`, `calibration_summary`, `threshold_summary`, `findings`, `gates`, `mlflow_run_id`, `phases`, and
        what `get_workflow_summary` shows; with `runs_dir` also `run`, the `Run` that `load_run` gives.

    Raises
    ------
    ConfigError, DataError
        Before any fit: the specs contradict themselves, or the data cannot be used. Both are ValueErrors.
    FitError, TrackingError, FeatureStoreError
        When the model cannot be fitted, or a store does not answer.
    """
    held_out = {"test_size": test_size} if validation_strategy == "train_test" else {}
    carried = {"sample_weight": sample_weight, "groups": groups, "time": time, "fold": fold}
    spec = _experiment(
        feature_specs,
        model_spec,
        validation={"strategy": validation_strategy, **held_out, **(validation_params or {})},
        random_state=random_state,
        tuning=tuning_spec,
        calibration=_kept(calibration_spec),
        threshold=threshold_spec,
        selection=selection_spec,
        ensemble=ensemble_spec,
        compute=compute_spec or ComputeSpec(),
        tracking=mlflow_spec and with_environment(mlflow_spec),
        feature_store=feature_store_spec if feature_store_spec and feature_store_spec.enabled else None,
        gates=list(gates),
        positive_class=positive_class,
        on_error=on_error,
        y=y,
        carried=[name for name, values in carried.items() if values is not None],
    )
    if spec.feature_store is None and (X is None or y is None):
        raise DataError("No data provided and feature store not configured")
    load = load_tables if spec.feature_store else load_arrays(X, y, **carried)
    if (X_test is None) != (y_test is None):
        raise DataError("X_test and y_test belong together: one of them is None")
    if X_test is not None:
        load = with_test(load, X_test, y_test)
    run_log = RunLog(on_progress)
    if runs_dir is None:
        return run_workflow(spec, load, RunRecorder(spec, run_log), run_log)
    folder = create_run(Path(runs_dir), spec.name)
    fit_cache = FitCache(fit_cache_folder(Path(runs_dir)))
    results = run_workflow(spec, load, RunRecorder(spec, run_log, folder=folder), run_log, fit_cache=fit_cache)
    return {**results, "run": Run(folder)}


def _experiment(
    feature_specs: Sequence[FeatureSpec] | Literal["auto"],
    model_spec: ClassifierModelSpec | Mapping[str, CandidateModelSpec],
    *,
    validation: Mapping[str, Any],
    y: Any,
    carried: Sequence[str],
    positive_class: ClassLabel | None,
    feature_store: FeatureStoreSpec | None,
    **sections: Any,
) -> ExperimentSpec:
    """Turn the arguments of `run_ml_workflow` into an experiment: every difference to the file is here.

    The call splits into folds without shuffling, always keeps a calibration, and its data has no path.
    """
    target = getattr(y, "name", None)
    data = DataSpec(
        path=IN_MEMORY,
        target=str(target or "target"),
        positive_class=positive_class,
    )
    # Names that no column of X is likely to have.
    columns = {name: name if name == "sample_weight" else f"({name})" for name in carried}
    data = data.model_copy(update=columns)
    if feature_store is not None:
        if feature_store.labels is None:
            raise DataError("feature_store_spec.labels: names no label rows; accepted: a DataSpec with path and target")
        for name in carried:
            hint = f"that of label rows is a column: feature_store_spec.labels.{name} names it"
            raise DataError(Problem("", name, "cannot be given with a feature store", hint))
        data = feature_store.labels
        if positive_class is not None:
            data = data.model_copy(update={"positive_class": positive_class})
    if isinstance(model_spec, ClassifierModelSpec):
        named: dict[str, Any] = {"name": model_spec.model_name or model_spec.algorithm, "model": model_spec}
    else:
        named = {"models": dict(model_spec)}
    spec = ExperimentSpec(
        **named,
        data=data,
        features="auto" if isinstance(feature_specs, str) else list(feature_specs),  # type: ignore[arg-type]
        validation=_validation(validation, data),
        feature_store=feature_store,
        **sections,
    )
    check_experiment(spec)
    return spec


def _kept(calibration: CalibrationSpec | None) -> CalibrationSpec | None:
    if calibration is None or "keep" in calibration.model_fields_set:
        return calibration
    return calibration.model_copy(update={"keep": "always"})


def _validation(given: Mapping[str, Any], data: DataSpec) -> ValidationSpec:
    is_ours = "shuffle" not in given
    chosen = SPLITTERS.get(given.get("splitter") or default_splitter(data))
    if chosen and chosen.can_shuffle:
        given = {"shuffle": False, **given}
    try:
        spec = ValidationSpec(**given)
    except ValidationError as error:
        # pydantic has seen the section alone; errors are explained from the root of the experiment.
        errors = [{**each, "loc": ("validation", *each["loc"])} for each in error.errors(include_url=False)]
        found = explain(errors, {"validation": dict(given)})  # type: ignore[arg-type]
        raise ConfigError(
            Problem(
                "", dotted(each.path), each.message.replace(GOT, describe_value(given.get(each.path[1]))), each.hint
            )
            for each in found
        ) from error
    if is_ours:
        # The default of the call: no warning that it has no effect, which the caller has not written.
        spec.model_fields_set.discard("shuffle")
    return spec
