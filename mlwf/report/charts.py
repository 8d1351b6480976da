"""Charts of a report: SVG whose colours and fonts are those of the page, and strips on one scale; no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 440, 330
RIGHT, TOP, BOTTOM = 14, 12, 42
CHARACTER = 6.4
"""Width of a character of a tick, roughly."""
SHARE_OF_CHARACTER = 0.06
"""The same of the width of a narrow strip."""
FEW_TICKS = 5
MANY_DOTS = 100
N_COLORS = 8
"""Colours in report.css, as the classes c0 to c7."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A scale from low to high, linear or logarithmic."""

    low: float
    high: float
    label: str = ""
    is_log: bool = False
    as_percent: bool = False
    marked: Sequence[tuple[float, str]] = ()
    """The values to mark, and what is written there, instead of round numbers."""

    def share(self, value: float) -> float:
        """Give where a value lies, from 0 to 1."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(value) - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """List the values to mark, and what is written there."""
        if self.marked:
            return list(self.marked)
        if self.is_log:
            return [(tick, tick_text(tick)) for tick in _log_ticks(self.low, self.high)]
        if self.as_percent:
            return [(tick, f"{100 * tick:.4g}%") for tick in nice_ticks(self.low, self.high)]
        return [(tick, tick_text(tick)) for tick in nice_ticks(self.low, self.high)]

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.is_log else value


def spanning(values: Iterable[float], label: str = "", *, pad: float = 0.06, is_log: bool = False) -> Axis:
    """Make an axis that holds the values, with some room beside them."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if is_log:
        room = (high / low) ** pad if high > low else 2.0
        return Axis(low / room, high * room, label, is_log=True)
    room = (high - low) * pad or abs(high) * 0.05 or 0.5
    return Axis(low - room, high + room, label)


UNIT = Axis(0.0, 1.0)


