"""The upper-level figures of a fusion network and of the perception network on its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from fusion_ros.metrics.detection import average_precision
from fusion_ros.metrics.segmentation import intersection_over_union
from fusion_ros.training.data.box_masks import BACKGROUND, ROAD
from fusion_ros.training.data.pairs import validation_tensors
from fusion_ros.training.search.perception import PerceptionLoss, PerceptionNetwork, recoloured
from fusion_ros.training.search.scenes import DETECTION, LabelledScenes, Scene, SceneCrops
from fusion_ros.types import Detections

# COCO's AP is taken over every box that is offered, however unsure.
LOWEST_CONFIDENCE = 0.001
OVERLAP = 0.7
MOST_BOXES = 100
_GREY = 114 / 255
_STRIDE = 32
_CROPS_SEED = 3
_BATCH = 16


@torch.no_grad()
def figures(fusion: nn.Module, perception: PerceptionNetwork, scenes: LabelledScenes, crop: int) -> dict[str, float]:
    """Figures on the validation part, both networks in eval mode.

    Returns:
        `mAP50`, `mAP50-95`, `AP50 <class>` or `mIoU`, `IoU <class>`, over whole pairs; `upper loss`, over four crops
        of `crop` pixels a pair, always the same ones.
    """
    fusion.eval()
    perception.eval()
    pictures = [fused_picture(fusion, scene) for scene in scenes.validation]
    if scenes.task == DETECTION:
        scores = _precision(perception, pictures, scenes)
    else:
        scores = _overlap(perception, pictures, scenes)
    return {**scores, "upper loss": upper_loss(fusion, perception, scenes.validation, crop)}


@torch.no_grad()
def upper_loss(fusion: nn.Module, perception: PerceptionNetwork, scenes: Sequence[Scene], crop: int) -> float:
    """The perception network's loss over four crops a pair, always the same ones."""
    crops = SceneCrops(scenes, crop, (_CROPS_SEED,), 4 * len(scenes))
    measure = PerceptionLoss(perception)
    device = next(fusion.parameters()).device
    fusion.eval()
    perception.train_on_running_statistics()
    total = 0.0
    for first in range(0, len(crops), _BATCH):
        size = min(_BATCH, len(crops) - first)
        batch = {name: value.to(device) for name, value in crops.batch(first, size).items()}
        pictures = recoloured(batch["color"], batch["visible"], fusion(batch["visible"], batch["infrared"]))
        total += size * float(measure(perception(pictures), batch))
    perception.eval()
    return total / len(crops)


def fused_picture(fusion: nn.Module, scene: Scene) -> Tensor:
    """The fused picture of a whole pair, (1, 3, H, W) RGB in [0, 1]; any size, `fusion` in eval mode."""
    device = next(fusion.parameters()).device
    visible, infrared = (image.to(device) for image in validation_tensors(scene.pair))
    height, width = visible.shape[-2:]
    multiple = getattr(fusion, "multiple_of", 1)
    margin = (0, -width % multiple, 0, -height % multiple)
    fused = fusion(*(functional.pad(image, margin, mode="reflect") for image in (visible, infrared)))
    color = torch.from_numpy(np.ascontiguousarray(scene.visible[..., ::-1].transpose(2, 0, 1)))[None].to(device) / 255
    return recoloured(color, visible, fused[..., :height, :width].float())


def _padded(picture: Tensor) -> Tensor:
    height, width = picture.shape[-2:]
    return functional.pad(picture, (0, -width % _STRIDE, 0, -height % _STRIDE), value=_GREY)


def _precision(perception: PerceptionNetwork, pictures: Sequence[Tensor], scenes: LabelledScenes) -> dict[str, float]:
    from ultralytics.utils.nms import non_max_suppression

    names = dict(enumerate(scenes.class_names))
    found = []
    for picture in pictures:
        offered: Any = perception(_padded(picture))
        (kept,) = non_max_suppression(
            offered, LOWEST_CONFIDENCE, OVERLAP, multi_label=True, max_det=MOST_BOXES, nc=len(names)
        )
        height, width = picture.shape[-2:]
        rows = kept.cpu().numpy().astype(np.float32)
        xyxy = np.clip(rows[:, :4], 0, [width, height, width, height]).astype(np.float32)
        found.append(Detections(xyxy, rows[:, 4], rows[:, 5].astype(np.int64), names))
    truth = [
        Detections(scene.xyxy, np.ones(len(scene.xyxy), np.float32), scene.class_id, names)
        for scene in scenes.validation
    ]
    return average_precision(found, truth)


def _overlap(perception: PerceptionNetwork, pictures: Sequence[Tensor], scenes: LabelledScenes) -> dict[str, float]:
    found, truth = [], []
    for picture, scene in zip(pictures, scenes.validation, strict=True):
        assert scene.mask is not None
        logits = perception(_padded(picture))
        size = _padded(picture).shape[-2:]
        whole = functional.interpolate(logits.float(), size, mode="bilinear", align_corners=False)
        height, width = scene.mask.shape
        classes = whole[0, :, :height, :width].argmax(dim=0).cpu().numpy().astype(np.uint8)
        # Where the road is was guessed from the picture's geometry: it says nothing about fused images.
        found.append(_without_road(classes) if scenes.estimated else classes)
        truth.append(_without_road(scene.mask) if scenes.estimated else scene.mask)
    return intersection_over_union(found, truth, scenes.class_names)


def _without_road(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(mask == ROAD, np.uint8(BACKGROUND), mask)
