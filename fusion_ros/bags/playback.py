"""Playing a recording at the pace at which it was made, or faster or slower. Nothing here knows ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fusion_ros.configuration import setting
from fusion_ros.types import NANOSECONDS_PER_SECOND


@dataclass(frozen=True)
class PlayerConfig:
    """What a user can set on `/player`."""

    autostart: bool = setting(True, "configure and activate without a lifecycle manager", runtime=False)
    bag: str = setting("", "rosbag2 folder, .mcap or .db3 file to replay", runtime=False)
    rate: float = setting(1.0, "speed of the replay; 1 is that of the recording", minimum=0.01, maximum=100.0)
    loop: bool = setting(False, "start again at the end; the time then jumps back")
    topics: str = setting("", "topics to replay, separated by commas; empty for all", runtime=False)
    start: float = setting(0.0, "where to begin, from the start of the recording", unit="s", minimum=0.0, runtime=False)
    wait_for_subscribers: float = setting(
        10.0,
        "longest wait for a subscriber to each image topic before the replay begins; 0 begins at once",
        unit="s",
        minimum=0.0,
        maximum=3600.0,
        runtime=False,
    )
    exit_at_end: bool = setting(
        True, "end the process after the last message, with exit code 0, or 1 where messages were lost"
    )


class Pacer:
    """Says when it is time for a message, from its stamp and the time at which the replay began.

    Waiting times do not add up: each message is due at a time counted from the beginning, so that one that was late
    does not delay those after it.

    Args:
        rate: speed, 1.0 for that of the recording.
        tick_s: how often the time is told while nothing is due, in seconds.
        now_ns: the clock, for tests.
    """

    def __init__(self, rate: float = 1.0, tick_s: float = 0.02, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._rate = rate
        self._tick_ns = int(tick_s * NANOSECONDS_PER_SECOND)
        self._now_ns = now_ns
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._begun_ns = now_ns()
        self._begun_stamp_ns = 0

    def begin(self, stamp_ns: int) -> None:
        """Begin the replay now, at a place of the recording."""
        with self._changed:
            self._begun_ns, self._begun_stamp_ns = self._now_ns(), stamp_ns

    def set_rate(self, rate: float) -> None:
        """Go on at another speed from here."""
        with self._changed:
            if rate == self._rate:
                return
            now = self._now_ns()
            self._begun_stamp_ns, self._begun_ns = self._stamp_at(now), now
            self._rate = rate
            self._changed.notify_all()

    def stop(self) -> None:
        """End every wait."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def wait_for(self, stamp_ns: int, tell_time: Callable[[int], None]) -> bool:
        """Wait until the message of `stamp_ns` is due.

        Args:
            stamp_ns: its place in the recording, in nanoseconds.
            tell_time: called every tick with the place that has been reached.

        Returns:
            False where `stop` was called.
        """
        while not self._stopped.is_set():
            with self._changed:
                now = self._now_ns()
                due_ns = self._begun_ns + int((stamp_ns - self._begun_stamp_ns) / self._rate)
                if due_ns <= now:
                    return True
                self._changed.wait(min(due_ns - now, self._tick_ns) / NANOSECONDS_PER_SECOND)
                reached = self._stamp_at(self._now_ns())
            if reached < stamp_ns and not self._stopped.is_set():
                tell_time(reached)
        return False

    def _stamp_at(self, now_ns: int) -> int:
        return self._begun_stamp_ns + int((now_ns - self._begun_ns) * self._rate)
