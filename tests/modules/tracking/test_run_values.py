"""Whatever names there are, MLflow takes their keys, and no two of them are the same."""

from __future__ import annotations

from itertools import product

import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.validation import (
    MAX_ENTITY_KEY_LENGTH,
    _validate_metric_name,
    _validate_param_name,
    _validate_tag_name,
)

from mlwf.modules.tracking.mlflow_store import open_store
from mlwf.modules.tracking.run_values import LONGEST_KEY, Keys, valid_key

PARTS = ["", ".", "..", "/", "a", "A", "_", "$", "€", " ", "é", "\n", "\0", "\ud800", ":", " = ", " is ", "x" * 248]
NAMES = sorted({"".join(parts) for parts in product(PARTS, repeat=3)})


def test_names_of_all_kinds_become_distinct_keys_that_mlflow_takes():
    keys = Keys().of(NAMES)
    assert len({key.casefold().rstrip() for key in keys.values()}) == len(NAMES)
    assert LONGEST_KEY == MAX_ENTITY_KEY_LENGTH >= max(map(len, keys.values()))
    for key in keys.values():
        for check in (_validate_metric_name, _validate_param_name, _validate_tag_name):
            check(key)


def test_a_key_shared_with_no_other_is_the_name_in_letters():
    names = ["cv_f1", "cv_f1/currency = $", "cv_f1/age > 60", "cv_f1/age < 60"]
    assert list(Keys().of(names).values()) == [
        "cv_f1",
        "cv_f1/currency is _",
        "cv_f1/age above 60",
        "cv_f1/age below 60",
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a = $", "a = €"], ["a is _-04c89876", "a is _-77bde3ba"]),
        (["a = €", "a = $"], ["a is _-77bde3ba", "a is _-04c89876"]),
        (["a _", "a $"], ["a _", "a _-00000000"]),
        (["a", "A"], ["a-00000000", "A-00000000"]),
        (["x" * 250 + "a", "x" * 250 + "b"], ["x" * 241 + "-00000000"] * 2),
        (["b", "a = is 1", "a is = 1"], ["b", "a is is 1-00000000", "a is is 1-00000000"]),
    ],
    ids=["signs", "in another order", "one needs no change", "capitals", "beyond the longest", "words"],
)
def test_names_that_would_share_a_key_get_a_digest(names, expected):
    found = list(Keys().of(names).values())
    assert len(set(found)) == len(found)
    alike = [
        key if "00000000" not in want else f"{key[:-8]}00000000" for key, want in zip(found, expected, strict=True)
    ]
    assert alike == expected


def test_the_metrics_of_a_slice_share_its_digest():
    keys = Keys()
    found = keys.of([f"{metric}/currency = {sign}" for metric in ("cv_f1", "cv_f1_low") for sign in "$€"])
    assert list(found.values()) == [
        "cv_f1/currency is _-9f37734a",
        "cv_f1/currency is _-8187b8f9",
        "cv_f1_low/currency is _-9f37734a",
        "cv_f1_low/currency is _-8187b8f9",
    ]
    assert keys.digests == {"9f37734a": "currency = $", "8187b8f9": "currency = €"}


def test_a_key_that_was_given_stays():
    keys = Keys()
    assert keys.of(["a = $"]) == {"a = $": "a is _"}
    later = keys.of(["a = $", "a = €"])
    assert later["a = $"] == "a is _"
    assert later["a = €"] == Keys().of(["a = $", "a = €"])["a = €"]


def test_a_name_that_looks_like_a_key_with_a_digest_has_its_own():
    other = Keys().of(["a = $", "a = €"])["a = €"]
    names = ["a = $", "a = €", other]
    assert len(set(Keys().of(names).values())) == 3
    assert valid_key(other) == other


def test_a_real_store_keeps_them_all(tracking_uri):
    store = open_store(tracking_uri)
    run_id = store.client.create_run(store.experiment_id("keys")).info.run_id
    keys = list(Keys().of(NAMES[:: len(NAMES) // 90]).values())
    store.client.log_batch(
        run_id,
        metrics=[Metric(key, number, 0, 0) for number, key in enumerate(keys)],
        params=[Param(key, str(number)) for number, key in enumerate(keys)],
        tags=[RunTag(f"{key}", str(number)) for number, key in enumerate(keys)],
    )
    data = store.client.get_run(run_id).data
    assert data.metrics == {key: float(number) for number, key in enumerate(keys)}
    assert data.params == {key: str(number) for number, key in enumerate(keys)}
    assert data.tags.items() >= {key: str(number) for number, key in enumerate(keys)}.items()
