"""`fusion-ros doctor`: what is installed, what works here, what is missing and how to get it.

A check tries the thing where it can: a message through DDS, a convolution on each GPU, a checksum of each model. What
is only listed as installed may still not work.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

OK = "ok"
MISSING = "missing"
BROKEN = "broken"
ABSENT = "not here"  # optional, and not installed: no fault

SET_UP = "make setup"
SELF_CHECK_TIMEOUT = 60.0  # s; the first import of rclpy from a cold disk is slow


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        area: what it belongs to: `system`, `packages`, `ROS`, `backends` or `models`.
        name: what was looked at.
        state: `ok`, `missing`, `broken`, or `not here` for something optional.
        detail: version, device, or the error.
        required: whether the pipeline needs it.
        cure: what to do where the state is not `ok`; empty where nothing need be done.
    """

    area: str
    name: str
    state: str
    detail: str = ""
    required: bool = False
    cure: str = ""

    @property
    def passed(self) -> bool:
        """Whether the pipeline can run as far as this check goes."""
        return self.state == OK or not self.required


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; return 0 if the pipeline can run on this machine, 1 if not."""
    checks = list(examine())
    healthy = all(check.passed for check in checks)
    if arguments.json:
        print(json.dumps({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print_report(checks, healthy)
    return 0 if healthy else 1


def examine() -> Iterator[Check]:
    """Carry out all checks, area by area."""
    yield from check_system()
    yield from check_packages()
    yield from check_ros()
    yield from check_backends()
    yield from check_models()


# --- system and packages ----------------------------------------------------------------------------------------------


def check_system() -> Iterator[Check]:
    """Python, processor, memory and NVIDIA's driver."""
    supported = sys.version_info[:2] >= (3, 10)
    yield Check(
        "system",
        "Python",
        OK if supported else BROKEN,
        f"{platform.python_version()} ({sys.executable})",
        required=True,
        cure="" if supported else "use Python 3.10 or newer",
    )
    detail = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    try:
        import psutil

        detail += f", {psutil.virtual_memory().total / 2**30:.0f} GiB memory"
    except ImportError:
        pass
    yield Check("system", "machine", OK, detail)
    driver = nvidia_driver()
    yield Check("system", "NVIDIA driver", OK if driver else ABSENT, driver or "no GPU: networks run on the CPU")


def nvidia_driver() -> str | None:
    """Name and driver version of the GPUs as `nvidia-smi` tells them, or None."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = result.stdout.strip().splitlines()
    return "; ".join(lines) if result.returncode == 0 and lines else None


# Import name, distributions that bring it (the first that is found gives the version), required, what it is for.
PACKAGES = (
    ("numpy", ("numpy",), True, ""),
    ("cv2", ("opencv-python-headless", "opencv-python", "opencv-contrib-python"), True, ""),
    ("yaml", ("PyYAML",), True, ""),
    ("safetensors", ("safetensors",), True, ""),
    ("ultralytics", ("ultralytics",), True, "detection and segmentation; AGPL-3.0"),
    ("rosbags", ("rosbags",), True, "player_node and `fusion-ros bag`"),
    ("av", ("av",), False, "demo.mp4 and video clips"),
    ("matplotlib", ("matplotlib",), False, "plots of the reports"),
    ("jinja2", ("Jinja2",), False, "report.html"),
)


def check_packages() -> Iterator[Check]:
    """Python packages from PyPI or the distribution."""
    for name, distributions, required, purpose in PACKAGES:
        if importlib.util.find_spec(name) is None:
            state = MISSING if required else ABSENT
            yield Check("packages", name, state, purpose, required, f"{SET_UP}, or pip install {distributions[0]}")
            continue
        detail = ", ".join(text for text in (version_of(distributions), purpose) if text)
        yield Check("packages", name, OK, detail, required)


def version_of(distributions: tuple[str, ...]) -> str:
    """Version of the first of `distributions` that is installed; empty where none says."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


# --- ROS --------------------------------------------------------------------------------------------------------------

# Package, required, what takes its place where it is absent.
ROS_PACKAGES = (
    ("sensor_msgs", True, ""),
    ("diagnostic_msgs", True, ""),
    ("vision_msgs", True, ""),
    ("message_filters", False, "the package's own filter takes its place"),
    ("cv_bridge", False, "the package's own conversion takes its place; rare encodings are refused"),
    ("launch_ros", False, "`fusion-ros demo` starts the nodes without it; the launch file needs it"),
)


