"""Sets of aligned pairs, as `vi/` and `ir/` or as published, their split, and crops that a number alone determines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fusion_ros.configuration import section, setting
from fusion_ros.errors import InputError
from fusion_ros.fusion.color import luminance, to_unit_range
from fusion_ros.training.data.pictures import read_pictures
from fusion_ros.training.data.variation import VariationConfig, vary

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv")
TRAINING, VALIDATION = 0, 1  # places in what `split_names` returns


@dataclass(frozen=True)
class Pair:
    """One aligned pair in memory: `visible` (H, W, 3) uint8 BGR, `infrared` (H, W) uint8, same size."""

    name: str
    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]


@dataclass(frozen=True)
class PairsConfig:
    """What training crops are taken from and how they are varied."""

    folder: str = setting(
        "../shared/data", "folder of sets, each with vi/ and ir/ or its publisher's folders", runtime=False
    )
    sets: str = setting("roadscene,llvip,msrs,m3fd,m3svd", "sets to train on, by folder name", runtime=False)
    crop: int = setting(64, "side of a crop", unit="pixels", minimum=16, runtime=False)
    largest_side: int = setting(720, "larger images are shrunk to this long side", unit="pixels", minimum=64)
    video_step: int = setting(20, "every so-many-th frame of a clip is taken", unit="frames", minimum=1)
    native: float = setting(0.5, "share of crops at the images' own resolution", minimum=0.0, maximum=1.0)
    finest: float = setting(0.6, "other crops shrink a square of at least so many sides", minimum=0.25, maximum=1.0)
    coarsest: float = setting(2.0, "and at most so many", minimum=1.0, maximum=8.0)
    variation: VariationConfig = section(VariationConfig, "variation")


def split_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Training and validation names: the last fifth of the sorted names (rounded down, at least one) validates."""
    ordered = sorted(names)
    training = min(-(-4 * len(ordered) // 5), len(ordered) - 1) if ordered else 0
    return ordered[:training], ordered[training:]


def matched_names(folder: Path) -> list[str]:
    """Sorted names that `folder/vi` and `folder/ir` share.

    Raises:
        InputError: where a folder is missing or empty, or a name is in one only.
    """
    listed = []
    for part in ("vi", "ir"):
        if not (folder / part).is_dir():
            raise InputError(f"{folder}: has no folder {part}/; a set of pairs has vi/ and ir/")
        suffixes = IMAGE_SUFFIXES + VIDEO_SUFFIXES
        listed.append({path.name for path in (folder / part).iterdir() if path.suffix.lower() in suffixes})
    visible, infrared = listed
    if visible != infrared:
        only = sorted(visible ^ infrared)
        raise InputError(f"{folder}: {len(only)} names are in vi/ or ir/ only ({', '.join(only[:3])}); remove or add")
    if not visible:
        raise InputError(f"{folder}: vi/ and ir/ hold no images or clips")
    return sorted(visible)


def read_pairs(folder: Path, names: Sequence[str], largest_side: int, video_step: int) -> list[Pair]:
    """Read pairs (and every `video_step`-th frame of clips) onto the infrared image's grid.

    Raises:
        InputError: where a file cannot be read.
    """
    pairs = []
    for name in names:
        if Path(name).suffix.lower() in VIDEO_SUFFIXES:
            pairs += list(_read_clip(folder, name, largest_side, video_step))
            continue
        pictures = read_pictures(folder / "vi" / name, folder / "ir" / name)
        pairs.append(_on_one_grid(name, *pictures, largest_side))
    return pairs


def _read_clip(folder: Path, name: str, largest_side: int, step: int) -> Iterator[Pair]:
    import av

    try:
        with av.open(str(folder / "vi" / name)) as visible, av.open(str(folder / "ir" / name)) as infrared:
            frames = zip(visible.decode(video=0), infrared.decode(video=0), strict=False)
            for index, (own, other) in enumerate(frames):
                if index % step == 0:
                    yield _on_one_grid(
                        f"{name}:{index}", own.to_ndarray(format="bgr24"), other.to_ndarray(format="gray"), largest_side
                    )
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{folder}: {name} cannot be read as a clip: {error}") from error


def _on_one_grid(name: str, visible: NDArray, infrared: NDArray, largest_side: int) -> Pair:
    height, width = infrared.shape
    scale = min(1.0, largest_side / max(height, width))
    size = (round(width * scale), round(height * scale))
    if infrared.shape[1::-1] != size:
        infrared = cv2.resize(infrared, size, interpolation=cv2.INTER_AREA)
    if visible.shape[1::-1] != size:
        visible = cv2.resize(visible, size, interpolation=cv2.INTER_AREA)
    return Pair(name, visible, infrared)


def load_sets(config: PairsConfig) -> tuple[dict[str, list[Pair]], dict[str, list[Pair]]]:
    """Read every set: training pairs and validation pairs by the set's name.

    Raises:
        InputError: where the folder or a set is not there or cannot be read.
    """
    training = {folder.name: _read(folder, config, TRAINING) for folder in _sets(config)}
    if not any(training.values()):
        raise InputError(f"data.sets: {config.sets!r} names no set with a pair to train on")
    return training, load_validation(config)


def load_validation(config: PairsConfig) -> dict[str, list[Pair]]:
    """Read the validation pairs of every set, by the set's name. Raises as `load_sets`."""
    return {folder.name: _read(folder, config, VALIDATION) for folder in _sets(config)}


def _sets(config: PairsConfig) -> list[Path]:
    root = Path(config.folder)
    if not root.is_dir():
        raise InputError(f"data.folder: {root} is not a folder")
    return [root / name for name in filter(None, (part.strip() for part in config.sets.split(",")))]


def _read(folder: Path, config: PairsConfig, part: int) -> list[Pair]:
    if (folder / "vi").is_dir():
        return read_pairs(folder, split_names(matched_names(folder))[part], config.largest_side, config.video_step)
    return _read_published(folder, config.largest_side, part)


def _read_published(folder: Path, largest_side: int, part: int) -> list[Pair]:
    """A part of a public set in the folders it is published with; what it calls `test` is left for tests."""
    # `layouts` builds on this module.
    from fusion_ros.training.data.layouts import find_pairs

    known = {files.name: files for files in find_pairs(folder)}
    names = [name for name in known if not name.startswith("test/")] or list(known)
    chosen = [known[name] for name in split_names(names)[part]]
    return [_on_one_grid(one.name, *read_pictures(one.visible, one.infrared), largest_side) for one in chosen]


@dataclass(frozen=True)
class Place:
    """Where a crop is cut.

    Attributes:
        pair: from which pair.
        top, left, side: the square, in pixels.
        mirrored: whether left and right are exchanged.
    """

    pair: Pair
    top: int
    left: int
    side: int
    mirrored: bool

    def cut(self, image: NDArray[np.uint8], crop: int) -> NDArray[np.uint8]:
        """The square of an (H, W) or (H, W, C) image on the pair's grid, resized to `crop` pixels."""
        part = image[self.top : self.top + self.side, self.left : self.left + self.side]
        if self.side != crop:
            interpolation = cv2.INTER_AREA if self.side > crop else cv2.INTER_LINEAR
            part = np.asarray(cv2.resize(part, (crop, crop), interpolation=interpolation), np.uint8)
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)


class RandomCrops(Dataset):
    """Crops without end: number n of a seed is always the same crop, so that resuming needs no state.

    A set is drawn with probability proportional to the square root of its size, then a pair, a place, a zoom, a flip,
    and how the crop is varied (`vary`).

    Items are dicts of (1, crop, crop) float tensors `visible` and `infrared` and a (3, crop, crop) `color`, RGB.
    """

    def __init__(self, sets: dict[str, list[Pair]], config: PairsConfig, seed: int, length: int) -> None:
        self._sets = [pairs for pairs in sets.values() if pairs]
        sizes = np.sqrt([len(pairs) for pairs in self._sets])
        self._odds = sizes / sizes.sum()
        self._config = config
        self._seed = seed
        self._length = length
        smallest = min(min(pair.infrared.shape) for pairs in self._sets for pair in pairs)
        if smallest < config.crop:
            raise InputError(f"data.crop: {config.crop} is larger than the smallest image side, {smallest}")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        visible, infrared, _ = self.sample(number)
        color = np.ascontiguousarray(visible[..., ::-1].transpose(2, 0, 1))
        return {
            "visible": torch.from_numpy(luminance(visible))[None],
            "infrared": torch.from_numpy(to_unit_range(infrared))[None],
            "color": torch.from_numpy(to_unit_range(color)),
        }

    def sample(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], np.random.Generator]:
        """Crop `number`, (crop, crop, 3) and (crop, crop) uint8, and the generator to draw what else it needs from."""
        place, random = self.place(number)
        return *self.cut(place, random), random

    def place(self, number: int) -> tuple[Place, np.random.Generator]:
        """Where crop `number` is cut, and the generator to draw everything else from, first of all by `cut`."""
        random = np.random.default_rng((self._seed, number))
        pairs = self._sets[random.choice(len(self._sets), p=self._odds)]
        pair = pairs[random.integers(len(pairs))]
        config = self._config
        height, width = pair.infrared.shape
        factor = 1.0
        if random.random() >= config.native:
            factor = np.exp(random.uniform(np.log(config.finest), np.log(config.coarsest)))
        side = min(round(config.crop * factor), height, width)
        top, left = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
        return Place(pair, top, left, side, bool(random.random() < 0.5)), random

    def cut(self, place: Place, random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Both images of a place, varied: (crop, crop, 3) and (crop, crop) uint8."""
        crop = self._config.crop
        visible, infrared = place.cut(place.pair.visible, crop), place.cut(place.pair.infrared, crop)
        return vary(visible, infrared, random, self._config.variation)


def validation_tensors(pair: Pair) -> tuple[Tensor, Tensor]:
    """Visible luminance and infrared of a whole pair as (1, 1, H, W) float tensors in [0, 1]."""
    visible = torch.from_numpy(luminance(pair.visible))[None, None]
    return visible, torch.from_numpy(to_unit_range(pair.infrared))[None, None]
