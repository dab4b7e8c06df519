"""All twelve metrics of a triple of images in one call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics import qabf, ssim, vif
from fusion_ros.metrics.gradients import gradient_sum, squared_differences
from fusion_ros.metrics.levels import Levels, joint_entropy, squared_distance
from fusion_ros.metrics.parallel import in_parallel
from fusion_ros.metrics.pixels import PixelSums, gradient_metrics
from fusion_ros.metrics.profiles import METRICS, PROFILES, Profile

if TYPE_CHECKING:
    import torch

    Image = NDArray[np.uint8] | torch.Tensor


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
            [*(job for of_metric in jobs.values() for job in of_metric), *(partial(self.of_pixels, i) for i in images)]
        )
        windowed: dict[str, list[float]] = {}
        for name, metric in self._windowed.items():
            windowed[name] = metric.values(found[: len(jobs[name])])
            del found[: len(jobs[name])]
        rows: list[dict[str, float]] = found
        values = [row | {name: of[index] for name, of in windowed.items()} for index, row in enumerate(rows)]
        return [{name: row[name] for name in METRICS} for row in values]

    def of_pixels(self, image: NDArray[np.uint8]) -> dict[str, float]:
        """The metrics of histograms, moments and first differences, which cost little each."""
        a, b = self.infrared, self.visible
        sums = PixelSums(
            (*self._levels, Levels.of(image)),
            (squared_distance(a, b), squared_distance(a, image), squared_distance(b, image)),
            (joint_entropy(a, image), joint_entropy(b, image)),
        )
        gradients = gradient_metrics(squared_differences(image), gradient_sum(image), image.shape, self.profile)
        return sums.metrics(self.profile) | gradients


def fusion_metrics(visible: Image, infrared: Image, fused: Image, profile: str = "textbook") -> dict[str, float]:
    """Twelve fusion metrics of one triple.

    EN, SF, SD and AG look at the fused image alone; the others compare it with both sources: MI, VIF and SCD are sums
    over the two, CC, PSNR and MSE means, SSIM what the profile says. Constant and tiny images give documented values:
    correlation with a constant is 0, VIF of a constant reference 1, PSNR of identity 100 dB, Qabf of black images 0
    (flat images of another grey have edges at their rim, for the world outside is black).

    Args:
        visible: (H, W) uint8 luminance, numpy or torch; tensors on a GPU are computed with there.
        infrared: (H, W) uint8, same size.
        fused: (H, W) uint8, same size.
        profile: `textbook`, `tang2023` (what EPOFusion reports), `tang2022` (what DFVO reports) or `cddfuse`.

    Returns:
        EN, MI, VIF, Qabf, SSIM, SF, SD, AG, CC, SCD, PSNR, MSE.

    Raises:
        InputError: an image is not (H, W) uint8, sizes differ, or the profile is unknown.
    """
    if _on_accelerator(visible, infrared, fused):
        batch = fusion_metrics_batch(visible[None], infrared[None], fused[None], profile)  # type: ignore[index]
        return {name: float(values[0]) for name, values in batch.items()}
    return FusionScorer(visible, infrared, profile).score(fused)


def fusion_metrics_batch(
    visible: Any, infrared: Any, fused: Any, profile: str = "textbook"
) -> dict[str, NDArray[np.float64]]:
    """The metrics of many triples.

    Tensors on a GPU are computed with there, all triples at once where they come as (N, H, W) tensors.

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
    variants = find_profile(profile)
    if _on_accelerator(visible, infrared, fused):
        from fusion_ros.metrics.tensors import metrics_of_tensors

        return metrics_of_tensors(visible, infrared, fused, variants)
    rows = [fusion_metrics(v, i, f, profile) for v, i, f in zip(visible, infrared, fused, strict=True)]
    return {name: np.array([row[name] for row in rows], np.float64) for name in METRICS}


def _on_accelerator(*images: Any) -> bool:
    """Whether any is a tensor on a device other than the CPU that computes in double precision (Apple's does not)."""
    devices = {str(image.device).partition(":")[0] for image in images if hasattr(image, "detach")}
    return bool(devices - {"cpu", "mps"})
