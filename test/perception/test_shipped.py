"""The shipped detector and segmenter on pictures they were not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusion_ros.fusion.weights import read_manifest
from fusion_ros.perception import Detector, DetectorConfig, Segmenter
from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, LabelledPair, read_labelled_pairs
from fusion_ros.training.data.masked_pairs import MaskedPair
from fusion_ros.training.data.simulated_pairs import SimulationConfig, simulate_pairs
from fusion_ros.training.sensor_mix import mix
from fusion_ros.types import Detections

CAR = CLASS_NAMES.index("car")


@pytest.fixture(scope="module")
def simulated() -> tuple[list[LabelledPair], list[MaskedPair]]:
    """Pairs of the drive that the demo shows; the training drives have other seeds."""
    return simulate_pairs(SimulationConfig(drives=1, frames=10, first_seed=7))


def recall(found: list[Detections], pairs: list[LabelledPair], class_id: int, least_height: float) -> float:
    """Share of the labelled boxes of a class and a size that a found box of that class overlaps with IoU 0.5."""
    hits, count = 0, 0
    for detections, pair in zip(found, pairs, strict=True):
        candidates = detections.xyxy[detections.class_id == class_id]
        for box in pair.xyxy[pair.class_id == class_id]:
            if box[3] - box[1] >= least_height:
                count += 1
                hits += bool((_iou(box, candidates) >= 0.5).any())
    return hits / count


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared)


def test_manifest_says_what_the_shipped_models_are() -> None:
    manifest = read_manifest()
    for name, task in (("detector", "detection"), ("segmenter", "segmentation")):
        entry = manifest[name]
        assert (entry.task, entry.licence) == (task, "AGPL-3.0")
        assert entry.data
        assert entry.training
        assert entry.figures


def test_shipped_detector_knows_persons_bicycles_and_cars_in_the_order_of_the_labels() -> None:
    assert tuple(Detector().class_names.values()) == CLASS_NAMES


@pytest.mark.parametrize("kind", ["thermal", "average"])
def test_shipped_detector_finds_cars_of_the_simulated_drive(
    simulated: tuple[list[LabelledPair], list[MaskedPair]], kind: str
) -> None:
    pairs = simulated[0]
    detector = Detector()
    found = [detector.detect(mix(pair.visible, pair.infrared, kind)) for pair in pairs]
    assert recall(found, pairs, CAR, least_height=24) >= 0.5


def test_shipped_detector_finds_cars_on_real_thermal_pictures(shared_data: Path) -> None:
    pairs = read_labelled_pairs(shared_data / "data" / "roadscene", "validation")
    detector = Detector(DetectorConfig(confidence=0.2))
    found = [detector.detect(mix(pair.visible, pair.infrared, "thermal")) for pair in pairs]
    assert recall(found, pairs, CAR, least_height=24) >= 0.5


def test_shipped_detector_is_quiet_on_a_picture_of_nothing() -> None:
    assert len(Detector().detect(np.full((480, 640, 3), 90, np.uint8))) == 0


def test_shipped_segmenter_finds_the_road_of_the_simulated_drive(
    simulated: tuple[list[LabelledPair], list[MaskedPair]],
) -> None:
    segmenter = Segmenter()
    road = next(class_id for class_id, name in segmenter.class_names.items() if name == "road")
    shared, either = 0, 0
    for pair in simulated[1]:
        found = segmenter.segment(mix(pair.visible, pair.infrared, "average")).class_id == road
        truth = pair.class_id == road
        shared, either = shared + int((found & truth).sum()), either + int((found | truth).sum())
    assert shared / either >= 0.7
