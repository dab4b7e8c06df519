"""Every network through the exporter: the same picture from torch and from ONNX Runtime."""

import dataclasses

import numpy as np
import pytest
import torch

from fusion_ros import networks
from fusion_ros.fusion import load_model
from fusion_ros.fusion.export import export_onnx
from fusion_ros.fusion.weights import write_safetensors

# Small where the structure stays the same: exporting takes a time per operation.
CASES = {
    "caf-s": ("CAFSNet", {}),
    "dfvo-s": ("DFVOSNet", {}),
    "epofusion-s": ("EPOFusionSNet", {"depths": (1, 1, 1)}),
    "dfvo": ("DFVONet", {"channels": (4, 4, 8, 8), "attention_channels": 16}),
    "dfvo, released": ("DFVONet", {"topology": "released", "channels": (4, 4, 8, 8), "attention_channels": 16}),
    "epofusion": (
        "EPOFusionNet",
        {"depths": (1, 1, 1, 1), "widths": (8, 8, 16, 16), "channels": 64, "steps": 2},
    ),
}


def weights_of(class_name, values, path):
    """An untrained network whose every layer has a say in the picture."""
    torch.manual_seed(0)
    network_class = getattr(networks, class_name)
    network = network_class(network_class.config_class(**values))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.05, 0.2)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1)
    write_safetensors(path, network.state_dict(), class_name, dataclasses.asdict(network.config))
    return path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES)
def test_onnx_gives_the_picture_of_torch_at_any_size(case, tmp_path):
    class_name, values = CASES[case]
    name = case.split(",")[0]
    weights = weights_of(class_name, values, tmp_path / "random.safetensors")
    exported = tmp_path / "random.onnx"
    export_onnx(weights, class_name, exported)
    by_torch = load_model(name, weights, device="cpu", backend="torch")
    by_onnx = load_model(name, exported, device="cpu")
    random = np.random.default_rng(0)
    # Neither is the size it was exported with; the first is no multiple of anything.
    for shape in ((50, 70), (64, 32)):
        images = random.random(shape, dtype=np.float32), random.random(shape, dtype=np.float32)
        expected = by_torch.fuse_luminance(*images)
        assert expected.std() > 0.01
        np.testing.assert_allclose(by_onnx.fuse_luminance(*images), expected, atol=1e-3)
