"""Where public data sets of aligned pairs keep their images and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.training.data.pairs import IMAGE_SUFFIXES, Pair
from fusion_ros.training.data.pictures import read_pictures

VOID = 255


@dataclass(frozen=True)
class Layout:
    """Folders of a data set, below its root.

    Attributes:
        name: what `read_layout` knows it by.
        visible: folders with visible images, each with its partner in `infrared` at the same position.
        infrared: folders with infrared images.
        masks: folders with class masks, likewise; empty where there are none.
        classes: number of classes of the masks; a mask may also hold 255 (void).
        stem: from an image's stem to what its partners have in common.
        source: where the form is described.
    """

    name: str
    visible: tuple[str, ...]
    infrared: tuple[str, ...]
    masks: tuple[str, ...] = ()
    classes: int = 0
    stem: Callable[[str], str] = str
    source: str = ""


def _without(*endings: str) -> Callable[[str], str]:
    """Strip one of these endings from a stem."""

    def strip(stem: str) -> str:
        for ending in endings:
            if stem.lower().endswith(ending):
                return stem[: -len(ending)]
        return stem

    return strip


LAYOUTS: tuple[Layout, ...] = (
    Layout("pairs", ("vi",), ("ir",), ("labels",), 256, source="this project: vi/, ir/, labels/ where there are any"),
    Layout(
        "msrs",
        ("train/vi", "test/vi"),
        ("train/ir", "test/ir"),
        ("train/Segmentation_labels", "test/Segmentation_labels"),
        9,
        source="github.com/Linfeng-Tang/MSRS",
    ),
    Layout("m3fd", ("Vis",), ("Ir",), source="github.com/JinyuanLiu-CV/TarDAL"),
    Layout(
        "fmb",
        ("train/Visible", "test/Visible"),
        ("train/Infrared", "test/Infrared"),
        ("train/Label", "test/Label"),
        15,
        source="github.com/JinyuanLiu-CV/SegMiF",
    ),
    Layout(
        "llvip",
        ("visible/train", "visible/test"),
        ("infrared/train", "infrared/test"),
        source="github.com/bupt-ai-cz/LLVIP",
    ),
    Layout("roadscene", ("crop_HR_visible",), ("cropinfrared",), source="github.com/hanna-xu/RoadScene"),
    Layout("tno", ("vis",), ("ir",), stem=_without("_vis", "_ir"), source="TNO Image Fusion Dataset, as flat folders"),
    Layout("smod", ("rgb",), ("tir",), stem=_without("_rgb", "_tir"), source="SMOD; day and night in one folder"),
)
KAIST = "kaist"
LAYOUT_NAMES = (*(layout.name for layout in LAYOUTS), KAIST)


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair.

    Attributes:
        name: unique in the data set, with `/` for folders, without a suffix.
        visible: the visible image.
        infrared: the infrared image.
        mask: the class mask, None where there is none.
    """

    name: str
    visible: Path
    infrared: Path
    mask: Path | None = None


def find_pairs(root: Path, layout: str = "auto") -> list[PairFiles]:
    """The pairs of a data set, sorted by name.

    Args:
        root: its folder.
        layout: a name from `LAYOUT_NAMES`, or `auto` to take the first one whose folders are there.

    Raises:
        InputError: unknown layout, missing folders, or names that have no partner.
    """
    if layout not in ("auto", *LAYOUT_NAMES):
        raise InputError(f"layout {layout!r}: is not known (auto, {', '.join(LAYOUT_NAMES)})")
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder")
    if layout == KAIST or (layout == "auto" and _kaist_folders(root)):
        return _kaist_pairs(root)
    known = {candidate.name: candidate for candidate in LAYOUTS}
    candidates = LAYOUTS if layout == "auto" else (known[layout],)
    for candidate in candidates:
        present = [index for index, folder in enumerate(candidate.visible) if (root / folder).is_dir()]
        if present and all((root / candidate.infrared[index]).is_dir() for index in present):
            return sorted(_pairs_of(root, candidate, present), key=lambda pair: pair.name)
    wanted = "; ".join(f"{one.name}: {', '.join((*one.visible, *one.infrared))}" for one in candidates)
    raise InputError(f"{root}: has not the folders of a known layout ({wanted})")


