"""DFVO's network ("DFVO: Learning darkness-free visible and infrared image disentanglement and fusion all at once")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.networks.dfvo.attention import HyperCrossAttention
from fusion_ros.networks.dfvo.detail import DetailsExtraction
from fusion_ros.networks.dfvo.layers import Decoder, IlluminationNet, chain

TOPOLOGIES = ("repaired", "released")
STRIDE = 4
HALO = 16
"""Rows that a row of the result depends on, above and below, attention aside: 4 in the encoder, 6 in the invertible
nodes, 1 in the shared convolution, 5 in the decoder."""


@dataclass(frozen=True)
class DFVOConfig:
    """Variant of `DFVONet`.

    Attributes:
        topology: `"repaired"` (2.5 M parameters in use at inference) or `"released"` (9.57 M), for released weights.
        channels: channels of the encoders at full resolution, first to last.
        attention_channels: channels of the values in the attention.
        key_channels: channels of its queries and keys.
        training_heads: whether the network has the decoders of the enhanced and the infrared image and the illumination
            net, which train mode needs; a released inference file has not.
        strip_pixels: in eval mode the layers at full resolution run on strips of at most this many pixels (and at least
            a few rows), with the same result: it bounds the memory of their 128-channel features. 480x640 is one strip.
    """

    topology: str = "repaired"
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    attention_channels: int = 256
    key_channels: int = 32
    training_heads: bool = True
    strip_pixels: int = 5 * 2**16

    def __post_init__(self) -> None:
        if self.topology not in TOPOLOGIES:
            raise ValueError(f"topology: {self.topology!r} is not one of {', '.join(TOPOLOGIES)}")


class DFVOOutput(NamedTuple):
    """What the losses need in train mode; each (N, 1, H, W) in [0, 1].

    Attributes:
        fused: fused luminance.
        enhanced: enhanced visible luminance (the reflectance in Retinex terms).
        illumination: illumination of the visible luminance.
        infrared: infrared image reconstructed from its base and detail features.
    """

    fused: Tensor
    enhanced: Tensor
    illumination: Tensor
    infrared: Tensor


class Downsample(nn.Sequential):
    """Encoder features to tokens: (N, C, H, W) -> (N, C', H/4, W/4)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, out_channels, 3, stride=STRIDE, padding=1),
            nn.MaxPool2d(3, stride=1, padding=1),
        )


class Upsample(nn.Module):
    """Tokens back to full resolution: (N, C', H/4, W/4) -> (N, C, H, W).

    The released transposed convolution has stride 4 and dilation 2 and reaches one pixel in four; the others are its
    bias, a grid in the base features. Repaired: convolution, then bilinear enlargement.
    """

    def __init__(self, channels: int, out_channels: int, *, released: bool) -> None:
        super().__init__()
        self.layer: nn.Conv2d | nn.ConvTranspose2d
        if released:
            self.layer = nn.ConvTranspose2d(
                channels, out_channels, 3, stride=STRIDE, padding=1, output_padding=1, dilation=2
            )
        else:
            self.layer = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.released = released

    def forward(self, tokens: Tensor) -> Tensor:
        features: Tensor = self.layer(tokens)
        if self.released:
            return features
        return F.interpolate(features, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)


