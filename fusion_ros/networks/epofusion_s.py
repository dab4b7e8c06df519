"""EPOFusion-S: the compact configuration of EPOFusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.networks.source_selection import ConvNormReLU, SourceSelection, upsample

SATURATION_BEGINS, SATURATION_ENDS = 0.9, 0.98


@dataclass(frozen=True)
class EPOFusionSConfig:
    """Sizes of `EPOFusionSNet`.

    Attributes:
        widths: channels of the encoder's stages, at 1/4, 1/8 and 1/16 of the resolution.
        depths: blocks in each stage.
        expansion: widening inside a block.
        detail_channels: channels of the high-fidelity branch at half resolution.
    """

    widths: tuple[int, int, int] = (32, 64, 96)
    depths: tuple[int, int, int] = (1, 2, 2)
    expansion: int = 2
    detail_channels: int = 16


class EPOFusionSOutput(NamedTuple):
    """What the losses need in train mode; the diffusion loss has nothing to act on (no noise in this network).

    Attributes:
        fused: (N, 1, H, W), about [0, 1].
        guidance: (N, 2, H/4, W/4), logits: background, salient infrared object in an over-exposed region.
        weight: (N, 1, H, W) in [0, 1], share of the visible image in each pixel.
    """

    fused: Tensor
    guidance: Tensor
    weight: Tensor


class ConvNeXtUnit(nn.Module):
    """ConvNeXt block with batch normalisation and ReLU, which fold into the convolutions; (N, C, H, W) in and out."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, channels * expansion, 1)
        self.project = nn.Conv2d(channels * expansion, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.project(F.relu(self.expand(self.norm(self.conv(features)))))
        return features + residual


class CompactEncoder(nn.Module):
    """Early fusion, ConvNeXt stages at 1/4, 1/8, 1/16, and a pyramid that sums them at 1/4.

    (N, 2, H, W) -> (N, widths[0], H/4, W/4). H and W are multiples of 16.
    """

    def __init__(self, config: EPOFusionSConfig) -> None:
        super().__init__()
        first = config.widths[0]
        self.stem = ConvNormReLU(2, first, 4, stride=4)
        self.stages = nn.ModuleList()
        self.down = nn.ModuleList()
        self.lateral = nn.ModuleList()
        previous = first
        for index, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            self.down.append(nn.Identity() if index == 0 else ConvNormReLU(previous, width, 2, stride=2))
            self.stages.append(nn.Sequential(*(ConvNeXtUnit(width, config.expansion) for _ in range(depth))))
            self.lateral.append(nn.Conv2d(width, first, 1))
            previous = width
        self.merge = nn.Sequential(ConvNormReLU(first, first, groups=first), ConvNormReLU(first, first, 1))

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        laterals = []
        for down, stage, lateral in zip(self.down, self.stages, self.lateral, strict=True):
            features = stage(down(features))
            laterals.append(lateral(features))
        merged = laterals.pop()
        while laterals:
            merged = laterals.pop() + upsample(merged, 2)
        pyramid: Tensor = self.merge(merged)
        return pyramid


class CompactRefinement(nn.Module):
    """One denoising step from a known start: mixes the embedded pseudo image with the encoder's features.

    The paper embeds the half-and-half image, drowns it in noise and learns to come back; its sampler then starts from
    noise alone and needs three passes. Here the embedding is given without noise, so one pass suffices.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.embed = ConvNormReLU(1, channels, 4, stride=4)
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        self.layer = ConvNeXtUnit(channels, expansion)

    def forward(self, features: Tensor, pseudo: Tensor) -> Tensor:
        refined: Tensor = self.layer(self.mix(torch.cat([features, self.embed(pseudo)], dim=1)))
        return refined


class CompactContext(nn.Module):
    """Context branch of MSCF: a dilated (global) and a grouped (local) convolution side by side, at 1/4."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.separable = nn.Sequential(
            ConvNormReLU(channels, channels, groups=channels), ConvNormReLU(channels, channels, 1)
        )
        self.wide = ConvNormReLU(channels, out_channels, dilation=2)
        self.local = ConvNormReLU(channels, channels, groups=2)
        self.project = nn.Conv2d(out_channels + channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = self.separable(features)
        context: Tensor = self.project(torch.cat([self.wide(features), self.local(features)], dim=1))
        return context


def saturation(visible: Tensor) -> Tensor:
    """0 where the luminance and its eight neighbours are below .9, 1 where one is at .98 or more; (N, 1, H, W)."""
    brightest = F.max_pool2d(visible, 3, stride=1, padding=1)
    return ((brightest - SATURATION_BEGINS) / (SATURATION_ENDS - SATURATION_BEGINS)).clamp(0.0, 1.0)


class EPOFusionSNet(nn.Module):
    """EPOFusion at 1.3 GMAC for 480x640, where the paper configuration takes 286 for its three steps.

    Kept from EPOFusion: early fusion of luminance and infrared in a ConvNeXt encoder with a feature pyramid merged at a
    quarter of the resolution; the guidance module that finds salient infrared objects in over-exposed regions; a
    refinement that mixes those features with the embedded half-and-half image; MSCF's context branch (dilated and
    grouped convolutions) and high-fidelity branch on the images themselves.

    Cut, and why:

    * Widths 32/64/96 in three stages instead of 96/192/384/768 in four, expansion 2 instead of 4, sums in place of the
      concatenation in the pyramid; batch norm and ReLU in place of layer norm and GELU, because they fold into the
      convolutions and layer norm over channels costs two transpositions per block.
    * One deterministic pass from the embedding without noise instead of three from noise. No time embedding (there is
      one time), a 7x7 depthwise convolution in place of deformable attention.
    * The high-fidelity branch works at half resolution and MSCF's output steers a blend of the two sources
      (`SourceSelection`) instead of painting grey values.
    * The guidance takes part in the fusion: where it is sure of an over-exposed object, the visible image's share
      sinks. In the paper it only shapes the features while training; with so few channels the direct path pays.
    * So does the share of saturated pixels, at full resolution: they carry no structure, however small a lamp they are.

    `forward(visible, infrared)` takes two (N, 1, H, W) tensors in [0, 1], H and W multiples of 16. In eval mode it
    returns the fused luminance, (N, 1, H, W) in [0, 1]; in train mode an `EPOFusionSOutput`.
    """

    config_class: ClassVar[type] = EPOFusionSConfig
    multiple_of: ClassVar[int] = 16

    def __init__(self, config: EPOFusionSConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EPOFusionSConfig()
        width, detail = config.widths[0], config.detail_channels
        self.encoder = CompactEncoder(config)
        self.guidance = nn.Sequential(ConvNormReLU(width, detail), nn.Conv2d(detail, 2, 1))
        self.refinement = CompactRefinement(width, config.expansion)
        self.context = CompactContext(width, detail)
        self.high_fidelity = ConvNormReLU(2, detail, 4, stride=2)
        self.cross_fusion = ConvNormReLU(detail, detail)
        self.guidance_strength = nn.Parameter(torch.ones(()))
        self.saturation_strength = nn.Parameter(torch.full((), 3.0))
        self.selection = SourceSelection(detail)

    def forward_with_guidance(self, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
        """The fused image, (N, 1, H, W), and the guidance, (N, 1, H/4, W/4): probability of an over-exposed object."""
        fused, guidance, _ = self._compute(visible, infrared)
        return fused, guidance.softmax(dim=1)[:, 1:]

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor | EPOFusionSOutput:
        output = self._compute(visible, infrared)
        return output if self.training else output.fused

    def _compute(self, visible: Tensor, infrared: Tensor) -> EPOFusionSOutput:
        images = torch.cat([visible, infrared], dim=1)
        features = self.encoder(images)
        guidance = self.guidance(features)
        refined = self.refinement(features, 0.5 * (visible + infrared))
        detail = self.high_fidelity(images) + upsample(self.context(refined), 2)
        background, salient = guidance.split(1, dim=1)
        # Only where the guidance says yes: elsewhere the features alone decide.
        offset = -F.softplus(self.guidance_strength) * upsample(F.relu(salient - background), 4)
        offset = offset - F.softplus(self.saturation_strength) * saturation(visible)
        fused, weight = self.selection(self.cross_fusion(F.relu(detail)), visible, infrared, offset)
        return EPOFusionSOutput(fused, guidance, weight)
