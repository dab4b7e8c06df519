import numpy as np
import pytest
import torch
from scipy import ndimage

from fusion_ros.training.losses import terms


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(2, 1, 24, 30), torch.rand(2, 1, 24, 30)


def test_means_by_hand():
    first, second = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, 0.5]]]])
    assert float(terms.mean_absolute(first, second)) == 0.5
    assert float(terms.mean_square(first, second)) == 0.25


def test_masked_mean_is_over_the_mask_only():
    first = torch.zeros(1, 1, 10, 10)
    second = torch.ones(1, 1, 10, 10)
    second[..., 5:] = 3
    mask = torch.zeros(1, 1, 10, 10)
    mask[..., 5:] = 1
    assert float(terms.mean_absolute(first, second, mask)) == 3
    assert float(terms.mean_absolute(first, second, torch.zeros_like(mask))) == 0


def test_sobel_of_a_ramp_is_its_slope():
    ramp = 3 * torch.arange(8.0).expand(1, 1, 6, 8)
    along_x, along_y = terms.sobel(ramp)
    assert along_x[..., 1:-1].unique().tolist() == [3.0]
    assert along_y.abs().max() == 0


def test_sobel_agrees_with_scipy(images):
    along_x, along_y = terms.sobel(images[0], normalised=False)
    for index in range(2):
        plane = images[0][index, 0].numpy()
        np.testing.assert_allclose(along_x[index, 0], ndimage.sobel(plane, axis=1, mode="nearest"), atol=1e-5)
        np.testing.assert_allclose(along_y[index, 0], ndimage.sobel(plane, axis=0, mode="nearest"), atol=1e-5)


def test_sobel_keeps_channels_apart():
    image = torch.zeros(1, 2, 5, 5)
    image[:, 1] = torch.arange(5.0)
    along_x, _ = terms.sobel(image)
    assert along_x[:, 0].abs().max() == 0
    assert along_x[0, 1, 2, 2] == 1


def test_forward_differences_by_hand():
    along_x, along_y = terms.forward_differences(torch.tensor([[[[1.0, 4.0], [2.0, 2.0]]]]))
    assert along_x.flatten().tolist() == [3, 0]
    assert along_y.flatten().tolist() == [1, 2]


def test_ssim_agrees_with_an_independent_computation(images):
    first, second = (image[0, 0].double().numpy() for image in images)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(window, window) / np.outer(window, window).sum()

    def at(row, column):
        a, b = (image[row : row + 11, column : column + 11] for image in (first, second))
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        covariance = (window * (a - mean_a) * (b - mean_b)).sum()
        c1, c2 = 0.01**2, 0.03**2
        return (
            (2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )

    similarity = terms.ssim_map(*images)
    assert similarity.shape == (2, 1, 14, 20)
    for row, column in ((0, 0), (7, 11), (13, 19)):
        assert float(similarity[0, 0, row, column]) == pytest.approx(at(row, column), abs=1e-4)


def test_ssim_of_equal_images_is_one(images):
    assert float(terms.one_minus_ssim(images[0], images[0])) == pytest.approx(0, abs=1e-6)


def test_histogram_contrast_by_hand():
    # Three pixels at level 0 and one at 255: mean distances 63.75 and 191.25, scaled by the larger.
    image = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])
    np.testing.assert_allclose(terms.histogram_contrast(image).flatten(), [1 / 3, 1 / 3, 1 / 3, 1], rtol=1e-6)


def test_saliency_shares_add_to_one(images):
    total = terms.infrared_share(*images) + terms.infrared_share(images[1], images[0])
    torch.testing.assert_close(total, torch.ones_like(total))


def test_a_lone_hot_spot_belongs_to_the_infrared():
    visible = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.45
    infrared = torch.zeros(1, 1, 32, 32)
    infrared[..., 10:14, 10:14] = 1
    share = terms.infrared_share(visible, infrared)
    assert float(share[..., 11, 11]) > 0.5 > float(share[..., 0, 0])


def test_colour_term_ignores_brightness():
    red, dark_red = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.4, 0.05, 0.05])
    green = torch.tensor([0.0, 1.0, 0.0])
    first, second, third = (colour.view(1, 3, 1, 1).expand(1, 3, 4, 4) for colour in (red, dark_red, green))
    assert float(terms.cosine_colour(first, second)) == pytest.approx(0, abs=1e-6)
    # cos = 0.1 / sqrt(0.66)
    assert float(terms.cosine_colour(first, third)) == pytest.approx(1 - 0.1 / 0.66**0.5, abs=1e-6)
