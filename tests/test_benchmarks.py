"""The benchmarks measure what they say, and their reports are those that the README quotes."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate

from benchmarks import ours, plain
from benchmarks.cluster import Simulated
from benchmarks.estimates import METRICS, Estimate, Way, evaluate_sample, experiment_of, ways_of
from benchmarks.measuring import Stopwatch, cpu_of
from benchmarks.memory import BEGIN as MEMORY_BEGIN
from benchmarks.memory import END as MEMORY_END
from benchmarks.memory import Size
from benchmarks.report import BEGIN, END, HEADER, summarise, write_report
from benchmarks.scenarios import SCENARIOS
from benchmarks.sides import SIDES
from benchmarks.speed import KeptMeasurements, list_tasks
from benchmarks.speed_lines import LINES, adds, costs, saves
from benchmarks.speed_report import BEGIN as SPEED_BEGIN
from benchmarks.speed_report import END as SPEED_END
from benchmarks.speed_report import DifferentResultsError
from benchmarks.speed_report import write_report as write_speed_report
from mlwf import build_ml_pipeline, run_ml_workflow
from mlwf.engine.staged_ensembles import stage_parameter
from mlwf.splitting.rows import Rows, Split

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "benchmarks/honesty.md"
SPEED = ROOT / "benchmarks/speed.md"
SPEED_MARKS = (SPEED_BEGIN, SPEED_END)
MEMORY_MARKS = (MEMORY_BEGIN, MEMORY_END)

WAYS = [(name, way) for name, scenario in SCENARIOS.items() for way in ways_of(scenario)]
OURS = {f"{name}: {way.title}": (name, way) for name, way in WAYS if way.is_ours}
GUIDES = {
    f"{name}: {way.title}": (name, way)
    for name, way in WAYS
    if not way.is_ours and SCENARIOS[name].choice == "search"  # scikit-learn has no choice among models
}
SLOW = pytest.mark.slow
# Two scenarios stand for the others, each with a column that its remedy names.
MARKED = [pytest.param(name, way, marks=() if name in {"drift", "groups"} else SLOW) for name, way in OURS.values()]
FEW = {"classifier__max_depth": [1, None]}


def draw(name):
    """Draw a sample of a scenario that has few candidates."""
    scenario = replace(SCENARIOS[name], grid=FEW)
    return scenario, scenario.draw(np.random.default_rng(0))


@pytest.mark.parametrize(("name", "way"), MARKED, ids=OURS)
def test_scores_are_those_of_the_workflow(name, way):
    scenario, sample = draw(name)
    evaluation, _, has_finding = evaluate_sample(scenario, way, sample, random_state=3)
    owned = sample.owned
    remedy = {scenario.remedy: getattr(owned, scenario.remedy)} if scenario.remedy and way.names_column else {}
    spec = experiment_of(scenario, way, random_state=3)
    # Only search, then cross-validation does not shuffle unless it is told to.
    shuffling = {} if "time" in remedy else {"shuffle": True}
    results = run_ml_workflow(
        spec.features,
        spec.models or spec.model,
        owned.X,
        owned.y,
        validation_strategy=spec.validation.strategy,
        validation_params={**way.validation, **shuffling, "metrics": list(METRICS)},
        tuning_spec=spec.tuning,
        selection_spec=spec.selection,
        ensemble_spec=spec.ensemble,
        random_state=3,
        **remedy,
    )
    assert list(evaluation.scores) == results["scores"]
    assert has_finding is (scenario.finding in {finding.code for finding in results["findings"]})


@pytest.mark.parametrize(("name", "way"), GUIDES.values(), ids=GUIDES)
def test_the_score_of_search_then_cross_validation_is_that_of_scikit_learn_and_the_truth_that_of_its_fold_models(
    name, way
):
    scenario, sample = draw(name)
    evaluation, true, _ = evaluate_sample(scenario, way, sample, random_state=3)
    if way.is_spoilt:
        sample, features = scenario.spoil(sample)
        scenario = replace(scenario, features=features)
    spec, owned = experiment_of(scenario, way, random_state=3), sample.owned
    pipeline = build_ml_pipeline(spec.features, spec.model, random_state=3)
    best = GridSearchCV(pipeline, FEW, cv=5).fit(owned.X, owned.y).best_estimator_
    found = cross_validate(best, owned.X, owned.y, cv=5, scoring=list(METRICS), return_estimator=True)
    assert [list(score.folds) for score in evaluation.scores] == [
        found[f"test_{metric}"].tolist() for metric in METRICS
    ]
    fresh = slice(sample.n_rows, None)
    if name == "drift":
        fresh = np.flatnonzero(sample.time >= sample.n_rows)
    X, y = sample.X.iloc[fresh], sample.y[fresh]
    assert true["accuracy"] == pytest.approx(np.mean([model.score(X, y) for model in found["estimator"]]))


@pytest.mark.parametrize(("name", "way"), MARKED, ids=OURS)
def test_fresh_rows_have_no_say_in_what_is_reported(name, way):
    scenario, sample = draw(name)
    y = sample.y.copy()
    y[sample.n_rows :] = 1 - y[sample.n_rows :]
    X = sample.X.copy()
    X.loc[sample.n_rows :, "x1"] = 1e6
    other = replace(sample, X=X, y=y)
    before, true, _ = evaluate_sample(scenario, way, sample, random_state=3)
    after, other_true, _ = evaluate_sample(scenario, way, other, random_state=3)
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
        (repeated(0.58, 0.59, interval=None, way=Way("not nested")), ["is labelled so"]),
        (repeated(0.58, 0.59, interval=None, way=Way("common", is_ours=False)), []),
    ],
    ids=["kept", "biased", "narrow", "labelled", "unlabelled", "common"],
)
def test_a_promise_that_is_broken_is_said_to_be(estimates, broken):
    report = write_report(summarise(estimates), repetitions=2, command="")
    values = [line for line in report.splitlines() if "**broken** in 2 of 2 rows" in line]
    assert len(values) == len(broken)
    assert all(words in line for words, line in zip(broken, values, strict=True))


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


def quoted(text, begin=BEGIN, end=END):
    """Give what stands between the marks."""
    (found,) = re.findall(f"{re.escape(begin)}\n(.*?)\n{re.escape(end)}", text, re.DOTALL)
    return found


def test_readme_quotes_the_committed_table():
    assert quoted((ROOT / "README.md").read_text()) == quoted(REPORT.read_text())


def speed_report(seconds=(3.0, 1.0), values=({"scores": [0.1]}, {"scores": [0.1]}), line=LINES[0], **other):
    """Write a report of one line, whose two sides took so long and said so."""
    sides = {
        reading.side: [
            {"parts": {reading.part: {line.unit: took}}, "values": {reading.part: words}, "load": 0.5, **other}
        ]
        for reading, took, words in zip((line.theirs, line.ours), seconds, values, strict=True)
    }
    return write_speed_report(sides, machine="a machine", command="")


def line_of(must):
    """Give the first line that asks for that."""
    return next(line for line in LINES if line.must == must)


def test_each_side_is_compared_and_each_comparison_has_its_sides():
    assert {reading.side for line in LINES for reading in (line.theirs, line.ours)} == set(SIDES)


@pytest.mark.parametrize(
    ("goal", "theirs", "ours", "got", "reached"),
    [
        (saves(2.5), 5.0, 2.0, "2.50 times less", True),
        (saves(2.5), 5.0, 2.1, "2.38 times less", False),
        (costs(0.1), 10.0, 1.0, "0.10 times", True),
        (costs(0.1), 10.0, 1.1, "0.11 times", False),
        (costs(1.5, plus_seconds=0.5), 10.0, 15.5, "1.55 times (+5.50 s)", True),
        (costs(1.5, plus_seconds=0.5), 10.0, 15.6, "1.56 times (+5.60 s)", False),
        (adds(1.5), 1.0, 2.5, "+1.50 s", True),
        (adds(1.5), 1.0, 2.6, "+1.60 s", False),
    ],
)
def test_a_goal_is_reached_at_its_number_and_not_beyond(goal, theirs, ours, got, reached):
    assert (goal.got(theirs, ours), goal.is_reached(theirs, ours)) == (got, reached)


@pytest.mark.parametrize(("seconds", "verdict"), [((3.0, 1.0), "yes"), ((3.0, 2.0), "**no**")], ids=["yes", "no"])
def test_a_line_tells_what_both_sides_took_and_whether_that_reaches_the_goal(seconds, verdict):
    theirs, ours = seconds
    cells = f"{theirs:.3g} s CPU | {ours:.3g} s CPU | {theirs / ours:.2f} times less | at least 2.4 times less"
    assert f"| {cells} | {verdict} | 1 |" in speed_report(seconds)


@pytest.mark.parametrize(
    ("must", "theirs", "ours", "words"),
    [
        ("be equal", {"scores": [0.1]}, {"scores": [np.nextafter(0.1, 1)]}, "scores"),
        ("be equal", {"scores": [0.1], "refit": [1]}, {"scores": [0.1]}, "refit"),
        ("be equal", {}, {}, "has no values of search"),
        ("have equal folds", {"split0_test_score": [0.1]}, {"split0_test_score": [0.2]}, "split0_test_score"),
    ],
    ids=["last bit", "less", "nothing", "fold"],
)
def test_no_time_is_told_of_sides_that_do_not_come_to_the_same(must, theirs, ours, words):
    with pytest.raises(DifferentResultsError, match=words):
        speed_report(values=(theirs, ours), line=line_of(must))


@pytest.mark.parametrize(
    ("must", "theirs", "ours"),
    [
        ("be equal", {"scores": [float("nan")]}, {"scores": [float("nan")]}),
        ("have equal folds", {"mean_test_score": [0.1]}, {"mean_test_score": [np.nextafter(0.1, 1)]}),
    ],
    ids=["NaN", "mean"],
)
def test_what_may_differ_does_not_matter(must, theirs, ours):
    assert " times less | " in speed_report(values=(theirs, ours), line=line_of(must))


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (0.9, "score +0.00 % | at least 8 times less | yes"),
        (0.8992, "score -0.09 % | at least 8 times less | yes"),
        (0.898, "score -0.22 % | at least 8 times less | **no**"),
        (0.95, "score +5.56 % | at least 8 times less | yes"),
    ],
    ids=["same", "near", "far", "better"],
)
def test_an_inexact_search_must_be_fast_and_close(best, words):
    values = {"best_score": 0.9}, {"best_score": best}
    assert f"9.00 times less, {words}" in speed_report((9.0, 1.0), values, line_of("be close"))


def test_a_side_that_cannot_run_is_said_to_be_missing():
    assert "not measured: No module named 'dask_ml'" in speed_report(missing="No module named 'dask_ml'")


def test_sides_are_measured_in_turns():
    tasks = list_tasks((2, 5), is_quick=False)
    plain, ours = "plain chain, hgb", "mlwf search, hgb"
    assert tasks == [(plain, 0), (ours, 0), ("baseline", 0), (plain, 1), (ours, 1), ("baseline", 1), ("baseline", 2)]


def test_a_benchmark_goes_on_from_what_it_kept(tmp_path):
    KeptMeasurements(tmp_path / "kept.json", is_quick=True).add(("baseline", 0), {"parts": {}})
    again = KeptMeasurements(tmp_path / "kept.json", is_quick=True)
    assert again.measured == {"baseline": [{"parts": {}}]}
    assert [("baseline", number) in again for number in (0, 1)] == [True, False]


def test_quick_measurements_are_not_taken_for_others(tmp_path):
    KeptMeasurements(tmp_path / "kept.json", is_quick=True).add(("baseline", 0), {})
    with pytest.raises(SystemExit, match="was measured otherwise"):
        KeptMeasurements(tmp_path / "kept.json", is_quick=False)


def test_time_of_children_is_counted(tmp_path):
    watch = Stopwatch()
    with watch.part("busy"):
        cpu = cpu_of([sys.executable, "-c", "sum(range(10_000_000))"], cwd=tmp_path)
    assert cpu > 0.05
    assert watch.parts["busy"]["cpu"] == pytest.approx(cpu, rel=0.2)


def test_a_command_that_fails_is_told_with_what_it_wrote(tmp_path):
    with pytest.raises(RuntimeError, match=r"exit code 1\n[\s\S]*no such thing"):
        cpu_of([sys.executable, "-c", "raise SystemExit('no such thing')"], cwd=tmp_path)


def measured_here(monkeypatch, function, classifier, **options):
    """Run a script in this process."""
    # The stopwatch puts its counter there; this takes it away again.
    monkeypatch.setattr(classifier, "fit", classifier.fit)
    watch = Stopwatch()
    function(watch, is_quick=True, repeat=0, **options)
    return watch


def test_plain_script_makes_the_fits_that_scikit_learn_makes(monkeypatch):
    watch = measured_here(monkeypatch, plain.chain, HistGradientBoostingClassifier, algorithm="hist_gradient_boosting")
    # 8 candidates in 5 folds and a refit; 5 of the calibration, and 5 more in each fold of the validation.
    assert [watch.parts[part]["fits"] for part in ("search", "chain")] == [8 * 5 + 1, 8 * 5 + 1 + 5 + 25]


def test_fewest_fits_are_those_that_mlwf_makes(monkeypatch):
    options = {"algorithm": "hist_gradient_boosting"}
    # Once a process a fit of eight rows tells whether this scikit-learn's rounds can be cut.
    stage_parameter(HistGradientBoostingClassifier(random_state=0), 8)
    fewest = measured_here(monkeypatch, plain.fewest_fits, HistGradientBoostingClassifier, **options)
    chain = measured_here(monkeypatch, ours.chain, HistGradientBoostingClassifier, **options)
    # 4 groups of candidates that differ in the rounds alone, in 5 folds; the refit; 5 in each fold of the validation.
    assert fewest.parts["fits"]["fits"] == chain.parts["chain"]["fits"] == 4 * 5 + 1 + 25
    assert fewest.values["fits"]["best_params"] == chain.values["chain"]["best_params"]


@SLOW
def test_speed_command_compares_every_line_that_is_committed(tmp_path):
    output = tmp_path / "speed.md"
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        options(output.read_text()) == options(SPEED.read_text()) == [(x.what, x.against, x.goal.words) for x in LINES]
    )


def options(report):
    """Give what a report compares and what it wants to reach."""
    rows = [line.strip("| ").split(" | ") for line in quoted(report, *SPEED_MARKS).splitlines()[2:]]
    return [(row[0], row[1], row[5]) for row in rows]


def test_readme_quotes_the_committed_speed():
    assert quoted((ROOT / "README.md").read_text(), *SPEED_MARKS) == quoted(SPEED.read_text(), *SPEED_MARKS)


def test_committed_speed_is_of_every_line_and_not_of_a_quick_run():
    report = SPEED.read_text()
    assert options(report) == [(line.what, line.against, line.goal.words) for line in LINES]
    assert "Written by `python -m benchmarks.speed`;" in report


@SLOW
def test_memory_command_measures_each_side_of_a_table(tmp_path):
    output = tmp_path / "memory.md"
    command = [sys.executable, "-m", "benchmarks.memory", "--size", "3000x3+1", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in quoted(output.read_text(), *MEMORY_MARKS).splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["3,000 x 4, 1 of them texts", "0 MB", side]
        for side in ("the plain script", "`mlwf train`", "`mlwf predict`", "`mlwf evaluate`")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [("2000000x20", "2,000,000 x 20"), ("300000x30+12", "300,000 x 42, 12 of them texts")],
)
def test_a_table_to_measure_with_is_named(text, words):
    assert str(Size.parse(text)) == words


def test_readme_quotes_the_committed_memory():
    report = (ROOT / "benchmarks/memory.md").read_text()
    assert quoted((ROOT / "README.md").read_text(), *MEMORY_MARKS) == quoted(report, *MEMORY_MARKS)
    assert "Written by `python -m benchmarks.memory`;" in report


def test_readme_quotes_the_simulated_clusters():
    quoted = [
        (ROOT / name).read_text().split("<!-- cluster -->")[1].split("<!-- /cluster -->")[0]
        for name in ("README.md", "benchmarks/cluster.md")
    ]
    assert quoted[0] == quoted[1]


def test_a_simulated_cluster_of_too_many_workers_is_bound_by_its_longest_fits():
    done = Simulated("a search", workers=64, fits=3, total=12.0, chain=6.0, seconds=8.0)
    assert (done.ideal, done.row()) == (6.0, "| a search | 64 | 3 | 6.0 s | 8.0 s | 0.75 | 0.02 |")
