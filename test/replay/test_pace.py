"""The replay is as fast as the nodes allow and never faster than real time."""

from __future__ import annotations

import pytest

from fusion_ros.replay.pace import FIRST_PERIOD_S, MARGIN, OVERHEAD_S, first_rate, frame_period_s, sustainable_rate
from fusion_ros.ros.received import Received, Timed


def received(**costs_ms: float) -> Received:
    return Received(processing={node: [Timed(0, cost)] * 3 for node, cost in costs_ms.items()})


def test_quick_nodes_run_in_real_time():
    assert sustainable_rate(received(fusion=2.0, detection=3.0), 0.1, 1.5, cores=2) == 1.0


def test_on_few_cores_the_nodes_costs_add_up():
    # 100 + 200 + 300 ms of work for 0.1 s of recording.
    rate = sustainable_rate(received(fusion=100.0, detection=200.0, segmentation=300.0), 0.1, 1.5, cores=2)
    assert rate == pytest.approx(0.1 / (MARGIN * 0.6 + OVERHEAD_S))


def test_on_many_cores_the_slowest_node_decides():
    rate = sustainable_rate(received(fusion=100.0, detection=200.0, segmentation=300.0), 0.1, 1.5, cores=16)
    assert rate == pytest.approx(0.1 / (MARGIN * 0.3 + OVERHEAD_S))


def test_however_slow_the_nodes_no_camera_seems_silent():
    assert sustainable_rate(received(fusion=60_000.0), 0.1, 1.5, cores=2) == pytest.approx(0.1 / 1.5)


def test_nothing_is_said_before_anything_is_known():
    assert sustainable_rate(Received(), 0.1, 1.5, cores=2) is None


def test_an_outlier_does_not_set_the_pace():
    costs = [Timed(0, 10.0)] * 5 + [Timed(0, 5000.0)]
    assert sustainable_rate(Received(processing={"fusion": costs}), 0.1, 1.5, cores=2) == 1.0


def test_the_first_frames_come_one_by_one():
    # A 30 Hz clip and a 10 Hz drive: a frame in 1.2 s; never slower than allowed, nor faster than real time.
    assert first_rate(1 / 30, 10.0) == pytest.approx(1 / 30 / FIRST_PERIOD_S)
    assert first_rate(0.1, 0.5) == pytest.approx(0.2)
    assert first_rate(5.0, 10.0) == 1.0


def test_easy_frames_in_between_do_not_quicken_the_pace():
    costs = [Timed(0, 500.0)] * 20 + [Timed(0, 1.0)] * 10
    assert sustainable_rate(Received(processing={"fusion": costs}), 0.1, 1.5, cores=2) == pytest.approx(
        0.1 / (MARGIN * 0.5 + OVERHEAD_S)
    )


def test_a_slower_mode_slows_the_pace_at_once():
    costs = [Timed(0, 1.0)] * 20 + [Timed(0, 500.0)] * 2
    assert sustainable_rate(Received(processing={"fusion": costs}), 0.1, 1.5, cores=2) == pytest.approx(
        0.1 / (MARGIN * 0.5 + OVERHEAD_S)
    )


def test_period_is_the_median_gap():
    assert frame_period_s([0, 100_000_000, 200_000_000, 5_000_000_000]) == pytest.approx(0.1)
    assert frame_period_s([7]) == 0.1
