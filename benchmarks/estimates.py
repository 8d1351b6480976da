"""Ways to estimate a score, and each estimate beside the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from benchmarks.fits import SharedPreparation
from benchmarks.scenarios import SCENARIOS, Sample, Scenario
from mlwf import CandidateModelSpec, ClassifierModelSpec, DataSpec, EnsembleSpec, GridSearchSpec, SelectionSpec
from mlwf.engine.out_of_fold import TrainedModel, TrainFn
from mlwf.engine.requests import Fitter
from mlwf.engine.votes import fit_votes
from mlwf.evaluation.metrics import build_metrics
from mlwf.modules.data import dataset_from_arrays
from mlwf.modules.validation import baselines, cross_validate, evaluate
from mlwf.orchestrator.choosing import choose_on
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.evaluation_phases import look_for_findings
from mlwf.orchestrator.pipeline_config import PipelineConfig
from mlwf.orchestrator.run_data import RunData
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.run_provenance import list_choices, of_cross_validation, of_holdout
from mlwf.orchestrator.training_steps import make_nested_train_fn, make_train_fn
from mlwf.orchestrator.workflow import build_pipeline
from mlwf.processes import DISPLAY
from mlwf.provenance import COMPARED, LABELS
from mlwf.results import Evaluation, Finding
from mlwf.run_result import RunResult
from mlwf.specs.catalogue.finding_table import FINDINGS
from mlwf.specs.data import IN_MEMORY
from mlwf.specs.experiment import ExperimentSpec, FindingsSpec, ValidationSpec
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table
from mlwf.splitting.splitters import holdout_splitter

METRICS = ("accuracy", "roc_auc")
HOLD_OUTS = 5
"""Repetitions of a single hold-out for each repetition of a cross-validation: it varies more, and costs less."""


@dataclass(frozen=True)
class Way:
    """A way to estimate a score."""

    title: str
    validation: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the validation."""
    is_ours: bool = True
    """Whether mlwf promises something of it; search, then cross-validation promises nothing."""
    is_nested_or_held_out: bool = False
    times: int = 1
    """How many repetitions it gets for each requested one."""
    names_column: bool = True
    """Whether the column is named that the scenario has."""
    is_spoilt: bool = False
    """Whether the data were prepared by hand before."""


@dataclass(frozen=True)
class Estimate:
    """What a way estimates once, and what is true."""

    scenario: str
    way: Way
    metric: str
    reported: float
    true: float
    interval: tuple[float, float] | None
    is_labelled: bool
    """Whether the score is labelled as tuned on the same rows."""
    note: str
    has_finding: bool
    """Whether the finding of the scenario was reported."""


def ways_of(scenario: Scenario) -> Iterator[Way]:
    """List the ways that are compared in a scenario."""
    common = Way("search, then cross-validation", {"shuffle": False}, is_ours=False, names_column=False)
    if scenario.spoil:
        yield replace(common, title="encoded before, then search, then cross-validation", is_spoilt=True)
    yield common
    yield Way("mlwf, not nested")
    nested = Way("mlwf, `nested: true`", {"nested": True}, is_nested_or_held_out=True)
    yield nested
    yield Way("mlwf, `strategy: train_test`", {"strategy": "train_test"}, is_nested_or_held_out=True, times=HOLD_OUTS)
    if scenario.remedy:
        yield replace(nested, title=f"the same nested without `{scenario.remedy}`", names_column=False)


def simulate(name: str, repetition: int, *, repetitions: int, is_quick: bool = False) -> list[Estimate]:
    """Draw one sample of a scenario and estimate its scores in every way that still has repetitions left.

    A quick one has two candidates.
    """
    scenario = SCENARIOS[name]
    if is_quick:
        scenario = replace(scenario, grid={"classifier__max_depth": [1, 3]})
    sample = scenario.draw(np.random.default_rng([*name.encode(), repetition]))
    ways = [way for way in ways_of(scenario) if repetition < repetitions * way.times]
    return [estimate for way in ways for estimate in _estimates(name, scenario, way, sample, random_state=repetition)]


def experiment_of(scenario: Scenario, way: Way, *, random_state: int) -> ExperimentSpec:
    """Write the experiment of a way."""
    named = {scenario.remedy: f"({scenario.remedy})"} if scenario.remedy and way.names_column else {}
    lines = [code for code in FINDINGS if code != scenario.finding]
    return ExperimentSpec(
        random_state=random_state,
        data=DataSpec(path=IN_MEMORY, target="target", **named),
        features=list(scenario.features),
        **_models(scenario),
        validation=ValidationSpec(metrics=list(METRICS), **way.validation),
        findings=FindingsSpec(ignore=lines),
    )


def _models(scenario: Scenario) -> dict[str, Any]:
    if scenario.choice == "search":
        model = ClassifierModelSpec(algorithm="decision_tree")
        return {"model": model, "tuning": GridSearchSpec(param_grid=dict(scenario.grid))}
    models = {
        f"tree_{number}": CandidateModelSpec(
            algorithm="decision_tree",
            hyperparameters={name.removeprefix("classifier__"): value for name, value in params.items()},
        )
        for number, params in enumerate(ParameterGrid(dict(scenario.grid)))
    }
    # As the one search does: by the scores that are reported.
    found: dict[str, Any] = {"models": models, "selection": SelectionSpec(scoring="accuracy")}
    return {**found, "ensemble": EnsembleSpec(keep="always")} if scenario.choice == "ensemble" else found


