"""Metrics inside and outside a mask."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.metrics import (
    fusion_metrics,
    gradient_retention,
    masked_fusion_metrics,
    overexposure_mask,
    saturated_share,
)


def waves(shape, period):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (127 + 100 * np.sin(rows / period) * np.cos(columns / (period + 2))).round().astype(np.uint8)


VISIBLE, INFRARED = waves((64, 80), 9), waves((64, 80), 4)


def test_a_full_mask_gives_the_global_metrics():
    fused = np.maximum(VISIBLE, INFRARED)
    everywhere = np.ones(fused.shape, bool)
    expected = fusion_metrics(VISIBLE, INFRARED, fused)
    for name, value in masked_fusion_metrics(VISIBLE, INFRARED, fused, everywhere).items():
        assert value == pytest.approx(expected[name], rel=1e-6), name


def test_inside_and_outside_see_their_own_part():
    mask = np.zeros(VISIBLE.shape, bool)
    mask[:, 40:] = True
    fused = np.where(mask, INFRARED, VISIBLE)
    inside = masked_fusion_metrics(VISIBLE, INFRARED, fused, mask)
    outside = masked_fusion_metrics(VISIBLE, INFRARED, fused, ~mask)
    # Inside the fused image is the infrared one, outside the visible one: the error is that to the other source alone.
    error = (INFRARED.astype(float) - VISIBLE.astype(float)) ** 2
    assert inside["MSE"] == pytest.approx(error[mask].mean() / 2)
    assert outside["MSE"] == pytest.approx(error[~mask].mean() / 2)
    assert inside["SD"] == pytest.approx(INFRARED[mask].astype(float).std())


def test_an_empty_mask_gives_zeros():
    values = masked_fusion_metrics(VISIBLE, INFRARED, VISIBLE, np.zeros(VISIBLE.shape, bool))
    assert set(values.values()) == {0.0}


def test_gradient_retention_tells_a_faint_copy_from_a_full_one():
    mask = np.ones(INFRARED.shape, bool)
    mask[:2] = mask[-2:] = mask[:, :2] = mask[:, -2:] = False  # away from the rim, where the world is black
    full = gradient_retention(INFRARED, INFRARED, mask)
    faint = gradient_retention(INFRARED, (INFRARED // 2), mask)
    assert (full.correlation, full.magnitude_ratio) == (pytest.approx(1.0), pytest.approx(1.0))
    assert faint.correlation > 0.99
    assert faint.magnitude_ratio == pytest.approx(0.5, abs=0.01)
    flat = gradient_retention(INFRARED, np.full_like(INFRARED, 255), mask)
    assert (flat.correlation, flat.magnitude_ratio) == (0.0, 0.0)


def test_saturation_counts_within_the_mask():
    image = np.zeros((10, 10), np.uint8)
    image[:5] = 255
    mask = overexposure_mask(image)
    assert mask.sum() == 50
    assert saturated_share(image) == 0.5
    assert saturated_share(image, mask) == 1.0
    assert saturated_share(image, np.zeros_like(mask)) == 0.0


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="mask: size"):
        masked_fusion_metrics(VISIBLE, INFRARED, VISIBLE, np.ones((4, 4), bool))
