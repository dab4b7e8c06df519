"""ultralytics' semantic segmentation trainer, fed with pairs and masks from memory instead of files."""

from __future__ import annotations

from copy import copy
from typing import Any

import cv2
import numpy as np
import torch
from ultralytics.data.dataset import SemanticDataset
from ultralytics.models.yolo.semantic import SemanticSegmentationTrainer
from ultralytics.nn.tasks import yaml_model_load
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from fusion_ros.training.data.masked_pairs import MaskedPair
from fusion_ros.training.sensor_mix import INPUTS, SensorMixConfig, mix, random_mix


class MaskedPairDataset(SemanticDataset):
    """Pairs with masks in memory; every access of a training sample draws a new picture of its pair.

    `data["pairs"][img_path]` are the pairs; in training each appears `data["views"]` times in an epoch, in validation
    once for every kind in `INPUTS`.
    """

    def get_img_files(self, img_path: str) -> list[str]:
        """Return one name for every sample."""
        pairs: list[MaskedPair] = self.data["pairs"][img_path]
        self.random = np.random.default_rng(self.data["seed"])
        self.sources = [_resized(pair, self.data["image_size"]) for pair in pairs]
        views = self.data["views"] if self.augment else len(INPUTS)
        return [f"{view}/{pair.name}" for view in range(views) for pair in pairs]

    def get_labels(self) -> list[dict[str, Any]]:
        """Return ultralytics' label entry of every sample; the masks are handed out by `load_mask`."""
        pairs: list[MaskedPair] = self.data["pairs"][self.img_path]
        return [_label_entry(name, pairs[index % len(pairs)]) for index, name in enumerate(self.im_files)]

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Return a picture of sample `i`, its size before and its size after resizing."""
        visible, infrared, _, original_size = self.sources[i % len(self.sources)]
        if self.augment:
            image = random_mix(visible, infrared, self.data["mix"], self.random)
        else:
            image = mix(visible, infrared, INPUTS[i // len(self.sources)])
        return image, original_size, image.shape[:2]

    def load_mask(self, index: int, image_shape: tuple[int, int] | None = None) -> np.ndarray:
        """Return the mask of sample `index`, of its picture's size."""
        return self.sources[index % len(self.sources)][2].copy()

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Say that everything is in memory: it is."""
        return True

    def cache_images(self) -> None:
        """Do nothing: the pairs are in memory, and the pictures made of them must not be kept."""


def _resized(pair: MaskedPair, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    height, width = pair.infrared.shape
    ratio = size / max(height, width)
    target = (min(round(width * ratio), size), min(round(height * ratio), size))
    visible = cv2.resize(pair.visible, target, interpolation=cv2.INTER_AREA)
    infrared = cv2.resize(pair.infrared, target, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(pair.class_id, target, interpolation=cv2.INTER_NEAREST)
    return visible, infrared, mask, (height, width)


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


class MaskedPairTrainer(SemanticSegmentationTrainer):
    """Semantic segmentation trainer over `MaskedPair`s; give the data with `with_pairs` before calling."""

    pairs: dict[str, list[MaskedPair]]
    class_names: tuple[str, ...]
    views: int
    image_size: int
    mix: SensorMixConfig
    threads: int

    @classmethod
    def with_pairs(cls, **bound: Any) -> type[MaskedPairTrainer]:
        """Return a trainer class that is bound to its data: ultralytics makes the instance itself."""
        return type(cls.__name__, (cls,), bound)

    def get_dataset(self) -> dict[str, Any]:
        """Describe the data in ultralytics' terms."""
        return {
            "train": "training",
            "val": "validation",
            "names": dict(enumerate(self.class_names)),
            "nc": len(self.class_names),
            "channels": 3,
            "masks_dir": "masks",
            "pairs": self.pairs,
            "views": self.views,
            "image_size": self.image_size,
            "mix": self.mix,
            "seed": self.args.seed,
        }

    def get_model(self, cfg: Any = None, weights: torch.nn.Module | None = None, verbose: bool = True) -> Any:
        """Build the network; a description of a detector gets a semantic head in place of its own."""
        description = dict(cfg) if isinstance(cfg, dict) else yaml_model_load(cfg)
        return super().get_model(with_semantic_head(description), weights, verbose)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> MaskedPairDataset:
        """Build the data set of one part: mosaics for training, whole pictures for validation."""
        return MaskedPairDataset(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=mode == "train",
            hyp=copy(self.args),
            rect=False,
            cache="ram",
            stride=max(int(unwrap_model(self.model).stride.max()), 32),
            pad=0.0,
            prefix=f"{mode}: ",
            task="semantic",
            data=self.data,
        )

    def _setup_train(self) -> None:
        super()._setup_train()
        # ultralytics sets the number of threads itself when it selects the CPU.
        torch.set_num_threads(self.threads)
        # A third faster than the default layout with oneDNN; ultralytics offers it on CUDA only.
        self.model = self.model.to(memory_format=torch.channels_last)

    def final_eval(self) -> None:
        """Strip the optimizer from the last checkpoint."""
        strip_optimizer(self.last)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device as ultralytics does, in the model's memory layout."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].to(memory_format=torch.channels_last)
        return batch
