"""Random crops of which a share is dazzled, with the undazzled crop and the masks the loss needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.fusion.color import luminance, to_unit_range
from fusion_ros.training.data.glare import GlareConfig, add_glare, hidden_objects
from fusion_ros.training.data.pairs import RandomCrops
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

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        visible, infrared, random = self.sample(number)
        clean = visible
        spot = GlareConfig(spots=1, smallest=self.glare.smallest, largest=self.glare.largest)
        if random.random() < self.glare.share:
            boxes = _anywhere(len(infrared), random) if random.random() < self.glare.anywhere else None
            glared = add_glare(visible, infrared, random, spot, boxes)
            visible, hidden = glared.visible, glared.hidden
        else:
            hidden = hidden_objects(visible, infrared, spot.saturated)
        seen = luminance(visible)
        return {
            "visible": torch.from_numpy(with_sensor_noise(seen, random))[None],
            "clean": torch.from_numpy(luminance(clean))[None],
            "infrared": torch.from_numpy(with_sensor_noise(to_unit_range(infrared), random))[None],
            "clean_infrared": torch.from_numpy(to_unit_range(infrared))[None],
            "overexposed": torch.from_numpy((np.rint(255 * seen) >= spot.saturated).astype(np.float32))[None],
            "hidden": torch.from_numpy(hidden.astype(np.uint8))[None],
        }


def _anywhere(side: int, random: np.random.Generator) -> NDArray[np.float32]:
    """One point in the crop or a little outside of it, so that the slopes of a spot are seen without its middle."""
    x, y = random.uniform(-0.3, 1.3, size=2) * side
    return np.array([[x, y, x, y]], np.float32)
