"""`fusion-ros train NAME`: train a network, a detector or a segmenter."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion_ros.commands.assignment import load_yaml, read_assignments, with_text
from fusion_ros.errors import InputError

# name -> module with `Config` and `train(config, out, resume) -> TrainingResult`
TRAININGS = {
    "caf": "fusion_ros.training.caf",
    "epofusion": "fusion_ros.training.epofusion",
    "dfvo": "fusion_ros.training.dfvo",
    "caf-s": "fusion_ros.training.caf_s",
    "epofusion-s": "fusion_ros.training.epofusion_s",
    "dfvo-s": "fusion_ros.training.dfvo_s",
    "detector": "fusion_ros.training.detector",
    "segmenter": "fusion_ros.training.segmenter",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `fusion-ros train`."""
    parser.add_argument("name", metavar="NAME", help=f"what to train: {', '.join(TRAININGS)}")
    parser.add_argument("--config", type=Path, help="YAML file with settings; what it leaves out has its default")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, such as steps=2000 (repeatable)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with the sets of pairs; detector, segmenter: one set with labels (setting data.folder)",
    )
    parser.add_argument(
        "--init",
        type=Path,
        help="first weights: .safetensors (setting start); detector, segmenter: .pt (setting init); not for caf",
    )
    parser.add_argument("--out", type=Path, help="folder of the run (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder, from where it stopped")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Train, print where the weights are and the latest validation.

    Raises:
        InputError: for an unknown name or setting, missing data, or a folder that holds another run.
        JobError: where training fails; the latest checkpoint stays.
    """
    from fusion_ros.configuration import configure

    if arguments.name not in TRAININGS:
        raise InputError(f"train {arguments.name!r}: is not one of {', '.join(TRAININGS)}")
    module = importlib.import_module(TRAININGS[arguments.name])
    values = read_settings(arguments.config) if arguments.config else {}
    values |= read_assignments(arguments.set)
    if arguments.data:
        values["data.folder"] = str(arguments.data)
    if arguments.init:
        values[_first_weights(arguments.name, module.Config)] = str(arguments.init)
    out = arguments.out or Path("runs") / arguments.name
    config = configure(module.Config, with_text(module.Config, values))
    result = module.train(config, out, arguments.resume)
    summary = {
        "step": result.step,
        "finished": result.finished,
        "weights": str(result.weights),
        "validation": dict(result.metrics),
    }
    print(json.dumps(summary) if arguments.json else _in_words(summary, out))
    return 0


def _first_weights(name: str, config_class: type) -> str:
    """The setting of the training `name` that says what to start from."""
    from fusion_ros.configuration import settings_of

    for found in settings_of(config_class):
        if found.name in ("init", "start"):
            return found.name
    raise InputError(f"--init: {name} has no setting to start from other weights; leave it out")


def read_settings(path: Path) -> dict[str, Any]:
    """Settings of a YAML file by dotted name; nested sections and dotted names may be mixed.

    Raises:
        InputError: where it cannot be read or is not a mapping.
    """
    import yaml

    try:
        document = load_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--config {path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise InputError(f"--config {path}: is not a mapping of settings")
    return _flattened(document, "")


def _flattened(document: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= _flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _in_words(summary: Mapping[str, Any], out: Path) -> str:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in summary["validation"].items())
    state = "done" if summary["finished"] else f"stopped; continue with --resume --out {out}"
    return f"step {summary['step']}: {state}\nweights: {summary['weights']}\nvalidation: {figures}"
