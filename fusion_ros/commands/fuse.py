"""`fusion-ros fuse RGB THERMAL -o OUT`: fuse one pair, two folders matched by name, or two videos."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError, JobError
from fusion_ros.pipeline import MODES, FusionPipeline, ModelWeights, PipelineConfig
from fusion_ros.types import NANOSECONDS_PER_SECOND, Frame, FramePair, FusedFrame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


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
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    raise InputError(
        f"{path}: is neither an image ({', '.join(IMAGE_SUFFIXES)}) nor a video ({', '.join(VIDEO_SUFFIXES)})"
    )


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 BGR. Raises InputError where it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: cannot be read as an image")
    return np.asarray(image, np.uint8)


def read_thermal(path: Path) -> NDArray[np.generic]:
    """A thermal image file as (H, W), 8 or 16 bit as stored; colours are taken for grey. Raises InputError."""
    image = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path}: cannot be read as an image")
    return np.asarray(image)


def _fuse_files(pipeline: FusionPipeline, rgb: Path, thermal: Path, output: Path, tally: _Tally) -> None:
    fused = pipeline.process(FramePair(Frame(read_rgb(rgb), 0), Frame(read_thermal(thermal), 0)))
    tally.add(fused)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(output), fused.image)
    except cv2.error as error:
        raise InputError(f"-o {output}: is not the name of an image ({', '.join(IMAGE_SUFFIXES)})") from error
    if not written:
        raise JobError(f"{output}: cannot be written")


def _fuse_image(pipeline: FusionPipeline, arguments: argparse.Namespace, tally: _Tally) -> None:
    output = arguments.output
    if output.is_dir():
        output = output / f"{arguments.rgb.stem}.png"
    if output.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"-o {output}: is not the name of an image ({', '.join(IMAGE_SUFFIXES)})")
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
        raise InputError(f"{arguments.rgb}: has no images ({', '.join(IMAGE_SUFFIXES)})")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise InputError(f"-o {arguments.output}: is a file; two folders need a folder")
    for stem in _progress(sorted(rgb), len(rgb)):
        # Images of a folder have no order in time: none may influence the next.
        pipeline.reset()
        _fuse_files(pipeline, rgb[stem], thermal[stem], arguments.output / f"{stem}.png", tally)


def _images_by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if path.stem in found:
                raise InputError(f"{folder}: {found[path.stem].name} and {path.name} differ in their ending only")
            found[path.stem] = path
    return found


def _fuse_video(pipeline: FusionPipeline, arguments: argparse.Namespace, tally: _Tally) -> None:
    import av

    if arguments.output.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"-o {arguments.output}: is not the name of a video ({', '.join(VIDEO_SUFFIXES)})")
    with contextlib.ExitStack() as stack:
        try:
            rgb = stack.enter_context(av.open(str(arguments.rgb)))
            thermal = stack.enter_context(av.open(str(arguments.thermal)))
            streams = rgb.streams.video[0], thermal.streams.video[0]
        except (av.FFmpegError, IndexError) as error:
            raise InputError(f"{arguments.rgb} and {arguments.thermal}: cannot be opened as videos: {error}") from error
        rate = streams[0].average_rate or 30
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        sink = stack.enter_context(_VideoWriter(arguments.output, rate))
        frames = zip(rgb.decode(streams[0]), thermal.decode(streams[1]), strict=False)
        for index, (own, other) in enumerate(_progress(frames, streams[0].frames or None)):
            seconds = own.time if own.time is not None else index / rate
            stamp_ns = round(float(seconds) * NANOSECONDS_PER_SECOND)
            pair = FramePair(
                Frame(own.to_ndarray(format="bgr24"), stamp_ns), Frame(other.to_ndarray(format="gray"), stamp_ns)
            )
            fused = pipeline.process(pair)
            tally.add(fused)
            sink.write(fused.image)
    counts = {
        path.name: stream.frames for path, stream in zip((arguments.rgb, arguments.thermal), streams, strict=True)
    }
    if len(set(counts.values())) > 1:
        print(f"fusion-ros fuse: the videos differ in length ({counts}); the shorter one decided", file=sys.stderr)
    if not tally.pairs:
        raise InputError(f"{arguments.rgb} and {arguments.thermal}: no frames could be read")


class _VideoWriter:
    """Writes BGR images as H.264; sides are made even by repeating the last row or column, which H.264 needs."""

    def __init__(self, path: Path, rate: Any) -> None:
        import av

        self._av = av
        try:
            self._container = av.open(str(path), "w")
            self._stream: Any = self._container.add_stream("libx264", rate=rate, options={"crf": "18"})
        except (av.FFmpegError, ValueError, OSError) as error:
            raise JobError(f"{path}: cannot be written as a video: {error}") from error
        self._stream.pix_fmt = "yuv420p"
        self._sized = False

    def __enter__(self) -> _VideoWriter:
        return self

    def write(self, image: NDArray[np.uint8]) -> None:
        height, width = image.shape[:2]
        even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if not self._sized:
            self._stream.height, self._stream.width = even.shape[:2]
            self._sized = True
        frame = self._av.VideoFrame.from_ndarray(even, format="bgr24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(self, *_error: object) -> None:
        if self._sized:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
        self._container.close()


def _progress(items: Any, total: int | None) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import track

    # On stderr, so that `--json` leaves nothing but JSON on stdout.
    return iter(track(items, "fusing", total=total, console=Console(stderr=True), transient=True))
