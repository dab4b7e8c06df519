"""Where the default thresholds of exposure analysis and mode selection come from.

    python benchmarks/exposure_thresholds.py [SHARED]

Prints, from the real pairs in `../shared/data`, the figures that the defaults of `ExposureConfig` and `SelectorConfig`
were read from, and how well the defaults agree with the labels, set by set.

Night. Labels: MSRS by name (D, N); LLVIP was taken at night; M3SVD's three clips by day; of M3FD's three pictures 00512
and 03878 at night; RoadScene as judged by eye (`roadscene_night.txt`). RoadScene's blacks are lifted to between 50 and
126, so that no fixed luminance is dark in all sets: a pixel counts as dark when it is at most `dark_luma` above the
image's black level, which is believed up to `black_limit`.
Printed for each (black_limit, dark_luma): the best balanced accuracy (each set counts alike) over all shares, and the
shares that come within 0.005 of it. Chosen: of the pairs within 0.01 of the best, the one with the widest range of good
shares (the least black_limit where that is the same); dark_enter is the middle of the range, dark_exit its lower end.

Glare. Label: a connected over-exposed area that could hide the car ahead, that is, as large as the nearest car of the
median RoadScene picture. Lamps, headlights and their halos stay below that. Chosen: the `glare_luma` and the share of
over-exposed pixels with the best balanced accuracy; glare_enter and glare_exit from the range of good shares as above.

Dwell. How much a share changes within one dwell time in real video (95th percentile) shows whether the distance between
enter and exit thresholds is enough. Only the first four fifths of each set (by name) are used to choose; the last fifth
shows the result (RoadScene's last fifth happens to be all night, and mostly lit streets).

Brightly lit streets at night are not called dark, and are not meant to be. A second cue would find them: the median
luminance of the upper third of the picture, between its black and its white level, is at most 0.2 in 33 of the 35
RoadScene nights that the dark share misses and in 1 of the 154 pictures by day. But those pictures are bright (mean
luminance 144, 119 in the nights that are called dark), and low light's mode makes less of them than the normal one: on
ten that were held out `caf` reaches a VIF of .855 and a Qabf of .682 with 2.6 % of its pixels saturated, `dfvo` .687
and .629 with 3.2 %. Dark is a picture that needs light, not one that was taken at night.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.exposure import ExposureAnalyzer, ExposureConfig, SelectorConfig
from fusion_ros.exposure.analyzer import black_level

HERE = Path(__file__).resolve().parent
CLIP_STEP = 10
NIGHT_M3FD = ("00512", "03878")


@dataclass(frozen=True)
class Picture:
    """One labelled picture: its cumulative luminance histogram, largest over-exposed area, and labels."""

    collection: str
    name: str
    cumulative: NDArray[np.float64]
    largest_blown: float
    night: bool | None
    held_out: bool
    image: NDArray[np.uint8]


def pictures(data: Path) -> Iterator[Picture]:
    """Every picture of the sets, and every tenth frame of the clips."""
    lines = (HERE / "roadscene_night.txt").read_text().splitlines()
    night_roadscene = {line for line in lines if not line.startswith("#")}
    for collection in ("roadscene", "llvip", "msrs", "m3fd"):
        files = sorted((data / collection / "vi").iterdir())
        for i, file in enumerate(files):
            night = {
                "roadscene": file.name in night_roadscene,
                "llvip": True,
                "msrs": file.stem.endswith("N"),
                "m3fd": file.stem in NIGHT_M3FD,
            }[collection]
            yield measured(collection, file.name, cv2.imread(str(file)), night, i >= len(files) * 4 // 5)
    for clip in sorted((data / "m3svd" / "vi").iterdir()):
        frames = list(frames_of(clip))
        for i in range(0, len(frames), CLIP_STEP):
            yield measured("m3svd", f"{clip.stem}:{i}", frames[i], False, i >= len(frames) * 4 // 5)


def frames_of(clip: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(clip))
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield frame


def measured(collection: str, name: str, image: NDArray[np.uint8], night: bool, held_out: bool) -> Picture:
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    cumulative = np.bincount(luma.ravel(), minlength=256).cumsum() / luma.size
    blown = (luma >= ExposureConfig().glare_luma).astype(np.uint8)
    _, _, areas, _ = cv2.connectedComponentsWithStats(blown)
    largest = areas[1:, cv2.CC_STAT_AREA].max() / luma.size if len(areas) > 1 else 0.0
    return Picture(collection, name, cumulative, float(largest), night, held_out, image)


def dark_share(picture: Picture, black_limit: int, dark_luma: int) -> float:
    return float(picture.cumulative[black_level(picture.cumulative, black_limit) + dark_luma])


def balanced(shown: list[Picture], truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Mean over true and false of the mean over sets of the share that is found right."""
    sets = np.array([picture.collection for picture in shown])
    halves = []
    for label in (True, False):
        rights = [
            float((found == truth)[chosen].mean())
            for name in dict.fromkeys(sets)
            if (chosen := (sets == name) & (truth == label)).any()
        ]
        halves.append(float(np.mean(rights)))
    return float(np.mean(halves))


