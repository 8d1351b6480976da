"""What was cached of fits comes back to the bit, whoever was killed, wrote at the same time, or damaged a file."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import FunctionTransformer

from mlwf.engine.fit_cache import CACHEDIR_TAG, CacheSize, FitCache
from mlwf.evaluation.predictions import Predictions, predict

ROWS, OTHER_ROWS = "a" * 64, "b" * 64


def _key(text: Any) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


KEY = _key("fit")


def _say(classes: Any = ("no", "yes"), dtype: Any = object, n_rows: int = 30, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    known = np.array(classes, dtype=dtype)
    n_classes = len(known)
    return Predictions(
        known, known[rng.integers(0, n_classes, n_rows)], rng.random((n_rows, n_classes)), rng.random(n_rows)
    )


def _put(cache: FitCache, key: str = KEY, rows: str = ROWS, said: Predictions | None = None) -> Predictions:
    said = _say() if said is None else said
    cache.put(key, {rows: said}, fit_seconds=1.5, predict_seconds=0.25)
    return said


def _assert_same(actual: Predictions, expected: Predictions) -> None:
    for name in ("classes", "labels", "proba", "decision"):
        got, wanted = getattr(actual, name), getattr(expected, name)
        assert (got is None) == (wanted is None), name
        if wanted is not None:
            assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
            assert got.flags.f_contiguous == wanted.flags.f_contiguous, name
            assert got.tolist() == wanted.tolist() if wanted.dtype == object else got.tobytes() == wanted.tobytes(), (
                name
            )
            assert [*map(type, got.tolist())] == [*map(type, wanted.tolist())], name


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("v1/*/*") if path.is_file())


@pytest.fixture
def cache(tmp_path: Path) -> FitCache:
    return FitCache(tmp_path / "fits")


def _with_proba(proba: Any) -> Predictions:
    said = _say(n_rows=len(proba))
    return Predictions(said.classes, said.labels, proba)


SAID: dict[str, Predictions] = {
    "bool": _say([False, True], bool),
    "int64": _say([-3, 7], np.int64),
    "int32": _say([0, 1, 2], np.int32),
    "float": _say([0.0, 1.5], np.float64),
    "text objects": _say(["no", "yes", "ÄÖ €\n", ""]),
    "text of one width": _say(["no", "yes"], "<U7"),
    "text of the other byte order": _say(["no", "yes"], ">U3"),
    "one class": _say(["no"]),
    "300 classes": _say(range(300), np.int64, n_rows=900),
    "no row": _say(n_rows=0),
    "no probability, no decision": Predictions(_say().classes, _say().labels),
    "NaN probabilities": _with_proba(np.array([[np.nan, 1.0], [-np.nan, np.inf], [-0.0, 5e-324]])),
    "single precision": _with_proba(np.random.default_rng(0).random((9, 2), dtype=np.float32)),
    "column by column": _with_proba(np.asfortranarray(np.random.default_rng(0).random((9, 2)))),
    "decision of each class": Predictions(
        _say().classes, _say().labels, None, np.random.default_rng(0).random((30, 3))
    ),
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_predictions_come_back_to_the_bit(cache: FitCache, said: Predictions) -> None:
    _put(cache, said=said)

    found = FitCache(cache.folder).find(KEY, [ROWS])

    assert found is not None
    assert (len(found.predictions), found.fit_seconds, found.predict_seconds) == (1, 1.5, 0.25)
    _assert_same(found.predictions[0], said)


def _labelled(classes: list[Any], labels: Any, dtype: Any = object) -> Predictions:
    known = np.empty(len(classes), dtype=dtype)
    known[:] = classes
    return Predictions(known, np.asarray(labels))


NOT_RECORDED: dict[str, Predictions] = {
    "dates": _say(["2020-01-01", "2021-01-01"], "datetime64[D]"),
    "bytes": _say([b"no", b"yes"], "S3"),
    "mixed objects": _say(["no", 1]),
    "objects that are no text": _labelled([[0], [1]], _labelled([[0]], []).classes),
    "booleans as objects": _say([False, True]),
    "text that numpy would cut": _say(["no", "yes\0"]),
    "text of a type of its own": _say([np.str_("no"), np.str_("yes")]),
    "labels that are no class": _labelled(["no", "yes"], np.array(["maybe"], dtype=object)),
    "labels of another type": _labelled([0, 1], np.array([0, 1], dtype=np.uint64), np.int64),
    "labels of another sign": _labelled([0.0, 1.0], np.array([-0.0, 1.0]), np.float64),
    "probabilities that are objects": _with_proba(np.array([[0.5, None]], dtype=object)),
}


@pytest.mark.parametrize("said", NOT_RECORDED.values(), ids=NOT_RECORDED)
def test_what_would_not_come_back_to_the_bit_is_not_written(cache: FitCache, said: Predictions) -> None:
    _put(cache, said=said)

    assert cache.find(KEY, [ROWS]) is None
    assert cache.trouble is None
    assert not cache.folder.exists()


def test_predictions_of_real_models_come_back_to_the_bit(cache: FitCache) -> None:
    X, y = make_classification(120, n_informative=5, n_classes=3, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=3).fit(X, np.array(["a", "b", "c"], dtype=object)[y])

    said = _put(cache, said=predict(model, X))

    assert (said.classes.dtype, said.proba.flags.f_contiguous) == (object, True)
    _assert_same(cache.find(KEY, [ROWS]).predictions[0], said)


def test_nothing_is_found_before_anything_was_put(cache: FitCache) -> None:
    assert cache.find(KEY, [ROWS]) is None
    assert cache.find(KEY, []) is None
    assert cache.find_model(KEY) is None
    assert cache.has_model(KEY) is False
    assert cache.size() == CacheSize(0, 0, 0)
    assert not cache.folder.exists()


def test_a_fit_is_found_with_all_rows_or_not_at_all(cache: FitCache) -> None:
    first = _put(cache, rows=ROWS, said=_say(seed=1))
    second = _put(cache, rows=OTHER_ROWS, said=_say(seed=2))

    _assert_same(cache.find(KEY, [OTHER_ROWS, ROWS]).predictions[0], second)
    _assert_same(cache.find(KEY, [OTHER_ROWS, ROWS]).predictions[1], first)
    assert cache.find(KEY, [ROWS, "c" * 64]) is None
    assert cache.find(_key("another fit"), [ROWS]) is None


def test_rows_put_together_share_the_seconds(cache: FitCache) -> None:
    cache.put(KEY, {ROWS: _say(), OTHER_ROWS: _say()}, fit_seconds=3.0, predict_seconds=0.5)

    both, one = cache.find(KEY, [ROWS, OTHER_ROWS]), cache.find(KEY, [ROWS])

    assert (both.fit_seconds, both.predict_seconds) == (3.0, 0.5)
    assert (one.fit_seconds, one.predict_seconds) == (3.0, 0.25)


def test_rows_added_without_a_fit_leave_its_seconds(cache: FitCache) -> None:
    _put(cache)
    cache.put(KEY, {OTHER_ROWS: _say()}, fit_seconds=0.0, predict_seconds=0.0)

    assert cache.find(KEY, [OTHER_ROWS, ROWS]).fit_seconds == 1.5


def test_without_rows_a_fit_is_found_by_any_of_its_predictions(cache: FitCache) -> None:
    _put(cache)

    found = cache.find(KEY, [])

    assert (found.predictions, found.fit_seconds) == ((), 1.5)


def test_a_fit_that_predicted_nothing_is_found(cache: FitCache) -> None:
    cache.put(KEY, {}, fit_seconds=2.0, predict_seconds=0.0)

    found = cache.find(KEY, [])

    assert (found.predictions, found.fit_seconds, found.predict_seconds) == ((), 2.0, 0.0)
    assert cache.find(KEY, [ROWS]) is None


def test_a_fresh_cache_finds_only_what_it_put(cache: FitCache) -> None:
    _put(cache)
    cache.put_model(KEY, DummyClassifier())
    fresh = FitCache(cache.folder, fresh=True)

    assert fresh.find(KEY, [ROWS]) is fresh.find(KEY, []) is fresh.find_model(KEY) is None
    assert fresh.has_model(KEY) is False

    newer = _put(fresh, said=_say(seed=9))

    _assert_same(fresh.find(KEY, [ROWS]).predictions[0], newer)
    assert fresh.find(KEY, []) is not None
    _assert_same(cache.find(KEY, [ROWS]).predictions[0], newer)


def test_a_model_comes_back(cache: FitCache) -> None:
    X, y = make_classification(60, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=3).fit(X, y)

    cache.put_model(KEY, model)

    assert cache.has_model(KEY) is True
    assert np.array_equal(FitCache(cache.folder).find_model(KEY).predict_proba(X), model.predict_proba(X))
    assert cache.find(KEY, []) is None


def test_a_model_that_skops_cannot_save_is_not_written(cache: FitCache) -> None:
    cache.put_model(KEY, FunctionTransformer(os.getcwd))

    assert cache.find_model(KEY) is None
    assert cache.trouble is None
    assert _entries(cache.folder) == []


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _zero(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200] + bytes(path.stat().st_size - 200))


def _other_archive(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def _pickle(path: Path) -> None:
    """Write an entry that is whole but for classes that only pickle can read."""
    classes = np.array(["no", "yes"], dtype=object)
    np.savez(path, about=np.array([1.0, 1.0, 2.0]), codes=np.array([0, 1], dtype=np.uint8), classes=classes)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": _truncate,
    "zeros": _zero,
    "text": lambda path: path.write_text("name: x"),
    "another archive": _other_archive,
}


@pytest.mark.parametrize("damage", [*DAMAGE.values(), _pickle], ids=[*DAMAGE, "pickle"])
def test_a_damaged_entry_is_not_found_and_goes(cache: FitCache, damage: Callable[[Path], Any]) -> None:
    _put(cache)
    (entry,) = _entries(cache.folder)
    damage(entry)

    assert cache.find(KEY, []) is cache.find(KEY, [ROWS]) is None
    assert _entries(cache.folder) == []
    said = _put(cache)
    _assert_same(cache.find(KEY, [ROWS]).predictions[0], said)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_model_is_not_found_and_goes(cache: FitCache, damage: Callable[[Path], Any]) -> None:
    cache.put_model(KEY, DummyClassifier(strategy="prior"))
    (entry,) = _entries(cache.folder)
    damage(entry)

    assert cache.find_model(KEY) is None
    assert _entries(cache.folder) == []


def test_no_single_damaged_byte_changes_what_comes_back(cache: FitCache) -> None:
    said = _put(cache, said=_say(n_rows=3))
    (entry,) = _entries(cache.folder)
    content = entry.read_bytes()
    n_noticed = 0
    for place in range(len(content)):
        entry.write_bytes(content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :])
        found = cache.find(KEY, [ROWS])
        n_noticed += found is None
        if found is not None:
            _assert_same(found.predictions[0], said)
            assert (found.fit_seconds, found.predict_seconds) == (1.5, 0.25)

    assert n_noticed > len(content) / 2


def _file(folder: Path) -> str:
    folder.write_text("not a folder")
    return "Not a directory"


def _dangling_link(folder: Path) -> str:
    folder.symlink_to("nowhere/at/all")
    return "File exists"


def _file_within(folder: Path) -> str:
    folder.mkdir()
    (folder / "v1").write_text("not a folder")
    return "Not a directory"


@pytest.mark.parametrize("spoil", [_file, _dangling_link, _file_within], ids=["file", "dangling link", "file within"])
def test_a_folder_that_cannot_be_written_is_reported_and_stops_nothing(
    cache: FitCache, spoil: Callable[[Path], str]
) -> None:
    reason = spoil(cache.folder)

    _put(cache)
    cache.put_model(KEY, DummyClassifier())

    assert cache.trouble == f"{cache.folder}: the fit cache cannot be written: {reason}"
    assert cache.find(KEY, [ROWS]) is cache.find(KEY, []) is cache.find_model(KEY) is None
    assert cache.has_model(KEY) is False
    assert cache.size() == CacheSize(0, 0, 0)
    cache.prune()
    cache.clear()


def test_the_first_trouble_is_the_one_that_is_reported(cache: FitCache) -> None:
    first = _file(cache.folder)
    _put(cache)
    cache.folder.unlink()
    _dangling_link(cache.folder)
    _put(cache)

    assert cache.trouble == f"{cache.folder}: the fit cache cannot be written: {first}"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that even root cannot write to")
def test_a_place_where_no_folder_can_be_made_is_reported() -> None:
    cache = FitCache(Path("/proc/fits"))

    _put(cache)

    assert cache.trouble == "/proc/fits: the fit cache cannot be written: No such file or directory"


@pytest.fixture
def short_of_room() -> Any:
    """Let no file of this process grow beyond 4 KiB, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("short_of_room")
