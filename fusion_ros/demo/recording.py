"""Makes the bag that a demo replays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fusion_ros.demo.config import DemoConfig

Told = Callable[[int, int], None]


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
    raise NotImplementedError
