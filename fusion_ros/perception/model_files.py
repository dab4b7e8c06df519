"""Finds the file of a detector or a segmenter and decides what runs it."""

from __future__ import annotations

from pathlib import Path

from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import models_directory, read_manifest, verify_file

BACKENDS = ("auto", "onnx", "torch", "tensorrt")
_BACKEND_OF_SUFFIX = {".onnx": "onnx", ".pt": "torch", ".engine": "tensorrt"}


def find_model_file(weights: str, task: str, shipped: str) -> Path:
    """The file that `weights` names; a shipped file's checksum is verified.

    Args:
        weights: a path to a `.onnx`, `.pt` or `.engine` file, a name from the manifest, or empty for the shipped one.
        task: `detection` or `segmentation`.
        shipped: the manifest's name of the shipped model.

    Raises:
        InputError: no such file or name, another task's model, or a shipped file that is damaged.
    """
    name = weights or shipped
    is_path = Path(name).suffix in _BACKEND_OF_SUFFIX or len(Path(name).parts) > 1
    if is_path:
        path = Path(name).expanduser()
        if not path.is_file():
            raise InputError(f"weights: {path} is no file; name a .onnx, .pt or .engine file, or leave it empty")
        return path
    manifest = read_manifest()
    entry = manifest.get(name)
    if entry is None:
        known = ", ".join(key for key, value in manifest.items() if value.task == task) or "none"
        raise InputError(f"weights: '{name}' is neither a file nor a {task} model that is shipped (there is: {known})")
    if entry.task != task:
        raise InputError(f"weights: '{name}' is a model for {entry.task}, not for {task}")
    for file_name, sha256 in entry.files.items():
        verify_file(models_directory() / file_name, sha256)
    return models_directory() / next(iter(entry.files))


def backend_for(path: Path, backend: str) -> str:
    """What runs the file: `onnx`, `torch` or `tensorrt`; each format has one.

    Raises:
        InputError: `backend` cannot run the file, or the file's format is not known.
    """
    suits = _BACKEND_OF_SUFFIX.get(path.suffix)
    if suits is None:
        raise InputError(f"weights: {path} does not end in {', '.join(_BACKEND_OF_SUFFIX)}; export it to one of them")
    if backend not in ("auto", suits):
        raise InputError(
            f"backend: '{backend}' cannot run {path.name}, which is for '{suits}'; export the model, or use auto"
        )
    return suits
