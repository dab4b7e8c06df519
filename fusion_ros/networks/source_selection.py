"""Blend of the two sources under maps that a network predicts: how the compact networks restore full resolution."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTROL_MAPS = 6
"""Maps that steer the blend: preference, intensity contrast, detail contrast, two detail gains, residual."""

CONTRAST_SCALE = 10.0
DETAIL_KERNEL = 5
RESIDUAL_LIMIT = 0.5
LEAK = 0.01


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU: (N, `in_channels`, H, W) -> (N, `out_channels`, H', W')."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = dilation * ((kernel - 1) // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(features)))


class Selection(NamedTuple):
    """What `SourceSelection` made.

    Attributes:
        fused: (N, 1, H, W) in [0, 1] in eval mode; in train mode it may leave the range by a leak.
        weight: (N, 1, H, W) in [0, 1], share of the visible image.
    """

    fused: Tensor
    weight: Tensor


def soft_clamp(values: Tensor, training: bool) -> Tensor:
    """Values clamped to [0, 1]; in training a hundredth of the excess stays, so that its gradient does not die."""
    clamped = values.clamp(0.0, 1.0)
    return torch.lerp(clamped, values, LEAK) if training else clamped


def detail_of(image: Tensor) -> Tensor:
    """What a 5x5 mean takes away from an image: (N, 1, H, W) -> (N, 1, H, W), in [-1, 1]. Border: shrinking window."""
    mean = F.avg_pool2d(image, DETAIL_KERNEL, stride=1, padding=DETAIL_KERNEL // 2, count_include_pad=False)
    return image - mean


def upsample(features: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement by a whole factor, pixel areas aligned (no shift)."""
    return F.interpolate(features, scale_factor=float(factor), mode="bilinear", align_corners=False)


class SourceSelection(nn.Module):
    """The fused image at full resolution from six control maps at half resolution, enlarged bilinearly.

    The published networks paint every pixel of the fused image from full-resolution features of 32 to 256 channels;
    that is nearly all of their cost. Here the pixels come from the sources and the network only says how:

        w     = sigmoid(a + 10 b (vi - ir) + 10 c (|D vi| - |D ir|))
        fused = w vi + (1 - w) ir + tanh(g_vi) D vi + tanh(g_ir) D ir + 0.5 tanh(r)

    with D the detail (image minus its 5x5 mean) and a, b, c, g_vi, g_ir, r the control maps. The average (all zero),
    the pixel-wise maximum (large b), the choice of the sharper source (large c) and the guided filter's decision map
    (a) are all points of this family, so a small network starts from what the classical methods reach. The last
    convolution starts at zero: an untrained network averages.

    Args:
        channels: channels of the features at half resolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.controls = nn.Conv2d(channels, CONTROL_MAPS, 1)
        for parameter in self.controls.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, visible: Tensor, infrared: Tensor, offset: Tensor | None = None) -> Selection:
        """Fuse two images.

        Args:
            features: (N, C, H/2, W/2).
            visible: (N, 1, H, W) in [0, 1].
            infrared: (N, 1, H, W) in [0, 1].
            offset: (N, 1, H, W), added to the logit of the visible image's share.
        """
        choice, tone = self.controls(features).chunk(2, dim=1)
        preference, by_intensity, by_detail = upsample(choice, 2).chunk(3, dim=1)
        visible_gain, infrared_gain, residual = upsample(tone, 2).chunk(3, dim=1)
        visible_detail, infrared_detail = detail_of(visible), detail_of(infrared)
        contrast = by_intensity * (visible - infrared) + by_detail * (visible_detail.abs() - infrared_detail.abs())
        logit = preference + CONTRAST_SCALE * contrast
        weight = torch.sigmoid(logit if offset is None else logit + offset)
        fused = infrared + weight * (visible - infrared)
        fused = fused + torch.tanh(visible_gain) * visible_detail + torch.tanh(infrared_gain) * infrared_detail
        fused = fused + RESIDUAL_LIMIT * torch.tanh(residual)
        return Selection(soft_clamp(fused, self.training), weight)
