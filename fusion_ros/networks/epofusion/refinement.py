"""EPOFusion's refinement layer: deformable self-attention and a feed-forward net, modulated by time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sine_position(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Sine encoding of pixel centres, (1, H W, C): first half rows, second half columns; normalised to 2 pi.

    Source: DETR's encoding with temperature 10^4 as the released configuration sets it.
    """
    half = channels // 2
    exponent = 2 * torch.div(torch.arange(half, device=like.device), 2, rounding_mode="floor") / half
    periods = 10000.0**exponent

    def encode(count: int) -> Tensor:
        places = (torch.arange(count, device=like.device) + 0.5) / (count + 1e-6) * (2 * math.pi)
        phase = places[:, None] / periods
        return torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=2).flatten(1)

    rows = encode(height)[:, None].expand(height, width, half)
    columns = encode(width)[None].expand(height, width, half)
    return torch.cat([rows, columns], dim=2).reshape(1, height * width, channels).to(like.dtype)


def pixel_centres(height: int, width: int, like: Tensor) -> Tensor:
    """(x, y) of each pixel's centre as a share of the image, (H W, 2)."""
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    columns = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    grid = torch.stack([columns[None].expand(height, width), rows[:, None].expand(height, width)], dim=2)
    return grid.reshape(height * width, 2)


class DeformableAttention(nn.Module):
    """Deformable self-attention on one level (Zhu et al., Deformable DETR, Eq. 2), in plain torch.

    Each query samples `points` places per head, bilinearly and with zeros outside the image, and weighs them by a
    softmax. No residual here.
    """

    def __init__(self, channels: int, heads: int, points: int) -> None:
        super().__init__()
        self.heads = heads
        self.points = points
        self.offsets = nn.Linear(channels, heads * points * 2)
        self.weights = nn.Linear(channels, heads * points)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        # Each head starts in its own direction, each point one pixel further out.
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=1)
        direction = direction / direction.abs().amax(dim=1, keepdim=True)
        reach = torch.arange(1, self.points + 1)
        with torch.no_grad():
            self.offsets.bias.copy_((direction[:, None] * reach[None, :, None]).flatten())

    def forward(self, query: Tensor, features: Tensor, height: int, width: int) -> Tensor:
        """Attend.

        Args:
            query: (N, H W, C), features plus position.
            features: (N, H W, C), what is sampled.
            height: H of the map.
            width: W of the map.

        Returns:
            (N, H W, C).
        """
        batch, tokens, channels = features.shape
        size = torch.tensor([width, height], device=query.device, dtype=query.dtype)
        value = self.value(features).transpose(1, 2).reshape(batch * self.heads, -1, height, width)
        offsets = self.offsets(query).reshape(batch, tokens, self.heads, self.points, 2)
        places = pixel_centres(height, width, query)[:, None, None] + offsets / size
        weights = self.weights(query).reshape(batch, tokens, self.heads, self.points).softmax(dim=3)
        grid = (2 * places - 1).transpose(1, 2).reshape(batch * self.heads, tokens, self.points, 2)
        sampled = F.grid_sample(value, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weights = weights.transpose(1, 2).reshape(batch * self.heads, 1, tokens, self.points)
        gathered = (sampled * weights).sum(dim=3).reshape(batch, channels, tokens)
        attended: Tensor = self.output(gathered.transpose(1, 2))
        return attended


class RefinementLayer(nn.Module):
    """One post-norm transformer layer, then scale and shift by the time's embedding (FiLM); (N, C, h, w) in and out.

    The paper's Fig. 2 draws a stack; one layer agrees with its parameter count and with the released configuration.
    """

    def __init__(self, channels: int, time_channels: int, heads: int = 8, points: int = 4, widen: int = 4) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, heads, points)
        self.norm_attention = nn.LayerNorm(channels)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, widen * channels), nn.GELU(), nn.Linear(widen * channels, channels)
        )
        self.norm_feed_forward = nn.LayerNorm(channels)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, 2 * channels))
        for module in (self.feed_forward, self.modulation):
            for layer in module.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        tokens = features.flatten(2).transpose(1, 2)
        query = tokens + sine_position(height, width, channels, tokens)
        tokens = self.norm_attention(tokens + self.attention(query, tokens, height, width))
        tokens = self.norm_feed_forward(tokens + self.feed_forward(tokens))
        scale, shift = self.modulation(time)[:, None].chunk(2, dim=2)
        tokens = tokens * (1 + scale) + shift
        return tokens.transpose(1, 2).reshape(batch, channels, height, width)
