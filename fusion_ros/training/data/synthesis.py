"""Data sets with glare or darkness added to every pair of another data set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError, JobError
from fusion_ros.training.data.darkness import DarknessConfig, darken
from fusion_ros.training.data.glare import GlareConfig, add_glare
from fusion_ros.training.data.layouts import PairFiles, find_pairs
from fusion_ros.training.data.pairs import Pair
from fusion_ros.training.data.pictures import read_pictures
from fusion_ros.training.data.salience import boxes_of, salient_infrared

DESCRIPTION_NAME = "synthesis.json"

Images = dict[str, NDArray[np.uint8]]


Annotator = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.bool_]]
"""Infrared image (H, W) uint8 and boxes (N, 4) of objects in it to the objects' pixels, (H, W) bool."""


def synthesise_glare(
    root: Path, out: Path, seed: int, config: GlareConfig, layout: str = "auto", outline: Annotator | None = None
) -> int:
    """Write `vi/` with glare, `ir/`, `clean/` (vi without it), `overexposed/` and `labels/` (hidden objects, 0 or 255).

    Objects to dazzle are the boxes of `labels.coco.json` where the data set has that file, else warm ones.

    Args:
        root, layout: the data set, see `find_pairs`.
        out: new or empty folder.
        seed: the same seed gives the same images.
        config: how glare is drawn.
        outline: finds the pixels of those objects (the paper: SAM); without it they are what is warmer than around it.

    Returns:
        How many pairs were written.

    Raises:
        InputError: the data cannot be used, or `out` is not empty.
        JobError: the result cannot be written.
    """
    boxes = _coco_boxes(root / "labels.coco.json")

    def make(pair: Pair, number: int) -> tuple[Images, dict[str, Any]]:
        random = np.random.default_rng((seed, number))
        salient = salient_infrared(pair.infrared)
        objects = boxes.get(pair.name, boxes_of(salient))
        if outline:
            salient = outline(pair.infrared, objects)
        glared = add_glare(pair.visible, pair.infrared, random, config, objects, salient)
        images = {
            "vi": glared.visible,
            "ir": pair.infrared,
            "clean": pair.visible,
            "overexposed": glared.overexposed.astype(np.uint8) * 255,
            "labels": glared.hidden.astype(np.uint8) * 255,
        }
        return images, {"centres": glared.centres.round(1).tolist()}

    description = {"kind": "glare", "seed": seed, "config": dataclasses.asdict(config)}
    description["objects"] = "outlined" if outline else "threshold and contour"
    return _synthesise(root, out, layout, description, make)


def synthesise_darkness(root: Path, out: Path, seed: int, config: DarknessConfig, layout: str = "auto") -> int:
    """Write `vi/` darkened, `ir/`, and `clean/` (vi as it was).

    Returns, Raises: as `synthesise_glare`.
    """

    def make(pair: Pair, number: int) -> tuple[Images, dict[str, Any]]:
        darkened = darken(pair.visible, np.random.default_rng((seed, number)), config)
        return {"vi": darkened, "ir": pair.infrared, "clean": pair.visible}, {}

    return _synthesise(
        root, out, layout, {"kind": "darkness", "seed": seed, "config": dataclasses.asdict(config)}, make
    )


def _synthesise(
    root: Path,
    out: Path,
    layout: str,
    description: dict[str, Any],
    make: Callable[[Pair, int], tuple[Images, dict[str, Any]]],
) -> int:
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty; choose another folder")
    files = find_pairs(root, layout)
    notes = {}
    for number, one in enumerate(files):
        images, notes[one.name] = make(_read_on_one_grid(one), number)
        for folder, image in images.items():
            _write(out / folder / f"{one.name}.png", image)
    try:
        text = json.dumps({**description, "pairs": notes}, indent=1) + "\n"
        (out / DESCRIPTION_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise JobError(f"{out / DESCRIPTION_NAME}: cannot be written: {error}") from error
    return len(files)


def _read_on_one_grid(files: PairFiles) -> Pair:
    """A pair on the infrared image's grid: some sets have the same view at two sizes."""
    visible, infrared = read_pictures(files.visible, files.infrared)
    if visible.shape[:2] != infrared.shape:
        visible = np.asarray(cv2.resize(visible, infrared.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return Pair(files.name, visible, infrared)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    except OSError as error:
        raise JobError(f"{path}: cannot be written: {error}") from error


def _coco_boxes(path: Path) -> dict[str, NDArray[np.float32]]:
    """Boxes by the image's stem, x1 y1 x2 y2; images without a box are left out."""
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: Path(image["file_name"]).stem for image in document["images"]}
        found: dict[str, list[list[float]]] = {}
        for annotation in document["annotations"]:
            x, y, width, height = annotation["bbox"]
            found.setdefault(names[annotation["image_id"]], []).append([x, y, x + width, y + height])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not a COCO label file: {error!r}") from error
    return {name: np.asarray(boxes, np.float32) for name, boxes in found.items()}
