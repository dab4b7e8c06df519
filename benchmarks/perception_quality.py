"""Average precision of the detector and intersection over union of the segmenter, by input.

    python benchmarks/perception_quality.py ../shared/data/roadscene [--detector FILE] [--json OUT]

On the validation part (last fifth of the sorted names). The segmenter is compared with masks drawn by hand, with masks
that GrabCut makes of the labelled boxes, as those it has learned from, and with the exact masks of the simulated drive
that `fusion-ros demo` shows (seed 7). In glare and darkness, with intervals: `fusion-ros downstream`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig
from fusion_ros.training import detector, segmenter
from fusion_ros.training.data.box_masks import SEGMENT_NAMES
from fusion_ros.training.data.drawn_masks import read_drawn_masks
from fusion_ros.training.data.labelled_pairs import LabelledPair, read_labelled_pairs
from fusion_ros.training.data.masked_pairs import MaskedPair, with_box_masks
from fusion_ros.training.data.simulated_pairs import SimulationConfig, simulate_pairs

Scores = dict[str, dict[str, float]]
_DRAWN_MASKS = Path(__file__).parents[1] / "test" / "perception" / "masks" / "roadscene.json"
_LONGER_SIDE = 640  # pixels of the pairs; a camera's images are larger than the thermal ones of these sets


def table(title: str, scores: Scores) -> None:
    """Print one row for each input."""
    keys = list(next(iter(scores.values())))
    print(f"\n{title}\n{'':<10}" + "".join(f"{key:>19}" for key in keys))
    for kind, values in scores.items():
        print(f"{kind:<10}" + "".join(f"{values[key]:>19.3f}" for key in keys))


def _masked(pairs: list[LabelledPair], masks: dict[str, NDArray[np.uint8]]) -> list[MaskedPair]:
    chosen = [pair for pair in pairs if pair.name in masks]
    return [MaskedPair(pair.name, pair.visible, pair.infrared, masks[pair.name], pair.xyxy) for pair in chosen]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with vi/, ir/ and labels.coco.json")
    parser.add_argument("--detector", default="", help="detector's file (default: the shipped one)")
    parser.add_argument("--segmenter", default="", help="segmenter's file (default: the shipped one)")
    parser.add_argument("--input-size", type=int, default=0, help="longer side of the networks' input")
    parser.add_argument(
        "--masks", type=Path, default=_DRAWN_MASKS, help="masks drawn by hand (default: those of RoadScene)"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()

    real = read_labelled_pairs(arguments.data, "validation", longer_side=_LONGER_SIDE)
    simulated, masked = simulate_pairs(SimulationConfig(drives=1, frames=24, first_seed=7))
    found: dict[str, Scores] = {}
    config = DetectorConfig(
        weights=arguments.detector, confidence=detector.LOWEST_CONFIDENCE, input_size=arguments.input_size
    )
    finder = Detector(config)
    found["detection, real"] = detector.score(finder, real)
    found["detection, simulated"] = detector.score(finder, simulated)
    painter = Segmenter(SegmenterConfig(weights=arguments.segmenter, input_size=arguments.input_size))
    drawn = read_drawn_masks(arguments.masks, SEGMENT_NAMES, _LONGER_SIDE)
    found["segmentation, masks drawn by hand"] = segmenter.score(painter, _masked(real, drawn))
    found["segmentation, masks by GrabCut"] = segmenter.score(painter, with_box_masks(real))
    found["segmentation, simulated"] = segmenter.score(painter, masked)
    print(f"{len(real)} real and {len(simulated)} simulated pairs; input {finder.input_size}, {painter.input_size}")
    for title, scores in found.items():
        table(title, scores)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
