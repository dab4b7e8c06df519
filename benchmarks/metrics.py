"""Time of all twelve metrics on a 480x640 triple: ours against plain direct forms, in one run.

Wall time is the least of the runs, which other work on the machine disturbs least; CPU time counts all threads; memory
is the most that the process ever held, with Python, numpy and OpenCV, in a process that does nothing else.

    python benchmarks/metrics.py                            # two threads
    python benchmarks/metrics.py --threads 1 --profile tang2022
    python benchmarks/metrics.py --device cuda --batch 64   # also a batch of tensors on a GPU
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "metrics"))

from plain_definitions import profile as plain_profile

from fusion_ros.metrics import METRICS, PROFILES, FusionScorer, fusion_metrics, fusion_metrics_batch, qabf, ssim, vif
from fusion_ros.metrics.parallel import use_threads

Image = NDArray[np.uint8]
MODES = 6


def triple() -> tuple[Image, Image, Image]:
    """Visible, infrared and fused image with structure and noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    visible = (127 + 80 * np.sin(rows / 31) * np.cos(columns / 17) + rng.normal(0, 8, (480, 640))).clip(0, 255)
    infrared = (127 + 90 * np.sin((rows + columns) / 43) + rng.normal(0, 4, (480, 640))).clip(0, 255)
    visible, infrared = visible.astype(np.uint8), infrared.astype(np.uint8)
    return visible, infrared, np.maximum(visible, infrared)


def least_ms(job: Callable[[], object], runs: int) -> tuple[float, float]:
    """Least wall time and least CPU time of all threads, in milliseconds."""
    job()
    wall, cpu = [], []
    for _ in range(runs):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        job()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    return min(wall) * 1e3, min(cpu) * 1e3


def peak_megabytes(profile: str, threads: int) -> float:
    """Most memory that a process held which only scores one triple, twice."""
    command = [sys.executable, __file__, "--profile", profile, "--threads", str(threads), "--only-memory"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def tensor_batch(device: str, count: int, profile: str) -> Callable[[], object]:
    """A call that scores `count` triples as tensors on a device."""
    import torch

    from fusion_ros.metrics.tensors import metrics_of_tensors

    stacks = [torch.from_numpy(np.stack([image] * count)).to(device) for image in triple()]
    return lambda: metrics_of_tensors(*stacks, PROFILES[profile])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="textbook", choices=tuple(PROFILES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--device", help="also time a batch of tensors on this torch device")
    parser.add_argument("--batch", type=int, default=16, help="triples in it")
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    use_threads(arguments.threads)
    visible, infrared, fused = triple()
    profile = arguments.profile
    if arguments.only_memory:
        for _ in range(2):
            fusion_metrics(visible, infrared, fused, profile)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return

    plain = least_ms(lambda: plain_profile(profile, visible, infrared, fused), 2)
    scorer = FusionScorer(visible, infrared, profile)
    modes = [np.roll(fused, shift, axis=1) for shift in range(MODES)]
    one = least_ms(lambda: fusion_metrics(visible, infrared, fused, profile), arguments.runs)
    single = least_ms(lambda: scorer.score(fused), arguments.runs)
    together = least_ms(lambda: scorer.score_all(modes), arguments.runs)
    all_modes = together[0] / MODES, together[1] / MODES
    variants = PROFILES[profile]
    sources = infrared, visible
    windowed = {
        "VIF": vif.Fidelity(sources, variants.saturating_vif),
        "SSIM": ssim.Similarity(sources, variants.ssim),
        "Qabf": qabf.EdgePreservation(sources, variants.qabf_equal_strength),
    }
    rows = {
        "plain direct forms": plain,
        f"fusion_metrics, {arguments.threads} threads": one,
        "FusionScorer.score, pair known": single,
        f"FusionScorer.score_all, each of {MODES}": all_modes,
        **{
            f"   {name} alone, 1 thread": least_ms(
                lambda m=metric: [job() for job in m.jobs([fused])],  # type: ignore[misc]
                arguments.runs,
            )
            for name, metric in windowed.items()
        },
        "   the other nine, 1 thread": least_ms(lambda: scorer.of_pixels(fused), arguments.runs),
    }
    if arguments.device:
        wall, cpu = least_ms(tensor_batch(arguments.device, arguments.batch, profile), arguments.runs)
        name = f"tensors on {arguments.device}, each of {arguments.batch}"
        rows[name] = wall / arguments.batch, cpu / arguments.batch
    print(f"{'twelve metrics, 480x640, ' + profile:42s} {'wall ms':>8s} {'CPU ms':>8s} {'plain / ours':>13s}")
    for name, (wall, cpu) in rows.items():
        print(f"{name:42s} {wall:8.1f} {cpu:8.1f} {plain[1] / cpu:13.1f}")
    print(f"peak memory of a process that scores: {peak_megabytes(profile, arguments.threads):.0f} MB")
    ours, expected = fusion_metrics(visible, infrared, fused, profile), plain_profile(profile, visible, infrared, fused)
    apart = max(abs(ours[name] / expected[name] - 1.0) for name in METRICS)
    print(f"largest relative difference to the plain forms: {apart:.1e}")
    assert fusion_metrics_batch([visible], [infrared], [fused], profile)["VIF"][0] == ours["VIF"]


if __name__ == "__main__":
    main()
