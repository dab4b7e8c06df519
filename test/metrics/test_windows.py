"""Sliding windows against scipy's direct convolution."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.signal import convolve2d

from fusion_ros.metrics.scratch import scratch
from fusion_ros.metrics.windows import SlidingWindow, strips, total


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("size", [3, 4, 7, 17])
@pytest.mark.parametrize("shape", [(17, 17), (18, 41), (64, 33), (19, 2100)])
def test_means_are_those_of_a_direct_convolution(shape, size, step):
    rng = np.random.default_rng(size)
    image, weights = rng.uniform(0, 255, shape), rng.uniform(0, 1, size)
    window = SlidingWindow(weights / weights.sum())
    # A convolution turns its window round.
    plain = convolve2d(image, np.outer(weights, weights)[::-1, ::-1] / weights.sum() ** 2, mode="valid")[::step, ::step]
    assert window.valid(shape, step) == plain.shape
    np.testing.assert_allclose(window.means(image, np.empty(plain.shape), step), plain, rtol=1e-12)


def test_means_strip_by_strip_are_those_of_the_whole():
    image = np.random.default_rng(0).uniform(0, 255, (211, 700))
    window = SlidingWindow(np.array([0.25, 0.5, 0.25]))
    shape = window.valid(image.shape)
    whole, pieces = window.means(image, np.empty(shape)), np.empty(shape)
    for rows in strips(shape):
        window.means(image[window.rows(rows)], pieces[rows])
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (480, 640), (1000, 9000)])
def test_strips_cover_every_row_once(shape):
    rows = [row for part in strips(shape) for row in range(part.start, part.stop)]
    assert rows == list(range(shape[0]))


def test_a_total_does_not_depend_on_how_the_strips_were_divided():
    sums = np.random.default_rng(0).uniform(-1e9, 1e9, (20, 3, 2))
    np.testing.assert_array_equal(total([sums]), total([sums[:7], sums[7:8], sums[8:]]))


def test_scratch_memory_is_the_threads_own_and_grows():
    ours = scratch("test", (4, 4))
    ours[...] = 1.0
    found = []
    thread = threading.Thread(target=lambda: found.append(np.shares_memory(scratch("test", (4, 4)), ours)))
    thread.start()
    thread.join()
    assert found == [False]
    assert np.shares_memory(scratch("test", (2, 8)), ours)
    assert scratch("test", (100, 100), np.float32).shape == (100, 100)
