"""How fast to replay, so that the nodes of this machine keep up and still as near to real time as they can."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from fusion_ros.ros.received import Received, Timed

# Conversion, DDS and the subscriber come on top of what the nodes report as compute time.
MARGIN = 1.25
OVERHEAD_S = 0.012
# Longer than any node should take for a frame; the first figures come after one frame.
FIRST_PERIOD_S = 1.2
# The least that the player takes.
LOWEST_RATE = 0.01
# Few, so that a switch to a slower mode is noticed at once; more than one, so that an outlier is not.
_REMEMBERED = 3


def sustainable_rate(received: Received, frame_period_s: float, longest_period_s: float, cores: int) -> float | None:
    """Speed of the replay at which a frame's work in all nodes is done before the next frame comes.

    Args:
        received: the nodes' compute times so far.
        frame_period_s: time from pair to pair in the recording, seconds.
        longest_period_s: longest wall time from pair to pair that is allowed, seconds.
        cores: processor cores; with two or fewer, nodes do not compute side by side but share the cores.

    Returns:
        A rate of at most 1 (real time), no less than `longest_period_s` allows; None while there is nothing to go by.
    """
    with received.lock:
        costs = [_recent(values) for values in received.processing.values() if values]
    if not costs:
        return None
    seconds = (sum(costs) if cores < 2 * len(costs) else max(costs)) / 1e3
    slowest = frame_period_s / longest_period_s
    return min(1.0, max(slowest, LOWEST_RATE, frame_period_s / (MARGIN * seconds + OVERHEAD_S)))


def first_rate(frame_period_s: float, longest_period_s: float) -> float:
    """Speed to begin with, while nothing is known of the nodes: about a frame a second."""
    return min(1.0, max(LOWEST_RATE, frame_period_s / min(longest_period_s, FIRST_PERIOD_S)))


def frame_period_s(stamps: Sequence[int]) -> float:
    """Median time between frames, seconds; 0.1 s where there are not two."""
    gaps = [after - before for before, after in pairwise(stamps) if after > before]
    return median(gaps) / 1e9 if gaps else 0.1


def _recent(values: Sequence[Timed]) -> float:
    # While a camera fails, images pass without any work; the pace stays what the work will need again.
    return max(median(value.value for value in part) for part in (values[-_REMEMBERED:], values))
