"""Time of `import fusion_ros` and of the parts that a command or a node imports first, each in a fresh interpreter.

Run: .venv/bin/python benchmarks/import_time.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys

MODULES = ("fusion_ros", "fusion_ros.cli", "fusion_ros.pairing", "fusion_ros.pipeline", "fusion_ros.ros.graph")
REPEATS = 5


def seconds(module: str) -> float:
    """Time of one import in a fresh interpreter, without the interpreter's own start."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the best of several imports of each module: the disk's and the machine's noise only add."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for module in MODULES:
        print(f"import {module:22} {min(seconds(module) for _ in range(REPEATS)):6.3f} s")


if __name__ == "__main__":
    main()
