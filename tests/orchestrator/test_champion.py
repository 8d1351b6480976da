"""A gate against a registered model: fetched before the first fit, compared on rows that it has not learnt from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mlwf.errors import ConfigError, TrackingError
from mlwf.evaluation.predictions import predict
from mlwf.modules.data import Dataset, row_digests
from mlwf.modules.gates import Comparison
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.tracking import TrackedRows, create_mlflow_tracker
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.champion import Champion, hash_training_rows, load_champions, make_compare
from mlwf.orchestrator.checks import located
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_data import load_arrays, load_tables, with_test
from mlwf.orchestrator.run_log import RunLog
from mlwf.results import Evaluation
from mlwf.specs.catalogue import Source
from mlwf.specs.data import IN_MEMORY, DataSpec
from mlwf.specs.experiment import ClassifierModelSpec, ExperimentSpec, GateSpec, ValidationSpec
from mlwf.specs.features import CategoricalFeatureSpec, DateFeatureSpec, NumericFeatureSpec
from mlwf.specs.loading import load_experiment
from mlwf.specs.tracking import MLflowSpec
from tests.provenances import BY_SOURCE, ON_TEST

FEATURES = ["height", "weight", "city", "born", "zip"]


def make_rows(n: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "height": draw.normal(170, 10, n).round(4),
            "weight": draw.normal(70, 12, n).round(4),
            "city": draw.choice(["Bergen", "Lyon", "Turin"], n),
            "born": (pd.Timestamp("1980-01-01") + pd.to_timedelta(draw.integers(0, 9000, n), unit="D")).strftime("%F"),
            "zip": draw.integers(1, 6, n),
            "importance": draw.integers(1, 4, n),
        }
    )
    rows.loc[draw.random(n) < 0.05, ["height", "city"]] = None
    tall = rows["height"].fillna(170) + 6 * (rows["city"] == "Lyon") + draw.normal(0, 7, n) > 172
    return rows.assign(size=np.where(tall, "tall", "short"))


def make_model(rows: pd.DataFrame, classifier: Any = None) -> Pipeline:
    """Fit a champion that takes some columns otherwise than the runs below: a number as text, text as a number."""
    preprocessor = build_preprocessor(
        [
            NumericFeatureSpec(columns=["height", "weight"]),
            CategoricalFeatureSpec(columns=["city", "zip"]),
            DateFeatureSpec(columns=["born"], parts=["year"]),
        ]
    )
    model = Pipeline([("preprocessor", preprocessor), ("classifier", classifier or LogisticRegression())])
    return model.fit(rows[FEATURES], rows["size"].to_numpy(dtype=object))


def hashes(rows: pd.DataFrame, *, columns: Sequence[str] = FEATURES) -> Any:
    return row_digests(Dataset(rows[list(columns)], rows["size"].to_numpy(dtype=object), ""))


@dataclass(frozen=True)
class Registry:
    """A store with champions of several kinds."""

    path: Path
    model: Pipeline

    @property
    def uri(self) -> str:
        """Its address."""
        return f"sqlite:///{self.path}"


TRAIN, TEST = make_rows(300, 1), make_rows(200, 2)


@pytest.fixture(scope="module")
def registry(empty_store, tmp_path_factory) -> Registry:
    """Register the models that gates are to beat."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    shutil.copy(empty_store, path)
    model = make_model(make_rows(300, 3))
    shifted = TEST.assign(size=TEST["size"].str.upper())
    arrays = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression())])
    champions: dict[str, tuple[Any, Any]] = {
        "fresh": (model, hashes(TRAIN)),
        "half": (model, hashes(TEST.iloc[:120])),
        "same": (model, hashes(TEST)),
        "nearly": (model, hashes(TEST.iloc[25:])),
        "tall": (model, hashes(TEST[TEST["size"] == "tall"])),
        "foreign": (model, None),
        "classes": (make_model(shifted), None),
        "margins": (make_model(TRAIN, LinearSVC()), None),
        "array": (arrays.fit(TRAIN[["weight", "zip"]].to_numpy(float), TRAIN["size"].to_numpy(object)), None),
    }
    for name, (registered, rows) in champions.items():
        spec = MLflowSpec(tracking_uri=f"sqlite:///{path}", registered_model_name=name, alias="champion")
        tracker = create_mlflow_tracker(spec, ClassifierModelSpec(), run_id=name)
        tracker.start_run()
        tracker.log_workflow_results({"pipeline": registered}, register_model=True, rows=TrackedRows(hashes=rows))
        tracker.end_run()
    return Registry(path, model)


