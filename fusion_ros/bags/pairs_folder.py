"""Real pairs from a folder with `vi/` and `ir/`: pictures or clips of the same name in both."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.types import Detections

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
CLIP_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
LABELS_NAME = "labels.coco.json"
_NAMES_SHOWN = 5
_USUAL_RATE = 25.0  # frames per second of a clip that does not tell


class Pair(NamedTuple):
    """Two pictures of one moment.

    Attributes:
        name: file name without its suffix; of a clip, with the frame's number.
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8 or uint16, of a size of its own; it shows the same view.
        seconds: time in its clip, None for a still picture.
    """

    name: str
    rgb: NDArray[np.uint8]
    thermal: NDArray[np.generic]
    seconds: float | None = None


class ClipFacts(NamedTuple):
    """What the header of a clip says: number of frames, 0 where it does not, and frames per second."""

    frames: int
    rate: float


@dataclass(frozen=True)
class PairsFolder:
    """What a folder of pairs holds.

    Attributes:
        path: the folder.
        visible: file of each name in `vi/`, in order.
        infrared: file of each name in `ir/`.
        labels: boxes of each name that is labelled, in pixels of its thermal picture.
    """

    path: Path
    visible: dict[str, Path]
    infrared: dict[str, Path]
    labels: dict[str, Detections] = field(default_factory=dict)

    @property
    def has_clips(self) -> bool:
        """Whether it holds clips rather than pictures."""
        return any(path.suffix.lower() in CLIP_SUFFIXES for path in self.visible.values())

    def __len__(self) -> int:
        return len(self.visible)


def find_pairs(directory: str | os.PathLike[str]) -> PairsFolder:
    """Match the files of `vi/` and `ir/` by name.

    Args:
        directory: folder with `vi/` and `ir/`; their suffixes may differ. Labels are read from `labels.coco.json`.

    Raises:
        InputError: a folder is missing or empty, names have no partner, or the labels are not of these pairs.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no such folder; give one with vi/ and ir/")
    visible, infrared = _named_files(directory / "vi"), _named_files(directory / "ir")
    lonely = sorted(set(visible) ^ set(infrared))
    if lonely:
        shown = ", ".join(lonely[:_NAMES_SHOWN]) + (", ..." if len(lonely) > _NAMES_SHOWN else "")
        raise InputError(
            f"{directory}: {len(lonely)} names are in only one of vi/ and ir/ ({shown}); both need the same names"
        )
    for name, path in visible.items():
        if (path.suffix.lower() in CLIP_SUFFIXES) != (infrared[name].suffix.lower() in CLIP_SUFFIXES):
            raise InputError(f"{directory}: {name} is a clip in one folder and a picture in the other")
    labels = directory / LABELS_NAME
    return PairsFolder(directory, visible, infrared, _read_labels(labels, set(visible)) if labels.is_file() else {})


def read_pairs(directory: str | os.PathLike[str] | PairsFolder, frames: int | None = None) -> Iterator[Pair]:
    """Yield the pairs of a folder in order of their names, and of each clip all its frames.

    Args:
        directory: the folder, or what `find_pairs` has found in it.
        frames: how many pairs at most, None for all.

    Raises:
        InputError: as `find_pairs`, or a file is no picture or clip.
    """
    folder = directory if isinstance(directory, PairsFolder) else find_pairs(directory)
    left = frames
    for name in folder.visible:
        read = read_clip if folder.visible[name].suffix.lower() in CLIP_SUFFIXES else _read_pictures
        for pair in read(name, folder.visible[name], folder.infrared[name]):
            if left is not None:
                if left <= 0:
                    return
                left -= 1
            yield pair


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a colour picture as (H, W, 3) uint8 BGR.

    Raises:
        InputError: it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: not a picture that can be read ({', '.join(PICTURE_SUFFIXES)})")
    return np.asarray(image, np.uint8)