def read_pair(files: PairFiles) -> Pair:
    """Read a pair whose images have one size.

    Raises:
        InputError: a file cannot be read, or the sizes differ.
    """
    visible, infrared = read_pictures(files.visible, files.infrared)
    if visible.shape[:2] != infrared.shape:
        raise InputError(
            f"{files.name}: visible {visible.shape[1]}x{visible.shape[0]} and infrared "
            f"{infrared.shape[1]}x{infrared.shape[0]} differ in size; bring them onto one grid first"
        )
    return Pair(files.name, visible, infrared)


def read_mask(files: PairFiles, classes: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a pair's class mask, (H, W) uint8.

    Args:
        files: the pair.
        classes: number of classes; 255 (void) is allowed besides.
        shape: (H, W) of the images.

    Raises:
        InputError: no mask, another size, or a label outside the classes.
    """
    if files.mask is None:
        raise InputError(f"{files.name}: has no mask")
    mask = cv2.imread(str(files.mask), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise InputError(f"{files.mask}: cannot be read as an image")
    if mask.shape != shape:
        raise InputError(f"{files.mask}: size {mask.shape} is not the images' {shape}")
    outside = np.setdiff1d(np.unique(mask), [*range(min(classes, 256)), VOID])
    if outside.size:
        raise InputError(f"{files.mask}: label {int(outside[0])} is outside the {classes} classes (0 to {classes - 1})")
    return np.asarray(mask, np.uint8)


def layout_classes(name: str) -> int:
    """Number of classes in the masks of a layout; 0 where it has none."""
    return next((layout.classes for layout in LAYOUTS if layout.name == name), 0)


def _images(folder: Path, stem: Callable[[str], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            key = stem(path.stem)
            if key in found:
                raise InputError(f"{folder}: {found[key].name} and {path.name} are one name; remove one of them")
            found[key] = path
    return found


def _pairs_of(root: Path, layout: Layout, present: Sequence[int]) -> Iterator[PairFiles]:
    for index in present:
        folder = root / layout.visible[index]
        visible, infrared = _images(folder, layout.stem), _images(root / layout.infrared[index], layout.stem)
        _check_partners(root, layout.visible[index], layout.infrared[index], visible, infrared)
        masks: dict[str, Path] = {}
        if layout.masks and (root / layout.masks[index]).is_dir():
            masks = _images(root / layout.masks[index], layout.stem)
            if strangers := sorted(masks.keys() - visible.keys()):
                raise InputError(f"{root / layout.masks[index]}: {strangers[0]} has no image in {folder}")
        part = Path(layout.visible[index])
        prefix = f"{next(p for p in part.parts if p in ('train', 'test'))}/" if len(layout.visible) > 1 else ""
        for key, path in visible.items():
            yield PairFiles(prefix + key, path, infrared[key], masks.get(key))


def _check_partners(
    root: Path, visible_folder: str, infrared_folder: str, visible: dict[str, Path], infrared: dict[str, Path]
) -> None:
    if not visible:
        raise InputError(f"{root / visible_folder}: holds no images")
    alone = sorted(visible.keys() ^ infrared.keys())
    if alone:
        raise InputError(
            f"{root}: {len(alone)} names are in {visible_folder}/ or {infrared_folder}/ only "
            f"({', '.join(alone[:3])}); remove or add"
        )


def _kaist_folders(root: Path) -> list[Path]:
    """Folders `setXX/VYYY` with `visible/` and `lwir/` in them."""
    return [path.parent for path in sorted(root.glob("set*/V*/lwir")) if (path.parent / "visible").is_dir()]


def _kaist_pairs(root: Path) -> list[PairFiles]:
    folders = _kaist_folders(root)
    if not folders:
        raise InputError(f"{root}: has no folders setXX/VYYY/visible and setXX/VYYY/lwir, as KAIST has")
    pairs = []
    for folder in folders:
        visible, infrared = _images(folder / "visible", str), _images(folder / "lwir", str)
        _check_partners(folder, "visible", "lwir", visible, infrared)
        prefix = folder.relative_to(root).as_posix()
        pairs += [PairFiles(f"{prefix}/{key}", path, infrared[key]) for key, path in visible.items()]
    return pairs
