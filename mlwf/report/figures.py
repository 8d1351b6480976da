"""The sections of a report that are mostly drawn: search, curves, classes, data, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlwf.evaluation.calibration_error import class_reliability, wilson
from mlwf.evaluation.curves import MOST_CURVES, Band, ClassCurves, class_curves, rated
from mlwf.evaluation.scored_rows import ScoredRows
from mlwf.modules.threshold import rate_cells
from mlwf.report.charts import (
    CHARACTER,
    FEW_TICKS,
    HEIGHT,
    UNIT,
    WIDTH,
    Axis,
    Chart,
    apart,
    color,
    nice_ticks,
    scale,
    spanning,
    strip,
    table,
    text,
    thinned,
    tick_text,
)
from mlwf.report.sections import RunRecord, Section, emphasised, label_of
from mlwf.specs.catalogue import SOURCES
from mlwf.tables.blocks import number
from mlwf.tables.descriptions import MEASURES
from mlwf.text import cut, format_name, format_share, format_value, pluralize

MOST_MATRIX = 12
"""Classes up to which the confusion is a table of numbers."""
MOST_DRAWN = 80
"""Classes up to which it is drawn."""
MOST_PAIRS = 12
MOST_LISTED = 50
"""Classes that are listed, the most frequent ones."""
MOST_COLUMNS = 40
MOST_PARAMETERS = 12
MOST_DEPENDENCES = 15
MOST_CANDIDATES = 600
WIDE_RATIO = 30
"""How many times as great the greatest value of a parameter is as the least, where its axis is logarithmic."""
ROOM_OF_CHARACTER = 1.3 * CHARACTER / WIDTH
"""The share of an axis that a character of a tick takes."""
RATES = Axis(0.0, 1.0, "Share")
PREDICTED = Axis(0.0, 1.0, "Predicted probability")
OBSERVED = Axis(0.0, 1.0, "Share for which it came true")
TALL = HEIGHT + 60


def search_section(run: RunRecord) -> Iterator[Section]:
    """Draw the score of each candidate, in the order of the search and against each parameter that was searched."""
    searches = {name: found for name, found in run.searches.items() if len(found.get("mean_test_score") or []) > 1}
    if not searches:
        return
    scoring = (run.summary.get("tuning") or run.summary.get("selection") or {}).get("scoring", "score")
    charts = [_progress(name, found, scoring) for name, found in searches.items()]
    for name, found in searches.items():
        charts += _parameters(name, found, scoring)
    left = f"<p class='soft'>{len(charts) - 24} more are left out.</p>" if len(charts) > 24 else ""
    how = (
        f"Each dot is a candidate: its mean {label_of(scoring)} over the folds, greater being better, with a line as "
        "long as the standard deviation over the folds to each side. These scores chose, and the best of them flatters."
    )
    html = f"<p class='how'>{text(how)}</p><div class='charts'>{''.join(charts[:24])}</div>{left}"
    yield Section("search", "Search", html)


def _progress(name: str, found: Mapping[str, Any], scoring: str) -> str:
    means, stds = _floats(found["mean_test_score"]), _floats(found.get("std_test_score"))
    known = [(at + 1, mean) for at, mean in enumerate(means) if math.isfinite(mean)][:MOST_CANDIDATES]
    whole = [(at, tick_text(at)) for at in nice_ticks(1, len(means)) if at.is_integer()]
    chart = Chart(
        f"Progress{f' of {format_name(name)}' if name else ''}",
        Axis(0.5, len(means) + 0.5, "Candidate, in the order of the search", marked=whole),
        _score_axis(means, stds, scoring),
        f"{pluralize(len(known), 'candidate')}; the best has {number(max((mean for _, mean in known), default=None))}",
    )
    best, so_far = -math.inf, []
    for at, mean in known:
        best = max(best, mean)
        so_far.append((float(at), best))
    chart.whiskers(_whiskers([float(at) for at, _ in known], [mean for _, mean in known], stds), "c7")
    chart.dots(known, "c7", label="candidate", radius=_radius(len(known)))
    chart.line(so_far, "c0", label="best so far", steps=True)
    return chart.render()


def _parameters(name: str, found: Mapping[str, Any], scoring: str) -> Iterator[str]:
    means, stds = _floats(found["mean_test_score"]), _floats(found.get("std_test_score"))
    best = max((at for at, mean in enumerate(means) if math.isfinite(mean)), key=lambda at: means[at], default=None)
    settings = found["params"]
    names = list(dict.fromkeys(key for setting in settings for key in setting))
    for key in names[:MOST_PARAMETERS]:
        pairs = [
            (at, setting[key]) for at, setting in enumerate(settings) if key in setting and math.isfinite(means[at])
        ]
        if len({format_value(value) for _, value in pairs}) < 2:
            continue
        pairs = pairs[:MOST_CANDIDATES]
        short = key.rpartition("__")[2]
        axis, places = _parameter_axis([value for _, value in pairs], short)
        model = f"{format_name(name)}: " if name else ""
        chart = Chart(f"{model}{short}", axis, _score_axis(means, stds, scoring), f"Score against {short}.")
        scores = [means[at] for at, _ in pairs]
        spreads = [stds[at] for at, _ in pairs] if stds else []
        chart.whiskers(_whiskers(places, scores, spreads), "c0")
        chart.dots(zip(places, scores, strict=True), "c0", radius=_radius(len(pairs)))
        chosen = [(place, means[at]) for place, (at, _) in zip(places, pairs, strict=True) if at == best]
        chart.dots(chosen, "c1", label="best", radius=5.5)
        yield chart.render()


def _parameter_axis(values: Sequence[Any], label: str) -> tuple[Axis, list[float]]:
    """Give a scale for the values of a parameter, and the place of each."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = [float(value) for value in values]
        is_log = min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE_RATIO
        axis = spanning(numbers, label, is_log=is_log)
        distinct = sorted(set(numbers))
        if len(distinct) <= FEW_TICKS:
            marked = [(value, tick_text(float(f"{value:.3g}"))) for value in distinct]
            axis = replace(axis, marked=apart(axis, marked, ROOM_OF_CHARACTER))
        return axis, numbers
    names = list(dict.fromkeys(value if isinstance(value, str) else format_value(value) for value in values))
    place = {name: float(at) for at, name in enumerate(names)}
    axis = Axis(-0.5, len(names) - 0.5, label, marked=[(at, cut(name, 22)) for at, name in enumerate(names)])
    return axis, [place[value if isinstance(value, str) else format_value(value)] for value in values]


