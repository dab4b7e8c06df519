"""Frames per second of the detector and the segmenter on this machine, by input size.

    python benchmarks/perception.py [--threads 2] [--width 640 --height 480]

The time is that of `Detector.detect` and `Segmenter.segment` as the nodes call them: resizing, network and decoding.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np


def measure(run: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Median wall time and mean CPU time of one call, in milliseconds."""
    run()
    walls, cpu = [], time.process_time()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(walls) < 5:
        start = time.perf_counter()
        run()
        walls.append(time.perf_counter() - start)
    return 1e3 * float(np.median(walls)), 1e3 * (time.process_time() - cpu) / len(walls)


def main() -> None:
    """Print one line for each model and input size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="CPU cores to use")
    parser.add_argument("--width", type=int, default=640, help="image width")
    parser.add_argument("--height", type=int, default=480, help="image height")
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 416, 512, 640], help="longer side of the input")
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each line")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])

    from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig

    image = np.random.default_rng(0).integers(0, 255, (arguments.height, arguments.width, 3)).astype(np.uint8)
    print(f"{arguments.width}x{arguments.height} images, {arguments.threads} cores")
    print(f"{'model':<12}{'input':>6}{'ms':>8}{'CPU ms':>8}{'frames/s':>10}")
    for size in arguments.sizes:
        detector = Detector(DetectorConfig(input_size=size))
        segmenter = Segmenter(SegmenterConfig(input_size=size))
        for name, run in (
            ("detector", lambda detector=detector: detector.detect(image)),
            ("segmenter", lambda segmenter=segmenter: segmenter.segment(image)),
        ):
            wall, cpu = measure(run, arguments.seconds)
            print(f"{name:<12}{size:>6}{wall:>8.1f}{cpu:>8.1f}{1e3 / wall:>10.1f}")


if __name__ == "__main__":
    main()
