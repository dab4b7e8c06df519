"""The ROS 2 package: what package.xml declares is what the code uses, and `colcon build` installs all of it."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import fusion_ros

ROOT = Path(__file__).resolve().parent.parent
NODES = ("fusion_node", "detection_node", "segmentation_node", "pipeline_node", "player_node")
# rosdep keys (or a comment in package.xml, for what has no key) by the name that is imported.
ROSDEP_KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "jinja2": "python3-jinja2",
    "markupsafe": "python3-jinja2",  # jinja2's own dependency
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "onnxruntime": "python3-onnxruntime-pip",
    "psutil": "python3-psutil",
    "rich": "python3-rich",
    "torch": "python3-torchvision-pip",
    "torchvision": "python3-torchvision-pip",
    "ultralytics": "python3-ultralytics-pip",
    "yaml": "python3-yaml",
}
WITHOUT_KEY = {"accelerate", "av", "fsspec", "onnx", "onnxscript", "rosbags", "safetensors", "timm", "torchmetrics"}
# Used where present, and never required: NVIDIA's own installation, evaluation over machines, SegFormer's library.
OPTIONAL = {"ray", "tensorrt", "transformers"}


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def declared_dependencies() -> set[str]:
    return {element.text or "" for element in package_xml() if element.tag.endswith("depend")}


def imported_packages() -> set[str]:
    """Return the third-party packages that fusion_ros imports anywhere."""
    names = set()
    for path in (ROOT / "fusion_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"fusion_ros"}


def source_of(installed: Path) -> Path:
    """Return the source tree that an install space was built from."""
    return installed.parent.parent / "src" / "fusion_ros"


def test_package_xml_is_format_3_of_an_ament_python_package():
    root = package_xml()
    assert root.get("format") == "3"
    assert root.findtext("name") == "fusion_ros"
    assert root.findtext("export/build_type") == "ament_python"
    assert root.findtext("license") == "Apache-2.0"


def test_package_xml_passes_the_ros_tools_own_validation():
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg comes with colcon-ros")
    warnings: list[str] = []
    package.parse_package(str(ROOT), warnings=warnings)
    assert warnings == []


def test_the_three_version_numbers_are_one():
    version = package_xml().findtext("version")
    assert fusion_ros.__version__ == version
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()
    changes = (ROOT / "CHANGELOG.rst").read_text()
    assert re.search(rf"^(Forthcoming|{re.escape(version or '')})\b", changes, re.MULTILINE)


def test_every_imported_package_is_declared():
    declared = declared_dependencies()
    comments = (ROOT / "package.xml").read_text()
    missing = {
        name
        for name in imported_packages() - OPTIONAL
        if ROSDEP_KEYS.get(name, name) not in declared and not (name in WITHOUT_KEY and name in comments)
    }
    assert missing == set()


def test_every_message_package_that_is_declared_is_used():
    messages = {name for name in declared_dependencies() if name.endswith("_msgs") or name.endswith("_interfaces")}
    assert messages <= imported_packages()


@pytest.mark.parametrize("node", NODES)
def test_every_executable_has_a_main(node: str):
    tree = ast.parse((ROOT / "fusion_ros" / "ros" / f"{node}.py").read_text())
    assert "main" in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}


def test_colcon_installs_the_executables_where_ros2_run_looks(installed_package: Path):
    folder = installed_package / "lib" / "fusion_ros"
    installed = {path.name for path in folder.iterdir()}
    assert installed == {*NODES, "fusion-ros"}
    for path in folder.iterdir():
        assert os.access(path, os.X_OK)
        # A virtual environment's packages are seen only with its own Python, so the path decides, not the build.
        assert path.read_text().startswith("#!/usr/bin/env python3\n")


def test_colcon_installs_every_shared_file(installed_package: Path):
    share = installed_package / "share" / "fusion_ros"
    source = source_of(installed_package)
    for folder in ("launch", "config", "models"):
        expected = {path.relative_to(source) for path in (source / folder).rglob("*") if path.is_file()}
        assert expected
        assert {path for path in expected if not (share / path).is_file()} == set()
    assert (share / "package.xml").is_file()
    assert (installed_package / "share/ament_index/resource_index/packages/fusion_ros").is_file()


def test_colcon_installs_every_module_and_its_data(installed_package: Path):
    (site_packages,) = installed_package.glob("lib/python3*/site-packages")
    source = source_of(installed_package)
    expected = {path.relative_to(source) for path in (source / "fusion_ros").rglob("*") if path.is_file()}
    assert {path for path in expected if not (site_packages / path).is_file()} == set()


def test_the_installed_package_runs_without_the_source_tree(installed_package: Path, tmp_path: Path):
    (site_packages,) = installed_package.glob("lib/python3*/site-packages")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(site_packages), "PATH": path}
    command = [str(installed_package / "lib/fusion_ros/fusion-ros"), "--version"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, f"fusion-ros {fusion_ros.__version__}")
