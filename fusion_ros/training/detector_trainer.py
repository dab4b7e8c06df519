"""ultralytics' detection trainer, fed with pairs from memory instead of image files."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import torch
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import yaml_model_load

from fusion_ros.training.data.labelled_pairs import LabelledPair
from fusion_ros.training.object_crops import GREY, random_window
from fusion_ros.training.object_paste import ObjectBank
from fusion_ros.training.sensor_mix import INPUTS, mix, random_mix
from fusion_ros.training.yolo_pairs import PairTrainer
from fusion_ros.training.yolo_run import check_head


class PairDataset(YOLODataset):
    """Pairs in memory; every access of a training sample draws a new picture of its pair and a new crop of that.

    `data["pairs"][img_path]` are the pairs; in training each appears `data["views"]` times in an epoch, in validation
    once for every kind in `INPUTS`.
    """

    def get_img_files(self, img_path: str) -> list[str]:
        """Return one name for every sample."""
        self.sources: list[LabelledPair] = self.data["pairs"][img_path]
        self.random = np.random.default_rng(self.data["seed"])
        self.bank = ObjectBank(self.data["donors"])
        views = self.data["views"] if self.augment else len(INPUTS)
        return [f"{view}/{pair.name}" for view in range(views) for pair in self.sources]

    def get_labels(self) -> list[dict[str, Any]]:
        """Return ultralytics' label entry of every sample."""
        return [_label_entry(name, self.sources[i % len(self.sources)]) for i, name in enumerate(self.im_files)]

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Return the whole picture of validation sample `i`, its size before and its size after resizing."""
        pair = self.sources[i % len(self.sources)]
        image = mix(pair.visible, pair.infrared, INPUTS[i // len(self.sources)])
        return image, image.shape[:2], image.shape[:2]

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Return picture and boxes of sample `index`: in training a crop, in validation the whole."""
        if not self.augment:
            return super().get_image_and_label(index)
        picture, xyxy, class_id = self._draw(self.sources[index % len(self.sources)])
        return self.update_labels_info(
            {
                **_boxes_entry(xyxy, class_id, self.imgsz, self.imgsz),
                "im_file": self.im_files[index],
                "img": picture,
                "ori_shape": picture.shape[:2],
                "resized_shape": picture.shape[:2],
                "ratio_pad": (1.0, 1.0),
            }
        )

    def _draw(self, pair: LabelledPair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A crop of a pair, with objects of other pairs, as one of the pictures that light and mode may give."""
        height, width = pair.infrared.shape
        window = random_window((height, width), pair.xyxy, self.imgsz, self.random)
        visible, infrared = window.part(pair.visible), window.part(pair.infrared)
        boxes, seen = window.boxes(pair.xyxy, height, width)
        xyxy, class_id = boxes[seen], pair.class_id[seen]
        for _ in range(self.random.poisson(self.data["pasted"])):
            visible, infrared, xyxy, class_id = self.bank.paste(
                visible, infrared, xyxy, class_id, (window.top, height), self.random
            )
        picture = random_mix(visible, infrared, self.data["mix"], self.random, xyxy)
        return window.filled(picture, self.imgsz, GREY), xyxy * (self.imgsz / window.side), class_id

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Say that everything is in memory: it is."""
        return True

    def cache_images(self) -> None:
        """Do nothing: the pairs are in memory, and the pictures made of them must not be kept."""


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


class PairDetectionTrainer(PairTrainer, DetectionTrainer):
    """Detection trainer over `LabelledPair`s; give the data with `with_pairs` before calling."""

    def get_model(self, cfg: Any = None, weights: torch.nn.Module | None = None, verbose: bool = True) -> Any:
        """Build the network, which has to be a detector."""
        check_head(cfg if isinstance(cfg, dict) else yaml_model_load(cfg), "Detect")
        return super().get_model(cfg, weights, verbose)

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
            stride=self.largest_stride,
            pad=0.0 if mode == "train" else 0.5,
            prefix=f"{mode}: ",
            task="detect",
            data=self.data,
        )
