"""EPOFusion's guidance module: where over-exposure hides a salient infrared object."""

from __future__ import annotations

from torch import Tensor, nn


class GuidanceHead(nn.Module):
    """FCN head on F_fusion: (N, C, H/4, W/4) -> (N, 2, H/4, W/4), logits of background and object.

    The paper's Fig. 2-III draws six convolutions without widths; this is the head of the released configuration, whose
    loss the released training step leaves out. It shapes F_fusion while training; fusion does not need its answer.
    """

    def __init__(self, channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(channels, 2, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features)
        return logits
