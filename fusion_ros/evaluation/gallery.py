"""The best and worst frames of each mode, kept as pictures while the frames go by."""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import BASELINES
from fusion_ros.evaluation.frames_file import FramesTable
from fusion_ros.evaluation.scores import lower_is_better

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 90]


@dataclass(frozen=True, order=True)
class Chosen:
    """A frame of a mode and its score."""

    score: float
    key: str


class Gallery:
    """Keeps `count` best and `count` worst frames of each mode as JPEG files; what falls out of them is removed.

    Args:
        folder: where the pictures lie.
        count: how many of each.
        modes: labels of the modes whose frames are kept.
        downwards: whether a smaller score is the better one.

    Attributes:
        folder: where the pictures lie.
    """

    def __init__(self, folder: Path, count: int, modes: Iterable[str], downwards: bool) -> None:
        self.folder = folder
        self._count = count
        self._low: dict[str, list[Chosen]] = {mode: [] for mode in modes}
        self._high: dict[str, list[Chosen]] = {mode: [] for mode in self._low}
        self._downwards = downwards

    def offer(
        self, key: str, scores: Mapping[str, float], images: Mapping[str, NDArray[np.uint8]] | None = None
    ) -> None:
        """Consider a frame.

        Args:
            key: of the frame.
            scores: by mode.
            images: (H, W, 3) or (H, W) uint8 by mode, and `/rgb` and `/thermal`; None where the files are there
                already, from a run that is resumed.
        """
        for mode in self._low:
            score = scores.get(mode, math.nan)
            if self._count and not math.isnan(score):
                left = self._enter(mode, Chosen(score, key))
                if images is not None and self._holds(mode, key):
                    for part in (mode, "/rgb", "/thermal"):
                        self._write(key, part, images[part])
                for gone in left:
                    self._remove(mode, gone)

    def keep_only_chosen(self) -> None:
        """Remove the pictures of frames that have not been chosen; parts of a run have chosen more than the whole."""
        kept = {
            self._path(key, part)
            for mode in self._low
            for key in {one.key for one in (*self._low[mode], *self._high[mode])}
            for part in (mode, "/rgb", "/thermal")
        }
        for path in self.folder.glob("*.jpg"):
            if path not in kept:
                path.unlink()

    def worst(self, mode: str) -> list[Chosen]:
        """The worst frames, the worst first."""
        return list(reversed(self._high[mode])) if self._downwards else list(self._low[mode])

    def best(self, mode: str) -> list[Chosen]:
        """The best frames, the best first; none that is among the worst."""
        best = list(self._low[mode]) if self._downwards else list(reversed(self._high[mode]))
        worst = self.worst(mode)
        return [one for one in best if one not in worst]

    def picture(self, key: str, part: str) -> NDArray[np.uint8] | None:
        """A picture of a frame: `part` is a mode, `/rgb` or `/thermal`; None where there is none."""
        path = self._path(key, part)
        # OpenCV prints a warning of its own where there is no file.
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.exists() else None
        return None if image is None else np.asarray(image, np.uint8)

    def _enter(self, mode: str, chosen: Chosen) -> list[Chosen]:
        low, high = self._low[mode], self._high[mode]
        bisect.insort(low, chosen)
        bisect.insort(high, chosen)
        candidates = {*low[self._count :], *high[: -self._count]}
        del low[self._count :], high[: -self._count]
        return [one for one in candidates if one not in low and one not in high and one != chosen]

    def _holds(self, mode: str, key: str) -> bool:
        return any(one.key == key for one in (*self._low[mode], *self._high[mode]))

    def _remove(self, mode: str, gone: Chosen) -> None:
        self._path(gone.key, mode).unlink(missing_ok=True)
        if not any(self._holds(other, gone.key) for other in self._low):
            for part in ("/rgb", "/thermal"):
                self._path(gone.key, part).unlink(missing_ok=True)

    def _write(self, key: str, part: str, image: NDArray[np.uint8]) -> None:
        path = self._path(key, part)
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".jpg", image, _QUALITY)[1].tobytes())

    def _path(self, key: str, part: str) -> Path:
        # Labels may hold paths of weights, keys any file name: the digest keeps names apart and short.
        digest = hashlib.sha256(f"{key}\0{part}".encode()).hexdigest()[:12]
        plain = "".join(letter if letter.isalnum() else "_" for letter in f"{key}_{part}")[-60:]
        return self.folder / f"{plain}_{digest}.jpg"


def gallery_of(config: EvaluationConfig, modes: Sequence[str], folder: Path) -> Gallery:
    """A gallery of every mode that is no baseline, by the score that is asked for."""
    shown = [mode for mode in modes if mode not in BASELINES]
    return Gallery(folder, config.pictures, shown, lower_is_better(config.pictures_by))


def offer_again(gallery: Gallery, table: FramesTable, score: str) -> None:
    """Offer frames whose pictures are there already."""
    columns = {mode: table.column(mode, score) for mode in table.modes}
    for index, frame in enumerate(table.frames):
        gallery.offer(frame.key, {mode: float(column[index]) for mode, column in columns.items()})
