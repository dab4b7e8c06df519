"""The demo's report, from records made by hand."""

from __future__ import annotations

import dataclasses
import json

import pytest

from fusion_ros.report.coco import coco_detections, fused_file_name
from fusion_ros.report.demo import demo_page
from fusion_ros.report.page import render_page, write_page
from fusion_ros.report.record import DiagnosticsNote, FrameRecord, LogNote
from fusion_ros.report.summary import summary


def test_page_is_one_self_contained_file(synthetic_record, check_page, tmp_path):
    path = tmp_path / "report.html"
    write_page(demo_page(synthetic_record(), links=[("video", "demo.mp4")]), path)
    html = path.read_text(encoding="utf-8")
    check = check_page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert check.tags["svg"] >= 6
    assert check.tags["img"] >= 12
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_size_stays_small_for_a_long_drive(synthetic_record):
    # 12 rows of five noise pictures (the worst case for JPEG) at full width stay under the 8 MB that a mail takes.
    assert len(render_page(demo_page(synthetic_record(30, width=640, height=480)))) < 8e6


def test_mode_switches_and_scenes_are_shown(synthetic_record, check_page):
    text = " ".join(check_page(render_page(demo_page(synthetic_record()))).text)
    assert "switch from caf to epofusion" in text
    assert "scene: dark" in text
    assert "thermal sensor is frozen" in text
    assert "superseded" in text


def test_text_from_outside_is_escaped(synthetic_record, check_page):
    evil = "<script>alert(1)</script>"
    record = dataclasses.replace(
        synthetic_record(6),
        source=evil,
        diagnostics=[DiagnosticsNote(evil, 2, evil, 0)],
        log_notes=[LogNote(evil, evil)],
        facts={evil: [(evil, evil)]},
        shortfalls=[evil],
        conditions=[(0, evil)],
        thresholds={"glare " + evil: 0.2},
        class_names={0: evil, 2: evil},
    )
    html = render_page(demo_page(record))
    assert evil not in html
    assert check_page(html).tags["script"] == 1


@pytest.mark.parametrize("without", ["everything", "ground truth", "switches", "detections"])
def test_what_is_missing_is_said_rather_than_raised(synthetic_record, check_page, without):
    record = synthetic_record(8)
    if without == "everything":
        record = dataclasses.replace(record, frames=[], pictures={}, processing={}, drops=[], diagnostics=[], facts={})
        expected = "No pictures"
    elif without == "ground truth":
        frames = [dataclasses.replace(frame, truth=None, condition=None) for frame in record.frames]
        record = dataclasses.replace(record, frames=frames, conditions=[])
        expected = "along the way"
    elif without == "switches":
        record = dataclasses.replace(record, frames=[dataclasses.replace(f, mode="caf") for f in record.frames])
        expected = "did not change"
    else:
        frames = [dataclasses.replace(frame, detections=None, has_mask=False) for frame in record.frames]
        record = dataclasses.replace(record, frames=frames, pictures={})
        expected = "nothing was counted"
    text = " ".join(check_page(render_page(demo_page(record))).text)
    assert expected in text
    if without == "ground truth":
        assert "ground truth" not in text
    json.dumps(summary(record), allow_nan=False)


def test_one_bare_frame_makes_a_page(synthetic_record, check_page):
    record = synthetic_record(1)
    bare = FrameRecord(stamp_ns=record.start_ns, mode="thermal")
    check_page(render_page(demo_page(dataclasses.replace(record, frames=[bare]))))


def test_summary_counts_what_the_frames_hold(synthetic_record):
    record = synthetic_record(40)
    numbers = summary(record)
    # Every fifth frame was not searched (8 of 40); of the others, every fourth has no boxes (index 0 mod 4: 8) and the
    # rest have two: (32 - 8) * 2.
    assert numbers["fused"] == 40
    assert numbers["detected_frames"] == 32
    assert numbers["boxes"] == 48
    assert numbers["dropped"] == {"fusion": {"unpaired": 2, "superseded": 1}}
    # One true car a frame, found in the 24 frames with boxes.
    assert numbers["recall_iou50"]["car"] == {"truth": 32, "found": 24, "claimed": 24, "recall": 0.75}


def test_coco_boxes_are_corner_and_size_and_unsearched_frames_say_so(synthetic_record):
    record = synthetic_record(5)
    body = json.loads(coco_detections(record))
    assert [image["searched"] for image in body["images"]] == [False, True, True, True, True]
    assert (body["images"][0]["width"], body["images"][0]["height"]) == (160, 120)
    first = body["annotations"][0]
    # (11, 9, 52, 61): 41 wide, 52 high.
    assert first["bbox"] == [11.0, 9.0, 41.0, 52.0]
    assert first["area"] == 41 * 52
    assert first["image_id"] == 2
    assert {"id": 2, "name": "car"} in body["categories"]


def test_fused_file_names_sort_by_time():
    stamps = [5, 1_000_000_000, 999_999_999, 1_700_000_000_000_000_000]
    assert sorted(fused_file_name(stamp) for stamp in stamps) == [fused_file_name(stamp) for stamp in sorted(stamps)]
