"""Feature maps for perceptual loss terms: of VGG-16 where its weights are on this machine, else of a detector.

CAF compares VGG-16's layers 1, 3, 5, 9 and 13. Its weights are not shipped and nothing is downloaded. In their place
stands the backbone of a network that was trained on pictures of roads: the shipped detector. Its maps are read by
walking through the graph of the ONNX file, so that gradients flow and no other software is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import models_directory

Features = Callable[[Tensor], list[Tensor]]

AUTO, VGG, DETECTOR = "auto", "vgg16", "detector"
# torchvision's name of the ImageNet weights in torch's folder of models.
VGG_FILE = "vgg16-397923af.pth"
# After the ReLU of convolutions 1, 3, 5, 9 and 13: positions in torchvision's `features`.
_VGG_LAYERS = (1, 6, 11, 20, 29)
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The ends of the detector's stages at 1/2, 1/4, 1/8 and 1/16 of the picture.
_STAGES = 4


def vgg_path() -> Path:
    """Where torchvision's VGG-16 weights would be."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE


def resolve_features(name: str) -> str:
    """`auto` as what it stands for here: `vgg16` where its weights are, else `detector`; other names as they are."""
    if name != AUTO:
        return name
    return VGG if vgg_path().is_file() else DETECTOR


def load_features(name: str) -> Features:
    """A function from (N, 3, H, W) RGB in [0, 1] to feature maps, fine to coarse.

    Args:
        name: `vgg16`, `detector` (the shipped one), `auto`, or the path of a detector's or segmenter's ONNX file.

    Raises:
        InputError: the weights are not here, or the file is not a network whose backbone can be read.
    """
    name = resolve_features(name)
    if name == VGG:
        return VGGFeatures(vgg_path())
    path = models_directory() / "detector.onnx" if name == DETECTOR else Path(name)
    if not path.is_file():
        raise InputError(f"features {name!r}: {path} is no file; give {VGG}, {DETECTOR} or a network's ONNX file")
    return BackboneFeatures(path)


class VGGFeatures:
    """ReLU outputs of VGG-16's convolutions 1, 3, 5, 9 and 13.

    Raises:
        InputError: torchvision's weights are not at `path`, or damaged.
    """

    def __init__(self, path: Path) -> None:
        from torchvision.models.vgg import cfgs, make_layers  # type: ignore[import-untyped]

        if not path.is_file():
            raise InputError(
                f"features '{VGG}': {path} is no file; put torchvision's weights there (nothing is downloaded) "
                f"or set {DETECTOR}"
            )
        layers = make_layers(cfgs["D"])
        try:
            # Mapped, so that the classifier's hundred million weights are not read.
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            own = {name.removeprefix("features."): value for name, value in state.items() if "features." in name}
            layers.load_state_dict(own)
        except Exception as error:
            # torch.load raises many kinds of errors for a damaged file.
            raise InputError(f"{path}: cannot be read as VGG-16's weights: {error}") from error
        self._layers: nn.Sequential = layers[: _VGG_LAYERS[-1] + 1].eval().requires_grad_(False)

    def __call__(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] to five maps; sides of 16 pixels at least."""
        self._layers.to(image.device, image.dtype)
        mean, deviation = (image.new_tensor(row).view(1, 3, 1, 1) for row in (_IMAGENET_MEAN, _IMAGENET_DEVIATION))
        maps, current = [], (image - mean) / deviation
        for index, layer in enumerate(self._layers):
            # torchvision's ReLU works in place and would overwrite what the gradient needs.
            current = functional.relu(current) if isinstance(layer, nn.ReLU) else layer(current)
            if index in _VGG_LAYERS:
                maps.append(current)
        return maps


class BackboneFeatures:
    """What the backbone of an ONNX network passes to each of its downsampling convolutions, at 1/2 to 1/16.

    Raises:
        InputError: the file is no ONNX network, or its backbone has other layers than convolutions, products, sums,
            splits and concatenations before 1/32.
    """

    def __init__(self, path: Path) -> None:
        import onnx
        from onnx import numpy_helper

        try:
            graph = onnx.load(str(path)).graph
        except Exception as error:
            # Whatever protobuf makes of a file that is none.
            raise InputError(f"{path}: cannot be read as an ONNX network: {error}") from error
        self._path = path
        self._input = graph.input[0].name
        self._weights = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer
        }
        nodes = _until_stage(list(graph.node), _STAGES)
        constants = [node for node in nodes if node.op_type == "Constant"]
        for node in constants:
            value = numpy_helper.to_array(_attribute(node, "value"))
            self._weights[node.output[0]] = torch.from_numpy(value.copy())
        self._nodes = [node for node in nodes if node not in constants]
        unknown = sorted({node.op_type for node in self._nodes} - _OPERATIONS.keys())
        if unknown or not self._nodes:
            raise InputError(f"{path}: its backbone cannot be read for features ({', '.join(unknown) or 'no stages'})")

    def __call__(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] to four maps, fine to coarse."""
        values: dict[str, Tensor] = {self._input: image}
        maps: list[Tensor] = []
        for node in self._nodes:
            inputs = [values[name] if name in values else self._weight(name, image) for name in node.input if name]
            if _strides(node) and values.get(node.input[0]) is not image:
                maps.append(inputs[0])
                if len(maps) == _STAGES:
                    break
            for name, result in zip(node.output, _OPERATIONS[node.op_type](node, inputs), strict=True):
                values[name] = result
        return maps

    def _weight(self, name: str, like: Tensor) -> Tensor:
        weight = self._weights[name]
        if weight.is_floating_point() and (weight.dtype, weight.device) != (like.dtype, like.device):
            weight = self._weights[name] = weight.to(like.device, like.dtype)
        return weight