def _score_axis(means: Sequence[float], stds: Sequence[float], scoring: str) -> Axis:
    ends = [mean + side * (stds[at] if stds else 0) for at, mean in enumerate(means) for side in (-1, 1)]
    return spanning(ends, label_of(scoring))


def _whiskers(xs: Sequence[float], means: Sequence[float], stds: Sequence[float]) -> list[tuple[float, float, float]]:
    if not stds or len(xs) > 120:
        return []
    return [(x, mean - std, mean + std) for x, mean, std in zip(xs, means, stds, strict=False)]


def _floats(values: Any) -> list[float]:
    return [math.nan if value is None else float(value) for value in values or []]


def _radius(count: int) -> float:
    return 4.0 if count <= 60 else 3.0 if count <= 200 else 2.2


def curves_section(run: RunRecord) -> Iterator[Section]:
    """Draw ROC, precision and recall, reliability and the effect of the threshold, each with its uncertainty."""
    parts = []
    for source, rows in run.scored.items():
        charts = _curves_of(run, source, rows.weighted())
        if charts:
            heading = _heading(run, source)
            parts.append(f"{heading}<div class='charts'>{''.join(charts)}</div>")
    if parts:
        how = (
            "Bands hold 95 % of the curves of resampled rows (whole groups, where rows belong together) at each place; "
            "bars are Wilson's 95 % intervals."
        )
        yield Section("curves", "Curves", f"<p class='how'>{text(how)}</p>{''.join(parts)}")


