"""Small plots as inline SVG: they print, scale to a phone and follow the page's light or dark colours.

Written by hand rather than with a plotting library so that the page's style sheet colours them (classes `c0` to `c11`)
and a dozen of them weigh little. All text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 720
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 36
# Where a plot begins that has names on its left.
NAMES = 150
COLOUR_COUNT = 12


@dataclass(frozen=True)
class Series:
    """A named row of points; `style` is `line`, `dots` or `step`. Points that are not finite are left out."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    style: str = "line"


@dataclass(frozen=True)
class Band:
    """A stretch of the x axis with a label."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Spread:
    """How values lie: 5th percentile, median and 95th percentile."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """A horizontal line with a label."""

    y: float
    label: str


class ColourKey:
    """Gives every label a colour class, the same one wherever the label appears in a report."""

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._classes: dict[str, str] = {}
        for label in labels:
            self(label)

    def __call__(self, label: str) -> str:
        """Colour class of `label`: `c0` to `c11`, reused from the start after twelve labels."""
        return self._classes.setdefault(label, f"c{len(self._classes) % COLOUR_COUNT}")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten apart) that lie within [low, high]."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def time_plot(
    series: Sequence[Series],
    y_label: str,
    *,
    bands: Sequence[Band] = (),
    thresholds: Sequence[Threshold] = (),
    x_label: str = "time in the recording (s)",
    x_range: tuple[float, float] | None = None,
    y_max: float | None = None,
    height: int = 220,
    colours: ColourKey | None = None,
    title: str = "",
) -> Markup:
    """Plot series over a common x axis from y = 0 (or the least value, where negative), with bands behind them."""
    colours = colours or ColourKey()
    series = [_finite(one) for one in series]
    xs = [x for one in series for x in one.xs] + [edge for band in bands for edge in (band.start, band.end)]
    ys = [y for one in series for y in one.ys] + [threshold.y for threshold in thresholds]
    if not any(one.xs for one in series):
        return nothing_to_plot("no values were received")
    x_low, x_high = x_range or (min(xs), max(xs))
    frame = _Frame(x_low, x_high, min(0.0, *ys), (y_max if y_max is not None else max(ys) * 1.05) or 1.0, height)
    parts = [frame.band(band, colours) for band in bands]
    parts += [frame.axes(x_label, y_label)]
    # Enter and exit thresholds lie close together: the upper one is labelled above its line, the others below.
    top = max((threshold.y for threshold in thresholds), default=0.0)
    parts += [frame.threshold(threshold, -3 if threshold.y == top else 11) for threshold in thresholds]
    parts += [frame.series(one, colours(one.name)) for one in series]
    plot = _svg(parts, WIDTH, height, title or y_label)
    return plot if len(series) == 1 else plot + legend([(one.name, colours(one.name)) for one in series])


def histogram(values: Sequence[float], x_label: str, *, bins: int = 24, height: int = 200, title: str = "") -> Markup:
    """Count `values` in equal bins; a single distinct value gets a bin of width one."""
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return nothing_to_plot("no values were received")
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / width))] += 1
    frame = _Frame(low, high, 0.0, max(counts) * 1.05, height)
    parts = [frame.axes(x_label, "frames")]
    for index, count in enumerate(counts):
        if count:
            left, right = frame.x(low + index * width), frame.x(low + (index + 1) * width)
            tip = f"{low + index * width:.3g} to {low + (index + 1) * width:.3g}: {count}"
            parts.append(
                Markup('<rect class="fill c0" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                    _n(left + 0.5), _n(frame.y(count)), _n(right - left - 1), _n(frame.y(0) - frame.y(count)), tip
                )
            )
    return _svg(parts, WIDTH, height, title or x_label)


def bars(values: Mapping[str, float], unit: str, *, colours: ColourKey | None = None, title: str = "") -> Markup:
    """Horizontal bars, one a label, the value written at the end."""
    if not values:
        return nothing_to_plot("nothing was counted")
    colours = colours or ColourKey()
    row, name_width = 26, 150
    height = row * len(values) + 8
    top = max(values.values()) or 1.0
    parts = []
    for index, (label, value) in enumerate(values.items()):
        y = 4 + index * row
        length = (WIDTH - name_width - 90) * value / top
        parts.append(
            Markup(
                '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
                '<rect class="fill {}" x="{}" y="{}" width="{}" height="{}"/>'
                '<text class="tick" x="{}" y="{}">{} {}</text>'
            ).format(
                name_width - 8,
                y + 17,
                _shorten(label, 22),
                colours(label),
                name_width,
                y + 4,
                _n(length),
                row - 8,
                _n(name_width + length + 6),
                y + 17,
                f"{value:g}",
                unit,
            )
        )
    return _svg(parts, WIDTH, height, title or unit)


def spreads(rows: Mapping[str, Spread], label: str, *, colours: ColourKey | None = None, title: str = "") -> Markup:
    """A bar from the 5th to the 95th percentile for each label, with a mark at the median."""
    if not rows:
        return nothing_to_plot("no values were received")
    colours = colours or ColourKey()
    row = 22
    height = TOP + row * len(rows) + BOTTOM
    frame = _Frame(min(s.low for s in rows.values()), max(s.high for s in rows.values()), 0.0, 1.0, height, NAMES)
    parts = [frame.x_axis(label)]
    for index, (name, spread) in enumerate(rows.items()):
        y = TOP + index * row
        left, right, middle = (_n(frame.x(value)) for value in (spread.low, spread.high, spread.median))
        tip = f"{name}: 5 % {spread.low:.4g}, median {spread.median:.4g}, 95 % {spread.high:.4g}"
        parts.append(
            Markup(
                '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
                '<rect class="fill {}" x="{}" y="{}" width="{}" height="10"><title>{}</title></rect>'
                '<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>'
            ).format(
                NAMES - 8,
                y + 14,
                _shorten(name, 22),
                colours(name),
                left,
                y + 5,
                _n(max(float(right) - float(left), 1.0)),
                tip,
                middle,
                middle,
                y + 1,
                y + 19,
            )
        )
    return _svg(parts, WIDTH, height, title or label)


def band_timeline(
    rows: Sequence[tuple[str, Sequence[Band]]],
    *,
    x_label: str = "time in the recording (s)",
    x_range: tuple[float, float] | None = None,
    colours: ColourKey | None = None,
    title: str = "",
) -> Markup:
    """One row of coloured bands per entry, over a common x axis; labels are written where they fit."""
    rows = [(name, bands) for name, bands in rows if bands]
    if not rows:
        return nothing_to_plot("nothing happened")
    colours = colours or ColourKey()
    edges = [edge for _, bands in rows for band in bands for edge in (band.start, band.end)]
    x_low, x_high = x_range or (min(edges), max(edges))
    row_height = 40
    height = TOP + row_height * len(rows) + BOTTOM
    frame = _Frame(x_low, x_high, 0.0, 1.0, height)
    parts = [frame.x_axis(x_label)]
    for index, (name, bands) in enumerate(rows):
        y = TOP + index * row_height
        parts.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(LEFT, y + 10, name))
        for band in bands:
            left, right = frame.x(band.start), frame.x(band.end)
            tip = f"{band.label}: {band.start:.2f} to {band.end:.2f} s"
            parts.append(
                Markup('<rect class="fill {}" x="{}" y="{}" width="{}" height="20"><title>{}</title></rect>').format(
                    colours(band.label), _n(left), y + 14, _n(max(right - left, 1)), tip
                )
            )
            if right - left > 7.5 * len(band.label):
                parts.append(
                    Markup('<text class="on-band" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                        _n((left + right) / 2), y + 28, band.label
                    )
                )
    labels = list(dict.fromkeys(band.label for _, bands in rows for band in bands))
    return _svg(parts, WIDTH, height, title or "timeline") + legend([(label, colours(label)) for label in labels])


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Names with a swatch of their colour class."""
    items = Markup("").join(
        Markup('<li><span class="swatch {}"></span>{}</li>').format(colour, name) for name, colour in entries
    )
    return Markup('<ul class="legend">{}</ul>').format(items)


