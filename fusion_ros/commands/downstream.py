"""`fusion-ros downstream DIR`: what detection and segmentation gain from fusion, in every light, as one table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fusion_ros.configuration import configure, settings_of
from fusion_ros.errors import InputError, JobError
from fusion_ros.evaluation.downstream import DownstreamConfig

TABLE_NAME, FIGURES_NAME = "downstream.md", "downstream.json"
# COCO's AP is taken over every box the network offers, however unsure.
_CONFIDENCE, _MOST_BOXES = 0.001, 100
_PARTS = ("all", "training", "validation")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of `DownstreamConfig` have its defaults."""
    parser.add_argument("pairs", metavar="DIR", type=Path, help="folder with vi/ and ir/")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="COCO boxes in pixels of ir/ (DIR/labels.coco.json)"
    )
    parser.add_argument("--masks", type=Path, metavar="FILE", help="drawn masks (polygons): adds mIoU of the segmenter")
    parser.add_argument(
        "--part", choices=_PARTS, default="all", help="validation is the last fifth of the sorted names (%(default)s)"
    )
    parser.add_argument("--detector", default="", metavar="FILE", help="detector's weights (the shipped ones)")
    parser.add_argument("--segmenter", default="", metavar="FILE", help="segmenter's weights (the shipped ones)")
    parser.add_argument("--size", type=int, default=640, metavar="PX", help="longer side of the pairs (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/downstream"), metavar="DIR", help="(%(default)s)")
    for found in settings_of(DownstreamConfig):
        kind = type(found.default)
        text = f"{found.description} ({found.default})"
        parser.add_argument(f"--{found.name}", type=kind, metavar=found.name.upper(), help=text)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Compare, write `downstream.md` and `downstream.json`, and print the table.

    Raises:
        InputError: labels, weights or settings cannot be used.
        JobError: the results cannot be written.
    """
    from fusion_ros.evaluation.downstream import compare_inputs
    from fusion_ros.evaluation.downstream_table import markdown_of
    from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig
    from fusion_ros.training.data.drawn_masks import read_drawn_masks
    from fusion_ros.training.data.labelled_pairs import read_labelled_pairs

    names = [found.name for found in settings_of(DownstreamConfig)]
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    config = configure(DownstreamConfig, given)
    if arguments.size < 64:
        raise InputError(f"--size {arguments.size}: is less than 64 pixels")
    detector = Detector(DetectorConfig(weights=arguments.detector, confidence=_CONFIDENCE, max_detections=_MOST_BOXES))
    classes = list(detector.class_names.values())
    pairs = read_labelled_pairs(arguments.pairs, arguments.part, classes, arguments.size, arguments.labels)
    segmenter, masks = None, None
    if arguments.masks:
        segmenter = Segmenter(SegmenterConfig(weights=arguments.segmenter))
        masks = read_drawn_masks(arguments.masks, list(segmenter.class_names.values()), arguments.size)
        if not any(pair.name in masks for pair in pairs):
            raise InputError(f"--masks {arguments.masks}: none of its images is among the pairs of {arguments.pairs}")

    def progress(done: int, total: int) -> None:
        if not arguments.json and sys.stderr.isatty():
            print(f"\r{done} of {total}", end="" if done < total else "\n", file=sys.stderr)

    result = compare_inputs(pairs, detector, classes, config, segmenter, masks, progress)
    table = markdown_of(result)
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / TABLE_NAME).write_text(table, encoding="utf-8")
        (arguments.out / FIGURES_NAME).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise JobError(f"--out {arguments.out}: cannot be written: {error.strerror}") from error
    print(json.dumps(result) if arguments.json else table, end="\n" if arguments.json else "")
    return 0