def _heading(run: RunRecord, source: str) -> str:
    label = SOURCES[source].label if source in SOURCES else source
    notes = [each.get("note") or "" for each in run.summary.get("classes") or [] if each.get("source") == source]
    return f"<h3>{text(label)}</h3><p class='how'>{emphasised(notes[0] if notes else '')}</p>"


def _curves_of(run: RunRecord, source: str, rows: ScoredRows) -> list[str]:
    curves = class_curves(rows, positive=run.positive)
    if not curves:
        return []
    few = len(rows.classes) > MOST_CURVES
    rest = f"One class against the rest; the {len(curves)} most frequent of {len(rows.classes)} classes." if few else ""
    rest = rest or ("One class against the rest." if len(rows.classes) > 2 else "")
    charts = [_roc(curves, rest), _precision_recall(curves, rest)]
    if rows.proba is not None:
        charts.append(_reliability(curves, rows, rest))
        if len(rows.classes) == 2:
            charts += _threshold(run, curves[0])
    return charts


def _roc(curves: Sequence[ClassCurves], below: str) -> str:
    said = "; ".join(f"{each.label}: AUC {each.roc_auc.value:.3f}" for each in curves)
    x, y = Axis(0.0, 1.0, "False positive rate"), Axis(0.0, 1.0, "True positive rate")
    chart = Chart("ROC curve", x, y, f"Area under the curve: {said}.", height=TALL)
    chart.line([(0, 0), (1, 1)], "ghost")
    for place, each in enumerate(curves):
        _draw_band(chart, each.roc, color(place), is_shaded=len(curves) <= 3)
        estimate = each.roc_auc
        chart.key.append(
            (color(place), f"{_short(each)}: AUC {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")
        )
    return chart.render(below=below)


def _precision_recall(curves: Sequence[ClassCurves], below: str) -> str:
    said = "; ".join(f"{each.label}: average precision {each.average_precision.value:.3f}" for each in curves)
    x, y = Axis(0.0, 1.0, "Recall"), Axis(0.0, 1.0, "Precision")
    chart = Chart("Precision and recall", x, y, f"{said}.", height=TALL)
    for place, each in enumerate(curves):
        if len(curves) <= 3:
            chart.line([(0, each.share), (1, each.share)], "ghost", label="share of the class" if not place else "")
        _draw_band(chart, each.precision_recall, color(place), is_shaded=len(curves) <= 3)
        estimate = each.average_precision
        chart.key.append(
            (color(place), f"{_short(each)}: AP {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")
        )
    return chart.render(below=below)


def _reliability(curves: Sequence[ClassCurves], rows: ScoredRows, below: str) -> str:
    chart = Chart(
        "Reliability of the probabilities", PREDICTED, OBSERVED,
        "predicted probabilities against how often they came true; on the diagonal they are right", height=TALL,
    )  # fmt: skip
    chart.line([(0, 0), (1, 1)], "ghost", label="perfect")
    assert rows.proba is not None
    if len(curves) <= 2:
        shares, edges = np.histogram(rows.proba[:, curves[0].code], bins=25, range=(0, 1), weights=rows.weight)
        tallest = max(shares.max(), 1e-12)
        bars = [(low, high, 0.22 * share / tallest) for low, high, share in zip(edges, edges[1:], shares, strict=False)]
        chart.bars(bars, "c7 faint", label="rows")
    for place, each in enumerate(curves):
        bins = class_reliability(rows.proba[:, each.code], rows.y == each.code, rows.weight)
        points = [(each_bin.predicted, each_bin.observed) for each_bin in bins]
        chart.whiskers([(each_bin.predicted, each_bin.low, each_bin.high) for each_bin in bins], color(place))
        chart.line(points, color(place))
        chart.dots(points, color(place), label=_short(each))
    return chart.render(below=below)


