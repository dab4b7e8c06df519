"""The report in a browser: it stands alone, obeys the keyboard, fits a phone, prints whole."""

from __future__ import annotations

import re

import pytest
from chromium import Chromium
from recordings import write_bag

from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.run import evaluate

ORDER = (
    """Array.from(document.querySelector("table.sortable").tBodies[0].rows, row => Number(row.cells[1].dataset.sort))"""
)
HEAD = """document.querySelectorAll("table.sortable th")[1]"""
# A4 lying, less the margins of 12 mm, at 96 dots an inch.
PAPER_WIDTH = 1032


@pytest.fixture(scope="module")
def report(tmp_path_factory, module_loader, module_search):
    folder = tmp_path_factory.mktemp("report")
    bag = write_bag(folder / "bag", frames=5)
    evaluate([bag], folder / "out", EvaluationConfig(modes="guided,caf=x", pictures=1), loader=module_loader)
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


def test_the_page_stands_alone_and_marks_the_best_of_the_modes(report):
    text = report.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(https?:|//)', text)
    first = text[text.index("<tbody>") : text.index("</tbody>")]
    marked = [row for row in first.split("<tr>") if 'best"' in row]
    assert marked
    assert not any("baseline" in row for row in marked)
    assert text.count('figure class="slider"') == 2 * 3  # best and worst of guided, caf=x and auto
    # What the detector and the segmenter of the fixture find, on each of these frames.
    assert text.count("1 person") == 2 * 3


def test_slider_and_table_obey_the_keyboard(report, browser):
    browser.open(report)
    cut = """getComputedStyle(document.querySelector("figure.slider .over")).clipPath"""
    assert browser.run(cut) == "inset(0px 0px 0px 50%)"
    browser.run("""document.querySelector("figure.slider input").focus()""")
    browser.press("ArrowLeft", times=10)
    assert browser.run(cut) == "inset(0px 0px 0px 60%)"
    assert browser.run("document.activeElement.ariaValueText") == "40 %"
    # With Tab from the slider to the next one, and it can be seen where one is.
    browser.press("Tab")
    assert browser.run("document.activeElement.type") == "range"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert browser.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2

    browser.run(f"""{HEAD}.querySelector("button").focus()""")
    browser.press("Enter")
    ascending = browser.run(ORDER)
    assert ascending == sorted(ascending)
    assert len(set(ascending)) > 2
    assert browser.run(f"{HEAD}.ariaSort") == "ascending"
    browser.press("Enter")
    assert browser.run(ORDER) == sorted(ascending, reverse=True)
    assert browser.run(f"{HEAD}.ariaSort") == "descending"
    browser.press("Tab")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert browser.complaints == []


def test_nothing_is_wider_than_a_phone(report, browser):
    browser.open(report, width=375, height=812)
    assert browser.run("innerWidth") == 375
    assert browser.run("document.documentElement.scrollWidth") == 375
    browser.run("""document.querySelectorAll("details").forEach(part => { part.open = true; })""")
    assert browser.run("document.documentElement.scrollWidth") == 375
    # Tables that are wider scroll within themselves; pictures use the whole width.
    widest = """Math.min(...Array.from(document.querySelectorAll("figure.slider"), f => f.clientWidth))"""
    assert browser.run(widest) > 300


def test_on_paper_nothing_is_cut_off_folded_or_hidden(report, browser):
    browser.open(report, width=PAPER_WIDTH, height=700)
    folded = """document.querySelectorAll("details:not([open])").length"""
    before = browser.run(folded)
    assert before > 0
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        browser.run("""window.dispatchEvent(new Event("beforeprint"))""")
        assert browser.run(folded) == 0
        tables = """Math.max(...Array.from(document.querySelectorAll("table"), t => t.getBoundingClientRect().right))"""
        assert browser.run(tables) <= PAPER_WIDTH
        hidden = """Array.from(document.querySelectorAll("section, figure, svg.plot"))
            .filter(part => part.getBoundingClientRect().height < 10).length"""
        assert browser.run(hidden) == 0
        # Both pictures of a slider lie side by side, whole.
        boxes = """Array.from(document.querySelectorAll("figure.slider .stack")[0].children, image => {
            const box = image.getBoundingClientRect(); return [box.left, box.right, box.top]; })"""
        rgb, fused = browser.run(boxes)
        assert rgb[1] <= fused[0]
        assert rgb[2] == fused[2]
        assert browser.run("""getComputedStyle(document.querySelector(".over")).clipPath""") == "none"
        browser.run("""window.dispatchEvent(new Event("afterprint"))""")
        assert browser.run(folded) == before
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") > 5
    assert browser.complaints == []