def test_a_full_disk_is_reported_and_stops_nothing(cache: FitCache) -> None:
    X, y = make_classification(300, random_state=0)

    _put(cache, said=_say(n_rows=5000))
    messages = cache.trouble
    cache.put_model(KEY, HistGradientBoostingClassifier(max_iter=30).fit(X, y))

    assert messages == f"{cache.folder}: the fit cache cannot be written: File too large"
    assert cache.find(KEY, [ROWS]) is cache.find_model(KEY) is None
    assert _entries(cache.folder) == []
    _put(cache)
    assert cache.find(KEY, [ROWS]) is not None
    assert cache.trouble == messages


@pytest.mark.usefixtures("short_of_room")
def test_a_model_that_finds_no_room_is_reported(cache: FitCache) -> None:
    X, y = make_classification(300, random_state=0)

    cache.put_model(KEY, HistGradientBoostingClassifier(max_iter=30).fit(X, y))

    assert cache.trouble == f"{cache.folder}: the fit cache cannot be written: File too large"
    assert _entries(cache.folder) == []


def test_a_folder_that_vanishes_is_made_again(cache: FitCache) -> None:
    _put(cache)
    shutil.rmtree(cache.folder)

    assert cache.find(KEY, [ROWS]) is None
    said = _put(cache)

    _assert_same(cache.find(KEY, [ROWS]).predictions[0], said)
    assert cache.trouble is None


