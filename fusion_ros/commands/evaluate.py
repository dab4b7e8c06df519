"""`fusion-ros evaluate INPUT`: which mode serves a recording best, in numbers and on one page."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fusion_ros.configuration import configure, settings_of
from fusion_ros.errors import JobError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.engine import EngineConfig
from fusion_ros.evaluation.live_config import LiveConfig

ConfigT = TypeVar("ConfigT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of `EvaluationConfig` have its defaults."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="*",
        help="rosbag2 folders, .mcap or .db3 files, folders with vi/ and ir/, or two videos (RGB, thermal); paths or "
        "URLs that fsspec understands (s3://bucket/drive.mcap)",
    )
    parser.add_argument(
        "--out", default="out/evaluation", metavar="DIR", help="folder for report, tables and pictures (%(default)s)"
    )
    for found in (*settings_of(EvaluationConfig), *settings_of(EngineConfig), *settings_of(LiveConfig)):
        option = "--" + found.name.replace("_", "-")
        kind = type(found.default)
        allowed = "" if found.allowed == "text" else f"; {found.allowed}"
        default = f" ({found.default})" if found.default != "" else ""
        text = f"{found.description}{allowed}{default}".replace("%", "%%")
        parser.add_argument(option, dest=found.name, type=kind, metavar=kind.__name__.upper(), help=text)
    parser.add_argument(
        "--labels",
        default="",
        metavar="FILE",
        help="COCO boxes of these frames, or `bag` for what the recording brings itself: adds mAP and mIoU",
    )
    parser.add_argument(
        "--gate", type=Path, metavar="FILE", help="YAML with limits; exit code 1 where one is not kept (for CI)"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="replay the recording through the running nodes and score what they publish (`auto` unless --modes says "
        "otherwise): adds latency, drops and mode switches",
    )
    parser.add_argument("--no-bag", action="store_const", dest="bag", const="none", help="as --bag none")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run in DIR where it stopped")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the table and say where the report is.

    Raises:
        InputError: the input, the modes, the range, the labels, the gate or the output cannot be used.
        JobError: a limit of the gate is not kept.
    """
    from fusion_ros.evaluation.run import evaluate

    config, engine = _configured(EvaluationConfig, arguments), _configured(EngineConfig, arguments)
    try:
        with _progress(quiet=arguments.json) as progress:
            summary = evaluate(
                arguments.inputs,
                arguments.out,
                config,
                engine=engine,
                live=_configured(LiveConfig, arguments) if arguments.live else None,
                labels=arguments.labels,
                gate=arguments.gate,
                resume=arguments.resume,
                progress=progress,
            )
    except KeyboardInterrupt:
        print(
            f"fusion-ros evaluate: stopped; the same command with --resume continues in {arguments.out}",
            file=sys.stderr,
        )
        raise
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), **summary}, allow_nan=False))
    else:
        _print_summary(summary, Path(arguments.out))
    broken = [f"{v['limit']} (found {v['value']})" for v in summary.get("gate", []) if not v["kept"]]
    if broken:
        raise JobError(f"{len(broken)} of {len(summary['gate'])} limits are not kept: {'; '.join(broken)}")
    if "gate" in summary and not arguments.json:
        print(f"gate: all {len(summary['gate'])} limits are kept")
    return 0


def _configured(kind: type[ConfigT], arguments: argparse.Namespace) -> ConfigT:
    names = [found.name for found in settings_of(kind)]
    return configure(kind, {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None})


def _print_summary(summary: dict[str, Any], out: Path) -> None:
    from fusion_ros.metrics import METRICS

    for note in (*summary["lost"], *summary["unusable"], *summary["notes"]):
        print(f"note: {note}", file=sys.stderr)
    for mode, facts in summary["modes"].items():
        for reason, count in facts["stood_in"].items():
            print(f"note: {mode}: another mode stood in for {count} frames: {reason}", file=sys.stderr)
    width = max(len(mode) for mode in summary["modes"])
    print(" " * width + "".join(f"{name:>9}" for name in METRICS))
    for mode, facts in summary["modes"].items():
        print(f"{mode:{width}}" + "".join(f"{facts['mean'].get(name, math.nan):9.3f}" for name in METRICS))
    if "perception" in summary:
        _print_perception(summary["perception"], width)
    for mode, facts in summary.get("live", {}).items():
        _print_live(mode, facts)
    _print_recordings(summary)
    conditions = ", ".join(f"{name} {count}" for name, count in summary["conditions"].items() if count)
    print(f"{summary['frames']} frames ({conditions}), profile {summary['profile']}. Open the report in a browser:")
    print(f"  {(out / 'report.html').resolve()}")


def _print_recordings(summary: dict[str, Any]) -> None:
    """One score of each recording and mode, where there are several recordings; the report has the others."""
    if not summary["recordings"]:
        return
    score, modes = summary["settings"]["pictures_by"], list(summary["modes"])
    width = max(len(name) for name in summary["recordings"])
    print(f"{score:{width}}  frames" + "".join(f"{mode[-12:]:>13}" for mode in modes))
    for name, facts in summary["recordings"].items():
        means = (facts["modes"][mode]["mean"].get(score, math.nan) for mode in modes)
        print(f"{name:{width}}{facts['frames']:8}" + "".join(f"{mean:13.3f}" for mean in means))


def _print_live(mode: str, facts: dict[str, Any]) -> None:
    drops = ", ".join(f"{node} {why} {n}" for node, reasons in facts["dropped"].items() for why, n in reasons.items())
    drops = drops or "none"
    drops += "".join(f"; {camera} never reached the node: {count}" for camera, count in facts["lost_before"].items())
    latency = facts["latency_ms"]
    times = f"latency {latency['median']:.0f} ms (95 %: {latency['p95']:.0f})" if latency else "latency unknown"
    agreement = facts["agreement"]
    print(
        f"{mode}, live: {facts['fused']} of {facts['pairs']} pairs fused; {times}; dropped: {drops}; "
        f"{len(facts['switches'])} mode switches; {agreement['identical']} of {agreement['frames']} images as offline"
    )


def _print_perception(perception: dict[str, Any], width: int) -> None:
    scores = dict.fromkeys(name for by_light in perception["modes"].values() for name in by_light["all"])
    print(" " * width + "".join(f"{name:>18}" for name in scores))
    for mode, by_light in perception["modes"].items():
        cells = "".join(f"{by_light['all'].get(name, float('nan')):18.3f}" for name in scores)
        print(f"{mode:{width}}{cells}")


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    is_disabled = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(file=sys.stderr), disable=is_disabled, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
