"""A soft vote is fitted by the fits of its members, and is scikit-learn's VotingClassifier to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine.engine import Engine
from mlwf.engine.requests import FitRequest
from mlwf.engine.scheduling import DryRunFitter
from mlwf.engine.votes import build_vote
from mlwf.splitting.rows import Rows, Table

X, Y = make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)
TABLE = Table(X, np.array(["a", "b", "c"], dtype=object)[Y])
TRAIN, TEST = Rows(np.arange(80)), Rows(np.arange(80, 120))


@pytest.fixture
def vote():
    tree = make_pipeline(DecisionTreeClassifier(max_depth=3, random_state=0))
    return build_vote({"linear": make_pipeline(StandardScaler(), LogisticRegression()), "tree": tree}, [2, 1])


def test_a_vote_predicts_as_scikit_learn_fits_it(vote):
    with Engine(TABLE) as engine:
        (result,) = engine([FitRequest(vote, {}, TRAIN, (TEST,), keep_model=True)])
    plain = vote.fit(X[:80], TABLE.y[:80])
    assert np.array_equal(result.predictions[0].proba, plain.predict_proba(X[80:]))
    assert np.array_equal(result.predictions[0].labels, plain.predict(X[80:]))
    assert np.array_equal(result.model.predict_proba(X[80:]), plain.predict_proba(X[80:]))
    assert np.array_equal(result.model.predict(X[80:]), plain.predict(X[80:]))


def test_the_members_of_a_vote_are_fitted_once(vote):
    with Engine(TABLE) as engine:
        engine([FitRequest(vote, {}, TRAIN, (TEST,))])
        engine([FitRequest(build_vote(dict(vote.estimators), [1, 5]), {}, TRAIN, (TEST,))])
        assert engine.counts.fitted == 2


def test_a_plan_counts_the_members_of_a_vote(vote):
    plan = DryRunFitter(TABLE)
    (result,) = plan([FitRequest(vote, {}, TRAIN, (TEST,), keep_model=True)])
    assert plan.counts.fitted == 2
    assert result.predictions[0].proba.shape == (40, 3)


def test_a_vote_fails_with_the_reason_of_its_member(vote):
    broken = build_vote({**dict(vote.estimators), "bad": make_pipeline(LogisticRegression(C=-1))}, [1, 1, 1])
    with Engine(TABLE) as engine:
        (result,) = engine([FitRequest(broken, {}, TRAIN, (TEST,))])
    assert "The 'C' parameter of LogisticRegression must be" in result.error
