"""The metrics that no window slides for, from sums over a triple, in a profile's variants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fusion_ros.metrics.gradients import average_gradient, spatial_frequency
from fusion_ros.metrics.levels import Levels, Moments
from fusion_ros.metrics.profiles import PSNR_OF_IDENTITY_DB, Profile

PSNR_OFFSET_DB = 20.0 * math.log10(255.0)


@dataclass(frozen=True)
class PixelSums:
    """Sums over a triple.

    Attributes:
        levels: histograms of infrared, visible and fused image.
        apart: squared distances of infrared and visible, infrared and fused, visible and fused image.
        joint_entropies: of infrared and fused, visible and fused image, in bits.
    """

    levels: tuple[Levels, Levels, Levels]
    apart: tuple[int, int, int]
    joint_entropies: tuple[float, float]

    def metrics(self, profile: Profile) -> dict[str, float]:
        """EN, MI, SD, CC, SCD, PSNR and MSE."""
        *sources, fused = self.levels
        shared = sum(
            max(source.entropy + fused.entropy - joint, 0.0)
            for source, joint in zip(sources, self.joint_entropies, strict=True)
        )
        moments = Moments(self.levels, self.apart)
        mse = moments.mean_squared_error()
        return {
            "EN": fused.entropy,
            "MI": shared * (math.log(2.0) if profile.mi_in_nats else 1.0),
            "SD": fused.standard_deviation(profile.saturating_sd),
            "CC": moments.correlation_coefficient(),
            "SCD": moments.sum_of_correlations_of_differences(),
            "PSNR": _psnr(mse, profile, fused.brightest),
            "MSE": mse / 255.0**2 if profile.unit_scale_mse else mse,
        }


def gradient_metrics(
    squares: tuple[int, int], total: float, shape: tuple[int, ...], profile: Profile
) -> dict[str, float]:
    """SF and AG of the fused image.

    Args:
        squares: see `squared_differences`.
        total: see `gradient_sum`.
        shape: (H, W).
        profile: whose variants.
    """
    return {
        "SF": spatial_frequency(squares, shape) / (255.0 if profile.unit_scale_sf else 1.0),
        "AG": average_gradient(total, shape, profile.ag_interior),
    }


def _psnr(mse: float, profile: Profile, brightest: int) -> float:
    """In decibel; `PSNR_OF_IDENTITY_DB` where the error is zero, 0 for a black image whose peak counts."""
    if mse == 0.0:
        return PSNR_OF_IDENTITY_DB
    peak = brightest if profile.psnr == "peak" else 255
    if peak == 0:
        return 0.0
    psnr = 10.0 * math.log10(peak * peak / mse)
    return psnr + PSNR_OFFSET_DB if profile.psnr == "offset" and psnr < PSNR_OF_IDENTITY_DB else psnr
