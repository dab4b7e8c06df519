"""Data sets whose every pixel has a class: MFNet and MSRS, which share their classes.

MSRS (github.com/Linfeng-Tang/MSRS) has folders `train/` and `test/`, each with `vi/`, `ir/` and `Segmentation_labels/`.
MFNet (Ha et al., IROS 2017) has `images/` with RGB and thermal as the four channels of one PNG, `labels/`, and the
lists `train.txt` and `val.txt` (or `test.txt`).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.training.data.layouts import PairFiles, find_pairs, read_mask, read_pair
from fusion_ros.training.data.masked_pairs import MaskedPair, boxes_of_mask

MFNET_NAMES = (
    "background",
    "car",
    "person",
    "bike",
    "curve",
    "car stop",
    "guardrail",
    "color cone",
    "bump",
)
_OBJECTS = [1, 2, 3]  # what crops are laid around
_MSRS_PARTS = {"training": "train", "validation": "test"}
_MFNET_LISTS = {"training": ("train.txt",), "validation": ("val.txt", "test.txt")}


def is_semantic_set(folder: Path) -> bool:
    """Whether the folder looks like MSRS or MFNet with its labels."""
    return (folder / "train" / "Segmentation_labels").is_dir() or _is_mfnet(folder)


def read_semantic_set(folder: Path, part: str) -> list[MaskedPair]:
    """Read one part of MSRS or MFNet, by the set's own split.

    Args:
        folder: of the set.
        part: `training` or `validation`.

    Raises:
        InputError: a file is missing or cannot be used, or a label is none of `MFNET_NAMES`.
    """
    if part not in _MSRS_PARTS:
        raise InputError(f"part: '{part}' is not one of training, validation")
    if _is_mfnet(folder):
        return [_read_mfnet(folder, name) for name in _listed(folder, _MFNET_LISTS[part])]
    chosen = [files for files in find_pairs(folder, "msrs") if files.name.startswith(f"{_MSRS_PARTS[part]}/")]
    return [_read_msrs(files) for files in chosen]


def _is_mfnet(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir() and (folder / "train.txt").is_file()


def _read_msrs(files: PairFiles) -> MaskedPair:
    pair = read_pair(files)
    mask = read_mask(files, len(MFNET_NAMES), pair.infrared.shape)
    return _masked(files.name, pair.visible, pair.infrared, mask)


def _listed(folder: Path, candidates: tuple[str, ...]) -> list[str]:
    path = next((folder / name for name in candidates if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder}: has none of {', '.join(candidates)}, which list the pairs of a part of MFNet")
    return path.read_text(encoding="utf-8").split()


def _read_mfnet(folder: Path, name: str) -> MaskedPair:
    path = folder / "images" / f"{name}.png"
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        raise InputError(f"{path}: is not a PNG of four 8 bit channels (RGB and thermal), as MFNet has")
    files = PairFiles(name, path, path, folder / "labels" / f"{name}.png")
    mask = read_mask(files, len(MFNET_NAMES), image.shape[:2])
    visible = np.ascontiguousarray(image[:, :, :3], np.uint8)
    return _masked(name, visible, np.ascontiguousarray(image[:, :, 3], np.uint8), mask)


def _masked(name: str, visible: NDArray[np.uint8], infrared: NDArray[np.uint8], mask: NDArray[np.uint8]) -> MaskedPair:
    return MaskedPair(name, visible, infrared, mask, boxes_of_mask(mask, _OBJECTS))
