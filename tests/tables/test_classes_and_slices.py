from __future__ import annotations

from dataclasses import replace

import pytest

from mlwf.tables.score_tables import best_slices, details_markdown, render_details
from tests.provenances import ON_FOLDS

THREE = {
    "source": "test",
    "note": "test set of 69 rows that no step before saw",
    "report": [
        {"label": "Adelie", "n_rows": 30, "precision": 0.9677, "recall": 1.0, "f1": 0.9836},
        {"label": "a species whose name is long", "n_rows": 14, "precision": None, "recall": 0.0, "f1": None},
        {"label": "Gentoo", "n_rows": 1025, "precision": 1.0, "recall": 1.0, "f1": 1.0},
    ],
    "confusion": [[30, 0, 0], [1, 0, 13], [0, 0, 1025]],
}


def report(count):
    return [{"label": f"c{n}", "n_rows": n, "precision": 0.5, "recall": 0.5, "f1": n / 100} for n in range(count)]


@pytest.fixture
def sliced(make_score):
    male, few = {"n_rows": 566, "slice": "sex = Male"}, {"n_rows": 12, "slice": "age > 99"}
    return {
        "scores": [make_score("accuracy", 0.8755, (0.869, 0.882)), make_score("roc_auc", 0.9278, (0.9241, 0.9312))],
        "slices": [
            make_score("accuracy", 0.8555, (0.849, 0.862), **male),
            make_score("roc_auc", 0.91, None, **male),
            make_score("accuracy", None, **few),
            make_score("roc_auc", None, **few),
        ],
    }


@pytest.mark.parametrize("width", [100, 60])
def test_classes_whole(draw, width):
    assert draw(render_details({"classes": [THREE]}), width) == CLASSES[width]


def test_classes_as_markdown_whole():
    assert "\n".join(details_markdown({"classes": [THREE]})) == CLASSES_AS_MARKDOWN


@pytest.mark.parametrize("width", [100, 60, 50])
def test_slices_whole(sliced, draw, width):
    assert draw(render_details(sliced), width) == SLICES[width]


def test_slices_as_markdown_whole(sliced):
    assert "\n".join(details_markdown(sliced)) == SLICES_AS_MARKDOWN


def test_the_best_source_alone_is_shown(make_score, draw):
    sources = ("cross_validation", "test", "train_test")
    summary = {
        "classes": [{**THREE, "source": source, "note": ""} for source in sources],
        "slices": [make_score("accuracy", 0.5, source=source, slice="sex = Male") for source in sources],
    }
    told = draw(render_details(summary))
    assert ("Classes (test set)" in told, told.count("Classes ")) == (True, 1)
    assert [score["source"] for score in best_slices(summary)] == ["test"]


def test_what_is_computed_on_rows_that_chose_is_labelled(make_score, draw):
    provenance = replace(ON_FOLDS, labels=("hyperparameters",), weighted_by="w").to_dict()
    on_folds = {"source": "cross_validation", "provenance": provenance}
    slices = [make_score("accuracy", 0.5, slice="a", **on_folds)]
    told = draw(render_details({"classes": [{**THREE, **on_folds}], "slices": slices}))
    assert "Classes (cross-validation; tuned on the same rows)\n" in told
    assert "Slices (cross-validation; tuned on the same rows)\n" in told


def test_more_than_six_classes_are_told_without_their_confusion(draw):
    many = {**THREE, "report": report(7), "confusion": [[0] * 7] * 7}
    assert "as c0" not in draw(render_details({"classes": [many]}), 200)


def test_of_very_many_classes_the_worst_are_told(draw):
    never = {"n_rows": 0, "precision": None, "recall": None, "f1": None}
    classes = [*report(25), {"label": "never", **never}, {"label": "neither", **never}]
    lines = draw(render_details({"classes": [{**THREE, "report": classes, "confusion": []}]})).splitlines()
    assert lines[1] == "Classes (test set): the 20 of 27 classes with the lowest f1"
    assert [line.split()[0] for line in lines[3:]] == ["never", "neither", *(f"c{n}" for n in range(18))]


def test_without_classes_and_slices_nothing_is_shown():
    assert list(render_details({"classes": [{**THREE, "report": []}], "slices": []})) == []


CLASSES = {
    100: """\

Classes (test set)
  class                  rows  precision  recall      f1  as Adelie  as a species w…  as Gentoo
  Adelie                   30     0.9677  1.0000  0.9836         30                0          0
  a species whose nam…     14        n/a  0.0000     n/a          1                0         13
  Gentoo                1,025     1.0000  1.0000  1.0000          0                0      1,025
""",
    60: """\

Classes (test set)
  class                  rows  precision  recall      f1
  Adelie                   30     0.9677  1.0000  0.9836
  a species whose nam…     14        n/a  0.0000     n/a
  Gentoo                1,025     1.0000  1.0000  1.0000
""",
}

CLASSES_AS_MARKDOWN = """\

**Classes** (test set)

| class | rows | precision | recall | f1 | as Adelie | as a species w… | as Gentoo |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| Adelie | 30 | 0.9677 | 1.0000 | 0.9836 | 30 | 0 | 0 |
| a species whose nam… | 14 | n/a | 0.0000 | n/a | 1 | 0 | 13 |
| Gentoo | 1,025 | 1.0000 | 1.0000 | 1.0000 | 0 | 0 | 1,025 |"""

SLICES = {
    100: """\

Slices (test set)
  slice        rows                 accuracy                  roc_auc
  all rows    1,234  0.8755 [0.8690, 0.8820]  0.9278 [0.9241, 0.9312]
  sex = Male    566  0.8555 [0.8490, 0.8620]             0.9100 [n/a]
  age > 99       12                      n/a                      n/a
""",
    60: """\

Slices (test set)
  slice        rows          accuracy           roc_auc
  all rows    1,234            0.8755            0.9278
                     [0.8690, 0.8820]  [0.9241, 0.9312]
  sex = Male    566            0.8555            0.9100
                     [0.8490, 0.8620]             [n/a]
  age > 99       12               n/a               n/a
""",
    50: """\

Slices (test set)
  slice          rows   score    95 % interval
  accuracy
    all rows    1,234  0.8755  0.8690 – 0.8820
    sex = Male    566  0.8555  0.8490 – 0.8620
    age > 99       12     n/a              n/a
  roc_auc
    all rows    1,234  0.9278  0.9241 – 0.9312
    sex = Male    566  0.9100              n/a
    age > 99       12     n/a              n/a
""",
}

SLICES_AS_MARKDOWN = """\

**Slices** (test set)

| slice | rows | accuracy | roc_auc |
| --- | ---: | ---: | ---: |
| all rows | 1,234 | 0.8755 [0.8690, 0.8820] | 0.9278 [0.9241, 0.9312] |
| sex = Male | 566 | 0.8555 [0.8490, 0.8620] | 0.9100 [n/a] |
| age > 99 | 12 | n/a | n/a |"""
