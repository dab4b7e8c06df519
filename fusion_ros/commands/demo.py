"""`fusion-ros demo`: the whole system on real rclpy nodes, with a report."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from fusion_ros.demo.config import DemoConfig
from fusion_ros.pipeline import MODES

_PHASES = {
    "record": "making the recording",
    "start": "starting the nodes",
    "replay": "replaying (fused images)",
    "finish": "waiting for the last answers",
    "report": "writing the report",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; defaults are those of `DemoConfig`."""
    defaults = {field.name: field.default for field in dataclasses.fields(DemoConfig)}
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="DIR",
        help="folder with vi/ and ir/ (pictures or clips) in place of the simulation",
    )
    parser.add_argument("--out", type=Path, default=defaults["out"], metavar="DIR", help="where to write (%(default)s)")
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help=f"pairs to replay (the whole simulated drive; {DemoConfig.default_pairs} of a folder)",
    )
    parser.add_argument("--mode", default=defaults["mode"], choices=MODES, help="fusion mode (%(default)s)")
    parser.add_argument("--device", default=defaults["device"], help="auto, cpu, cuda or cuda:N (%(default)s)")
    parser.add_argument("--backend", default=defaults["backend"], help="auto, torch, onnx or tensorrt (%(default)s)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the simulated drive (always the same one)")
    parser.add_argument(
        "--rate", type=float, metavar="R", help="speed of the replay (what this machine keeps up with, at most 1.0)"
    )
    parser.add_argument(
        "--replay-limit",
        type=float,
        default=defaults["replay_limit"],
        metavar="S",
        help="seconds to which slow nodes may stretch the replay; then frames are dropped (%(default)s)",
    )
    parser.add_argument("--composed", action="store_true", help="all nodes in one process")
    parser.add_argument("--keep-bag", action="store_true", help="leave the replayed bag in OUT/bag")
    parser.add_argument(
        "--start-timeout",
        type=float,
        default=defaults["start_timeout"],
        metavar="S",
        help="seconds until the nodes must be active (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and say where the report is."""
    names = [field.name for field in dataclasses.fields(DemoConfig) if hasattr(arguments, field.name)]
    config = DemoConfig(**{name: getattr(arguments, name) for name in names})
    from fusion_ros.demo.run import run_demo

    begun = time.monotonic()
    with _Bar(quiet=arguments.json) as bar:
        numbers = run_demo(config, bar)
    if arguments.json:
        print(json.dumps({"out": str(config.out), **numbers}, indent=1, allow_nan=False))
        return 0
    for shortfall in list(numbers["shortfalls"]):  # type: ignore[call-overload]
        print(f"note: {shortfall}", file=sys.stderr)
    modes = ", ".join(f"{mode} {count}" for mode, count in dict(numbers["modes"]).items())  # type: ignore[call-overload]
    print(f"{numbers['fused']} fused images of {numbers['pairs']} pairs ({modes}), {numbers['boxes']} boxes,")
    print(f"{numbers['segmented_frames']} masks in {time.monotonic() - begun:.0f} s. Open the report in a browser:")
    print(f"  {(config.out / 'report.html').resolve()}")
    print(f"  {(config.out / 'demo.mp4').resolve()}")
    return 0


class _Bar:
    """A progress bar on standard error, one line a phase."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(file=sys.stderr), disable=quiet)
        self._tasks: dict[str, int] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            for task in self._tasks.values():
                self._progress.stop_task(task)  # type: ignore[arg-type]
            self._tasks[phase] = self._progress.add_task(_PHASES[phase], total=None)
        # Frames beyond the expected number (a camera was silent) stretch the bar rather than overrun it.
        self._progress.update(self._tasks[phase], completed=done, total=max(done, total) or None)  # type: ignore[arg-type]

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
