"""Feature maps of perceptual terms, against ONNX Runtime and against torchvision's layers one by one."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import models_directory
from fusion_ros.training.losses import features
from fusion_ros.training.losses.features import BackboneFeatures, VGGFeatures, load_features, resolve_features


def _downsampling_inputs(model: onnx.ModelProto) -> list[str]:
    """What enters the second to fifth convolution of stride 2: the ends of the stages at 1/2 to 1/16."""
    names = []
    for node in model.graph.node:
        strides = next((list(entry.ints) for entry in node.attribute if entry.name == "strides"), [1, 1])
        if node.op_type == "Conv" and strides == [2, 2]:
            names.append(node.input[0])
    return names[1:5]


def test_backbone_gives_what_onnx_runtime_computes() -> None:
    path = models_directory() / "detector.onnx"
    model = onnx.load(str(path))
    names = _downsampling_inputs(model)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    expected = session.run(names, {session.get_inputs()[0].name: image})
    found = BackboneFeatures(path)(torch.from_numpy(image))
    assert [tuple(one.shape[-2:]) for one in found] == [(32, 32), (16, 16), (8, 8), (4, 4)]
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, torch.from_numpy(other), rtol=1e-3, atol=1e-3)


def test_gradients_flow_through_the_backbone() -> None:
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    maps = load_features("detector")(image)
    maps[-1].square().mean().backward()
    assert float(image.grad.abs().sum()) > 0


def test_vgg_layers_are_the_papers(tmp_path) -> None:
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    layers = make_layers(cfgs["D"]).eval()
    file = tmp_path / "vgg.pth"
    torch.save({f"features.{name}": value for name, value in layers.state_dict().items()}, file)
    image = torch.rand(1, 3, 32, 32)
    current = (image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    expected, convolutions = [], 0
    with torch.no_grad():
        for layer in layers:
            current = layer(current.clone())
            convolutions += isinstance(layer, torch.nn.Conv2d)
            # The paper's layers 1, 3, 5, 9 and 13 are counted in convolutions.
            if isinstance(layer, torch.nn.ReLU) and convolutions in (1, 3, 5, 9, 13):
                expected.append(current)
        found = VGGFeatures(file)(image)
    assert len(found) == len(expected) == 5
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other)


def test_auto_is_vgg_where_its_weights_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert resolve_features("auto") == "detector"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / features.VGG_FILE).write_bytes(b"")
    assert resolve_features("auto") == "vgg16"
    with pytest.raises(InputError, match="VGG-16"):
        load_features("auto")


def test_files_without_a_backbone_are_refused(tmp_path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as an ONNX network"):
        load_features(str(damaged))
    # A fusion network has fewer stages than a backbone.
    with pytest.raises(InputError, match="cannot be read for features"):
        load_features(str(models_directory() / "caf.onnx"))