def evaluate_sample(
    scenario: Scenario, way: Way, sample: Sample, *, random_state: int
) -> tuple[Evaluation, Mapping[str, float], bool]:
    """Validate as the workflow does.

    Returns
    -------
    evaluation : Evaluation
        What is reported.
    true : dict
        For each metric the mean score on fresh rows of the very models that were evaluated.
    has_finding : bool
        Whether the finding of the scenario is reported.
    """
    if way.is_spoilt:
        assert scenario.spoil is not None
        sample, features = scenario.spoil(sample)
        scenario = replace(scenario, features=features)
    context = _context(experiment_of(scenario, way, random_state=random_state), sample)
    fit = partial(fit_votes, fit=SharedPreparation(context.table))
    with DISPLAY.held():
        config = _chosen_config(context, fit)
        train_fn = make_nested_train_fn(context, config) if context.is_nested else make_train_fn(context, config)
        witnessed = Witnessed(train_fn, sample, ordered=context.is_ordered)
        evaluation = _validate(context, config, witnessed, fit)
        findings = _look_for_findings(context, evaluation, fit) if scenario.finding else ()
    return evaluation, witnessed.true, any(finding.code == scenario.finding for finding in findings)


class Witnessed:
    """A train_fn whose models predict fresh rows too; what it gives back knows nothing of them."""

    def __init__(self, train_fn: TrainFn, sample: Sample, *, ordered: bool) -> None:
        self._chain = train_fn
        self._sample = sample
        self._ordered = ordered
        self._metrics = build_metrics(METRICS, classes=np.unique(sample.y))
        self._scores: list[dict[str, float]] = []

    def __call__(self, split: Split, fit: Fitter) -> TrainedModel:
        """Train on `split.train`, predict `split.test`, and score fresh rows in passing."""
        fresh = self._sample.fresh_rows(split, ordered=self._ordered)
        both = Rows(np.concatenate([split.test.index, fresh.index]))
        trained = self._chain(Split(split.train, both), fit)
        assert trained.predictions is not None
        values = trained.predictions.take(np.arange(len(split.test), len(both)))
        truth = self._sample.y[fresh.index]
        self._scores.append({name: metric(values, truth) for name, metric in self._metrics.items()})
        return replace(trained, predictions=trained.predictions.take(np.arange(len(split.test))))

    @property
    def true(self) -> dict[str, float]:
        """Mean score of the models on fresh rows, by metric."""
        # Sorted, since the folds come in any order and a sum depends on it in the last digit.
        return {name: float(np.mean(sorted(scores[name] for scores in self._scores))) for name in self._metrics}


def _estimates(name: str, scenario: Scenario, way: Way, sample: Sample, *, random_state: int) -> Iterator[Estimate]:
    evaluation, true, has_finding = evaluate_sample(scenario, way, sample, random_state=random_state)
    for score in evaluation.scores:
        assert score.value is not None
        yield Estimate(
            scenario=name,
            way=way,
            metric=score.metric,
            reported=score.value,
            true=true[score.metric],
            interval=score.interval and (score.interval.low, score.interval.high),
            is_labelled=score.tuned_on_same_rows and any(LABELS[choice] in score.note for choice in COMPARED),
            note=score.note,
            has_finding=has_finding,
        )


def _context(spec: ExperimentSpec, sample: Sample) -> RunContext:
    """Set the phases of a run up, over a table that holds the fresh rows behind those that the run may use."""
    carried = {name: getattr(sample, name) for name in ("groups", "time") if getattr(spec.data, name)}
    data = dataset_from_arrays(sample.X, sample.y, features=spec.features, **carried)
    split = Split(sample.rows, NO_ROWS)
    if spec.validation.strategy == "train_test":
        hold_out = holdout_splitter(
            test_size=spec.validation.test_size, random_state=spec.random_state, kind=spec.splitter
        )
        (split,) = hold_out(Table(data.X, data.y, groups=data.groups, time=data.instants), sample.rows)
    return RunContext(spec, RunData(data, spec.features, None, split), RunLog())


def _chosen_config(context: RunContext, fit: Fitter) -> PipelineConfig:
    """Build the pipeline, and search on the training rows unless every fold does so itself."""
    config = replace(build_pipeline(context), keep_model=False)
    if context.is_nested:
        several = bool(config.models)
        return replace(config, is_tuned=not several, is_selected=several, is_averaged=context.ensemble is not None)
    return choose_on(context, config, Split(context.split.train, NO_ROWS), fit)


def _look_for_findings(context: RunContext, evaluation: Evaluation, fit: Fitter) -> tuple[Finding, ...]:
    result = RunResult(context.spec.name, datetime.now(UTC), validation=evaluation)
    return look_for_findings(context, result, None, fit)


def _validate(context: RunContext, config: PipelineConfig, train_fn: TrainFn, fit: Fitter) -> Evaluation:
    chosen = list_choices(context, config)
    if context.spec.validation.strategy == "cross_validation":
        return cross_validate(
            train_fn,
            context.table,
            context.split.train,
            context.folds(context.spec.validation.cv_folds),
            fit,
            metrics=METRICS,
            provenance=of_cross_validation(context, chosen),
        )
    trained = train_fn(context.split, fit)
    assert trained.predictions is not None
    (baseline,) = baselines(context.table, [context.split], fit)
    test = context.split.test
    return evaluate(
        trained.predictions,
        context.table.y_of(test),
        weight=None,
        baseline=baseline,
        groups=context.table.groups_of(test),
        metrics=METRICS,
        provenance=of_holdout(context, chosen, trained),
    )