def nothing_to_plot(reason: str) -> Markup:
    """What stands in a plot's place when there is nothing to plot."""
    return Markup('<p class="empty">Nothing to plot: {}.</p>').format(reason)


class _Frame:
    """Maps values to places in the drawing."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float, height: int, left: int = LEFT) -> None:
        self.left = left
        self.x_low, self.x_high = x_low, x_high if x_high > x_low else x_low + 1.0
        self.y_low, self.y_high = y_low, y_high if y_high > y_low else y_low + 1.0
        self.height = height

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return self.left + (WIDTH - self.left - RIGHT) * min(max(share, 0.0), 1.0)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.height - BOTTOM - (self.height - BOTTOM - TOP) * min(max(share, 0.0), 1.0)

    def x_axis(self, label: str) -> Markup:
        base = self.height - BOTTOM
        parts = [
            Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(self.left, WIDTH - RIGHT, base, base)
        ]
        parts += [
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                _n(self.x(value)), base + 14, f"{value:.6g}"
            )
            for value in ticks(self.x_low, self.x_high, 8)
        ]
        middle = (self.left + WIDTH - RIGHT) / 2
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(middle, base + 30, label)
        )
        return Markup("").join(parts)

    def axes(self, x_label: str, y_label: str) -> Markup:
        parts = [self.x_axis(x_label)]
        for value in ticks(self.y_low, self.y_high, 4):
            y = _n(self.y(value))
            parts.append(
                Markup(
                    '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
                    '<text class="tick" x="{}" y="{}" text-anchor="end" dy="4">{}</text>'
                ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y, f"{value:.6g}")
            )
        middle = (TOP + self.height - BOTTOM) / 2
        parts.append(
            Markup(
                '<text class="label" transform="translate(12 {}) rotate(-90)" text-anchor="middle">{}</text>'
            ).format(_n(middle), y_label)
        )
        return Markup("").join(parts)

    def band(self, band: Band, colours: ColourKey) -> Markup:
        left, right = self.x(band.start), self.x(band.end)
        return Markup('<rect class="band {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            colours(band.label), _n(left), TOP, _n(right - left), self.height - BOTTOM - TOP, band.label
        )

    def threshold(self, threshold: Threshold, label_shift: float) -> Markup:
        y = self.y(threshold.y)
        return Markup(
            '<line class="threshold" x1="{}" x2="{}" y1="{}" y2="{}"/>'
            '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
        ).format(LEFT, WIDTH - RIGHT, _n(y), _n(y), WIDTH - RIGHT - 2, _n(y + label_shift), threshold.label)

    def series(self, series: Series, colour: str) -> Markup:
        points = [(_n(self.x(x)), _n(self.y(y))) for x, y in zip(series.xs, series.ys, strict=True)]
        if series.style == "dots" or len(points) == 1:
            dots = (Markup('<circle class="fill {}" cx="{}" cy="{}" r="2"/>').format(colour, x, y) for x, y in points)
            return Markup("").join(dots)
        if series.style == "step":
            corners = [points[0]]
            for x, y in points[1:]:
                corners += [(x, corners[-1][1]), (x, y)]
            points = corners
        path = " ".join(f"{x},{y}" for x, y in points)
        return Markup('<polyline class="stroke {}" points="{}"><title>{}</title></polyline>').format(
            colour, path, series.name
        )


def _finite(series: Series) -> Series:
    points = [(x, y) for x, y in zip(series.xs, series.ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return Series(series.name, [x for x, _ in points], [y for _, y in points], series.style)


def _svg(parts: Iterable[Markup], width: int, height: int, title: str) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        width, height, title, title, Markup("").join(parts)
    )


def _shorten(text: str, length: int) -> Markup:
    return escape(text if len(text) <= length else text[: length - 1] + "…")


def _n(value: float) -> str:
    return f"{value:.1f}"
