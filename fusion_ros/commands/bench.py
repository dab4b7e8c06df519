"""`fusion-ros bench`: tables of speed and memory of the networks, the backends and the nodes, on this machine."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusion_ros.errors import InputError, JobError
from fusion_ros.shared_files import candidate_folders

# name -> script in benchmarks/ and what it measures. Scripts that need real recordings are not among them.
BENCHMARKS = {
    "networks": ("network_cost", "parameters and operations of every network"),
    "backends": ("fusion_backends", "time of a fused pair by model, backend and size"),
    "node": ("node_overhead", "CPU time of the fusion node beyond its network"),
    "perception": ("perception", "time of the detector and the segmenter by input size"),
    "pairing": ("pairing", "stamp error and time of pairing"),
    "metrics": ("metrics", "time of the fusion metrics"),
    "import": ("import_time", "time of importing the package"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `fusion-ros bench`."""
    tables = "; ".join(f"{name}: {summary}" for name, (_script, summary) in BENCHMARKS.items())
    text = f"what to measure ({tables}), or models for their backends (default: every table)"
    parser.add_argument("names", metavar="NAME", nargs="*", help=text)
    parser.add_argument("--json", action="store_true", help="print exit code and lines of each table as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the tables one after the other.

    Raises:
        InputError: for a name that is neither a table nor a model, or an installation without benchmarks.
        JobError: where a benchmark failed or missed its target; the others have run.
    """
    commands = _commands(arguments.names or list(BENCHMARKS), _folder())
    results: dict[str, dict[str, Any]] = {}
    for name, command in commands.items():
        if not arguments.json:
            print(f"== {name}", flush=True)
        code, output = _run(command, capture=arguments.json)
        results[name] = {"exit_code": code, "lines": output.splitlines()}
    if arguments.json:
        print(json.dumps(results, indent=1))
    failed = [name for name, result in results.items() if result["exit_code"]]
    if failed:
        raise JobError(f"{', '.join(failed)}: failed, or missed the target that the table names")
    return 0


def _commands(names: list[str], folder: Path) -> dict[str, list[str]]:
    from fusion_ros.fusion import list_models

    models = [name for name in names if name not in BENCHMARKS and name in list_models()]
    unknown = [name for name in names if name not in BENCHMARKS and name not in models]
    if unknown:
        known = ", ".join((*BENCHMARKS, *list_models()))
        raise InputError(f"bench {unknown[0]!r}: is not one of {known}")
    commands = {
        name: [sys.executable, str(folder / f"{BENCHMARKS[name][0]}.py")] for name in names if name in BENCHMARKS
    }
    if models:
        script = str(folder / f"{BENCHMARKS['backends'][0]}.py")
        commands[", ".join(models)] = [sys.executable, script, "--models", ",".join(models)]
    return commands


def _folder() -> Path:
    for folder in candidate_folders("benchmarks"):
        if (folder / f"{BENCHMARKS['backends'][0]}.py").is_file():
            return folder
    raise InputError("benchmarks: are not part of this installation; run `fusion-ros bench` in a source tree")


def _run(command: list[str], capture: bool) -> tuple[int, str]:
    """Run a benchmark with its processes, which end with it whatever happens; return exit code and captured output."""
    # In a session of its own: Ctrl-C is for us, and a benchmark's traceback of it for nobody.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE if capture else None, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output or ""
