"""What is truly to be seen in the frames: COCO boxes from a file, or the ground truth that a bag carries."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.decoding import read_detections, read_frame, read_label_info
from fusion_ros.bags.pairs_folder import LABELS_NAME
from fusion_ros.bags.reader import BagReader, open_bag
from fusion_ros.errors import InputError
from fusion_ros.simulation.recording import BOX_LABELS_TOPIC, BOXES_TOPIC, MASK_LABELS_TOPIC, MASK_TOPIC
from fusion_ros.types import Detections, SegmentationMask

IN_BAG = "bag"
_NAMES_SHOWN = 3


class Labels(Protocol):
    """Truth by frame key. Frames must be asked for in their order."""

    @property
    def box_classes(self) -> Collection[str]:
        """Names of the classes of the boxes, empty without boxes."""

    @property
    def mask_classes(self) -> Collection[str]:
        """Names of the classes of the masks, empty without masks."""

    def boxes(self, key: str, height: int, width: int) -> Detections | None:
        """True boxes in pixels of a (height, width) image; None where the frame is not labelled."""

    def mask(self, key: str, height: int, width: int) -> SegmentationMask | None:
        """True classes of a (height, width) image; None where there are none."""

    def close(self) -> None:
        """Let go of the files."""


def open_labels(labels: str, source: Path, keys: Collection[str] | None) -> Labels:
    """Open the labels of one recording.

    Args:
        labels: a COCO file, or `bag` for what the recording itself brings: its ground truth topics, or the
            labels.coco.json of a folder with pairs.
        source: what is evaluated.
        keys: keys of its frames, None where they are not known yet.

    Raises:
        InputError: they cannot be read, or none belongs to a frame that is evaluated.
    """
    if labels != IN_BAG:
        return CocoLabels(Path(labels), keys)
    beside = source / LABELS_NAME
    return CocoLabels(beside, keys) if beside.is_file() else BagLabels(source)


class CocoLabels:
    """Boxes of a COCO file; `images[].file_name` without its folder and suffix, or `stamp_ns`, names the frame.

    Boxes are scaled from the image's `width` and `height` to the evaluated frame's. An image with `labelled: false` is
    left out, one without boxes has nothing to find.
    """

    mask_classes: Collection[str] = ()

    def __init__(self, path: Path, keys: Collection[str] | None) -> None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self._names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
            images = [entry for entry in content["images"] if entry.get("labelled", True)]
            self._sizes = {int(e["id"]): (e.get("width"), e.get("height")) for e in images}
            self._ids = {Path(str(entry["file_name"])).stem: int(entry["id"]) for entry in images}
            self._ids |= {str(entry["stamp_ns"]): int(entry["id"]) for entry in images if "stamp_ns" in entry}
            self._rows: dict[int, list[tuple[float, ...]]] = {number: [] for number in self._sizes}
            for entry in content["annotations"]:
                if int(entry["image_id"]) in self._rows and not entry.get("iscrowd"):
                    x, y, w, h = (float(value) for value in entry["bbox"])
                    self._rows[int(entry["image_id"])].append((x, y, x + w, y + h, self._known(entry["category_id"])))
        except OSError as error:
            raise InputError(f"--labels {path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"--labels {path}: not COCO labels ({type(error).__name__}: {error})") from error
        if keys is not None and not set(self._ids) & set(keys):
            labelled, evaluated = (", ".join(sorted(names)[:_NAMES_SHOWN]) for names in (self._ids, keys))
            raise InputError(
                f"--labels {path}: labels of another set: its images ({labelled}, ...) are none of the frames that are "
                f"evaluated ({evaluated}, ...)"
            )

    def _known(self, category: object) -> int:
        number = int(str(category))
        if number not in self._names:
            raise ValueError(f"category {number} has no name")
        return number

    @property
    def box_classes(self) -> Collection[str]:
        """Names of the file's categories."""
        return list(self._names.values())

    def boxes(self, key: str, height: int, width: int) -> Detections | None:
        """See `Labels.boxes`."""
        number = self._ids.get(key)
        if number is None:
            return None
        table = np.array(self._rows[number], np.float64).reshape(-1, 5)
        own_width, own_height = self._sizes[number]
        scale = np.array([width / (own_width or width), height / (own_height or height)] * 2)
        return Detections(
            (table[:, :4] * scale).astype(np.float32),
            np.ones(len(table), np.float32),
            table[:, 4].astype(np.int64),
            self._names,
        )

    def mask(self, key: str, height: int, width: int) -> SegmentationMask | None:
        """None: masks are not read from COCO files."""
        return None

    def close(self) -> None:
        """Do nothing: the file is read."""


class BagLabels:
    """The ground truth topics of a recording, by header stamp; masks are read along, one at a time."""

    def __init__(self, path: Path) -> None:
        self._bag = open_bag(path)
        try:
            if not {BOXES_TOPIC, MASK_TOPIC} & set(self._bag.topics):
                there = ", ".join(self._bag.topics)
                raise InputError(
                    f"--labels {IN_BAG}: {path} carries no {BOXES_TOPIC} and no {MASK_TOPIC}; it has {there}"
                )
            self._names = _names(self._bag, BOXES_TOPIC, BOX_LABELS_TOPIC)
            self._mask_names = _names(self._bag, MASK_TOPIC, MASK_LABELS_TOPIC)
            self._boxes: dict[str, Detections] = {}
            if self._names:
                for message in self._bag.messages([BOXES_TOPIC]):
                    stamp_ns, boxes = read_detections(self._bag, message, self._names)
                    self._boxes[str(stamp_ns)] = boxes
        except InputError:
            self._bag.close()
            raise
        self._masks: Iterator[tuple[int, NDArray[np.uint8]]] = _masks(self._bag) if self._mask_names else iter(())
        self._mask: tuple[int, NDArray[np.uint8]] | None = next(self._masks, None)

    @property
    def box_classes(self) -> Collection[str]:
        """Names from the topic's label info."""
        return list(self._names.values())

    @property
    def mask_classes(self) -> Collection[str]:
        """Names from the topic's label info."""
        return list(self._mask_names.values())

    def boxes(self, key: str, height: int, width: int) -> Detections | None:
        """See `Labels.boxes`; the topic's boxes are in pixels of the RGB images."""
        return self._boxes.get(key)

    def mask(self, key: str, height: int, width: int) -> SegmentationMask | None:
        """See `Labels.mask`."""
        while self._mask is not None and self._mask[0] < int(key):
            self._mask = next(self._masks, None)
        if self._mask is None or self._mask[0] != int(key):
            return None
        mask = self._mask[1]
        if mask.shape != (height, width):
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        return SegmentationMask(mask, self._mask_names)

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()


def _names(bag: BagReader, topic: str, info_topic: str) -> Mapping[int, str]:
    return read_label_info(bag, info_topic) if topic in bag.topics else {}


def _masks(bag: BagReader) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for message in bag.messages([MASK_TOPIC]):
        frame = read_frame(bag, message, "thermal")
        yield frame.stamp_ns, np.asarray(frame.image, np.uint8)
