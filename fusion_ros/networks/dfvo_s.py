"""DFVO-S: the compact configuration of DFVO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.networks.source_selection import ConvNormReLU, SourceSelection, upsample


@dataclass(frozen=True)
class DFVOSConfig:
    """Sizes of `DFVOSNet`.

    Attributes:
        detail_channels: channels of each encoder at half resolution; the detail module splits them in two.
        base_channels: channels of each encoder at a quarter of the resolution and below.
        key_channels: channels of queries and keys.
        darkest: smallest illumination the network can predict; its inverse is the largest gain.
    """

    detail_channels: int = 16
    base_channels: int = 32
    key_channels: int = 16
    darkest: float = 0.08


class DFVOSOutput(NamedTuple):
    """What the losses need in train mode; each (N, 1, H, W), about [0, 1].

    Attributes:
        fused: fused luminance.
        enhanced: visible luminance divided by the illumination.
        illumination: illumination of the visible image.
        infrared: infrared image reconstructed from its base and detail features.
        weight: share of the enhanced visible image in each pixel.
    """

    fused: Tensor
    enhanced: Tensor
    illumination: Tensor
    infrared: Tensor
    weight: Tensor


class CompactEncoder(nn.Module):
    """One modality: (N, 1, H, W) -> (N, detail, H/2, W/2), (N, base, H/4, W/4)."""

    def __init__(self, detail: int, base: int) -> None:
        super().__init__()
        self.shallow = ConvNormReLU(1, detail, 4, stride=2)
        self.deep = ConvNormReLU(detail, base, stride=2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.shallow(image)
        return shallow, self.deep(shallow)


class GradientMagnitude(nn.Module):
    """|Sobel_x| + |Sobel_y| of each channel, scaled to the units of the input: (N, C, H, W) in and out."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        horizontal = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8.0
        self.channels = channels
        kernel = torch.stack([horizontal, horizontal.T]).unsqueeze(1).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        gradients = F.conv2d(features, self.kernel, padding=1, groups=self.channels).abs()
        return gradients[:, 0::2] + gradients[:, 1::2]


class PooledHyperCrossAttention(nn.Module):
    """Hyper cross-attention with pooled tokens.

    Queries come from the gradients of both modalities at 1/16 of the resolution, keys from one modality's gradients and
    values from the other's features, both at 1/32: 1200 x 300 at 480x640 instead of 19200 x 19200.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.down_visible = ConvNormReLU(channels, channels, stride=2)
        self.down_infrared = ConvNormReLU(channels, channels, stride=2)
        self.gradient = GradientMagnitude(channels)
        self.query = nn.Conv2d(2 * channels, key_channels, 1)
        self.key_visible = nn.Conv2d(channels, key_channels, 1)
        self.key_infrared = nn.Conv2d(channels, key_channels, 1)
        self.value_visible = nn.Conv2d(channels, channels, 1)
        self.value_infrared = nn.Conv2d(channels, channels, 1)

    def forward(self, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H/4, W/4) of each modality to what attention adds to it, same shape."""
        visible, infrared = self.down_visible(visible), self.down_infrared(infrared)
        gradient_visible, gradient_infrared = self.gradient(visible), self.gradient(infrared)
        query = self.query(F.avg_pool2d(torch.cat([gradient_visible, gradient_infrared], dim=1), 2))
        key_visible = self.key_visible(F.avg_pool2d(gradient_visible, 4))
        key_infrared = self.key_infrared(F.avg_pool2d(gradient_infrared, 4))
        value_visible = self.value_visible(F.avg_pool2d(visible, 4))
        value_infrared = self.value_infrared(F.avg_pool2d(infrared, 4))
        # Crossed as in the paper: the map that the infrared keys make gathers visible values, and the other way round.
        return (
            upsample(_attend(query, key_infrared, value_visible), 4),
            upsample(_attend(query, key_visible, value_infrared), 4),
        )


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention over pixels: (N, d, h, w), (N, d, m), (N, C, m) as maps -> (N, C, h, w)."""
    queries, keys, values = (part.flatten(2).transpose(1, 2).unsqueeze(1) for part in (query, key, value))
    gathered = F.scaled_dot_product_attention(queries, keys, values)
    return gathered.squeeze(1).transpose(1, 2).reshape(query.shape[0], value.shape[1], query.shape[2], query.shape[3])


class CompactDetail(nn.Module):
    """One affine-coupling node of the details-extraction module at half resolution; invertible like the paper's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.shuffle = nn.Conv2d(channels, channels, 1)
        self.phi = _coupling(half, half)
        self.rho_eta = _coupling(half, channels)

    def forward(self, features: Tensor) -> Tensor:
        first, second = self.shuffle(features).chunk(2, dim=1)
        second = second + self.phi(first)
        log_scale, shift = self.rho_eta(second).chunk(2, dim=1)
        # tanh bounds the scale so that fp16 cannot overflow.
        first = first * torch.exp(torch.tanh(log_scale)) + shift
        return torch.cat([first, second], dim=1)


