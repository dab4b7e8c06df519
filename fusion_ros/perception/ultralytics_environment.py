"""Imports ultralytics so that it neither calls home, downloads, installs nor writes into the home folder.

ultralytics is licensed AGPL-3.0: whoever distributes or serves software that contains it has that licence's duties.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import ModuleType


def import_ultralytics() -> ModuleType:
    """Import ultralytics and return the module.

    Environment variables that the user has set (`YOLO_CONFIG_DIR`, `YOLO_OFFLINE`, `YOLO_AUTOINSTALL`, `YOLO_VERBOSE`)
    are respected.

    Raises:
        InputError: ultralytics is not installed.
    """
    from fusion_ros.errors import InputError

    folder = Path(tempfile.gettempdir()) / f"fusion_ros-ultralytics-{os.getuid()}"
    # Read once, when ultralytics is imported: later changes have no effect.
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        import ultralytics
    except ImportError as error:
        raise InputError(
            f"ultralytics: {error}; detection and segmentation need it: pip install ultralytics"
        ) from error
    return ultralytics
