import dataclasses

import pytest
import torch

from fusion_ros.errors import InputError
from fusion_ros.training.losses.caf import FIXED_TERMS, SEARCHED_TERMS, CAFLoss, CAFLossWeights
from fusion_ros.training.losses.terms import gradient_magnitude, infrared_share, one_minus_ssim

NONE = {field.name: 0.0 for field in dataclasses.fields(CAFLossWeights)}


@pytest.fixture
def images():
    torch.manual_seed(0)
    return tuple(torch.rand(2, 1, 20, 24) for _ in range(3))


def _single(name, images, features=None):
    weights = CAFLossWeights(**{**NONE, name: 2.0})
    total, terms = CAFLoss(weights, features)(*images)
    assert terms.keys() == {name}
    assert float(total) == pytest.approx(2 * float(terms[name]))
    return float(terms[name])


def test_fifteen_terms_are_searched_and_two_are_fixed():
    assert len(SEARCHED_TERMS) == 15
    assert FIXED_TERMS == ("mse_masked_visible", "mse_masked_infrared")
    assert (CAFLossWeights().mse_masked_visible, CAFLossWeights().mse_masked_infrared) == (0.5, 0.5)


def test_intensity_terms(images):
    fused, visible, infrared = images
    brighter = torch.where(visible > infrared, visible, infrared)
    for suffix, target in (("visible", visible), ("infrared", infrared), ("max", brighter)):
        assert _single(f"l1_{suffix}", images) == pytest.approx(float((fused - target).abs().mean()))
        assert _single(f"mse_{suffix}", images) == pytest.approx(float(((fused - target) ** 2).mean()))


def test_masked_terms_weigh_each_pixel_by_its_saliency(images):
    fused, visible, infrared = images
    share = infrared_share(visible, infrared)
    expected = {
        "l1_masked_infrared": (share * (fused - infrared)).abs(),
        "l1_masked_visible": ((1 - share) * (fused - visible)).abs(),
        "mse_masked_infrared": (share * (fused - infrared)) ** 2,
        "mse_masked_visible": ((1 - share) * (fused - visible)) ** 2,
    }
    for name, values in expected.items():
        assert _single(name, images) == pytest.approx(float(values.mean()), rel=1e-5)


def test_structure_terms(images):
    fused, visible, infrared = images
    assert _single("ssim_visible", images) == pytest.approx(float(one_minus_ssim(fused, visible)))
    assert _single("ssim_infrared", images) == pytest.approx(float(one_minus_ssim(fused, infrared)))


def test_gradient_terms(images):
    own, of_visible, of_infrared = map(gradient_magnitude, images)
    larger = torch.where(of_visible > of_infrared, of_visible, of_infrared)
    for suffix, target in (("visible", of_visible), ("infrared", of_infrared), ("max", larger)):
        assert _single(f"gradient_{suffix}", images) == pytest.approx(float((own - target).abs().mean()), rel=1e-5)


def test_perceptual_terms_compare_the_features_given(images):
    def features(image):
        assert image.shape[1] == 3
        return [image, 2 * image]

    # Mean over the two layers of the mean square: (1 + 4) / 2 times that of the images.
    mean_square = float(((images[0] - images[2]) ** 2).mean())
    assert _single("perceptual_infrared", images, features) == pytest.approx(2.5 * mean_square, rel=1e-5)


def test_perceptual_weight_without_features_is_refused():
    with pytest.raises(InputError, match="VGG"):
        CAFLoss(CAFLossWeights(perceptual_visible=0.1))


@pytest.mark.parametrize("name", [*SEARCHED_TERMS, *FIXED_TERMS])
def test_every_term_reaches_the_fused_image(name, images):
    fused = images[0].clone().requires_grad_()
    weights = CAFLossWeights(**{**NONE, name: 1.0})
    total, _ = CAFLoss(weights, lambda image: [image])(fused, *images[1:])
    total.backward()
    assert float(fused.grad.abs().sum()) > 0


def test_default_weights_prefer_the_max_image_to_the_average():
    torch.manual_seed(1)
    smooth = torch.nn.functional.interpolate(torch.rand(4, 1, 8, 8), 64, mode="bicubic").clamp(0, 1)
    visible, infrared = smooth[:2], smooth[2:]
    loss = CAFLoss()
    at_max, _ = loss(torch.maximum(visible, infrared), visible, infrared)
    at_average, _ = loss((visible + infrared) / 2, visible, infrared)
    assert float(at_max) < float(at_average)