class DFVONet(nn.Module):
    """Dual encoder, hyper cross-attention for the base, invertible nodes for the detail, one decoder for each purpose.

    `forward(visible, infrared)` takes two (N, 1, H, W) tensors in [0, 1], H and W multiples of 4. In eval mode it
    returns the fused luminance, (N, 1, H, W) in [0, 1], and runs encoders, attention, detail module and fusion decoder
    only; in train mode a `DFVOOutput`.

    Where the released code differs from the paper or from sense (`"released"` keeps all of it):

    * The infrared detail passes the visible one's convolution ("speckle removal"); its own is dead weight. Shared here
      in both topologies, as trained and as the paper's parameter count has it.
    * No scale in the attention, dense trained Sobel layers: see `HyperCrossAttention`. 7.08 M parameters less.
    * The way up from the attention leaves a grid: see `Upsample`.
    * Batch norm momentum .9: see `CBL`.

    ONNX: by tracing (`traced_export`), which keeps the loop over slices of the attention; see `attend`.
    """

    config_class: ClassVar[type] = DFVOConfig
    multiple_of: ClassVar[int] = 4
    traced_export: ClassVar[bool] = True

    def __init__(self, config: DFVOConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DFVOConfig()
        released = config.topology == "released"
        momentum = 0.9 if released else 0.1
        channels, deep, wide = config.channels, config.channels[-1], config.attention_channels
        self.encode_visible = chain((1, *channels), momentum)
        self.encode_infrared = chain((1, *channels), momentum)
        self.down_visible = Downsample(deep, wide)
        self.down_infrared = Downsample(deep, wide)
        self.attention = HyperCrossAttention(wide, config.key_channels, released=released)
        self.up_visible = Upsample(wide, deep, released=released)
        self.up_infrared = Upsample(wide, deep, released=released)
        self.detail_visible = DetailsExtraction(deep)
        self.detail_infrared = DetailsExtraction(deep)
        self.remove_speckle = nn.Conv2d(deep, deep, 3, padding=1)
        backwards = channels[::-1]
        self.decode_fused = Decoder((2 * deep, *backwards), momentum)
        if config.training_heads:
            self.decode_enhanced = Decoder(backwards, momentum)
            self.decode_infrared = Decoder(backwards, momentum)
            self.illumination = IlluminationNet(momentum)

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor | DFVOOutput:
        return self._train_forward(visible, infrared) if self.training else self._fuse(visible, infrared)

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that eval mode uses."""
        for name, parameter in self.named_parameters():
            if not name.startswith(("decode_enhanced", "decode_infrared", "illumination")):
                yield parameter

    def _train_forward(self, visible: Tensor, infrared: Tensor) -> DFVOOutput:
        if not self.config.training_heads:
            raise RuntimeError("this DFVONet was made without training heads; only eval mode works")
        encoded_visible, encoded_infrared = self.encode_visible(visible), self.encode_infrared(infrared)
        base_visible, base_infrared = self.attention(
            self.down_visible(encoded_visible), self.down_infrared(encoded_infrared)
        )
        base_visible = self.up_visible(base_visible) + encoded_visible
        base_infrared = self.up_infrared(base_infrared) + encoded_infrared
        detail_visible = self.remove_speckle(self.detail_visible(encoded_visible))
        detail_infrared = self.remove_speckle(self.detail_infrared(encoded_infrared))
        both = torch.cat([base_visible + base_infrared, detail_visible + detail_infrared], dim=1)
        return DFVOOutput(
            fused=self.decode_fused(both),
            enhanced=self.decode_enhanced(base_visible + detail_visible),
            illumination=self.illumination(visible),
            infrared=self.decode_infrared(base_infrared + detail_infrared),
        )

    def _fuse(self, visible: Tensor, infrared: Tensor) -> Tensor:
        strips = self._strips(visible)
        if len(strips) == 1:
            return self._fuse_whole(visible, infrared)
        tokens_visible = self._tokens(visible, self.encode_visible, self.down_visible, strips)
        tokens_infrared = self._tokens(infrared, self.encode_infrared, self.down_infrared, strips)
        tokens_visible, tokens_infrared = self.attention(tokens_visible, tokens_infrared)
        pieces = []
        for strip in strips:
            rows, cells = slice(strip.start, strip.stop), slice(strip.start // STRIDE, strip.stop // STRIDE)
            # Encoded a second time: to keep all strips' features would be what strips are to avoid.
            encoded = (
                encode(image[:, :, rows])
                for encode, image in ((self.encode_visible, visible), (self.encode_infrared, infrared))
            )
            fused = self._decode(encoded, tokens_visible[:, :, cells], tokens_infrared[:, :, cells])
            pieces.append(strip.core(fused))
        return torch.cat(pieces, dim=2)

    def _fuse_whole(self, visible: Tensor, infrared: Tensor) -> Tensor:
        encoded_visible, encoded_infrared = self.encode_visible(visible), self.encode_infrared(infrared)
        tokens_visible, tokens_infrared = self.attention(
            self.down_visible(encoded_visible), self.down_infrared(encoded_infrared)
        )
        return self._decode(iter((encoded_visible, encoded_infrared)), tokens_visible, tokens_infrared)

    def _decode(self, encoded: Iterator[Tensor], tokens_visible: Tensor, tokens_infrared: Tensor) -> Tensor:
        """The fused rows of encoded visible and infrared image, taken in this order.

        Each feature map here is as large as 128 images: they come one at a time, sums replace their parts, and what is
        not needed any more goes at once.
        """
        features = next(encoded)
        detail = self.remove_speckle(self.detail_visible(features))
        base = self.up_visible(tokens_visible) + features
        del features
        features = next(encoded)
        detail = detail + self.remove_speckle(self.detail_infrared(features))
        base = base + self.up_infrared(tokens_infrared) + features
        del features
        both = [torch.cat([base, detail], dim=1)]
        del base, detail
        fused: Tensor = self.decode_fused(both.pop())
        return fused

    def _tokens(self, image: Tensor, encode: nn.Module, down: nn.Module, strips: list[Strip]) -> Tensor:
        pieces = [strip.core(down(encode(image[:, :, strip.start : strip.stop])), STRIDE) for strip in strips]
        return torch.cat(pieces, dim=2)

    def _strips(self, image: Tensor) -> list[Strip]:
        height = image.shape[2]
        if torch.jit.is_tracing():  # type: ignore[attr-defined]
            return [Strip(0, 0, height, height)]
        whole_rows = self.config.strip_pixels // (image.shape[0] * image.shape[3])
        if height <= whole_rows:
            return [Strip(0, 0, height, height)]
        step = max(2 * STRIDE, (whole_rows - 2 * HALO) // STRIDE * STRIDE)
        return [Strip.around(first, min(first + step, height), height) for first in range(0, height, step)]


class Strip(NamedTuple):
    """Rows [first, last) of an image of which rows [start, stop) are computed.

    Layers pad the outside of the image as always. Inside, a strip's edge makes the `HALO` rows next to it wrong; they
    are dropped.
    """

    first: int
    start: int
    last: int
    stop: int

    @classmethod
    def around(cls, first: int, last: int, height: int) -> Strip:
        return cls(first, max(first - HALO, 0), last, min(last + HALO, height))

    def core(self, rows: Tensor, stride: int = 1) -> Tensor:
        """The rows that are right, of a result at 1/`stride` of the resolution."""
        return rows[:, :, (self.first - self.start) // stride : (self.last - self.start) // stride]
