"""The pacer, with a clock that the test moves."""

from __future__ import annotations

import threading

import pytest

from fusion_ros.bags.playback import Pacer, PlayerConfig
from fusion_ros.configuration import configure
from fusion_ros.errors import InputError

SECOND = 1_000_000_000


class SteppedClock:
    """Every reading is `step_ns` later than the one before."""

    def __init__(self, step_ns):
        self.now = 5 * SECOND
        self.step_ns = step_ns

    def __call__(self):
        self.now += self.step_ns
        return self.now


def ignore(_stamp_ns):
    pass


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_a_message_is_due_after_its_time_divided_by_the_rate(rate):
    clock = SteppedClock(SECOND // 1000)
    pacer = Pacer(rate, tick_s=1e-6, now_ns=clock)
    pacer.begin(100 * SECOND)
    begun = clock.now
    assert pacer.wait_for(100 * SECOND + SECOND // 10, ignore)
    # A tenth of a second of the recording; the clock is read twice in each round of the wait.
    assert (clock.now - begun) / SECOND == pytest.approx(0.1 / rate, abs=0.003)


def test_one_late_message_does_not_delay_the_next():
    clock = SteppedClock(1000)
    pacer = Pacer(1.0, tick_s=1e-6, now_ns=clock)
    pacer.begin(0)
    begun = clock.now
    assert pacer.wait_for(SECOND // 1_000_000, ignore)
    clock.now += SECOND
    late = clock.now
    # Due long ago: no waiting at all.
    assert pacer.wait_for(SECOND // 2, ignore)
    assert clock.now == late + clock.step_ns
    clock.step_ns = SECOND // 100
    assert pacer.wait_for(2 * SECOND, ignore)
    assert (clock.now - begun) / SECOND == pytest.approx(2.0, abs=0.03)


def test_the_time_is_told_in_rising_order_and_not_beyond_the_message():
    clock = SteppedClock(SECOND // 100)
    pacer = Pacer(2.0, tick_s=1e-6, now_ns=clock)
    pacer.begin(0)
    told = []
    assert pacer.wait_for(SECOND, told.append)
    assert told == sorted(told)
    assert len(told) > 5
    assert 0 < told[0] < told[-1] < SECOND


def test_a_change_of_rate_goes_on_from_where_it_is():
    clock = SteppedClock(SECOND // 1000)
    pacer = Pacer(1.0, tick_s=1e-6, now_ns=clock)
    pacer.begin(0)
    assert pacer.wait_for(SECOND // 10, ignore)
    pacer.set_rate(10.0)
    changed = clock.now
    assert pacer.wait_for(SECOND // 10 + SECOND, ignore)
    # One second of the recording at ten times the speed.
    assert (clock.now - changed) / SECOND == pytest.approx(0.1, abs=0.005)


def test_stop_ends_a_wait():
    pacer = Pacer(0.01)
    pacer.begin(0)
    threading.Timer(0.05, pacer.stop).start()
    assert not pacer.wait_for(3600 * SECOND, ignore)
    assert pacer.is_stopped


@pytest.mark.parametrize("rate", [0.0, -1.0, 1000.0])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(InputError, match=r"rate: .* is not allowed"):
        configure(PlayerConfig, {"rate": rate})
