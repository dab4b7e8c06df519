"""`fusion-ros export NAME`: write a network as ONNX or as a TensorRT engine, checked against torch."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from fusion_ros.errors import InputError, JobError

# A grey level: what rounding to 8 bit may hide. fp16 carries 11 bits through some ten layers, hence its wider bound.
TOLERANCE = {"fp32": 1.0, "fp16": 2.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `fusion-ros export`."""
    parser.add_argument("name", metavar="NAME", help="network, such as caf")
    parser.add_argument("--to", choices=("onnx", "tensorrt"), required=True, help="format to write")
    parser.add_argument("--weights", help="safetensors file or manifest name (default: the shipped weights)")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="number format inside")
    parser.add_argument("--shape", default="480x640", metavar="HxW", help="image size to check with; an engine's size")
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: NAME-PRECISION.onnx or .engine)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Export and compare with torch on a test picture.

    Raises:
        InputError: for an unknown name, bad weights or a bad shape.
        JobError: where the exported model's picture differs from torch's by more than the tolerance.
    """
    from fusion_ros.fusion.export import export_onnx
    from fusion_ros.fusion.registry import NETWORKS, load_model
    from fusion_ros.fusion.weights import find_weights

    height, width = parse_shape(arguments.shape)
    spec = NETWORKS.get(arguments.name)
    if spec is None or spec.network is None:
        known = ", ".join(name for name, found in NETWORKS.items() if found.network)
        raise InputError(f"model {arguments.name!r}: cannot be exported ({known} can)")
    if height % spec.multiple_of or width % spec.multiple_of:
        raise InputError(f"--shape {arguments.shape}: sides must be multiples of {spec.multiple_of}")
    suffix = {"onnx": ".onnx", "tensorrt": ".engine"}[arguments.to]
    output = arguments.output or Path(f"{arguments.name}-{arguments.precision}{suffix}")
    if output.suffix != suffix:
        raise InputError(f"-o {output}: must end in {suffix}")
    weights = find_weights(arguments.name, arguments.weights)
    device = "cpu"
    if arguments.to == "onnx":
        export_onnx(weights, spec.network, output, arguments.precision)
    else:
        from fusion_ros.fusion.backends.tensorrt import build_engine
        from fusion_ros.fusion.export import onnx_for

        build_engine(onnx_for(weights, spec.network, arguments.precision), output, (height, width))
        device = "cuda"
    reference = load_model(arguments.name, weights, device="cpu", backend="torch", precision="fp32")
    exported = load_model(arguments.name, output, device=device, precision="fp32" if device == "cpu" else "auto")
    visible, infrared = check_picture(height, width)
    difference = 255 * np.abs(reference.fuse_luminance(visible, infrared) - exported.fuse_luminance(visible, infrared))
    worst = float(difference.max())
    summary = {"output": str(output), "max_difference_grey_levels": worst, "shape": [height, width]}
    print(json.dumps(summary) if arguments.json else f"{output}: differs from torch by {worst:.4f} grey levels at most")
    if not worst <= TOLERANCE[arguments.precision]:
        raise JobError(f"{output}: differs from torch by {worst:.2f} grey levels; do not use it")
    return 0


def parse_shape(text: str) -> tuple[int, int]:
    """`480x640` as (480, 640).

    Raises:
        InputError: where it is not two positive numbers.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--shape {text!r}: is not HxW, such as 480x640")
    return int(parts[0]), int(parts[1])


def check_picture(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A visible and an infrared image in [0, 1] with smooth parts, edges and noise, the same on every call."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    visible = 0.5 + 0.4 * np.sin(columns / 17) * np.cos(rows / 23) + 0.05 * random.standard_normal((height, width))
    blocks = (rows // 40 + columns // 40) % 2
    infrared = 0.2 + 0.6 * blocks + 0.02 * random.standard_normal((height, width))
    return np.clip(visible, 0, 1).astype(np.float32), np.clip(infrared, 0, 1).astype(np.float32)
