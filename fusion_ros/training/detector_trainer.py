"""ultralytics' detection trainer, fed with pairs from memory instead of image files."""

from __future__ import annotations

from copy import copy
from typing import Any

import cv2
import numpy as np
import torch
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from fusion_ros.training.data.labelled_pairs import LabelledPair
from fusion_ros.training.object_crops import object_crop
from fusion_ros.training.sensor_mix import INPUTS, SensorMixConfig, mix, random_mix


class PairDataset(YOLODataset):
    """Pairs in memory; every access of a training sample draws a new picture of its pair and a new crop of that.

    `data["pairs"][img_path]` are the pairs; in training each appears `data["views"]` times in an epoch, in validation
    once for every kind in `INPUTS`.
    """

    def get_img_files(self, img_path: str) -> list[str]:
        """Return one name for every sample."""
        pairs: list[LabelledPair] = self.data["pairs"][img_path]
        self.views = self.data["views"] if self.augment else len(INPUTS)
        self.random = np.random.default_rng(self.data["seed"])
        self.sources = [_resized(pair, self.data["image_size"]) for pair in pairs]
        return [f"{view}/{pair.name}" for view in range(self.views) for pair in pairs]

    def get_labels(self) -> list[dict[str, Any]]:
        """Return ultralytics' label entry of every sample."""
        pairs: list[LabelledPair] = self.data["pairs"][self.img_path]
        return [_label_entry(name, pairs[index % len(pairs)]) for index, name in enumerate(self.im_files)]

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Return a picture of sample `i`, its size before and its size after resizing to the network's input."""
        visible, infrared, original_size = self.sources[i % len(self.sources)]
        if self.augment:
            image = random_mix(visible, infrared, self.data["mix"], self.random)
        else:
            image = mix(visible, infrared, INPUTS[i // len(self.sources)])
        return image, original_size, image.shape[:2]

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Return picture and boxes of sample `index`: in training a crop, in validation the whole."""
        if not self.augment:
            return super().get_image_and_label(index)
        image, original_size, (height, width) = self.load_image(index)
        label = self.labels[index]
        centre, size = label["bboxes"][:, :2], label["bboxes"][:, 2:]
        xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1) * [width, height, width, height]
        class_id = label["cls"].reshape(-1).astype(np.int64)
        crop, xyxy, class_id = object_crop(image, xyxy.astype(np.float32), class_id, self.imgsz, self.random)
        return self.update_labels_info(
            {
                **_boxes_entry(xyxy, class_id, self.imgsz, self.imgsz),
                "im_file": label["im_file"],
                "img": crop,
                "ori_shape": original_size,
                "resized_shape": crop.shape[:2],
                "ratio_pad": (1.0, 1.0),
            }
        )

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Say that everything is in memory: it is."""
        return True

    def cache_images(self) -> None:
        """Do nothing: the pairs are in memory, and the pictures made of them must not be kept."""


def _resized(pair: LabelledPair, size: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    height, width = pair.infrared.shape
    ratio = size / max(height, width)
    target = (min(round(width * ratio), size), min(round(height * ratio), size))
    visible = cv2.resize(pair.visible, target, interpolation=cv2.INTER_AREA)
    return visible, cv2.resize(pair.infrared, target, interpolation=cv2.INTER_AREA), (height, width)


def _label_entry(name: str, pair: LabelledPair) -> dict[str, Any]:
    height, width = pair.infrared.shape
    return {"im_file": name, "shape": (height, width), **_boxes_entry(pair.xyxy, pair.class_id, height, width)}


def _boxes_entry(xyxy: np.ndarray, class_id: np.ndarray, height: int, width: int) -> dict[str, Any]:
    scale = np.array([width, height], np.float32)
    centre, size = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / scale, (xyxy[:, 2:] - xyxy[:, :2]) / scale
    return {
        "cls": class_id.astype(np.float32).reshape(-1, 1),
        "bboxes": np.concatenate([centre, size], axis=1).astype(np.float32),
        "segments": [],
        "keypoints": None,
        "normalized": True,
        "bbox_format": "xywh",
    }


class PairDetectionTrainer(DetectionTrainer):
    """Detection trainer over `LabelledPair`s; give the data with `with_pairs` before calling."""

    pairs: dict[str, list[LabelledPair]]
    class_names: tuple[str, ...]
    views: int
    image_size: int
    mix: SensorMixConfig
    threads: int

    @classmethod
    def with_pairs(cls, **bound: Any) -> type[PairDetectionTrainer]:
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
            "pairs": self.pairs,
            "views": self.views,
            "image_size": self.image_size,
            "mix": self.mix,
            "seed": self.args.seed,
        }

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> PairDataset:
        """Build the data set of one part: crops for training, whole pictures for validation."""
        return PairDataset(
            img_path=img_path,
            imgsz=self.args.imgsz if mode == "train" else self.image_size,
            batch_size=batch,
            augment=mode == "train",
            hyp=copy(self.args),
            rect=mode == "val",
            cache="ram",
            stride=max(int(unwrap_model(self.model).stride.max()), 32),
            pad=0.0 if mode == "train" else 0.5,
            prefix=f"{mode}: ",
            task="detect",
            data=self.data,
        )

    def _setup_train(self) -> None:
        super()._setup_train()
        # ultralytics sets the number of threads itself when it selects the CPU.
        torch.set_num_threads(self.threads)
        # A third faster than the default layout with oneDNN; ultralytics offers it on CUDA only.
        self.model = self.model.to(memory_format=torch.channels_last)

    def final_eval(self) -> None:
        """Strip the optimizer from the last checkpoint; `detection_scores` judges it, by input."""
        strip_optimizer(self.last)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device as ultralytics does, in the model's memory layout."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].to(memory_format=torch.channels_last)
        return batch
