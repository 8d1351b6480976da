"""Plots: which are drawn of what, and what they say."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.datasets import load_iris
from sklearn.metrics import roc_auc_score

from mlwf.evaluation.calibration_error import reliability_bins
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.tracking import evaluation_figures, importance_figure
from mlwf.modules.tracking.canvas import DPI, save_figure, styled
from mlwf.modules.tracking.plots import calibration_figure, draw_plots
from mlwf.results import ColumnImportance, Evaluation, Importances, Interval
from tests.provenances import BY_SOURCE, ON_HOLDOUT, ON_TEST

IRIS = load_iris(as_frame=True)
CURVES = {"roc_curve.png", "precision_recall_curve.png"}


def make_predictions(n_classes: int, *, n: int = 300, names: list[str] | None = None) -> tuple[np.ndarray, Predictions]:
    draw = np.random.default_rng(0)
    classes = np.array(names) if names else np.arange(n_classes)
    place = draw.integers(0, n_classes, n)
    proba = draw.dirichlet(np.ones(n_classes), n)
    proba[np.arange(n), place] += 0.5
    proba /= proba.sum(axis=1, keepdims=True)
    return classes[place], Predictions(classes, classes[proba.argmax(axis=1)], proba)


def texts(figure) -> list[str]:
    """Collect the titles and the legend of a figure."""
    axes = figure.axes[0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []
    return [figure.get_suptitle(), axes.get_title(loc="left"), *legend]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_evaluation_figures_of_probabilities_are_all(n_classes):
    assert set(evaluation_figures(*make_predictions(n_classes))) == {
        "confusion_matrix.png",
        "reliability_curve.png",
        *CURVES,
    }


@pytest.mark.parametrize("n_classes", [2, 3])
def test_evaluation_figures_of_decision_values_have_no_reliability(n_classes):
    y, predicted = make_predictions(n_classes)
    decision = predicted.proba[:, 1] if n_classes == 2 else predicted.proba
    figures = evaluation_figures(y, Predictions(predicted.classes, predicted.labels, None, decision))
    assert set(figures) == {"confusion_matrix.png", *CURVES}


def test_evaluation_figures_of_labels_are_the_confusion_matrix():
    y, predicted = make_predictions(3)
    assert set(evaluation_figures(y, Predictions(predicted.classes, predicted.labels))) == {"confusion_matrix.png"}


def test_evaluation_figures_report_how_the_predictions_were_got():
    y, predicted = make_predictions(2)
    figures = evaluation_figures(y, predicted, note="the test set, 300 rows")
    legend = f"1  (AUC {roc_auc_score(y, predicted.proba[:, 1]):.3f})"
    assert texts(figures["roc_curve.png"]) == ["ROC curve", "The test set, 300 rows", legend]
    assert texts(figures["confusion_matrix.png"]) == [
        "Confusion matrix",
        "The test set, 300 rows; shares of each true class",
    ]


def test_evaluation_figures_speak_of_the_positive_class():
    y, predicted = make_predictions(2, names=["no", "yes"])
    labels = [
        texts(evaluation_figures(y, predicted, positive_class=positive)["precision_recall_curve.png"])[2].split()[0]
        for positive in (None, "yes", "no")
    ]
    assert labels == ["yes", "yes", "no"]


def test_evaluation_figures_of_decision_values_turn_them_for_the_first_class():
    y, predicted = make_predictions(2, names=["no", "yes"])
    decided = Predictions(predicted.classes, predicted.labels, None, predicted.proba[:, 1])
    one, other = (
        texts(evaluation_figures(y, decided, positive_class=name)["roc_curve.png"])[2] for name in ("no", "yes")
    )
    assert one.removeprefix("no") == other.removeprefix("yes")


def test_evaluation_figures_draw_the_most_frequent_of_many_classes():
    _, note, *legend = texts(evaluation_figures(*make_predictions(30, n=900))["roc_curve.png"])
    assert note == "One class against the rest; the 8 most frequent of 30 classes"
    assert len(legend) == 8


def test_evaluation_figures_leave_out_classes_that_do_not_occur():
    y, predicted = make_predictions(4)
    here = y != 2
    some = Predictions(predicted.classes, predicted.labels[here], predicted.proba[here])
    legend = texts(evaluation_figures(y[here], some)["roc_curve.png"])[2:]
    assert [label.split()[0] for label in legend] == ["0", "1", "3"]


def test_evaluation_figures_take_labels_that_the_model_does_not_know():
    y, predicted = make_predictions(3, names=["a", "b", "c"])
    y = y.astype(object)
    y[:10] = "new"
    figure = evaluation_figures(y, predicted)["confusion_matrix.png"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c", "new"]


def test_confusion_matrix_counts():
    y, predicted = np.array(["a", "a", "b"]), Predictions(np.array(["a", "b"]), np.array(["a", "b", "b"]))
    figure = evaluation_figures(y, predicted)["confusion_matrix.png"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1\n50%", "1\n50%", "0\n0%", "1\n100%"]


@pytest.mark.parametrize(
    "names",
    [
        ["$50K", "<=$50K", "50%_of{all}"],
        ["a very long name of a class " * 5, "b" * 90, "c"],
        ["日本", "中国", "Österreich"],
    ],
    ids=["formula", "long", "other letters"],
)
def test_draw_plots_takes_any_name(tmp_path, names):
    y, predicted = make_predictions(3, names=names)
    draw_plots(
        tmp_path,
        [Evaluation(replace(ON_TEST, weighted_by="weight in $ and $"), (), predicted, y)],
    )
    assert len(list(tmp_path.iterdir())) == 4
    assert all(min(imread(path).shape[:2]) > 500 for path in tmp_path.iterdir())


def test_reliability_curve_has_a_bar_for_each_bin():
    y, predicted = make_predictions(2, n=400)
    axes = evaluation_figures(y, predicted)["reliability_curve.png"].axes[0]
    bins = reliability_bins(predicted, y)
    (bars,) = axes.collections
    assert [tuple(end) for bar in bars.get_segments() for end in bar] == [
        (each.predicted, end) for each in bins for end in (each.low, each.high)
    ]
    assert np.array_equal(axes.lines[1].get_ydata(), [each.observed for each in bins])


def test_reliability_curve_of_more_classes_has_a_curve_for_each():
    y, predicted = make_predictions(3, n=400)
    axes = evaluation_figures(y, predicted)["reliability_curve.png"].axes[0]
    first = Predictions(
        np.array([False, True]), y == 0, np.column_stack([1 - predicted.proba[:, 0], predicted.proba[:, 0]])
    )
    assert len(axes.collections) == 3
    observed = [each.observed for each in reliability_bins(first, y == 0)]
    assert np.array_equal(axes.lines[1].get_ydata(), observed)


def test_calibration_figure_shows_before_and_after_and_why_it_was_kept(make_calibration):
    figure = calibration_figure(make_calibration())
    title, note, *legend = texts(figure)
    assert title == "Calibration (isotonic)"
    assert " ".join(note.split()) == (
        "Out-of-fold predictions of 480 rows, by calibrators of other folds; "
        "kept: log loss better by 0.021 [0.012, 0.030]"
    )
    assert legend == [
        "perfect",
        "before  (log loss 0.412, Brier 0.110, ECE 0.040)",
        "after  (log loss 0.391, Brier 0.110, ECE 0.040)",
    ]


def test_calibration_figure_reports_when_it_was_not_kept(make_calibration):
    note = texts(calibration_figure(make_calibration(kept=False, reason="no better", provenance=None)))[1]
    assert note == "Not kept: no better"


def test_calibration_figure_shows_what_there_is(make_calibration):
    legend = texts(calibration_figure(make_calibration(before=None)))[2:]
    assert [label.split()[0] for label in legend] == ["perfect", "after"]
    assert calibration_figure(make_calibration(before=None, after=None)) is None


def test_draw_plots_draws_the_calibration_that_was_measured(tmp_path, make_calibration):
    draw_plots(tmp_path, [], calibration=make_calibration())
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.png"]


@pytest.mark.parametrize("name", ["confusion_matrix.png", "roc_curve.png", "reliability_curve.png"])
def test_figure_is_written_as_matplotlib_itself_writes_it(tmp_path, name):
    ours, theirs = (evaluation_figures(*make_predictions(3), note="the test set")[name] for _ in range(2))
    with styled():
        save_figure(ours, tmp_path / "ours.png")
        theirs.savefig(tmp_path / "theirs.png", dpi=DPI)
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def test_draw_plots_separates_validation_and_test(tmp_path):
    y, predicted = make_predictions(2)
    evaluations = [Evaluation(BY_SOURCE[source], (), predicted, y) for source in ("train_test", "test")]
    draw_plots(tmp_path, evaluations, importances=make_importances(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feature_importances.png", "test", "train_test"]


def test_draw_plots_goes_on_without_one_that_cannot_be_drawn(tmp_path, caplog):
    y, predicted = make_predictions(2)
    evaluations = [Evaluation(ON_HOLDOUT, (), predicted, y[:-1]), Evaluation(ON_TEST, (), predicted, y)]
    with caplog.at_level(logging.WARNING):
        draw_plots(tmp_path, evaluations)
    assert [path.name for path in tmp_path.iterdir()] == ["test"]
    assert caplog.messages[0].startswith("Drawing plots failed (Found input variables with inconsistent numbers")


def make_importances(n_columns):
    interval = Interval(0.1, 0.3, 0.95, "bootstrap of rows")
    names = [(f"x{at}", f"y{at}")[: 1 + at % 2] for at in range(n_columns)]
    columns = tuple(ColumnImportance(each, 0.2 / (1 + at), interval) for at, each in enumerate(names))
    return Importances(columns, n_rows=200, provenance=ON_TEST)


def test_importance_figure_shows_the_greatest_first():
    figure = importance_figure(make_importances(3))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x0", "x1 + y1", "x2"]
    assert texts(figure) == ["Permutation importances", "Test set of 200 rows that no step before saw"]
    assert axes.get_xlabel().startswith("Rise of the Brier score when the column is shuffled")


def test_importance_figure_shows_twenty_of_many_columns():
    figure = importance_figure(make_importances(50))
    assert len(figure.axes[0].patches) == 20
    assert texts(figure)[1] == "Test set of 200 rows that no step before saw; 20 of 50 columns"


def test_importance_figure_is_none_where_there_are_none():
    assert importance_figure(Importances(reason="there are no rows")) is None
