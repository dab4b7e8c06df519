"""How good and how dear pairing is: our matcher against the greedy rule and the best possible pairing.

    python benchmarks/pairing.py [--seconds 60]

The greedy rule pairs as soon as two queued frames lie within slop, as message_filters' Python ApproximateTime does; it
runs in the same process on the same arrivals. Best possible: each frame of the slower stream with the nearest of the
faster one. Wait: from the arrival of the later frame of a pair to its release.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fusion_ros.pairing import NearestStampMatcher, PairingConfig

MS = 1_000_000


@dataclass(frozen=True)
class Case:
    """Rates in Hz, latencies and jitter in ms, slop in s."""

    rgb_rate: float
    thermal_rate: float
    rgb_latency: float
    thermal_latency: float
    slop: float
    jitter: float = 0.0


CASES = (
    *(Case(30, 9, 30, 5, slop) for slop in (0.017, 0.03, 0.05, 0.1, 0.5)),
    *(Case(30, 9, 5, 30, slop) for slop in (0.03, 0.05, 0.5)),
    Case(9, 30, 30, 5, 0.03),
    Case(30, 9, 5, 30, 0.03, jitter=3.0),
    Case(30, 30, 5, 30, 0.03),
    Case(30, 30, 5, 30, 0.03, jitter=2.0),
    Case(30, 25, 5, 30, 0.03, jitter=2.0),
    Case(30, 60, 5, 30, 0.03),
)


class GreedyMatcher:
    """Pairs the first two frames that lie within slop."""

    def __init__(self, slop: float, queue_size: int = 10) -> None:
        self._slop = round(slop * 1e9)
        self._queue_size = queue_size
        self._queues: dict[str, dict[int, int]] = {"rgb": {}, "thermal": {}}

    def add(self, which: str, stamp: int) -> Iterator[tuple[int, int]]:
        own, other = self._queues[which], self._queues["thermal" if which == "rgb" else "rgb"]
        own[stamp] = stamp
        while len(own) > self._queue_size:
            del own[min(own)]
        near = [candidate for candidate in other if abs(candidate - stamp) < self._slop]
        if near:
            partner = min(near, key=lambda candidate: abs(candidate - stamp))
            del own[stamp], other[partner]
            yield (stamp, partner) if which == "rgb" else (partner, stamp)


def streams(case: Case, seconds: float) -> tuple[list[int], list[int]]:
    noise = random.Random(0)

    def stamps(rate: float, start: float) -> list[int]:
        moments = (start + 1000.0 * i / rate + noise.gauss(0.0, case.jitter) for i in range(int(rate * seconds)))
        return sorted(max(0, int(moment * MS)) for moment in moments)

    return stamps(case.rgb_rate, 0.0), stamps(case.thermal_rate, 3.7)


def run(
    case: Case, rgb: list[int], thermal: list[int], add: Callable[[str, int], list[tuple[int, int]]]
) -> tuple[list[tuple[int, int]], list[float], float]:
    """Pairs, their waits in ms, and the cost of a message in microseconds."""
    latency = {"rgb": case.rgb_latency * MS, "thermal": case.thermal_latency * MS}
    arrivals = sorted(
        [(s + latency["rgb"], "rgb", s) for s in rgb] + [(s + latency["thermal"], "thermal", s) for s in thermal]
    )
    pairs: list[tuple[int, int]] = []
    waits: list[float] = []
    spent = 0.0
    for now, which, stamp in arrivals:
        start = time.perf_counter()
        found = add(which, stamp)
        spent += time.perf_counter() - start
        pairs += found
        waits += [(now - max(r + latency["rgb"], t + latency["thermal"])) / MS for r, t in found]
    return pairs, waits, spent / len(arrivals) * 1e6


def error_ms(pairs: list[tuple[int, int]]) -> float:
    return sum(abs(rgb - thermal) for rgb, thermal in pairs) / max(1, len(pairs)) / MS


def best_ms(rgb: list[int], thermal: list[int]) -> float:
    slow, fast = (rgb, thermal) if len(rgb) < len(thermal) else (thermal, rgb)
    return sum(min(abs(one - other) for other in fast) for one in slow) / len(slow) / MS


def main() -> int:
    parser = argparse.ArgumentParser(description="Pairing error, wait and cost.")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the simulated streams")
    seconds = parser.parse_args().seconds
    print("RGB + thermal in Hz, their latencies, slop and jitter in ms; wait: mean / max; us: cost of one message")
    print(
        " rates       latencies   slop jitter |    best |    nearest  ratio  pairs        wait      us |"
        "    greedy  ratio  pairs   us"
    )
    for case in CASES:
        rgb, thermal = streams(case, seconds)
        best = best_ms(rgb, thermal)
        matcher: NearestStampMatcher[int, int] = NearestStampMatcher(PairingConfig(slop=case.slop))

        def nearest(which: str, stamp: int, matcher: NearestStampMatcher[int, int] = matcher) -> list[tuple[int, int]]:
            add = matcher.add_rgb if which == "rgb" else matcher.add_thermal
            return [(match.rgb, match.thermal) for match in add(stamp, stamp)]

        greedy = GreedyMatcher(case.slop)

        def first_found(which: str, stamp: int, greedy: GreedyMatcher = greedy) -> list[tuple[int, int]]:
            return list(greedy.add(which, stamp))

        pairs, waits, cost = run(case, rgb, thermal, nearest)
        greedy_pairs, _, greedy_cost = run(case, rgb, thermal, first_found)
        ratio, greedy_ratio = error_ms(pairs) / best, error_ms(greedy_pairs) / best
        print(
            f"{case.rgb_rate:>3g} + {case.thermal_rate:<3g} {case.rgb_latency:>5g} / {case.thermal_latency:<5g}"
            f"{1000 * case.slop:>7g} {case.jitter:>6g}  "
            f"| {best:7.3f} | {error_ms(pairs):10.3f} {ratio:6.3f}"
            f" {len(pairs):6} {sum(waits) / len(waits):7.2f} / {max(waits):5.1f} {cost:4.1f} |"
            f" {error_ms(greedy_pairs):9.3f} {greedy_ratio:6.2f} {len(greedy_pairs):6}"
            f" {greedy_cost:4.1f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
