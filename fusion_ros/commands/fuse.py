"""`fusion-ros fuse RGB THERMAL -o OUT`: fuse one pair, two folders matched by name, or two videos."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.pairs_folder import (
    CLIP_SUFFIXES,
    PICTURE_SUFFIXES,
    clip_facts,
    read_clip,
    read_rgb,
    read_thermal,
)
from fusion_ros.errors import InputError, JobError
from fusion_ros.pipeline import MODES, FusionPipeline, ModelWeights, PipelineConfig
from fusion_ros.types import NANOSECONDS_PER_SECOND, Frame, FramePair, FusedFrame

# Files that take H.264 and frames at any time.
VIDEO_OUTPUTS = (".mp4", ".mkv", ".mov")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `fusion-ros fuse`."""
    parser.add_argument("rgb", metavar="RGB", type=Path, help="RGB image, folder of images, or video")
    parser.add_argument("thermal", metavar="THERMAL", type=Path, help="thermal image, folder or video of the same view")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="image, folder or video")
    parser.add_argument("--mode", default="auto", choices=MODES, help="fusion mode (default: auto, by exposure)")
    parser.add_argument("--weights", default="", help="weights of that mode's network: a file or a manifest name")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--backend", default="auto", choices=("auto", "torch", "onnx", "tensorrt"))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "fp16", "bf16"))
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Fuse, and say how many pairs went through which mode.

    The thermal image is stretched to the RGB image's size where they differ.

    Raises:
        InputError: for inputs that are missing, unreadable, of different kinds or with unmatched names.
        JobError: where the output cannot be written.
    """
    kinds = {_kind(arguments.rgb), _kind(arguments.thermal)}
    if len(kinds) > 1:
        raise InputError(f"{arguments.rgb} and {arguments.thermal}: must be two images, two folders or two videos")
    pipeline = FusionPipeline(_config(arguments))
    pipeline.load()
    tally = _Tally()
    {"image": _fuse_image, "folder": _fuse_folder, "video": _fuse_video}[kinds.pop()](pipeline, arguments, tally)
    if arguments.json:
        print(json.dumps({"output": str(arguments.output), "pairs": tally.pairs, "modes": dict(tally.modes)}))
    else:
        modes = ", ".join(f"{mode} {count}" for mode, count in tally.modes.items())
        print(f"{arguments.output}: {tally.pairs} fused ({modes})")
    return 0


class _Tally:
    """Counts modes, and tells the user once about each reason for a fallback."""

    def __init__(self) -> None:
        self.modes: Counter[str] = Counter()
        self._reasons: set[str] = set()

    @property
    def pairs(self) -> int:
        return self.modes.total()

    def add(self, fused: FusedFrame) -> None:
        self.modes[fused.mode] += 1
        reason = fused.fallback_reason
        if reason and reason not in self._reasons:
            self._reasons.add(reason)
            print(f"fusion-ros fuse: {fused.mode} stands in: {reason}", file=sys.stderr)


def _config(arguments: argparse.Namespace) -> PipelineConfig:
    weights: dict[str, Any] = {}
    if arguments.weights:
        if arguments.mode not in ModelWeights().by_mode():
            raise InputError(f"--weights: goes with --mode {', '.join(ModelWeights().by_mode())}, not {arguments.mode}")
        weights[arguments.mode] = arguments.weights
    return PipelineConfig(
        mode=arguments.mode,
        device=arguments.device,
        backend=arguments.backend,
        precision=arguments.precision,
        models=ModelWeights(**weights),
    )


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise InputError(f"{path}: is not a file or folder")
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return "image"
    if suffix in CLIP_SUFFIXES:
        return "video"
    raise InputError(
        f"{path}: is neither an image ({', '.join(PICTURE_SUFFIXES)}) nor a video ({', '.join(CLIP_SUFFIXES)})"
    )


def _fuse_files(pipeline: FusionPipeline, rgb: Path, thermal: Path, output: Path, tally: _Tally) -> None:
    fused = pipeline.process(FramePair(Frame(read_rgb(rgb), 0), Frame(read_thermal(thermal), 0)))
    tally.add(fused)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(output), fused.image)
    except cv2.error as error:
        raise InputError(f"-o {output}: is not the name of an image ({', '.join(PICTURE_SUFFIXES)})") from error
    if not written:
        raise JobError(f"{output}: cannot be written")


def _fuse_image(pipeline: FusionPipeline, arguments: argparse.Namespace, tally: _Tally) -> None:
    output = arguments.output
    if output.is_dir():
        output = output / f"{arguments.rgb.stem}.png"
    if output.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(f"-o {output}: is not the name of an image ({', '.join(PICTURE_SUFFIXES)})")
    _fuse_files(pipeline, arguments.rgb, arguments.thermal, output, tally)


def _fuse_folder(pipeline: FusionPipeline, arguments: argparse.Namespace, tally: _Tally) -> None:
    rgb, thermal = _images_by_stem(arguments.rgb), _images_by_stem(arguments.thermal)
    unmatched = sorted(rgb.keys() ^ thermal.keys())
    if unmatched:
        raise InputError(
            f"{arguments.rgb} and {arguments.thermal}: {len(unmatched)} names are in one folder only "
            f"({', '.join(unmatched[:5])}); pairs are matched by name"
        )
    if not rgb:
        raise InputError(f"{arguments.rgb}: has no images ({', '.join(PICTURE_SUFFIXES)})")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise InputError(f"-o {arguments.output}: is a file; two folders need a folder")
    for stem in _progress(sorted(rgb), len(rgb)):
        # Images of a folder have no order in time: none may influence the next.
        pipeline.reset()
        _fuse_files(pipeline, rgb[stem], thermal[stem], arguments.output / f"{stem}.png", tally)


def _images_by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            if path.stem in found:
                raise InputError(f"{folder}: {found[path.stem].name} and {path.name} differ in their ending only")
            found[path.stem] = path
    return found


def _fuse_video(pipeline: FusionPipeline, arguments: argparse.Namespace, tally: _Tally) -> None:
    from fusion_ros.report.video import VideoWriter

    if arguments.output.suffix.lower() not in VIDEO_OUTPUTS:
        raise InputError(f"-o {arguments.output}: is not the name of a video ({', '.join(VIDEO_OUTPUTS)})")
    rgb, thermal = clip_facts(arguments.rgb), clip_facts(arguments.thermal)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(arguments.output, rgb.rate, quality=18) as sink:
        for pair in _progress(read_clip(arguments.rgb.stem, arguments.rgb, arguments.thermal), rgb.frames or None):
            seconds = pair.seconds or 0.0
            stamp_ns = round(seconds * NANOSECONDS_PER_SECOND)
            fused = pipeline.process(FramePair(Frame(pair.rgb, stamp_ns), Frame(pair.thermal, stamp_ns)))
            tally.add(fused)
            sink.write(_even_sided(fused.image), seconds)
    if rgb.frames and thermal.frames and rgb.frames != thermal.frames:
        print(
            f"fusion-ros fuse: the videos differ in length ({rgb.frames} and {thermal.frames} frames); "
            "the shorter one decided",
            file=sys.stderr,
        )
    if not tally.pairs:
        raise InputError(f"{arguments.rgb} and {arguments.thermal}: no frames could be read")


def _even_sided(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row or column where a side is odd, which H.264 does not take."""
    height, width = image.shape[:2]
    return np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)


def _progress(items: Any, total: int | None) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import track

    # On stderr, so that `--json` leaves nothing but JSON on stdout.
    return iter(track(items, "fusing", total=total, console=Console(stderr=True), transient=True))
