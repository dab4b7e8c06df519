"""Names of fusion methods, and making one from its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fusion_ros.errors import InputError
from fusion_ros.fusion.backends import Backend, BackendChoice, choose
from fusion_ros.fusion.classical import CLASSICAL
from fusion_ros.fusion.model import FusionModel
from fusion_ros.fusion.weights import find_weights, network_class_of, read_manifest


class ModelUnavailableError(InputError):
    """A network that has a name but no weights yet: the caller may take another mode in its place."""


@dataclass(frozen=True)
class NetworkSpec:
    """What loading a network needs to know before torch is imported.

    Attributes:
        network: class in `fusion_ros.networks`; None where it does not exist yet.
        multiple_of: both sides are padded to a multiple of this.
    """

    network: str | None
    multiple_of: int = 1


NETWORKS: dict[str, NetworkSpec] = {
    "epofusion": NetworkSpec("EPOFusionNet", multiple_of=32),
    "dfvo": NetworkSpec("DFVONet", multiple_of=4),
    "caf": NetworkSpec("CAFNet"),
    "epofusion-s": NetworkSpec("EPOFusionSNet", multiple_of=16),
    "dfvo-s": NetworkSpec("DFVOSNet", multiple_of=32),
    "caf-s": NetworkSpec("CAFSNet", multiple_of=8),
}


# A mode's network in its compact configuration: what a mode runs unless told otherwise, for it keeps up with a camera.
COMPACT = {"epofusion": "epofusion-s", "dfvo": "dfvo-s", "caf": "caf-s"}


def list_models() -> list[str]:
    """Every name `load_model` knows: networks first, then classical methods."""
    return [*NETWORKS, *CLASSICAL]


def is_available(name: str) -> bool:
    """Whether `load_model(name)` has weights to load. Does not check their contents.

    Raises:
        InputError: for an unknown name.
    """
    _check_name(name)
    if name in CLASSICAL:
        return True
    return any(_is_shipped(member) for member in _family(name))


def _is_shipped(network: str) -> bool:
    try:
        entry = read_manifest().get(network)
    except InputError:
        return False
    path = entry.path(".safetensors") if entry else None
    return NETWORKS[network].network is not None and path is not None and path.is_file()


def _family(name: str) -> tuple[str, ...]:
    """The networks that may stand behind a name: first the one to take where there is a choice."""
    return (COMPACT[name], name) if name in COMPACT else (name,)


def load_model(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    *,
    threads: int | None = None,
) -> FusionModel:
    """Load a fusion method, ready to fuse.

    Args:
        name: `caf`, `epofusion`, `dfvo`, one of these with `-s` for its compact configuration, or a classical `guided`,
            `average`, `rgb`, `thermal`.
        weights: a file (`.safetensors`, `.onnx`, `.engine`), a name from the manifest, or None for the shipped ones:
            those of the compact configuration where there are any. The paper configuration has the plain name in the
            manifest, as in `load_model("caf", "caf")`. `FusionModel.name` says which one it is.
        device: `auto` (the first GPU, else the CPU), `cpu`, `cuda`, `cuda:N`.
        backend: `auto` (torch on a GPU, ONNX Runtime on a CPU), `torch`, `onnx`, `tensorrt`.
        precision: `auto` (fp16 on a GPU, fp32 on a CPU), `fp32`, `fp16`, `bf16`.
        threads: CPU threads of one inference with ONNX Runtime; None takes every core the process may use.

    Raises:
        ModelUnavailableError: for a network without weights.
        InputError: for an unknown name, a bad file, or a device, backend or precision that cannot be had.
    """
    _check_name(name)
    if name in CLASSICAL:
        if weights:
            raise InputError(f"{name}: has no weights, but {str(weights)!r} was given; leave it out")
        return FusionModel(name, CLASSICAL[name]())
    network, path = _find_network(name, weights)
    spec = NETWORKS[network]
    assert spec.network is not None
    choice = choose(_backend_for(path, backend), device, precision)
    made = _make_backend(path, spec.network, choice, threads)
    return FusionModel(
        network,
        made,
        multiple_of=spec.multiple_of,
        backend=made.name,
        device=made.device,
        precision=made.precision,
        weights=path,
    )


def _find_network(name: str, weights: str | os.PathLike[str] | None) -> tuple[str, Path]:
    """Which network of the name's family the weights are for, and their file."""
    family = _family(name)
    if weights is None:
        shipped = [network for network in family if _is_shipped(network)]
        if not shipped:
            raise ModelUnavailableError(f"{name}: has no weights yet; use one of {', '.join(_available())}")
        return shipped[0], find_weights(shipped[0], None)
    entry = read_manifest().get(os.fspath(weights)) if not Path(weights).suffix else None
    if entry is not None and entry.network in family:
        return entry.network, find_weights(entry.network, weights)
    path = find_weights(name, weights)
    made_for = network_class_of(path)
    return next((network for network in family if NETWORKS[network].network == made_for), name), path


def _check_name(name: str) -> None:
    if name not in NETWORKS and name not in CLASSICAL:
        raise InputError(f"model {name!r}: is not known ({', '.join(list_models())})")


def _available() -> list[str]:
    return [name for name in list_models() if is_available(name)]


def _backend_for(path: Path, backend: str) -> str:
    """A file made for one backend decides for it."""
    needed = {".onnx": "onnx", ".engine": "tensorrt"}.get(path.suffix)
    if needed and backend == "auto":
        return needed
    if path.suffix == ".engine" and backend != "tensorrt":
        raise InputError(f"{path}: is a TensorRT engine; backend {backend} cannot run it")
    return backend


def _make_backend(path: Path, network: str, choice: BackendChoice, threads: int | None) -> Backend:
    if choice.backend == "torch":
        from fusion_ros.fusion.backends.torch import TorchBackend

        return TorchBackend(path, network, choice.device, choice.precision)
    if choice.backend == "onnx":
        from fusion_ros.fusion.backends.onnx import OnnxBackend
        from fusion_ros.fusion.export import onnx_for

        return OnnxBackend(onnx_for(path, network, choice.precision), choice.device, choice.precision, threads)
    from fusion_ros.fusion.backends.tensorrt import TensorRTBackend

    return TensorRTBackend(path, network, choice.device, choice.precision)
