"""A champion is made days after its training, by what the run and its store keep, and can be given back."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.cli.run_lookup import find_run_files
from mlwf.errors import TrackingError, UsageError
from mlwf.modules.runs import find_run, list_runs
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.evaluating import evaluate_run
from mlwf.orchestrator.promoting import promote_run, return_to_previous
from mlwf.specs.loading import load_experiment

CHAMPION_GATE = {"metric": "log_loss", "beats": "models:/rivals@champion"}
RUNS = {
    # The first is the champion that the second is gated against.
    "first": {"columns": ["weight"], "tracking": {"registered_model_name": "rivals", "alias": "champion"}},
    "second": {"columns": ["height", "weight"], "gates": [CHAMPION_GATE]},
    "failing": {"columns": ["weight"], "gates": [{"metric": "accuracy", "min": 1}]},
    "elsewhere": {"columns": ["height"], "random_state": 5},
    "untracked": {"columns": ["height"], "tracking": None},
}


class House:
    """A folder of trained runs and their store."""

    def __init__(self, folder):
        self.folder, self.runs_dir = folder, folder / "runs"
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.ids = {}

    def train(self, name, columns, **sections):
        written = {
            "data": {"path": "people.csv", "target": "size"},
            "features": [{"type": "numeric", "columns": columns}],
            "model": {"algorithm": "gaussian_nb"},
            "validation": {"strategy": "train_test", "test_size": 0.4, "metrics": ["accuracy", "log_loss"]},
            "tracking": {},
            **sections,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({key: each for key, each in written.items() if each is not None}), "utf-8")
        run_experiment(*load_experiment(path), runs_dir=self.runs_dir)
        self.ids[name] = find_run(self.runs_dir, "latest").run_id

    def promote(self, run, **options):
        def find_files(named, uri):
            return find_run_files(named, runs_dir=self.runs_dir, tracking_uri=uri)

        given = {"alias": "champion", "find_files": find_files, "runs_dir": self.runs_dir, **options}
        return promote_run(self.ids.get(run, run), **given)

    def back(self, run, **options):
        given = {"alias": "champion", "runs_dir": self.runs_dir, "tracking_uri": None, **options}
        return return_to_previous(self.ids.get(run, run), **given)

    def tracking(self, run):
        return json.loads((self.runs_dir / self.ids[run] / "summary.json").read_text("utf-8"))["tracking"]

    def tags(self, model, version):
        tags = self.client.get_model_version(model, version).tags
        prefix = "mlwf.champion."
        return {key.removeprefix(prefix): text for key, text in tags.items() if key.startswith(prefix)}

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(self.uri, registry_uri=self.uri)

    def champion(self, model):
        return str(self.client.get_model_version_by_alias(model, "champion").version)


@pytest.fixture(scope="module")
def house(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(empty_store, folder / "mlflow.db")
    draw = np.random.default_rng(3)
    people = pd.DataFrame({"height": draw.normal(170, 10, 150), "weight": draw.normal(70, 12, 150)})
    people["size"] = np.where(people["height"] + draw.normal(0, 7, 150) > 172, "tall", "short")
    people.to_csv(folder / "people.csv", index=False)
    house = House(folder)
    for name, sections in RUNS.items():
        house.train(name, **sections)
    return house


def test_a_run_is_registered_and_gets_the_alias_with_when_and_why(house):
    done = house.promote("elsewhere", model="lone", reason="the first of its kind")
    assert (done.version, done.refused, done.change.before) == ("1", False, None)
    assert house.champion("lone") == "1"
    tags = house.tags("lone", "1")
    assert (tags["reason"], tags["since"], tags["by"]) == (
        "the first of its kind",
        done.change.since,
        done.change.by,
    )
    assert house.tracking("elsewhere")["aliases"]["champion"]["reason"] == "the first of its kind"
    assert house.promote("elsewhere", model="lone").change is None


def test_a_run_whose_gates_are_not_met_is_not_registered(house):
    done = house.promote("failing", model="refused")
    assert (done.refused, done.version, done.change) == (True, None, None)
    assert [gate.asked for gate in done.gates] == ["accuracy at least 1"]
    assert house.client.search_registered_models(filter_string="name = 'refused'") == []
    assert house.tracking("failing")["registered_model"] is None


def test_force_registers_it_all_the_same_and_is_recorded(house):
    done = house.promote("failing", model="forced", force=True)
    assert (done.refused, done.forced, house.champion("forced")) == (False, True, "1")
    again = house.promote("failing", model="forced")
    assert (again.refused, again.change) == (False, None)
    tags = house.tags("forced", "1")
    assert tags["reason"] == "forced"
    assert tags["forced"].startswith("accuracy at least 1: 0.")


def test_the_version_before_is_known_and_gets_the_alias_back(house):
    house.promote("elsewhere", model="pair")
    house.promote("second", model="pair")
    assert house.tags("pair", "2")["before"] == "1"
    assert house.tags("pair", "1")["after"] == "2"
    rows = {row["run_id"]: row["aliases"] for row in list_runs(house.runs_dir)}
    assert (rows[house.ids["second"]], rows[house.ids["elsewhere"]]) == (["champion"], [])

    done = house.back("models:/pair@champion", tracking_uri=house.uri, reason="it was slow")
    assert (done.version, done.change.before, house.champion("pair")) == ("1", "2", "1")
    assert house.tags("pair", "1")["reason"] == "given back by version 2: it was slow"
    assert not {"until", "after"} & house.tags("pair", "1").keys()
    assert house.tags("pair", "2")["until"] == done.change.since
    with pytest.raises(UsageError, match="do not say which version was champion before version 1"):
        house.back("models:/pair@champion", tracking_uri=house.uri)
    with pytest.raises(UsageError, match="version 1 is champion, and not version 2"):
        house.back("models:/pair/2", tracking_uri=house.uri)


def test_the_verdict_of_the_training_holds_while_the_champion_is_the_same(house):
    house.promote("models:/rivals/1", tracking_uri=house.uri)
    assert house.promote("second", model="held").gates == ()
    assert house.tags("held", "1")["reason"] == "1 gate met"


def test_a_new_champion_is_compared_on_the_rows_that_both_were_judged_on(house):
    weaker = house.promote("failing", model="rivals", force=True).version
    assert not house.promote("second", model="newer").refused
    house.promote("second", model="rivals", force=True)
    # The gates of a run are checked against itself no more.
    assert house.promote("second", model="rivals").change is None
    assert house.back("second", model="rivals").version == weaker


def test_a_new_champion_that_was_judged_on_other_rows_refuses(house):
    version = house.promote("elsewhere", model="rivals").version
    (gate,) = house.promote("second", model="others").gates
    assert not gate.passed
    assert gate.got == f"not compared: the run was judged on other rows than models:/rivals/{version} (60)"
    assert gate.opponent == f"models:/rivals/{version}"
    house.back("elsewhere", model="rivals")


def test_a_later_evaluation_compares_with_the_champion_on_the_new_rows(house):
    def evaluate(run, n=200):
        draw = np.random.default_rng(4)
        people = pd.DataFrame({"height": draw.normal(170, 10, n), "weight": draw.normal(70, 12, n)})
        people["size"] = np.where(people["height"] + draw.normal(0, 7, n) > 172, "tall", "short")
        people.to_csv(house.folder / "new.csv", index=False)
        (gate,) = evaluate_run(run, str(house.folder / "new.csv"), runs_dir=house.runs_dir)["gates"]
        return gate

    house.promote("models:/rivals/1", tracking_uri=house.uri)
    gate = evaluate(house.ids["second"])
    assert (gate["passed"], gate["source"], gate["opponent"]) == (True, "new_rows", "models:/rivals/1")
    assert gate["note"] == "models:/rivals/1 compared on 200 rows that neither was trained on"
    assert evaluate(house.ids["second"], 20)["got"] == "not compared: 20 rows are there, fewer than 30"
    version = house.promote("second").version
    assert (evaluate(house.ids["second"])["got"], version) == ("it is that version", house.champion("rivals"))
    house.client.delete_registered_model_alias("rivals", "champion")
    gate = evaluate(house.ids["second"])
    assert (gate["passed"], gate["got"].startswith("not compared: ")) == (False, True)
    house.promote("models:/rivals/1", tracking_uri=house.uri)


def test_a_training_records_who_was_champion_before(house):
    house.promote("models:/rivals/1", tracking_uri=house.uri)
    before = house.champion("rivals")
    house.train("again", **RUNS["first"])
    version = house.champion("rivals")
    assert house.tags("rivals", version)["before"] == before
    assert house.tags("rivals", version)["reason"] == "registered by its training"
    assert house.back("models:/rivals@champion", tracking_uri=house.uri).version == before


@pytest.mark.parametrize(
    ("run", "options", "message"),
    [
        ("elsewhere", {"alias": "v1"}, "--alias v1: MLflow keeps for itself"),
        ("elsewhere", {"model": "a/b"}, "--model a/b: holds a / or a :"),
        ("untracked", {}, "the run has no MLflow run: its experiment has no tracking section"),
        ("nowhere", {}, "no run 'nowhere'"),
    ],
    ids=["alias", "model", "untracked", "unknown"],
)
def test_what_cannot_be_promoted_is_said(house, run, options, message):
    with pytest.raises(UsageError, match=message):
        house.promote(run, **options)


def test_a_run_without_a_name_to_register_it_under_asks_for_one(house):
    folder = find_run(house.runs_dir, house.ids["elsewhere"])
    summary = folder.read_json("summary.json")
    folder.write_json("summary.json", {**summary, "tracking": {**summary["tracking"], "registered_model": None}})
    with pytest.raises(UsageError, match="--model NAME gives one"):
        house.promote("elsewhere")
    folder.write_json("summary.json", summary)


def test_a_version_that_is_not_there_is_said(house):
    with pytest.raises(TrackingError, match="models:/rivals/99"):
        house.promote("models:/rivals/99", tracking_uri=house.uri)
