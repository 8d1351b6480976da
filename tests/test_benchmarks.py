"""The simulations measure what mlwf prints, know the truth, and their report is the one that the README quotes."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_validate

from benchmarks.estimates import METRICS, Estimate, Way, experiment_of, judge_sample, ways_of
from benchmarks.report import BEGIN, END, HEADER, summarise, write_report
from benchmarks.scenarios import SCENARIOS
from mlwf import build_ml_pipeline, run_ml_workflow
from mlwf.engine.rows import Rows, Split

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "benchmarks/honesty.md"

WAYS = [(name, way) for name, scenario in SCENARIOS.items() for way in ways_of(scenario)]
OURS = {f"{name}: {way.title}": (name, way) for name, way in WAYS if way.is_ours}
GUIDES = {f"{name}: {way.title}": (name, way) for name, way in WAYS if not way.is_ours}
SLOW = pytest.mark.slow
# A workflow looks at each of the forty columns of the noise alone.
MARKED = [pytest.param(name, way, marks=SLOW if name == "noise" else ()) for name, way in OURS.values()]
FEW = {"classifier__max_depth": [1, None]}


def draw(name):
    """Draw a sample of a scenario that has few candidates."""
    scenario = replace(SCENARIOS[name], grid=FEW)
    return scenario, scenario.draw(np.random.default_rng(0))


@pytest.mark.parametrize(("name", "way"), MARKED, ids=OURS)
def test_scores_are_those_of_the_workflow(name, way):
    scenario, sample = draw(name)
    judgement, _, has_finding = judge_sample(scenario, way, sample, random_state=3)
    owned = sample.owned
    remedy = {scenario.remedy: getattr(owned, scenario.remedy)} if scenario.remedy and way.names_column else {}
    spec = experiment_of(scenario, way, random_state=3)
    # Only the guide's call does not shuffle unless it is told to.
    shuffling = {} if "time" in remedy else {"shuffle": True}
    results = run_ml_workflow(
        spec.features,
        spec.model,
        owned.X,
        owned.y,
        validation_strategy=spec.validation.strategy,
        validation_params={**way.validation, **shuffling, "metrics": list(METRICS)},
        tuning_spec=spec.tuning,
        random_state=3,
        **remedy,
    )
    assert list(judgement.scores) == results["scores"]
    assert has_finding is (scenario.finding in {finding.code for finding in results["findings"]})


@pytest.mark.parametrize(("name", "way"), GUIDES.values(), ids=GUIDES)
def test_guides_score_is_that_of_scikit_learn_and_the_truth_that_of_its_fold_models(name, way):
    scenario, sample = draw(name)
    judgement, true, _ = judge_sample(scenario, way, sample, random_state=3)
    if way.is_spoilt:
        sample, features = scenario.spoil(sample)
        scenario = replace(scenario, features=features)
    spec, owned = experiment_of(scenario, way, random_state=3), sample.owned
    pipeline = build_ml_pipeline(spec.features, spec.model, random_state=3)
    best = GridSearchCV(pipeline, FEW, cv=5).fit(owned.X, owned.y).best_estimator_
    found = cross_validate(best, owned.X, owned.y, cv=5, scoring=list(METRICS), return_estimator=True)
    assert [list(score.folds) for score in judgement.scores] == [found[f"test_{metric}"].tolist() for metric in METRICS]
    fresh = slice(sample.n_rows, None)
    if name == "drift":
        fresh = np.flatnonzero(sample.time >= sample.n_rows)
    X, y = sample.X.iloc[fresh], sample.y[fresh]
    assert true["accuracy"] == pytest.approx(np.mean([model.score(X, y) for model in found["estimator"]]))


@pytest.mark.parametrize(("name", "way"), OURS.values(), ids=OURS)
def test_fresh_rows_have_no_say_in_what_is_reported(name, way):
    scenario, sample = draw(name)
    y = sample.y.copy()
    y[sample.n_rows :] = 1 - y[sample.n_rows :]
    X = sample.X.copy()
    X.loc[sample.n_rows :, "x1"] = 1e6
    other = replace(sample, X=X, y=y)
    before, true, _ = judge_sample(scenario, way, sample, random_state=3)
    after, other_true, _ = judge_sample(scenario, way, other, random_state=3)
    assert before.scores == after.scores
    assert true != other_true


@pytest.mark.parametrize(("ordered", "block"), [(True, (100, 199)), (False, (400, 479))], ids=["ordered", "any"])
def test_fresh_rows_of_a_time_series_are_those_of_the_next_block(ordered, block):
    _, sample = draw("drift")
    split = Split(Rows(np.arange(100)), Rows(np.arange(100, 200)))
    fresh = sample.fresh_rows(split, ordered=ordered)
    assert fresh.index.min() >= sample.n_rows
    assert (sample.time[fresh.index].min(), sample.time[fresh.index].max()) == block


@pytest.mark.parametrize("name", ["groups", "duplicates"])
def test_fresh_rows_are_of_other_units(name):
    _, sample = draw(name)
    assert not set(sample.groups[: sample.n_rows]) & set(sample.groups[sample.n_rows :])


NESTED = Way("nested", is_nested_or_held_out=True)


def repeated(*reported, true=0.5, interval=(0.4, 0.6), way=NESTED, is_labelled=False):
    """Make what a way says in as many repetitions, for each metric."""
    common = {"scenario": "noise", "way": way, "note": "", "has_finding": False, "is_labelled": is_labelled}
    return [
        Estimate(metric=metric, reported=value, true=true, interval=interval, **common)
        for metric in METRICS
        for value in reported
    ]


def test_a_line_is_the_mean_over_repetitions():
    (line, _) = summarise(repeated(0.5, 0.6, interval=(0.5, 0.7)))
    assert (line.reported, line.true, line.coverage) == (0.55, 0.5, 1)
    assert line.bias == pytest.approx(0.05)
    assert line.error == pytest.approx(0.05)


def test_an_interval_that_there_is_not_covers_nothing():
    (line, _) = summarise(repeated(0.5, 0.5, interval=None))
    assert (line.coverage, line.without_interval) == (0, 1)


@pytest.mark.parametrize(
    ("estimates", "broken"),
    [
        (repeated(0.49, 0.51), []),
        (repeated(0.58, 0.59), ["are unbiased"]),
        (repeated(0.49, 0.51, interval=(0.6, 0.7)), ["intervals cover"]),
        (repeated(0.49, 0.51, way=Way("not nested"), is_labelled=True), []),
        (repeated(0.58, 0.59, interval=None, way=Way("not nested")), ["says so"]),
        (repeated(0.58, 0.59, interval=None, way=Way("guide", is_ours=False)), []),
    ],
    ids=["kept", "biased", "narrow", "labelled", "unlabelled", "guide"],
)
def test_a_promise_that_is_broken_is_said_to_be(estimates, broken):
    report = write_report(summarise(estimates), repetitions=2, command="")
    said = [line for line in report.splitlines() if "**broken** in 2 of 2 rows" in line]
    assert len(said) == len(broken)
    assert all(words in line for words, line in zip(broken, said, strict=True))


def shape(report):
    """Take the numbers, and what depends on them, out of a report."""
    report = report.split("## The promises")[0]
    report = re.sub(r"\d+( repetitions|: a single| %)", "", report)
    return re.sub(r"^(\|[^|]*\|[^|]*\|) [^-].*", r"\1", report, flags=re.MULTILINE)


@SLOW
def test_command_writes_the_report_that_is_committed(tmp_path):
    output = tmp_path / "honesty.md"
    command = [sys.executable, "-m", "benchmarks.honesty", "--quick", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    written, committed = output.read_text(), REPORT.read_text()
    assert shape(written) == shape(committed)
    assert len(re.findall(r"\d ± \d", written.split("## The promises")[0])) == len(METRICS) * len(WAYS)
    assert f"| {' | '.join(HEADER)} |" in committed


def quoted(text):
    """Give what stands between the marks."""
    (found,) = re.findall(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", text, re.DOTALL)
    return found


def test_readme_quotes_the_committed_table():
    assert quoted((ROOT / "README.md").read_text()) == quoted(REPORT.read_text())
