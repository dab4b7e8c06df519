"""EPOFusion's network ("EPOFusion: exposure-aware progressive optimization for infrared and visible image fusion")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.networks.epofusion.diffusion import (
    ImageEmbedding,
    TimeEmbedding,
    coefficients,
    ddim_step,
    fixed_noise,
    log_snr,
    noise_tile,
    sampling_times,
)
from fusion_ros.networks.epofusion.encoder import ConvNeXtEncoder
from fusion_ros.networks.epofusion.guidance import GuidanceHead
from fusion_ros.networks.epofusion.mscf import MSCF
from fusion_ros.networks.epofusion.neck import PyramidMerge
from fusion_ros.networks.epofusion.refinement import RefinementLayer

LATEST_TRAINING_TIME = 0.999


@dataclass(frozen=True)
class EPOFusionConfig:
    """Sizes of `EPOFusionNet`; the defaults are the paper's configuration.

    Attributes:
        depths: ConvNeXt blocks in each stage.
        widths: channels of each stage.
        channels: channels of F_fusion and of the latent.
        layers: refinement layers.
        steps: denoising steps in eval mode. One costs 127 GMAC at 480x640, three 226.
        drop_path: largest rate of stochastic depth in training.
        output_gain: see `MSCF`; for the released weights.
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    channels: int = 256
    layers: int = 1
    steps: int = 3
    drop_path: float = 0.4
    output_gain: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: {self.steps} is not at least 1")


class EPOFusionOutput(NamedTuple):
    """What the losses need in train mode.

    Attributes:
        fused: (N, 1, H, W) in [0, 1].
        guidance: (N, 2, H/4, W/4), logits: background, salient infrared object in an over-exposed region.
        noise: (N, C, H/4, W/4), what was added to the embedded target.
        predicted_noise: (N, C, H/4, W/4), what the re-embedded fused image says was added.
        signal_to_noise: (N,), ratio a / s of the coefficients at each sample's time.
        embedding: (N, C, H/4, W/4), embedded target, to watch for collapse (its standard deviation going to zero).
    """

    fused: Tensor
    guidance: Tensor
    noise: Tensor
    predicted_noise: Tensor
    signal_to_noise: Tensor
    embedding: Tensor


