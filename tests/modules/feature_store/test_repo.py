from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlwf.errors import ConfigError, DataError, FeatureStoreError
from mlwf.modules.feature_store import join_features, prepare_repo
from mlwf.modules.feature_store.repo import opened, quiet_feast
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec

STAMPS = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"], utc=True)


def views_of(repo: Path | str) -> list[str]:
    with opened(repo) as store:
        return sorted(view.name for view in store.list_feature_views())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def view(table: Any) -> dict[str, Any]:
    return {"name": "v", "source": table("v", k=[1, 2, 3], t=STAMPS, x=[1, 2, 3]), "entity": "k", "timestamp": "t"}


def test_the_repo_is_one_that_feast_serves_online(repo_of: Any, table: Any) -> None:
    source = table(
        "v",
        k=["a", "b", "c"],
        t=STAMPS.astype("datetime64[ns, UTC]"),
        text=["x", None, "z"],
        whole=pd.array([1, None, 3], "Int64"),
        real=[1.5, None, 3.5],
        flag=pd.array([True, None, False], "boolean"),
        day=[date(1950, 1, 2), None, date(2020, 1, 1)],
        nothing=[None, None, None],
    )
    static = {"name": "static", "source": table("static", k=["a", "b", "c"], size=[7, 8, 9]), "entity": "k"}
    spec = repo_of({"name": "v", "source": source, "entity": "k", "timestamp": "t", "ttl": "40d"}, static)
    with opened(spec.repo_path) as store, quiet_feast():
        store.materialize(datetime(1960, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
        names = ["text", "whole", "real", "flag", "day", "nothing"]
        asked = [*(f"v:{name}" for name in names), "static:size"]
        found = store.get_online_features(features=asked, entity_rows=[{"k": "c"}, {"k": "b"}, {"k": "?"}]).to_dict()
    assert {name: found[name][0] for name in [*names, "size"]} == {
        "text": "z",
        "whole": 3,
        "real": 3.5,
        "flag": False,
        "day": datetime(2020, 1, 1, tzinfo=UTC),
        "nothing": None,
        "size": 9,
    }
    assert [found[name][1] for name in names] == [None] * 6
    assert found["size"][1:] == [8, None]


def test_every_type_survives_the_join(repo_of: Any, table: Any) -> None:
    source = table(
        "v",
        k=[1, 2],
        t=STAMPS[:2],
        text=["x", None],
        whole=pd.array([2**60 + 1, None], "Int64"),
        small=[1, 2],
        real=[1.5, None],
        flag=[True, None],
        day=[date(1950, 1, 2), None],
        moment=[pd.Timestamp("1950-01-02 03:04:05.000006", tz="UTC"), None],
        nothing=[None, None],
    )
    spec = repo_of({"name": "v", "source": source, "entity": "k", "timestamp": "t"})
    rows = pd.DataFrame({"k": [2, 1, 9], "time": STAMPS[2]})
    joined = join_features(spec, rows, time="time")
    assert [None if pd.isna(value) else value for value in joined.rows.iloc[1][list(joined.features)]] == [
        "x",
        2**60 + 1,
        1,
        1.5,
        True,
        date(1950, 1, 2),
        pd.Timestamp("1950-01-02 03:04:05.000006", tz="UTC"),
        None,
    ]
    assert joined.rows.iloc[2][list(joined.features)].isna().all()
    assert joined.rows.dtypes[list(joined.features)].astype(str).to_dict() == {
        "text": "object",
        "whole": "Int64",
        "small": "float64",
        "real": "float64",
        "flag": "object",
        "day": "object",
        "moment": "datetime64[ns, UTC]",
        "nothing": "object",
    }


def test_a_date_can_be_the_time_of_a_row(repo_of: Any, table: Any) -> None:
    source = table("v", k=[1, 1], day=[date(2020, 1, 1), date(2020, 1, 3)], x=[10, 30])
    spec = repo_of({"name": "v", "source": source, "entity": "k", "timestamp": "day"})
    rows = pd.DataFrame({"k": [1, 1], "time": pd.to_datetime(["2020-01-02T23:59", "2020-01-03T00:00"])})
    assert join_features(spec, rows, time="time").rows["x"].tolist() == [10, 30]


def test_what_exists_is_kept_and_changes_are_applied(repo_of: Any, view: dict[str, Any], table: Any) -> None:
    spec = repo_of(view)
    before = contents(Path(spec.repo_path))
    repo_of(view)
    assert contents(Path(spec.repo_path)) == before
    repo_of({**view, "name": "w", "ttl": "3h"})
    assert views_of(spec.repo_path) == ["v", "w"]
    table("v", k=[1], t=STAMPS[:1], x=[1], added=["new"])
    repo_of({**view, "ttl": "2d"})
    with opened(spec.repo_path) as store:
        applied = store.get_feature_view("v")
        assert [field.name for field in applied.features] == ["x", "added"]
        assert applied.ttl.days == 2


def test_a_changed_source_without_timestamp_is_copied_anew(repo_of: Any, table: Any, caplog: Any) -> None:
    view = {"name": "v", "source": table("v", k=[1], x=[1]), "entity": "k"}
    spec = repo_of(view)
    rows = pd.DataFrame({"k": [1]})
    table("v", k=[1], x=[2])
    with caplog.at_level(logging.WARNING, "mlwf"):
        assert join_features(spec, rows, time=None).rows["x"].tolist() == [1]
    assert "has changed since it was copied to sources/v.parquet; feature_store.initialize: true" in caplog.text
    assert join_features(repo_of(view), rows, time=None).rows["x"].tolist() == [2]


def test_a_moved_project_still_works(repo_of: Any, view: dict[str, Any], tmp_path: Path) -> None:
    repo_of(view)
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    shutil.move(tmp_path, moved)
    rows = pd.DataFrame({"k": [3], "time": STAMPS[2:]})
    assert join_features(FeatureStoreSpec(repo_path=str(moved / "repo")), rows, time="time").rows["x"].tolist() == [3]


def test_force_recreate_starts_over_and_leaves_other_files(repo_of: Any, view: dict[str, Any]) -> None:
    spec = repo_of(view, {**view, "name": "old"})
    notes = Path(spec.repo_path) / "notes.txt"
    notes.write_text("mine")
    prepare_repo(FeatureStoreSpec(repo_path=spec.repo_path, views=[FeatureViewSpec(**view)], force_recreate=True))
    assert views_of(spec.repo_path) == ["v"]
    assert notes.read_text() == "mine"


def test_an_interrupted_creation_is_reported_and_finished(repo_of: Any, view: dict[str, Any]) -> None:
    spec = repo_of(view)
    repo = Path(spec.repo_path)
    marker = repo / ".mlwf.json"
    marker.write_text(marker.read_text().replace('"applied": "', '"applied": null, "was": "'))
    (repo / "data" / "registry.db").write_bytes(b"half")
    with pytest.raises(FeatureStoreError) as caught:
        views_of(repo)
    assert str(caught.value) == (
        f"{repo}: the creation of this feature repo was interrupted; feature_store.initialize: true finishes it"
    )
    repo_of(view)
    assert views_of(repo) == ["v"]


@pytest.mark.parametrize("how", ["force_recreate", "initialize"])
def test_a_repo_of_somebody_else_is_not_changed(tmp_path: Path, view: dict[str, Any], how: str) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: theirs\n")
    before = contents(tmp_path)
    with pytest.raises(ConfigError) as caught:
        prepare_repo(FeatureStoreSpec(repo_path=str(tmp_path), views=[FeatureViewSpec(**view)], **{how: True}))
    said = {
        "force_recreate": "feature_store.force_recreate: mlwf did not create {}, so it does not delete it; leave it",
        "initialize": "feature_store.views: mlwf did not create {}, so it applies no views to it; leave them",
    }
    assert str(caught.value) == said[how].format(tmp_path) + " out, or name another repo_path"
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_processes_that_apply_at_once_lose_nothing(tmp_path: Path, table: Any) -> None:
    source = table("v", k=[1, 2, 3], t=STAMPS, x=[1, 2, 3])
    script = """
import sys
import feast
from mlwf.modules.feature_store import prepare_repo
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec
repo, source, worker = sys.argv[1:]
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
for number in range(4):
    view = FeatureViewSpec(name=f"v{worker}_{number}", source=source, entity="k", timestamp="t")
    prepare_repo(FeatureStoreSpec(repo_path=repo, views=[view], initialize=True))
"""
    repo = tmp_path / "repo"
    command = [sys.executable, "-W", "ignore", "-c", script, str(repo), source]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, str(worker)], **pipes) for worker in range(3)]
    # All begin at once, after the slow imports.
    assert [process.stdout.readline() for process in running] == ["ready\n"] * 3
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
    assert [process.returncode for process in running] == [0, 0, 0]
    assert views_of(repo) == [f"v{worker}_{number}" for worker in range(3) for number in range(4)]


