"""`fusion-ros weights`: list, verify and add to the shipped weights, import the papers' released checkpoints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fusion_ros.errors import InputError, JobError
from fusion_ros.fusion.importers import import_checkpoint, importer_names
from fusion_ros.fusion.weights import ManifestEntry, models_directory, read_manifest, verify_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `list`, `verify`, `import` and `add`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in (("list", "show the shipped weights"), ("verify", "compare every file with its checksum")):
        action = actions.add_parser(name, help=summary)
        action.add_argument("--json", action="store_true", help="print the result as JSON")
    importing = actions.add_parser("import", help="convert a paper's released checkpoint to safetensors")
    importing.add_argument("name", metavar="NAME", help=f"network: {', '.join(importer_names())}")
    importing.add_argument("file", metavar="FILE", type=Path, help="released checkpoint; nothing in it is executed")
    importing.add_argument("-o", "--output", type=Path, required=True, help="safetensors file to write")
    adding = actions.add_parser("add", help="store trained weights in the models folder: fp16, ONNX, checksums")
    adding.add_argument("name", metavar="NAME", help="entry of the manifest, and stem of the files")
    adding.add_argument(
        "file", metavar="FILE", type=Path, help="safetensors (detector, segmenter: ONNX) file of a training run"
    )
    adding.add_argument("--network", help="network the weights are for (default: NAME)")
    adding.add_argument("--task", choices=("fusion", "detection", "segmentation"), default="fusion")
    for note in ("licence", "card"):
        adding.add_argument(f"--{note}", help=f"the entry's {note} (default: as it was)")
    for note in ("data", "training"):
        adding.add_argument(f"--{note}", help=f"the entry's {note} (default: none, where the file is another one)")
    adding.add_argument("--figures", type=Path, help="JSON file with measured figures (default: likewise)")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked.

    Raises:
        InputError: for a bad checkpoint or manifest.
        JobError: where `verify` finds a missing or damaged file.
    """
    if arguments.action == "import":
        if arguments.output.suffix != ".safetensors":
            raise InputError(f"-o {arguments.output}: must end in .safetensors")
        import_checkpoint(arguments.name, arguments.file, arguments.output)
        print(f"{arguments.output}: use it with --weights, or as the parameter models.{arguments.name}")
        return 0
    if arguments.action == "add":
        return _add(arguments)
    entries = list(read_manifest().values())
    return _verify(entries, arguments.json) if arguments.action == "verify" else _list(entries, arguments.json)


def _list(entries: list[ManifestEntry], as_json: bool) -> int:
    rows = [
        {
            "name": entry.name,
            "task": entry.task,
            "network": entry.network,
            "files": list(entry.files),
            "licence": entry.licence,
            "data": entry.data,
            "training": entry.training,
            "figures": dict(entry.figures),
        }
        for entry in entries
    ]
    if as_json:
        print(json.dumps({"directory": str(models_directory()), "models": rows}))
        return 0
    print(f"{models_directory()}: {len(rows)} models")
    for row in rows:
        print(f"  {row['name']:<12} {row['task']:<13} {', '.join(row['files'])} ({row['licence']})")
    return 0


def _verify(entries: list[ManifestEntry], as_json: bool) -> int:
    problems: dict[str, str] = {}
    files = [(name, digest) for entry in entries for name, digest in entry.files.items()]
    for name, digest in files:
        try:
            verify_file(models_directory() / name, digest)
        except InputError as error:
            problems[name] = str(error)
    if as_json:
        print(json.dumps({"checked": [name for name, _ in files], "problems": problems}))
    else:
        for name, _ in files:
            print(f"  {name}: {'BAD' if name in problems else 'ok'}")
    if problems:
        raise JobError(f"{len(problems)} of {len(files)} files are not as shipped: {'; '.join(problems.values())}")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    from fusion_ros.fusion.registry import NETWORKS
    from fusion_ros.fusion.release import add_onnx, add_weights

    notes = _notes(arguments)
    if arguments.task != "fusion":
        print(add_onnx(arguments.name, arguments.task, _tried(arguments.file, arguments.task), notes))
        return 0
    network = arguments.network or arguments.name
    spec = NETWORKS.get(network)
    if spec is None or spec.network is None:
        raise InputError(f"--network {network!r}: is not one of {', '.join(NETWORKS)}")
    for path in add_weights(arguments.name, network, spec.network, arguments.file, notes):
        print(path)
    return 0


def _notes(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {note: getattr(arguments, note) for note in ("licence", "data", "training", "card")}
    notes: dict[str, Any] = {note: text for note, text in given.items() if text}
    if arguments.figures:
        try:
            notes["figures"] = json.loads(arguments.figures.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"--figures {arguments.figures}: cannot be read as JSON: {error}") from error
    return notes


def _tried(path: Path, task: str) -> Path:
    """Load the model once, so that nothing is shipped that does not run."""
    from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig

    if path.suffix != ".onnx":
        raise InputError(f"{path}: is not ONNX, which is what is shipped; `fusion-ros train` leaves a .onnx file")
    if task == "detection":
        Detector(DetectorConfig(weights=str(path))).warm_up()
    else:
        Segmenter(SegmenterConfig(weights=str(path))).warm_up()
    return path