ContextOf = Callable[..., RunContext]


@pytest.fixture
def context_of(registry, tmp_path) -> ContextOf:
    """Give a function that sets up a run with these gates over CSV files."""

    def context_of(
        *gates: dict[str, Any], train: pd.DataFrame = TRAIN, test: Any = TEST, **sections: Any
    ) -> RunContext:
        train.to_csv(tmp_path / "train.csv", index=False)
        data: dict[str, Any] = {"path": "train.csv", "target": "size", "drop": ["importance"]}
        if test is not None:
            test.to_csv(tmp_path / "test.csv", index=False)
            data["test_path"] = "test.csv"
        written = {
            "data": {**data, **sections.pop("data", {})},
            # The rest of the champion's columns are left out here, and one is read otherwise.
            "features": [{"type": "numeric", "columns": ["height", "zip"]}],
            "tracking": {"tracking_uri": registry.uri},
            "validation": {"metrics": ["accuracy", "log_loss"]},
            "gates": list(gates),
            **sections,
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(written), "utf-8")
        spec, document = load_experiment(tmp_path / "run.yaml")
        with located(document):
            context = RunContext(spec, load_tables(spec), RunLog())
            load_champions(context)
        return context

    return context_of


def beats(name: str, metric: str = "accuracy", alias: str = "champion", **gate: Any) -> dict[str, Any]:
    return {"metric": metric, "beats": f"models:/{name}@{alias}", **gate}


def own_model(context: RunContext) -> LogisticRegression:
    rows = context.run_data.data.X[["height"]].fillna(170)
    return LogisticRegression().fit(rows, context.run_data.data.y)


def evaluated(context: RunContext, source: Source = "test") -> Evaluation:
    """Evaluate a model of the run's own, which knows one column."""
    data, index = context.run_data.test, slice(None)
    if source == "train_test":
        data, index = context.run_data.data, context.split.test.index
    assert data is not None
    said = predict(own_model(context), data.X[["height"]].fillna(170).iloc[index])
    return Evaluation(BY_SOURCE[source], (), said, data.y[index])


def compare(context: RunContext, name: str, metric: str = "accuracy", source: Source = "test") -> Comparison:
    found = make_compare(load_champions(context), context, [evaluated(context, source)])
    return found(f"models:/{name}@champion", metric, source)


def the_champion(context: RunContext) -> Champion:
    (champion,) = load_champions(context).values()
    return champion


def test_champion_says_of_this_run_s_rows_what_it_says_of_raw_ones(context_of, registry):
    champion = the_champion(context_of(beats("fresh")))
    assert champion.version == "models:/fresh/1"
    assert np.array_equal(champion.predictions.proba, registry.model.predict_proba(TEST[FEATURES]))
    assert champion.is_new is not None
    assert champion.is_new.all()


@pytest.mark.parametrize(
    ("metric", "difference"),
    [
        ("accuracy", lambda y, own, other: accuracy_score(y, own.labels) - accuracy_score(y, other.labels)),
        ("log_loss", lambda y, own, other: log_loss(y, other.proba) - log_loss(y, own.proba)),
    ],
    ids=["accuracy", "log_loss"],
)
def test_comparison_is_the_paired_difference_greater_being_better(context_of, metric, difference):
    context = context_of(beats("fresh", metric))
    found = compare(context, "fresh", metric)
    own, other, y = evaluated(context).predictions, the_champion(context).predictions, TEST["size"].to_numpy()
    assert found.difference is not None
    assert found.difference.value == pytest.approx(difference(y, own, other))
    assert found.difference.interval is not None
    assert found.difference.interval.low < found.difference.value < found.difference.interval.high
    assert found.difference.interval.method == "bootstrap of rows"
    assert found.note == "models:/fresh/1 compared on 200 rows that the champion was not trained on"
    assert found.refused is None


