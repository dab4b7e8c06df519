"""Convolutional layers of DFVO."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.2


class CBL(nn.Module):
    """Convolution 3x3, batch norm, LeakyReLU: (N, `in_channels`, H, W) -> (N, `out_channels`, H, W).

    Stands for the paper's UBL as well: a transposed 3x3 convolution of stride 1 is a convolution with the kernel turned
    by 180 degrees, which runs faster. `fusion_ros.fusion.importers.dfvo` turns the released kernels.

    Args:
        momentum: of the running statistics in torch's sense (share of the newest batch). The released network has .9,
            which with its batches of one keeps little but the last crop; the repaired one .1.
    """

    def __init__(self, in_channels: int, out_channels: int, momentum: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels, momentum=momentum)

    def forward(self, features: Tensor) -> Tensor:
        return F.leaky_relu_(self.norm(self.conv(features)), NEGATIVE_SLOPE)


def chain(channels: Sequence[int], momentum: float) -> nn.Sequential:
    """CBL after CBL through the given channels."""
    return nn.Sequential(*(CBL(a, b, momentum) for a, b in itertools.pairwise(channels)))


class Decoder(nn.Sequential):
    """Features to one image: CBLs through `channels`, then convolution 3x3 to one channel and sigmoid (CS)."""

    def __init__(self, channels: Sequence[int], momentum: float) -> None:
        super().__init__(chain(channels, momentum), nn.Conv2d(channels[-1], 1, 3, padding=1), nn.Sigmoid())


class IlluminationNet(nn.Sequential):
    """Illumination of the visible luminance (paper III-A, Retinex): (N, 1, H, W) -> (N, 1, H, W) in [0, 1]."""

    def __init__(self, momentum: float) -> None:
        super().__init__(
            CBL(1, 32, momentum),
            nn.MaxPool2d(3, stride=1, padding=1),
            CBL(32, 64, momentum),
            CBL(64, 128, momentum),
            nn.MaxPool2d(3, stride=1, padding=1),
            Decoder((128, 64, 32, 16), momentum),
        )
