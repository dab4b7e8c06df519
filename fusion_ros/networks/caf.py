"""CAF's fusion network (Liu et al., "Where Elegance Meets Precision: Towards a Compact, Automatic, and Flexible
Framework for Multi-modality Image Fusion and Applications", IJCAI 2024).

The paper spends one sentence on the network ("three dense blocks"): its subject is the search for the loss. The
layers below follow the released code; `fusion_ros.training.losses.caf` holds the loss.

Where the released code and this module differ:

* Output activation. The released network ends in tanh although inputs and targets live in [0, 1], so some pixels come
  out negative; the released script writes them to uint8, where they wrap round to white specks. Here the output is
  always within [0, 1]: `"tanh"` (what the released weights need) is clamped in eval mode, `"sigmoid"` (what our own
  weights use) needs no clamp.
* Names. Layers are named for what they do; `fusion_ros.fusion.importers.caf` maps the released names to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

ACTIVATIONS = ("sigmoid", "tanh")


@dataclass(frozen=True)
class CAFConfig:
    """Sizes of `CAFNet`; the defaults are those of the released network (148,321 parameters).

    Attributes:
        encoder_channels: channels each modality's encoder makes.
        growth: channels each densely connected layer adds.
        dense_layers: number of densely connected layers.
        head_channels: channels of the two 3x3 convolutions that lead to the output.
        activation: `"sigmoid"`, or `"tanh"` for the released weights.
    """

    encoder_channels: int = 16
    growth: int = 32
    dense_layers: int = 3
    head_channels: tuple[int, int] = (64, 32)
    activation: str = "sigmoid"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: {self.activation!r} is not one of {', '.join(ACTIVATIONS)}")


class CAFOutput(NamedTuple):
    """What the losses need in train mode.

    Attributes:
        fused: (N, 1, H, W), not clamped: with tanh it may be negative, so that the loss can push it back.
    """

    fused: Tensor


class ConvNormReLU(nn.Module):
    """3x3 convolution, batch norm and ReLU: (N, in, H, W) -> (N, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(features)))


class CAFNet(nn.Module):
    """Two encoders, densely connected layers and a head, all at full resolution; any H and W.

    `forward(visible, infrared)` takes two (N, 1, H, W) tensors in [0, 1]. In eval mode it returns the fused luminance,
    (N, 1, H, W) in [0, 1]; in train mode a `CAFOutput`.
    """

    config_class: ClassVar[type] = CAFConfig

    def __init__(self, config: CAFConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CAFConfig()
        self.encode_infrared = ConvNormReLU(1, config.encoder_channels)
        self.encode_visible = ConvNormReLU(1, config.encoder_channels)
        channels = 2 * config.encoder_channels
        self.dense = nn.ModuleList()
        for _ in range(config.dense_layers):
            self.dense.append(ConvNormReLU(channels, config.growth))
            channels += config.growth
        wide, narrow = config.head_channels
        # The released head has no norm after its first convolution.
        self.reduce = nn.Conv2d(channels, wide, 3, padding=1)
        self.refine = ConvNormReLU(wide, narrow)
        self.reconstruct = nn.Conv2d(narrow, 1, 1)

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor | CAFOutput:
        features = torch.cat([self.encode_infrared(infrared), self.encode_visible(visible)], dim=1)
        for layer in self.dense:
            features = torch.cat([features, layer(features)], dim=1)
        logits = self.reconstruct(self.refine(torch.relu(self.reduce(features))))
        fused = torch.tanh(logits) if self.config.activation == "tanh" else torch.sigmoid(logits)
        if self.training:
            return CAFOutput(fused)
        return fused.clamp(0.0, 1.0) if self.config.activation == "tanh" else fused