def nice_ticks(low: float, high: float, at_most: int = FEW_TICKS) -> list[float]:
    """List round numbers from low to high.

    >>> nice_ticks(0, 1), nice_ticks(0.9, 0.93)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.9, 0.91, 0.92, 0.93])
    """
    if not high > low:
        return [low]
    rough = (high - low) / at_most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [
        float(f"{(first + at) * step:.10g}")
        for at in range(int((high - low) / step) + 2)
        if (first + at) * step <= high + step * 1e-6
    ]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(decades) > 3 else (1, 3)
    ticks = [factor * 10.0**decade for decade in decades for factor in factors]
    ticks = [tick for tick in ticks if low <= tick <= high]
    step = -(-len(ticks) // (FEW_TICKS + 1))
    return ticks[::step] if len(ticks) > 1 else nice_ticks(low, high)


def apart(axis: Axis, ticks: Sequence[tuple[float, str]], character: float) -> list[tuple[float, str]]:
    """Leave out the ticks whose text would run into that of the one before; `character` is a share of the axis.

    >>> apart(UNIT, [(0.1, "0.123"), (0.12, "0.124"), (0.9, "0.9")], CHARACTER / WIDTH)
    [(0.1, '0.123'), (0.9, '0.9')]
    """
    kept: list[tuple[float, str]] = []
    for value, text in ticks:
        room = axis.share(value) - axis.share(kept[-1][0]) if kept else 1.0
        if not kept or room >= character * (len(text) + len(kept[-1][1])) / 2:
            kept.append((value, text))
    return kept


def tick_text(value: float) -> str:
    """Write a number of an axis.

    >>> [tick_text(value) for value in (0.25, 1000, 1234567, 1e-5, -3.0)]
    ['0.25', '1,000', '1.23e+06', '1e-05', '-3']
    """
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return text or "0"


@dataclass
class Chart:
    """Axes that marks are drawn into; `render` gives a figure."""

    title: str
    x: Axis
    y: Axis
    note: str = ""
    """What it shows, for those who do not see it."""
    caption: str = ""
    """What stands above it, where that is not the title."""
    height: int = HEIGHT
    marks: list[str] = field(default_factory=list)
    key: list[tuple[str, str]] = field(default_factory=list)
    """Classes of the marks and what they mean."""

    def __post_init__(self) -> None:
        # The numbers of the left axis need room.
        widest = max((len(text) for _, text in self.y.ticks()), default=0)
        self.left = 12 + widest * CHARACTER + (20 if self.y.label else 0)

    def at(self, point: Point) -> Point:
        """Give the place of a point in the picture."""
        x = self.left + self.x.share(point[0]) * (WIDTH - self.left - RIGHT)
        y = self.height - BOTTOM - self.y.share(point[1]) * (self.height - TOP - BOTTOM)
        return x, y

    def line(self, points: Iterable[Point], css: str, *, label: str = "", steps: bool = False) -> None:
        """Draw a line; with `steps` each height holds up to the next point."""
        places = [self.at(point) for point in points]
        if not places:
            return
        parts = [f"M{_place(places[0])}"]
        for before, after in pairwise(thinned(places) if not steps else places):
            parts.append(f"H{after[0]:.1f}V{after[1]:.1f}" if steps else f"L{_place(after)}")
            del before
        self.marks.append(f'<path class="line {css}" d="{"".join(parts)}"/>')
        self._explain(css, label)

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], css: str) -> None:
        """Shade what lies between two lines."""
        upper = thinned([self.at(point) for point in zip(xs, high, strict=True)])
        lower = thinned([self.at(point) for point in zip(xs, low, strict=True)])
        if upper:
            outline = "L".join(map(_place, [*upper, *reversed(lower)]))
            self.marks.append(f'<path class="band {css}" d="M{outline}Z"/>')

    def dots(self, points: Iterable[Point], css: str, *, label: str = "", radius: float = 3.5) -> None:
        """Draw dots."""
        places = [self.at(point) for point in points]
        if len(places) > MANY_DOTS:
            # One line of no length for each, with round ends, takes a quarter of the room.
            spots = "".join(f"M{x:.0f} {y:.1f}h0" for x, y in places)
            self.marks.append(f'<path class="spots {css}" stroke-width="{2 * radius:g}" d="{spots}"/>')
        else:
            circles = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>' for x, y in places)
            self.marks.append(f'<g class="dot {css}">{circles}</g>')
        self._explain(css, label)

    def whiskers(self, intervals: Iterable[tuple[float, float, float]], css: str) -> None:
        """Draw vertical intervals: at x, from low to high."""
        parts = [
            f"M{_place(self.at((x, low)))}V{self.at((x, high))[1]:.1f}"
            for x, low, high in intervals
            if math.isfinite(low) and math.isfinite(high)
        ]
        self.marks.append(f'<path class="whisker {css}" d="{"".join(parts)}"/>')

    def bars(self, bars: Iterable[tuple[float, float, float]], css: str, *, label: str = "") -> None:
        """Draw bars from the bottom: from one x to another, so high."""
        parts = []
        for start, end, height in bars:
            if height > 0:
                (x0, y0), (x1, _), bottom = self.at((start, height)), self.at((end, 0)), self.height - BOTTOM
                parts.append(f"M{x0 + 0.5:.1f} {bottom}V{y0:.1f}H{x1 - 0.5:.1f}V{bottom}Z")
        self.marks.append(f'<path class="bar {css}" d="{"".join(parts)}"/>')
        self._explain(css, label)

    def vertical(self, x: float, css: str, *, label: str = "") -> None:
        """Draw a line from bottom to top."""
        if self.x.low <= x <= self.x.high:
            place = self.at((x, 0))[0]
            self.marks.append(f'<path class="rule {css}" d="M{place:.1f} {TOP}V{self.height - BOTTOM}"/>')
            self._explain(css, label)

    def render(self, *, below: str = "") -> str:
        """Give the figure, with a line of text below it."""
        marks = "".join(self.marks)
        keys = "".join(f'<li><i class="key {css}"></i>{escape(label)}</li>' for css, label in self.key)
        legend = f'<ul class="legend">{keys}</ul>' if keys else ""
        line = f"<p>{escape(below)}</p>" if below else ""
        said = escape(": ".join(filter(None, [self.title, self.note])))
        head = f"<figcaption>{escape(self.caption or self.title)}</figcaption>{legend}"
        svg = f'<svg role="img" viewBox="0 0 {WIDTH} {self.height}" aria-label="{said}">{self._frame()}{marks}</svg>'
        return f'<figure class="chart">{head}{svg}{line}</figure>'

    def _explain(self, css: str, label: str) -> None:
        if label:
            self.key.append((css, label))

    def _frame(self) -> str:
        left, right, bottom = self.left, WIDTH - RIGHT, self.height - BOTTOM
        parts: list[str] = []
        for value, text in self.y.ticks():
            y = self.at((self.x.low, value))[1]
            parts.append(f'<path class="grid" d="M{left:.0f} {y:.1f}H{right}"/>')
            parts.append(f'<text x="{left - 7:.0f}" y="{y + 3.8:.1f}" class="end">{escape(text)}</text>')
        ticks = self.x.ticks()
        is_crowded = sum(len(text) + 1.5 for _, text in ticks) * CHARACTER > right - left
        for place, (value, text) in enumerate(ticks):
            x = self.at((value, self.y.low))[0]
            lower = 13 if is_crowded and place % 2 else 0
            room = 2 * (right - left) / max(1, len(ticks)) / CHARACTER if is_crowded else 99
            shown = text if len(text) <= room else f"{text[: max(1, int(room) - 1)]}…"
            parts.append(f'<path class="tick" d="M{x:.1f} {bottom}v4"/>')
            # A name at an end must not reach beyond the picture.
            inside = min(max(x, len(shown) * CHARACTER / 2), WIDTH - len(shown) * CHARACTER / 2)
            parts.append(f'<text x="{inside:.1f}" y="{bottom + 16 + lower}" class="middle">{escape(shown)}</text>')
        parts.append(f'<path class="axis" d="M{left:.0f} {bottom}H{right}"/>')
        middle = (left + right) / 2
        # Two rows of names leave no room; the title says what they are.
        if self.x.label and not is_crowded:
            parts.append(
                f'<text x="{middle:.0f}" y="{self.height - 6}" class="middle name">{escape(self.x.label)}</text>'
            )
        if self.y.label:
            y = (TOP + bottom) / 2
            parts.append(
                f'<text transform="translate(12 {y:.0f}) rotate(-90)" class="middle name">{escape(self.y.label)}</text>'
            )
        return "".join(parts)