class EPOFusionNet(nn.Module):
    """Early fusion, iterative decoder, guidance.

    `forward(visible, infrared)` takes two (N, 1, H, W) tensors in [0, 1], H and W multiples of 32 (4 suffice for a
    result, but the encoder drops what its strides leave over). In eval mode it returns the fused luminance,
    (N, 1, H, W) in [0, 1], after `config.steps` denoising steps from a fixed noise; in train mode an `EPOFusionOutput`
    of one step at a random time of each sample.

    Parameters: 33,637,609; the paper's table says 33.87 M. The released output gain makes it 33,637,634. The guidance
    head adds 590,850, to 34,228,459; a released file has another 539 (that gain and a classifier that nothing calls),
    34,228,998.

    Where paper and released code differ (marks of `docs/networks.md`; E3, E4, E9, E16 and E19 are in the loss, E7 in
    the training, E10 and E11 in how images come here):

    * E1 the sampler's arithmetic is the code's: see `ddim_step`. E13 so are its times: see `sampling_times`.
    * E2 the code asks a ReLU output to equal Gaussian noise; here the noise is derived from the estimate of x_0.
    * E5 the guidance is trained. E6 one refinement layer. E8 no gain after the sigmoid.
    * E12 batch norm after each convolution. E17 fixed noise. E18 two learned strided convolutions embed images.
    * E14 the exact savings: encoder, high-fidelity branch and their shares of the two mixing convolutions run once, the
      last re-embedding not at all.
    """

    config_class: ClassVar[type] = EPOFusionConfig
    multiple_of: ClassVar[int] = 32
    noise_tile: Tensor

    def __init__(self, config: EPOFusionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EPOFusionConfig()
        channels, time_channels = config.channels, 4 * config.channels
        self.encoder = ConvNeXtEncoder(config.depths, config.widths, config.drop_path)
        self.neck = PyramidMerge(config.widths, channels)
        self.guidance = GuidanceHead(channels)
        self.time = TimeEmbedding(time_channels)
        self.embed = ImageEmbedding(channels)
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        self.refine = nn.ModuleList(RefinementLayer(channels, time_channels) for _ in range(config.layers))
        self.mscf = MSCF(channels, output_gain=config.output_gain)
        self.register_buffer("noise_tile", noise_tile(channels), persistent=False)

    def forward(
        self, visible: Tensor, infrared: Tensor, clean_visible: Tensor | None = None
    ) -> Tensor | EPOFusionOutput:
        """Fuse.

        Args:
            visible: (N, 1, H, W) in [0, 1], what the encoder sees.
            infrared: (N, 1, H, W) in [0, 1].
            clean_visible: `visible` before photometric augmentation, for the high-fidelity branch and the target
                (train mode; the same as `visible` by default).
        """
        features = self.neck(self.encoder(torch.cat([visible, infrared], dim=1)))
        seen = visible if clean_visible is None else clean_visible
        if self.training:
            return self._train_forward(features, seen, infrared)
        return self._sample(features, visible, infrared, None)

    def forward_with_guidance(
        self, visible: Tensor, infrared: Tensor, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The fused image and the guidance (probability of an over-exposed object), each (N, 1, H, W) in [0, 1].

        Args:
            visible: (N, 1, H, W) in [0, 1].
            infrared: (N, 1, H, W) in [0, 1].
            start: (N or 1, C, H/4, W/4), noise to start from instead of the fixed one.
        """
        features = self.neck(self.encoder(torch.cat([visible, infrared], dim=1)))
        probability = self.guidance(features).softmax(dim=1)[:, 1:]
        probability = F.interpolate(probability, scale_factor=4.0, mode="bilinear", align_corners=False)
        return self._sample(features, visible, infrared, start), probability

    def core_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that fusion needs: all but the guidance head's."""
        for name, parameter in self.named_parameters():
            if not name.startswith("guidance."):
                yield parameter

    def _sample(self, features: Tensor, visible: Tensor, infrared: Tensor, start: Tensor | None) -> Tensor:
        base = self._feature_share(features)
        detail = self.mscf.high_fidelity_share(torch.cat([visible, infrared], dim=1))
        height, width = features.shape[2:]
        latent = fixed_noise(self.config.channels, height, width, self.noise_tile) if start is None else start
        latent = latent.to(features.dtype).expand_as(features)
        times = sampling_times(self.config.steps)
        for index, (now, after) in enumerate(times):
            fused = self._step(base, latent, torch.full((1,), now, device=features.device), detail)
            if index + 1 < len(times):
                latent = ddim_step(latent, self.embed(fused), now, after)
        return fused

    def _train_forward(self, features: Tensor, visible: Tensor, infrared: Tensor) -> EPOFusionOutput:
        # Stop-gradient: a target that can move would move to zero, where every prediction is right.
        embedding = self.embed(0.5 * (visible + infrared)).detach()
        time = torch.rand(features.shape[0], device=features.device) * LATEST_TRAINING_TIME
        signal, noise_scale = (part[:, None, None, None].to(features.dtype) for part in coefficients(time))
        noise = torch.randn_like(embedding)
        noisy = signal * embedding + noise_scale * noise
        detail = self.mscf.high_fidelity_share(torch.cat([visible, infrared], dim=1))
        fused = self._step(self._feature_share(features), noisy, time, detail)
        predicted = (noisy - signal * self.embed(fused)) / noise_scale
        return EPOFusionOutput(
            fused, self.guidance(features), noise, predicted, (signal / noise_scale).flatten(), embedding
        )

    def _feature_share(self, features: Tensor) -> Tensor:
        """What F_fusion adds to the 1x1 mix with the latent; the same at every step."""
        return F.conv2d(features, self.mix.weight[:, : self.config.channels], self.mix.bias)

    def _step(self, feature_share: Tensor, latent: Tensor, time: Tensor, high_fidelity_share: Tensor) -> Tensor:
        """One denoising step: latent (N, C, h, w) at `time` (N,) or (1,) to the fused image (N, 1, H, W)."""
        mixed = feature_share + F.conv2d(latent, self.mix.weight[:, self.config.channels :])
        embedding = self.time(log_snr(time).to(mixed.dtype))
        for layer in self.refine:
            mixed = layer(mixed, embedding)
        fused: Tensor = self.mscf(mixed, high_fidelity_share)
        return fused