def test_every_wrong_view_is_reported_at_once(tmp_path: Path, table: Any) -> None:
    good = table("good", key=[1], t=STAMPS[:1], x=[1])
    other = table("other", key=["1"], t=STAMPS[:1], x=[1])
    lists = table("lists", key=[1], t=["now"], x=[[1, 2]])
    keys = table("keys", key=[1], t=STAMPS[:1])
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    given = [
        {"name": "a", "source": good, "entity": "kex", "timestamp": "time"},
        {"name": "b", "source": str(tmp_path / "gone.parquet"), "entity": "key"},
        {"name": "c", "source": lists, "entity": "key", "timestamp": "t"},
        {"name": "d", "source": keys, "entity": "key", "timestamp": "t"},
        {"name": "e", "source": good, "entity": "key", "timestamp": "t"},
        {"name": "f", "source": other, "entity": "key", "timestamp": "t"},
        {"name": "g", "source": str(tmp_path / "text.parquet"), "entity": "key"},
        {"name": "e", "source": good, "entity": "key", "timestamp": "t"},
    ]
    views = [FeatureViewSpec(**view) for view in given]
    repo = tmp_path / "repo"
    with pytest.raises(DataError) as caught:
        prepare_repo(FeatureStoreSpec(repo_path=str(repo), views=views, initialize=True))
    lines = str(caught.value).splitlines()
    assert lines[:6] == [
        f"feature_store.views.0.entity: no column kex in {good}; did you mean key?",
        f"feature_store.views.0.timestamp: no column time in {good}; accepted: key, t, x",
        f"feature_store.views.1.source: {tmp_path}/gone.parquet: no such file",
        f"feature_store.views.2.timestamp: column t of {lists} is of type string; accepted: a timestamp or a date",
        (
            f"feature_store.views.2.source: column x of {lists} is of type list<element: int64>; "
            "accepted: text, integers, floats, booleans, dates and timestamps"
        ),
        f"feature_store.views.3.source: {keys} has no column besides key and timestamp",
    ]
    assert lines[6:-2] == [
        (
            "feature_store.views.5.source: key key is of type String here and Int64 in the view c; "
            "save both as the same type"
        )
    ]
    assert lines[-2].startswith(f"feature_store.views.6.source: {tmp_path}/text.parquet cannot be read as Parquet: ")
    assert lines[-1] == "feature_store.views.7.name: e names another view already"
    assert not (repo / "feature_store.yaml").exists()


