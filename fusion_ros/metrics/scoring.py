"""All twelve metrics of a triple of images in one call."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics import information, qabf, ssim, statistics, vif
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
    """Scores any number of fused images of one pair; what only depends on the sources is computed once.

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
        self._visible, self._infrared = self._prepare(self.visible, self.infrared)

    def _check_size(self, image: NDArray[np.uint8], name: str) -> None:
        if image.shape != self.visible.shape:
            raise InputError(
                f"{name}: size {image.shape} differs from the visible image's {self.visible.shape}; "
                "resizing here would hide lost resolution, bring all three to one grid first"
            )

    def _prepare(self, *images: NDArray[np.uint8]) -> list[_Prepared]:
        profile = self.profile
        greys = [image.astype(np.float64) for image in images]
        parts = in_parallel(
            [
                job
                for image, grey in zip(images, greys, strict=True)
                for job in (
                    partial(vif.VifPyramid, grey, profile.saturating_vif),
                    partial(ssim.SsimMoments, grey, profile.ssim.window),
                    partial(qabf.sobel_edges, image),
                )
            ]
        )
        return [_Prepared(grey, *parts[3 * index : 3 * index + 3]) for index, grey in enumerate(greys)]

    def score(self, fused: Image) -> dict[str, float]:
        """The metrics of `METRICS` for one fused image, (H, W) uint8 of the sources' size."""
        image = as_grey(fused, "fused")
        self._check_size(image, "fused")
        a, b, profile = self._infrared, self._visible, self.profile
        (f,) = self._prepare(image)
        parts: list[dict[str, float]] = in_parallel(
            [
                lambda: {"VIF a": vif.vif(a.pyramid, f.pyramid)},
                lambda: {"VIF b": vif.vif(b.pyramid, f.pyramid)},
                lambda: {"Qabf": qabf.qabf(a.edges, b.edges, f.edges, profile.qabf_equal_strength)},
                lambda: {"SSIM a": ssim.ssim(a.similarity, f.similarity, profile.ssim)},
                lambda: {"SSIM b": ssim.ssim(b.similarity, f.similarity, profile.ssim)},
                lambda: self._of_grey_levels(image, f.grey),
            ]
        )
        values = {name: value for part in parts for name, value in part.items()}
        similarity = values["SSIM a"] + values["SSIM b"]
        values["SSIM"] = similarity / 2.0 if profile.ssim.mean else similarity
        values["VIF"] = values["VIF a"] + values["VIF b"]
        return {name: values[name] for name in METRICS}

    def _of_grey_levels(self, image: NDArray[np.uint8], grey: NDArray[np.float64]) -> dict[str, float]:
        """The metrics of histograms, moments and first differences, which cost little each."""
        profile = self.profile
        moments = statistics.Moments(self._infrared.grey, self._visible.grey, grey)
        mse = moments.mean_squared_error()
        return {
            "EN": information.entropy(image),
            "MI": information.mutual_information(self.infrared, image, profile.mi_in_nats)
            + information.mutual_information(self.visible, image, profile.mi_in_nats),
            "SF": statistics.spatial_frequency(image) / (255.0 if profile.unit_scale_sf else 1.0),
            "SD": statistics.standard_deviation(grey, profile.saturating_sd),
            "AG": statistics.average_gradient(image, profile.ag_interior),
            "CC": moments.correlation_coefficient(),
            "SCD": moments.sum_of_correlations_of_differences(),
            "PSNR": _psnr(profile, mse, grey),
            "MSE": mse / 255.0**2 if profile.unit_scale_mse else mse,
        }


class _Prepared:
    """What several metrics need of one image."""

    def __init__(
        self,
        grey: NDArray[np.float64],
        pyramid: vif.VifPyramid,
        similarity: ssim.SsimMoments,
        edges: qabf.Edges,
    ) -> None:
        self.grey, self.pyramid, self.similarity, self.edges = grey, pyramid, similarity, edges


def _psnr(profile: Profile, mse: float, fused: NDArray[np.float64]) -> float:
    if profile.psnr == "peak":
        return statistics.peak_signal_to_noise(mse, float(fused.max()))
    psnr = statistics.peak_signal_to_noise(mse)
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
