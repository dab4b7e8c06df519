"""EPOFusion's terms against numbers worked out by hand and independent formulas."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from fusion_ros.networks.epofusion.network import EPOFusionOutput
from fusion_ros.networks.epofusion_s import EPOFusionSOutput
from fusion_ros.training.losses.epofusion import (
    EPOFusionLoss,
    EPOFusionLossWeights,
    diffusion_term,
    fusion_terms,
    guidance_overlap_term,
    guidance_term,
    ssim_term,
)


class Scene(NamedTuple):
    fused: torch.Tensor
    visible: torch.Tensor
    infrared: torch.Tensor
    mask: torch.Tensor


@pytest.fixture
def flat():
    """Flat images, the right half over-exposed: the intensity terms are plain differences."""
    shape = (1, 1, 8, 12)
    mask = torch.zeros(shape)
    mask[..., 6:] = 1
    return Scene(torch.full(shape, 0.5), torch.full(shape, 0.9), torch.full(shape, 0.3), mask)


def ramp(slope, width=12, height=8):
    return (torch.arange(float(width)) * slope).expand(1, 1, height, width)


def sobel_magnitude(image):
    """|x| + |y| by explicit sums over the eight neighbours, borders repeated."""
    padded = np.pad(image[0, 0].numpy(), 1, mode="edge")

    def at(dy, dx):
        return padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]

    along_x = sum(weight * (at(dy, 1) - at(dy, -1)) for dy, weight in ((-1, 1), (0, 2), (1, 1)))
    along_y = sum(weight * (at(1, dx) - at(-1, dx)) for dx, weight in ((-1, 1), (0, 2), (1, 1)))
    return np.abs(along_x) + np.abs(along_y)


def test_intensity_goes_to_the_maximum_outside_and_to_the_mean_inside(flat):
    terms = fusion_terms(*flat, gamma=1.0)
    # |.5 - max(.9, .3)| and |.5 - (.9 + .3) / 2|; no gradients anywhere.
    assert terms["intensity_normal"].item() == pytest.approx(0.4)
    assert terms["intensity_overexposed"].item() == pytest.approx(0.1)
    assert terms["gradient_normal"].item() == pytest.approx(0, abs=1e-6)
    assert terms["gradient_overexposed"].item() == pytest.approx(0, abs=1e-6)


def test_gradient_goes_to_the_larger_outside_and_to_gamma_times_the_infrared_inside():
    mask = torch.zeros(1, 1, 8, 12)
    mask[..., 3:-3, 7:-1] = 1
    fused, visible, infrared = ramp(0.01), ramp(0.05), ramp(0.02)
    # A ramp of slope g has a raw Sobel magnitude of 8 g: inside, |8 x .01 - gamma x 8 x .02|.
    for gamma, expected in ((1.0, 0.08), (0.5, 0.0), (2.0, 0.24)):
        term = fusion_terms(fused, visible, infrared, mask, gamma)["gradient_overexposed"]
        assert term.item() == pytest.approx(expected, abs=1e-6)
    counted = (mask == 0)[0, 0].numpy()
    larger = np.maximum(sobel_magnitude(visible), sobel_magnitude(infrared))
    difference = np.abs(sobel_magnitude(fused) - larger)[counted].mean()
    assert fusion_terms(fused, visible, infrared, mask, 1.0)["gradient_normal"].item() == pytest.approx(difference)


def test_a_small_region_counts_as_much_as_a_large_one(flat):
    small = torch.zeros_like(flat.mask)
    small[..., 0, 0] = 1
    terms = [fusion_terms(flat.fused, flat.visible, flat.infrared, mask, 1.0) for mask in (flat.mask, small)]
    assert terms[0]["intensity_overexposed"].item() == pytest.approx(terms[1]["intensity_overexposed"].item())


def test_an_empty_region_costs_nothing(flat):
    terms = fusion_terms(flat.fused, flat.visible, flat.infrared, torch.zeros_like(flat.mask), 1.0)
    assert terms["intensity_overexposed"].item() == 0
    assert terms["gradient_overexposed"].item() == 0


def test_value_255_is_in_neither_region(flat):
    fused = flat.fused.clone()
    fused[..., 0, :] = 100.0
    mask = flat.mask.clone()
    mask[..., :3, :] = 255
    terms = fusion_terms(fused, flat.visible, flat.infrared, mask, 1.0)
    assert terms["intensity_normal"].item() == pytest.approx(0.4)
    assert terms["intensity_overexposed"].item() == pytest.approx(0.1)
    logits = torch.zeros(1, 2, 8, 12)
    logits[:, 0, 0] = 50.0
    assert guidance_term(logits, mask).item() == pytest.approx(math.log(2), abs=1e-3)


def test_guidance_of_no_opinion_costs_log_2_and_of_certainty_nothing(flat):
    assert guidance_term(torch.zeros(1, 2, 2, 3), flat.mask).item() == pytest.approx(math.log(2))
    right = torch.zeros(1, 2, 8, 12)
    right[:, 0], right[:, 1] = 20.0 * (1 - flat.mask[:, 0]), 20.0 * flat.mask[:, 0]
    assert guidance_term(right, flat.mask).item() < 1e-6
    assert guidance_term(right.flip(1), flat.mask).item() == pytest.approx(20.0)


def test_guidance_without_a_label_costs_nothing():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = guidance_term(logits, torch.full((1, 1, 16, 16), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_overlap_is_one_minus_intersection_over_union():
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    mask[..., :4] = 1
    logits = torch.full((1, 2, 8, 8), -50.0)
    logits[:, 1, :, 2:6] = 50.0
    logits[:, 0, :, :2] = logits[:, 0, :, 6:] = 50.0
    # Found: columns 2 to 5 (32 pixels), wanted: 0 to 3 (32), shared: 2 and 3 (16); one is added above and below.
    assert float(guidance_overlap_term(logits, mask)) == pytest.approx(1 - 17 / 49, abs=1e-4)
    # What is found where the mask says 255 counts for nothing.
    mask[..., 4:] = 255
    assert float(guidance_overlap_term(logits, mask)) == pytest.approx(1 - 17 / 33, abs=1e-4)


def test_diffusion_is_an_l1_with_the_ratio_capped():
    noise = torch.zeros(3, 2, 4, 4)
    predicted = torch.tensor([1.0, 2.0, 6.0])[:, None, None, None].expand_as(noise)
    # Ratios 1 and 5 are kept, 20 is scaled down by 5 / 20: (1 + 2 + 6 / 4) / 3.
    assert diffusion_term(noise, predicted, torch.tensor([1.0, 5.0, 20.0]), 5.0).item() == pytest.approx(1.5)


def test_ssim_counts_normal_centres_only():
    torch.manual_seed(0)
    visible = torch.rand(1, 1, 32, 64)
    mask = torch.zeros(1, 1, 32, 64)
    mask[..., 32:] = 1
    fused = visible.clone()
    fused[..., 43:] = 0  # further than half a window from any normal pixel
    assert ssim_term(fused, visible, mask).item() == pytest.approx(0, abs=1e-5)
    assert ssim_term(fused, visible, 1 - mask).item() > 0.3


def output_of(scene, **changes):
    latent = torch.zeros(1, 4, 2, 3)
    values = {
        "fused": scene.fused,
        "guidance": torch.zeros(1, 2, 2, 3),
        "noise": latent,
        "predicted_noise": latent + 0.25,
        "signal_to_noise": torch.ones(1),
        "embedding": latent,
    }
    return EPOFusionOutput(**(values | changes))


def test_total_is_the_sum_of_equations_8_and_9(flat):
    weights = EPOFusionLossWeights(fusion=2.0, guidance=0.4, diffusion=3.0, intensity=5.0, normal=7.0, overexposed=11.0)
    total, terms = EPOFusionLoss(weights)(output_of(flat), flat.visible, flat.infrared, flat.mask)
    expected = 2.0 * (7.0 * 5.0 * 0.4 + 11.0 * 5.0 * 0.1) + 0.4 * math.log(2) + 3.0 * 0.25
    assert total.item() == pytest.approx(expected, rel=1e-4)
    assert terms["diffusion"].item() == pytest.approx(0.25)


def test_compact_network_has_no_diffusion_term(flat):
    output = EPOFusionSOutput(flat.fused, torch.zeros(1, 2, 2, 3), flat.fused)
    _, terms = EPOFusionLoss()(output, flat.visible, flat.infrared, flat.mask)
    assert set(terms) == {
        "intensity_normal",
        "intensity_overexposed",
        "gradient_normal",
        "gradient_overexposed",
        "guidance",
    }


def test_released_ssim_term_is_off_and_can_be_had(flat):
    scene = Scene(*(image.repeat(1, 1, 4, 4) for image in flat))
    without, _ = EPOFusionLoss()(output_of(scene), scene.visible, scene.infrared, scene.mask)
    weights = EPOFusionLossWeights(ssim=0.1)
    total, terms = EPOFusionLoss(weights)(output_of(scene), scene.visible, scene.infrared, scene.mask)
    assert (total - without).item() == pytest.approx(0.1 * terms["ssim"].item(), rel=1e-3)
    # Flat images of .5 and .9: (2 x .45 + c1) / (.25 + .81 + c1).
    assert terms["ssim"].item() == pytest.approx(1 - (0.9 + 1e-4) / (1.06 + 1e-4), rel=3e-3)
