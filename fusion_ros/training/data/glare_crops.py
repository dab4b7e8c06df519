"""Random crops of which a share is dazzled, with the undazzled crop and the masks the loss needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.fusion.color import luminance, to_unit_range
from fusion_ros.training.data.glare import GlareConfig, add_glare
from fusion_ros.training.data.pairs import Pair, PairsConfig, RandomCrops
from fusion_ros.training.data.salience import salient_infrared
from fusion_ros.training.data.sensor_noise import with_sensor_noise


@dataclass(frozen=True)
class CropGlareConfig:
    """Glare on crops; sizes are shares of a crop, which is a fraction of an image."""

    share: float = setting(0.45, "share of crops with glare", minimum=0.0, maximum=1.0)
    smallest: float = setting(0.05, "smallest sigma of a spot, as a share of the crop", minimum=0.005, maximum=2.0)
    largest: float = setting(0.6, "largest sigma of a spot, as a share of the crop", minimum=0.005, maximum=2.0)
    anywhere: float = setting(0.7, "share of dazzled crops whose spots are not on objects", minimum=0.0, maximum=1.0)


class GlareCrops(RandomCrops):
    """Items are dicts of (1, crop, crop) tensors.

    `visible` and `infrared` are what the network sees, `clean` and `clean_infrared` the same without added glare and
    noise, all float in [0, 1]; `overexposed` 0 or 1 float, where `visible` is saturated; `hidden` uint8, 1 where that
    hides a salient infrared object.
    """

    glare = CropGlareConfig()

    def __init__(self, sets: dict[str, list[Pair]], config: PairsConfig, seed: int, length: int) -> None:
        super().__init__(sets, config, seed, length)
        self._crop = config.crop
        # Salience compares an object with its surroundings, so it is a matter of the whole image, not of a crop.
        self._salient: dict[int, NDArray[np.uint8]] = {}

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        place, random = self.place(number)
        visible, infrared = self.cut(place, random)
        clean, salient = visible, place.cut(self._salience_of(place.pair), self._crop) > 0
        spot = GlareConfig(spots=1, smallest=self.glare.smallest, largest=self.glare.largest)
        if random.random() < self.glare.share:
            boxes = _anywhere(len(infrared), random) if random.random() < self.glare.anywhere else None
            visible = add_glare(visible, infrared, random, spot, boxes, salient).visible
        seen = luminance(visible)
        overexposed = np.rint(255 * seen) >= spot.saturated
        return {
            "visible": torch.from_numpy(with_sensor_noise(seen, random))[None],
            "clean": torch.from_numpy(luminance(clean))[None],
            "infrared": torch.from_numpy(with_sensor_noise(to_unit_range(infrared), random))[None],
            "clean_infrared": torch.from_numpy(to_unit_range(infrared))[None],
            "overexposed": torch.from_numpy(overexposed.astype(np.float32))[None],
            "hidden": torch.from_numpy((overexposed & salient).astype(np.uint8))[None],
        }

    def _salience_of(self, pair: Pair) -> NDArray[np.uint8]:
        key = id(pair)
        if key not in self._salient:
            self._salient[key] = salient_infrared(pair.infrared).astype(np.uint8)
        return self._salient[key]


def _anywhere(side: int, random: np.random.Generator) -> NDArray[np.float32]:
    """One point in the crop or a little outside of it, so that the slopes of a spot are seen without its middle."""
    x, y = random.uniform(-0.3, 1.3, size=2) * side
    return np.array([[x, y, x, y]], np.float32)
