"""Scores what the detection and the segmentation node answered, as `perception` scores what it finds itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion_ros.evaluation.contenders import Fused
from fusion_ros.evaluation.labels import Labels
from fusion_ros.evaluation.live_images import MASK, read_images
from fusion_ros.evaluation.live_record import LiveFrame
from fusion_ros.evaluation.perception import Answers, PerceptionModels, PerceptionScorer


class LivePerception(PerceptionScorer):
    """Takes the nodes' answers for the published images, and searches the baselines' images itself.

    Args:
        labels: the truth.
        path: file to append to, a line a frame.
        models: detector and segmenter for the baselines, as the nodes have them.
        images: the recording with the published masks.

    Attributes:
        unanswered: labelled frames that are left out because a node had dropped them.
    """

    def __init__(self, labels: Labels, path: Path, models: PerceptionModels, images: Path) -> None:
        super().__init__(labels, path, models)
        self._masks = read_images(images, MASK)
        self._live: NDArray[np.uint8] | None = None
        self._rows: list[list[float]] = []
        self._mask: NDArray[np.uint8] | None = None
        self.unanswered = 0

    def score_live(self, frame: LiveFrame, live: NDArray[np.uint8], made: Sequence[Fused]) -> Answers:
        """Score one frame, where the nodes that are asked for have answered."""
        mask = (
            next((image for stamp, image in self._masks if stamp == frame.stamp_ns), None) if frame.has_mask else None
        )
        wants_mask = bool(self.mask_names)
        if (self.box_names and frame.boxes is None) or (wants_mask and mask is None):
            self.unanswered += 1
            return Answers()
        rows = np.round(np.array(frame.boxes or [], np.float64).reshape(-1, 6), 4)
        self._live, self._rows, self._mask = live, rows.tolist(), mask
        return self.score(str(frame.stamp_ns), made)

    def _find(self, image: NDArray[np.uint8]) -> list[list[float]]:
        return self._rows if image is self._live else super()._find(image)

    def _segment(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._mask if image is self._live and self._mask is not None else super()._segment(image)
