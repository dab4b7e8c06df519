from __future__ import annotations

import math

import numpy as np
import pytest

from fusion_ros.report.loss_search import (
    LossSearchRecord,
    loss_search_page,
    running_mean,
    thinned,
    write_loss_search_report,
)

TERMS = {"l1_infrared": "L1 to infrared", "l1_max": "L1 to the brighter", "ssim_visible": "structure"}


def _record(**changes):
    base = {
        "task": "detection",
        "network": "caf-s",
        "features": "backbone of the shipped detector",
        "step": 2,
        "steps": 4,
        "terms": TERMS,
        "weights": [[0.3, 0.3, 0.4], [0.6, 0.3, 0.1]],
        "losses": {"upper": [math.nan, 5.0], "lower": [0.1, 0.2]},
        "loss_file": "searched:\n  use: <true>\n",
        "train_command": "fusion-ros train caf-s",
    }
    return LossSearchRecord(**{**base, **changes})


def test_page_says_what_was_found() -> None:
    page = loss_search_page(_record())
    tiles = {tile.label: tile for tile in page.tiles}
    assert (tiles["search steps"].value, tiles["search steps"].tone) == ("2 of 4", "bad")
    assert tiles["most weight"].value == "l1_infrared"
    sections = {section.anchor: section for section in page.sections}
    # 0.6 on infrared, 0.1 on visible, the rest on the stronger of the two.
    assert "infrared terms hold 0.60, visible terms 0.10" in sections["weights"].note.lower()
    assert "0.30" in sections["weights"].note
    assert "figures" not in sections


def test_figures_and_pictures_are_shown_where_there_are_any(tmp_path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    record = _record(
        step=4, figures={"mAP50": 0.25, "upper loss": 5.5}, fusion={"VIF": 0.6}, pictures={"a.jpg": picture}
    )
    write_loss_search_report(record, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "0.250" in text
    assert "a.jpg" in text
    assert "&lt;true&gt;" in text


def test_thinning_leaves_out_what_is_missing() -> None:
    steps, means = thinned([math.nan, 2.0, 4.0])
    assert (steps, means) == ([2.0, 3.0], [2.0, 4.0])
    steps, means = thinned([float(index) for index in range(600)])
    # Pairs of neighbours.
    assert len(means) == 300
    assert means[:2] == [0.5, 2.5]


def test_running_mean_needs_all_its_values() -> None:
    means = running_mean([1.0, 2.0, 3.0, math.nan, 5.0], 2)
    assert math.isnan(means[0])
    assert means[1:3] == pytest.approx([1.5, 2.5])
    assert math.isnan(means[3])
    assert math.isnan(means[4])