def test_comparison_with_oneself_finds_no_difference(context_of):
    context = context_of(beats("fresh"))
    champions = load_champions(context)
    (champion,) = champions.values()
    same = Evaluation(ON_TEST, (), champion.predictions, context.run_data.test.y)
    found = make_compare(champions, context, [same])("models:/fresh@champion", "accuracy", "test")
    assert found.difference is not None
    assert (found.difference.value, found.difference.interval) == (0, None)


def test_comparison_leaves_out_the_rows_that_the_champion_was_trained_on(context_of):
    context = context_of(beats("half"))
    found = compare(context, "half")
    own, other, y = evaluated(context).predictions, the_champion(context).predictions, TEST["size"].to_numpy()
    new = slice(120, None)
    assert found.difference is not None
    assert found.difference.value == pytest.approx(
        np.mean(own.labels[new] == y[new]) - np.mean(other.labels[new] == y[new])
    )
    assert found.note == (
        "models:/half/1 compared on 80 of 200 rows: the champion was trained on the others, or on rows equal to them"
    )


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("same", "0 rows are left that the champion was not trained on, fewer than 30"),
        ("nearly", "25 rows are left that the champion was not trained on, fewer than 30"),
        ("tall", "no row of class tall is left that the champion was not trained on"),
    ],
)
def test_comparison_is_refused_where_too_little_is_left(context_of, name, refused):
    found = compare(context_of(beats(name)), name)
    assert (found.difference, found.refused) == (None, refused)


def test_comparison_with_a_model_whose_run_does_not_say_its_rows_is_labelled(context_of):
    found = compare(context_of(beats("foreign")), "foreign")
    assert found.difference is not None
    assert found.note == "models:/foreign/1 compared on 200 rows: its run does not say which rows it was trained on"


def test_comparison_on_few_rows_is_refused(context_of):
    found = compare(context_of(beats("foreign"), test=TEST.iloc[:29]), "foreign")
    assert found.refused == "29 rows are there, fewer than 30"


def test_comparison_is_on_the_hold_out_where_there_is_no_test_set(context_of):
    validation = {"strategy": "train_test", "test_size": 0.3}
    context = context_of(beats("foreign"), test=None, validation=validation)
    found = compare(context, "foreign", source="train_test")
    other, y = the_champion(context).predictions, TRAIN["size"].to_numpy()[context.split.test.index]
    own = evaluated(context, "train_test").predictions
    assert found.difference is not None
    assert found.difference.value == pytest.approx(np.mean(own.labels == y) - np.mean(other.labels == y))
    assert found.note.startswith("models:/foreign/1 compared on 90 rows")


def test_comparison_is_on_the_source_that_the_gate_names(context_of):
    context = context_of(beats("fresh", source="train_test"), validation={"strategy": "train_test"})
    assert set(load_champions(context)) == {("models:/fresh@champion", "train_test")}


def test_champion_gets_the_columns_that_inference_left_out(context_of, registry):
    train = TRAIN.assign(zip="7")
    context = context_of(
        beats("foreign"), train=train, test=None, features="auto", validation={"strategy": "train_test"}
    )
    assert "zip" not in context.run_data.data.X
    held_out = train[FEATURES].iloc[context.split.test.index]
    assert np.array_equal(the_champion(context).predictions.proba, registry.model.predict_proba(held_out))


def test_comparison_keeps_weights_and_groups(context_of):
    data = {"sample_weight": "importance", "groups": "city", "drop": []}
    filled = [rows.assign(city=rows["city"].fillna("Turin")) for rows in (TRAIN, TEST)]
    context = context_of(beats("foreign"), train=filled[0], test=filled[1], data=data)
    found = compare(context, "foreign")
    own, other, y = evaluated(context).predictions, the_champion(context).predictions, TEST["size"].to_numpy()
    weight = TEST["importance"]
    expected = [accuracy_score(y, said.labels, sample_weight=weight) for said in (own, other)]
    assert found.difference is not None
    assert found.difference.value == pytest.approx(expected[0] - expected[1])
    assert found.difference.interval is not None
    assert found.difference.interval.method == "bootstrap of groups"


