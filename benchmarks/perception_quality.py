"""Average precision of the detector and intersection over union of the segmenter, by input.

    python benchmarks/perception_quality.py ../shared/data/roadscene [--detector FILE] [--json OUT]

On the validation part (last fifth of the sorted names). The segmenter is compared with masks that GrabCut makes of the
labelled boxes, and with the exact masks of the simulated drive that `fusion-ros demo` shows (seed 7).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig
from fusion_ros.training import detector, segmenter
from fusion_ros.training.data.labelled_pairs import read_labelled_pairs
from fusion_ros.training.data.masked_pairs import with_box_masks
from fusion_ros.training.data.simulated_pairs import SimulationConfig, simulate_pairs

Scores = dict[str, dict[str, float]]


def table(title: str, scores: Scores) -> None:
    """Print one row for each input."""
    keys = list(next(iter(scores.values())))
    print(f"\n{title}\n{'':<10}" + "".join(f"{key:>19}" for key in keys))
    for kind, values in scores.items():
        print(f"{kind:<10}" + "".join(f"{values[key]:>19.3f}" for key in keys))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with vi/, ir/ and labels.coco.json")
    parser.add_argument("--detector", default="", help="detector's file (default: the shipped one)")
    parser.add_argument("--segmenter", default="", help="segmenter's file (default: the shipped one)")
    parser.add_argument("--input-size", type=int, default=0, help="longer side of the networks' input")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()

    real = read_labelled_pairs(arguments.data, "validation")
    simulated, masked = simulate_pairs(SimulationConfig(drives=1, frames=24, first_seed=7))
    found: dict[str, Scores] = {}
    config = DetectorConfig(
        weights=arguments.detector, confidence=detector.LOWEST_CONFIDENCE, input_size=arguments.input_size
    )
    finder = Detector(config)
    found["detection, real"] = detector.score(finder, real)
    found["detection, simulated"] = detector.score(finder, simulated)
    painter = Segmenter(SegmenterConfig(weights=arguments.segmenter, input_size=arguments.input_size))
    found["segmentation, real"] = segmenter.score(painter, with_box_masks(real))
    found["segmentation, simulated"] = segmenter.score(painter, masked)
    print(f"{len(real)} real and {len(simulated)} simulated pairs; input {finder.input_size}, {painter.input_size}")
    for title, scores in found.items():
        table(title, scores)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
