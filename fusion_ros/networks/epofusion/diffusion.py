"""EPOFusion's diffusion: noise schedule, time embedding, embedding of images, and the steps of the sampler."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

NOISE_SEED = 2026
NOISE_TILE = 32


def log_snr(time: Tensor) -> Tensor:
    """Logarithm of the signal-to-noise ratio of the cosine schedule at times in [0, 1]; any shape, same shape."""
    angle = (time + 0.0002) / 1.00025 * (math.pi / 2)
    return -torch.log((torch.cos(angle) ** -2 - 1).clamp(min=1e-5))


def coefficients(time: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise coefficient a, s of x_t = a x_0 + s eps, with a^2 + s^2 = 1; any shape, same shape.

    The paper's Eq. 3 calls them alpha and beta; the released code returns them in this order and unpacks them under
    swapped names, which does no harm.
    """
    ratio = log_snr(time)
    return torch.sqrt(torch.sigmoid(ratio)), torch.sqrt(torch.sigmoid(-ratio))


def sampling_times(steps: int, difference: int = 1) -> list[tuple[float, float]]:
    """(now, next) of each step. Three steps: (1, 1/3), (2/3, 0), (1/3, 0): the released sampler looks `difference`
    steps further ahead than it walks (the paper writes t = T-1 ... 0).
    """
    return [(1 - index / steps, max(1 - (index + 1 + difference) / steps, 0.0)) for index in range(steps)]


def ddim_step(noisy: Tensor, clean: Tensor, now: float, after: float) -> Tensor:
    """From x at time `now` and the estimate of x_0 to x at time `after`, without new noise.

    eps = (x - a_now x_0) / s_now; x' = a_next x_0 + s_next eps. The paper's Eq. 4 divides by the signal coefficient
    instead, which is 8e-5 at t = 1.
    """
    signal_now, noise_now = constant_coefficients(now)
    signal_next, noise_next = constant_coefficients(after)
    noise = (noisy - signal_now * clean) / noise_now
    return signal_next * clean + noise_next * noise


def constant_coefficients(time: float) -> tuple[float, float]:
    """`coefficients` at one time as plain numbers, which an exported graph holds as constants."""
    inverse = 1 / math.cos((time + 0.0002) / 1.00025 * (math.pi / 2)) ** 2
    odds = 1 / max(inverse - 1, 1e-5)
    return math.sqrt(odds / (1 + odds)), math.sqrt(1 / (1 + odds))


def fixed_noise(channels: int, height: int, width: int, tile: Tensor) -> Tensor:
    """The start of the sampler, (1, C, height, width): a tile repeated, the same for every frame so that video does
    not flicker (the released code draws anew each time).
    """
    rows = torch.arange(height, device=tile.device) % tile.shape[2]
    columns = torch.arange(width, device=tile.device) % tile.shape[3]
    return tile[:, :channels].index_select(2, rows).index_select(3, columns)


def noise_tile(channels: int) -> Tensor:
    """Standard normal noise from a fixed seed, (1, C, 32, 32)."""
    generator = torch.Generator("cpu").manual_seed(NOISE_SEED)
    return torch.randn(1, channels, NOISE_TILE, NOISE_TILE, generator=generator, device="cpu")


class TimeEmbedding(nn.Module):
    """Log-SNR of each sample, (N,), to its embedding, (N, `channels`): learned sinusoids, then two linear layers."""

    def __init__(self, channels: int, frequencies: int = 8) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(frequencies))
        self.layers = nn.Sequential(nn.Linear(2 * frequencies + 1, channels), nn.GELU(), nn.Linear(channels, channels))

    def forward(self, ratio: Tensor) -> Tensor:
        ratio = ratio[:, None]
        phase = 2 * math.pi * ratio * self.frequencies
        embedding: Tensor = self.layers(torch.cat([ratio, phase.sin(), phase.cos()], dim=1))
        return embedding


class ImageEmbedding(nn.Sequential):
    """The "down" of the paper's Fig. 2: image to latent, (N, 1, H, W) -> (N, `channels`, H/4, W/4).

    One module embeds the target I_pseudo in training and re-embeds every fused image.
    """

    def __init__(self, channels: int, hidden: int = 64) -> None:
        super().__init__(
            nn.Conv2d(1, hidden, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
