"""Messages without a header find their frame by time of publication."""

from __future__ import annotations

from fusion_ros.replay.timing import FrameClock, phase_of, value_after, value_in_force
from fusion_ros.ros.received import Received

MS = 1_000_000


def test_the_mode_of_a_frame_is_the_last_one_said_before_it():
    changes = [(0, "caf"), (1000 * MS, "dfvo")]
    assert value_in_force(changes, 500 * MS) == "caf"
    assert value_in_force(changes, 1001 * MS) == "dfvo"
    assert value_in_force([], 5) is None


def test_a_mode_said_before_the_subscriber_came_counts_from_the_start():
    assert value_in_force([(1000 * MS, "caf")], 0) == "caf"


def test_a_reading_goes_with_the_image_published_before_it():
    readings = [(101 * MS, "a"), (180 * MS, "b")]
    assert value_after(readings, 100 * MS, 170 * MS) == "a"
    assert value_after(readings, 170 * MS, None) == "b"
    # However late on a loaded machine, but never that of the next frame.
    assert value_after(readings, 110 * MS, 170 * MS) is None
    assert value_after([], 0, None) is None


def test_complaints_outside_the_replay_are_told_apart():
    received = Received(rgb={1: 5000 * MS}, thermal={2: 9000 * MS})
    assert phase_of(received, 4999 * MS) == "before the replay"
    assert phase_of(received, 9900 * MS) == ""
    assert phase_of(received, 10100 * MS) == "after the replay"
    assert phase_of(Received(), 0) == "before the replay"


def test_frame_clock_gives_the_newest_frame_and_the_start_before_the_first():
    received = Received(fused={10: 1000 * MS, 20: 1100 * MS})
    clock = FrameClock(received, start_ns=3)
    assert clock.stamp_at(500 * MS) == 3
    assert clock.stamp_at(1050 * MS) == 10
    assert clock.stamp_at(9999 * MS) == 20
