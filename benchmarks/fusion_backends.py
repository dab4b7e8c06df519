"""Time of one fused pair by model, backend and image size, and how far each backend is from torch.

    python benchmarks/fusion_backends.py [--models caf,guided] [--sizes 240x320,480x640] [--repeats 10] [--json]

Wall time of `FusionModel.fuse`, colour conversion included, after a warm-up; the least and the median of the repeats
(the least is what the machine can do, the median what it did under its load). The colour conversion alone is the row
of `rgb` against `average`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np

from fusion_ros.commands.export import parse_shape
from fusion_ros.errors import InputError
from fusion_ros.fusion import ModelUnavailableError, load_model
from fusion_ros.fusion.backends import cuda_device_count
from fusion_ros.fusion.classical import CLASSICAL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="caf,guided,average,rgb")
    parser.add_argument("--sizes", default="240x320,480x640", help="HxW, comma-separated")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, help="threads of ONNX Runtime (default: all cores)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.models.split(","):
        for backend, device, precision in combinations(name):
            for size in arguments.sizes.split(","):
                try:
                    rows.append(measure(name, backend, device, precision, size, arguments.repeats, arguments.threads))
                except (InputError, ModelUnavailableError) as error:
                    print(f"{name} {backend} {device}: {error}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(rows))
    else:
        print(
            f"{'model':<10} {'backend':<9} {'device':<7} {'precision':<9} {'size':<9} {'least':>9} {'median':>9}  off"
        )
        for row in rows:
            print(
                f"{row['model']:<10} {row['backend']:<9} {row['device']:<7} {row['precision']:<9} {row['size']:<9} "
                f"{row['least_ms']:>6.1f} ms {row['median_ms']:>6.1f} ms  {row['grey_levels_off']}"
            )
    return 0


def combinations(name: str) -> list[tuple[str, str, str]]:
    """Backend, device and precision to measure a model with on this machine."""
    if name in CLASSICAL:
        return [("auto", "cpu", "auto")]
    found = [("torch", "cpu", "fp32"), ("onnx", "cpu", "fp32")]
    if cuda_device_count():
        found += [("torch", "cuda", "fp32"), ("torch", "cuda", "fp16"), ("onnx", "cuda", "fp32")]
        found += [("tensorrt", "cuda", "fp16")]
    return found


def measure(
    name: str, backend: str, device: str, precision: str, size: str, repeats: int, threads: int | None
) -> dict[str, object]:
    """Times of one combination, and its largest difference from torch on the CPU in grey levels."""
    height, width = parse_shape(size)
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    thermal = random.integers(0, 256, (height, width), dtype=np.uint8)
    model = load_model(name, device=device, backend=backend, precision=precision, threads=threads)
    model.warm_up(height, width)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        fused = model.fuse(rgb, thermal)
        times.append(1e3 * (time.perf_counter() - start))
    reference = fused
    if name not in CLASSICAL and backend != "torch":
        reference = load_model(name, device="cpu", backend="torch").fuse(rgb, thermal)
    return {
        "model": name,
        "backend": model.backend,
        "device": model.device,
        "precision": model.precision,
        "size": size,
        "least_ms": min(times),
        "median_ms": statistics.median(times),
        "grey_levels_off": int(np.abs(fused.astype(int) - reference).max()),
    }


if __name__ == "__main__":
    sys.exit(main())
