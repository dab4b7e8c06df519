"""Gain control: contrast where there is some, no flicker, and no accident on uniform, hot or broken frames."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.thermal import AGC_METHODS, ThermalAgc, ThermalAgcConfig


def alone(**values):
    """Gain control without memory, so that one frame shows the formula."""
    return ThermalAgc(ThermalAgcConfig(smoothing=0.0, **values))


def ramp(dtype=np.uint16, low=29000, high=30000):
    return np.linspace(low, high, 64 * 80).reshape(64, 80).astype(dtype)


def test_minmax_is_linear_between_the_extremes():
    image = np.array([[100, 150], [200, 300]], dtype=np.uint16)
    # (v - 100) / 200 * 255
    assert alone(method="minmax")(image).tolist() == [[0, 64], [128, 255]]


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 4), (3, 5)])
def test_images_of_few_pixels_are_images_too(shape):
    # OpenCV takes arrays of these shapes for numbers here and there.
    image = np.linspace(100, 200, shape[0] * shape[1]).reshape(shape).astype(np.uint16)
    grey = alone(method="minmax")(image)
    span = float(image.max()) - 100.0
    expected = np.zeros(shape) if span == 0 else (image - 100.0) / span * 255
    assert grey.shape == shape
    assert np.abs(grey - expected).max() <= 0.5


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_percentile_clips_the_tails(dtype):
    image = np.arange(10_000, 11_000, dtype=dtype).reshape(20, 50)
    grey = alone(method="percentile", low=10.0, high=90.0)(image)
    # The 10th percentile of 1000 even steps is 100 steps up, the 90th 900: black below, white above, linear between.
    values = grey.ravel().astype(int)
    assert (values[:100] == 0).all()
    assert (values[901:] == 255).all()
    assert values[500] == pytest.approx(255 * 0.5, abs=1)


def test_one_hot_pixel_does_not_flatten_the_scene():
    image = ramp()
    spread = alone()(image).std()
    image[10, 10] = 65535
    grey = alone()(image)
    assert grey[10, 10] == 255
    assert grey.std() == pytest.approx(spread, rel=0.01)
    # The control: plain limits do flatten it, 1000 of 36535 counts being 7 grey levels.
    flattened = alone(method="minmax")(image)
    flattened[10, 10] = 0
    assert flattened.max() <= 7


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("method", AGC_METHODS)
def test_a_uniform_frame_is_no_division_by_zero(method, dtype):
    with np.errstate(all="raise"):
        grey = alone(method=method)(np.full((8, 8), 7, dtype=dtype))
    assert grey.dtype == np.uint8
    assert grey.min() == grey.max() <= 7


def test_a_uniform_frame_does_not_change_the_limits():
    agc = ThermalAgc(ThermalAgcConfig(smoothing=0.5))
    before = agc(ramp())
    agc(np.full((64, 80), 20000, dtype=np.uint16))
    np.testing.assert_array_equal(agc(ramp()), before)


@pytest.mark.parametrize("method", AGC_METHODS)
def test_values_that_are_not_finite_become_black_and_do_not_count(method):
    image = ramp(np.float32, 10.0, 40.0)
    clean = alone(method=method)(image)
    image[0, :3] = np.nan, np.inf, -np.inf
    grey = alone(method=method)(image)
    assert grey[0, :3].tolist() == [0, 0, 0]
    assert np.abs(grey.astype(int) - clean)[1:].max() <= 2


@pytest.mark.parametrize("method", AGC_METHODS)
def test_nothing_finite_is_refused(method):
    with pytest.raises(InputError, match="finite"):
        ThermalAgc(ThermalAgcConfig(method=method))(np.full((4, 4), np.nan, dtype=np.float32))


def test_few_finite_values_beside_the_sampling_grid_are_found():
    image = np.full((1000, 1000), np.nan, dtype=np.float32)
    image[501, 501], image[503, 503] = 10.0, 20.0
    grey = alone()(image)
    assert (grey[501, 501], grey[503, 503]) == (0, 255)


def test_limits_follow_as_an_exponential_average():
    agc = ThermalAgc(ThermalAgcConfig(method="minmax", smoothing=0.75))
    agc(np.array([[0, 1000]], dtype=np.uint16))
    # Upper limit 0.75 * 1000 + 0.25 * 3000 = 1500, so 1000 is 255 * 2 / 3 = 170.
    assert agc(np.array([[0, 1000, 3000]], dtype=np.uint16)).tolist() == [[0, 170, 255]]
    agc.reset()
    assert agc(np.array([[0, 1000, 3000]], dtype=np.uint16)).tolist() == [[0, 85, 255]]


def test_a_hot_object_that_comes_and_goes_does_not_flicker():
    background = ramp()
    hot = background.copy()
    hot[:, :8] = 33000
    smooth, each = ThermalAgc(), alone()
    # Grey level of the background, which the object must not drive up and down.
    steps = {name: [] for name in ("smooth", "each")}
    for i in range(20):
        frame = hot if i % 2 else background
        steps["smooth"].append(smooth(frame)[:, 8:].mean())
        steps["each"].append(each(frame)[:, 8:].mean())
    assert np.abs(np.diff(steps["smooth"][1:])).max() < 0.35 * np.abs(np.diff(steps["each"][1:])).max()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_plateau_gives_crowded_values_more_grey_levels(dtype):
    # Nine tenths of the pixels within a hundredth of the range: linear scaling gives them 3 levels.
    crowd = np.linspace(1000, 1010, 9000)
    image = np.concatenate([crowd, np.linspace(1010, 2000, 1000)]).reshape(100, 100).astype(dtype)
    linear = alone(method="minmax")(image)
    equalised = alone(method="plateau", low=0.0, high=100.0)(image)
    assert linear.ravel()[:9000].max() <= 3
    assert equalised.ravel()[:9000].max() >= 6
    assert (np.diff(equalised.ravel().astype(int)) >= 0).all()
    assert (equalised.min(), equalised.max()) == (0, 255)


def test_eight_bit_input_is_left_alone_unless_asked():
    image = np.array([[10, 20], [30, 40]], dtype=np.uint8)
    np.testing.assert_array_equal(ThermalAgc()(image), image)
    stretched = alone(method="minmax", stretch_8bit=True)(image)
    assert stretched.tolist() == [[0, 85], [170, 255]]


def test_none_takes_the_high_byte_of_counts_and_degrees_as_they_are():
    assert alone(method="none")(np.array([[0, 256, 65535]], dtype=np.uint16)).tolist() == [[0, 1, 255]]
    assert alone(method="none")(np.array([[-5.0, 36.6, 400.0]], dtype=np.float32)).tolist() == [[0, 37, 255]]


def test_another_dtype_starts_anew():
    agc = ThermalAgc(ThermalAgcConfig(method="minmax", smoothing=0.9))
    agc(ramp())
    assert agc(np.array([[20.0, 30.0]], dtype=np.float32)).tolist() == [[0, 255]]


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.int32), np.zeros(4, np.uint16)])
def test_what_is_not_a_thermal_image_is_refused(image):
    with pytest.raises(InputError, match="thermal"):
        ThermalAgc()(image)


@pytest.mark.parametrize(
    ("values", "name"),
    [({"method": "histogram"}, "agc"), ({"low": 99.0, "high": 1.0}, "low"), ({"smoothing": 1.0}, "smoothing")],
)
def test_bad_configuration_is_refused(values, name):
    with pytest.raises(InputError, match=name):
        ThermalAgcConfig(**values)
