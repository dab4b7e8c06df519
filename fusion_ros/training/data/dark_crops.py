"""Random crops of which a share is darkened, with the same darkness without its noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.fusion.color import chroma, luminance, to_unit_range
from fusion_ros.training.data.darkness import DarknessConfig, darken
from fusion_ros.training.data.pairs import RandomCrops
from fusion_ros.training.data.sensor_noise import with_sensor_noise


@dataclass(frozen=True)
class CropDarknessConfig:
    """Darkness on crops."""

    share: float = setting(0.6, "share of crops that are darkened", minimum=0.0, maximum=1.0)


class DarkCrops(RandomCrops):
    """Items are dicts of (1, crop, crop) float tensors in [0, 1], and one of (2, crop, crop).

    `visible` and `infrared` are what the network sees, `noiseless` and `clean_infrared` the same without the noise that
    was added. `chroma` is Cb and Cr of the visible image, darkened where that is.
    """

    darkness = CropDarknessConfig()

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        visible, infrared, random = self.sample(number)
        noiseless = visible
        if random.random() < self.darkness.share:
            seed = int(random.integers(2**63))
            noisy, silent = DarknessConfig(), replace(DarknessConfig(), shot_noise=0.0, read_noise=0.0)
            # One seed for both: the same exposure, cast and gamma.
            visible, noiseless = (darken(visible, np.random.default_rng(seed), config) for config in (noisy, silent))
        return {
            "visible": torch.from_numpy(with_sensor_noise(luminance(visible), random))[None],
            "chroma": torch.from_numpy(chroma(visible)),
            "noiseless": torch.from_numpy(luminance(noiseless))[None],
            "infrared": torch.from_numpy(with_sensor_noise(to_unit_range(infrared), random))[None],
            "clean_infrared": torch.from_numpy(to_unit_range(infrared))[None],
        }
