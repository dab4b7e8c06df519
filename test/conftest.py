"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real aligned pairs and released checkpoints; skips the test where it is absent."""
    folder = Path(os.environ.get("FUSION_ROS_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real pairs are not at {folder} (set FUSION_ROS_SHARED to where they are)")
    return folder
