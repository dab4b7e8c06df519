"""Where the folders lie that come with the package without being modules: models, interfaces, benchmarks."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def candidate_folders(name: str) -> list[Path]:
    """Places where the folder `name` may lie, the likeliest first; none need exist.

    Beside the package (a source tree), then in `share/fusion_ros` of every prefix that the package may be installed to:
    those above it, those that a sourced ROS workspace names, and this interpreter's.
    """
    package = Path(__file__).resolve().parent
    sourced = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    prefixes = dict.fromkeys((*package.parents, *sourced, Path(sys.prefix)))
    return [package.parent / name, *(prefix / "share" / "fusion_ros" / name for prefix in prefixes)]
