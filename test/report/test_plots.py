"""Plots are well-formed SVG, with the values where they belong."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from fusion_ros.report.plots import (
    Band,
    ColourKey,
    Series,
    Threshold,
    band_timeline,
    bars,
    histogram,
    ticks,
    time_plot,
)


def as_xml(markup):
    return ElementTree.fromstring(f"<div>{markup}</div>")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (-3, 3, [-2, 0, 2]),
        (5, 5, [5]),
        (0, math.inf, [0]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_points_rise_with_their_values():
    plot = as_xml(time_plot([Series("a", [0, 1, 2], [0, 5, 10])], "unit"))
    points = [tuple(map(float, point.split(","))) for point in plot.find(".//polyline").get("points").split()]
    xs, ys = zip(*points, strict=True)
    assert xs[0] < xs[1] < xs[2]
    # SVG's y points down.
    assert ys[0] > ys[1] > ys[2]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)


def test_values_that_are_not_finite_are_left_out():
    markup = time_plot([Series("a", [0, 1, 2], [1.0, math.nan, 2.0])], "unit")
    assert "nan" not in markup
    assert len(as_xml(markup).find(".//polyline").get("points").split()) == 2


def test_nothing_to_plot_is_said():
    for markup in (time_plot([], "unit"), time_plot([Series("a", [], [])], "unit"), histogram([], "x"), bars({}, "x")):
        assert "Nothing to plot" in markup
    assert "Nothing to plot" in band_timeline([("modes", [])])


def test_one_value_makes_a_plot_without_dividing_by_zero():
    as_xml(time_plot([Series("a", [3], [0])], "unit", thresholds=[Threshold(0, "t")]))
    as_xml(histogram([4.2] * 5, "x"))
    as_xml(band_timeline([("m", [Band(1, 1, "caf")])]))
    as_xml(bars({"none": 0.0}, "x"))


def test_histogram_bars_sum_to_the_number_of_values():
    tips = re.findall(r": (\d+)</title>", histogram([0, 0, 1, 2, 3, 10, float("nan")], "ms", bins=5))
    assert sum(map(int, tips)) == 6


def test_bands_touch_where_one_mode_follows_the_other():
    plot = as_xml(band_timeline([("mode", [Band(0, 2, "caf"), Band(2, 8, "dfvo")])]))
    first, second = (rect.attrib for rect in plot.iter("rect"))
    assert float(first["x"]) + float(first["width"]) == pytest.approx(float(second["x"]))
    assert float(second["width"]) == pytest.approx(3 * float(first["width"]), abs=0.5)


def test_labels_are_escaped():
    name = "<b>&\"'"
    for markup in (
        time_plot([Series(name, [0, 1], [0, 1])], name, bands=[Band(0, 1, name)], thresholds=[Threshold(1, name)]),
        histogram([1, 2], name),
        bars({name: 1.0}, name),
        band_timeline([(name, [Band(0, 1, name)])]),
    ):
        assert "<b>" not in markup
        as_xml(markup)


def test_a_label_keeps_its_colour():
    colours = ColourKey(["caf", "dfvo"])
    assert colours("caf") == "c0"
    assert colours("new") == "c2"
    assert colours("caf") == "c0"
