"""What global metrics do not see: how a fused image behaves inside and outside the over-exposed part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics import information, qabf, ssim, statistics, vif
from fusion_ros.metrics.profiles import METRICS
from fusion_ros.metrics.scoring import as_grey

Mask = NDArray[np.bool_]

SATURATED_LUMA = 250


def overexposure_mask(visible: NDArray[np.uint8], threshold: int = SATURATED_LUMA) -> Mask:
    """Pixels of the visible luminance at `threshold` or more.

    Args:
        visible: (H, W) uint8.
        threshold: grey level, 0 to 255.
    """
    return np.asarray(as_grey(visible, "visible") >= threshold)


def saturated_share(fused: NDArray[np.uint8], mask: Mask | None = None, threshold: int = SATURATED_LUMA) -> float:
    """Share of the masked pixels that are saturated in the fused image, 0 to 1; 0 for an empty mask."""
    values = as_grey(fused, "fused") if mask is None else as_grey(fused, "fused")[_checked(mask, fused.shape)]
    return float((values >= threshold).mean()) if values.size else 0.0


@dataclass(frozen=True)
class GradientRetention:
    """How much of the infrared image's structure the fused image shows inside a mask.

    Attributes:
        correlation: Pearson's r of the two Sobel magnitudes over the mask; 0 where one of them is constant.
        magnitude_ratio: sum of the fused magnitudes over the sum of the infrared's; 0 where the infrared has none.
    """

    correlation: float
    magnitude_ratio: float


def gradient_retention(infrared: NDArray[np.uint8], fused: NDArray[np.uint8], mask: Mask) -> GradientRetention:
    """Compare Sobel magnitudes of the fused and the infrared image inside a mask.

    Correlation alone is won by a faint copy (the average has .98 at half the magnitude), so both numbers count.

    Args:
        infrared: (H, W) uint8.
        fused: (H, W) uint8.
        mask: (H, W) bool.
    """
    infrared, fused = as_grey(infrared, "infrared"), as_grey(fused, "fused")
    mask = _checked(mask, fused.shape)
    ours = qabf.sobel_edges(fused).strength[mask].astype(np.float64)
    theirs = qabf.sobel_edges(infrared).strength[mask].astype(np.float64)
    if not theirs.size or theirs.sum() == 0:
        return GradientRetention(0.0, 0.0)
    return GradientRetention(statistics.correlation(theirs, ours), float(ours.sum() / theirs.sum()))


class RegionScorer:
    """The metrics of `fusion_metrics` (profile `textbook`) in parts of an image, for many fused images of one pair.

    Metrics of single pixels (EN, MI, SD, CC, SCD, MSE, PSNR) see the pixels of the mask. Metrics of windows (VIF,
    SSIM) see the windows centred in it, Qabf, AG and SF the derivatives at its pixels.

    Args:
        visible: (H, W) uint8.
        infrared: (H, W) uint8.

    Raises:
        InputError: a size differs.
    """

    def __init__(self, visible: NDArray[np.uint8], infrared: NDArray[np.uint8]) -> None:
        self._sources = _Prepared(as_grey(infrared, "infrared")), _Prepared(as_grey(visible, "visible"))
        if self._sources[0].image.shape != self._sources[1].image.shape:
            raise InputError(f"masked metrics: visible {visible.shape} and infrared {infrared.shape} differ in size")

    def score(self, fused: NDArray[np.uint8], masks: Sequence[Mask]) -> list[dict[str, float]]:
        """The twelve metrics under each mask, (H, W) bool; every one of them 0 for an empty mask."""
        prepared = _Prepared(as_grey(fused, "fused"))
        if prepared.image.shape != self._sources[0].image.shape:
            raise InputError(
                f"masked metrics: fused {prepared.image.shape} and the sources' size {self._sources[0].image.shape} "
                "differ"
            )
        return [self._score(prepared, _checked(mask, prepared.image.shape)) for mask in masks]

    def _score(self, fused: _Prepared, mask: Mask) -> dict[str, float]:
        if not mask.any():
            return dict.fromkeys(METRICS, 0.0)
        infrared, visible = self._sources
        a, b, f = (image.grey[mask] for image in (infrared, visible, fused))
        moments = statistics.Moments(a, b, f)
        mse = moments.mean_squared_error()
        shown = fused.image[mask]
        return {
            "EN": information.entropy(shown),
            "MI": sum(information.mutual_information(source.image[mask], shown) for source in self._sources),
            "VIF": sum(_masked_vif(source.pyramid, fused.pyramid, mask) for source in self._sources),
            "Qabf": qabf.qabf(infrared.edges, visible.edges, fused.edges, where=mask),
            "SSIM": sum(_masked_ssim(source.windows, fused.windows, mask) for source in self._sources) / 2.0,
            "SF": _masked_spatial_frequency(fused.grey, mask),
            "SD": float(f.std()),
            "AG": _masked_average_gradient(fused.image, mask),
            "CC": moments.correlation_coefficient(),
            "SCD": moments.sum_of_correlations_of_differences(),
            "PSNR": statistics.peak_signal_to_noise(mse),
            "MSE": mse,
        }


class _Prepared:
    """What the metrics need of one image, whatever the mask."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image
        self.grey = image.astype(np.float64)
        self.edges = qabf.sobel_edges(image)
        self.windows = ssim.SsimMoments(self.grey)
        self.pyramid = vif.VifPyramid(self.grey)


