"""Detection and segmentation on what each mode makes, against the labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.evaluation.contenders import Fused
from fusion_ros.evaluation.labels import Labels
from fusion_ros.metrics.detection import average_precision
from fusion_ros.metrics.segmentation import IGNORED, confusion_matrix, scores_of_confusion
from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig
from fusion_ros.perception.detector import SHIPPED_DETECTOR
from fusion_ros.perception.model_files import find_model_file
from fusion_ros.perception.segmenter import SHIPPED_SEGMENTER
from fusion_ros.types import Detections, SegmentationMask

FILE = "perception.jsonl"
# The precision-recall curve wants unsure boxes as well; COCO counts a hundred a picture.
CONFIDENCE, _MOST_BOXES = 0.01, 100
# Surer than this, a box is shown; the curve uses all of them.
SURE = 0.25


@dataclass(frozen=True)
class FramePerception:
    """What was found on one frame.

    Attributes:
        key: of the frame.
        truth: (N, 5) x_min, y_min, x_max, y_max in pixels and class; None where boxes are not labelled.
        found: by mode (N, 6) float32, with confidence before class.
        confusion: by mode (K, K) pixels by true and found class; empty where there is no true mask.
        unknown: classes of labelled boxes that the detector does not know; they do not count.
    """

    key: str
    truth: NDArray[np.float64] | None
    found: Mapping[str, NDArray[np.float32]]
    confusion: Mapping[str, NDArray[np.int64]]
    unknown: Sequence[str] = ()


@dataclass
class Answers:
    """What detector and segmenter found on one frame, by mode: sure boxes, and masks; empty where they did not run."""

    boxes: dict[str, Detections] = field(default_factory=dict)
    masks: dict[str, SegmentationMask] = field(default_factory=dict)


class PerceptionModels:
    """The detector and the segmenter, loaded when they are first asked for.

    Args:
        device: where the two run.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    @cached_property
    def detector(self) -> Detector:
        """The shipped detector, with unsure boxes."""
        return Detector(DetectorConfig(device=self._device, confidence=CONFIDENCE, max_detections=_MOST_BOXES))

    @cached_property
    def segmenter(self) -> Segmenter:
        """The shipped segmenter."""
        return Segmenter(SegmenterConfig(device=self._device))


