#!/usr/bin/env python3
"""Set up `.venv/` at the repository's root: everything that `make demo` and `make test` need.

Where a ROS 2 is sourced, the environment sees its packages (rclpy, message_filters, cv_bridge, vision_msgs, launch).
Where none is, real rclpy comes from PyPI and `vision_msgs` is generated from `interfaces/`.
A stamp keyed on all inputs makes the second run return at once. Standard library only: it runs before anything is
installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
ENVIRONMENT_PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".fusion_ros_set_up"
LOG = ENVIRONMENT / "set_up.log"
REQUIREMENTS = ROOT / "requirements"
INTERFACES = ROOT / "interfaces"
SUPPORTED = ((3, 10), (3, 12))
# Debian and Ubuntu packages, by what is missing without them.
APT_VENV = "python{version}-venv"
APT_HEADERS = "python{version}-dev"
APT_COMPILER = "g++"


class SetUpError(Exception):
    """The set-up cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Base:
    """The Python that the environment is made from.

    Attributes:
        executable: path of the interpreter.
        version: its major and minor version.
        ros_distro: distribution of the ROS 2 that it can import, or None.
    """

    executable: str
    version: tuple[int, int]
    ros_distro: str | None

    @property
    def version_text(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def main(argv: Sequence[str] | None = None) -> int:
    """Set up the environment unless it is up to date; return 0, or 1 with one line that says what to do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--force", action="store_true", help="set up even where the stamp says that nothing changed")
    arguments = parser.parse_args(argv)
    try:
        set_up(force=arguments.force)
    except SetUpError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


def set_up(force: bool = False) -> None:
    """Make `.venv` complete."""
    base = find_base()
    key = inputs_key(base)
    if not force and STAMP.is_file() and STAMP.read_text() == key and ENVIRONMENT_PYTHON.exists():
        return
    start = time.monotonic()
    ros = f"ROS 2 {base.ros_distro}, as sourced" if base.ros_distro else "no ROS 2 sourced: rclpy comes from PyPI"
    say(f"Python {base.version_text} ({base.executable}); {ros}")
    require_system_packages(base)
    steps = [("environment", lambda: create_environment(base))]
    if base.ros_distro is None:
        steps.append(("ROS 2: rclpy, Fast DDS, messages", install_ros))
        steps.append(("vision_msgs from its definitions", build_interfaces))
    steps.append(("torch, ONNX Runtime, OpenCV (3 GB to fetch)", lambda: install_runtime(base)))
    steps.append(("ultralytics, test and lint tools", lambda: install_tools(base)))
    steps.append(("fusion_ros itself", install_package))
    for number, (title, step) in enumerate(steps, 1):
        step_start = time.monotonic()
        print(f"set-up: [{number}/{len(steps)}] {title} ...", end=" ", flush=True)
        step()
        print(f"{time.monotonic() - step_start:.0f} s", flush=True)
    STAMP.write_text(key)
    say(f"done in {time.monotonic() - start:.0f} s; `.venv/bin/fusion-ros doctor` shows what works")


# --- which Python, which ROS ------------------------------------------------------------------------------------------


def find_base() -> Base:
    """Find the Python to build on: the one that sees a sourced ROS 2, else the first of a supported version."""
    candidates = [probe(name) for name in dict.fromkeys(candidate_names())]
    found = [base for base in candidates if base is not None and SUPPORTED[0] <= base.version <= SUPPORTED[1]]
    sourced = os.environ.get("ROS_DISTRO")
    with_ros = [base for base in found if base.ros_distro]
    if sourced and not with_ros:
        raise SetUpError(
            f"ROS_DISTRO is {sourced} but no Python {range_text()} imports rclpy; source its setup.bash again, "
            "install ros-" + sourced + "-rclpy, or unset ROS_DISTRO to use rclpy from PyPI"
        )
    if not found:
        raise SetUpError(f"needs Python {range_text()}; python3 is {platform.python_version()}. Set PYTHON=python3.12")
    return (with_ros or found)[0]


def candidate_names() -> list[str]:
    """Interpreters to try, best first: the one that runs this script, the system's, then by version."""
    names = [sys.executable]
    if os.environ.get("ROS_DISTRO"):
        names.append("/usr/bin/python3")  # what a ROS distribution is built for
    return [*names, "python3", *(f"python3.{minor}" for minor in range(SUPPORTED[1][1], SUPPORTED[0][1] - 1, -1))]


def probe(name: str) -> Base | None:
    """Ask the interpreter `name` for its version and whether it sees a ROS 2; None where it does not run.

    A virtual environment's interpreter, such as that of an activated `.venv`, stands for the one it was made from.
    """
    executable = shutil.which(name)
    if executable is None:
        return None
    code = (
        "import sys, importlib.util as u, os\n"
        "print(sys.version_info[0], sys.version_info[1])\n"
        "print(os.path.realpath(sys.executable))\n"
        "print(os.path.realpath(sys._base_executable) if sys.prefix != sys.base_prefix else '')\n"
        "print(os.environ.get('ROS_DISTRO', 'unknown') if u.find_spec('rclpy') else '')\n"
    )
    result = subprocess.run([executable, "-c", code], capture_output=True, text=True, env=clean_environment())
    lines = result.stdout.splitlines()
    if result.returncode != 0 or len(lines) < 4:
        return None
    version, itself, made_from, ros = lines
    if made_from:
        return probe(made_from)
    major, minor = version.split()
    return Base(itself, (int(major), int(minor)), ros or None)


def range_text() -> str:
    return " to ".join(f"{major}.{minor}" for major, minor in SUPPORTED)


def inputs_key(base: Base) -> str:
    """Hash everything that the environment is made from."""
    digest = hashlib.sha256()
    for text in (str(ROOT), base.executable, base.version_text, str(base.ros_distro), platform.machine()):
        digest.update(text.encode() + b"\0")
    folders = (REQUIREMENTS, INTERFACES, ROOT / "scripts")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted([*files, ROOT / "setup.py", ROOT / "setup.cfg", ROOT / "package.xml"]):
        if path.exists():
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest() + "\n"


# --- what the system must have ----------------------------------------------------------------------------------------


def require_system_packages(base: Base) -> None:
    """Install what Debian and Ubuntu leave out of python3, or say in one line what to install."""
    missing = [package for package, present in system_packages(base) if not present]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None:
        raise SetUpError(f"install the equivalents of these Debian packages: {' '.join(missing)}")
    if os.geteuid() != 0:
        if not can_sudo():
            raise SetUpError(f"run: sudo apt-get install {' '.join(missing)}")
        command = ["sudo", "-n", *command]
    say(f"installing with apt: {' '.join(missing)}")
    update = [*command[: command.index("apt-get") + 1], "update"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(update, capture_output=True, env=environment)
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["apt-get failed"])[-1]
        raise SetUpError(f"{last}; run: sudo apt-get install {' '.join(missing)}")


def system_packages(base: Base) -> list[tuple[str, bool]]:
    """Debian packages that the set-up needs here, and whether what they bring is present."""
    version = base.version_text
    packages = [(APT_VENV.format(version=version), python_has(base, "import ensurepip, venv"))]
    if base.ros_distro is None:
        headers = "import os, sysconfig as s; assert os.path.exists(s.get_paths()['include'] + '/Python.h')"
        packages.append((APT_HEADERS.format(version=version), python_has(base, headers)))
        packages.append((APT_COMPILER, all(shutil.which(name) for name in ("gcc", "g++"))))
    else:
        # Not part of a distribution's ros_base. (cv_bridge and message_filters are used where installed.)
        packages.append((f"ros-{base.ros_distro}-vision-msgs", python_has(base, "import vision_msgs.msg")))
    return packages


def python_has(base: Base, code: str) -> bool:
    return subprocess.run([base.executable, "-c", code], capture_output=True, env=clean_environment()).returncode == 0


def can_sudo() -> bool:
    return (
        shutil.which("sudo") is not None and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    )


# --- the steps --------------------------------------------------------------------------------------------------------


def create_environment(base: Base) -> None:
    """Create `.venv`; one made from another Python, for another ROS or at another place is made anew."""
    if environment_fits(base):
        return
    command = [base.executable, "-m", "venv", "--clear"]
    if base.ros_distro:
        command.append("--system-site-packages")
    result = subprocess.run([*command, str(ENVIRONMENT)], capture_output=True, text=True, env=clean_environment())
    if result.returncode != 0:
        raise SetUpError(f"python -m venv failed: {(result.stderr or result.stdout).strip()}")
    # So that colcon, where the repository lies in a workspace, does not look for packages in here.
    (ENVIRONMENT / "COLCON_IGNORE").touch()
    pip("--upgrade", "pip>=24")


def environment_fits(base: Base) -> bool:
    """Tell whether `.venv` exists, works, and was made from `base` at this place."""
    configuration, activate = ENVIRONMENT / "pyvenv.cfg", ENVIRONMENT / "bin" / "activate"
    if not (configuration.is_file() and activate.is_file() and ENVIRONMENT_PYTHON.exists()):
        return False
    lines = (line.partition("=") for line in configuration.read_text().splitlines())
    values = {key.strip(): value.strip() for key, _, value in lines}
    return (
        values.get("version", "").startswith(base.version_text + ".")
        and values.get("include-system-site-packages") == ("true" if base.ros_distro else "false")
        and str(ENVIRONMENT) in activate.read_text()
        and pip_works()
    )


def pip_works() -> bool:
    """Tell whether the environment's Python runs and has pip: one that was cut short may have neither."""
    return subprocess.run([str(ENVIRONMENT_PYTHON), "-m", "pip", "--version"], capture_output=True).returncode == 0


def install_ros() -> None:
    """Install rclpy and Fast DDS from PyPI."""
    pip("-r", str(REQUIREMENTS / "ros.txt"), "numpy>=1.26")


def build_interfaces() -> None:
    """Generate, compile and install `vision_msgs`."""
    folders = sorted(str(path.parent) for path in INTERFACES.glob("*/package.xml"))
    run([str(ENVIRONMENT_PYTHON), str(ROOT / "scripts" / "build_interfaces.py"), *folders])


def install_runtime(base: Base) -> None:
    """Install torch, ONNX Runtime, OpenCV and the rest of `requirements/runtime.txt`."""
    pip("-r", str(REQUIREMENTS / "runtime.txt"), *constraints(base))


def install_tools(base: Base) -> None:
    """Install ultralytics without its dependencies, and the development tools."""
    pip("-r", str(REQUIREMENTS / "development.txt"), *constraints(base))
    pip("--no-deps", "-r", str(REQUIREMENTS / "without-dependencies.txt"))


def install_package() -> None:
    """Install fusion_ros itself, editable, with its console scripts."""
    pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def constraints(base: Base) -> list[str]:
    """Keep the NumPy generation that a sourced ROS was compiled for: its message and cv_bridge modules need it."""
    if base.ros_distro is None:
        return []
    code = "import numpy; print(numpy.__version__.split('.')[0])"
    result = subprocess.run([base.executable, "-c", code], capture_output=True, text=True, env=clean_environment())
    return ["numpy<2"] if result.stdout.strip() == "1" else []


def pip(*arguments: str) -> None:
    """Install with the environment's pip."""
    command = [str(ENVIRONMENT_PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    run([*command, "--progress-bar", "off", *arguments])


def run(command: Sequence[str]) -> None:
    """Run a command with its output in the log; show the end of it where the command fails."""
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        result = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=clean_environment(), cwd=ROOT)
    if result.returncode != 0:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])
        raise SetUpError(f"{' '.join(command[:4])} ... failed; the end of {LOG}:\n{tail}")


def clean_environment() -> dict[str, str]:
    """Return the environment without what another virtual environment left in it."""
    environment = dict(os.environ)
    # rclpy's wheels start Python anew with their library path and mark that with this variable.
    if environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None):
        environment.pop("LD_LIBRARY_PATH", None)
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "__PYVENV_LAUNCHER__"):
        environment.pop(name, None)
    return environment


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
