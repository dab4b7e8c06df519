"""Speed-up of `fusion-ros evaluate --engine ray`: the same recording with one worker and with several.

    python benchmarks/fleet.py [--workers 2] [--frames 48] [--width 320] [--rounds 3]

A simulated drive is scored in every mode, in turns with one worker of one core and with all of them, so that a busy
machine slows both alike; the first round only warms up. What is timed is the scoring, from the first shard to the last:
starting Ray and loading the models, which a long run does once, are shown apart.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.engine import EngineConfig
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.scores import TIME
from fusion_ros.evaluation.simulated_drives import simulated_drives


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frames", type=int, default=48, help="about how many pairs (9 a second)")
    parser.add_argument("--shard-frames", type=int, default=6)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = EvaluationConfig(end=arguments.frames / 9.0, width=arguments.width, pictures=0, device="cpu")
    seconds: dict[int, list[float]] = {1: [], arguments.workers: []}
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drive = simulated_drives(folder, "1")
        for _ in range(arguments.rounds):
            for workers, times in seconds.items():
                out = folder / f"out-{workers}"
                engine = EngineConfig(engine="ray", workers=workers, shard_frames=arguments.shard_frames)
                begun = time.perf_counter()
                spent = timed(drive, out, config, engine)
                times.append(spent)
                rows[workers] = without_times(out / "frames.csv")
                print(f"{workers} workers: {spent:.1f} s of {time.perf_counter() - begun:.1f} s", flush=True)
    one, several = (statistics.median(times[1:] or times) for times in seconds.values())
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    print(f"medians {one:.1f} and {several:.1f} s; speed-up {one / several:.2f} with {arguments.workers} workers")
    print("speed-up by round: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    same = "the same" if rows[1] == rows[arguments.workers] else "DIFFERENT"
    print(f"{len(rows[1])} rows are {same} with both")


def timed(inputs: list[Path], out: Path, config: EvaluationConfig, engine: EngineConfig) -> float:
    """Seconds between the first and the last news of the shards."""
    news: list[float] = []
    evaluate(inputs, out, config, engine=engine, progress=lambda done, total: news.append(time.perf_counter()))
    return news[-1] - news[0]


def without_times(path: Path) -> list[dict[str, str]]:
    """The rows of an evaluation, without those numbers that are the machine's."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name != TIME} for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
