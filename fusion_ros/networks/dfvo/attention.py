"""DFVO's hyper cross-attention module (HCAM), with memory linear in the number of pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MAP_ELEMENTS = 2**24
"""Most elements of the attention map that exist at a time: 64 MiB in fp32."""


def sobel_kernels() -> Tensor:
    """Horizontal and vertical Sobel kernel, (2, 3, 3)."""
    horizontal = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    return torch.stack([horizontal, horizontal.T])


class DepthwiseSobel(nn.Module):
    """|Sobel_x| + |Sobel_y| of each channel: (N, C, H, W) in and out. Fixed, no parameters."""

    horizontal: Tensor
    vertical: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        for name, kernel in zip(("horizontal", "vertical"), sobel_kernels(), strict=True):
            self.register_buffer(name, kernel.expand(channels, 1, 3, 3).contiguous(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        horizontal = F.conv2d(features, self.horizontal, padding=1, groups=self.channels)
        return horizontal.abs() + F.conv2d(features, self.vertical, padding=1, groups=self.channels).abs()


class DenseSobel(nn.Module):
    """The released network's Sobel layer: every output channel sums the gradients of all channels, and is trained.

    74% of the released network's parameters sit here. (N, C, H, W) in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.horizontal = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.vertical = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        with torch.no_grad():
            for layer, kernel in zip((self.horizontal, self.vertical), sobel_kernels(), strict=True):
                layer.weight.copy_(kernel.expand_as(layer.weight))

    def forward(self, features: Tensor) -> Tensor:
        horizontal: Tensor = self.horizontal(features)
        return horizontal.abs() + self.vertical(features).abs()


class SobelProjection(nn.Module):
    """Sobel magnitudes, then 1x1 convolution: (N, C, H, W) -> (N, `out_channels`, H, W)."""

    def __init__(self, channels: int, out_channels: int, *, dense: bool) -> None:
        super().__init__()
        self.sobel = DenseSobel(channels) if dense else DepthwiseSobel(channels)
        self.project = nn.Conv2d(channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.project(self.sobel(features))
        return projected


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """softmax(scale q k^T) v over pixels: (N, d, h, w), (N, d, h, w), (N, C, h, w) -> (N, C, h, w).

    The result is exact: a query's softmax needs all keys but no other query, so queries are taken a slice at a time,
    and at most `MAP_ELEMENTS` of the map live at once (one query's row, where that is longer). With gradients, each
    slice is computed again on the way back. On a CPU a fused kernel for the whole map exists only where values are as
    narrow as keys (here they are 256 to 32). A traced graph (ONNX export with `dynamo=False`) keeps the loop, for
    every size of image; torch's newer exporter fails on loops over a symbolic number of slices.
    """
    queries, keys, values = _tokens(query), _tokens(key), _tokens(value)
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        traced = _scripted_loop()(queries * scale, keys, values, MAP_ELEMENTS)
        return traced.transpose(1, 2).reshape(value.shape[0], value.shape[1], query.shape[2], query.shape[3])
    keep_graph = torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value))
    pieces = []
    for part in queries.split(max(1, MAP_ELEMENTS // (keys.shape[0] * keys.shape[1])), dim=1):
        if keep_graph:
            pieces.append(checkpoint(_attend_slice, part, keys, values, scale, use_reentrant=False))
        else:
            pieces.append(_attend_slice(part, keys, values, scale))
    return torch.cat(pieces, dim=1).transpose(1, 2).unflatten(2, query.shape[2:])


def _tokens(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h w, C)."""
    return features.flatten(2).transpose(1, 2)


def _attend_slice(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    # One head, so that the fused kernels that do take wide values are found.
    gathered = F.scaled_dot_product_attention(query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1), scale=scale)
    return gathered.squeeze(1)


def _attend_in_loop(query: Tensor, key: Tensor, value: Tensor, map_elements: int) -> Tensor:
    step = map_elements // key.shape[1] + 1
    transposed = key.transpose(1, 2)
    pieces: list[Tensor] = []
    for index in range((query.shape[1] + step - 1) // step):
        part = query[:, index * step : (index + 1) * step]
        pieces.append(torch.bmm(torch.softmax(torch.bmm(part, transposed), dim=-1), value))
    return torch.cat(pieces, dim=1)


@functools.cache
def _scripted_loop() -> Callable[[Tensor, Tensor, Tensor, int], Tensor]:
    """`_attend_in_loop` with its loop kept: tracing would unroll it for one size of image."""
    scripted: Callable[[Tensor, Tensor, Tensor, int], Tensor] = torch.jit.script(_attend_in_loop)
    return scripted


class HyperCrossAttention(nn.Module):
    """HCAM (paper Fig. 2, Eq. 6-9): gradients of both modalities ask, each modality answers for the other.

    Q from both, K_vi, K_ir, V_vi, V_ir; A_m = softmax(s Q K_m^T); out_vi = A_ir V_vi, out_ir = A_vi V_ir.

    The paper scales by s = 1 / sqrt(d), the released code by 1. With its dense Sobel layers the logits then reach 10^7:
    the softmax picks one token. Repaired: scaled, and depthwise Sobel.

    Args:
        released: dense Sobel layers and no scale.
    """

    def __init__(self, channels: int = 256, key_channels: int = 32, *, released: bool = False) -> None:
        super().__init__()
        self.scale = 1.0 if released else key_channels**-0.5
        self.query = SobelProjection(2 * channels, key_channels, dense=released)
        self.key_visible = SobelProjection(channels, key_channels, dense=released)
        self.key_infrared = SobelProjection(channels, key_channels, dense=released)
        self.value_visible = nn.Conv2d(channels, channels, 1)
        self.value_infrared = nn.Conv2d(channels, channels, 1)

    def forward(self, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, h, w) of each modality to the attended values of each, same shape."""
        query = self.query(torch.cat([visible, infrared], dim=1))
        from_visible = attend(query, self.key_infrared(infrared), self.value_visible(visible), self.scale)
        from_infrared = attend(query, self.key_visible(visible), self.value_infrared(infrared), self.scale)
        return from_visible, from_infrared
