"""DFVO's details-extraction module (DEM)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bottleneck(nn.Sequential):
    """The functions phi, rho and eta of a node: 1x1, depthwise 3x3 with reflected border, 1x1, without bias or norm.

    (N, C, H, W) in and out; H and W at least 2.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU6(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(hidden, hidden, 3, groups=hidden, bias=False),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )


class InvertibleNode(nn.Module):
    """Affine coupling of the two halves of the channels after a 1x1 mix; loses no information.

    z2 <- z2 + phi(z1); z1 <- z1 exp(rho(z2)) + eta(z2). (N, C, H, W) in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.shuffle = nn.Conv2d(channels, channels, 1)
        self.phi = Bottleneck(half, channels)
        self.rho = Bottleneck(half, channels)
        self.eta = Bottleneck(half, channels)

    def forward(self, features: Tensor) -> Tensor:
        first, second = self.shuffle(features).chunk(2, dim=1)
        second = second + self.phi(first)
        first = first * torch.exp(self.rho(second)) + self.eta(second)
        return torch.cat([first, second], dim=1)

    def inverse(self, features: Tensor) -> Tensor:
        """What `forward` was given, from what it returned (as far as the 1x1 mix can be inverted)."""
        first, second = features.chunk(2, dim=1)
        first = (first - self.eta(second)) * torch.exp(-self.rho(second))
        mixed = torch.cat([first, second - self.phi(first)], dim=1)
        matrix = torch.linalg.inv(self.shuffle.weight[:, :, 0, 0])
        assert self.shuffle.bias is not None
        return torch.einsum("oc,nchw->nohw", matrix, mixed - self.shuffle.bias[None, :, None, None])


class DetailsExtraction(nn.Sequential):
    """DEM of one modality: three invertible nodes, (N, C, H, W) in and out."""

    def __init__(self, channels: int, nodes: int = 3) -> None:
        super().__init__(*(InvertibleNode(channels) for _ in range(nodes)))
