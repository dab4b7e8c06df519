"""A small folder of pairs, so that training tests need no data of others."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest


@pytest.fixture
def pairs_folder(tmp_path):
    """`data/set/{vi,ir}` with ten smooth pairs: 48x64, the visible images twice that size."""
    random = np.random.default_rng(0)
    for part, size in (("vi", (128, 96)), ("ir", (64, 48))):
        folder = tmp_path / "data" / "set" / part
        folder.mkdir(parents=True)
        for number in range(10):
            small = random.integers(0, 256, (6, 8, 3) if part == "vi" else (6, 8), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{number:02}.png"), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return tmp_path / "data"


@pytest.fixture
def labelled_set(tmp_path):
    """`labelled/` with ten pairs of 72x96, each with a warm square that `labels.coco.json` calls a car."""
    folder = tmp_path / "labelled"
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(10):
        left, top = (int(value) for value in random.integers(0, 40, 2))
        infrared = random.integers(0, 60, (72, 96)).astype(np.uint8)
        infrared[top : top + 24, left : left + 30] = 230
        visible = random.integers(60, 180, (72, 96, 3)).astype(np.uint8)
        for sensor, image in (("ir", infrared), ("vi", visible)):
            (folder / sensor).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / sensor / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png"})
        annotations.append({"id": number, "image_id": number, "category_id": 3, "bbox": [left, top, 30, 24]})
    labels = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "car"}]}
    (folder / "labels.coco.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def masked_set(tmp_path):
    """`masked/{vi,ir,labels}` with five pairs of 64x64 whose masks mark a warm square as class 1."""
    folder = tmp_path / "masked"
    random = np.random.default_rng(0)
    for number in range(5):
        mask = np.zeros((64, 64), np.uint8)
        left, top = (int(value) for value in random.integers(0, 40, 2))
        mask[top : top + 20, left : left + 20] = 1
        pictures = {"vi": random.integers(0, 255, (64, 64, 3)).astype(np.uint8), "ir": 200 * mask, "labels": mask}
        for part, image in pictures.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / part / f"{number}.png"), image)
    return folder
