"""ultralytics' semantic segmentation trainer, fed with pairs and masks from memory instead of files."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import torch
from ultralytics.data.dataset import SemanticDataset
from ultralytics.models.yolo.semantic import SemanticSegmentationTrainer
from ultralytics.nn.tasks import yaml_model_load

from fusion_ros.training.data.masked_pairs import MaskedPair
from fusion_ros.training.mask_views import draw_masked_view
from fusion_ros.training.sensor_mix import INPUTS, mix
from fusion_ros.training.yolo_pairs import PairTrainer
from fusion_ros.training.yolo_run import check_head


class MaskedPairDataset(SemanticDataset):
    """Pairs with masks in memory; every access of a training sample draws a new picture of its pair.

    `data["pairs"][img_path]` are the pairs; in training each appears `data["views"]` times in an epoch, in validation
    once for every kind in `INPUTS`.
    """

    def get_img_files(self, img_path: str) -> list[str]:
        """Return one name for every sample."""
        self.sources: list[MaskedPair] = self.data["pairs"][img_path]
        self.random = np.random.default_rng(self.data["seed"])
        views = self.data["views"] if self.augment else len(INPUTS)
        return [f"{view}/{pair.name}" for view in range(views) for pair in self.sources]

    def get_labels(self) -> list[dict[str, Any]]:
        """Return ultralytics' label entry of every sample; the masks are handed out by `load_mask`."""
        return [_label_entry(name, self.sources[i % len(self.sources)]) for i, name in enumerate(self.im_files)]

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Return the whole picture of validation sample `i`, its size before and its size after resizing."""
        pair = self.sources[i % len(self.sources)]
        image = mix(pair.visible, pair.infrared, INPUTS[i // len(self.sources)])
        return image, image.shape[:2], image.shape[:2]

    def load_mask(self, index: int, image_shape: tuple[int, int] | None = None) -> np.ndarray:
        """Return the whole mask of sample `index`."""
        return self.sources[index % len(self.sources)].class_id.copy()

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Return picture and mask of sample `index`: in training a crop, in validation the whole."""
        if not self.augment:
            return super().get_image_and_label(index)
        picture, mask = draw_masked_view(
            self.sources[index % len(self.sources)], self.imgsz, self.data["mix"], self.random
        )
        label = {**self.labels[index], "img": picture, "semantic_mask": mask, "ratio_pad": (1.0, 1.0)}
        label |= {"ori_shape": picture.shape[:2], "resized_shape": picture.shape[:2]}
        return self.update_labels_info({key: value for key, value in label.items() if key != "shape"})

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Say that everything is in memory: it is."""
        return True

    def cache_images(self) -> None:
        """Do nothing: the pairs are in memory, and the pictures made of them must not be kept."""


def _label_entry(name: str, pair: MaskedPair) -> dict[str, Any]:
    return {
        "im_file": name,
        "mask_file": name,
        "mode": "L",
        "shape": pair.class_id.shape,
        "cls": np.array([], np.float32),
        "bboxes": np.zeros((0, 4), np.float32),
        "segments": [],
        "normalized": True,
        "bbox_format": "xywh",
    }


def with_semantic_head(description: dict[str, Any]) -> dict[str, Any]:
    """Turn ultralytics' description of a detector into one of a semantic segmenter.

    The backbone and the way back up to 1/8 of the input stay as they are, so that a detector's weights fit; what leads
    down again to the detector's coarser outputs is left out. YOLO26's semantic networks have the same shape.
    """
    head = description["head"]
    if head[-1][2] != "Detect":
        return description
    inputs = head[-1][0]
    finest = inputs[0]
    first = len(description["backbone"])
    # The neck's block at 1/16 is the one before the last upsampling.
    kept = head[: finest - first + 1]
    upsampling = max(index for index, layer in enumerate(kept) if layer[2] == "nn.Upsample")
    semantic = [[finest, first + upsampling - 1], 1, "SemanticSegment", ["nc"]]
    return {**description, "head": [*kept, semantic]}


class MaskedPairTrainer(PairTrainer, SemanticSegmentationTrainer):
    """Semantic segmentation trainer over `MaskedPair`s; give the data with `with_pairs` before calling."""

    def get_model(self, cfg: Any = None, weights: torch.nn.Module | None = None, verbose: bool = True) -> Any:
        """Build the network; a description of a detector gets a semantic head in place of its own."""
        description = dict(cfg) if isinstance(cfg, dict) else yaml_model_load(cfg)
        check_head(description, "Detect", "SemanticSegment")
        return super().get_model(with_semantic_head(description), weights, verbose)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> MaskedPairDataset:
        """Build the data set of one part: crops for training, whole pictures for validation."""
        return MaskedPairDataset(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=mode == "train",
            hyp=copy(self.args),
            rect=False,
            cache="ram",
            stride=self.largest_stride,
            pad=0.0,
            prefix=f"{mode}: ",
            task="semantic",
            data=self.data,
        )