def test_the_folder_is_tagged_as_a_cache(cache: FitCache) -> None:
    _put(cache)

    assert (cache.folder / "CACHEDIR.TAG").read_text() == CACHEDIR_TAG
    assert CACHEDIR_TAG.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_size_counts_fits_models_and_bytes(cache: FitCache) -> None:
    _put(cache, rows=ROWS)
    _put(cache, rows=OTHER_ROWS)
    cache.put(_key("another fit"), {}, fit_seconds=1.0, predict_seconds=0.0)
    cache.put_model(KEY, DummyClassifier())

    n_bytes = sum(path.stat().st_size for path in _entries(cache.folder))

    assert cache.size() == CacheSize(n_fits=2, n_models=1, n_bytes=n_bytes)


def test_clear_removes_everything(cache: FitCache) -> None:
    _put(cache)
    cache.put_model(KEY, DummyClassifier())

    cache.clear()

    assert not cache.folder.exists()
    assert cache.size() == CacheSize(0, 0, 0)
    assert cache.find(KEY, [ROWS]) is None


def test_clear_leaves_what_others_keep_in_the_folder(cache: FitCache) -> None:
    _put(cache)
    (cache.folder / "notes.txt").write_text("mine")

    cache.clear()

    assert [path.name for path in cache.folder.iterdir()] == ["notes.txt"]


