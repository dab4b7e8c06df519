import numpy as np
import pytest

from fusion_ros.fusion import load_model
from fusion_ros.fusion.classical import GuidedFusion


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    return random.random((60, 80), dtype=np.float32), random.random((60, 80), dtype=np.float32)


def test_average_is_the_mean(pair):
    visible, infrared = pair
    np.testing.assert_allclose(
        load_model("average").fuse_luminance(visible, infrared), (visible + infrared) / 2, atol=1e-6
    )


def test_rgb_returns_the_image_bit_for_bit():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    fused = load_model("rgb").fuse(image, np.zeros((20, 30), np.uint8))
    np.testing.assert_array_equal(fused, image)
    assert not np.shares_memory(fused, image)


def test_thermal_is_grey():
    thermal = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    fused = load_model("thermal").fuse(np.full((20, 30, 3), (0, 0, 200), np.uint8), thermal)
    np.testing.assert_array_equal(fused, np.repeat(thermal[..., None], 3, 2))


def test_guided_of_equal_sources_is_the_source(pair):
    visible, _ = pair
    np.testing.assert_allclose(GuidedFusion()(visible, visible), visible, atol=1e-5)


def test_guided_takes_detail_from_where_it_is():
    columns = np.arange(160)
    stripes = np.where(columns // 4 % 2, 0.8, 0.2).astype(np.float32)
    flat = np.full((120, 160), 0.5, np.float32)
    visible, infrared = flat.copy(), flat.copy()
    visible[:, :80] = stripes[:80]
    infrared[:, 80:] = stripes[80:]
    fused = GuidedFusion()(visible, infrared)
    # Standard deviation of the stripes alone is 0.3; an average would halve it.
    assert fused[20:-20, 10:60].std() > 0.25
    assert fused[20:-20, 100:150].std() > 0.25


def test_guided_works_on_tiny_images():
    fused = GuidedFusion()(np.full((3, 5), 0.2, np.float32), np.full((3, 5), 0.4, np.float32))
    assert fused.shape == (3, 5)
    assert np.isfinite(fused).all()


def test_guided_is_near_its_inputs_range(pair):
    fused = load_model("guided").fuse_luminance(*pair)
    assert 0 <= fused.min() <= fused.max() <= 1