def read_thermal(path: Path) -> NDArray[np.generic]:
    """Read a thermal picture as (h, w) uint8 or uint16; 16 bit are kept, colour is turned into gray.

    Raises:
        InputError: it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
    if image is None or image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{path}: not a thermal picture that can be read (8 or 16 bit gray)")
    return image


def read_clip(name: str, visible: Path, infrared: Path) -> Iterator[Pair]:
    """Yield the frames of two clips side by side; the shorter one ends both.

    Args:
        name: what the pairs are called, before the frame's number.
        visible: clip of the RGB camera.
        infrared: clip of the thermal camera.

    Raises:
        InputError: one of them cannot be read.
    """
    import av

    try:
        with av.open(str(visible)) as rgb_clip, av.open(str(infrared)) as thermal_clip:
            frames = zip(rgb_clip.decode(video=0), thermal_clip.decode(video=0), strict=False)
            for index, (rgb, thermal) in enumerate(frames):
                yield Pair(
                    f"{name}_{index:05d}",
                    rgb.to_ndarray(format="bgr24"),
                    _thermal_frame(thermal),
                    float(rgb.time) if rgb.time is not None else index / _USUAL_RATE,
                )
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{visible} or {infrared}: not a clip that can be read ({error})") from error


def clip_facts(path: Path) -> ClipFacts:
    """Read what a clip's header says.

    Raises:
        InputError: it cannot be read or holds no video.
    """
    import av

    try:
        with av.open(str(path)) as clip:
            stream = clip.streams.video[0]
            return ClipFacts(int(stream.frames), float(stream.average_rate or _USUAL_RATE))
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: not a clip that can be read ({error})") from error


def _named_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; pairs lie in vi/ and ir/ under the same names")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURE_SUFFIXES + CLIP_SUFFIXES:
            continue
        if path.stem in files:
            raise InputError(f"{folder}: {files[path.stem].name} and {path.name} have the same name; keep one of them")
        files[path.stem] = path
    if not files:
        suffixes = ", ".join(PICTURE_SUFFIXES + CLIP_SUFFIXES)
        raise InputError(f"{folder}: no pictures or clips in this folder ({suffixes})")
    return files


def _read_pictures(name: str, visible: Path, infrared: Path) -> Iterator[Pair]:
    yield Pair(name, read_rgb(visible), read_thermal(infrared))


def _thermal_frame(frame: Any) -> NDArray[np.generic]:
    deep = frame.format.name.startswith(("gray16", "gray12", "gray10"))
    image: NDArray[np.generic] = frame.to_ndarray(format="gray16le" if deep else "gray")
    return image


def _read_labels(path: Path, names: set[str]) -> dict[str, Detections]:
    """Read COCO boxes by name. A picture with `labelled: false` is left out; one without boxes has nothing to find."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        images = {
            int(entry["id"]): Path(entry["file_name"]).stem
            for entry in content["images"]
            if entry.get("labelled", True)
        }
        rows: dict[str, list[tuple[float, float, float, float, int]]] = {name: [] for name in images.values()}
        for entry in content["annotations"]:
            if int(entry["image_id"]) in images:
                x, y, width, height = (float(value) for value in entry["bbox"])
                row = (x, y, x + width, y + height, int(entry["category_id"]))
                rows[images[int(entry["image_id"])]].append(row)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not COCO labels ({type(error).__name__}: {error})") from error
    if not set(rows) & names:
        some = ", ".join(sorted(rows)[:_NAMES_SHOWN])
        raise InputError(f"{path}: labels of another set ({some}); none of its pictures is among these pairs")
    return {name: _as_detections(boxes, categories) for name, boxes in rows.items() if name in names}


def _as_detections(boxes: list[tuple[float, float, float, float, int]], names: dict[int, str]) -> Detections:
    table = np.array(boxes, np.float64).reshape(-1, 5)
    return Detections(
        table[:, :4].astype(np.float32), np.ones(len(table), np.float32), table[:, 4].astype(np.int64), names
    )