def _threshold(run: RunRecord, curves: ClassCurves) -> list[str]:
    """Draw what follows from calling rows positive from one probability on or another."""
    threshold = run.summary.get("threshold") or {}
    chosen = threshold.get("value") if threshold.get("response") != "decision_function" else None
    scoring = str(threshold.get("scoring") or "f1")
    lines = {
        "precision": rated(curves, lambda cells: cells[:, 3] / (cells[:, 3] + cells[:, 1])),
        "recall": rated(curves, lambda cells: cells[:, 3] / (cells[:, 3] + cells[:, 2])),
        "called positive": rated(curves, lambda cells: (cells[:, 3] + cells[:, 1]) / cells.sum(axis=1)),
    }
    chart = Chart(
        "What the threshold does", Axis(0.0, 1.0, f"Called {_short(curves)} from this probability on"), RATES,
        "precision, recall and the share of rows called positive, by threshold", height=TALL,
    )  # fmt: skip
    for place, (name, band) in enumerate(lines.items()):
        _draw_band(chart, band, color((0, 1, 7)[place]))
        chart.key.append((color((0, 1, 7)[place]), name))
    chart.vertical(0.5 if chosen is None else chosen, "ink", label=_threshold_label(chosen))
    band = rated(curves, rate_cells(scoring))
    worth = Chart(
        f"{label_of(scoring)} by threshold", chart.x, spanning([*band.low, *band.high], label_of(scoring)),
        f"{label_of(scoring)} by threshold, greater being better.", height=TALL,
    )  # fmt: skip
    _draw_band(worth, band, "c2")
    worth.key.append(
        ("c2", f"{label_of(scoring)}, by which the threshold was chosen" if threshold else label_of(scoring))
    )
    worth.vertical(0.5 if chosen is None else chosen, "ink", label=_threshold_label(chosen))
    return [chart.render(), worth.render()]


def _threshold_label(chosen: float | None) -> str:
    return "the usual threshold, one half" if chosen is None else f"chosen threshold, {number(chosen)}"


def _draw_band(chart: Chart, band: Band, css: str, *, is_shaded: bool = True) -> None:
    points = list(zip(band.x.tolist(), band.y.tolist(), strict=True))
    if is_shaded:
        chart.band(band.x.tolist(), band.low.tolist(), band.high.tolist(), css)
    chart.marks.append(f'<path class="line {css}" d="{_path(thinned([chart.at(point) for point in points]))}"/>')


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'L' if at else 'M'}{x:.1f} {y:.1f}" for at, (x, y) in enumerate(places))


def _short(curves: ClassCurves) -> str:
    return format_name(curves.label, 24)


def classes_section(run: RunRecord) -> Iterator[Section]:
    """Show the confusion, and precision and recall of each class with intervals."""
    parts = []
    for evaluation in run.summary.get("classes") or []:
        report, confusion = evaluation.get("report") or [], evaluation.get("confusion") or []
        if not report:
            continue
        source = str(evaluation.get("source"))
        where = SOURCES[source].where if source in SOURCES else source
        parts.append(_heading(run, source))
        parts.append(_confusion([str(each["label"]) for each in report], confusion, where))
        parts.append(_class_table(report, confusion, where))
    if parts:
        yield Section("classes", "Classes", "".join(parts))


