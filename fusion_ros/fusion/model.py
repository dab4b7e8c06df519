"""A fusion method as a function of images: what `load_model` returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.fusion.color import luminance, to_eight_bit, to_unit_range, with_luminance
from fusion_ros.fusion.padding import crop, pad_to_multiple

LuminanceFusion = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
GuidedFusion = Callable[
    [NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32] | None]
]

LIKELY = 0.5


class FusionModel:
    """A network or a classical method with colour and padding around it.

    Attributes:
        name: the network or method, such as `caf-s` or `guided`.
        backend: `torch`, `onnx`, `tensorrt`, or `numpy` for a classical method.
        device: `cpu` or `cuda:N`.
        precision: `fp32`, `fp16` or `bf16`.
        weights: the file the network came from, None for a classical method.
    """

    def __init__(
        self,
        name: str,
        fusion: LuminanceFusion,
        *,
        multiple_of: int = 1,
        backend: str = "numpy",
        device: str = "cpu",
        precision: str = "fp32",
        weights: Path | None = None,
    ) -> None:
        self.name = name
        self.backend = backend
        self.device = device
        self.precision = precision
        self.weights = weights
        self._fusion = fusion
        self._multiple_of = multiple_of
        self._with_guidance: GuidedFusion | None = getattr(fusion, "with_guidance", None)

    def fuse(self, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fuse an RGB image with a thermal image on the same grid.

        Args:
            rgb_bgr: (H, W, 3) uint8 in BGR order.
            thermal: (H, W) uint8.

        Returns:
            (H, W, 3) uint8 in BGR order: the fused luminance with the RGB image's chroma. `thermal` is grey.

        Raises:
            InputError: for other dtypes or shapes, or unequal sizes.
        """
        _check(rgb_bgr, thermal)
        # Neither of these two needs a luminance, and a passthrough should not round colours.
        if self.name == "rgb":
            return np.array(rgb_bgr)
        if self.name == "thermal":
            return np.asarray(cv2.cvtColor(thermal, cv2.COLOR_GRAY2BGR), np.uint8)
        fused = self._run(luminance(rgb_bgr), to_unit_range(thermal))
        return with_luminance(rgb_bgr, to_eight_bit(fused))

    def fuse_with_guidance(
        self, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """`fuse`, and where the network sees salient objects that over-exposure hides.

        Returns:
            The fused image and (H, W) uint8, 255 where the network holds that for likelier than not, else 0; None in
            its place for methods that predict no such thing.

        Raises:
            InputError: as `fuse`.
        """
        if self._with_guidance is None:
            return self.fuse(rgb_bgr, thermal), None
        _check(rgb_bgr, thermal)
        height, width = thermal.shape
        images = (luminance(rgb_bgr), to_unit_range(thermal))
        fused, guidance = self._with_guidance(*(pad_to_multiple(image, self._multiple_of) for image in images))
        image = with_luminance(rgb_bgr, to_eight_bit(crop(fused, height, width)))
        if guidance is None:
            return image, None
        enlarged = np.asarray(cv2.resize(guidance, fused.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        return image, np.asarray((crop(enlarged, height, width) >= LIKELY) * 255, np.uint8)

    def fuse_luminance(self, visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse two (H, W) float32 images in [0, 1] into one.

        Raises:
            InputError: where the two differ in shape or are not (H, W).
        """
        if visible.ndim != 2 or visible.shape != infrared.shape or 0 in visible.shape:
            raise InputError(
                f"luminance {visible.shape} and infrared {infrared.shape}: must be (H, W), equal and not empty"
            )
        fused = self._run(np.asarray(visible, np.float32), np.asarray(infrared, np.float32))
        return np.asarray(np.clip(fused, 0.0, 1.0), np.float32)

    def warm_up(self, height: int, width: int) -> float:
        """Run once on blank images of this size, so that the first real pair finds everything allocated.

        Returns:
            Seconds it took.
        """
        start = time.perf_counter()
        self.fuse(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))
        return time.perf_counter() - start

    def _run(self, visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse two (H, W) images with padding around it; the result may leave [0, 1]."""
        height, width = visible.shape
        padded = (pad_to_multiple(image, self._multiple_of) for image in (visible, infrared))
        return crop(self._fusion(*padded), height, width)


def _check(rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]) -> None:
    if rgb_bgr.dtype != np.uint8 or rgb_bgr.ndim != 3 or rgb_bgr.shape[2] != 3 or 0 in rgb_bgr.shape:
        raise InputError(f"RGB image: {rgb_bgr.dtype} {rgb_bgr.shape} is not uint8 (H, W, 3)")
    if thermal.dtype != np.uint8 or thermal.ndim != 2:
        raise InputError(f"thermal image: {thermal.dtype} {thermal.shape} is not uint8 (H, W)")
    if thermal.shape != rgb_bgr.shape[:2]:
        raise InputError(
            f"thermal image: size {thermal.shape} is not the RGB image's {rgb_bgr.shape[:2]}; "
            "warp or resize it onto the RGB grid first"
        )
