"""Time of all twelve metrics on a 480x640 triple: ours against plain direct forms, in one run.

python benchmarks/metrics.py
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "metrics"))

from plain_definitions import textbook

from fusion_ros.metrics import FusionScorer, fusion_metrics


def median_seconds(job: Callable[[], object], runs: int) -> float:
    job()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    visible = (127 + 80 * np.sin(rows / 31) * np.cos(columns / 17) + rng.normal(0, 8, (480, 640))).clip(0, 255)
    infrared = (127 + 90 * np.sin((rows + columns) / 43) + rng.normal(0, 4, (480, 640))).clip(0, 255)
    visible, infrared = visible.astype(np.uint8), infrared.astype(np.uint8)
    fused = np.maximum(visible, infrared)
    scorer = FusionScorer(visible, infrared)
    ours = median_seconds(lambda: fusion_metrics(visible, infrared, fused), 15)
    another_mode = median_seconds(lambda: scorer.score(fused), 15)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    plain = median_seconds(lambda: textbook(visible, infrared, fused), 1)
    print(f"{'twelve metrics, 480x640':34s} {'ms':>8s} {'plain / ours':>13s}")
    print(f"{'plain direct forms':34s} {plain * 1e3:8.1f} {1.0:13.1f}")
    print(f"{'fusion_metrics':34s} {ours * 1e3:8.1f} {plain / ours:13.1f}")
    print(f"{'each further mode (FusionScorer)':34s} {another_mode * 1e3:8.1f} {plain / another_mode:13.1f}")
    print(f"peak memory of the process before the plain forms: {memory:.0f} MB")


if __name__ == "__main__":
    main()
