"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# What a ROS workspace needs of this repository.
PACKAGED = (
    *("fusion_ros", "launch", "config", "models", "interfaces", "requirements", "resource"),
    *("package.xml", "setup.py", "setup.cfg", "LICENSE"),
)

# A shell starts what runs in its background with SIGINT ignored, and the commands under test would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real aligned pairs and released checkpoints; skips the test where it is absent."""
    folder = Path(os.environ.get("FUSION_ROS_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real pairs are not at {folder} (set FUSION_ROS_SHARED to where they are)")
    return folder


@pytest.fixture(scope="session")
def installed_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install space of this package, built by colcon in a workspace of its own; skips where colcon is absent."""
    colcon = find_colcon()
    if colcon is None:
        pytest.skip("colcon is not installed (pip install -r requirements/development.txt)")
    workspace = tmp_path_factory.mktemp("workspace")
    source = workspace / "src" / "fusion_ros"
    source.mkdir(parents=True)
    for name in PACKAGED:
        original = REPOSITORY / name
        if original.is_dir():
            shutil.copytree(original, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(original, source / name)
    # The workspace is built for the Python that runs the tests.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    result = subprocess.run(
        [colcon, "build", "--event-handlers", "console_direct+"],
        cwd=workspace,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return workspace / "install" / "fusion_ros"


def find_colcon() -> str | None:
    """Return colcon beside this Python, else on the path, else None."""
    beside = Path(sys.executable).parent / "colcon"
    return str(beside) if beside.exists() else shutil.which("colcon")
