"""The twelve metrics in the plainest form their definitions allow: the oracle of the tests, and the slow end of the
benchmark. Two-dimensional windows, scipy's direct convolution, one comparison at a time, nothing shared.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import convolve2d


def gaussian_window(size: int, sigma: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    window = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    return window / window.sum()


def entropy(f):
    p = np.bincount(f.ravel(), minlength=256) / f.size
    return -sum(q * math.log2(q) for q in p if q > 0)


def mutual_information(a, f):
    joint = np.zeros((256, 256))
    np.add.at(joint, (a.ravel(), f.ravel()), 1)
    joint /= joint.sum()
    outer = joint.sum(1)[:, None] * joint.sum(0)[None]
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / outer[some])).sum())


def vifp(reference, distorted, saturating=False):
    if not saturating:
        # Variances do not depend on the origin, but about the most frequent level rounding does not hide small ones.
        reference, distorted = (x - np.bincount(x.astype(int).ravel()).argmax() for x in (reference, distorted))
    numerator = denominator = 0.0
    for n in (17, 9, 5, 3):
        window = gaussian_window(n, n / 5)

        def blur(image, window=window):
            return convolve2d(image, window, mode="valid")

        if n < 17 and min(reference.shape) >= n:
            reference, distorted = blur(reference)[::2, ::2], blur(distorted)[::2, ::2]
        if min(reference.shape) < n:
            break  # our rule: the definition says nothing of images that small

        def product(first, second, n=n):
            return np.minimum(first * second, 255) if saturating and n == 17 else first * second

        mean_r, mean_d = blur(reference), blur(distorted)
        var_r = np.maximum(blur(product(reference, reference)) - mean_r**2, 0)
        var_d = np.maximum(blur(product(distorted, distorted)) - mean_d**2, 0)
        covariance = blur(product(reference, distorted)) - mean_r * mean_d
        gain = covariance / (var_r + 1e-10)
        residual = var_d - gain * covariance
        gain[var_r < 1e-10] = 0
        residual[var_r < 1e-10] = var_d[var_r < 1e-10]
        var_r[var_r < 1e-10] = 0
        gain[var_d < 1e-10] = 0
        residual[var_d < 1e-10] = 0
        residual[gain < 0] = var_d[gain < 0]
        gain[gain < 0] = 0
        residual = np.maximum(residual, 1e-10)
        numerator += np.log10(1 + gain**2 * var_r / (residual + 2)).sum()
        denominator += np.log10(1 + var_r / 2).sum()
    return numerator / denominator if denominator else 1.0


def edges(image):
    vertical = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], float)
    horizontal = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)
    sx, sy = (convolve2d(image, kernel, mode="same") for kernel in (horizontal, vertical))
    angle = np.full(image.shape, math.pi / 2)
    angle[sx != 0] = np.arctan(sy[sx != 0] / sx[sx != 0])
    return np.sqrt(sx**2 + sy**2), angle


def qabf(a, b, f, equal_strength_over=None):
    strength_f, angle_f = edges(f)
    numerator = denominator = 0.0
    for source in (a, b):
        strength, angle = edges(source)
        weaker, stronger = np.minimum(strength, strength_f), np.maximum(strength, strength_f)
        ratio = np.where(stronger > 0, weaker / np.where(stronger > 0, stronger, 1), 1)
        if equal_strength_over:
            ratio = np.where(strength == strength_f, strength_f / equal_strength_over, ratio)
        turn = 1 - np.abs(angle - angle_f) / (math.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (turn - 0.8)))
        numerator += (quality * strength).sum()
        denominator += strength.sum()
    return numerator / denominator if denominator else 0.0


def ssim(x, y):
    window = gaussian_window(11, 1.5)

    def blur(image):
        return convolve2d(image, window, mode="valid")

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def ssim_of_floats(x, y):
    """scikit-image's default window for images it takes to range over 2, as one evaluator calls it."""
    count, window = 49, np.full((7, 7), 1 / 49)

    def blur(image):
        return convolve2d(image, window, mode="valid")

    mx, my = blur(x), blur(y)
    sample = count / (count - 1)
    vx, vy, vxy = (sample * (blur(p) - m) for p, m in ((x * x, mx**2), (y * y, my**2), (x * y, mx * my)))
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    return float(((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def saturating_deviation(f):
    above = np.floor(np.clip(f - f.mean(), 0, 255) + 0.5)
    return math.sqrt(np.minimum(above**2, 255).mean())


def pearson(x, y):
    if x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])


def textbook(visible, infrared, fused, vif=vifp):
    a, b, f = (image.astype(np.float64) for image in (infrared, visible, fused))
    mse = (((f - a) ** 2).mean() + ((f - b) ** 2).mean()) / 2
    gy, gx = np.gradient(f)
    return {
        "EN": entropy(fused),
        "MI": mutual_information(infrared, fused) + mutual_information(visible, fused),
        "VIF": vif(a, f) + vif(b, f),
        "Qabf": qabf(a, b, f),
        "SSIM": (ssim(a, f) + ssim(b, f)) / 2,
        "SF": math.sqrt((np.diff(f, axis=0) ** 2).mean() + (np.diff(f, axis=1) ** 2).mean()),
        "SD": f.std(),
        "AG": np.sqrt((gx**2 + gy**2) / 2).mean(),
        "CC": (pearson(a, f) + pearson(b, f)) / 2,
        "SCD": pearson(f - b, a) + pearson(f - a, b),
        "PSNR": 10 * math.log10(255**2 / mse) if mse else 100.0,
        "MSE": mse,
    }


def profile(name, visible, infrared, fused, vif=vifp):
    """The metrics as each lineage of code writes them down."""
    a, b, f = (image.astype(np.float64) for image in (infrared, visible, fused))
    values = textbook(visible, infrared, fused, vif)
    unit_mse = ((((f - a) / 255) ** 2).mean() + (((f - b) / 255) ** 2).mean()) / 2
    height, width = f.shape
    if name in ("tang2022", "tang2023"):
        values["MSE"] = unit_mse
        # The peak of 8-bit images over the error of images in the unit range.
        values["PSNR"] = 20 * math.log10(255 / math.sqrt(unit_mse)) if unit_mse else 100.0
        values["AG"] *= height * width / ((height - 1) * (width - 1))
    if name == "tang2023":
        # Images of 0..255 are multiplied by 255 once more.
        values["SSIM"] = (ssim(a * 255, f * 255) + ssim(b * 255, f * 255)) / 2
        values["Qabf"] = qabf(a, b, f, equal_strength_over=1)
    if name == "tang2022":
        values["SF"] /= 255
        values["SD"] = saturating_deviation(f)
        values["VIF"] = vif(a, f, saturating=True) + vif(b, f, saturating=True)
        values["Qabf"] = qabf(a, b, f, equal_strength_over=255)  # images in the unit range
    if name == "cddfuse":
        values["MI"] *= math.log(2)
        values["PSNR"] = 10 * math.log10(f.max() ** 2 / values["MSE"]) if values["MSE"] and f.max() else 0.0
        values["PSNR"] = 100.0 if not values["MSE"] else values["PSNR"]
        values["Qabf"] = qabf(a, b, f, equal_strength_over=1)
        values["SSIM"] = ssim_of_floats(a, f) + ssim_of_floats(b, f)
    return values
