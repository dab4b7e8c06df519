"""Where weights lie, what the manifest says of them, and reading them with every check that keeps a bad file out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.errors import InputError
from fusion_ros.shared_files import candidate_folders

if TYPE_CHECKING:
    import torch

MODELS_VARIABLE = "FUSION_ROS_MODELS"
MANIFEST_NAME = "manifest.yaml"


@dataclass(frozen=True)
class ManifestEntry:
    """What `models/manifest.yaml` says of one model.

    Attributes:
        name: key in the manifest.
        task: `fusion`, `detection` or `segmentation`.
        network: for fusion, the name `load_model` knows the network by.
        files: file name in the models directory to its sha256, the main file first.
        licence: licence of the weights.
        data: what they were trained on.
        training: the command that trained them.
        figures: measured figures.
        card: file name of the model card.
    """

    name: str
    task: str
    files: Mapping[str, str]
    network: str = ""
    licence: str = ""
    data: str = ""
    training: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""

    def path(self, suffix: str) -> Path | None:
        """The entry's file that ends in `suffix`, or None where it has none."""
        return next((models_directory() / name for name in self.files if name.endswith(suffix)), None)


def models_directory() -> Path:
    """The folder with the manifest and the shipped weights.

    Looked for in the environment variable `FUSION_ROS_MODELS`, beside the package (a source tree), and in
    `share/fusion_ros/models` of each installation prefix (a colcon or pip installation).

    Raises:
        InputError: where there is none.
    """
    override = os.environ.get(MODELS_VARIABLE)
    if override:
        folder = Path(override)
        if not (folder / MANIFEST_NAME).is_file():
            raise InputError(f"{MODELS_VARIABLE}: {folder} has no {MANIFEST_NAME}; name the folder with the models")
        return folder
    for folder in candidate_folders("models"):
        if (folder / MANIFEST_NAME).is_file():
            return folder
    raise InputError(
        f"models: no folder with a {MANIFEST_NAME} beside the package or in share/fusion_ros; "
        f"set {MODELS_VARIABLE} to the folder that has it"
    )


def read_manifest() -> dict[str, ManifestEntry]:
    """The manifest's entries by name.

    Raises:
        InputError: where the manifest is missing or not of the expected form.
    """
    path = models_directory() / MANIFEST_NAME
    return dict(_parse_manifest(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=4)
def _parse_manifest(path: Path, modified_ns: int) -> Mapping[str, ManifestEntry]:
    """Parse the manifest; `modified_ns` is there so that an edited file is read again."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {name: ManifestEntry(name=name, **fields) for name, fields in (document.get("models") or {}).items()}
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a models manifest: {error}") from error


def sha256_of(path: Path) -> str:
    """The sha256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def verify_file(path: Path, expected_sha256: str) -> None:
    """Check a shipped file.

    Raises:
        InputError: where it is missing or its sha256 is not what the manifest says.
    """
    if not path.is_file():
        raise InputError(f"{path}: is missing; the manifest lists it (restore it, or name another file)")
    found = sha256_of(path)
    if found != expected_sha256:
        raise InputError(
            f"{path}: sha256 {found[:12]}... is not the manifest's {str(expected_sha256)[:12]}...; "
            "the file is damaged or was changed (restore it)"
        )


def find_weights(name: str, weights: str | os.PathLike[str] | None) -> Path:
    """The main file of the weights of network `name`, its checksum verified where the manifest has one.

    Args:
        name: a network's name, such as `caf`.
        weights: a path, a name from the manifest, or None for the shipped weights of `name`.

    Raises:
        InputError: where there is no such file or name, the entry is another network's, or the checksum is wrong.
    """
    manifest = read_manifest() if weights is None or _is_bare_name(weights) else {}
    key = name if weights is None else str(weights)
    if key in manifest:
        entry = manifest[key]
        if entry.task != "fusion" or entry.network != name:
            raise InputError(f"weights {key!r}: are for {entry.network or entry.task}, not for {name}")
        for file_name, expected in entry.files.items():
            verify_file(models_directory() / file_name, expected)
        return models_directory() / next(iter(entry.files))
    if weights is None:
        raise InputError(f"{name}: no weights are shipped for it; give a file")
    path = Path(weights)
    if path.is_file():
        return path
    known = sorted(entry.name for entry in manifest.values() if entry.network == name)
    hint = f" (shipped for {name}: {', '.join(known)})" if known else ""
    raise InputError(f"weights {str(weights)!r}: is neither a file nor a name in the manifest{hint}")


def network_class_of(path: Path) -> str | None:
    """The class of `fusion_ros.networks` that a file says it is for; None where it does not say.

    Raises:
        InputError: where the file cannot be read.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1].get("network")
    if path.suffix != ".onnx":
        return None
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return dict(session.get_modelmeta().custom_metadata_map).get("network")
    except Exception as error:
        # onnxruntime raises classes of its own that share no base with each other.
        raise InputError(f"{path}: ONNX Runtime cannot load it: {error}") from error


def _is_bare_name(weights: str | os.PathLike[str]) -> bool:
    text = os.fspath(weights)
    return os.sep not in text and not Path(text).suffix


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors (as stored) and metadata of a safetensors file.

    Raises:
        InputError: where the file cannot be read as safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {error}") from error


def write_safetensors(path: Path, tensors: Mapping[str, torch.Tensor], network: str, config: Mapping[str, Any]) -> None:
    """Write weights with the network's name and configuration, so that the file says what it is for.

    The file appears whole or not at all: it is written beside its place and then renamed.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        metadata = {"format": "pt", "network": network, "config": json.dumps(dict(config), sort_keys=True)}
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, temporary, metadata)
        # safetensors writes private files; weights are as readable as what lies beside them.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_state(path: Path, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Compare a file's tensors with a network's.

    Raises:
        InputError: for missing or unexpected keys, wrong shapes, NaN or infinity: the first few are named.
    """
    import torch

    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing or unexpected:
        raise InputError(
            f"{path}: is a checkpoint of another network: {_count(missing, 'missing')}, "
            f"{_count(unexpected, 'unexpected')}"
        )
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            raise InputError(
                f"{path}: {key} has shape {tuple(tensor.shape)}, the network needs {tuple(expected[key].shape)}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {key} holds NaN or infinity; the file is of no use")


def _count(keys: list[str], what: str) -> str:
    return f"{len(keys)} keys {what}" + (f" ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" if keys else "")
