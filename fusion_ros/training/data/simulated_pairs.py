"""Pairs with exact boxes and masks from the simulated drive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting
from fusion_ros.simulation.drive import DriveConfig, DriveEvent, SimulatedDrive
from fusion_ros.thermal.agc import ThermalAgc, ThermalAgcConfig
from fusion_ros.training.data.box_masks import SEGMENT_NAMES
from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, LabelledPair
from fusion_ros.training.data.masked_pairs import MaskedPair


@dataclass(frozen=True)
class SimulationConfig:
    """How much of the simulated drive is added to the real pairs."""

    drives: int = setting(3, "simulated drives, each with a seed of its own; 0: none", minimum=0, maximum=1000)
    frames: int = setting(20, "pairs of each drive", minimum=1, maximum=10000)
    first_seed: int = setting(
        101, "seed of the first drive; the drive that `fusion-ros demo` shows has seed 7", minimum=0
    )
    width: int = setting(416, "image width", unit="px", minimum=64, maximum=1920)
    height: int = setting(312, "image height", unit="px", minimum=48, maximum=1200)


def simulate_pairs(config: SimulationConfig) -> tuple[list[LabelledPair], list[MaskedPair]]:
    """Drive through `config.drives` simulated drives; the same pairs with boxes and with masks."""
    labelled, masked = [], []
    for seed in range(config.first_seed, config.first_seed + config.drives):
        for number, (rgb, infrared) in enumerate(_pairs_of_drive(seed, config)):
            name = f"drive {seed}, pair {number}"
            labelled.append(_with_boxes(name, rgb, infrared))
            masked.append(MaskedPair(name, _image(rgb), infrared, _mask(rgb), labelled[-1].xyxy))
    return labelled, masked


def _pairs_of_drive(seed: int, config: SimulationConfig) -> Iterator[tuple[DriveEvent, NDArray[np.uint8]]]:
    # Two seconds between pairs, so that no two look alike.
    drive = SimulatedDrive(
        DriveConfig(
            seed=seed,
            width=config.width,
            height=config.height,
            duration=2.0 * config.frames,
            rgb_rate=0.5,
            thermal_rate=0.5,
        )
    )
    # Each frame by itself: the limits of two seconds ago are of no use.
    agc = ThermalAgc(ThermalAgcConfig(smoothing=0.0))
    rgb: DriveEvent | None = None
    for event in drive:
        if event.sensor == "rgb":
            rgb = event
        elif rgb is not None and rgb.frame is not None and event.frame is not None and "frozen" not in event.condition:
            yield rgb, agc(event.frame.image)


def _image(event: DriveEvent) -> NDArray[np.uint8]:
    assert event.frame is not None
    return event.frame.image.astype(np.uint8, copy=False)


def _with_boxes(name: str, rgb: DriveEvent, infrared: NDArray[np.uint8]) -> LabelledPair:
    assert rgb.truth is not None
    boxes = rgb.truth.boxes
    class_id = np.array([CLASS_NAMES.index(boxes.class_names[int(index)]) for index in boxes.class_id], np.int64)
    return LabelledPair(name, _image(rgb), infrared, boxes.xyxy, class_id)


def _mask(rgb: DriveEvent) -> NDArray[np.uint8]:
    assert rgb.truth is not None
    mask = rgb.truth.mask
    table = np.zeros(256, np.uint8)
    for class_id, name in mask.class_names.items():
        table[class_id] = SEGMENT_NAMES.index(name)
    return table[mask.class_id]