def check_ros() -> Iterator[Check]:
    """Where ROS comes from, its packages, and a message through its middleware."""
    source = ros_source()
    if source is None:
        cure = f"source a ROS 2 (Humble or newer), or {SET_UP} for rclpy from PyPI"
        yield Check("ROS", "rclpy", MISSING, "", True, cure)
        return
    yield Check("ROS", "rclpy", OK, source, True)
    for name, required, instead in ROS_PACKAGES:
        found = importlib.util.find_spec(name) is not None
        state = OK if found else MISSING if required else ABSENT
        cure = f"apt install {apt_name(name)}" if os.environ.get("ROS_DISTRO") else SET_UP
        yield Check("ROS", name, state, "" if found else instead, required, "" if found or not required else cure)
    yield check_middleware()


def ros_source() -> str | None:
    """Tell which rclpy would be imported: a sourced distribution's, or PyPI's; None where there is none."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).resolve()
    if not folder.is_relative_to(Path(sys.prefix).resolve()):
        return f"{os.environ.get('ROS_DISTRO', 'unknown distribution')}, sourced ({folder.parent.parent})"
    names = (str(item.metadata["Name"] or "") for item in metadata.distributions())
    distro = next((name for name in names if re.fullmatch(r"ros-[a-z]+-rclpy", name)), "rclpy")
    return f"{distro} {version_of((distro, 'ros-rclpy'))} from PyPI"


def apt_name(package: str) -> str:
    """Name of a ROS package's Debian package in the sourced distribution."""
    return f"ros-{os.environ.get('ROS_DISTRO', 'DISTRO')}-{package.replace('_', '-')}"


def check_middleware() -> Check:
    """Send one message through the middleware, in a process of its own."""
    command = [sys.executable, "-m", "fusion_ros.ros.self_check"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SELF_CHECK_TIMEOUT)
        answer = json.loads(result.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Check("ROS", "message round trip", BROKEN, "no answer", True, "is another RMW_IMPLEMENTATION set?")
    except (IndexError, ValueError):
        error = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        return Check("ROS", "message round trip", BROKEN, error, True, f"{SET_UP}, or repair the ROS installation")
    detail = f"{answer['rmw']}, ROS_DOMAIN_ID {answer['domain']}, {answer['milliseconds']:.0f} ms"
    if not answer["received"]:
        return Check("ROS", "message round trip", BROKEN, detail, True, "does a firewall block UDP on this machine?")
    return Check("ROS", "message round trip", OK, detail, True)


# --- backends ---------------------------------------------------------------------------------------------------------


def check_backends() -> Iterator[Check]:
    """What can run a network, each tried with a small computation."""
    torch = [*tried("torch", check_torch)]
    onnx = [*tried("ONNX Runtime", check_onnx_runtime)]
    works = any(check.state == OK for check in (*torch, *onnx))
    yield from torch
    yield from onnx
    yield from tried("TensorRT", check_tensorrt)
    cure = "" if works else f"{SET_UP}, or pip install onnxruntime torch"
    yield Check("backends", "a backend that works", OK if works else MISSING, "", True, cure)


def tried(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield what `check` finds; an exception, whatever it is, becomes a broken backend."""
    try:
        yield from check()
    except Exception as error:  # a backend's libraries may fail in any way
        yield Check("backends", name, BROKEN, f"{type(error).__name__}: {first_line(error)}", cure=SET_UP)


def first_line(error: Exception) -> str:
    """First line of an error's message."""
    return (str(error).strip().splitlines() or [""])[0]


def check_torch() -> Iterator[Check]:
    """Torch on the CPU and on every GPU."""
    if importlib.util.find_spec("torch") is None:
        yield Check("backends", "torch", ABSENT, cure="pip install torch torchvision")
        return
    import torch

    def convolve(device: str) -> None:
        result = torch.nn.functional.conv2d(
            torch.ones(1, 1, 8, 8, device=device), torch.ones(1, 1, 3, 3, device=device)
        )
        if float(result.mean()) != 9.0:
            raise RuntimeError(f"a 3x3 convolution of ones gave {float(result.mean())}, not 9")

    convolve("cpu")
    yield Check("backends", "torch, CPU", OK, str(torch.__version__))
    if not torch.cuda.is_available():
        reason = f"built for CUDA {torch.version.cuda}, no GPU" if torch.version.cuda else "built without CUDA"
        yield Check("backends", "torch, CUDA", ABSENT, reason)
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        convolve(f"cuda:{index}")
        detail = (
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, sm_{properties.major}{properties.minor}"
        )
        yield Check("backends", f"torch, cuda:{index}", OK, detail)


def check_onnx_runtime() -> Iterator[Check]:
    """ONNX Runtime and its execution providers."""
    if importlib.util.find_spec("onnxruntime") is None:
        yield Check("backends", "ONNX Runtime", ABSENT, cure="pip install onnxruntime")
        return
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    run_identity("CPUExecutionProvider")
    yield Check("backends", "ONNX Runtime, CPU", OK, onnxruntime.__version__)
    if "CUDAExecutionProvider" not in providers:
        cure = "pip install onnxruntime-gpu in place of onnxruntime" if nvidia_driver() else ""
        yield Check("backends", "ONNX Runtime, CUDA", ABSENT, "built without CUDA", cure=cure)
        return
    run_identity("CUDAExecutionProvider")
    yield Check("backends", "ONNX Runtime, CUDA", OK)


def run_identity(provider: str) -> None:
    """Run a model of one node with the provider, where the onnx package is there to make one.

    Raises:
        RuntimeError: the provider was not taken, or gave something else than its input.
    """
    if importlib.util.find_spec("onnx") is None:
        return
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[provider])
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"{provider} could not be loaded (CUDA or cuDNN of another version?)")
    sent = np.array([1, 2], np.float32)
    if not np.array_equal(session.run(None, {"x": sent})[0], sent):
        raise RuntimeError(f"{provider} gave a wrong result")


