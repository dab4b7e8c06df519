"""Fusion without a network: the controls that every network is measured against, and the fallback for all of them.

All work on 8 bit luminance, (H, W) uint8, which is what fast box filters want; `guided` works in float inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class GuidedFusionConfig:
    """Parameters of guided-filter fusion; the defaults of Li et al., except where said.

    Attributes:
        base_size: side of the box that splits an image into base and detail, in pixels (paper: 31).
        saliency_sigma: Gaussian that smooths the Laplacian into a saliency map, in pixels (paper: 5).
        base_radius, base_epsilon: guided filter on the base layer's weight (paper: 45, 0.3).
        detail_radius, detail_epsilon: guided filter on the detail layer's weight (paper: 7, 1e-6).
        base_step, detail_step: a filter's coefficients are found on a grid coarser by this and enlarged (He and Sun's
            "fast guided filter"). Windows are 91 and 15 pixels wide, so that little is lost but time.
        saliency_step: likewise for the Gaussian of the saliency map.
    """

    base_size: int = 31
    saliency_sigma: float = 5.0
    base_radius: int = 45
    base_epsilon: float = 0.3
    detail_radius: int = 7
    detail_epsilon: float = 1e-6
    base_step: int = 4
    detail_step: int = 2
    saliency_step: int = 2


class GuidedFusion:
    """Two-scale fusion with guided filtering (Li, Kang, Hu: "Image Fusion With Guided Filtering", TIP 2013).

    Each image is split into a base (box mean) and a detail layer. The more salient image wins a pixel (Laplacian
    magnitude, smoothed); a guided filter bends that binary choice along the image's own edges, widely for the base
    and narrowly for the detail; the layers are then mixed with the two weights, which add to one.
    """

    def __init__(self, config: GuidedFusionConfig | None = None) -> None:
        self.config = config or GuidedFusionConfig()

    def __call__(self, visible: Image, infrared: Image) -> Image:
        """Fuse two (H, W) float32 images in [0, 1]; the result may leave [0, 1] by a little."""
        config = self.config
        salient = np.asarray(self._saliency(visible) >= self._saliency(infrared), np.float32)
        base_weight = _mean_of_weights(
            _guided_filter(visible, salient, config.base_radius, config.base_epsilon, config.base_step),
            1 - _guided_filter(infrared, salient, config.base_radius, config.base_epsilon, config.base_step),
        )
        detail_weight = _mean_of_weights(
            _guided_filter(visible, salient, config.detail_radius, config.detail_epsilon, config.detail_step),
            1 - _guided_filter(infrared, salient, config.detail_radius, config.detail_epsilon, config.detail_step),
        )
        size = (config.base_size, config.base_size)
        difference = visible - infrared
        base_difference = cv2.boxFilter(difference, -1, size, borderType=cv2.BORDER_REFLECT)
        # base_ir + w_b (base_vi - base_ir) + detail_ir + w_d (detail_vi - detail_ir), with the terms collected.
        return np.asarray(
            infrared + base_weight * base_difference + detail_weight * (difference - base_difference), np.float32
        )

    def _saliency(self, image: Image) -> Image:
        magnitude = np.abs(cv2.Laplacian(image, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT_101))
        sigma, step = self.config.saliency_sigma, self.config.saliency_step
        full_size = (magnitude.shape[1], magnitude.shape[0])
        size = (max(1, full_size[0] // step), max(1, full_size[1] // step))
        smooth = cv2.GaussianBlur(_resized(np.asarray(magnitude), size, cv2.INTER_AREA), (0, 0), sigma / step)
        return _resized(np.asarray(smooth), full_size, cv2.INTER_LINEAR)


def _mean_of_weights(visible_weight: Image, complement_of_infrared_weight: Image) -> Image:
    """Normalise the pair of weights: w_vi / (w_vi + w_ir), each clamped to [0, 1] first."""
    own = np.clip(visible_weight, 0, 1)
    other = np.clip(complement_of_infrared_weight, 0, 1)
    return np.asarray((own + 1e-6) / (own + other + 2e-6), np.float32)


def _guided_filter(guide: Image, source: Image, radius: int, epsilon: float, step: int) -> Image:
    """He et al.'s guided filter; with `step` > 1 its coefficients are found on a coarser grid."""
    full_size = guide.shape[1::-1]
    fine_guide = guide
    if step > 1 and min(guide.shape) >= 2 * step:
        size = (full_size[0] // step, full_size[1] // step)
        guide, source = _resized(guide, size, cv2.INTER_AREA), _resized(source, size, cv2.INTER_AREA)
        radius = max(1, round(radius / step))
    side = (2 * radius + 1, 2 * radius + 1)

    def box(image: Image) -> Image:
        return np.asarray(cv2.boxFilter(image, -1, side, borderType=cv2.BORDER_REFLECT), np.float32)

    guide_mean, source_mean = box(guide), box(source)
    covariance = box(guide * source) - guide_mean * source_mean
    variance = box(guide * guide) - guide_mean * guide_mean
    slope = covariance / (np.maximum(variance, 0) + np.float32(epsilon))
    offset = box(source_mean - slope * guide_mean)
    slope = box(slope)
    if slope.shape != fine_guide.shape:
        slope, offset = _resized(slope, full_size, cv2.INTER_LINEAR), _resized(offset, full_size, cv2.INTER_LINEAR)
    return np.asarray(slope * fine_guide + offset, np.float32)


def _resized(image: Image, size: tuple[int, int], interpolation: int) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.float32)


def average(visible: Image, infrared: Image) -> Image:
    """(Y + IR) / 2."""
    return np.asarray(cv2.addWeighted(visible, 0.5, infrared, 0.5, 0.0), np.float32)


def visible_only(visible: Image, infrared: Image) -> Image:
    """The visible luminance unchanged."""
    return visible


def infrared_only(visible: Image, infrared: Image) -> Image:
    """The infrared image unchanged."""
    return infrared


CLASSICAL: dict[str, Callable[[], Callable[[Image, Image], Image]]] = {
    "guided": GuidedFusion,
    "average": lambda: average,
    "rgb": lambda: visible_only,
    "thermal": lambda: infrared_only,
}
