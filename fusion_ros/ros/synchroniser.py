"""Pairs of RGB and thermal messages, as filters: nearest stamp with our matcher, or message_filters' synchronisers.

All of them are used from the executor's thread only. Their callbacks get (rgb message, thermal message, skew_ns).
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Protocol

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from fusion_ros.errors import InputError
from fusion_ros.pairing import BACKWARD_JUMP_NS, Match, NearestStampMatcher, PairingConfig
from fusion_ros.ros.filters import IS_LIBRARY_INSTALLED, SimpleFilter
from fusion_ros.ros.images import stamp_of
from fusion_ros.types import NANOSECONDS_PER_SECOND


class Synchroniser(Protocol):
    """What the fusion node asks of a synchroniser, over and above being a filter.

    Attributes:
        dropped: messages that will never be in a pair, by reason.
        time_jumps: how often the stamps have jumped.
        thermal_offset: seconds added to thermal stamps from now on.
    """

    thermal_offset: float

    @property
    def dropped(self) -> Counter[str]: ...

    @property
    def time_jumps(self) -> int: ...

    def registerCallback(self, cb: Any, *args: Any) -> int: ...

    def expire(self) -> None:
        """Let go of pairs that have waited long enough for a better partner; to be called regularly."""

    def reset(self) -> None:
        """Forget what waits; the counters stay."""


def make_synchroniser(policy: str, rgb: SimpleFilter, thermal: SimpleFilter, config: PairingConfig) -> Synchroniser:
    """Connect the two inputs to a synchroniser.

    Args:
        policy: `nearest`, `approximate` or `exact`.
        rgb: filter of messages with a header.
        thermal: filter of messages with a header.
        config: slop, queue size and thermal offset.

    Raises:
        InputError: unknown policy, or one that needs message_filters where it is not installed.
    """
    if policy == "nearest":
        return NearestStampSynchroniser([rgb, thermal], config)
    if policy not in ("approximate", "exact"):
        raise InputError(f"sync.policy: {policy!r} is not known (nearest, approximate, exact)")
    if not IS_LIBRARY_INSTALLED:
        raise InputError(
            f"sync.policy: {policy!r} is message_filters' own and that package is not installed; "
            "install ros-<distribution>-message-filters or use 'nearest'"
        )
    return LibrarySynchroniser([rgb, thermal], config, exact=policy == "exact")


class NearestStampSynchroniser(SimpleFilter):
    """A filter that pairs by nearest stamp; the work is `pairing.NearestStampMatcher`'s.

    Args:
        fs: the RGB filter and the thermal filter.
        config: of the matcher.
    """

    def __init__(self, fs: list[SimpleFilter], config: PairingConfig) -> None:
        super().__init__()
        self._matcher: NearestStampMatcher[Any, Any] = NearestStampMatcher(config)
        self.connectInput(fs)

    def connectInput(self, fs: list[SimpleFilter]) -> None:
        """Take messages from the RGB filter and the thermal filter."""
        rgb, thermal = fs
        rgb.registerCallback(self._add_rgb)
        thermal.registerCallback(self._add_thermal)

    @property
    def dropped(self) -> Counter[str]:
        """Messages that will never be in a pair, by `<stream>_<reason>`."""
        return self._matcher.dropped

    @property
    def time_jumps(self) -> int:
        """How often the stamps have jumped."""
        return self._matcher.time_jumps

    @property
    def thermal_offset(self) -> float:
        """Seconds added to thermal stamps from now on."""
        return self._matcher.thermal_offset

    @thermal_offset.setter
    def thermal_offset(self, seconds: float) -> None:
        self._matcher.thermal_offset = seconds

    def expire(self) -> None:
        """Let go of pairs that have waited for `patience`; to be called regularly."""
        self._signal(self._matcher.expire(time.monotonic_ns()))

    def reset(self) -> None:
        """Forget what waits; the counters stay."""
        self._matcher.reset()

    def _add_rgb(self, message: Any) -> None:
        self._signal(self._matcher.add_rgb(stamp_of(message.header), message, time.monotonic_ns()))

    def _add_thermal(self, message: Any) -> None:
        self._signal(self._matcher.add_thermal(stamp_of(message.header), message, time.monotonic_ns()))

    def _signal(self, matches: list[Match[Any, Any]]) -> None:
        for match in matches:
            self.signalMessage(match.rgb, match.thermal, match.skew_ns)


class _Shifted:
    """A message under another stamp: message_filters looks at nothing but `header.stamp`."""

    def __init__(self, message: Any, stamp_ns: int) -> None:
        seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS_PER_SECOND)
        self.header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds))
        self.message = message
        self.stamp_ns = stamp_ns


class LibrarySynchroniser(SimpleFilter):
    """message_filters' ApproximateTimeSynchronizer or TimeSynchronizer, with what they lack: offset, jumps, counters.

    Args:
        fs: the RGB filter and the thermal filter.
        config: slop, queue size and thermal offset.
        exact: True for equal stamps only.
    """

    def __init__(self, fs: list[SimpleFilter], config: PairingConfig, exact: bool) -> None:
        super().__init__()
        self.thermal_offset = config.thermal_offset
        self.time_jumps = 0
        self._config = config
        self._exact = exact
        self._received: Counter[str] = Counter()
        self._pairs = 0
        self._newest: dict[str, int] = {}
        self._build()
        fs[0].registerCallback(self._add, "rgb")
        fs[1].registerCallback(self._add, "thermal")

    @property
    def dropped(self) -> Counter[str]:
        """Messages received that are in no pair and no longer wait for one."""
        waiting = dict(zip(("rgb", "thermal"), map(len, self._library.queues), strict=True))
        return Counter(
            {
                f"{stream}_unpaired": lost
                for stream, count in self._received.items()
                if (lost := count - self._pairs - waiting[stream]) > 0
            }
        )

    def expire(self) -> None:
        """Do nothing: these synchronisers never wait for a better partner."""

    def reset(self) -> None:
        """Forget what waits; the counters stay."""
        self._newest.clear()
        self._build()

    def _build(self) -> None:
        import message_filters

        # Anew after each jump: their queues drop the oldest stamp first, so that frames of before a jump back would
        # stay and those that arrive would go.
        self._inputs = {"rgb": SimpleFilter(), "thermal": SimpleFilter()}
        fs = list(self._inputs.values())
        if self._exact:
            self._library = message_filters.TimeSynchronizer(fs, self._config.queue_size)
        else:
            self._library = message_filters.ApproximateTimeSynchronizer(fs, self._config.queue_size, self._config.slop)
        self._matched: list[tuple[_Shifted, _Shifted]] = []
        self._library.registerCallback(self._collect)

    def _collect(self, rgb: _Shifted, thermal: _Shifted) -> None:
        # Called with the library's lock held, which an exception would leave locked for ever: only note the pair here.
        self._matched.append((rgb, thermal))

    def _add(self, message: Any, stream: str) -> None:
        stamp_ns = stamp_of(message.header)
        if stream == "thermal":
            stamp_ns += round(self.thermal_offset * NANOSECONDS_PER_SECOND)
        if stamp_ns < self._newest.get(stream, stamp_ns) - BACKWARD_JUMP_NS:
            self.time_jumps += 1
            self.reset()
        self._newest[stream] = max(stamp_ns, self._newest.get(stream, stamp_ns))
        self._received[stream] += 1
        self._inputs[stream].signalMessage(_Shifted(message, stamp_ns))
        matched, self._matched = self._matched, []
        for rgb, thermal in matched:
            self._pairs += 1
            self.signalMessage(rgb.message, thermal.message, thermal.stamp_ns - rgb.stamp_ns)
