"""Square windows around labelled objects: most of a road scene is sky and asphalt, which teaches a detector little."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SHARE_ON_OBJECT = 0.85  # the other windows lie anywhere
_VISIBLE_SHARE = 0.35  # of a box's area; less of it in the window is not labelled
GREY = 114  # what ultralytics pads with


@dataclass(frozen=True)
class Window:
    """A square of `side` pixels with its corner at (`left`, `top`); it may reach beyond the image below and right."""

    left: int
    top: int
    side: int

    def part(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels of an (H, W) or (H, W, C) image inside, a view of it: at most `side` by `side`."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]

    def boxes(
        self, xyxy: NDArray[np.float32], height: int, width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Boxes (N, 4) of a (height, width) image, cut off, in pixels of the window, and (N,) which are well seen."""
        shown = [min(self.side, width - self.left), min(self.side, height - self.top)] * 2
        moved = xyxy - np.array([self.left, self.top] * 2, np.float32)
        clipped = np.clip(moved, 0, shown).astype(np.float32)
        sides, whole = clipped[:, 2:] - clipped[:, :2], xyxy[:, 2:] - xyxy[:, :2]
        seen = (sides >= 2).all(axis=1) & (sides.prod(axis=1) >= _VISIBLE_SHARE * whole.prod(axis=1))
        return clipped, seen

    def filled(self, part: NDArray[np.uint8], side: int, fill: int, exact: bool = False) -> NDArray[np.uint8]:
        """Bring a `part` to (side, side), with `fill` where the window reaches beyond the image.

        Args:
            part: what `part` has given, or a picture made of it.
            side: wanted size, pixels.
            fill: value of what is outside.
            exact: take the nearest pixel, as for class ids, instead of blending.
        """
        whole = np.full((self.side, self.side, *part.shape[2:]), fill, np.uint8)
        whole[: part.shape[0], : part.shape[1]] = part
        interpolation = cv2.INTER_AREA if side < self.side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_NEAREST if exact else interpolation))


def random_window(
    size: tuple[int, int],
    xyxy: NDArray[np.float32],
    side: int,
    random: np.random.Generator,
    zoom: tuple[float, float] = (0.65, 1.5),
) -> Window:
    """Lay a window, mostly around one of an image's objects.

    Args:
        size: height and width of the image.
        xyxy: (N, 4) boxes.
        side: of the window where nothing is enlarged or shrunk, pixels.
        random: decides.
        zoom: how large an object appears at least and at most, as a share of its size in the image.
    """
    side = round(side / float(np.exp(random.uniform(*np.log(zoom)))))
    highest = np.maximum([size[1] - side, size[0] - side], 0)
    corner = random.uniform(0, highest + 1)
    if len(xyxy) and random.random() < _SHARE_ON_OBJECT:
        box = xyxy[random.integers(len(xyxy))]
        corner = (box[:2] + box[2:]) / 2 - random.uniform(0.15, 0.85, 2) * side
    left, top = np.clip(corner, 0, highest).astype(int)
    return Window(int(left), int(top), side)