def _confusion(labels: Sequence[str], confusion: Sequence[Sequence[int]], where: str) -> str:
    names = [format_name(label, 24) for label in labels]
    if len(labels) <= MOST_MATRIX:
        head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
        rows = []
        for at, counts in enumerate(confusion):
            total = sum(counts) or 1
            cells = "".join(
                f'<td{" class=own" if place == at else ""} style="--share:{n / total:.3f}">'
                f"<b>{n:,}</b><small>{text(_share_with_interval(n, sum(counts)))}</small></td>"
                for place, n in enumerate(counts)
            )
            rows.append(f'<tr><th scope="row">{text(names[at])}</th>{cells}</tr>')
        return (
            "<p class='how'>Confusion: true classes in rows, predicted ones in columns; how many rows, and their share "
            "of the true class with its 95 % interval (Wilson)</p>"
            f'<div class="scroll" tabindex="0" role="region" aria-label="Confusion {text(where)}">'
            '<table class="confusion">'
            f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )
    pairs = sorted(
        (
            (n, row, column)
            for row, counts in enumerate(confusion)
            for column, n in enumerate(counts)
            if n and row != column
        ),
        reverse=True,
    )[:MOST_PAIRS]
    listed_pairs = [
        [text(names[row]), text(names[column]), f"{n:,}", text(_share_with_interval(n, sum(confusion[row])))]
        for n, row, column in pairs
    ]
    columns = ["true class", "predicted as", "rows", "share of the true class"]
    listed = table(columns, listed_pairs, numbers=(2, 3), css="stack", caption=f"The most frequent confusions {where}")
    drawn = _draw_confusion(names, confusion) if len(labels) <= MOST_DRAWN else ""
    return f"<div class='charts'>{drawn}<div>{listed}</div></div>"


