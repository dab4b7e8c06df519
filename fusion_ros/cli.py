"""`fusion-ros`: the command line. Each subcommand is a module of `fusion_ros.commands`."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from fusion_ros import __version__
from fusion_ros.errors import InputError, JobError

# A command's module is imported only when that command is named, so that `fusion-ros --help` stays quick.
# Each module has `add_arguments(parser)` and `run(arguments) -> exit code`.
COMMANDS = {
    "demo": "replay a simulated drive or real pairs through the real nodes and write a report",
    "fuse": "fuse one pair, two folders or two videos",
    "bag": "make, play and inspect rosbag2 recordings",
    "evaluate": "compare modes over a recording: metrics a frame, tables and a report",
    "downstream": "what detection and segmentation gain from fusion: labelled pairs in every light, one table",
    "compare": "compare two evaluations of the same frames, with confidence intervals",
    "train": "train a network, a detector or a segmenter",
    "search": "let a perception task find the weights of the fusion loss",
    "data": "make a data set with glare or darkness from ordinary pairs",
    "weights": "list, verify and import weights",
    "export": "write a model for ONNX Runtime or TensorRT",
    "bench": "measure speed and memory of networks, backends and nodes",
    "doctor": "show what is installed, what works and what is missing",
}


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Build the parser; only `command`, where given, gets its arguments."""
    parser = argparse.ArgumentParser(prog="fusion-ros", description="Thermal and RGB image fusion for vehicles.")
    parser.add_argument("--version", action="version", version=f"fusion-ros {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == command:
            importlib.import_module(f"fusion_ros.commands.{name}").add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `fusion-ros` with `argv` and return its exit code: 0 done, 1 a failed job, 2 bad input, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    command = next((word for word in argv if not word.startswith("-")), None)

    def fail(code: int, text: object) -> int:
        print(f"fusion-ros {command}: {text}", file=sys.stderr)
        return code

    try:
        arguments = build_parser(command).parse_args(argv)
        return int(importlib.import_module(f"fusion_ros.commands.{arguments.command}").run(arguments))
    except InputError as error:
        return fail(2, error)
    except JobError as error:
        return fail(1, error)
    except KeyboardInterrupt:
        return fail(130, "interrupted")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fusion_ros"):
            raise
        return fail(1, f"the package {error.name} is not installed; `fusion-ros doctor` says what is missing")
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): end quietly, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # A place that cannot be written, a full disk. What names no file is a fault of ours, and wants its traceback.
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return fail(1, f"{place}{error.strerror}")


if __name__ == "__main__":
    sys.exit(main())
