"""Making trained weights part of the models folder: fp16 storage, ONNX beside it, checksums in the manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion_ros.errors import InputError
from fusion_ros.fusion.export import export_onnx
from fusion_ros.fusion.network_loading import load_network
from fusion_ros.fusion.weights import (
    MANIFEST_NAME,
    models_directory,
    read_manifest,
    read_safetensors,
    sha256_of,
    write_safetensors,
)

_HEADER = "# What is shipped, with checksums (`fusion-ros weights verify`). Each entry's first file is its main one.\n"
# Notes that describe the files themselves; licence and card are the model's.
_ABOUT_THE_FILES = ("data", "training", "figures")


def add_weights(name: str, network: str, class_name: str, source: Path, notes: Mapping[str, Any]) -> list[Path]:
    """Store `source` as the manifest's entry `name`: `NAME.safetensors` in fp16 and `NAME.onnx` made from just that.

    Args:
        name: key in the manifest and stem of the files; an entry of that name is replaced.
        network: name `load_model` knows the network by.
        class_name: the network's class in `fusion_ros.networks`.
        source: trained weights, checked before anything is written.
        notes: `licence`, `card`, `data`, `training` and `figures` of the entry. What is left out stays as it was, but
            the last three only where the checksums did, too; safetensors written anew have another one.

    Returns:
        The files written.

    Raises:
        InputError: where the weights cannot be used or the manifest not read.
    """
    load_network(source, class_name)
    manifest = read_manifest()
    if name in manifest and manifest[name].task != "fusion":
        raise InputError(f"{name!r}: is the manifest's entry of a {manifest[name].task} model; choose another name")
    tensors, metadata = read_safetensors(source)
    halved = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    folder = models_directory()
    weights, onnx = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    write_safetensors(weights, halved, class_name, json.loads(metadata.get("config", "{}")))
    # From the stored file, so that both backends have the same, rounded weights.
    export_onnx(weights, class_name, onnx)
    files = {path.name: sha256_of(path) for path in (weights, onnx)}
    _update_manifest(folder / MANIFEST_NAME, name, {"task": "fusion", "network": network, "files": files, **notes})
    return [weights, onnx]


def add_onnx(name: str, task: str, source: Path, notes: Mapping[str, Any]) -> Path:
    """Store a detector or a segmenter, `source`, as the manifest's entry `name`: `NAME.onnx`.

    Args:
        name: key in the manifest and stem of the file; an entry of that name is replaced.
        task: `detection` or `segmentation`.
        source: a `.onnx` file that has been tried.
        notes: `licence`, `card`, `data`, `training` and `figures` of the entry. What is left out stays as it was, but
            the last three only where the checksum did, too.

    Returns:
        The file written.

    Raises:
        InputError: where the entry is of another task, the file is missing, or the manifest cannot be read.
    """
    manifest = read_manifest()
    if name in manifest and manifest[name].task != task:
        raise InputError(f"{name!r}: is the manifest's entry of a {manifest[name].task} model; choose another name")
    if not source.is_file():
        raise InputError(f"{source}: no such file; name the .onnx file of a training run")
    stored = models_directory() / f"{name}.onnx"
    temporary = stored.with_name(f".{stored.name}.{os.getpid()}")
    shutil.copyfile(source, temporary)
    temporary.replace(stored)
    fields = {"task": task, "files": {stored.name: sha256_of(stored)}, **notes}
    _update_manifest(models_directory() / MANIFEST_NAME, name, fields)
    return stored


def _still_true(entry: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """What `entry` says that holds for `files` too: other files were not measured and trained as the old ones were."""
    same = dict(entry.get("files", {})) == dict(files)
    return {key: value for key, value in entry.items() if same or key not in _ABOUT_THE_FILES}


def _update_manifest(path: Path, name: str, fields: Mapping[str, Any]) -> None:
    import yaml

    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    models = document.get("models") or {}
    models[name] = {**_still_true(models.get(name, {}), fields["files"]), **fields}
    text = _HEADER + yaml.safe_dump({"models": models}, sort_keys=False, width=110, allow_unicode=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
