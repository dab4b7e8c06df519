"""A run made by hand and a checker of pages: enough to test every part of a report without ROS, bag or models."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from fusion_ros.report.record import (
    DemoRecord,
    DiagnosticsNote,
    DropCount,
    FrameRecord,
    LogNote,
    Pictures,
    Sample,
)
from fusion_ros.types import Detections, ExposureReading

VOID = {"meta", "img", "input", "br", "link", "hr"}
ADDRESSES = {"src", "href", "xlink:href", "poster", "action", "data", "srcset"}
NAMES = {0: "person", 1: "bicycle", 2: "car"}
START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Detections from rows of x_min, y_min, x_max, y_max, confidence, class."""
    values = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int64), NAMES)


def synthetic_record(frame_count: int = 40, width: int = 160, height: int = 120) -> DemoRecord:
    """A drive at 10 Hz: by day, then into glare (mode changes one frame later), then dark."""
    rng = np.random.default_rng(0)
    frames, pictures = [], {}
    conditions = [(START_NS, "day")]
    for index in range(frame_count):
        stamp = START_NS + index * SECOND // 10
        part = 3 * index // frame_count
        condition = ("day", "glare", "dark")[part]
        if conditions[-1][1] != condition:
            conditions.append((stamp, condition))
        truth = boxes((10, 10, 50, 60, 1, 2), (80, 20, 95, 70, 1, 0))
        found = boxes((11, 9, 52, 61, 0.9, 2), (120, 5, 140, 30, 0.4, 1)) if index % 4 else boxes()
        frames.append(
            FrameRecord(
                stamp_ns=stamp,
                mode=("caf", "epofusion", "dfvo")[3 * max(0, index - 1) // frame_count],
                size=(height, width),
                exposure=ExposureReading((0.01, 0.3, 0.0)[part], (0.02, 0.01, 0.8)[part], (110.0, 190.0, 20.0)[part]),
                condition=condition,
                latency_ms=40.0 + float(rng.normal(0, 4)),
                skew_ms=float(rng.normal(0, 5)),
                detections=found if index % 5 else None,
                has_mask=index % 3 == 0,
                truth=truth,
            )
        )
        rgb = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[height // 2 :] = 1
        pictures[stamp] = Pictures(fused=rgb, rgb=rgb, thermal=rgb[..., 0], mask=mask if index % 3 == 0 else None)
    end = frames[-1].stamp_ns if frames else START_NS
    return DemoRecord(
        source="a synthetic drive",
        frames=frames,
        start_ns=START_NS,
        rgb_count=frame_count + 3,
        thermal_count=frame_count + 1,
        pair_count=frame_count + 1,
        pictures=pictures,
        conditions=conditions,
        processing={
            "fusion": [Sample(f.stamp_ns, 30.0 + i % 5) for i, f in enumerate(frames)],
            "detection": [Sample(f.stamp_ns, 20.0) for f in frames[::2]],
        },
        drops=[
            DropCount(START_NS, "fusion", {"unpaired": 0, "superseded": 0}),
            DropCount(end, "fusion", {"unpaired": 2, "superseded": 1}),
        ],
        diagnostics=[DiagnosticsNote("fusion", 1, "thermal sensor is frozen", end, 3)],
        log_notes=[LogNote("fusion", "[WARN] epofusion: no weights; caf stands in", 2)],
        class_names=NAMES,
        mask_class_names={0: "background", 1: "road"},
        thresholds={"glare_enter": 0.1, "glare_exit": 0.05, "dark_enter": 0.6, "dark_exit": 0.5},
        facts={"Versions": [("fusion_ros", "0.1.0")], "Configuration": [("mode", "auto")]},
    )


class PageCheck(HTMLParser):
    """Collects unbalanced tags, addresses, ids and the text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: dict[str, int] = {}
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attrs if name in ADDRESSES]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check_page(html: str) -> PageCheck:
    """Parse a page and assert that it is balanced, has unique ids, and fetches nothing."""
    check = PageCheck()
    check.feed(html)
    check.close()
    assert check.unbalanced == []
    assert check.open == []
    assert len(check.ids) == len(set(check.ids))
    for address in check.addresses:
        assert address.startswith(("data:image/", "#")) or "//" not in address, address[:80]
    anchors = {address[1:] for address in check.addresses if address.startswith("#")}
    assert anchors <= set(check.ids)
    assert "@import" not in html
    assert "url(" not in html
    return check


@pytest.fixture(name="synthetic_record")
def synthetic_record_fixture() -> Callable[..., DemoRecord]:
    """Makes a record; takes the number of frames and their size."""
    return synthetic_record


@pytest.fixture(name="check_page")
def check_page_fixture() -> Callable[[str], PageCheck]:
    """Asserts that a page is well-formed and self-contained, and returns what was found in it."""
    return check_page
