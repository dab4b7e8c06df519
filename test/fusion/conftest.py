"""Weights and a models folder made on the spot, so that these tests need no shipped model."""

from __future__ import annotations

import dataclasses

import pytest


@pytest.fixture(scope="session")
def caf_weights(tmp_path_factory):
    """An untrained CAF network's safetensors file, with batch norms that do something."""
    import torch

    from fusion_ros.fusion.weights import write_safetensors
    from fusion_ros.networks import CAFNet

    torch.manual_seed(0)
    network = CAFNet().train()
    for _ in range(5):
        network(torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    write_safetensors(path, network.state_dict(), "CAFNet", dataclasses.asdict(network.config))
    return path


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep the exports of tests out of the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def models_folder(tmp_path, monkeypatch, caf_weights):
    """A models folder whose manifest lists the untrained network as `caf`."""
    import shutil

    from fusion_ros.fusion.weights import sha256_of

    shutil.copy(caf_weights, tmp_path / "caf.safetensors")
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        "models:\n  caf:\n    task: fusion\n    network: caf\n    files:\n"
        f"      caf.safetensors: {sha256_of(caf_weights)}\n"
    )
    monkeypatch.setenv("FUSION_ROS_MODELS", str(tmp_path))
    return tmp_path
