"""Search hyperparameters, or choose one of several models or their average: for the run, again in nested folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from mlwf.engine.costs import SearchTime
from mlwf.engine.out_of_fold import at_once
from mlwf.engine.requests import Fitter
from mlwf.engine.votes import build_vote
from mlwf.errors import FitError, TimeUpError
from mlwf.modules.model_selection import (
    Candidate,
    Ensemble,
    Search,
    list_candidates,
    name_of,
    rank_models,
    select_ensemble,
    with_ensemble,
)
from mlwf.modules.tuning import tune
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import ModelConfig, PipelineConfig
from mlwf.results import SelectionResult, TuningResult
from mlwf.specs.tuning import ParamTuningSpec
from mlwf.splitting.rows import Rows, Split, Table
from mlwf.text import first_line

NO_TIME_FOR_MEMBERS = "the time limit leaves no time to fit its members"


def search(
    context: RunContext, config: PipelineConfig, rows: Rows, fitter: Fitter, *, time: SearchTime | None = None
) -> TuningResult:
    """Search for the best parameters on some rows, as the experiment says and `time` allows; raises FitError."""
    assert context.tuning is not None
    return _tune(context, context.tuning, config.pipeline, config.table, rows, fitter, time)


def _tune(
    context: RunContext,
    search: ParamTuningSpec,
    pipeline: Any,
    table: Table,
    rows: Rows,
    fitter: Fitter,
    time: SearchTime | None,
) -> TuningResult:
    spec = context.spec
    return tune(
        search,
        pipeline,
        table,
        rows,
        context.folds(spec.tuning_folds),
        fitter,
        random_state=spec.random_state,
        positive_class=spec.data.positive_class,
        time=time,
    )


@dataclass(frozen=True, eq=False)
class Selected:
    """The chosen model, and what it was compared with."""

    result: SelectionResult
    config: PipelineConfig
    tuning: TuningResult | None
    """The search of the chosen model; None where it had nothing to search, or an ensemble was chosen."""
    searches: Mapping[str, TuningResult]
    """By the names of the models; those that failed are missing."""


def select(
    context: RunContext, config: PipelineConfig, rows: Rows, fitter: Fitter, *, time: SearchTime | None = None
) -> Selected:
    """Choose one of several models, or their average, by out-of-fold predictions of some rows.

    A model whose fits fail is left out. Raises FitError when all fail.
    """
    spec = context.spec
    splits = context.folds(spec.tuning_folds)(config.table, rows)
    searches = dict(
        zip(
            [model.name for model in config.models],
            at_once(lambda model: _search_model(context, config.table, model, rows, fitter, time), config.models),
            strict=True,
        )
    )
    ratio = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    result = rank_models(searches, scoring=spec.choice.scoring, cv_folds=len(splits), test_to_train=ratio)
    chosen = next(model for model in config.models if model.name == result.best)
    best = searches[chosen.name].result
    assert best is not None
    config = replace(
        config,
        pipeline=chosen.pipeline,
        params=dict(best.best_params),
        is_tuned=any(len(model.search.parameters) for model in config.models),
        is_selected=len(config.models) > 1,
        out_of_fold=best.out_of_fold,
    )
    if context.ensemble is not None:
        candidates = list_candidates(searches)
        if best.out_of_fold is not None and candidates:
            ensemble = select_ensemble(
                context.ensemble, candidates, best.out_of_fold, config.table, ordered=context.is_ordered
            )
            averaged = _with_ensemble(replace(config, is_averaged=True), candidates, ensemble, splits, searches)
            if ensemble.result.kept and time is not None and not time.may_ship(averaged.pipeline, averaged.params):
                ensemble = replace(ensemble, result=replace(ensemble.result, kept=False, reason=NO_TIME_FOR_MEMBERS))
            config = _with_ensemble(replace(config, is_averaged=True), candidates, ensemble, splits, searches)
            result = with_ensemble(result, ensemble.result)
    weights = {model.name: model.weight for model in result.models if model.weight}
    config = replace(config, model_weights=weights if len(config.models) > 1 else None)
    found = {name: search.result for name, search in searches.items() if search.result is not None}
    # The predictions of all candidates are much memory, and have served.
    found = {name: replace(tuned, predictions_of=None) for name, tuned in found.items()}
    has_own = chosen.search.parameters and not result.ships_ensemble
    return Selected(result, config, found[chosen.name] if has_own else None, found)


def _search_model(
    context: RunContext,
    table: Table,
    model: ModelConfig,
    rows: Rows,
    fitter: Fitter,
    time: SearchTime | None = None,
) -> Search:
    try:
        tuned = _tune(context, model.search, model.pipeline, table, rows, fitter, time)
    except TimeUpError as error:
        return Search(model.algorithm, None, first_line(error), is_timed_out=True)
    except FitError as error:
        return Search(model.algorithm, None, first_line(error))
    return Search(model.algorithm, tuned)


def _with_ensemble(
    config: PipelineConfig,
    candidates: Sequence[Candidate],
    ensemble: Ensemble,
    splits: Sequence[Split],
    searches: Mapping[str, Search],
) -> PipelineConfig:
    """Take the average of candidates for the pipeline, where it is kept."""
    if not ensemble.result.kept:
        return config
    pipelines = {model.name: model.pipeline for model in config.models}

    def vote(weights: NDArray[np.intp]) -> Any:
        places = np.flatnonzero(weights).tolist()
        members = {
            name_of(candidates, place): clone(pipelines[candidates[place].model]).set_params(**candidates[place].params)
            for place in places
        }
        return build_vote(members, weights[places].tolist())

    folds = {
        split.train.digest: vote(weights)
        for split, weights in zip(splits, ensemble.fold_weights, strict=True)
        if weights.any()
    }
    best = {name: search.result.best_params for name, search in searches.items() if search.result is not None}
    return replace(
        config,
        pipeline=vote(ensemble.weights),
        params={},
        fold_pipelines=folds,
        stand_ins={
            name_of(candidates, place): (pipelines[each.model], best[each.model])
            for place, each in enumerate(candidates)
        },
        out_of_fold=ensemble.out_of_fold,
    )


def request_selection_fits(context: RunContext, config: PipelineConfig, rows: Rows, fitter: Fitter) -> PipelineConfig:
    """Request the fits of all searches; give the config as if the first model, or an average of all, were chosen."""
    at_once(lambda model: _search_model(context, config.table, model, rows, fitter), config.models)
    config = replace(config, is_tuned=any(model.search.parameters for model in config.models), is_selected=True)
    if context.ensemble is None or len(config.models) < 2:
        return config
    members = {model.name: model.pipeline for model in config.models}
    return replace(config, pipeline=build_vote(members, [1] * len(members)), is_averaged=True)


def request_choice_fits(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the search on the training rows of a fold."""
    if config.models:
        return request_selection_fits(context, config, split.train, fitter)
    return choose_on(context, config, split, fitter)


def choose_on(
    context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter, *, time: SearchTime | None = None
) -> PipelineConfig:
    """Search on the training rows of a split, or choose a model; what fails is left out, with a warning."""
    if config.models:
        selected = select(context, config, split.train, fitter, time=time)
        if any(tuned.is_timed_out for tuned in selected.searches.values()):
            context.run_log.cut()
        for name, reason in selected.result.failures.items():
            if context.spec.on_error == "fail":
                raise FitError(f"in a fold of the nested validation the model {name} failed: {reason} (on_error: fail)")
            context.run_log.warn(f"a fold of the nested validation did without the model {name}: {reason}")
        return selected.config
    try:
        tuned = search(context, config, split.train, fitter, time=time)
    except FitError as error:
        # Without the time for a search there is none for the model as it is written.
        if context.spec.on_error == "fail" or isinstance(error, TimeUpError):
            raise
        context.run_log.warn(f"a fold of the nested validation was not tuned: {first_line(error)}")
        return config
    if tuned.is_timed_out:
        context.run_log.cut()
    if tuned.stopped:
        context.run_log.warn(f"tuning in the folds of the nested validation: {tuned.stopped}")
    return config.with_search(tuned)