def check_tensorrt() -> Iterator[Check]:
    """TensorRT's Python package."""
    if importlib.util.find_spec("tensorrt") is None:
        cure = "pip install tensorrt" if nvidia_driver() else ""
        yield Check("backends", "TensorRT", ABSENT, "NVIDIA GPUs only", cure=cure)
        return
    import tensorrt

    tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    yield Check("backends", "TensorRT", OK, str(tensorrt.__version__))


# --- models -----------------------------------------------------------------------------------------------------------


def check_models() -> Iterator[Check]:
    """The shipped models: present, and what the manifest says they are."""
    from fusion_ros.errors import InputError
    from fusion_ros.fusion.weights import models_directory, read_manifest, verify_file

    try:
        folder, manifest = models_directory(), read_manifest()
    except InputError as error:
        yield Check("models", "manifest", MISSING, str(error), True, "restore models/ (git checkout -- models)")
        return
    for task in ("fusion", "detection", "segmentation"):
        entries = [entry for entry in manifest.values() if entry.task == task]
        if not entries:
            yield Check("models", task, MISSING, f"none in {folder}", True, "restore models/ (git checkout -- models)")
        for entry in entries:
            try:
                for name, checksum in entry.files.items():
                    verify_file(folder / name, checksum)
            except InputError as error:
                cure = "restore the file (git checkout -- models)"
                yield Check("models", f"{task}: {entry.name}", BROKEN, str(error), True, cure)
            else:
                yield Check("models", f"{task}: {entry.name}", OK, ", ".join(entry.files), True)


# --- report -----------------------------------------------------------------------------------------------------------

COLOURS = {OK: "green", MISSING: "red", BROKEN: "red", ABSENT: "dim"}


def print_report(checks: list[Check], healthy: bool) -> None:
    """Print the checks as a table, then what to do."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    for title in ("", "", "state", "detail"):
        table.add_column(title, overflow="fold")
    area = ""
    for check in checks:
        colour = COLOURS[check.state] if check.required or check.state != MISSING else "yellow"
        state = f"[{colour}]{check.state}[/{colour}]"
        table.add_row(check.area if check.area != area else "", escape(check.name), state, escape(check.detail))
        area = check.area
    console.print(table)
    cures = [check for check in checks if check.cure and check.state != OK]
    if cures:
        console.print()
    for check in cures:
        weight = "needed" if check.required else "optional"
        console.print(f"{weight}: {escape(check.name)}: {escape(check.cure)}", soft_wrap=True)
    console.print()
    console.print(
        "The pipeline can run on this machine." if healthy else "The pipeline cannot run on this machine yet."
    )