def _draw_confusion(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    size = 360 / len(names)
    cells = []
    for row, counts in enumerate(confusion):
        total = sum(counts) or 1
        cells += [
            f'<rect class="cell" x="{70 + column * size:.1f}" y="{6 + row * size:.1f}" width="{size - 0.6:.1f}" '
            f'height="{size - 0.6:.1f}" opacity="{0.12 + 0.88 * n / total:.2f}"/>'
            for column, n in enumerate(counts)
            if n
        ]
    step = -(-len(names) // 30)
    labels = [
        f'<text x="64" y="{6 + (row + 0.5) * size + 3.5:.1f}" class="end">{text(cut(names[row], 10))}</text>'
        for row in range(0, len(names), step)
    ]
    labels += [
        f'<text transform="translate({70 + (column + 0.5) * size + 3.5:.1f} 374) rotate(-90)" class="end">'
        f"{text(cut(names[column], 10))}</text>"
        for column in range(0, len(names), step)
    ]
    return (
        '<figure class="chart"><figcaption>Confusion: true classes down, predicted ones across</figcaption>'
        f'<svg role="img" viewBox="0 0 440 440" aria-label="Confusion of {len(names)} classes; the numbers of the most '
        f'frequent confusions stand beside it">{"".join(cells)}{"".join(labels)}</svg>'
        "<p>The stronger the colour, the greater the share of the true class.</p></figure>"
    )


def _share_with_interval(n: int, total: int) -> str:
    if not total:
        return "no rows"
    low, high = _interval(n / total, total)
    return f"{format_share(n, total)} [{100 * low:.1f}, {100 * high:.1f}]"


def _interval(share: float, n: float) -> tuple[float, float]:
    low, high = wilson(np.array([share]), np.array([float(n)]))
    return float(low[0]), float(high[0])


def _class_table(report: Sequence[Mapping[str, Any]], confusion: Sequence[Sequence[int]], where: str) -> str:
    predicted = [sum(counts[at] for counts in confusion) for at in range(len(report))]
    # A row that was predicted several times, in repeated folds, is one row.
    repeats = max(1.0, sum(map(sum, confusion)) / max(1, sum(each["n_rows"] for each in report)))
    listed = sorted(range(len(report)), key=lambda at: -report[at]["n_rows"])[:MOST_LISTED]
    rows = []
    for at in sorted(listed):
        each = report[at]
        cells = [text(format_name(each["label"])), f"{each['n_rows']:,}"]
        for name, n, css in (("recall", each["n_rows"], "c0"), ("precision", predicted[at] / repeats, "c1")):
            value = each.get(name)
            ends = None if value is None or not n else _interval(value, n)
            said = "n/a" if value is None else f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else f"{value:.3f}"
            cells += [text(said), strip(UNIT, value=value, interval=ends, css=css, ticks=True)]
        rows.append(cells)
    ticks = scale(UNIT)
    head = ["class", "rows", "recall", ticks, "precision", ticks]
    which = f"the {MOST_LISTED} most frequent" if len(report) > MOST_LISTED else "each"
    classes = "classes" if len(report) > MOST_LISTED else "class"
    said = f"Recall and precision of {which} {classes}, with Wilson's 95 % intervals by the number of rows"
    return f"<p class='how'>{text(said)}</p>" + table(
        head, rows, numbers=(1, 2, 4), wide=(3, 5), label=f"Recall and precision {where}", css="stack pairs"
    )


def data_section(run: RunRecord) -> Iterator[Section]:
    """Show each column: its type, what is missing, its distribution by class and in the test set."""
    profile = run.profile
    columns = profile.get("columns") or []
    if not columns:
        return
    order = _by_importance(run, columns)
    classes = list(profile["classes"])
    keys = "".join(
        f'<li><i class="key {color(at)}"></i>{text(format_name(name, 30))}</li>' for at, name in enumerate(classes)
    )
    if profile.get("test_rows"):
        keys += '<li><i class="key test"></i>' + text(_tested(profile)) + "</li>"
    how = (
        f"{pluralize(profile['rows'], 'row')} to learn from"
        + (f", {pluralize(profile['test_rows'], 'test row')}" if profile.get("test_rows") else "")
        + ". Each colour is a class, and shares are of the rows of that class that have a value. The first and the "
        "last bin of numbers hold all beyond. "
        + ("The columns of most importance come first." if order is not columns else "")
    )
    cards = "".join(_card(column, profile) for column in order[:MOST_COLUMNS])
    left = len(columns) - MOST_COLUMNS + (profile.get("columns_left_out") or 0)
    rest = _rest_of(order[MOST_COLUMNS:]) if left > 0 else ""
    legend = f'<ul class="legend">{keys}</ul>'
    yield Section("data", "Data", f"<p class='how'>{text(how)}</p>{legend}<div class='columns'>{cards}</div>{rest}")


def _by_importance(run: RunRecord, columns: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    importances = (run.summary.get("importances") or {}).get("columns") or []
    rank = {name: at for at, each in enumerate(importances) for name in each["columns"]}
    return sorted(columns, key=lambda column: rank.get(column["name"], len(rank))) if rank else columns


def _rest_of(columns: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [text(format_name(column["name"])), text(column["kind"]), f"{column['missing']:,}", f"{column['distinct']:,}"]
        for column in columns
    ]
    shown = table(["column", "kind", "missing", "different values"], rows, numbers=(2, 3))
    return f"<details><summary>{pluralize(len(columns), 'more column')}</summary>{shown}</details>"


def _card(column: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    facts = [column["kind"], _missing(column, profile), pluralize(column["distinct"], "different value")]
    if quartiles := column.get("quartiles"):
        of = "length " if column.get("of_lengths") else ""
        facts.append(
            f"{of}{_short_value(quartiles[0])} to {_short_value(quartiles[-1])}, median {_short_value(quartiles[2])}"
        )
    if column.get("unseen_in_test"):
        facts.append(f"{pluralize(column['unseen_in_test'], 'test row')} with values that training never saw")
    body = _histogram(column, profile) if "edges" in column else _values(column, profile)
    return (
        f'<article class="column"><h3>{text(format_name(column["name"]))}</h3>'
        f'<p class="soft">{text("; ".join(filter(None, facts)))}</p>{body}</article>'
    )


def _missing(column: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    if not column["missing"] and not column.get("test_missing"):
        return "none missing"
    said = f"{format_share(column['missing'], profile['rows'])} missing"
    tested = column.get("test_missing")
    return (
        said if tested is None else f"{said} ({format_share(tested, profile['test_rows'])} of the {_tested(profile)})"
    )


def _tested(profile: Mapping[str, Any]) -> str:
    """Name the rows that the training is drawn beside: those of an evaluation, or of a run."""
    return "new rows" if profile.get("is_evaluation") else "test set"


def _short_value(value: Any) -> str:
    return str(value).partition("T")[0] if isinstance(value, str) else f"{value:,.6g}"


def _histogram(column: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    counts, tested = column["counts"], column.get("test_counts")
    shares = [_shares(each) for each in counts]
    edges = column["edges"]
    places = list(range(len(edges)))
    ticks = [(float(at), _edge_text(edges, at)) for at in sorted({0, len(edges) // 2, len(edges) - 1})]
    tallest = max((max(each) for each in shares), default=0) or 1.0
    chart = Chart(
        f"{format_name(column['name'])} by class", Axis(0, len(edges) - 1, marked=ticks), _percents(tallest),
        "shares of the rows of each class in bins", "By class", height=170,
    )  # fmt: skip
    for at, each in enumerate(shares):
        # Closed at both ends, so that each class is an outline of its own.
        points = [
            (0.0, 0.0),
            *((float(place), share) for place, share in zip(places, each, strict=False)),
            (float(len(each)), 0.0),
        ]
        chart.line(points, color(at), steps=True)
    drawn = chart.render()
    if tested:
        drawn += _against_test(column, counts, tested, ticks)
    return drawn


def _edge_text(edges: Sequence[Any], at: int) -> str:
    """Write an edge of the bins; whole numbers have theirs in between, and the number beside it is written."""
    if isinstance(edges[at], str):
        return _short_value(edges[at])
    if all(edge % 1 == 0.5 for edge in edges):
        return tick_text(edges[at] - 0.5 if at == len(edges) - 1 else edges[at] + 0.5)
    return tick_text(float(f"{edges[at]:.4g}"))


def _percents(tallest: float) -> Axis:
    return Axis(0.0, tallest * 1.05, as_percent=True)


def _against_test(
    column: Mapping[str, Any],
    counts: Sequence[Sequence[int]],
    tested: Sequence[int],
    ticks: Sequence[tuple[float, str]],
) -> str:
    trained, test = _shares([sum(each) for each in zip(*counts, strict=True)]), _shares(tested)
    tallest = max([*trained, *test]) or 1.0
    chart = Chart(
        f"{format_name(column['name'])} in the test set", Axis(0, len(trained), marked=ticks), _percents(tallest),
        "shares of all training rows as bars, of test rows as an outline", "Training and test", height=140,
    )  # fmt: skip
    chart.bars([(at, at + 1, share) for at, share in enumerate(trained)], "c7", label="training")
    points = [(0.0, 0.0), *((float(at), share) for at, share in enumerate(test)), (float(len(test)), 0.0)]
    chart.line(points, "ink", label="test set", steps=True)
    return chart.render()


def _values(column: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    counts, tested = column["counts"], column.get("test_counts")
    shares, test = [_shares(each) for each in counts], _shares(tested) if tested else None
    totals = _shares([sum(each) for each in zip(*counts, strict=True)]) if counts and counts[0] else []
    names = [*map(format_name, column["values"]), *(["others"] if column.get("has_others") else [])]
    tallest = max([0.01, *(share for each in shares for share in each), *(test or [])])
    axis = Axis(0.0, tallest, marked=[(0.0, "0%"), (tallest, format_share(tallest))])
    rows = []
    for at, name in enumerate(names):
        others = [(test[at], "test")] if test else []
        others += [(each[at], color(place)) for place, each in enumerate(shares)]
        row = [text(cut(name, 40)), strip(axis, others=others), text(format_share(totals[at])) if totals else ""]
        rows.append([*row, text(format_share(test[at]))] if test else row)
    head = ["value", scale(axis), "rows", *(["test"] if test else [])]
    if not any(totals):
        return "<p class='soft'>No value that is frequent.</p>"
    return table(head, rows, numbers=(2, 3), wide=(1,), is_region=False)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def dependence_section(run: RunRecord) -> Iterator[Section]:
    """Draw how the probabilities depend on the columns that matter most, on average and in single rows."""
    columns, classes = run.dependence.get("columns") or [], run.dependence.get("classes") or []
    charts = [
        _dependence(column, at, format_name(label, 24), is_only=len(classes) == 1)
        for column in columns
        for at, label in enumerate(classes)
    ]
    if not charts:
        return
    how = (
        f"The mean predicted probability of {pluralize(run.dependence.get('n_rows'), 'row')} when the column of all of "
        "them is set to a value, in colour, and beside it that of single rows. That is what the model does, not what "
        "would happen: rows such as these may not exist where columns go together."
    )
    html = f"<p class='how'>{text(how)}</p><div class='charts'>{''.join(charts[:MOST_DEPENDENCES])}</div>"
    yield Section("dependence", "Partial dependence", html)


def _dependence(column: Mapping[str, Any], at: int, label: str, *, is_only: bool) -> str:
    name, grid, means = format_name(column["column"], 40), column["grid"], column["mean"][at]
    curves = column["rows"][at]
    if column["kind"] == "number":
        places = [float(value) for value in grid]
        axis = spanning(places, name, pad=0.01)
    else:
        places = [float(place) for place in range(len(grid))]
        marked = _thinned_names([_short_value(value) if column["kind"] == "date" else str(value) for value in grid])
        axis = Axis(-0.3, len(grid) - 0.7, name, marked=marked)
    ends = [0.0, *means, *(value for curve in curves for value in curve)]
    title = name if is_only else f"{name}: {label}"
    chart = Chart(
        title, axis, Axis(0.0, max(ends) * 1.03 or 1.0, f"Probability of {label}"), "mean probability by value"
    )
    is_ordered = column["kind"] != "category"
    for curve in curves:
        points = zip(places, curve, strict=False)
        chart.line(points, "c7 thin") if is_ordered else chart.dots(points, "c7 faint", radius=2.0)
    if is_ordered:
        chart.line(zip(places, means, strict=False), color(at))
    chart.dots(zip(places, means, strict=False), color(at))
    return chart.render()


def _thinned_names(names: Sequence[str]) -> list[tuple[float, str]]:
    step = -(-len(names) // 8)
    return [(float(at), cut(format_name(name), 18)) for at, name in enumerate(names) if at % step == 0]


def calibration_section(run: RunRecord) -> Iterator[Section]:
    """Draw the probabilities before and after the calibration, and what that changed."""
    calibration = run.summary.get("calibration")
    found = {name: (calibration or {}).get(name) or {} for name in ("before", "after")}
    measured: dict[str, Mapping[str, Any]] = {name: error for name, error in found.items() if error.get("reliability")}
    if not calibration or not measured:
        return
    chart = Chart(
        f"Calibration ({calibration['method']})", PREDICTED, OBSERVED,
        "predicted probabilities against how often they came true, before and after", height=TALL,
    )  # fmt: skip
    chart.line([(0, 0), (1, 1)], "ghost", label="perfect")
    for name, css in (("before", "c1"), ("after", "c0")):
        bins = measured.get(name, {}).get("reliability") or []
        points = [(each["predicted"], each["observed"]) for each in bins]
        chart.whiskers([(each["predicted"], each["low"], each["high"]) for each in bins], css)
        chart.line(points, css)
        chart.dots(points, css, label=name if points else "")
    rows = [
        [
            text(label_of(name)),
            *(number(measured[moment].get(name)) if moment in measured else "" for moment in ("before", "after")),
        ]
        for name in MEASURES
    ]
    kept = "Kept" if calibration.get("kept") else "Not kept"
    how = ": ".join(filter(None, [kept, calibration.get("reason")]))
    listed = table(["less is better", "before", "after"], rows, numbers=(1, 2), caption="What the calibration changed")
    note = calibration.get("note") or ""
    said = f"<p>{emphasised(how)}.</p><p class='how'>{emphasised(note)}</p>"
    drawn = f"<div class='charts'>{chart.render()}<div>{listed}</div></div>"
    yield Section("calibration", "Calibration", said + drawn)
