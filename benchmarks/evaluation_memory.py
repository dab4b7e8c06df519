"""Memory of `fusion-ros evaluate` over a long recording: resident memory along the way, and its peak.

    python benchmarks/evaluation_memory.py                              # a minute of 160x120 at 10 Hz
    python benchmarks/evaluation_memory.py --minutes 10                 # what a test drive leaves
    python benchmarks/evaluation_memory.py --size 640x480 --modes caf   # the part that does not depend on the length

The recording is drawn and written first, frame by frame; the evaluation runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.bags.writer import BagWriter
from fusion_ros.types import Frame

START_NS = 1_700_000_000_000_000_000
PARTS = 10
PERIOD_S = 2.0
BESIDE = ("auto", "rgb", "thermal", "average")


def write_recording(path: Path, frames: int, width: int, height: int, rate: float) -> None:
    """A textured scene that drifts through three kinds of light; thermal as raw counts of half the size."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (height, 2 * width, 3), np.uint8), (0, 0), 2)
    warm = cv2.GaussianBlur(rng.integers(0, 255, (height // 2, width), np.uint8), (0, 0), 3)
    with BagWriter(path) as bag:
        for index in range(frames):
            shift = index % width
            light = (1.0, 0.1, 1.0)[(index * 9 // frames) % 3]
            rgb = cv2.convertScaleAbs(texture[:, shift : shift + width], alpha=light)
            if (index * 9 // frames) % 3 == 2:
                cv2.circle(rgb, (width // 2, height // 3), height // 3, (255, 255, 255), -1)
            counts = warm[:, shift // 2 : shift // 2 + width // 2].astype(np.uint16) * 8 + 7000 + index % 300
            stamp = START_NS + round(index * 1e9 / rate)
            bag.write_image("/rgb/image", Frame(rgb, stamp))
            bag.write_image("/thermal/image", Frame(counts, stamp))


def resident_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process now and at its peak."""
    values = dict.fromkeys(("VmRSS", "VmHWM"), 0.0)
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, text = line.partition(":")
        if name in values:
            values[name] = int(text.split()[0]) / 1024
    return values["VmRSS"], values["VmHWM"]


def frames_done(rows: Path, modes: int) -> int:
    """Frames whose rows are on the disk; the first line is the header."""
    return (rows.read_bytes().count(b"\n") - 1) // modes if rows.exists() else 0


def main() -> int:
    """Write, evaluate, watch, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--size", default="160x120")
    parser.add_argument("--modes", default="guided", help="auto and the baselines come on top")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    modes = len(dict.fromkeys((*arguments.modes.split(","), *BESIDE)))
    frames = round(arguments.minutes * 60 * arguments.rate)
    with tempfile.TemporaryDirectory() as folder:
        bag, out = Path(folder) / "bag", Path(folder) / "out"
        write_recording(bag, frames, width, height, arguments.rate)
        size = sum(file.stat().st_size for file in bag.iterdir()) / 1e6
        print(f"{frames} pairs of {width}x{height}, {size:.0f} MB on disk; modes {arguments.modes}, auto, baselines")
        words = ["evaluate", str(bag), "--modes", arguments.modes, "--out", str(out), "--json"]
        begun = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "fusion_ros.cli", *words], stdout=subprocess.DEVNULL)
        print(f"{'pairs':>8} {'memory now':>12} {'peak':>10}")
        shown, peak = 0, 0.0
        while process.poll() is None:
            time.sleep(PERIOD_S)
            try:
                now, high = resident_mb(process.pid)
            except OSError:
                break
            peak = max(peak, high)
            done = frames_done(out / "frames.csv.part", modes)
            if done >= shown * frames / PARTS and done:
                print(f"{done:8d} {now:9.0f} MB {high:7.0f} MB", flush=True)
                shown = done * PARTS // frames + 1
        if process.wait():
            return 1
        scored = json.loads((out / "summary.json").read_text())["frames"]
        print(f"{scored:8d} {'':12} {peak:7.0f} MB   {time.monotonic() - begun:.0f} s, report included")
    return 0


if __name__ == "__main__":
    sys.exit(main())
