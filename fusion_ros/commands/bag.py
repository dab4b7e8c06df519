"""`fusion-ros bag`: make, simulate, play and inspect rosbag2 recordings."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusion_ros.bags.playback import PlayerConfig
from fusion_ros.bags.recording import PairsBagConfig
from fusion_ros.configuration import configure, settings_of
from fusion_ros.errors import InputError
from fusion_ros.simulation.drive import DriveConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the four actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="turn a folder of pairs or clips into a recording")
    make.add_argument("directory", metavar="DIR", help="folder with vi/ and ir/ (same names), perhaps labels.coco.json")
    make.add_argument("out", metavar="OUT", help="folder to make")
    _add_settings(make, PairsBagConfig)
    simulate = actions.add_parser("simulate", help="record a simulated drive with ground truth")
    simulate.add_argument("out", metavar="OUT", help="folder to make")
    simulate.add_argument("--storage", default="mcap", choices=("mcap", "sqlite3"), help="file format (%(default)s)")
    _add_settings(simulate, DriveConfig)
    play = actions.add_parser("play", help="replay a recording over ROS, with /clock")
    play.add_argument("bag", metavar="BAG", help="rosbag2 folder, .mcap or .db3 file")
    _add_settings(play, PlayerConfig, leave_out=("autostart", "bag", "exit_at_end"))
    info = actions.add_parser("info", help="say what a recording holds")
    info.add_argument("bag", metavar="BAG", help="rosbag2 folder, .mcap or .db3 file")
    for action in (make, simulate, info):
        action.add_argument("--json", action="store_true", help="print the summary as JSON, and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    actions = {"make": _make, "simulate": _simulate, "play": _play, "info": _info}
    return actions[arguments.action](arguments)


def _add_settings(parser: argparse.ArgumentParser, config_class: type, leave_out: tuple[str, ...] = ()) -> None:
    """Make an option of each setting of a config; what is not given stays at the config's default."""
    for found in settings_of(config_class):
        if found.name in leave_out:
            continue
        option = "--" + found.name.replace("_", "-")
        text = f"{found.description}; {found.allowed} ({found.default})".replace("%", "%%")
        if isinstance(found.default, bool):
            parser.add_argument(option, dest=found.name, action="store_true", default=None, help=found.description)
            continue
        kind = type(found.default)
        parser.add_argument(option, dest=found.name, type=kind, metavar=kind.__name__.upper(), help=text)


def _given(arguments: argparse.Namespace, config_class: type) -> dict[str, object]:
    names = [found.name for found in settings_of(config_class)]
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name, None) is not None}


def _make(arguments: argparse.Namespace) -> int:
    from fusion_ros.bags.pairs_folder import find_pairs
    from fusion_ros.bags.recording import make_bag

    config = configure(PairsBagConfig, _given(arguments, PairsBagConfig))
    folder = find_pairs(arguments.directory)
    expected = None if folder.has_clips else len(folder)
    if config.frames:
        expected = min(expected or config.frames, config.frames)
    with _progress("writing pairs", expected, arguments.json) as advance:
        summary = make_bag(arguments.directory, arguments.out, config, progress=advance)
    _print_summary(
        dataclasses.asdict(summary),
        f"{summary.path}: {summary.pairs} pairs of {summary.duration:.1f} s, {summary.boxes} labelled boxes",
        arguments.json,
    )
    return 0


def _simulate(arguments: argparse.Namespace) -> int:
    from fusion_ros.simulation.recording import write_simulated_drive

    config = configure(DriveConfig, _given(arguments, DriveConfig))
    with _progress("simulating", 1000, arguments.json) as advance:
        summary = write_simulated_drive(
            arguments.out, config, arguments.storage, lambda share: advance(round(1000 * share))
        )
    conditions = ", ".join(f"{name} {count}" for name, count in summary.conditions.items())
    text = f"{summary.path}: {summary.duration:.1f} s, RGB frames by condition: {conditions}"
    _print_summary(dataclasses.asdict(summary), text, arguments.json)
    return 0


def _play(arguments: argparse.Namespace) -> int:
    """Check the request here, where it can be answered with an exit code, then become the player's process."""
    from fusion_ros.bags.reader import open_bag
    from fusion_ros.ros.graph import PLAYER, NodeSpec, command

    values = _given(arguments, PlayerConfig)
    config = configure(PlayerConfig, values)
    with open_bag(arguments.bag) as bag:
        bag.require(*(topic.strip() for topic in config.topics.split(",") if topic.strip()))
        if bag.message_count == 0:
            raise InputError(f"{arguments.bag}: there is no message in this bag")
    values["bag"] = str(Path(arguments.bag).absolute())
    spec = NodeSpec("player_node", PLAYER, parameters=values)  # type: ignore[arg-type]
    words = command(spec)
    sys.stdout.flush()
    os.execv(words[0], words)


def _info(arguments: argparse.Namespace) -> int:
    facts = describe(arguments.bag)
    if arguments.json:
        print(json.dumps(facts, indent=1))
        return 0
    print(f"{facts['path']}: {facts['messages']} messages in {facts['duration_s']:.2f} s, {facts['size_bytes']} bytes")
    if facts["damage"]:
        print(f"damaged: {facts['damage']}")
    width = max((len(topic["name"]) for topic in facts["topics"]), default=0)
    for topic in facts["topics"]:
        rate = "" if topic["rate_hz"] is None else f"{topic['rate_hz']:.2f} Hz"
        print(f"  {topic['name']:{width}}  {topic['messages']:>8}  {rate:>10}  {topic['type']}")
    return 0


def describe(path: str) -> dict[str, Any]:
    """Return what a recording holds: path, start, duration, messages, size, damage, and of each topic its name, type,
    number of messages and mean rate (None for fewer than two messages).

    Raises:
        InputError: it cannot be read.
    """
    from fusion_ros.bags.reader import open_bag

    place = Path(path)
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    with open_bag(path) as bag:
        spans: dict[str, tuple[int, int]] = {}
        counts: dict[str, int] = dict.fromkeys(bag.topics, 0)
        for message in bag.messages():
            first, _last = spans.get(message.topic, (message.stamp_ns, message.stamp_ns))
            spans[message.topic] = (first, message.stamp_ns)
            counts[message.topic] += 1
        topics = [
            {
                "name": name,
                "type": topic.msgtype,
                "messages": counts[name],
                "rate_hz": _rate(counts[name], *spans.get(name, (0, 0))),
            }
            for name, topic in bag.topics.items()
        ]
        return {
            "path": str(path),
            "start_ns": bag.start_ns,
            "duration_s": bag.duration_ns / 1e9,
            "messages": sum(counts.values()),
            "size_bytes": sum(file.stat().st_size for file in files),
            "damage": bag.damage,
            "topics": topics,
        }


def _rate(count: int, first_ns: int, last_ns: int) -> float | None:
    return (count - 1) * 1e9 / (last_ns - first_ns) if count > 1 and last_ns > first_ns else None


def _print_summary(summary: dict[str, Any], text: str, as_json: bool) -> None:
    if not as_json:
        print(text)
        return
    print(json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in summary.items()}))


@contextmanager
def _progress(label: str, total: int | None, quiet: bool) -> Iterator[Any]:
    """Show a progress bar on standard error; yields a function that takes how much is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), disable=quiet or not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
