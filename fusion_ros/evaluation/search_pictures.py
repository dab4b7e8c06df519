"""What detector and segmenter see on the best and worst frames, with and without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError, JobError
from fusion_ros.evaluation.contenders import BASELINES
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.perception import SURE, FramePerception, PerceptionModels, as_detections
from fusion_ros.perception.drawing import draw_detections, draw_segmentation
from fusion_ros.types import Detections

_TRUTH_COLOUR = (255, 255, 255)


@dataclass(frozen=True)
class Searched:
    """A frame of one mode with what was found drawn on it.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        caption: what was found, in words.
    """

    image: NDArray[np.uint8]
    caption: str


@dataclass
class SearchPictures:
    """Pictures by mode and frame key; `problem` says why there are none."""

    by_frame: dict[tuple[str, str], Searched] = field(default_factory=dict)
    problem: str = ""


def search_pictures(
    gallery: Gallery, modes: Sequence[str], count: int, models: PerceptionModels, found: Sequence[FramePerception]
) -> SearchPictures:
    """Run detector and segmenter over the kept pictures.

    Boxes of labelled frames are those that were scored, all others are looked for in the kept picture.

    Args:
        gallery: keeps the pictures.
        modes: labels; baselines are left out.
        count: how many of the best and of the worst frames of each mode.
        models: detector and segmenter.
        found: what was found on labelled frames.
    """
    pictures = SearchPictures()
    labelled = {frame.key: frame for frame in found if frame.truth is not None}
    try:
        for mode in (mode for mode in modes if mode not in BASELINES):
            for chosen in (*gallery.best(mode)[:count], *gallery.worst(mode)[:count]):
                image = gallery.picture(chosen.key, mode)
                if image is not None:
                    pictures.by_frame[mode, chosen.key] = _searched(image, mode, labelled.get(chosen.key), models)
    except (InputError, JobError, ImportError) as error:
        pictures.problem = str(error)
    return pictures


def _searched(
    image: NDArray[np.uint8], mode: str, labelled: FramePerception | None, models: PerceptionModels
) -> Searched:
    names = models.detector.class_names
    if labelled is not None and mode in labelled.found:
        boxes = as_detections(labelled.found[mode], names, SURE)
    else:
        every = models.detector.detect(image)
        sure = every.confidence >= SURE
        boxes = Detections(every.xyxy[sure], every.confidence[sure], every.class_id[sure], names)
    drawn = draw_segmentation(image, models.segmenter.segment(image))
    caption = _in_words(boxes, names)
    if labelled is not None and labelled.truth is not None:
        thickness = max(1, round(min(image.shape[:2]) / 300))
        for x_min, y_min, x_max, y_max in np.round(labelled.truth[:, :4]).astype(int).tolist():
            cv2.rectangle(drawn, (x_min, y_min), (x_max, y_max), _TRUTH_COLOUR, thickness)
        caption += f"; {len(labelled.truth)} labelled (white)"
    return Searched(draw_detections(drawn, boxes), caption)


def _in_words(boxes: Detections, names: Mapping[int, str]) -> str:
    counts = Counter(names.get(int(number), str(number)) for number in boxes.class_id)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no boxes"