def thinned(places: Sequence[Point], least: float = 0.35) -> list[Point]:
    """Leave out points that lie, to the eye, on the line between their neighbours (Ramer, Douglas and Peucker)."""
    if len(places) < 3:
        return list(places)
    kept, stack = {0, len(places) - 1}, [(0, len(places) - 1)]
    while stack:
        first, last = stack.pop()
        farthest, distance = first, 0.0
        for at in range(first + 1, last):
            away = _distance(places[at], places[first], places[last])
            if away > distance:
                farthest, distance = at, away
        if distance > least:
            kept.add(farthest)
            stack += [(first, farthest), (farthest, last)]
    return [places[at] for at in sorted(kept)]


def _distance(point: Point, start: Point, end: Point) -> float:
    (x, y), (x0, y0), (x1, y1) = point, start, end
    length = math.hypot(x1 - x0, y1 - y0)
    if length == 0:
        return math.hypot(x - x0, y - y0)
    return abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length


def _place(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def strip(
    axis: Axis,
    *,
    value: float | None = None,
    interval: tuple[float, float] | None = None,
    baseline: float | None = None,
    css: str = "c0",
    others: Sequence[tuple[float, str]] = (),
    ticks: bool = False,
) -> str:
    """Draw a number with its interval and a baseline on a scale; the numbers themselves stand beside it."""
    parts = [_mark(axis, tick, "g") for tick, _ in axis.ticks()] if ticks else []
    if baseline is not None:
        parts.append(_mark(axis, baseline, "base"))
    if interval is not None:
        low, high = (min(max(axis.share(end), 0.0), 1.0) for end in interval)
        parts.append(f'<i class="ci {css}" style="left:{low:.2%};width:{max(high - low, 0):.2%}"></i>')
    # Those that are listed first stand behind.
    parts += [_mark(axis, each, f"pt {kind}") for each, kind in others]
    if value is not None:
        parts.append(_mark(axis, value, f"pt {css}"))
    return f'<span class="strip" aria-hidden="true">{"".join(parts)}</span>'


def scale(axis: Axis) -> str:
    """Write the ticks of a column of strips."""
    ticks = apart(axis, axis.ticks(), SHARE_OF_CHARACTER)
    marks = "".join(_written(min(max(axis.share(tick), 0.0), 1.0), text) for tick, text in ticks)
    return f'<span class="strip scale" aria-hidden="true">{marks}</span>'


def _written(share: float, said: str) -> str:
    # What stands at an end must not reach beyond it.
    css = ' class="first"' if share < 0.04 else ' class="last"' if share > 0.96 else ""
    return f'<i{css} style="left:{share:.2%}">{escape(said)}</i>'


def _mark(axis: Axis, value: float, css: str) -> str:
    return f'<i class="{css}" style="left:{min(max(axis.share(value), 0.0), 1.0):.2%}"></i>'


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    label: str = "",
    caption: str = "",
    numbers: Iterable[int] = (),
    wide: Iterable[int] = (),
    css: str = "",
    is_region: bool = True,
) -> str:
    """Write a table whose cells are HTML; `numbers` are the columns that are right-aligned, `wide` those of strips.

    `caption` stands above it, and `label` is read out alone. A stacked table names its cells on a narrow page.
    """
    kinds: Mapping[int, str] = {**dict.fromkeys(numbers, "num"), **dict.fromkeys(wide, "wide")}
    # The scale above strips is not read out, so their column has a name for those who listen.
    spoken = dict.fromkeys(wide, '<span class="spoken">drawn</span>')
    head = "".join(
        f'<th scope="col"{_class(kinds.get(at))}>{name}{spoken.get(at, "")}</th>' for at, name in enumerate(columns)
    )
    names = dict(enumerate(columns)) if "stack" in css else {}
    body = "".join(
        f"<tr>{''.join(_cell(at, cell, kinds, names.get(at, '')) for at, cell in enumerate(row))}</tr>" for row in rows
    )
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    html = f"<table{_class(css)}>{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    if not is_region:
        return html
    # The region scrolls by itself, and with the keyboard, where a page is narrower than its table.
    said = escape(label or caption or "Table")
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{said}">{html}</div>'


def _cell(at: int, cell: str, kinds: Mapping[int, str], name: str) -> str:
    if at == 0:
        return f'<th scope="row">{cell}</th>'
    # Headings of strips and of what needs none are HTML or empty.
    label = f' data-label="{name}"' if name and "<" not in name and cell else ""
    return f"<td{_class(kinds.get(at))}{label}>{cell}</td>"


def _class(css: str | None) -> str:
    return f' class="{css}"' if css else ""


def color(place: int) -> str:
    """Give the class of a colour."""
    return f"c{place % N_COLORS}"


def text(value: Any) -> str:
    """Write a name or a value for HTML."""
    return escape(str(value))
