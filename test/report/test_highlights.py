"""Which frames get a picture."""

from __future__ import annotations

from fusion_ros.report.highlights import choose_highlights, mode_switches
from fusion_ros.report.record import FrameRecord

SECOND = 1_000_000_000


def frames(modes, conditions=None):
    """One frame a second."""
    conditions = conditions or [None] * len(modes)
    both = enumerate(zip(modes, conditions, strict=True))
    return [FrameRecord(index * SECOND, mode, condition=condition) for index, (mode, condition) in both]


def seconds(highlights):
    return [highlight.frame.stamp_ns // SECOND for highlight in highlights]


def test_switches_name_old_and_new_mode():
    switches = mode_switches(frames(["caf", "caf", "dfvo", "caf"]))
    found = [(frame.stamp_ns // SECOND, before, now) for frame, before, now in switches]
    assert found == [(2, "caf", "dfvo"), (3, "dfvo", "caf")]


def test_every_scene_and_every_switch_is_chosen():
    run = frames(["caf"] * 10 + ["dfvo"] * 10, ["day"] * 9 + ["dark"] * 11)
    chosen = choose_highlights(run)
    reasons = dict(zip(seconds(chosen), [highlight.reason for highlight in chosen], strict=True))
    assert reasons[10] == "switch from caf to dfvo"
    assert {"scene: day", "scene: dark"} <= set(reasons.values())


def test_limit_holds_and_order_is_by_time():
    chosen = seconds(choose_highlights(frames(["caf", "dfvo"] * 50), limit=8))
    assert len(chosen) <= 8
    assert chosen == sorted(chosen)


def test_still_pairs_without_ground_truth_get_frames_from_the_whole_run():
    chosen = seconds(choose_highlights(frames(["caf"] * 60)))
    assert len(chosen) == 6
    assert min(chosen) < 10
    assert max(chosen) >= 50


def test_frames_that_look_alike_are_shown_once():
    run = [FrameRecord(index * SECOND // 10, "caf", condition=str(index)) for index in range(10)]
    # In 0.9 s of one mode no more than three frames are 0.4 s apart.
    assert len(choose_highlights(run)) <= 3


def test_no_frames_no_highlights():
    assert choose_highlights([]) == []
