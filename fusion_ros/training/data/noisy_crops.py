"""Random crops with fresh noise, and the same without."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.fusion.color import luminance, to_unit_range
from fusion_ros.training.data.pairs import RandomCrops
from fusion_ros.training.data.sensor_noise import with_sensor_noise


class NoisyCrops(RandomCrops):
    """Items are dicts of (1, crop, crop) float tensors in [0, 1].

    `visible` and `infrared` are what the network sees, `clean` and `clean_infrared` the same without the added noise.
    """

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        color, infrared, random = self.sample(number)
        clean = {"clean": luminance(color), "clean_infrared": to_unit_range(infrared)}
        images = {
            "visible": with_sensor_noise(clean["clean"], random),
            "infrared": with_sensor_noise(clean["clean_infrared"], random),
            **clean,
        }
        return {name: torch.from_numpy(image)[None] for name, image in images.items()}
