"""DFVO's terms against numbers worked out by hand, OpenCV, and independent formulas."""

import math

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.networks.dfvo.network import DFVOOutput
from fusion_ros.training.losses.dfvo import (
    DFVOLoss,
    DFVOLossWeights,
    content_weights,
    fusion_terms,
    histogram_term,
    mutual_gradient_term,
    pyramid,
    smoothness_term,
)
from fusion_ros.training.losses.low_light import dark_channel, equalise, guided_filter, overexposed, to_rgb


def ramp(slope, width=8, height=6):
    return (torch.arange(float(width)) * slope).expand(1, 1, height, width)


def flat(value, height=6, width=8):
    return torch.full((1, 1, height, width), value)


@pytest.fixture
def night():
    """A dark random image as 8-bit array and as tensor."""
    random = np.random.default_rng(0)
    image = (random.random((40, 60)) ** 3 * 120).astype(np.uint8)
    return image, torch.from_numpy(image / 255.0).float()[None, None]


def test_mutual_gradient_of_a_ramp():
    # Every step is .1 along x, none along y: .1 exp(-1) + 0.
    assert mutual_gradient_term(ramp(0.1)).item() == pytest.approx(0.1 * math.exp(-1), rel=1e-5)


def test_mutual_gradient_forgives_strong_edges():
    weak, strong = ramp(0.1, width=2), ramp(1.0, width=2)
    assert mutual_gradient_term(strong) < 0.01 * mutual_gradient_term(weak)


def test_smoothness_divides_by_the_visible_gradient_or_a_hundredth():
    # Illumination steps of .02: over visible steps of .1, and over none (then .01).
    assert smoothness_term(ramp(0.02), ramp(0.1)).item() == pytest.approx(0.2, rel=1e-4)
    assert smoothness_term(ramp(0.02), flat(0.5)).item() == pytest.approx(2.0, rel=1e-4)


def test_equalisation_is_opencvs(night):
    image, tensor = night
    np.testing.assert_allclose(equalise(tensor)[0, 0].numpy() * 255, cv2.equalizeHist(image), atol=0.51)


def test_equalisation_leaves_an_image_of_one_level():
    assert equalise(flat(100 / 255))[0, 0, 0, 0].item() == pytest.approx(100 / 255)


@pytest.mark.parametrize("patch", [3, 10])
def test_dark_channel_is_opencvs_erosion_of_the_smallest_channel(patch):
    random = np.random.default_rng(1)
    rgb = random.random((25, 31, 3), dtype=np.float32)
    expected = cv2.erode(rgb.min(axis=2), np.ones((patch, patch), np.uint8))
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    np.testing.assert_allclose(dark_channel(tensor, patch)[0, 0].numpy(), expected, atol=1e-6)


def test_guided_filter_of_an_affine_function_of_its_guide_returns_it():
    torch.manual_seed(0)
    guide = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    image = 0.5 * guide + 0.1
    torch.testing.assert_close(guided_filter(image, guide, box=7, epsilon=1e-12), image, atol=1e-6, rtol=0)


def test_guided_filter_of_a_flat_guide_is_a_mean_of_means():
    image = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    image[..., 10, 10] = 1.0
    filtered = guided_filter(image, torch.full_like(image, 0.5), box=3, epsilon=0.01)
    # 3x3 mean twice: 9 windows of 1/9, each divided by 9 again.
    assert filtered[0, 0, 10, 10].item() == pytest.approx(9 / 81)
    assert filtered[0, 0, 12, 10].item() == pytest.approx(3 / 81)


def test_a_lamp_in_the_dark_is_over_exposed_and_daylight_is_not():
    lamp = flat(0.02, 100, 100).clone()
    lamp[..., 40:60, 40:60] = 1.0
    found = overexposed(to_rgb(lamp, None), lamp)
    assert found[..., 48:56, 48:56].all()
    assert not found[..., :20, :].any()
    # Nothing exceeds seven times a mean of more than 1/7.
    day = flat(0.3, 100, 100).clone()
    day[..., 40:60, 40:60] = 1.0
    assert not overexposed(to_rgb(day, None), day).any()


def test_colours_follow_the_papers_constants():
    luminance, chroma = flat(0.5), torch.tensor([0.6, 0.3])[None, :, None, None].expand(1, 2, 6, 8)
    red, green, blue = to_rgb(luminance, chroma)[0, :, 0, 0].tolist()
    assert red == pytest.approx(0.5 + 1.403 * -0.2, abs=1e-6)
    assert green == pytest.approx(0.5 - 0.714 * -0.2 - 0.344 * 0.1, abs=1e-6)
    assert blue == pytest.approx(0.5 + 1.773 * 0.1, abs=1e-6)
    assert to_rgb(luminance, None).unique().tolist() == [0.5]


def test_histogram_term_is_the_distance_of_features_and_pulls_on_the_enhanced_image_only(night):
    _, visible = night
    enhanced = visible.clone().requires_grad_()
    term = histogram_term(enhanced, visible, None, lambda image: [image])
    expected = (visible - equalise(visible)).square().mean()
    assert term.item() == pytest.approx(expected.item(), rel=1e-4)
    term.backward()
    # Equalised is brighter, so that darker costs more: a step against the gradient lifts the image.
    assert enhanced.grad.mean() < 0


