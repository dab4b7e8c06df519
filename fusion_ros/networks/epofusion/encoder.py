"""EPOFusion's encoder: ConvNeXt on luminance and infrared together (early fusion)."""

from __future__ import annotations

from collections.abc import Sequence

from timm.layers import LayerNorm2d
from timm.models.convnext import ConvNeXtBlock
from torch import Tensor, nn


class ConvNeXtEncoder(nn.Module):
    """ConvNeXt with timm's blocks and a norm on each stage's output.

    (N, 2, H, W) -> four maps, (N, `widths[i]`, H / 2^(i+2), W / 2^(i+2)). Sides that are no multiple of 32 lose their
    rest at each stage.

    As in the released code: layer scale starts at 1 (not 1e-6, for the network is trained from scratch), stochastic
    depth rises linearly to `drop_path`.
    """

    def __init__(self, depths: Sequence[int], widths: Sequence[int], drop_path: float) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        self.stages = nn.ModuleList()
        self.norms = nn.ModuleList()
        last = max(sum(depths) - 1, 1)
        rates = [drop_path * index / last for index in range(sum(depths))]
        previous = 2
        for index, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if index == 0:
                down = nn.Sequential(nn.Conv2d(previous, width, 4, stride=4), LayerNorm2d(width, eps=1e-6))
            else:
                down = nn.Sequential(LayerNorm2d(previous, eps=1e-5), nn.Conv2d(previous, width, 2, stride=2))
            blocks = [ConvNeXtBlock(width, ls_init_value=1.0, drop_path=rates.pop(0)) for _ in range(depth)]
            self.down.append(down)
            self.stages.append(nn.Sequential(*blocks))
            self.norms.append(LayerNorm2d(width, eps=1e-6))
            previous = width

    def forward(self, images: Tensor) -> list[Tensor]:
        features, outputs = images, []
        for down, stage, norm in zip(self.down, self.stages, self.norms, strict=True):
            features = stage(down(features))
            outputs.append(norm(features))
        return outputs