def test_repeated_keys_without_timestamp_are_refused(repo_of: Any, table: Any) -> None:
    source = table("v", k=[1, 1, 2], x=[1, 2, 3])
    with pytest.raises(DataError) as caught:
        repo_of({"name": "v", "source": source, "entity": "k"})
    assert str(caught.value) == (
        f"{source}  k: 1 of 2 keys occur more than once, and without a timestamp none is newer; "
        "name the timestamp column, or keep one row per key"
    )


def test_a_repo_cannot_be_created_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_repo(FeatureStoreSpec(repo_path=str(tmp_path / "new"), initialize=True))
    assert str(caught.value) == f"feature_store.views: no view is declared to create {tmp_path}/new from"


@pytest.mark.parametrize(
    "what", ["no folder", "no config", "no registry", "empty", "damaged", "other project", "config"]
)
def test_a_repo_that_cannot_be_used_is_reported(repo_of: Any, view: dict[str, Any], tmp_path: Path, what: str) -> None:
    repo = Path(repo_of(view).repo_path)
    registry, config = repo / "data" / "registry.db", repo / "feature_store.yaml"
    hint = f"{repo}: feast apply has not been run there, or the registry lies elsewhere"
    create = "correct the path, or create the repo with feature_store.initialize: true and feature_store.views"
    if what == "no folder":
        repo = tmp_path / "none"
        expected = f"feature_store.repo_path: {repo} is no Feast repo: no such folder; {create}"
    elif what == "no config":
        config.unlink()
        expected = f"feature_store.repo_path: {repo} is no Feast repo: no feature_store.yaml in it; {create}"
    elif what == "no registry":
        registry.unlink()
        expected = f"{registry}: the registry does not exist; {hint}"
    elif what == "empty":
        registry.write_bytes(b"")
        expected = f"{registry}: the registry is empty; {hint}"
    elif what == "damaged":
        registry.write_bytes(registry.read_bytes()[:-20])
        expected = f"{registry}: the registry cannot be read: DecodeError: Error parsing message"
    elif what == "config":
        config.write_text("project: [")
        expected = f"{config}: Feast cannot use it: "
    else:
        config.write_text(config.read_text().replace('"repo"', '"theirs"'))
        expected = f"{repo}: the registry has no feature views of the project theirs; it holds the project repo"
    before = contents(tmp_path)
    with pytest.raises(FeatureStoreError) as caught:
        views_of(repo)
    assert str(caught.value).startswith(expected)
    assert contents(tmp_path) == before


def test_a_source_that_went_away_or_changed_is_reported(repo_of: Any, view: dict[str, Any], table: Any) -> None:
    spec = repo_of(view)
    rows = pd.DataFrame({"k": [1], "time": STAMPS[2:]})
    table("v", k=[1], t=STAMPS[:1], y=[1])
    with pytest.raises(FeatureStoreError, match=r"view v: .*v.parquet has changed since it was applied: no column x"):
        join_features(spec, rows, time="time")
    Path(view["source"]).unlink()
    with pytest.raises(FeatureStoreError, match=r"view v: .*v.parquet: no such file"):
        join_features(spec, rows, time="time")
