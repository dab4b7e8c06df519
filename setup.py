"""Build of the ROS 2 package (ament_python): the modules, the executables and what goes to share/fusion_ros."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "fusion_ros"
NODES = ("fusion_node", "detection_node", "segmentation_node", "pipeline_node", "player_node")
# Folders whose files are installed to share/fusion_ros, as they are.
SHARED_FOLDERS = ("launch", "config", "models", "interfaces")
ROOT = Path(__file__).parent


def shared_files():
    """List the files for share/, by target folder, with paths relative to this file as setuptools asks."""
    files = [
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml", "LICENSE"]),
    ]
    for folder in SHARED_FOLDERS:
        by_target = {}
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                by_target.setdefault(relative.parent.as_posix(), []).append(relative.as_posix())
        files += [(f"share/{PACKAGE}/{target}", paths) for target, paths in by_target.items()]
    return files


def requirements(name):
    """List what a file of requirements/ asks for."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements" / name).read_text().splitlines())
    return [line for line in lines if line]


def package_files():
    """List the package's files that are not modules (templates, styles), relative to the package."""
    folder = ROOT / PACKAGE
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".py", ".pyc"))
    return [path.relative_to(folder).as_posix() for path in files]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Thermal and RGB image fusion for vehicles",
    author="fusion_ros developers",
    author_email="fusion-ros@example.org",
    maintainer="fusion_ros developers",
    maintainer_email="fusion-ros@example.org",
    license="Apache-2.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: package_files()},
    data_files=shared_files(),
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"fleet": requirements("fleet.txt")},
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "fusion-ros = fusion_ros.cli:main",
            *(f"{node} = fusion_ros.ros.start:{node}" for node in NODES),
        ]
    },
)
