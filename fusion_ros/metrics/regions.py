"""The metrics in parts of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics import qabf, ssim, vif
from fusion_ros.metrics.gradients import twice_the_gradient
from fusion_ros.metrics.levels import Levels, joint_entropy, squared_distance
from fusion_ros.metrics.overexposure import Mask, checked_mask
from fusion_ros.metrics.parallel import in_parallel
from fusion_ros.metrics.pixels import PixelSums
from fusion_ros.metrics.profiles import METRICS, PROFILES
from fusion_ros.metrics.scoring import as_grey
from fusion_ros.metrics.windows import strips

Image = NDArray[np.uint8]
# (fused images, masks)
Values = NDArray[np.float64]


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

    def __init__(self, visible: Image, infrared: Image) -> None:
        self._sources = as_grey(infrared, "infrared"), as_grey(visible, "visible")
        if self._sources[0].shape != self._sources[1].shape:
            raise InputError(f"masked metrics: visible {visible.shape} and infrared {infrared.shape} differ in size")
        self._pyramids = [vif.pyramid(vif.finest(source)) for source in self._sources]
        self._edges = [qabf.EdgeImage(source) for source in self._sources]
        self._comparison = ssim.Comparison(PROFILES["textbook"].ssim, self._sources[0].shape)

    def score(self, fused: Image, masks: Sequence[Mask]) -> list[dict[str, float]]:
        """The twelve metrics under each mask, (H, W) bool; every one of them 0 for an empty mask."""
        return self.score_all([fused], masks)[0]

    def score_all(self, fused: Sequence[Image], masks: Sequence[Mask]) -> list[list[dict[str, float]]]:
        """As `score`, for several fused images; what depends on the sources alone is computed once for all of them."""
        images = [as_grey(image, "fused") for image in fused]
        shape = self._sources[0].shape
        for image in images:
            if image.shape != shape:
                raise InputError(f"masked metrics: fused {image.shape} and the sources' size {shape} differ")
        masks = [checked_mask(mask, shape) for mask in masks]
        names = ("VIF", "SSIM", "Qabf", "AG")
        jobs = (self._fidelity, self._similarity, self._edges_kept, _average_gradient)
        windowed = dict(zip(names, in_parallel([partial(job, images, masks) for job in jobs]), strict=True))
        scores: list[list[dict[str, float]]] = []
        for number, image in enumerate(images):
            scores.append([])
            for place, mask in enumerate(masks):
                values = {name: float(of[number, place]) for name, of in windowed.items()}
                values = values | self._of_pixels(image, mask) if mask.any() else dict.fromkeys(METRICS, 0.0)
                scores[-1].append({name: values[name] for name in METRICS})
        return scores

    def _of_pixels(self, image: Image, mask: Mask) -> dict[str, float]:
        a, b, shown = (each[mask] for each in (*self._sources, image))
        sums = PixelSums(
            (Levels.of(a), Levels.of(b), Levels.of(shown)),
            (squared_distance(a, b), squared_distance(a, shown), squared_distance(b, shown)),
            (joint_entropy(a, shown), joint_entropy(b, shown)),
        )
        return sums.metrics(PROFILES["textbook"]) | {"SF": _spatial_frequency(image, mask)}

    def _fidelity(self, images: Sequence[Image], masks: Sequence[Mask]) -> Values:
        pyramids = [vif.pyramid(vif.finest(image)) for image in images]
        sums = np.zeros((len(images), len(masks), len(self._sources), 2))
        for level, scale in enumerate(self._pyramids[0]):
            sources, fused = ([scales[level] for scales in of] for of in (self._pyramids, pyramids))
            at_scale = [_at_scale(mask, scale) for mask in masks]
            for rows in strips(scale.shape):
                for number, index, *maps in vif.information_maps(sources, fused, rows):
                    for place, mask in enumerate(at_scale):
                        sums[number, place, index] += [values[mask[rows]].sum() for values in maps]
        ratios = [vif.fidelity(float(kept), float(there)) for kept, there in sums.reshape(-1, 2)]
        return np.asarray(np.array(ratios).reshape(sums.shape[:3]).sum(axis=2))

    def _similarity(self, images: Sequence[Image], masks: Sequence[Mask]) -> Values:
        at_windows = [_at_window_centres(mask, self._comparison.shape) for mask in masks]
        sums = np.zeros((len(images), len(masks)))
        for rows in strips(self._comparison.shape):
            for number, quarter in self._comparison.maps(self._sources, images, rows):
                sums[number] += [4.0 * quarter[mask[rows]].sum() for mask in at_windows]
        return sums / [max(int(mask.sum()), 1) * len(self._sources) for mask in at_windows]

    def _edges_kept(self, images: Sequence[Image], masks: Sequence[Mask]) -> Values:
        fused = [qabf.EdgeImage(image) for image in images]
        sums = np.zeros((len(images), len(masks), 2))
        for rows in strips(self._sources[0].shape):
            for number, *maps in qabf.edges_kept(self._edges, fused, rows):
                for place, mask in enumerate(masks):
                    sums[number, place] += [values[mask[rows]].sum(dtype=np.float64) for values in maps]
        ratios = [qabf.qabf(float(kept), float(there)) for kept, there in sums.reshape(-1, 2)]
        return np.array(ratios).reshape(sums.shape[:2])


def masked_fusion_metrics(visible: Image, infrared: Image, fused: Image, mask: Mask) -> dict[str, float]:
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


def _at_window_centres(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask on the grid of windows that fit: its middle part; whole image windows count if any pixel does."""
    if shape == (1, 1):
        return np.array([[bool(mask.any())]])
    margins = [(size - valid) // 2 for size, valid in zip(mask.shape, shape, strict=True)]
    return mask[margins[0] : margins[0] + shape[0], margins[1] : margins[1] + shape[1]]


def _at_scale(mask: Mask, scale: vif.Scale) -> Mask:
    """The mask on the grid of a scale's windows: a pixel there stands for a patch of the finest scale."""
    size = scale.image.shape[1], scale.image.shape[0]
    nearest = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return _at_window_centres(nearest, scale.shape)


def _spatial_frequency(image: Image, mask: Mask) -> float:
    grey = image.astype(np.float64)
    down, across = np.diff(grey, axis=0)[mask[1:]], np.diff(grey, axis=1)[mask[:, 1:]]
    return math.sqrt(sum(float((d**2).mean()) for d in (down, across) if d.size))


def _average_gradient(images: Sequence[Image], masks: Sequence[Mask]) -> Values:
    sums = np.zeros((len(images), len(masks)))
    for of_image, image in zip(sums, images, strict=True):
        for rows, twice in twice_the_gradient(image):
            of_image += [twice[mask[rows]].sum(dtype=np.float64) for mask in masks]
    return sums / math.sqrt(8.0) / [max(int(mask.sum()), 1) for mask in masks]