def test_pyramid_halves_four_times():
    assert [tuple(level.shape[2:]) for level in pyramid(torch.rand(1, 3, 32, 48))] == [
        (16, 24),
        (8, 12),
        (4, 6),
        (2, 3),
    ]


def test_content_weights_are_a_softmax_of_the_mean_gradients():
    # Ramps of slope .01 and .02 repeat their border: raw Sobel magnitude 8 g inside, 4 g in the outer columns.
    means = [g * (8 * 6 + 4 * 2) / 8 for g in (0.01, 0.02)]
    expected = [math.exp(mean) / sum(map(math.exp, means)) for mean in means]
    assert content_weights(ramp(0.01), ramp(0.02))[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_fusion_terms_of_flat_images():
    burnt = torch.zeros(1, 1, 6, 8, dtype=torch.bool)
    terms = fusion_terms(flat(0.5), flat(0.9), flat(0.3), burnt, None)
    # No gradients: both weights are one half; (.4^2 + .2^2) / 2.
    assert terms["content"].item() == pytest.approx(0.1)
    assert terms["structure"].item() == pytest.approx(0, abs=1e-9)
    assert terms["colour"].item() == pytest.approx(0, abs=1e-6)


def test_infrared_takes_the_place_of_burnt_pixels():
    burnt = torch.ones(1, 1, 6, 8, dtype=torch.bool)
    assert fusion_terms(flat(0.5), flat(0.9), flat(0.3), burnt, None)["content"].item() == pytest.approx(0.04)


def test_structure_is_the_mean_square_distance_to_the_larger_magnitude():
    burnt = torch.zeros(1, 1, 6, 8, dtype=torch.bool)
    terms = fusion_terms(flat(0.5), ramp(0.01), ramp(0.03), burnt, None)
    # 8 g inside, 4 g in the two outer columns of eight.
    assert terms["structure"].item() == pytest.approx((6 * 0.24**2 + 2 * 0.12**2) / 8, rel=1e-4)


def test_colour_is_one_minus_the_cosine():
    chroma = torch.tensor([0.6, 0.3])[None, :, None, None].expand(1, 2, 6, 8)
    burnt = torch.zeros(1, 1, 6, 8, dtype=torch.bool)
    term = fusion_terms(flat(0.4), flat(0.6), flat(0.3), burnt, chroma)["colour"]
    one, other = (to_rgb(flat(value), chroma)[0, :, 0, 0].numpy() for value in (0.4, 0.6))
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert term.item() == pytest.approx(1 - cosine, rel=1e-3)


def test_fusion_targets_get_no_gradient():
    enhanced, infrared = (torch.rand(1, 1, 12, 12, requires_grad=True) for _ in range(2))
    fused = torch.rand(1, 1, 12, 12, requires_grad=True)
    terms = fusion_terms(fused, enhanced, infrared, torch.zeros(1, 1, 12, 12, dtype=torch.bool), None)
    sum(terms.values()).backward()
    assert fused.grad is not None
    assert enhanced.grad is None
    assert infrared.grad is None


def test_fusion_fades_in_and_stops_at_ten():
    loss = DFVOLoss()
    assert [loss.fusion_weight(epoch) for epoch in (0, 1, 50, 100, 400)] == pytest.approx([0, 0.1, 5, 10, 10])


def test_total_is_the_weighted_sum():
    output = DFVOOutput(fused=flat(0.5), enhanced=flat(0.8), illumination=flat(0.5), infrared=flat(0.25))
    visible, infrared = flat(0.41), flat(0.3)
    loss = DFVOLoss(DFVOLossWeights(histogram=0.0))
    first, terms = loss(output, visible, infrared, epoch=0)
    # 10 |.25 - .3| + 500 |.8 x .5 - .41|; flat illumination costs nothing, fusion has not begun.
    assert first.item() == pytest.approx(10 * 0.05 + 500 * 0.01, rel=1e-4)
    assert "content" not in terms
    later, terms = loss(output, visible, infrared, epoch=20)
    # 0.1 x 20 x 1.75 x ((.5 - .8)^2 + (.5 - .25)^2) / 2; no structure, grey colours.
    assert (later - first).item() == pytest.approx(2 * 1.75 * (0.09 + 0.0625) / 2, rel=1e-3)
    assert set(terms) == {
        "infrared",
        "retinex",
        "mutual_gradient",
        "smoothness",
        "structure",
        "content",
        "colour",
    }


def test_defaults_are_the_released_weights_but_for_the_histogram():
    weights = DFVOLossWeights()
    assert (weights.infrared, weights.retinex, weights.mutual_gradient, weights.smoothness) == (10, 500, 1.35, 1.55)
    assert (weights.structure, weights.content, weights.colour) == (0.65, 1.75, 0.35)
    assert weights.histogram == 0.1