def best_threshold(
    shown: list[Picture], truth: NDArray[np.bool_], share: NDArray[np.float64]
) -> tuple[float, float, float]:
    """The best balanced accuracy, and the lowest and highest threshold within 0.005 of it."""
    candidates = np.arange(0.005, 0.95, 0.005)
    scores = np.array([balanced(shown, truth, share >= threshold) for threshold in candidates])
    good = candidates[scores >= scores.max() - 0.005]
    return float(scores.max()), float(good[0]), float(good[-1])


def nearest_car(data: Path) -> float:
    """Share of the picture that the largest car box covers, median of RoadScene's pictures with cars."""
    labels = json.loads((data / "roadscene" / "labels.coco.json").read_text())
    car = next(category["id"] for category in labels["categories"] if category["name"] == "car")
    size = {image["id"]: image["width"] * image["height"] for image in labels["images"]}
    largest: dict[int, float] = {}
    for box in labels["annotations"]:
        if box["category_id"] == car:
            share = box["bbox"][2] * box["bbox"][3] / size[box["image_id"]]
            largest[box["image_id"]] = max(share, largest.get(box["image_id"], 0.0))
    return float(np.median(list(largest.values())))


def changes_within(data: Path, seconds: float) -> tuple[float, float]:
    """95th percentile of the change of the over-exposed and of the dark share over `seconds` of the clips."""
    analyzer = ExposureAnalyzer()
    glare: list[float] = []
    dark: list[float] = []
    for clip in sorted((data / "m3svd" / "vi").iterdir()):
        rate = cv2.VideoCapture(str(clip)).get(cv2.CAP_PROP_FPS)
        apart = max(1, round(rate * seconds))
        readings = [analyzer.analyze(frame) for frame in frames_of(clip)]
        for i in range(len(readings) - apart):
            before, after = readings[i], readings[i + apart]
            glare.append(abs(after.glare_fraction - before.glare_fraction))
            dark.append(abs(after.dark_fraction - before.dark_fraction))
    return float(np.percentile(glare, 95)), float(np.percentile(dark, 95))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "shared",
        type=Path,
        nargs="?",
        default=HERE.parent.parent / "shared",
        help="folder that holds data/ (default: shared/ beside the checkout)",
    )
    data = parser.parse_args().shared / "data"
    if not data.is_dir():
        print(f"{data}: is not there; give the folder that holds data/", file=sys.stderr)
        return 2
    everything = list(pictures(data))
    chosen = [picture for picture in everything if not picture.held_out]

    print("NIGHT: balanced accuracy (and good shares) by black_limit (down) and dark_luma (across)")
    night = np.array([picture.night for picture in chosen])
    lumas = (20, 30, 40, 45, 50, 60, 70)
    print("black_limit " + "".join(f"{luma:>20}" for luma in lumas))
    for limit in (0, 32, 48, 64, 80, 96, 128):
        cells = []
        for luma in lumas:
            share = np.array([dark_share(picture, limit, luma) for picture in chosen])
            cells.append("{:>7.3f} ({:.3f}-{:.3f})".format(*best_threshold(chosen, night, share)))
        print(f"{limit:>11} " + "".join(cells))

    car = nearest_car(data)
    print(f"\nGLARE: the nearest car covers {car:.4f} of the median RoadScene picture")
    blown = np.array([picture.largest_blown >= car for picture in chosen])
    print(f"{int(blown.sum())} of {len(chosen)} pictures have an over-exposed area that large")
    for luma in (240, 245, 250, 252):
        glare = np.array([1.0 - picture.cumulative[luma - 1] for picture in chosen])
        found = best_threshold(chosen, blown, glare)
        print("glare_luma {}: balanced accuracy {:.3f} (shares {:.3f}-{:.3f})".format(luma, *found))

    selector = SelectorConfig()
    print(
        "\nDWELL: change within the dwell time of {:.1f} s, 95th percentile: over-exposed {:.4f}, dark {:.4f}".format(
            selector.dwell, *changes_within(data, selector.dwell)
        )
    )

    print("\nDEFAULTS", ExposureConfig(), selector, sep="\n  ")
    analyzer = ExposureAnalyzer()
    for part, held_out in (("chosen on", False), ("held out", True)):
        for collection in dict.fromkeys(picture.collection for picture in everything):
            shown = [p for p in everything if p.collection == collection and p.held_out == held_out]
            readings = [analyzer.analyze(picture.image) for picture in shown]
            truth = np.array([picture.night for picture in shown])
            dark = np.array([reading.dark_fraction >= selector.dark_enter for reading in readings])
            lit = np.array([reading.glare_fraction >= selector.glare_enter for reading in readings])
            large = np.array([picture.largest_blown >= car for picture in shown])
            print(
                f"  {part:9} {collection:9} {len(shown):3} pictures: "
                f"night {truth.sum():3}, called dark {dark.sum():3}, right {(dark == truth).mean():.2f}; "
                f"blown {large.sum():3}, called glare {lit.sum():3}, "
                f"right {(lit == large).mean():.2f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
