"""EPOFusion's multi-scale contextual fusion (MSCF, paper Fig. 5, Eq. 5-7): from features to the fused image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBatchReLU(nn.Sequential):
    """Convolution with bias that keeps the size, batch norm, ReLU (the paper's Eq. 6 norms once a branch)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, dilation: int = 1, groups: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, groups=groups),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class ContextBranch(nn.Module):
    """CFB (Eq. 5, 6): global context by dilation, local by groups: (N, C, H/4, W/4) -> (N, 64, H, W)."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, groups=width), *ConvBatchReLU(width, width, 1)
        )
        self.wide = ConvBatchReLU(width, width, 3, dilation=2)
        self.local = nn.Sequential(
            *ConvBatchReLU(width, width // 2, 3), *ConvBatchReLU(width // 2, width // 2, 3, groups=2)
        )
        self.join = ConvBatchReLU(width + width // 2, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = self.reduce(features)
        joined = self.join(torch.cat([self.wide(features), self.local(features)], dim=1))
        return F.interpolate(joined, scale_factor=4.0, mode="bilinear", align_corners=False)


class MSCF(nn.Module):
    """Context branch and high-fidelity branch (HFB) to the fused image.

    `high_fidelity` depends on the images only and runs once for all steps of the sampler; so does its share of the
    first convolution of the cross fusion, for a convolution of two stacked maps is the sum of one on each. Exact but
    for rounding: at 480x640, 28 GMAC less for each step after the first.

    Args:
        output_gain: the released code's scalar gain after the sigmoid (squeeze and excitation of one channel): caps
            the brightness and changes with the frame, so it is off except for the released weights.
    """

    def __init__(self, channels: int = 256, width: int = 64, *, output_gain: bool = False) -> None:
        super().__init__()
        self.context = ContextBranch(channels, width)
        self.high_fidelity = nn.Sequential(*ConvBatchReLU(2, width // 2, 3), *ConvBatchReLU(width // 2, width, 3))
        self.cross = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.cross_fusion = nn.Sequential(nn.BatchNorm2d(2 * width), nn.ReLU(), *ConvBatchReLU(2 * width, width, 1))
        self.paint = nn.Sequential(
            *ConvBatchReLU(width, width // 2, 3), nn.Conv2d(width // 2, 1, 3, padding=1), nn.Sigmoid()
        )
        self.gain: nn.Module = nn.Identity()
        if output_gain:
            self.gain = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1), nn.Sigmoid()
            )
        self.output_gain = output_gain

    def high_fidelity_share(self, images: Tensor) -> Tensor:
        """What the images (N, 2, H, W) add to the cross fusion's first convolution: (N, 128, H, W)."""
        features = self.high_fidelity(images)
        half = features.shape[1]
        return F.conv2d(features, self.cross.weight[:, half:], self.cross.bias, padding=1)

    def forward(self, features: Tensor, high_fidelity_share: Tensor) -> Tensor:
        """Refined features (N, C, H/4, W/4) and the images' share to the fused image, (N, 1, H, W) in [0, 1]."""
        context = self.context(features)
        half = context.shape[1]
        mixed = high_fidelity_share + F.conv2d(context, self.cross.weight[:, :half], padding=1)
        fused: Tensor = self.paint(self.cross_fusion(mixed))
        return fused * self.gain(fused) if self.output_gain else fused