def _coupling(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.ReLU6(),
        nn.Conv2d(channels, out_channels, 1, bias=False),
    )


class Illumination(nn.Module):
    """Illumination of the visible image from its base features: (N, C, H/4, W/4) -> (N, 1, H, W) in [`darkest`, 1].

    The coarse map l is lifted by the brightness of each pixel, L = l + (1 - l) vi, for what shines lights itself. The
    enhanced image vi / L is then at most 1 and rises with vi, so that headlamps do not burn out when the road beside
    them is lifted, and its slope l / L^2 (the gain of noise) never exceeds the gain of luminance, 1 / L.
    """

    def __init__(self, channels: int, darkest: float) -> None:
        super().__init__()
        self.darkest = darkest
        self.layers = nn.Sequential(ConvNormReLU(channels, channels // 2), nn.Conv2d(channels // 2, 1, 1))

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        coarse = self.darkest + (1.0 - self.darkest) * torch.sigmoid(self.layers(features))
        coarse = upsample(coarse, 4)
        return coarse + (1.0 - coarse) * visible


class DFVOSNet(nn.Module):
    """DFVO at 1.1 GMAC for 480x640, where the published network takes 772.

    Kept from DFVO: an encoder per modality; base features that look at the whole picture through hyper cross-attention
    whose queries and keys are gradients; detail features through an invertible module and one shared convolution;
    illumination and enhancement of the visible image (Retinex); reconstruction of the infrared; fusion of the enhanced
    image with the infrared from summed base and detail features.

    Cut, and why:

    * Encoders stride to a quarter of the resolution with 16 and 32 channels instead of 128 at full resolution.
    * Attention over pooled tokens: 0.02 GMAC instead of 212.
    * One invertible node on 16 channels at half resolution instead of three on 128. Its functions are a depthwise and
      a 1x1 convolution, scale and shift share the first; the log-scale is bounded.
    * The enhanced image is the visible one divided by the illumination, which the paper's Retinex loss asks for,
      instead of a second decoder that has to learn the division.
    * The fusion decoder steers a blend of enhanced image and infrared (`SourceSelection`). The infrared reconstruction
      runs in train mode only.

    `forward(visible, infrared)` takes two (N, 1, H, W) tensors in [0, 1], H and W multiples of 32. In eval mode it
    returns the fused luminance, (N, 1, H, W) in [0, 1]; in train mode a `DFVOSOutput`.
    """

    config_class: ClassVar[type] = DFVOSConfig
    multiple_of: ClassVar[int] = 32

    def __init__(self, config: DFVOSConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DFVOSConfig()
        detail, base = config.detail_channels, config.base_channels
        self.encode_visible = CompactEncoder(detail, base)
        self.encode_infrared = CompactEncoder(detail, base)
        self.attention = PooledHyperCrossAttention(base, config.key_channels)
        self.detail_visible = CompactDetail(detail)
        self.detail_infrared = CompactDetail(detail)
        self.remove_speckle = ConvNormReLU(detail, detail, groups=detail)
        self.illumination = Illumination(base, config.darkest)
        self.decode_base = nn.Sequential(ConvNormReLU(base, base), nn.Conv2d(base, detail, 1))
        self.decode_detail = nn.Conv2d(2 * detail, detail, 1)
        self.head = ConvNormReLU(detail, detail)
        self.selection = SourceSelection(detail)
        self.reconstruct_base = nn.Conv2d(base, detail, 1)
        self.reconstruct = nn.Sequential(ConvNormReLU(detail, detail), nn.Conv2d(detail, 4, 1))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor | DFVOSOutput:
        shallow_visible, base_visible = self.encode_visible(visible)
        shallow_infrared, base_infrared = self.encode_infrared(infrared)
        gathered_visible, gathered_infrared = self.attention(base_visible, base_infrared)
        base_visible = base_visible + gathered_visible
        base_infrared = base_infrared + gathered_infrared
        detail_visible = self.remove_speckle(self.detail_visible(shallow_visible))
        detail_infrared = self.remove_speckle(self.detail_infrared(shallow_infrared))

        illumination = self.illumination(base_visible, visible)
        enhanced = visible / illumination
        base = upsample(self.decode_base(base_visible + base_infrared), 2)
        detail = self.decode_detail(torch.cat([detail_visible, detail_infrared], dim=1))
        fused: Tensor
        fused, weight = self.selection(self.head(F.relu(base + detail)), enhanced, infrared)
        if not self.training:
            return fused
        reconstructed = F.relu(upsample(self.reconstruct_base(base_infrared), 2) + detail_infrared)
        reconstructed = torch.sigmoid(F.pixel_shuffle(self.reconstruct(reconstructed), 2))
        return DFVOSOutput(fused, enhanced, illumination, reconstructed, weight)