@pytest.mark.filterwarnings("ignore:Only one class")
def test_comparison_on_a_metric_that_is_undefined_is_refused(context_of):
    context = context_of(beats("foreign", "roc_auc"), validation={"metrics": ["roc_auc"]})
    y = np.full(len(TEST), "tall", dtype=object)
    run_data = replace(context.run_data, test=replace(context.run_data.test, y=y))
    context = RunContext(context.spec, run_data, context.run_log)
    said = predict(own_model(context), context.run_data.test.X[["height"]].fillna(170))
    found = make_compare(load_champions(context), context, [Evaluation(ON_TEST, (), said, y)])(
        "models:/foreign@champion", "roc_auc", "test"
    )
    assert found.difference is None
    assert found.refused == "roc_auc is not defined for rows like these"


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            beats("nobody"),
            "is 'models:/nobody@champion', and {unfetched} failed: Registered Model with name=nobody not found",
        ),
        (
            beats("fresh", alias="former"),
            "is 'models:/fresh@former', and {unfetched} failed: Registered model alias former not found.",
        ),
        (
            {"metric": "accuracy", "beats": "models:/fresh/7"},
            "is 'models:/fresh/7', and {unfetched} failed: Model Version (name=fresh, version=7) not found",
        ),
        (
            beats("classes"),
            "is 'models:/classes@champion', and its classes are SHORT, TALL, and those of size are short, tall",
        ),
        (
            beats("margins", "log_loss"),
            "is 'models:/margins@champion', which gives no probabilities, and log_loss needs them",
        ),
        (beats("array"), "is 'models:/array@champion', and it does not say which columns it was trained on"),
    ],
    ids=["name", "alias", "version", "classes", "probabilities", "no columns"],
)
def test_champion_that_cannot_be_compared_with_is_told_where_it_is_written(
    context_of, registry, tmp_path, gate, message
):
    with pytest.raises(ConfigError) as caught:
        context_of({"metric": "accuracy", "min": 0.1}, gate)
    (problem,) = caught.value.problems
    place, said = str(problem).split("  ", 1)
    assert place.startswith(f"{tmp_path / 'run.yaml'}:")
    unfetched = f"it cannot be fetched: {registry.uri}: fetching {gate['beats']}"
    assert said == f"gates.1.beats: {message.format(unfetched=unfetched)}"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"drop": ["city", "born"]}, "it needs city, born, which these rows lack"),
        ({"weight": "heavy"}, "it cannot predict these rows: could not convert string to float: 'heavy'"),
    ],
    ids=["columns", "values"],
)
def test_champion_that_cannot_take_these_rows_is_told(context_of, changed, message):
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        drop = changed.get("drop", [])
        return rows.drop(columns=drop).assign(**{name: text for name, text in changed.items() if name != "drop"})

    with pytest.raises(ConfigError) as caught:
        context_of(beats("foreign"), train=change(TRAIN), test=change(TEST))
    assert str(caught.value).endswith(f"gates.0.beats: is 'models:/foreign@champion', and {message}")


def test_every_champion_that_cannot_be_compared_with_is_told_at_once(context_of):
    with pytest.raises(ConfigError) as caught:
        context_of(beats("nobody"), beats("fresh"), beats("classes"))
    assert [problem.key for problem in caught.value.problems] == ["gates.0.beats", "gates.2.beats"]


def test_champion_with_margins_serves_metrics_that_do_without_probabilities(context_of):
    found = compare(context_of(beats("margins", "roc_auc"), validation={"metrics": ["roc_auc"]}), "margins", "roc_auc")
    assert found.difference is not None


def test_store_that_does_not_answer_is_no_mistake_in_the_file(context_of):
    with pytest.raises(TrackingError, match="the tracking server cannot be reached"):
        context_of(beats("fresh"), tracking={"tracking_uri": "http://127.0.0.1:9"})


