"""Imports ultralytics so that it neither calls home, downloads, installs nor writes into the home folder.

ultralytics is licensed AGPL-3.0: whoever distributes or serves software that contains it has that licence's duties.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusion_ros.errors import InputError


def import_ultralytics() -> Any:
    """Import ultralytics and return the module.

    Environment variables that the user has set are respected: `YOLO_CONFIG_DIR` (a folder of its own under the
    temporary folder otherwise), `YOLO_OFFLINE`, `YOLO_AUTOINSTALL`, `YOLO_VERBOSE`, and `ULTRALYTICS_SAFE_LOAD`, which
    makes ultralytics read a `.pt` as tensors and known layers only: a pickle that could run any code is refused.

    Raises:
        InputError: ultralytics is not installed.
    """
    if "ultralytics" in sys.modules:
        return sys.modules["ultralytics"]
    folder = Path(tempfile.gettempdir()) / f"fusion_ros-ultralytics-{os.getuid()}"
    # All of these are read once, when ultralytics is imported.
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True, mode=0o700)
    with _kept_process_settings():
        try:
            import ultralytics
        except ImportError as error:
            raise InputError(
                f"ultralytics: {error}; detection and segmentation need it: pip install ultralytics"
            ) from error
    return ultralytics


@contextmanager
def kept_torch_threads() -> Iterator[None]:
    """Undo what ultralytics does to torch's thread count when it selects a device: other networks share the process."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _kept_process_settings() -> Iterator[None]:
    # ultralytics switches OpenCV's threads off and changes how numpy prints, for the whole process.
    opencv_threads, printing = cv2.getNumThreads(), np.get_printoptions()
    try:
        yield
    finally:
        cv2.setNumThreads(opencv_threads)
        np.set_printoptions(**printing)
