"""A table that stays on the disk gives what the same table in memory gives, to the bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import DataError
from mlwf.modules.table_files import stored_columns
from mlwf.orchestrator import run_data
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.loaded_run import load_run
from mlwf.orchestrator.run_data import load_tables
from mlwf.specs.loading import load_experiment
from mlwf.splitting.stored_frame import StoredFrame

EXPERIMENT = """
data: {path: rows, target: label, groups: person, sample_weight: weight, drop: [note], test_path: later.parquet}
features:
  - {type: numeric, columns: [height, mass], imputer: null, scaler: null}
  - {type: categorical, columns: [city, code, kind], encoder: native}
  - {type: boolean, columns: [member], imputer: null}
  - {type: date, columns: [since], imputer: null, scaler: null}
model: {algorithm: xgboost, hyperparameters: {n_estimators: 5}}
validation: {cv_folds: 2, slices: [member]}
gates: [{metric: roc_auc, min: 0.1}]
"""
CHOSEN = """
tuning: {strategy: grid, param_grid: {classifier__n_estimators: [3, 5]}, cv_folds: 2}
calibration: {method: sigmoid, cv_folds: 2}
threshold: {scoring: balanced_accuracy}
validation: {strategy: train_test, refit: true}
"""
"""With a hold-out, and all that is chosen on folds."""
N = 900


def some_rows(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "height": draw.normal(170, 10, N),
            "mass": draw.integers(40, 90, N).astype(float),
            "city": draw.choice([*(f"city {k}" for k in range(30)), None], N),
            "code": draw.integers(0, 9, N),
            "member": draw.random(N) < 0.4,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, N), unit="D"),
            "person": draw.integers(0, 300, N),
            "weight": draw.uniform(0.5, 2, N),
            "note": [f"note {k}" for k in range(N)],
        }
    )
    rows["label"] = np.where(rows["height"] + 9 * rows["member"] + draw.normal(0, 6, N) > 173, "tall", "short")
    rows.loc[draw.random(N) < 0.1, "mass"] = np.nan
    # A category that one fold of the training alone has.
    rows.loc[3, "city"] = f"only in {seed}"
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    rows = some_rows(0)
    for kind, part in (("a", rows.iloc[:350]), ("b", rows.iloc[350:])):
        (folder / "rows" / f"kind={kind}").mkdir(parents=True)
        # An index without a name is no column.
        part.to_parquet(folder / "rows" / f"kind={kind}" / "part.parquet", index=None if kind == "a" else False)
    some_rows(1).assign(kind="a").to_parquet(folder / "later.parquet")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("xgboost", CHOSEN), marks=pytest.mark.slow, id="xgboost"),
        pytest.param(("lightgbm", ""), id="lightgbm"),
    ],
)
def both(request, folder):
    """Train in memory and by batches of a hundred rows, each without what the other has fitted; give the runs."""
    algorithm, chosen = request.param
    (folder / "more.yaml").write_text("extends: experiment.yaml\n" + chosen)
    runs = []
    for is_streamed in (False, True):
        place = folder / f"{algorithm}-{is_streamed}"
        values = [f"data.stream={str(is_streamed).lower()}", f"model.algorithm={algorithm}"]
        spec, document = load_experiment(folder / "more.yaml", values)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stored_columns, "MOST_BATCH_ROWS", 100)
            run_experiment(spec, document, runs_dir=place)
        runs.append(load_run("latest", runs_dir=place))
    return runs


def test_a_streamed_run_finds_what_a_run_in_memory_finds(both):
    of_each_run = ("run_id", "started_at", "seconds", "phases", "files")
    in_memory, streamed = ({k: v for k, v in run.summary.items() if k not in of_each_run} for run in both)
    differ = {key for key in in_memory if in_memory[key] != streamed[key]}
    assert not differ
    for name in ("table_schema.json", "profile.json", "partial_dependence.json"):
        assert (both[1].path / name).read_bytes() == (both[0].path / name).read_bytes()


def test_a_streamed_run_predicts_each_held_out_row_to_the_bit(both):
    pd.testing.assert_frame_equal(both[1].predictions, both[0].predictions, check_exact=True)


def test_a_streamed_model_is_the_one_of_a_run_in_memory(both):
    rows = some_rows(2).assign(kind="b")
    in_memory, streamed = (run.model for run in both)
    assert np.array_equal(streamed.predict_proba(rows), in_memory.predict_proba(rows))


def experiment(folder, *values, features="auto", algorithm="xgboost"):
    text = EXPERIMENT.partition("features:")[0] + f"features: {features}\nmodel: {{algorithm: {algorithm}}}\n"
    (folder / "other.yaml").write_text(text)
    spec, _ = load_experiment(folder / "other.yaml", values)
    return spec


def test_features_of_a_streamed_table_are_left_to_the_classifier(folder):
    data = load_tables(experiment(folder, "data.stream=true", "data.drop=[]"))
    assert isinstance(data.data.X, StoredFrame)
    assert {name: spec.encoder for spec in data.features if spec.type == "categorical" for name in spec.columns} == {
        "city": "native",
        "kind": "native",
    }
    assert all(spec.imputer is None for spec in data.features)


def test_prose_is_left_out_of_a_streamed_table(tmp_path):
    rows = some_rows(0)
    rows["note"] = [f"the long story of what {k} people did in the town of {k * 7}, as they told it" for k in range(N)]
    rows.to_parquet(tmp_path / "rows.parquet")
    data = load_tables(
        experiment(
            tmp_path, f"data.path={tmp_path}/rows.parquet", "data.stream=true", "data.drop=[]", "data.test_path=null"
        )
    )
    assert list(data.notes()) == ["note: left out: prose, whose components need all rows at once"]


@pytest.mark.parametrize(("algorithm", "is_streamed"), [("lightgbm", True), ("random_forest", False)])
def test_a_table_larger_than_a_quarter_of_the_memory_streams_if_all_of_it_can(
    folder, monkeypatch, algorithm, is_streamed
):
    monkeypatch.setattr(run_data, "memory_bytes", lambda: 4 * N * 8 * 11 - 1)
    data = load_tables(experiment(folder, algorithm=algorithm))
    assert data.is_streamed == is_streamed
    note = "the table is larger than a quarter of the memory (0.0 GB): its rows stay on the disk; "
    assert (note + "data.stream: false reads it as a whole" in [*data.notes()]) == is_streamed
    monkeypatch.setattr(run_data, "memory_bytes", lambda: 4 * N * 8 * 11)
    assert not load_tables(experiment(folder, algorithm=algorithm)).is_streamed


def test_rows_without_a_target_are_left_out_of_a_streamed_table(folder, tmp_path):
    rows = some_rows(0)
    rows.loc[[0, 5, 899], "label"] = None
    rows.to_parquet(tmp_path / "rows.parquet")
    values = [f"data.path={tmp_path}/rows.parquet", "data.drop_missing_target=true", "data.test_path=null"]
    streamed, in_memory = (
        load_tables(experiment(tmp_path, *values, f"data.stream={each}")) for each in ("true", "false")
    )
    features = in_memory.data.X[list(streamed.data.X.columns)]
    pd.testing.assert_frame_equal(streamed.data.X.in_memory(), features)
    assert np.array_equal(streamed.data.positions, in_memory.data.positions)
    assert np.array_equal(streamed.data.row_digests, in_memory.data.row_digests)


def test_a_csv_file_in_a_folder_does_not_stream(tmp_path):
    (tmp_path / "rows").mkdir()
    some_rows(0).to_csv(tmp_path / "rows" / "a.csv")
    with pytest.raises(DataError, match="is a CSV file, which is read as a whole"):
        load_tables(experiment(tmp_path, f"data.path={tmp_path}/rows", "data.stream=true"))


@pytest.mark.parametrize("name", ["height", "label", "weight"])
def test_what_is_wrong_with_a_streamed_table_is_found(folder, tmp_path, name):
    rows = some_rows(0)
    rows[name] = [[1]] * N
    rows.to_parquet(tmp_path / "rows.parquet")
    problems = []
    for each in ("true", "false"):
        values = [f"data.path={tmp_path}/rows.parquet", f"data.stream={each}"]
        with pytest.raises(DataError) as error:
            load_tables(experiment(tmp_path, *values))
        problems.append(str(error.value))
    assert problems[0] == problems[1]
