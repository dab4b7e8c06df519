"""Tables, pictures and the page around them."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from markupsafe import Markup

from fusion_ros.report.page import Page, Section, Table, Tile, render_page
from fusion_ros.report.pictures import before_after, data_uri, picture


def test_best_value_of_a_column_is_marked():
    html = Table(["mode", "EN", "MSE"], [["a", 6.5, 0.2], ["b", 7.1, 0.1], ["c", None, 0.4]], best={1: "max", 2: "min"})
    rows = html.render().split("<tr>")[2:]
    assert [row.count("best") for row in rows] == [0, 2, 0]
    assert ">-<" in rows[2]


def test_numbers_sort_by_their_value_not_by_what_is_shown():
    html = Table(["x"], [[0.12345], [float("nan")]], digits=1).render()
    assert 'data-sort="0.12345"' in html
    assert ">0.1<" in html
    assert "nan" not in html


def test_a_page_of_every_piece_is_sound(check_page):
    image = np.zeros((8, 8, 3), np.uint8)
    body = Table(["<i>"], [["<u>"]], caption="<s>").render() + before_after(image, image, ("before", "after"))
    page = Page("<t>", "&", [Tile("<l>", "1", "<n>", "good")], [Section("a", "A & B", body)], ["<w>"], [("v", "v.mp4")])
    html = render_page(page)
    check = check_page(html)
    assert "input" in check.tags
    for tag in ("i", "u", "s", "t", "l", "n", "w"):
        assert tag not in check.tags


def test_pictures_are_shrunk_to_what_a_page_needs():
    uri = data_uri(np.full((300, 1000, 3), 127, np.uint8), max_width=200)
    kind, payload = uri.split(",")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(payload), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "data:image/jpeg;base64"
    assert decoded.shape == (60, 200, 3)
    assert decoded.mean() == pytest.approx(127, abs=1)


def test_a_missing_picture_says_so():
    assert "none" in picture(None, "thermal", "thermal image")
    assert isinstance(picture(None, "<x>", ""), Markup)
    assert "<x>" not in picture(None, "<x>", "")