def _aged(folder: Path, names: list[str]) -> FitCache:
    """Record fits under these names, as another run did, the first one longest ago."""
    earlier = FitCache(folder)
    for age, name in enumerate(reversed(names)):
        _put(earlier, _key(name))
        (entry,) = folder.glob(f"v1/*/{_key(name)}.*")
        os.utime(entry, (1e9 - age, 1e9 - age))
    return earlier


def _left(folder: Path, names: list[str]) -> list[str]:
    return [name for name in names if [*folder.glob(f"v1/*/{_key(name)}.*")]]


def test_prune_removes_what_was_not_used_for_longest(tmp_path: Path) -> None:
    names = ["first", "second", "third", "fourth"]
    n_bytes = _aged(tmp_path, names).size().n_bytes
    FitCache(tmp_path).find(_key("first"), [ROWS])

    FitCache(tmp_path, most_bytes=n_bytes // 2).prune()

    assert _left(tmp_path, names) == ["first", "fourth"]


def test_prune_leaves_what_fits(tmp_path: Path) -> None:
    names = ["first", "second"]
    n_bytes = _aged(tmp_path, names).size().n_bytes

    FitCache(tmp_path, most_bytes=n_bytes).prune()

    assert _left(tmp_path, names) == names


def test_prune_leaves_what_this_run_used(tmp_path: Path) -> None:
    names = ["found", "second", "third"]
    _aged(tmp_path, names)
    cache = FitCache(tmp_path, most_bytes=0)
    cache.find(_key("found"), [ROWS])
    _put(cache, _key("put"))
    for entry in _entries(tmp_path):
        os.utime(entry, (1e9, 1e9))

    cache.prune()

    assert _left(tmp_path, [*names, "put"]) == ["found", "put"]


def test_prune_removes_other_formats(cache: FitCache) -> None:
    _put(cache)
    for name in ("v0/ab", "v12", "versions"):
        (cache.folder / name).mkdir(parents=True)

    cache.prune()

    assert sorted(path.name for path in cache.folder.iterdir()) == ["CACHEDIR.TAG", "v1", "versions"]


def test_prune_leaves_the_draft_of_another_host_for_a_day(cache: FitCache) -> None:
    _put(cache)
    young, old = (cache.folder / "v1" / name for name in (".elsewhere%201%20x,1", ".elsewhere%202%20x,1"))
    for draft in (young, old):
        draft.write_text("half")
    os.utime(old, (1e9, 1e9))

    cache.prune()

    assert young.exists()
    assert not old.exists()


def test_threads_that_put_the_same_fits_leave_complete_entries(cache: FitCache) -> None:
    # All in one subfolder, where drafts of the same name would meet.
    said = {f"ab{_key(number)[2:]}": _say(n_rows=20_000, seed=number) for number in range(20)}

    def put_all(keys: list[str]) -> None:
        for key in keys:
            _put(cache, key, said=said[key])

    threads = [threading.Thread(target=put_all, args=([*said][start:] + [*said][:start],)) for start in (0, 5, 10, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cache.trouble is None
    assert len(_entries(cache.folder)) == len(said)
    for key, expected in said.items():
        _assert_same(cache.find(key, [ROWS]).predictions[0], expected)


WITH_FORKS = """
import hashlib, json, os, signal, sys, time, traceback
from pathlib import Path
import numpy as np
from sklearn.dummy import DummyClassifier
from mlwf.evaluation.predictions import Predictions
from mlwf.engine.fit_cache import FitCache

CLASSES = np.array(["no", "yes"], dtype=object)

def key_of(number):
    return hashlib.sha256(str(number).encode()).hexdigest()

def say(number, n_rows):
    rng = np.random.default_rng(number)
    return Predictions(CLASSES, CLASSES[rng.integers(0, 2, n_rows)], rng.random((n_rows, 2)), rng.random(n_rows))

def same(a, b):
    names = ("classes", "labels", "proba", "decision")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)

def put(cache, number, rows, n_rows):
    cache.put(key_of(number), {rows: say(number, n_rows)}, fit_seconds=1.0, predict_seconds=1.0)
    assert cache.trouble is None, cache.trouble

def fork(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def run(script, place):
    os.dup2(os.open(place.with_suffix(".errors"), os.O_WRONLY | os.O_CREAT), 2)
    exec(script, {**globals(), "folder": place})

root, scripts = Path(sys.argv[1]), json.loads(sys.argv[2])
pids = [fork(lambda: run(script, root / name)) for name, script in scripts.items()]
print(json.dumps({name: wait(pid) for name, pid in zip(scripts, pids)}))
"""

KILLED = """
def write_for_ever():
    cache = FitCache(folder)
    for number in range(10**9):
        put(cache, number, "a" * 64, 20_000)
        cache.put_model(key_of(number), DummyClassifier(constant=str(number) * 1000))
        assert cache.trouble is None, cache.trouble

n_entries = 0
for round in range(8):
    writer = fork(write_for_ever)
    while not [*folder.glob("v1/*/[!.]*")]:
        time.sleep(0.001)
    time.sleep(0.023 * round)
    os.kill(writer, signal.SIGKILL)
    assert wait(writer) == -signal.SIGKILL
    cache = FitCache(folder)
    entries = [*folder.glob("v1/*/[!.]*")]
    for number in range(len(entries)):
        found = cache.find(key_of(number), ["a" * 64])
        assert found is None or same(found.predictions[0], say(number, 20_000))
        model = cache.find_model(key_of(number))
        assert model is None or model.constant == str(number) * 1000
    assert [*folder.glob("v1/*/[!.]*")] == entries, "an entry was not whole"
    n_entries += len(entries)
    cache.prune()
    assert not [*folder.glob("v1/*/.*")], "a draft of a killed process is left"
    cache.clear()
    assert not folder.exists()
assert n_entries >= 8, n_entries

# The worst moment: all is written, and nothing has its name.
def die_before_the_name():
    os.replace = os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    put(FitCache(folder), 1, "b" * 64, 30)

put(FitCache(folder), 1, "a" * 64, 30)
assert wait(fork(die_before_the_name)) == -signal.SIGKILL
assert len([*folder.glob("v1/*/.*")]) == 1
cache = FitCache(folder)
assert cache.find(key_of(1), ["b" * 64]) is None
assert same(cache.find(key_of(1), ["a" * 64]).predictions[0], say(1, 30))
assert cache.size().n_fits == 1
cache.prune()
assert not [*folder.glob("v1/*/.*")]
"""

TOGETHER = """
NUMBERS, OWN = range(150), ["a" * 64, "b" * 64]

def write(own):
    cache = FitCache(folder)
    for number in NUMBERS:
        put(cache, number, own, 200)
        put(cache, number, "c" * 64, 2000)

writers = [fork(lambda own=own: write(own)) for own in OWN]
cache, n_seen = FitCache(folder), 0
for number in NUMBERS:
    found = cache.find(key_of(number), ["c" * 64])
    n_seen += found is not None
    assert found is None or same(found.predictions[0], say(number, 2000))
    cache.prune()
assert [wait(writer) for writer in writers] == [0, 0]
for number in NUMBERS:
    one, other, both = cache.find(key_of(number), [*OWN, "c" * 64]).predictions
    assert same(one, say(number, 200)) and same(other, say(number, 200)) and same(both, say(number, 2000))
assert not [*folder.glob("v1/*/.*")]
"""

CLEARED = """
def write():
    cache = FitCache(folder)
    for number in range(300):
        put(cache, number % 7, "a" * 64, 200)
        found = cache.find(key_of(number % 7), ["a" * 64])
        assert found is None or same(found.predictions[0], say(number % 7, 200))

writers = [fork(write) for _ in range(2)]
n_cleared = 0
while not all(os.waitid(os.P_PID, writer, os.WEXITED | os.WNOHANG | os.WNOWAIT) for writer in writers):
    FitCache(folder).clear()
    n_cleared += 1
    time.sleep(0.005)
assert [wait(writer) for writer in writers] == [0, 0]
assert n_cleared > 5, n_cleared
cache = FitCache(folder)
cache.clear()
assert not folder.exists()
"""


SCRIPTS = {"killed at any moment": KILLED, "writing the same fits": TOGETHER, "cleared meanwhile": CLEARED}


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Run every script in a process that forks the others, and give its exit code and what it complained of."""
    folder = tmp_path_factory.mktemp("shared")
    arguments = [sys.executable, "-c", WITH_FORKS, str(folder), json.dumps(SCRIPTS)]
    finished = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    codes = json.loads(finished.stdout)
    return {name: (code, (folder / name).with_suffix(".errors").read_text()) for name, code in codes.items()}


@pytest.mark.parametrize("script", SCRIPTS)
def test_processes_share_a_cache(endings: dict[str, tuple[int, str]], script: str) -> None:
    assert endings[script] == (0, "")
