"""Figures and words of the diagnostics."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from fusion_ros.ros.diagnostics import StatusBuilder, StreamHealth, memory_mb

SECOND = 1_000_000_000


def test_report_covers_the_time_since_the_one_before():
    health = StreamHealth(0)
    for index in range(20):
        health.published(processing_ms=float(index))
    health.dropped("superseded", 3)
    first = health.report(2 * SECOND)
    assert first.rate == pytest.approx(10.0)
    assert first.means["processing_ms"] == pytest.approx(9.5)  # mean of 0..19
    health.dropped("superseded")
    second = health.report(3 * SECOND)
    assert (second.rate, second.means) == (0.0, {})
    assert second.dropped == {"superseded": 4}
    assert second.newly_dropped == {"superseded": 1}


def test_error_is_reported_once_and_counted_for_good():
    health = StreamHealth(0)
    health.failed("RuntimeError: broken")
    assert health.report(SECOND).new_error == "RuntimeError: broken"
    later = health.report(2 * SECOND)
    assert (later.new_error, later.errors) == (None, 1)


def test_clock_and_both_streams_tell_of_one_jump():
    health = StreamHealth(0)
    for moment in (10.0, 10.1, 10.4, 30.0):
        health.jumped(int(moment * SECOND))
    assert health.report(40 * SECOND).time_jumps == 2


def test_worst_complaint_makes_the_level_and_comes_first():
    status = StatusBuilder()
    status.add("rate_hz", 29.9712)
    assert status.build("fusion", "").level == DiagnosticStatus.OK
    assert status.build("fusion", "").message == "OK"
    status.warn("one camera is silent")
    assert status.build("fusion", "").level == DiagnosticStatus.WARN
    status.error("the model failed")
    built = status.build("fusion", "fusion_ros")
    assert built.level == DiagnosticStatus.ERROR
    assert built.message == "the model failed; one camera is silent"
    assert [(value.key, value.value) for value in built.values] == [("rate_hz", "29.97")]


def test_memory_is_that_of_this_process():
    # Python alone takes several megabytes; 64 GB would be a wrong unit.
    assert 5 < memory_mb() < 64_000
