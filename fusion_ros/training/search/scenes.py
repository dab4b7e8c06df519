"""Labelled pairs for a task, and crops of them that a number alone determines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fusion_ros.configuration import setting
from fusion_ros.errors import InputError
from fusion_ros.fusion.color import luminance, to_unit_range
from fusion_ros.training.data.box_masks import SEGMENT_NAMES, masks_from_boxes, with_road_ahead
from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, read_labelled_pairs
from fusion_ros.training.data.layouts import PairFiles, find_pairs, read_pair
from fusion_ros.training.data.pairs import Pair, matched_names, split_names

DETECTION, SEGMENTATION = "detection", "segmentation"
LABELS_NAME = "labels.coco.json"
IGNORED = 255
# Boxes that a crop keeps; the largest come first.
MAX_BOXES = 40
_MOST_CLASSES = 64
_SCALES = (0.75, 1.33)
_SHARE_ON_OBJECT = 0.85
_VISIBLE_SHARE = 0.35


@dataclass(frozen=True)
class ScenesConfig:
    """What a search sees."""

    folder: str = setting("../shared/data/roadscene", "folder with vi/, ir/ and the task's labels", runtime=False)
    image_size: int = setting(480, "longer side of a pair", unit="px", minimum=64, maximum=2048)
    crop: int = setting(160, "side of a crop", unit="px", minimum=32, maximum=2048)
    upper_share: float = setting(
        0.3,
        "share of the training part that judges the weights: neither network learns from it",
        minimum=0.05,
        maximum=0.9,
    )


@dataclass(frozen=True)
class Scene:
    """A labelled pair.

    Attributes:
        name: of the pair.
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        xyxy: (N, 4) float32 boxes in pixels; none where only masks are known.
        class_id: (N,) int64.
        mask: (H, W) uint8 class of every pixel, 255 where it is unknown; None where only boxes are.
    """

    name: str
    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    mask: NDArray[np.uint8] | None

    @property
    def pair(self) -> Pair:
        """Without its labels."""
        return Pair(self.name, self.visible, self.infrared)


@dataclass(frozen=True)
class LabelledScenes:
    """The labelled pairs of a folder.

    Attributes:
        task: `detection` or `segmentation`.
        class_names: of boxes or masks.
        estimated: whether masks were estimated from boxes.
        training: both networks learn from these.
        upper: what the weights are judged by during the search.
        validation: the last fifth of the sorted names, for figures only.
    """

    task: str
    class_names: tuple[str, ...]
    estimated: bool
    training: list[Scene]
    upper: list[Scene]
    validation: list[Scene]


def read_scenes(config: ScenesConfig, task: str) -> LabelledScenes:
    """Read a folder with `labels.coco.json` (its boxes also make masks) or, for segmentation, a layout with masks.

    Raises:
        InputError: folders do not match, labels of the task are missing, or there are too few pairs.
    """
    folder = Path(config.folder)
    if not folder.is_dir():
        raise InputError(f"data.folder: {folder} is not a folder")
    if (folder / LABELS_NAME).is_file() or task == DETECTION:
        names: tuple[str, ...] = CLASS_NAMES if task == DETECTION else SEGMENT_NAMES
        matched_names(folder)
        parts = [_from_boxes(folder, part, task, config.image_size) for part in ("training", "validation")]
    else:
        names, parts = _from_masks(folder, config.image_size)
    learned, validation = parts
    split = len(learned) - max(1, round(config.upper_share * len(learned)))
    if split < 1 or not validation:
        raise InputError(f"{folder}: {len(learned)} labelled pairs to search with and {len(validation)} to judge by")
    smallest = min(min(scene.infrared.shape) for scene in learned)
    # Crops of low pictures are enlarged, within reason.
    if 2 * smallest < config.crop:
        raise InputError(f"data.crop: {config.crop} is more than twice the smallest image side, {smallest}")
    estimated = task == SEGMENTATION and (folder / LABELS_NAME).is_file()
    return LabelledScenes(task, tuple(names), estimated, learned[:split], learned[split:], validation)


def _from_boxes(folder: Path, part: str, task: str, size: int) -> list[Scene]:
    scenes = []
    for pair in read_labelled_pairs(folder, part):
        mask = with_road_ahead(masks_from_boxes(pair)) if task == SEGMENTATION else None
        scenes.append(_resized(Scene(pair.name, pair.visible, pair.infrared, pair.xyxy, pair.class_id, mask), size))
    return scenes


def _from_masks(folder: Path, size: int) -> tuple[tuple[str, ...], list[list[Scene]]]:
    files = find_pairs(folder)
    with_mask = {entry.name: entry for entry in files if entry.mask is not None}
    if not with_mask:
        raise InputError(f"{folder}: has no {LABELS_NAME} and no folder of masks; segmentation needs one of them")
    parts = [[_with_mask(with_mask[name], size) for name in names] for names in split_names(list(with_mask))]
    seen = {int(value) for part in parts for scene in part for value in np.unique(scene.mask)} - {IGNORED}
    classes = max(seen, default=0) + 1
    if not 2 <= classes <= _MOST_CLASSES:
        raise InputError(
            f"{folder}: masks with {classes} classes; they hold class numbers from 0 on, and 255 for unknown"
        )
    return tuple(f"class {index}" for index in range(classes)), parts


def _with_mask(entry: PairFiles, size: int) -> Scene:
    pair = read_pair(entry)
    height, width = pair.infrared.shape
    mask = cv2.imread(str(entry.mask), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != (height, width):
        found = "unreadable" if mask is None else f"{mask.shape[1]}x{mask.shape[0]}"
        raise InputError(f"{entry.mask}: is {found}; a mask is an image of the pair's size, {width}x{height}")
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return _resized(Scene(entry.name, pair.visible, pair.infrared, *none, np.asarray(mask, np.uint8)), size)


def _resized(scene: Scene, size: int) -> Scene:
    height, width = scene.infrared.shape
    ratio = size / max(height, width)
    target = (min(round(width * ratio), size), min(round(height * ratio), size))
    if target == (width, height):
        return scene
    scale = np.array([target[0] / width, target[1] / height] * 2, np.float32)
    visible, infrared = (
        np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_AREA), np.uint8)
        for image in (scene.visible, scene.infrared)
    )
    mask = scene.mask
    if mask is not None:
        mask = np.asarray(cv2.resize(mask, target, interpolation=cv2.INTER_NEAREST), np.uint8)
    return Scene(scene.name, visible, infrared, scene.xyxy * scale, scene.class_id, mask)


class SceneCrops(Dataset):
    """Crops without end: number n of a seed is always the same crop.

    Items are dicts of float tensors `visible` and `infrared`, (1, crop, crop) in [0, 1], `color`, (3, crop, crop) RGB
    in [0, 1], and `boxes`, (`MAX_BOXES`, 5): class and centre x, centre y, width, height as shares of the crop, and
    class -1 where there is none; for segmentation `mask`, (crop, crop) int64.
    """

    def __init__(self, scenes: Sequence[Scene], crop: int, seed: Sequence[int], length: int) -> None:
        self._scenes = list(scenes)
        self._crop = crop
        self._seed = tuple(seed)
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        random = np.random.default_rng((*self._seed, number))
        scene = self._scenes[random.integers(len(self._scenes))]
        side, left, top = _window(scene, self._crop, random)
        flip = -1 if random.random() < 0.5 else 1
        window = np.s_[top : top + side, left : left + side]
        visible, infrared = (
            np.ascontiguousarray(_scaled(image[window], self._crop)[:, ::flip])
            for image in (scene.visible, scene.infrared)
        )
        color = np.ascontiguousarray(visible[..., ::-1].transpose(2, 0, 1))
        item = {
            "visible": torch.from_numpy(luminance(visible))[None],
            "infrared": torch.from_numpy(to_unit_range(infrared))[None],
            "color": torch.from_numpy(to_unit_range(color)),
            "boxes": torch.from_numpy(_boxes(scene, side, left, top, flip < 0)),
        }
        if scene.mask is not None:
            mask = cv2.resize(scene.mask[window], (self._crop, self._crop), interpolation=cv2.INTER_NEAREST)
            item["mask"] = torch.from_numpy(np.ascontiguousarray(mask[:, ::flip]).astype(np.int64))
        return item

    def batch(self, first: int, size: int) -> dict[str, Tensor]:
        """Items `first` to `first + size - 1`, stacked."""
        items = [self[number] for number in range(first, first + size)]
        return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def _scaled(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    interpolation = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)


def _window(scene: Scene, crop: int, random: np.random.Generator) -> tuple[int, int, int]:
    height, width = scene.infrared.shape
    side = min(round(crop * float(np.exp(random.uniform(*np.log(_SCALES))))), height, width)
    highest = np.array([width - side, height - side])
    corner = random.uniform(0, highest + 1)
    if len(scene.xyxy) and random.random() < _SHARE_ON_OBJECT:
        box = scene.xyxy[random.integers(len(scene.xyxy))]
        corner = (box[:2] + box[2:]) / 2 - random.uniform(0.15, 0.85, 2) * side
    left, top = np.clip(corner, 0, highest).astype(int)
    return side, int(left), int(top)


def _boxes(scene: Scene, side: int, left: int, top: int, flipped: bool) -> NDArray[np.float32]:
    rows = np.full((MAX_BOXES, 5), -1, np.float32)
    moved = np.clip(scene.xyxy - np.array([left, top, left, top], np.float32), 0, side)
    sides, whole = moved[:, 2:] - moved[:, :2], scene.xyxy[:, 2:] - scene.xyxy[:, :2]
    areas = sides.prod(axis=1)
    seen = (sides >= 2).all(axis=1) & (areas >= _VISIBLE_SHARE * whole.prod(axis=1))
    order = [index for index in np.argsort(-areas, kind="stable") if seen[index]][:MAX_BOXES]
    centre = (moved[order, :2] + moved[order, 2:]) / (2 * side)
    if flipped:
        centre[:, 0] = 1 - centre[:, 0]
    rows[: len(order)] = np.concatenate([scene.class_id[order, None], centre, sides[order] / side], axis=1)
    return rows
