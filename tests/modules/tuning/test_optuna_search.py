"""Optuna proposes by earlier scores alone: the same search gives the same trials, however it is run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from mlwf.engine.requests import FitResult
from mlwf.engine.work import fit_whole_pipeline
from mlwf.errors import ConfigError, FitError
from mlwf.evaluation.predictions import predict
from mlwf.modules.tuning import OptunaSearch, check_installed, create_tuning, tune
from mlwf.specs.tuning import GridSearchSpec, OptunaSearchSpec
from mlwf.splitting.rows import Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

pytest.importorskip("optuna")

SPACE = {
    "classifier__learning_rate": {"loguniform": [0.001, 1.0]},
    "classifier__subsample": {"uniform": [0.5, 1.0]},
    "classifier__n_estimators": {"randint": [1, 12]},
    "classifier__max_depth": [1, 2, None],
}
ALONE = {name.removeprefix("classifier__"): tried for name, tried in SPACE.items()}
"""The same for a classifier that is in no pipeline."""
SPEC = OptunaSearchSpec(param_distributions=ALONE, n_iter=24, scoring="neg_log_loss", cv_folds=4)
BOOSTING = GradientBoostingClassifier(random_state=0)
FOLDS = fold_splitter("stratified_kfold", n_splits=4, random_state=0)


@pytest.fixture(scope="module")
def searched():
    """Give a search with candidates that were given up, by real fits."""
    X, y = make_classification(150, 6, n_informative=4, flip_y=0.2, random_state=0)
    return create_tuning(SPEC, random_state=1).fit(BOOSTING, X, y), X, y


def test_candidates_are_of_the_space(searched):
    search, _, _ = searched
    assert isinstance(search, OptunaSearch)
    params = search.cv_results_["params"]
    assert len(params) == search.result_.n_candidates == 24
    assert [list(each) for each in params] == [list(ALONE)] * 24
    assert all(0.001 <= each["learning_rate"] < 1.0 for each in params)
    assert all(0.5 <= each["subsample"] < 1.0 for each in params)
    assert {each["n_estimators"] for each in params} <= set(range(1, 12))
    assert {each["max_depth"] for each in params} == {1, 2, None}


def test_a_candidate_below_the_median_is_given_up_and_ranks_last(searched):
    search, _, _ = searched
    scores = np.column_stack([search.cv_results_[f"split{fold}_test_score"] for fold in range(4)])
    means, ranks = search.cv_results_["mean_test_score"], search.cv_results_["rank_test_score"]
    given_up = np.isnan(means)
    assert 0 < given_up.sum() < 24
    # They were tried on the first folds and not on the last.
    assert not np.isnan(scores[given_up, 0]).any()
    assert np.isnan(scores[given_up, -1]).all()
    assert not np.isnan(scores[~given_up]).any()
    assert (ranks[given_up] == (~given_up).sum() + 1).all()
    assert search.best_index_ == np.nanargmax(means)
    assert search.best_score_ == np.nanmax(means)
    assert search.result_.inexact == (
        f"optuna: candidates proposed by earlier scores, {given_up.sum()} of 24 given up before their last fold"
    )
    assert search.result_.n_failed == 0


def test_scores_are_those_of_cross_validation(searched):
    search, X, y = searched
    model = GradientBoostingClassifier(random_state=0).set_params(**search.best_params_)
    expected = cross_val_score(model, X, y, cv=4, scoring="neg_log_loss")
    assert [search.cv_results_[f"split{i}_test_score"][search.best_index_] for i in range(4)] == expected.tolist()


def test_the_number_of_fits_at_the_same_time_changes_nothing(searched, assert_same_results):
    search, X, y = searched
    again = create_tuning(SPEC, random_state=1, n_jobs=3).fit(BOOSTING, X, y)
    assert_same_results(again.cv_results_, search.cv_results_)


def test_another_seed_proposes_others(searched):
    search, X, y = searched
    other = create_tuning(SPEC.model_copy(update={"n_iter": 4}), random_state=2).fit(BOOSTING, X, y)
    assert other.cv_results_["params"] != search.cv_results_["params"][:4]


def test_answers_from_a_record_give_the_same_trials(pipeline, data, assert_same_results):
    """A search that is begun again requests the same fits, so that none has to be made twice."""
    table = Table(*data())
    estimator, spec = pipeline(BOOSTING), OptunaSearchSpec(param_distributions=SPACE, n_iter=12, scoring="roc_auc")
    record = {}

    def remember(requests):
        results = []
        for request in requests:
            key = (repr(sorted(request.params.items())), request.train.digest)
            is_known = key in record
            record[key] = record.get(key) or fit_whole_pipeline(table, request)
            results.append(FitResult(record[key].predictions, reused=is_known))
        return results

    first = tune(spec, estimator, table, table.all_rows, FOLDS, remember)
    n_fits = len(record)
    again = tune(spec, estimator, table, table.all_rows, FOLDS, remember)
    assert len(record) == n_fits
    assert_same_results(again.cv_results, first.cv_results)


def test_the_candidates_of_a_batch_are_requested_together_fold_by_fold(pipeline, data):
    table, calls = Table(*data()), []
    spec = OptunaSearchSpec(param_distributions={"classifier__C": {"loguniform": [0.01, 10.0]}}, n_iter=6)
    with ReferenceFitter(table) as fit:
        tune(
            spec,
            pipeline(LogisticRegression()),
            table,
            table.all_rows,
            FOLDS,
            lambda requests: (
                calls.append([(request.candidate_fold.candidate, request.candidate_fold.fold) for request in requests])
                or fit(requests)
            ),
        )
    first = [[(candidate, fold) for candidate in range(4)] for fold in range(4)]
    assert calls == [*first, *([(candidate, fold) for candidate in (4, 5)] for fold in range(4))]


def test_a_plan_requests_every_candidate_on_every_fold(pipeline, data):
    """What only counts fits says the same of every candidate: then none is below the median."""
    table = Table(*data())
    placeholders = {}

    def count(requests):
        for request in requests:
            rows = request.predict[0]
            if rows.digest not in placeholders:
                placeholders[rows.digest] = predict(LogisticRegression().fit(table.X, table.y), table.X_of(rows))
        return [FitResult((placeholders[request.predict[0].digest],)) for request in requests]

    spec = OptunaSearchSpec(param_distributions=SPACE, n_iter=16)
    result = tune(spec, pipeline(BOOSTING), table, table.all_rows, FOLDS, count)
    assert (result.n_candidates, result.best_index) == (16, 0)
    assert not np.isnan(result.cv_results["mean_test_score"]).any()


def test_a_failing_candidate_is_given_up_at_once(pipeline, data):
    X, y = data()
    spec = OptunaSearchSpec(param_distributions={"classifier__n_neighbors": [3, 500]}, n_iter=8)
    result = create_tuning(spec).fit(pipeline(KNeighborsClassifier()), X, y).result_
    failed = [params["classifier__n_neighbors"] == 500 for params in result.cv_results["params"]]
    assert 0 < result.n_failed == sum(failed)
    assert np.isnan(result.cv_results["split1_test_score"]).tolist() == failed
    assert result.failures[0].startswith("ValueError: Expected n_neighbors")


def test_when_all_fail_the_reason_is_reported(pipeline, data):
    X, y = data()
    spec = OptunaSearchSpec(param_distributions={"classifier__n_neighbors": [400, 500]}, n_iter=5)
    with pytest.raises(FitError, match=r"^none of the 5 candidates could be scored: ValueError: Expected n_neighbors"):
        create_tuning(spec).fit(pipeline(KNeighborsClassifier()), X, y)


def test_values_of_any_kind_are_proposed(pipeline, data):
    X, y = data()
    spec = OptunaSearchSpec(param_distributions={"scaler": ["passthrough", None], "classifier__p": [1, 2.0]}, n_iter=5)
    params = create_tuning(spec).fit(pipeline(KNeighborsClassifier()), X, y).cv_results_["params"]
    assert {each["scaler"] for each in params} <= {"passthrough", None}
    assert {each["classifier__p"] for each in params} <= {1, 2.0}


def test_optuna_reports_nothing_of_its_own(capfd, pipeline, data):
    X, y = data()
    spec = OptunaSearchSpec(param_distributions={"classifier__C": {"uniform": [0.1, 1.0]}}, n_iter=5)
    create_tuning(spec).fit(pipeline(LogisticRegression()), X, y)
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError) as raised:
        check_installed(OptunaSearchSpec(param_distributions=SPACE))
    assert str(raised.value) == (
        "tuning.strategy: is 'optuna', and that package is not installed; pip install 'mlwf[optuna]'"
    )
    check_installed(GridSearchSpec(param_grid={"classifier__C": [1.0]}))


def test_whether_it_is_installed_is_known_without_its_import():
    code = (
        "import sys; from mlwf.modules.tuning import check_installed, tune; "
        "from mlwf.specs.tuning import OptunaSearchSpec; "
        "check_installed(OptunaSearchSpec(param_distributions={'a': [1]})); "
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
