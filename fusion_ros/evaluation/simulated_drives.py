"""Simulated drives as recordings to evaluate: the same seed is the same drive on every machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from fusion_ros.configuration import configure
from fusion_ros.errors import InputError
from fusion_ros.simulation.drive import DriveConfig
from fusion_ros.simulation.recording import write_simulated_drive


def simulated_drives(folder: Path, seeds: str) -> list[Path]:
    """Write a drive of each seed, where it is not there already.

    Args:
        folder: where they lie, as `seed-<seed>`.
        seeds: whole numbers, separated by commas; empty for none.

    Returns:
        The recordings.

    Raises:
        InputError: not numbers, one twice, or a seed that the simulation does not take.
    """
    words = [word.strip() for word in seeds.split(",") if word.strip()]
    if not all(word.isdigit() for word in words) or len(set(words)) < len(words):
        raise InputError(f"--seeds {seeds!r}: is not a list of different whole numbers, such as 1,2,3")
    paths = []
    for word in words:
        path = folder / f"seed-{int(word)}"
        # The description is written last: without it the drive is not whole.
        if not (path / "metadata.yaml").is_file():
            shutil.rmtree(path, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            write_simulated_drive(path, configure(DriveConfig, {"seed": int(word)}))
        paths.append(path)
    return paths