class PerceptionScorer:
    """Runs detector and segmenter where there are labels for them, and writes what they find to a file.

    Args:
        labels: the truth.
        path: file to append to, a line a frame.
        models: detector and segmenter.
    """

    def __init__(self, labels: Labels, path: Path, models: PerceptionModels) -> None:
        self._labels = labels
        self._path = path
        self._detector = models.detector if labels.box_classes else None
        self._segmenter = models.segmenter if labels.mask_classes else None

    def weights(self) -> dict[str, Path]:
        """File of the detector and of the segmenter, where they run."""
        files = {}
        if self._detector:
            files["detector"] = find_model_file("", "detection", SHIPPED_DETECTOR)
        if self._segmenter:
            files["segmenter"] = find_model_file("", "segmentation", SHIPPED_SEGMENTER)
        return files

    @property
    def box_names(self) -> Mapping[int, str]:
        """Classes that are compared, by the detector's ids."""
        return self._detector.class_names if self._detector else {}

    @property
    def mask_names(self) -> Mapping[int, str]:
        """Classes that are compared, by the segmenter's ids."""
        return self._segmenter.class_names if self._segmenter else {}

    def score(self, key: str, made: Sequence[Fused]) -> Answers:
        """Search what every mode made of a frame that is labelled, write it down, and return it."""
        height, width = made[0].frame.image.shape[:2]
        boxes = self._labels.boxes(key, height, width) if self._detector else None
        mask = self._labels.mask(key, height, width) if self._segmenter else None
        answers = Answers()
        if boxes is None and mask is None:
            return answers
        line: dict[str, Any] = {"frame": key}
        if boxes is not None:
            truth, line["unknown"] = self._true_rows(boxes)
            line["truth"] = truth.tolist()
            line["found"] = _once_an_image(made, self._find)
            for label, rows in line["found"].items():
                answers.boxes[label] = as_detections(np.array(rows, np.float64), self.box_names, SURE)
        if mask is not None:
            true = _renumbered(mask.class_id, mask.class_names, self.mask_names)
            for label, found in _once_an_image(made, self._segment).items():
                answers.masks[label] = SegmentationMask(found, self.mask_names)
            line["confusion"] = {
                label: confusion_matrix(found.class_id, true, len(self.mask_names)).tolist()
                for label, found in answers.masks.items()
            }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return answers

    def _true_rows(self, boxes: Detections) -> tuple[NDArray[np.float64], list[str]]:
        """The boxes in the detector's numbering, and the classes of those it does not know."""
        ids = {name: number for number, name in self.box_names.items()}
        names = [boxes.class_names.get(int(number), str(number)) for number in boxes.class_id]
        known = np.array([name in ids for name in names], bool)
        classes = np.array([ids[name] for name in names if name in ids], np.float64)
        rows = np.column_stack([boxes.xyxy[known].astype(np.float64).reshape(-1, 4), classes])
        return rows, [name for name in names if name not in ids]

    def _find(self, image: NDArray[np.uint8]) -> list[list[float]]:
        assert self._detector is not None
        found = self._detector.detect(image)
        rows = np.column_stack([found.xyxy, found.confidence, found.class_id]).astype(np.float64)
        rows_as_lists: list[list[float]] = np.round(rows, 4).tolist()
        return rows_as_lists

    def _segment(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert self._segmenter is not None
        found: NDArray[np.uint8] = self._segmenter.segment(image).class_id
        return found


def _once_an_image(made: Sequence[Fused], work: Any) -> dict[str, Any]:
    """Do the work once for each different image: `auto` mostly shows what another mode has made."""
    answers: list[tuple[NDArray[np.uint8], Any]] = []
    by_mode = {}
    for one in made:
        image = one.frame.image
        answer = next((known for other, known in answers if np.array_equal(other, image)), None)
        if answer is None:
            answer = work(image)
            answers.append((image, answer))
        by_mode[one.label] = answer
    return by_mode


def _renumbered(mask: NDArray[np.uint8], own: Mapping[int, str], wanted: Mapping[int, str]) -> NDArray[np.uint8]:
    """Class ids by name in another numbering; what has no such name is not counted."""
    ids = {name: number for number, name in wanted.items()}
    table = np.full(256, IGNORED, np.uint8)
    for number, name in own.items():
        table[number] = ids.get(name, IGNORED)
    return table[mask]


def keep_lines_of(path: Path, keys: Collection[str]) -> None:
    """Leave the lines of these frames only, as an interrupted run has written one or more too many."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["frame"] in keys:
                kept.append(line + "\n")
        except ValueError:
            continue
    path.write_text("".join(kept), encoding="utf-8")


def read_perception(path: Path) -> list[FramePerception]:
    """Read the file back; nothing where there is none."""
    if not path.exists():
        return []
    frames = []
    with path.open(encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            truth = np.array(line["truth"], np.float64).reshape(-1, 5) if "truth" in line else None
            found = {mode: np.array(rows, np.float32).reshape(-1, 6) for mode, rows in line.get("found", {}).items()}
            confusion = {mode: np.array(rows, np.int64) for mode, rows in line.get("confusion", {}).items()}
            frames.append(FramePerception(line["frame"], truth, found, confusion, line.get("unknown", [])))
    return frames


def summarise_perception(
    frames: Sequence[FramePerception],
    modes: Sequence[str],
    conditions: Mapping[str, str],
    box_names: Mapping[int, str],
    mask_names: Mapping[int, str],
) -> dict[str, Any]:
    """mAP and mIoU of every mode, over all labelled frames and by condition.

    Args:
        frames: what was found.
        modes: labels.
        conditions: condition of each frame by its key.
        box_names: classes of the boxes.
        mask_names: classes of the masks.
    """
    by_condition: dict[str, list[FramePerception]] = {}
    for frame in frames:
        by_condition.setdefault(conditions[frame.key], []).append(frame)
    return {
        "labelled_frames": sum(frame.truth is not None for frame in frames),
        "true_boxes": sum(len(frame.truth) for frame in frames if frame.truth is not None),
        "unknown": dict(Counter(name for frame in frames for name in frame.unknown)),
        "masked_frames": sum(bool(frame.confusion) for frame in frames),
        "modes": {
            mode: {
                "all": _scores(frames, mode, box_names, mask_names),
                **{name: _scores(some, mode, box_names, mask_names) for name, some in by_condition.items()},
            }
            for mode in modes
        },
    }


def _scores(
    frames: Sequence[FramePerception], mode: str, box_names: Mapping[int, str], mask_names: Mapping[int, str]
) -> dict[str, float]:
    scores: dict[str, float] = {}
    boxed = [(frame.found[mode], frame.truth) for frame in frames if frame.truth is not None]
    if boxed:
        found = [as_detections(rows, box_names) for rows, _ in boxed]
        truth = [as_detections(np.insert(rows, 4, 1.0, axis=1), box_names) for _, rows in boxed]
        scores |= average_precision(found, truth)
    confusions = [frame.confusion[mode] for frame in frames if frame.confusion]
    if confusions:
        names = [mask_names[number] for number in range(len(mask_names))]
        scores |= scores_of_confusion(np.sum(confusions, axis=0), names)
    return {name: value for name, value in scores.items() if value == value}


def as_detections(rows: NDArray[np.floating[Any]], names: Mapping[int, str], confidence: float = 0.0) -> Detections:
    """Boxes from rows of x_min, y_min, x_max, y_max, confidence, class; those of less confidence are left out."""
    rows = rows.reshape(-1, 6)
    rows = rows[rows[:, 4] >= confidence]
    return Detections(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(np.int64), names)
