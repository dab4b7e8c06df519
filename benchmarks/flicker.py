"""Does fused video flicker? Static scenes of 100 noisy frames, a switch of modes, and real clips.

A static scene: one real pair, to which every frame adds fresh camera noise (Gaussian, `--noise` grey levels, in both
images). The temporal standard deviation of the fused image is compared with those of its inputs.

    python benchmarks/flicker.py ../shared/data
    python benchmarks/flicker.py ../shared/data --switch    # only what a mode switch changes, with and without its fade
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import itertools

from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.metrics import FlickerMeter
from fusion_ros.pipeline import FusionPipeline, PipelineConfig
from fusion_ros.training.conditions import gray
from fusion_ros.training.data.darkness import DarknessConfig, darken
from fusion_ros.training.data.glare import GlareConfig, add_glare
from fusion_ros.training.data.pairs import matched_names, read_pairs, split_names
from fusion_ros.types import NANOSECONDS_PER_SECOND, Frame, FramePair

Image = NDArray[np.uint8]
Fuse = Callable[[Image, Image], Image]
MODES = ("epofusion", "dfvo", "caf", "guided", "average")
SWITCH_RATE = 15
HEADER = ("scene", "mode", "visible", "infrared", "fused", "excess", "pumping")


def noisy(image: Image, random: np.random.Generator, deviation: float) -> Image:
    """The image with fresh noise, the same in all channels."""
    added = image + random.normal(0.0, deviation, image.shape[:2])[(..., *[None] * (image.ndim - 2))]
    return np.asarray(np.clip(np.rint(added), 0, 255), np.uint8)


def scenes(root: Path) -> dict[str, tuple[Image, Image]]:
    """One pair for each mode: day, glare, night."""
    _, names = split_names(matched_names(root / "roadscene"))
    day = read_pairs(root / "roadscene", names[-1:], 480, 1)[0]
    _, names = split_names(matched_names(root / "llvip"))
    night = read_pairs(root / "llvip", names[:1], 480, 1)[0]
    glared = add_glare(day.visible, day.infrared, np.random.default_rng(0), GlareConfig(spots=1)).visible
    dark = darken(day.visible, np.random.default_rng(0), DarknessConfig(weakest=3.0, strongest=3.0))
    return {
        "as it is": (day.visible, day.infrared),
        "glare": (glared, day.infrared),
        "darkened": (dark, day.infrared),
        "llvip": (night.visible, night.infrared),
    }


def static(fuse: Fuse, pair: tuple[Image, Image], frames: int, deviation: float) -> FlickerMeter:
    """A meter that has seen `frames` frames of a static scene."""
    meter, random = FlickerMeter(), np.random.default_rng(0)
    for _ in range(frames):
        visible, infrared = (noisy(image, random, deviation) for image in pair)
        meter.add(gray(visible), infrared, gray(fuse(visible, infrared)))
    return meter


def largest_change(pipeline: FusionPipeline, pair: tuple[Image, Image], modes: tuple[str, str], noise: float) -> float:
    """Largest change of the mean pixel's luminance from one frame to the next, grey levels, where the mode switches."""
    random, before, largest = np.random.default_rng(0), None, 0.0
    pipeline.reset()
    period = NANOSECONDS_PER_SECOND // SWITCH_RATE
    switch_at = 2
    for frame in range(switch_at + 1 + SWITCH_RATE // 2):
        pipeline.set_mode(modes[frame >= switch_at])
        visible, infrared = (Frame(noisy(image, random, noise), frame * period) for image in pair)
        answer = pipeline.process(FramePair(visible, infrared))
        if answer.fallback_reason:
            raise InputError(f"{modes[frame >= switch_at]}: {answer.fallback_reason}")
        fused = gray(answer.image).astype(float)
        if before is not None and frame >= switch_at:
            largest = max(largest, float(np.abs(fused - before).mean()))
        before = fused
    return largest


def print_switches(all_scenes: dict[str, tuple[Image, Image]], noise: float) -> None:
    """Print what a switch changes in one frame, with the cross-fade and without."""
    default = PipelineConfig().mode_fade
    pipelines = {fade: FusionPipeline(PipelineConfig(mode_fade=fade, device="cpu")) for fade in (0.0, default)}
    for pipeline in pipelines.values():
        pipeline.load()
    print(f"Mode switch of a static scene at {SWITCH_RATE} Hz: largest change of the mean pixel in one frame\n")
    print(f"| scene | from | to | at once | over {default} s |\n|---|---|---|---|---|")
    for scene, pair in all_scenes.items():
        for modes in itertools.permutations(("caf", "epofusion", "dfvo"), 2):
            changes = [largest_change(pipeline, pair, modes, noise) for pipeline in pipelines.values()]
            print(f"| {scene} | {modes[0]} | {modes[1]} | {changes[0]:.1f} | {changes[1]:.1f} |", flush=True)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the sets")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--noise", type=float, default=2.0, help="standard deviation, grey levels")
    parser.add_argument("--modes", nargs="*", default=MODES, help="names, each with =WEIGHTS if not the shipped ones")
    parser.add_argument("--switch", action="store_true", help="print what a switch of modes changes in one frame")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.switch:
        print_switches(scenes(arguments.data), arguments.noise)
        return 0
    models = {}
    for text in arguments.modes:
        name, _, weights = text.partition("=")
        models[name] = load_model(name, weights or None, device="cpu").fuse
    print(f"Static scene, {arguments.frames} frames: mean temporal standard deviation, grey levels\n")
    print("| " + " | ".join(HEADER) + " |\n" + "|---" * len(HEADER) + "|")
    all_scenes = scenes(arguments.data)
    for scene, pair in all_scenes.items():
        for name, fuse in models.items():
            reading = static(fuse, pair, arguments.frames, arguments.noise).read()
            values = (
                reading.visible_deviation,
                reading.infrared_deviation,
                reading.fused_deviation,
                reading.excess,
                reading.brightness_jitter,
            )
            print(f"| {scene} | {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |", flush=True)
    print("\nMode switch on one frame: change of the mean luminance, and mean change of a pixel, grey levels\n")
    print("| scene | from | to | mean | pixel |\n|---|---|---|---|---|")
    networks = [name for name in ("caf", "epofusion", "dfvo") if name in models]
    for scene, (visible, infrared) in all_scenes.items():
        fused = {name: gray(models[name](visible, infrared)).astype(float) for name in networks}
        for first, second in itertools.pairwise(networks):
            change = fused[second] - fused[first]
            print(f"| {scene} | {first} | {second} | {change.mean():+.1f} | {np.abs(change).mean():.1f} |")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"flicker: {error}")
