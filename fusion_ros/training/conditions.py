"""What is measured of a fusion method under glare and in the dark, beyond the general metrics."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.fusion.color import luminance, to_eight_bit
from fusion_ros.metrics import fusion_metrics, gradient_retention, masked_fusion_metrics, overexposure_mask
from fusion_ros.metrics.overexposure import saturated_share

Image = NDArray[np.uint8]
Fuse = Callable[[Image, Image], Image]

# Flat and dark: luminance below this, and the smoothed image's local deviation below that, in grey levels.
DARK_LUMA = 60
FLAT_DEVIATION = 2.5
NOISE_DEVIATION = 2.0
SMALLEST_REGION = 50


def gray(image: Image) -> Image:
    """Luminance of (H, W, 3) BGR as (H, W) uint8; a grey image as it is."""
    return to_eight_bit(luminance(image)) if image.ndim == 3 else image


def glare_figures(fuse: Fuse, visible: Image, infrared: Image, clean: Image | None = None) -> dict[str, float]:
    """Behaviour of a method on an over-exposed pair.

    Args:
        fuse: (H, W, 3) BGR and (H, W) infrared to the fused luminance, (H, W) uint8.
        visible: (H, W, 3) uint8 with over-exposed pixels.
        infrared: (H, W) uint8.
        clean: the same image before the glare was added, where there is one.

    Returns:
        `correlation` and `ratio` of fused and infrared Sobel magnitudes and the `saturated` share, inside the
        over-exposed pixels; `VIF outside`, `Qabf outside` of the rest; `VIF clean`, `Qabf clean` of the whole picture
        against the clean image. NaN inside where nothing is over-exposed.
    """
    fused, seen = fuse(visible, infrared), gray(visible)
    mask = overexposure_mask(seen)
    figures = dict.fromkeys(("correlation", "ratio", "saturated"), float("nan"))
    if mask.sum() >= SMALLEST_REGION:
        retained = gradient_retention(infrared, fused, mask)
        figures = {
            "correlation": retained.correlation,
            "ratio": retained.magnitude_ratio,
            "saturated": saturated_share(fused, mask),
        }
    outside = masked_fusion_metrics(seen, infrared, fused, ~mask)
    figures |= {"VIF outside": outside["VIF"], "Qabf outside": outside["Qabf"]}
    if clean is not None:
        whole = fusion_metrics(gray(clean), infrared, fused)
        figures |= {"VIF clean": whole["VIF"], "Qabf clean": whole["Qabf"]}
    return figures


def darkness_figures(fuse: Fuse, visible: Image, infrared: Image, seed: int = 0) -> dict[str, float]:
    """Behaviour of a method on a dark pair.

    The noise of the fused image is told from its texture by fusing twice: with Gaussian noise of two grey levels added
    to the visible image and without. What changes, in places that are dark and flat in the visible image, is amplified
    noise; it is compared with what the luminance of the same places has gained.

    Args:
        fuse: see `glare_figures`.
        visible: (H, W, 3) uint8.
        infrared: (H, W) uint8.
        seed: of the noise.

    Returns:
        SF, AG, VIF, CC; `light`: mean fused over mean visible luminance; `newly saturated`: share of pixels at 250 or
        more that were not in either source; `noise gain` over `light gain` of dark flat places, and both. NaN without
        such places.
    """
    fused, seen = fuse(visible, infrared), gray(visible)
    metrics = fusion_metrics(seen, infrared, fused)
    figures = {name: metrics[name] for name in ("SF", "AG", "VIF", "CC")}
    figures["light"] = float(fused.mean() / max(float(seen.mean()), 1.0))
    figures["newly saturated"] = float(((fused >= 250) & (seen < 250) & (infrared < 250)).mean())
    smooth = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 1.5)
    spread = cv2.sqrt(cv2.max(cv2.blur(smooth * smooth, (9, 9)) - cv2.blur(smooth, (9, 9)) ** 2, 0))
    flat = (smooth < DARK_LUMA) & (spread < FLAT_DEVIATION)
    figures |= dict.fromkeys(("noise gain", "light gain", "noise over light"), float("nan"))
    if flat.sum() < SMALLEST_REGION:
        return figures
    noise = np.random.default_rng(seed).normal(0.0, NOISE_DEVIATION, seen.shape)
    noisy = np.clip(np.rint(visible + noise[..., None]), 0, 255).astype(np.uint8)
    added = (gray(noisy).astype(np.float64) - seen)[flat]
    changed = (fuse(noisy, infrared).astype(np.float64) - fused)[flat]
    figures["noise gain"] = float(changed.std() / max(float(added.std()), 1e-6))
    figures["light gain"] = float((fused[flat].mean() + 1.0) / (seen[flat].mean() + 1.0))
    figures["noise over light"] = figures["noise gain"] / figures["light gain"]
    return figures
