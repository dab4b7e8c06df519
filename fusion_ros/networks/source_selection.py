"""Blend of the two sources under maps that a network predicts: how the compact networks restore full resolution."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DETAIL_MAPS, BASE_MAPS = 5, 3
"""Maps that steer the blend. Detail: preference, contrast, sharpness, two gains. Base: preference, contrast, tone."""

CONTRAST_SCALE = 10.0
DETAIL_KERNEL = 5
BASE_SCALE = 8
TONE_LIMIT = 0.5
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
        weight: (N, 1, H, W) in [0, 1], share of the visible image in the detail.
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


def smooth_base(maps: Tensor, pool: int) -> Tensor:
    """Means of `pool` x `pool` pixels, smoothed over 3x3 of them and enlarged by `BASE_SCALE`: slow change only.

    (N, C, H, W), sides multiples of `pool` -> (N, C, H BASE_SCALE / pool, W BASE_SCALE / pool).
    """
    coarse = F.avg_pool2d(maps, pool)
    return upsample(F.avg_pool2d(coarse, 3, stride=1, padding=1, count_include_pad=False), BASE_SCALE)


class SourceSelection(nn.Module):
    """The fused image at full resolution from eight control maps at half resolution.

    The published networks paint every pixel of the fused image from full-resolution features of 32 to 256 channels;
    that is nearly all of their cost. Here the pixels come from the sources and the network only says how. As in
    two-scale fusion, base and detail are chosen apart: a choice of detail may change from pixel to pixel, but one of
    brightness that does so paints blotches where both sources are flat.

        vi = B_vi + d_vi, ir = B_ir + d_ir      B: means over about 24 pixels
        w_b   = sigmoid(p + 10 q (B_vi - B_ir))
        w_d   = sigmoid(a + 10 b (vi - ir) + 10 c (|D vi| - |D ir|))
        fused = B_ir + w_b (B_vi - B_ir) + d_ir + w_d (d_vi - d_ir) + tanh(g_vi) D vi + tanh(g_ir) D ir + 0.5 tanh(r)

    with D the finest detail (image minus its 5x5 mean). The maps a, b, c, g_vi, g_ir are enlarged bilinearly; p, q, r
    are first averaged to 1/8 of the resolution. The average (all zero), the choice of the brighter or sharper source
    (large b, c) and the guided filter's two weights (p, a) are all points of this family, so a small network starts
    from what the classical methods reach. The last convolution starts at zero: an untrained network averages.

    Args:
        channels: channels of the features at half resolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.controls = nn.Conv2d(channels, DETAIL_MAPS + BASE_MAPS, 1)
        for parameter in self.controls.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, visible: Tensor, infrared: Tensor, offset: Tensor | None = None) -> Selection:
        """Fuse two images.

        Args:
            features: (N, C, H/2, W/2), H and W multiples of 8.
            visible: (N, 1, H, W) in [0, 1].
            infrared: (N, 1, H, W) in [0, 1].
            offset: (N, 1, H, W), added to the logits of the visible image's shares (smoothed for the base).
        """
        detail_maps, base_maps = self.controls(features).split([DETAIL_MAPS, BASE_MAPS], dim=1)
        maps = [upsample(detail_maps, 2), smooth_base(base_maps, BASE_SCALE // 2)]
        preference, by_intensity, by_sharpness, visible_gain, infrared_gain = maps[0].chunk(DETAIL_MAPS, dim=1)
        base_preference, base_by_intensity, tone = maps[1].chunk(BASE_MAPS, dim=1)

        difference = visible - infrared
        base_difference = smooth_base(difference, BASE_SCALE)
        visible_detail, infrared_detail = detail_of(visible), detail_of(infrared)
        sharper = visible_detail.abs() - infrared_detail.abs()
        logit = preference + CONTRAST_SCALE * (by_intensity * difference + by_sharpness * sharper)
        base_logit = base_preference + CONTRAST_SCALE * base_by_intensity * base_difference
        if offset is not None:
            logit = logit + offset
            base_logit = base_logit + smooth_base(offset, BASE_SCALE)
        weight = torch.sigmoid(logit)
        # infrared + w_b (B_vi - B_ir) + w_d (d_vi - d_ir), for B_ir + d_ir is the infrared image.
        fused = infrared + torch.sigmoid(base_logit) * base_difference + weight * (difference - base_difference)
        fused = fused + torch.tanh(visible_gain) * visible_detail + torch.tanh(infrared_gain) * infrared_detail
        fused = fused + TONE_LIMIT * torch.tanh(tone)
        return Selection(soft_clamp(fused, self.training), weight)
