"""The fidelity terms against the metrics they stand for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.metrics import fusion_metrics
from fusion_ros.training.losses.fidelity import (
    FidelityWeights,
    correlations_of_differences,
    false_edges,
    fidelity_loss,
    preserved_edges,
    structural_similarity,
    visual_information_fidelity,
)


def picture(seed: int) -> np.ndarray:
    """Smooth random texture with edges, (H, W) uint8."""
    random = np.random.default_rng(seed)
    image = cv2.GaussianBlur(random.random((120, 140), np.float32), (0, 0), 2.5)
    image = cv2.normalize(image, None, 20, 200, cv2.NORM_MINMAX)
    cv2.rectangle(image, (20 + 5 * seed, 30), (70, 90), 230, -1)
    return image.astype(np.uint8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None, None].double() / 255


@pytest.fixture
def triple() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    visible, infrared = picture(1), picture(2)
    return visible, infrared, np.maximum(visible, cv2.GaussianBlur(infrared, (5, 5), 0))


def test_terms_are_the_textbook_metrics(triple):
    wanted = fusion_metrics(*triple)
    visible, infrared, fused = map(tensor, triple)
    vif = sum(visual_information_fidelity(source, fused) for source in (visible, infrared))
    assert float(vif) == pytest.approx(wanted["VIF"], abs=1e-3)
    assert float(correlations_of_differences(visible, infrared, fused)) == pytest.approx(wanted["SCD"], abs=1e-3)
    assert float(structural_similarity((visible, infrared), fused)) == pytest.approx(wanted["SSIM"], abs=2e-3)
    # The metric's border is black and its angles jump at vertical edges; ours do neither.
    assert float(preserved_edges((visible, infrared), fused)) == pytest.approx(wanted["Qabf"], abs=0.04)


def test_identity_is_the_best_there_is():
    image = tensor(picture(1))
    assert float(visual_information_fidelity(image, image)) == pytest.approx(1.0, abs=1e-4)
    # 0.9994 / (1 + e^-7.5) * 0.9879 / (1 + e^-4.4) = .974
    assert float(preserved_edges((image, image), image)) == pytest.approx(0.974, abs=0.01)
    assert float(false_edges((image, image), image)) == 0.0


def test_an_edge_that_no_source_has_is_false():
    flat = torch.full((1, 1, 64, 64), 0.4)
    stepped = flat.clone()
    stepped[..., 32:] = 0.6
    assert float(false_edges((flat, flat), stepped)) > 0.005
    assert float(false_edges((stepped, flat), stepped)) == 0.0


def test_gradient_leads_from_the_average_to_a_better_image(triple):
    visible, infrared, _ = map(tensor, triple)
    fused = ((visible + infrared) / 2).requires_grad_(True)
    before, _ = fidelity_loss(fused, visible, infrared, FidelityWeights())
    (slope,) = torch.autograd.grad(before, fused)
    assert torch.isfinite(slope).all()
    after, _ = fidelity_loss(fused - 0.01 * slope / slope.abs().max(), visible, infrared, FidelityWeights())
    assert float(after) < float(before)


def test_flat_images_give_finite_gradients():
    flat = torch.full((1, 1, 64, 64), 0.5)
    fused = flat.clone().requires_grad_(True)
    total, _ = fidelity_loss(fused, flat, flat, FidelityWeights())
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(fused.grad).all()


def test_a_term_without_weight_is_not_computed(triple):
    visible, infrared, fused = map(tensor, triple)
    _, terms = fidelity_loss(fused, visible, infrared, FidelityWeights(scd=0.0, qabf=0.0))
    assert set(terms) == {"vif", "ssim", "intensity", "false_edges"}