def masked_fusion_metrics(
    visible: NDArray[np.uint8], infrared: NDArray[np.uint8], fused: NDArray[np.uint8], mask: Mask
) -> dict[str, float]:
    """The twelve metrics of one triple under one mask; see `RegionScorer`, call it with `~mask` for the rest.

    Args:
        visible: (H, W) uint8.
        infrared: (H, W) uint8.
        fused: (H, W) uint8.
        mask: (H, W) bool.

    Returns:
        The twelve metrics; every one of them 0 for an empty mask.

    Raises:
        InputError: a size differs.
    """
    return RegionScorer(visible, infrared).score(fused, [mask])[0]


def _checked(mask: Mask, shape: tuple[int, ...]) -> Mask:
    if mask.shape != shape:
        raise InputError(f"mask: size {mask.shape} differs from the image's {shape}")
    return mask.astype(bool, copy=False)


def _at_window_centres(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask on the grid of windows that fit: its middle part; whole image windows count if any pixel does."""
    if shape == (1, 1):
        return np.array([[bool(mask.any())]])
    margins = [(size - valid) // 2 for size, valid in zip(mask.shape, shape, strict=True)]
    return mask[margins[0] : margins[0] + shape[0], margins[1] : margins[1] + shape[1]]


def _masked_ssim(source: ssim.SsimMoments, fused: ssim.SsimMoments, mask: Mask) -> float:
    values = ssim.ssim_map(source, fused)
    values = values[_at_window_centres(mask, values.shape)]
    return float(values.mean()) if values.size else 0.0


def _masked_vif(source: vif.VifPyramid, fused: vif.VifPyramid, mask: Mask) -> float:
    kept = there_was = 0.0
    factors = zip(source.scales, vif.kept_factors(source, fused), source.information_factors(), strict=True)
    for scale, factors_kept, factors_there in factors:
        # A pixel of a coarse scale stands for a patch of the finest one: nearest keeps it a mask.
        height, width = scale.image.shape
        at_scale = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
        where = _at_window_centres(at_scale, factors_kept.shape)
        kept += float(np.log(factors_kept[where]).sum())
        there_was += float(np.log(factors_there[where]).sum())
    return kept / there_was if there_was > vif.EPSILON else vif.VIF_OF_CONSTANT_REFERENCE


def _masked_spatial_frequency(image: NDArray[np.float64], mask: Mask) -> float:
    down, across = np.diff(image, axis=0)[mask[1:]], np.diff(image, axis=1)[mask[:, 1:]]
    return float(np.sqrt(sum(float((d**2).mean()) for d in (down, across) if d.size)))


def _masked_average_gradient(image: NDArray[np.uint8], mask: Mask) -> float:
    down, across = statistics.central_differences(image)
    return float(statistics.gradient_magnitude(down, across)[mask].mean(dtype=np.float64) / np.sqrt(2.0))
