# ruff: noqa: E501 (notes are long)
from __future__ import annotations

import pytest

from mlwf.provenance import Protocol, Provenance
from mlwf.tables.score_tables import notes_of, render_scores, scores_markdown

FOLDS = {
    "source": "cross_validation",
    "n_rows": 275,
    "provenance": Provenance(
        "cross_validation",
        275,
        Protocol("stratified_kfold", 3, is_shuffled=True),
        labels=("hyperparameters",),
    ).to_dict(),
    "method": "corrected resampled t",
}


@pytest.fixture
def summary(make_score):
    return {
        "scores": [
            make_score("accuracy", 0.8741, (0.8702, 0.8781), baseline=0.7607, difference=(0.1134, True), **FOLDS),
            make_score("log_loss", 0.5491, (0.5201, 0.578), baseline=0.5503, difference=(0.0012, False), **FOLDS),
            make_score("balanced_accuracy", 0.61, (0.58, 0.64), baseline=0.5, difference=(0.11, True)),
            make_score("ece", 0.0, baseline=None),
            make_score("my_metric", None),
        ]
    }


@pytest.mark.parametrize("width", [80, 60])
def test_scores_whole(summary, draw, width):
    assert draw(render_scores(summary), width) == WHOLE[width]


def test_no_number_is_cut_where_names_must_fold(summary, draw):
    told = draw(render_scores(summary), 40)
    assert [number for number in ("0.8702 – 0.8781", "+0.1134", "+0.0012 ?", "0.5503") if number not in told] == []


def test_scores_as_markdown_whole(summary):
    assert "\n".join(scores_markdown(summary)) == WHOLE_AS_MARKDOWN


def test_notes_whole(summary, make_score):
    slices = [make_score("accuracy", None, slice="sex = Male")]
    assert [note.plain for note in notes_of(summary, slices=slices)] == NOTES


def test_notes_of_one_method_and_clear_differences(make_score):
    scores = [make_score("accuracy", 0.9, (0.8, 1.0), baseline=0.5, difference=(0.4, True))]
    assert [note.plain for note in notes_of({"scores": scores})] == [
        "Interval: 95 %, bootstrap of the rows.",
        "Baseline: the same metric of a model that knows only how frequent each class is.",
        "Better by: how far ahead of the baseline, whichever way the metric points; distinguishable from zero throughout.",
    ]


def test_scores_of_a_time_without_intervals_have_neither_column(draw):
    old = {"metric": "accuracy", "source": "test", "value": 0.5, "std": 0.1, "baseline": 0.4, "n_rows": 9, "note": ""}
    assert (
        draw(render_scores({"scores": [old]}))
        == "\nTest set (9 rows)\n  metric     score  baseline\n  accuracy  0.5000    0.4000\n"
    )


def test_the_label_stands_out(summary, draw):
    assert "\x1b[1;7;33mtuned on the same rows\x1b[0m" in draw(render_scores(summary), colour=True)
    assert "\x1b[1;7;33mTuned on the same rows\x1b[0m" in draw(notes_of(summary), colour=True)


def test_a_score_of_an_earlier_version_without_a_sentence_is_labelled(make_score, draw):
    score = make_score("accuracy", 0.9, provenance=None, n_rows=None, tuned_on_same_rows=True)
    assert "Test set: tuned on the same rows\n" in draw(render_scores({"scores": [score]}))


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        ((0.0021, False), "\x1b[1;33m+0.0021 ?"),
        ((0.2, None), "\x1b[1;33m+0.2000 ?"),
        ((-0.03, True), "\x1b[1;31m  -0.0300"),
    ],
    ids=["may be chance", "without an interval", "worse"],
)
def test_a_difference_that_is_not_for_the_better_is_coloured(make_score, draw, difference, told):
    scores = [make_score("accuracy", 0.5, (0.4, 0.6), difference=difference)]
    assert told in draw(render_scores({"scores": scores}), colour=True)


def test_the_level_is_that_of_the_data(make_score, draw):
    score = make_score("accuracy", 0.5, (0.4, 0.6))
    score["interval"]["level"] = 0.9
    assert "90 % interval" in draw(render_scores({"scores": [score]}))
    assert notes_of({"scores": [score]})[0].plain == "Interval: 90 %, bootstrap of the rows."


WHOLE = {
    80: """\

3-fold stratified cross-validation of 275 rows, shuffled; tuned on the same rows
  metric              score    95 % interval  baseline  better by
  accuracy           0.8741  0.8702 – 0.8781    0.7607    +0.1134
  log_loss           0.5491  0.5201 – 0.5780    0.5503  +0.0012 ?

Test set of 1,234 rows that no step before saw
  metric              score    95 % interval  baseline  better by
  balanced_accuracy  0.6100  0.5800 – 0.6400    0.5000    +0.1100
  ece                0.0000              n/a
  my_metric             n/a              n/a
""",
    60: """\

3-fold stratified cross-validation of 275 rows, shuffled;
tuned on the same rows
                               score  better by
  metric               95 % interval   baseline
  accuracy                    0.8741    +0.1134
                     0.8702 – 0.8781     0.7607
  log_loss                    0.5491  +0.0012 ?
                     0.5201 – 0.5780     0.5503

Test set of 1,234 rows that no step before saw
                               score  better by
  metric               95 % interval   baseline
  balanced_accuracy           0.6100    +0.1100
                     0.5800 – 0.6400     0.5000
  ece                         0.0000
                                 n/a
  my_metric                      n/a
                                 n/a
""",
}

WHOLE_AS_MARKDOWN = """\

**3-fold stratified cross-validation of 275 rows**, shuffled; **tuned on the same rows**

| metric | score | 95 % interval | baseline | better by |
| --- | ---: | ---: | ---: | ---: |
| accuracy | 0.8741 | 0.8702 – 0.8781 | 0.7607 | +0.1134 |
| log_loss | 0.5491 | 0.5201 – 0.5780 | 0.5503 | +0.0012 ? |

**Test set of 1,234 rows** that no step before saw

| metric | score | 95 % interval | baseline | better by |
| --- | ---: | ---: | ---: | ---: |
| balanced_accuracy | 0.6100 | 0.5800 – 0.6400 | 0.5000 | +0.1100 |
| ece | 0.0000 | n/a |  |  |
| my_metric | n/a | n/a |  |  |"""

NOTES = [
    "Tuned on the same rows: the settings were chosen on rows that these scores are of, so the scores flatter; `validation.nested: true` removes that.",
    "Interval: 95 %, corrected resampled t over the folds (cross-validation); bootstrap of the rows (test set).",
    "Baseline: the same metric of a model that knows only how frequent each class is.",
    "Better by: how far ahead of the baseline, whichever way the metric points; ? where that is not distinguishable from zero.",
    "n/a in a slice: too few rows, or rows of a single class.",
]
