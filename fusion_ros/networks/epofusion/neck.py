"""EPOFusion's neck: feature pyramid, and all its levels merged at a quarter of the resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32


class ConvGroupNorm(nn.Sequential):
    """Convolution without bias and group norm, no activation: (N, C, H, W) -> (N, `out_channels`, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        nn.init.xavier_uniform_(convolution.weight)
        super().__init__(convolution, nn.GroupNorm(GROUPS, out_channels))


class PyramidMerge(nn.Module):
    """FPN and multi-stage merging: four maps from 1/4 to 1/32 -> F_fusion, (N, `channels`, H/4, W/4)."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvGroupNorm(width, channels, 1) for width in in_channels)
        self.output = nn.ModuleList(ConvGroupNorm(channels, channels, 3) for _ in in_channels)
        self.merge = ConvGroupNorm(channels * len(in_channels), channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        levels = [lateral(level) for lateral, level in zip(self.lateral, features, strict=True)]
        for index in range(len(levels) - 1, 0, -1):
            finer = levels[index - 1]
            levels[index - 1] = finer + F.interpolate(levels[index], size=finer.shape[2:], mode="nearest")
        size = levels[0].shape[2:]
        outputs = [output(level) for output, level in zip(self.output, levels, strict=True)]
        enlarged = [F.interpolate(level, size=size, mode="bilinear", align_corners=False) for level in outputs]
        merged: Tensor = self.merge(torch.cat(enlarged, dim=1))
        return merged