def _strides(node: Any) -> bool:
    return node.op_type == "Conv" and list(_attribute(node, "strides", [1, 1])) != [1, 1]


def _until_stage(nodes: Sequence[Any], stages: int) -> list[Any]:
    """The nodes up to the downsampling convolution that ends stage `stages`, empty where there are fewer.

    Weights in half precision are widened on reading, so that the graph's own casts have nothing to do.
    """
    downsampling = [index for index, node in enumerate(nodes) if _strides(node)]
    return list(nodes[: downsampling[stages] + 1]) if len(downsampling) > stages else []


def _attribute(node: Any, name: str, default: Any = None) -> Any:
    import onnx

    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def _convolve(node: Any, inputs: list[Tensor]) -> list[Tensor]:
    image, weight = inputs[:2]
    top, left, bottom, right = _attribute(node, "pads", [0, 0, 0, 0])
    padded = functional.pad(image, (left, right, top, bottom))
    strides, dilations = _attribute(node, "strides", [1, 1]), _attribute(node, "dilations", [1, 1])
    bias = inputs[2] if len(inputs) > 2 else None
    groups = _attribute(node, "group", 1)
    return [functional.conv2d(padded, weight, bias, strides, 0, dilations, groups)]


def _split(node: Any, inputs: list[Tensor]) -> list[Tensor]:
    axis = _attribute(node, "axis", 0)
    if len(inputs) > 1:
        return list(inputs[0].split(inputs[1].tolist(), dim=axis))
    return list(inputs[0].chunk(len(node.output), dim=axis))


_OPERATIONS: dict[str, Callable[[Any, list[Tensor]], list[Tensor]]] = {
    "Conv": _convolve,
    "Split": _split,
    "Cast": lambda _node, inputs: inputs[:1],
    "Sigmoid": lambda _node, inputs: [inputs[0].sigmoid()],
    "Relu": lambda _node, inputs: [inputs[0].relu()],
    "Mul": lambda _node, inputs: [inputs[0] * inputs[1]],
    "Add": lambda _node, inputs: [inputs[0] + inputs[1]],
    "Concat": lambda node, inputs: [torch.cat(inputs, dim=_attribute(node, "axis"))],
}