def test_gates_without_a_champion_fetch_nothing(context_of):
    gates = [{"metric": "accuracy", "min": 0.1}, {"metric": "accuracy", "beats": "baseline"}]
    context = context_of(*gates, tracking={"tracking_uri": "http://127.0.0.1:9"})
    assert load_champions(context) == {}


def test_champion_over_an_array_takes_an_array(registry):
    X, y = (TRAIN[["weight", "zip"]].to_numpy(float), TRAIN["size"].to_numpy(object))
    spec = ExperimentSpec(
        data=DataSpec(path=IN_MEMORY, target="size"),
        features=[NumericFeatureSpec(columns=["weight", "zip"])],
        tracking=MLflowSpec(tracking_uri=registry.uri),
        gates=[GateSpec(metric="accuracy", beats="models:/array@champion")],
    )
    load = with_test(load_arrays(X, y), X[:50], y[:50])
    champion = the_champion(RunContext(spec, load(spec), RunLog()))
    assert len(champion.predictions) == 50
    other = spec.model_copy(update={"gates": [GateSpec(metric="accuracy", beats="models:/foreign@champion")]})
    context = RunContext(other, load(other), RunLog())
    with pytest.raises(ConfigError, match="it was not trained on an array of 2 columns, as X is"):
        load_champions(context)


def test_run_beats_a_champion_that_an_earlier_run_registered(empty_store, tmp_path):
    """What one run leaves on the store is all that a later one needs."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    both = pd.concat([TEST.iloc[:80], TRAIN.iloc[:200]])
    for name, rows in {"first": both, "second": TRAIN, "test": TEST}.items():
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    sections: dict[str, Any] = {
        "features": [{"type": "numeric", "columns": ["weight"]}],
        "model": {"algorithm": "gaussian_nb"},
        "validation": {"cv_folds": 2},
        "tracking": {"registered_model_name": "people", "alias": "champion"},
    }
    better = {
        **sections,
        "features": [{"type": "numeric", "columns": ["height", "weight"]}],
        "gates": [beats("people"), beats("people", by=0.9)],
    }
    run(tmp_path, "first", **sections)
    results = run(tmp_path, "second", data={"test_path": "test.csv"}, **better)
    met, missed = results["gates"]
    assert (met["passed"], missed["passed"]) == (True, False)
    assert missed["asked"] == "accuracy better than models:/people@champion by 0.9"
    assert met["source"] == "test"
    assert met["note"].startswith(
        "models:/people/1 compared on 120 of 200 rows: the champion was trained on the others"
    )


def run(folder: Path, name: str, *, data: Any = None, **sections: Any) -> dict[str, Any]:
    written = {"data": {"path": f"{name}.csv", "target": "size", **(data or {})}, **sections}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(written), "utf-8")
    spec, document = load_experiment(folder / f"{name}.yaml")
    return run_experiment(spec, document, runs_dir=folder / "runs")


@pytest.mark.parametrize(("refit", "n_rows"), [(False, 225), (True, 300)])
def test_trained_rows_are_those_of_the_model_that_ships(context_of, refit, n_rows):
    validation = ValidationSpec(strategy="train_test", test_size=0.25, refit=refit)
    context = context_of(test=None, validation=validation.model_dump(exclude_defaults=True))
    found = hash_training_rows(context)
    assert len(found) == n_rows
    shipped = TRAIN.iloc[context.shipped_rows.index]
    assert np.array_equal(found, hashes(shipped, columns=["height", "zip"]))


def test_trained_rows_of_a_champion_are_known_again_in_a_run_with_other_features(context_of):
    """What a run says of its model's rows finds them in a run that drops these columns, and reads one as text."""
    own = context_of(test=None, features=[{"type": "numeric", "columns": ["height", "weight", "zip"]}])
    later = context_of(features=[{"type": "categorical", "columns": ["zip"]}], test=TRAIN.iloc[::-1])
    names = ["height", "weight", "zip"]
    test = later.run_data.test
    rows = pd.concat([test.X, test.other], axis=1)[names]
    found = row_digests(Dataset(rows, test.y, ""))
    assert np.array_equal(found, hash_training_rows(own)[::-1])
