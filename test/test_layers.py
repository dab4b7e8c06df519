"""The layers of the package hold: imports go down only, and ROS stays in `fusion_ros.ros`.

The contracts are in pyproject.toml; `lint-imports` checks them in `make lint` as well. Here they are part of the tests,
so that a package built elsewhere keeps them, and they are shown to bite.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fusion_ros"
ROS_PACKAGES = {
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "lifecycle_msgs",
    "message_filters",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "vision_msgs",
}


def imported(source: str) -> set[str]:
    """Return the top-level names that Python source imports, at module level and inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_import_finder_sees_imports_inside_functions():
    assert imported("def f():\n    import rclpy.node\n    from vision_msgs.msg import Detection2D") == {
        "rclpy",
        "vision_msgs",
    }


def test_ros_is_imported_in_the_ros_folder_only():
    # commands/doctor.py looks for ROS packages by name and imports none.
    sources = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "ros"]
    assert len(sources) > 10
    offenders = {str(path.relative_to(ROOT)): imported(path.read_text()) & ROS_PACKAGES for path in sources}
    assert {path: names for path, names in offenders.items() if names} == {}


def test_import_contracts_hold():
    pytest.importorskip("importlinter", reason="import-linter is a development tool")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stdout + result.stderr
