"""Which frames get a picture."""

from __future__ import annotations

from fusion_ros.report.highlights import choose_highlights, mode_switches
from fusion_ros.report.record import FrameRecord


def frames(modes, conditions=None):
    conditions = conditions or [None] * len(modes)
    return [
        FrameRecord(index, mode, condition=c) for index, (mode, c) in enumerate(zip(modes, conditions, strict=True))
    ]


def test_switches_name_old_and_new_mode():
    switches = mode_switches(frames(["caf", "caf", "dfvo", "caf"]))
    assert [(f.stamp_ns, before, now) for f, before, now in switches] == [(2, "caf", "dfvo"), (3, "dfvo", "caf")]


def test_every_scene_and_every_switch_is_chosen():
    run = frames(["caf"] * 10 + ["dfvo"] * 10, ["day"] * 9 + ["dark"] * 11)
    chosen = {highlight.frame.stamp_ns: highlight.reason for highlight in choose_highlights(run)}
    assert chosen[10] == "switch from caf to dfvo"
    assert {"scene: day", "scene: dark"} <= set(chosen.values())


def test_limit_holds_and_order_is_by_time():
    run = frames(["caf", "dfvo"] * 50)
    chosen = [highlight.frame.stamp_ns for highlight in choose_highlights(run, limit=8)]
    assert len(chosen) <= 8
    assert chosen == sorted(chosen)


def test_still_pairs_without_ground_truth_get_frames_from_the_whole_run():
    chosen = [highlight.frame.stamp_ns for highlight in choose_highlights(frames(["caf"] * 60))]
    assert len(chosen) == 6
    assert min(chosen) < 10
    assert max(chosen) >= 50


def test_no_frames_no_highlights():
    assert choose_highlights([]) == []
