"""Copies objects from pair to pair, in the visible and the infrared image alike: few pictures, many scenes.

Simple copy-paste (Ghiasi et al., CVPR 2021), with boxes instead of outlines: what is around an object comes along and
fades into its new place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.training.data.labelled_pairs import LabelledPair

_MARGIN = 0.15  # of the box's size on each side: where it fades
_SMALLEST, _LARGEST = 12, 200  # pixels; smaller ones cannot be told from noise, larger ones hide the scene
_ZOOM = (0.6, 1.3)
_HEIGHT_JITTER = 0.06  # of the image: an object keeps its height over the ground, roughly
_TRIES = 4
_MOST_HIDDEN = 0.15  # of an object that is there already


@dataclass(frozen=True)
class _Patch:
    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    box: NDArray[np.float32]  # in pixels of the patch
    down: float  # centre, as a share of the image's height


class ObjectBank:
    """Objects that can be pasted, by class.

    Args:
        pairs: where they are cut out.
    """

    def __init__(self, pairs: Sequence[LabelledPair]) -> None:
        self._patches: dict[int, list[_Patch]] = {}
        for pair in pairs:
            for box, class_id in zip(pair.xyxy, pair.class_id, strict=True):
                if min(box[2:] - box[:2]) >= _SMALLEST and max(box[2:] - box[:2]) <= _LARGEST:
                    self._patches.setdefault(int(class_id), []).append(_cut(pair, box))

    def paste(
        self,
        visible: NDArray[np.uint8],
        infrared: NDArray[np.uint8],
        xyxy: NDArray[np.float32],
        class_id: NDArray[np.int64],
        rows: tuple[int, int],
        random: np.random.Generator,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Paste one object, of a class drawn evenly, where it hides none that is there; see `__init__`.

        Args:
            visible: (H, W, 3) uint8 BGR, a part of an image.
            infrared: (H, W) uint8, the same part.
            xyxy: (N, 4) objects in it.
            class_id: (N,) their classes.
            rows: the part's first row in its image, and the image's height.
            random: decides.

        Returns:
            The same four with the object; unchanged where there was no place.
        """
        if not self._patches:
            return visible, infrared, xyxy, class_id
        kind = list(self._patches)[int(random.integers(len(self._patches)))]
        patch = _varied(self._patches[kind][int(random.integers(len(self._patches[kind])))], random)
        height, width = patch.infrared.shape
        free = infrared.shape[0] - height, infrared.shape[1] - width
        if min(free) < 0:
            return visible, infrared, xyxy, class_id
        for _ in range(_TRIES):
            down = patch.down + random.uniform(-_HEIGHT_JITTER, _HEIGHT_JITTER)
            top = int(np.clip(down * rows[1] - rows[0] - height / 2, 0, free[0]))
            left = int(random.integers(free[1] + 1))
            box = patch.box + np.array([left, top] * 2, np.float32)
            if _hidden_share(xyxy, box) <= _MOST_HIDDEN:
                place = np.s_[top : top + height, left : left + width]
                alpha = _fading(patch)
                visible, infrared = visible.copy(), infrared.copy()
                visible[place] = _blended(visible[place], patch.visible, alpha[..., None])
                infrared[place] = _blended(infrared[place], patch.infrared, alpha)
                return visible, infrared, np.vstack([xyxy, box]), np.append(class_id, kind)
        return visible, infrared, xyxy, class_id


def _cut(pair: LabelledPair, box: NDArray[np.float32]) -> _Patch:
    height, width = pair.infrared.shape
    margin = np.maximum(2, _MARGIN * (box[2:] - box[:2]))
    left, top = np.maximum(box[:2] - margin, 0).astype(int)
    right, bottom = np.minimum(np.ceil(box[2:] + margin), [width, height]).astype(int)
    place = np.s_[top:bottom, left:right]
    own_box = (box - np.array([left, top] * 2)).astype(np.float32)
    return _Patch(pair.visible[place], pair.infrared[place], own_box, float((top + bottom) / 2 / height))


def _varied(patch: _Patch, random: np.random.Generator) -> _Patch:
    height, width = patch.infrared.shape
    zoom = float(np.exp(random.uniform(*np.log(_ZOOM))))
    size = (max(4, round(width * zoom)), max(4, round(height * zoom)))
    visible, infrared = (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (patch.visible, patch.infrared)
    )
    box = patch.box * np.array([size[0] / width, size[1] / height] * 2, np.float32)
    if random.random() < 0.5:
        visible, infrared = visible[:, ::-1], infrared[:, ::-1]
        box = np.array([size[0] - box[2], box[1], size[0] - box[0], box[3]], np.float32)
    return _Patch(np.asarray(visible), np.asarray(infrared), box, patch.down)


def _fading(patch: _Patch) -> NDArray[np.float32]:
    """(H, W): 1 in the box, down to 0 at the patch's edge."""
    height, width = patch.infrared.shape
    across = np.interp(
        np.arange(width) + 0.5, [0, max(patch.box[0], 1), min(patch.box[2], width - 1), width], [0, 1, 1, 0]
    )
    down = np.interp(
        np.arange(height) + 0.5, [0, max(patch.box[1], 1), min(patch.box[3], height - 1), height], [0, 1, 1, 0]
    )
    return np.asarray(np.outer(down, across), np.float32)


def _blended(below: NDArray[np.uint8], above: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(below * (1 - alpha) + above * alpha), np.uint8)


def _hidden_share(xyxy: NDArray[np.float32], box: NDArray[np.float32]) -> float:
    """The largest share of one of these boxes, or of the new one, that both cover."""
    if not len(xyxy):
        return 0.0
    overlap = np.clip(np.minimum(xyxy[:, 2:], box[2:]) - np.maximum(xyxy[:, :2], box[:2]), 0, None).prod(axis=1)
    areas = np.minimum((xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1), (box[2:] - box[:2]).prod())
    return float((overlap / areas).max())
