"""The segmenter on a network with a known answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.perception import Segmenter, SegmenterConfig


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("size", [(100, 200), (333, 101), (128, 128)])
def test_segmenter_mask_lies_on_the_grid_of_the_image(
    make_segmenter: Callable[..., Path], dynamic: bool, size: tuple[int, int]
) -> None:
    height, width = size
    image = np.full((height, width, 3), 20, np.uint8)
    image[20:80, 30:90] = 255
    found = Segmenter(SegmenterConfig(weights=str(make_segmenter(size=128, dynamic=dynamic)))).segment(image)
    assert found.class_id.shape == (height, width)
    assert found.class_id.dtype == np.uint8
    assert dict(found.class_names) == {0: "background", 1: "bright"}
    truth = image[:, :, 0] == 255
    # Outlines may be off by one pixel of the network's grid, max(size) / 128 of the image's, on each side.
    step = int(np.ceil(max(size) / 128))
    wrong = (found.class_id == 1) != truth
    inner, outer = np.zeros_like(truth), np.zeros_like(truth)
    inner[20 + step : 80 - step, 30 + step : 90 - step] = True
    outer[20 - step : 80 + step, 30 - step : 90 + step] = True
    assert not wrong[inner].any()
    assert not wrong[~outer].any()


def test_segmenter_refuses_a_detector_and_a_grey_image(
    make_detector: Callable[..., Path], make_segmenter: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match="is a model for 'detect', needed is one for 'semantic'"):
        Segmenter(SegmenterConfig(weights=str(make_detector())))
    with pytest.raises(InputError, match="is not a colour image"):
        Segmenter(SegmenterConfig(weights=str(make_segmenter()))).segment(np.zeros((48, 64), np.uint8))


def test_segmenter_refuses_an_unknown_palette() -> None:
    with pytest.raises(InputError, match="palette: 'sepia' is not allowed"):
        SegmenterConfig(palette="sepia")
