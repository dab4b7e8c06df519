"""The metrics as torch computes them, against the numpy ones."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.metrics import METRICS, PROFILES, fusion_metrics, fusion_metrics_batch

torch = pytest.importorskip("torch", reason="torch is not installed")


def noise(shape, seed):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def waves(shape, seed):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    return np.clip(130 + 140 * np.sin(rows / 9 + phase[0]) * np.cos(columns / 13 + phase[1]), 0, 255).astype(np.uint8)


def batch(shape):
    """Noise; saturated waves and their maximum; one constant source; identical images; all black."""
    first, second, flat, black = (
        waves(shape, 0),
        waves(shape, 1),
        np.full(shape, 200, np.uint8),
        np.zeros(shape, np.uint8),
    )
    triples = [
        (noise(shape, 0), noise(shape, 1), noise(shape, 2)),
        (first, second, np.maximum(first, second)),
        (flat, second, second // 2),
        (first, first, first),
        (black, black, black),
    ]
    return [np.stack(images) for images in zip(*triples, strict=True)]


def on(device, images):
    return [torch.from_numpy(image).to(device) for image in images]


@pytest.mark.parametrize("shape", [(53, 71), (96, 64), (17, 17), (10, 11), (3, 5), (1, 9), (1, 1)], ids=str)
@pytest.mark.parametrize("profile", PROFILES)
def test_torch_agrees_with_numpy(profile, shape):
    from fusion_ros.metrics.tensors import metrics_of_tensors

    images = batch(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = metrics_of_tensors(*on("cpu", images), PROFILES[profile])
    expected = fusion_metrics_batch(*images, profile=profile)
    assert list(ours) == list(METRICS)
    for metric in METRICS:
        np.testing.assert_allclose(ours[metric], expected[metric], rtol=1e-5, atol=1e-9, err_msg=metric)


def test_a_large_batch_is_worked_on_in_parts(monkeypatch):
    from fusion_ros.metrics import tensors

    images = on("cpu", batch((20, 24)))
    whole = tensors.metrics_of_tensors(*images, PROFILES["textbook"])
    monkeypatch.setattr(tensors, "_PIXELS_AT_ONCE", 2 * 20 * 24)
    parts = tensors.metrics_of_tensors(*images, PROFILES["textbook"])
    for metric in METRICS:
        np.testing.assert_allclose(parts[metric], whole[metric], rtol=1e-12, atol=1e-12, err_msg=metric)


def test_tensors_on_the_cpu_give_what_arrays_give():
    images = batch((30, 40))
    ours, expected = fusion_metrics_batch(*on("cpu", images)), fusion_metrics_batch(*images)
    assert all(np.array_equal(ours[metric], expected[metric]) for metric in METRICS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_gpu_agrees_with_numpy(profile):
    images = batch((96, 130))
    on_gpu, expected = (
        fusion_metrics_batch(*on("cuda", images), profile=profile),
        fusion_metrics_batch(*images, profile=profile),
    )
    one = fusion_metrics(*(image[1] for image in on("cuda", images)), profile=profile)
    for metric in METRICS:
        np.testing.assert_allclose(on_gpu[metric], expected[metric], rtol=1e-5, atol=1e-9, err_msg=metric)
        assert math.isclose(one[metric], expected[metric][1], rel_tol=1e-5), metric


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda v, i, f: (v, i, f / 255.0), "fused: torch.float32 of shape (5, 8, 9)"),
        (lambda v, i, f: (v[0], i, f), "visible: torch.uint8 of shape (8, 9)"),
        (lambda v, i, f: (v, i[:, 1:], f), "infrared: (5, 7, 9) on cpu differs from the visible images' (5, 8, 9)"),
        (lambda v, i, f: (v[:, :0], i[:, :0], f[:, :0]), "visible: torch.uint8 of shape (5, 0, 9)"),
    ],
)
def test_tensors_that_cannot_be_scored_are_refused_by_name(spoil, said):
    from fusion_ros.metrics.tensors import metrics_of_tensors

    with pytest.raises(InputError) as refusal:
        metrics_of_tensors(*spoil(*on("cpu", batch((8, 9)))), PROFILES["textbook"])
    assert said in str(refusal.value)
