"""The report in a browser: the slider moves, the table sorts, the console stays silent."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest
from recordings import write_bag

from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.run import evaluate

# Runs in the page after its own script and leaves what it saw in an attribute, which --dump-dom shows.
PROBE = """
<script>
const seen = {};
const slider = document.querySelector("figure.slider");
const input = slider.querySelector("input");
seen.before = getComputedStyle(slider.querySelector(".over")).clipPath;
input.value = 10;
input.dispatchEvent(new Event("input"));
seen.after = getComputedStyle(slider.querySelector(".over")).clipPath;
const table = document.querySelector("table.sortable");
const column = () => Array.from(table.tBodies[0].rows).map((row) => Number(row.cells[1].dataset.sort));
table.querySelectorAll("th button")[1].click();
seen.ascending = column();
table.querySelectorAll("th button")[1].click();
seen.descending = column();
seen.focusable = input.tabIndex >= 0 && table.querySelector("th button").tabIndex >= 0;
document.documentElement.dataset.seen = JSON.stringify(seen);
</script>
"""


@pytest.fixture
def report(tmp_path, loader):
    bag = write_bag(tmp_path / "bag", frames=5)
    evaluate([bag], tmp_path / "out", EvaluationConfig(modes="guided,caf=x", pictures=1), loader=loader)
    return tmp_path / "out" / "report.html"


def test_the_page_stands_alone_and_marks_the_best_of_the_modes(report):
    text = report.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(https?:|//)', text)
    first = text[text.index("<tbody>") : text.index("</tbody>")]
    marked = [row for row in first.split("<tr>") if 'best"' in row]
    assert marked
    assert not any("baseline" in row for row in marked)
    assert text.count('figure class="slider"') == 2 * 3  # best and worst of guided, caf=x and auto


def test_slider_and_table_work_in_a_browser(report, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    page = tmp_path / "probe.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}/c"]
    result = subprocess.run([browser, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=100)
    found = re.search(r'data-seen="([^"]*)"', result.stdout)
    assert found, result.stderr[-2000:]
    seen = json.loads(html.unescape(found.group(1)))
    assert seen["before"] == "inset(0px 0px 0px 50%)"
    assert seen["after"] == "inset(0px 0px 0px 90%)"
    assert seen["ascending"] == sorted(seen["ascending"])
    assert seen["descending"] == sorted(seen["ascending"], reverse=True)
    assert len(set(seen["ascending"])) > 2
    assert seen["focusable"]
    assert "CONSOLE" not in result.stderr
