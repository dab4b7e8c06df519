"""All twelve metrics of a triple of images in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics import qabf, ssim, vif
from fusion_ros.metrics.gradients import average_gradient, spatial_frequency
from fusion_ros.metrics.levels import Levels, Moments, joint_counts, mutual_information, peak_signal_to_noise
from fusion_ros.metrics.parallel import in_parallel
from fusion_ros.metrics.profiles import METRICS, PROFILES, PSNR_OF_IDENTITY_DB, Profile

if TYPE_CHECKING:
    import torch

    Image = NDArray[np.uint8] | torch.Tensor

PSNR_OFFSET_DB = 20.0 * math.log10(255.0)


def find_profile(name: str) -> Profile:
    """The profile of that name; InputError lists the names there are."""
    try:
        return PROFILES[name]
    except KeyError:
        raise InputError(f"profile: {name!r} is not known ({', '.join(PROFILES)})") from None


def as_grey(image: Image, name: str) -> NDArray[np.uint8]:
    """Check and hand back one (H, W) uint8 image as a numpy array."""
    array = image.detach().cpu().numpy() if hasattr(image, "detach") else np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 2 or array.size == 0:
        raise InputError(
            f"{name}: {array.dtype} of shape {array.shape} cannot be scored; give the grey image as (H, W) uint8 "
            "(entropy and mutual information need whole grey levels: round and clip first)"
        )
    return np.ascontiguousarray(array)


class FusionScorer:
    """Scores any number of fused images of one pair.

    Several threads may use one scorer at the same time.

    Args:
        visible: (H, W) uint8 luminance.
        infrared: (H, W) uint8, same size.
        profile: a name from `PROFILES`.

    Raises:
        InputError: an image is not (H, W) uint8, the sizes differ, or the profile is unknown.
    """

    def __init__(self, visible: Image, infrared: Image, profile: str = "textbook") -> None:
        self.profile = find_profile(profile)
        self.visible, self.infrared = as_grey(visible, "visible"), as_grey(infrared, "infrared")
        self._check_size(self.infrared, "infrared")
        sources = self.infrared, self.visible
        self._levels = Levels.of(self.infrared), Levels.of(self.visible)
        self._windowed: dict[str, vif.Fidelity | ssim.Similarity | qabf.EdgePreservation] = {
            "VIF": vif.Fidelity(sources, self.profile.saturating_vif),
            "SSIM": ssim.Similarity(sources, self.profile.ssim),
            "Qabf": qabf.EdgePreservation(sources, self.profile.qabf_equal_strength),
        }

    def _check_size(self, image: NDArray[np.uint8], name: str) -> None:
        if image.shape != self.visible.shape:
            raise InputError(
                f"{name}: size {image.shape} differs from the visible image's {self.visible.shape}; "
                "resizing here would hide lost resolution, bring all three to one grid first"
            )

    def score(self, fused: Image) -> dict[str, float]:
        """The metrics of `METRICS` for one fused image, (H, W) uint8 of the sources' size."""
        return self.score_all([fused])[0]

    def score_all(self, fused: Sequence[Image]) -> list[dict[str, float]]:
        """The metrics of several fused images; what depends on the sources alone is computed once for all of them.

        Args:
            fused: (H, W) uint8 each, of the sources' size.

        Returns:
            For each the same numbers as `score`, to the last digit.
        """
        images = [as_grey(image, "fused") for image in fused]
        for image in images:
            self._check_size(image, "fused")
        if not images:
            return []
        jobs = {name: metric.jobs(images) for name, metric in self._windowed.items()}
        found = in_parallel(
            [*(job for of_metric in jobs.values() for job in of_metric), *(partial(self._of_pixels, i) for i in images)]
        )
        windowed: dict[str, list[float]] = {}
        for name, metric in self._windowed.items():
            windowed[name] = metric.values(found[: len(jobs[name])])
            del found[: len(jobs[name])]
        rows: list[dict[str, float]] = found
        values = [row | {name: of[index] for name, of in windowed.items()} for index, row in enumerate(rows)]
        return [{name: row[name] for name in METRICS} for row in values]

    def _of_pixels(self, image: NDArray[np.uint8]) -> dict[str, float]:
        """The metrics of histograms, moments and first differences, which cost little each."""
        profile, sources = self.profile, (self.infrared, self.visible)
        joint = [joint_counts(source, image) for source in sources]
        levels = Levels(joint[0].sum(axis=0))
        shared = sum(mutual_information(of, levels, counts) for of, counts in zip(self._levels, joint, strict=True))
        moments = Moments((*sources, image), (*self._levels, levels))
        mse = moments.mean_squared_error()
        return {
            "EN": levels.entropy,
            "MI": shared * (math.log(2.0) if profile.mi_in_nats else 1.0),
            "SF": spatial_frequency(image) / (255.0 if profile.unit_scale_sf else 1.0),
            "SD": levels.standard_deviation(profile.saturating_sd),
            "AG": average_gradient(image, profile.ag_interior),
            "CC": moments.correlation_coefficient(),
            "SCD": moments.sum_of_correlations_of_differences(),
            "PSNR": _psnr(profile, mse, levels.brightest),
            "MSE": mse / 255.0**2 if profile.unit_scale_mse else mse,
        }


def _psnr(profile: Profile, mse: float, brightest: int) -> float:
    if profile.psnr == "peak":
        return peak_signal_to_noise(mse, float(brightest))
    psnr = peak_signal_to_noise(mse)
    return psnr + PSNR_OFFSET_DB if profile.psnr == "offset" and psnr < PSNR_OF_IDENTITY_DB else psnr


def fusion_metrics(visible: Image, infrared: Image, fused: Image, profile: str = "textbook") -> dict[str, float]:
    """Twelve fusion metrics of one triple.

    EN, SF, SD and AG look at the fused image alone; the others compare it with both sources: MI, VIF and SCD are sums
    over the two, CC, PSNR and MSE means, SSIM what the profile says. Constant and tiny images give documented values:
    correlation with a constant is 0, VIF of a constant reference 1, PSNR of identity 100 dB, Qabf without edges 0.

    Args:
        visible: (H, W) uint8 luminance, numpy or torch.
        infrared: (H, W) uint8, same size.
        fused: (H, W) uint8, same size.
        profile: `textbook`, `tang2023` (what EPOFusion reports), `tang2022` (what DFVO reports) or `cddfuse`.

    Returns:
        EN, MI, VIF, Qabf, SSIM, SF, SD, AG, CC, SCD, PSNR, MSE.

    Raises:
        InputError: an image is not (H, W) uint8, sizes differ, or the profile is unknown.
    """
    return FusionScorer(visible, infrared, profile).score(fused)


def fusion_metrics_batch(
    visible: Any, infrared: Any, fused: Any, profile: str = "textbook"
) -> dict[str, NDArray[np.float64]]:
    """The metrics of many triples.

    Args:
        visible: sequence of (H, W) uint8, or (N, H, W) uint8; the images of different triples may differ in size.
        infrared: as many.
        fused: as many.
        profile: see `fusion_metrics`.

    Returns:
        For each metric an (N,) float64 array.

    Raises:
        InputError: as `fusion_metrics`, or the counts differ.
    """
    if not len(visible) == len(infrared) == len(fused):
        raise InputError(
            f"batch: {len(visible)} visible, {len(infrared)} infrared and {len(fused)} fused images; "
            "give as many of each"
        )
    rows = [fusion_metrics(v, i, f, profile) for v, i, f in zip(visible, infrared, fused, strict=True)]
    return {name: np.array([row[name] for row in rows], np.float64) for name in METRICS}
