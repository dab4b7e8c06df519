"""Writes what a demo leaves behind: video, pictures for the report, detections, summary, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.reader import open_bag
from fusion_ros.demo.images_on_disk import ImageFolder
from fusion_ros.demo.truth import frames_at
from fusion_ros.report.coco import coco_detections
from fusion_ros.report.demo import demo_page
from fusion_ros.report.highlights import choose_highlights
from fusion_ros.report.page import write_page
from fusion_ros.report.panels import demo_panels
from fusion_ros.report.record import DemoRecord, FrameRecord, Pictures
from fusion_ros.report.summary import summary
from fusion_ros.report.video import VideoWriter
from fusion_ros.thermal import ThermalAgc
from fusion_ros.types import NANOSECONDS_PER_SECOND

REPORT, VIDEO, DETECTIONS, SUMMARY = "report.html", "demo.mp4", "detections.json", "summary.json"
_PANEL_WIDTH = 480


def write_video(
    path: Path,
    bag_path: Path,
    frames: Sequence[FrameRecord],
    images: ImageFolder,
    mask_class_names: Mapping[int, str],
    progress: Callable[[int, int], None],
) -> dict[int, Pictures]:
    """Write the video, and return the pictures that the report shows; the bag is read once, frame by frame.

    Raises:
        JobError: the video cannot be written.
        InputError: the bag cannot be read.
    """
    shown = {highlight.frame.stamp_ns for highlight in choose_highlights(frames)}
    pictures: dict[int, Pictures] = {}
    by_stamp = {frame.stamp_ns: frame for frame in frames}
    size = panel_size(frames)
    agc = ThermalAgc()
    with open_bag(bag_path) as bag, VideoWriter(path, frame_rate(frames)) as video:
        for index, (stamp_ns, rgb, thermal) in enumerate(frames_at(bag, [frame.stamp_ns for frame in frames])):
            frame = by_stamp[stamp_ns]
            fused = images.read("fused", stamp_ns)
            if fused is None:
                continue
            of_frame = Pictures(
                fused=fused,
                rgb=None if rgb is None else _as_uint8(rgb.image),
                thermal=None if thermal is None else agc(thermal.image),
                mask=images.read("mask", stamp_ns) if frame.has_mask else None,
            )
            seconds = (stamp_ns - frames[0].stamp_ns) / NANOSECONDS_PER_SECOND
            scene = f"   scene: {frame.condition}" if frame.condition else ""
            count = "not searched" if frame.detections is None else f"{len(frame.detections)} boxes"
            footer = f"{seconds:6.2f} s   {count}{scene}"
            video.write(demo_panels(of_frame, frame.detections, mask_class_names, frame.mode, footer, size), seconds)
            if stamp_ns in shown:
                pictures[stamp_ns] = of_frame
            progress(index + 1, len(frames))
    return pictures


def write_documents(out: Path, record: DemoRecord) -> dict[str, object]:
    """Write detections, summary and report; return the summary."""
    (out / DETECTIONS).write_text(coco_detections(record), encoding="utf-8")
    numbers = summary(record)
    (out / SUMMARY).write_text(json.dumps(numbers, indent=1, allow_nan=False), encoding="utf-8")
    links = [("video (demo.mp4)", VIDEO), ("detections (COCO)", DETECTIONS), ("numbers (JSON)", SUMMARY)]
    write_page(demo_page(record, links), out / REPORT)
    return numbers


def panel_size(frames: Sequence[FrameRecord]) -> tuple[int, int]:
    """Height and width of a panel that suits most of the frames, at most `_PANEL_WIDTH` wide."""
    sizes = [frame.size for frame in frames if min(frame.size) > 0]
    if not sizes:
        return 240, 320
    height, width = max(set(sizes), key=sizes.count)
    if width <= _PANEL_WIDTH:
        return height, width
    return round(height * _PANEL_WIDTH / width), _PANEL_WIDTH


def frame_rate(frames: Sequence[FrameRecord]) -> float:
    """Median rate of the frames, 1 to 60 per second."""
    stamps = [frame.stamp_ns for frame in frames]
    gaps = np.diff(stamps)
    gaps = gaps[gaps > 0]
    if not gaps.size:
        return 10.0
    return float(np.clip(NANOSECONDS_PER_SECOND / np.median(gaps), 1.0, 60.0))


def _as_uint8(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)
