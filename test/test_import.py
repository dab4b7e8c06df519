"""Importing the package does no work: a node, a tool or a notebook pays only for the parts it uses."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "rclpy", "cv2", "onnxruntime", "ultralytics", "matplotlib", "av", "numpy")


def modules_after(statement: str) -> set[str]:
    """Run `statement` in a fresh interpreter and return the names of the top-level modules it loaded."""
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"  # what the interpreter's own start-up loaded is not the statement's doing
        f"{statement}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    loaded = modules_after("import fusion_ros")
    assert "fusion_ros" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_command_line_loads_nothing_heavy_before_it_knows_the_command():
    loaded = modules_after("import fusion_ros.cli; fusion_ros.cli.build_parser()")
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["fusion_ros.types", "fusion_ros.pairing", "fusion_ros.ros.graph"])
def test_the_parts_that_launch_files_and_tools_use_load_neither_torch_nor_rclpy(module: str):
    loaded = modules_after(f"import {module}")
    assert loaded.isdisjoint({"torch", "rclpy", "onnxruntime", "ultralytics"})
