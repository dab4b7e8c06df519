"""Makes the bag that a demo replays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fusion_ros.demo.config import DemoConfig

Told = Callable[[int, int], None]

# Slow enough to look at, quick enough that neither camera counts as silent between two pictures.
STILLS_RATE = 4.0
# The networks' time grows with the area: at this width two cores fuse two to three pairs a second.
PAIRS_WIDTH = 480


def make_recording(config: DemoConfig, folder: Path, told: Told) -> tuple[str, Path]:
    """Write a bag and say in words what it is.

    Args:
        config: which source, how many frames, which seed.
        folder: where to write; it must not exist.
        told: called with (done, total) as it goes.

    Returns:
        The sentence and the bag.

    Raises:
        InputError: the pairs cannot be read, or the settings of the drive are not allowed.
    """
    if config.pairs is None:
        return _simulated_drive(config, folder, told), folder
    return _pairs(config, config.pairs, folder, told), folder


def _simulated_drive(config: DemoConfig, folder: Path, told: Told) -> str:
    from fusion_ros.configuration import configure
    from fusion_ros.simulation.drive import DriveConfig
    from fusion_ros.simulation.recording import write_simulated_drive

    wanted: dict[str, object] = {}
    if config.seed is not None:
        wanted["seed"] = config.seed
    if config.frames is not None:
        wanted["duration"] = max(2.0, config.frames / DriveConfig.rgb_rate)
    drive = configure(DriveConfig, wanted)
    told(0, 100)
    summary = write_simulated_drive(folder, drive, progress=lambda share: told(round(100 * share), 100))
    scenes = ", ".join(dict.fromkeys(name.replace("_", " ") for name in summary.conditions))
    return (
        f"A simulated drive of {summary.duration:.0f} s (seed {drive.seed}, {drive.width}x{drive.height}, RGB at "
        f"{drive.rgb_rate:g} Hz, thermal at {drive.thermal_rate:g} Hz): {scenes}. Drawn scenes, not a real road."
    )


def _pairs(config: DemoConfig, pairs: Path, folder: Path, told: Told) -> str:
    from fusion_ros.bags.pairs_folder import find_pairs
    from fusion_ros.bags.recording import PairsBagConfig, make_bag

    found = find_pairs(pairs)
    frames = config.frames or config.default_pairs
    expected = frames if found.has_clips else min(frames, len(found))
    told(0, expected)
    bag = PairsBagConfig(rate=STILLS_RATE, frames=frames, width=PAIRS_WIDTH)
    summary = make_bag(pairs, folder, bag, progress=lambda done: told(done, expected))
    if found.has_clips:
        what = f"clips ({', '.join(list(found.visible)[:3])}) at their own frame rate"
    else:
        what = f"still pictures, shown at {STILLS_RATE:g} Hz"
    labels = f", with {summary.boxes} labelled boxes" if summary.boxes else ""
    return f"{summary.pairs} pairs of {pairs.name}: {what}, RGB {PAIRS_WIDTH} pixels wide{labels}."
