"""The perception network whose loss judges fused images: a small YOLO of ultralytics (AGPL-3.0) in torch.

It starts from the shipped detector or segmenter, whose ONNX file holds the weights with batch norm folded in, from a
checkpoint of ultralytics, or from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from fusion_ros.configuration import setting
from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import models_directory
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training.search.scenes import DETECTION, IGNORED

SHIPPED, RANDOM = "shipped", "random"
_SHIPPED_FILES = {"detection": "detector.onnx", "segmentation": "segmenter.onnx"}


@dataclass(frozen=True)
class PerceptionConfig:
    """Which perception network there is."""

    network: str = setting("yolo11n.yaml", "ultralytics' description; a detector's gets a semantic head")
    init: str = setting(SHIPPED, "where its weights start: shipped, random, or a .pt or .onnx file")


@dataclass(frozen=True)
class PerceptionNetworkConfig:
    """What a `PerceptionNetwork` is built from.

    Attributes:
        task: `detection` or `segmentation`.
        network: ultralytics' description.
        classes: number of classes.
        folded: whether batch norm is folded into the convolutions.
    """

    task: str
    network: str
    classes: int
    folded: bool = False


class PerceptionNetwork(nn.Module):
    """ultralytics' network for one of the two tasks: (N, 3, H, W) RGB in [0, 1], sides multiples of 32.

    In train mode it returns what `PerceptionLoss` needs; in eval mode, for detection, a tuple whose first element is
    (N, 4 + classes, anchors), for segmentation class logits at an eighth of the size.
    """

    def __init__(self, config: PerceptionNetworkConfig) -> None:
        super().__init__()
        import_ultralytics()
        from ultralytics.cfg import get_cfg

        self.config = config
        self.model: Any = _build(config)
        self.model.args = get_cfg()
        if config.folded:
            self.model.fuse(verbose=False)
            # Folding freezes what it folds. The expectation over a box's distribution is no weight.
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(".dfl." not in name)

    def forward(self, image: Tensor) -> Any:
        return self.model(image)

    def train_on_running_statistics(self) -> None:
        """Train mode, but with batch norm as in eval mode: what one batch gives must not depend on its company."""
        self.train()
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _build(config: PerceptionNetworkConfig) -> Any:
    from ultralytics.nn.tasks import DetectionModel, SemanticSegmentationModel, yaml_model_load

    try:
        description = yaml_model_load(config.network)
    except (FileNotFoundError, OSError, AssertionError) as error:
        raise InputError(f"perception.network: {config.network!r} is no description that ultralytics has") from error
    if config.task == DETECTION:
        return DetectionModel(description, nc=config.classes, verbose=False)
    from fusion_ros.training.segmenter_trainer import with_semantic_head

    model = SemanticSegmentationModel(with_semantic_head(description), nc=config.classes, verbose=False)
    # The second head only helps its own training; one cross-entropy is what the search asks for.
    model.model[-1].aux_head = None
    return model


def load_perception(config: PerceptionConfig, task: str, classes: int) -> PerceptionNetwork:
    """Build the network with its first weights.

    Raises:
        InputError: the description or the weights cannot be used, or do not fit each other.
    """
    if config.init == RANDOM:
        return PerceptionNetwork(PerceptionNetworkConfig(task, config.network, classes))
    path = models_directory() / _SHIPPED_FILES[task] if config.init == SHIPPED else Path(config.init)
    if not path.is_file():
        raise InputError(f"perception.init: {path} is no file; give {SHIPPED}, {RANDOM}, or a .pt or .onnx file")
    folded = path.suffix == ".onnx"
    network = PerceptionNetwork(PerceptionNetworkConfig(task, config.network, classes, folded))
    state = _onnx_weights(path) if folded else _checkpoint_weights(path)
    own = network.model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    missing = [name for name in own if name not in fitting]
    # A checkpoint may know other classes; what it shares is taken over. A folded file has no other use than whole.
    if not fitting or (folded and missing):
        name = missing[0] if missing else "weights"
        raise InputError(f"perception.init: {path} does not fit {config.network} with {classes} classes ({name})")
    network.model.load_state_dict({**own, **fitting})
    return network


def _onnx_weights(path: Path) -> dict[str, Tensor]:
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:
        # Whatever protobuf makes of a file that is none.
        raise InputError(f"{path}: cannot be read as an ONNX network: {error}") from error
    weights = {}
    for tensor in graph.initializer:
        # Files are stored with large tensors in half precision, under this ending.
        name = tensor.name.removesuffix("_half").removeprefix("model.")
        weights[f"model.{name}"] = torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
    return weights


def _checkpoint_weights(path: Path) -> dict[str, Tensor]:
    from ultralytics.nn.tasks import load_checkpoint

    try:
        model, _ = load_checkpoint(str(path))
    except Exception as error:
        # Unpickling raises many kinds of errors.
        raise InputError(f"{path}: cannot be read as a checkpoint of ultralytics: {error}") from error
    return dict(model.float().state_dict())


class PerceptionLoss:
    """The task's own loss, per picture: ultralytics' for detection, the mean cross-entropy for segmentation."""

    def __init__(self, network: PerceptionNetwork) -> None:
        self._task = network.config.task
        self._criterion = network.model.init_criterion() if self._task == DETECTION else None

    def __call__(self, predictions: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Loss of what the network made of a batch; `batch` as `SceneCrops` gives it."""
        if self._criterion is None:
            logits = predictions[0] if isinstance(predictions, tuple) else predictions
            return _cross_entropy(logits.float(), batch["mask"])
        boxes = batch["boxes"]
        picture, row = (boxes[..., 0] >= 0).nonzero(as_tuple=True)
        known = boxes[picture, row]
        labels = {"batch_idx": picture.to(boxes.dtype), "cls": known[:, :1], "bboxes": known[:, 1:]}
        parts, _ = self._criterion(predictions, labels)
        return parts.sum() / len(boxes)


def _cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    logits = functional.interpolate(logits, mask.shape[-2:], mode="bilinear", align_corners=False)
    summed = functional.cross_entropy(logits, mask, ignore_index=IGNORED, reduction="sum")
    return summed / (mask != IGNORED).sum().clamp_min(1)


def recoloured(color: Tensor, luminance: Tensor, fused: Tensor) -> Tensor:
    """The visible picture with its luminance replaced, clamped: what YCbCr and back gives, with a gradient.

    Args:
        color: (N, 3, H, W) RGB in [0, 1].
        luminance: (N, 1, H, W), of `color`.
        fused: (N, 1, H, W), the new luminance.
    """
    return (color + (fused.clamp(0.0, 1.0) - luminance)).clamp(0.0, 1.0)
