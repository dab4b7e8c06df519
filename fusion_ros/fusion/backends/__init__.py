"""What runs a network: torch, ONNX Runtime or TensorRT, all behind one call on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError

DEVICES = "auto, cpu, cuda, cuda:N"
BACKENDS = ("auto", "torch", "onnx", "tensorrt")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")


class Backend(Protocol):
    """A network ready to run.

    Attributes:
        name: `torch`, `onnx` or `tensorrt`.
        device: where it runs: `cpu` or `cuda:N`.
        precision: `fp32`, `fp16` or `bf16`.
    """

    name: str
    device: str
    precision: str

    def __call__(self, visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse two (H, W) float32 images in [0, 1], sides already multiples of what the network needs."""
        ...

    def with_guidance(
        self, visible: NDArray[np.float32], infrared: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The same, and the guidance, (h, w) float32 in [0, 1], where the network predicts one and the file has it."""
        ...


@dataclass(frozen=True)
class BackendChoice:
    """What `auto` was resolved to."""

    backend: str
    device: str
    precision: str


def cuda_device_count() -> int:
    """Number of GPUs torch can use; 0 without torch or without a driver.

    Torch is only asked where a driver could be: importing it takes over a second that a CPU-only start need not pay.
    """
    if not any(
        Path(path).exists() for path in ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg", "/dev/kfd")
    ):
        return 0
    try:
        import torch
    except ImportError:
        return 0
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def choose(backend: str, device: str, precision: str) -> BackendChoice:
    """Resolve `auto`: torch in fp16 on a GPU, ONNX Runtime in fp32 on a CPU.

    Raises:
        InputError: for an unknown value, a GPU that is not there, or a combination that cannot run.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r}: is not one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r}: is not one of {', '.join(PRECISIONS)}")
    device = _resolve_device(device)
    on_gpu = device != "cpu"
    if backend == "auto":
        backend = "torch" if on_gpu else "onnx"
    if backend == "tensorrt" and not on_gpu:
        raise InputError("backend 'tensorrt': needs a GPU, and device is cpu; use backend onnx or torch")
    if precision == "auto":
        precision = "fp16" if on_gpu and backend != "onnx" else "fp32"
    if not on_gpu and precision == "fp16":
        raise InputError("precision 'fp16': needs a GPU, and device is cpu; use fp32")
    if backend != "torch" and precision == "bf16":
        raise InputError(f"precision 'bf16': is not supported by backend {backend}; use fp32 or fp16, or backend torch")
    return BackendChoice(backend, device, precision)


def _resolve_device(device: str) -> str:
    if device == "cpu":
        return "cpu"
    if device == "auto":
        return "cuda:0" if cuda_device_count() else "cpu"
    kind, _, index = device.partition(":")
    if kind != "cuda" or (":" in device and not index.isdecimal()):
        raise InputError(f"device {device!r}: is not one of {DEVICES}")
    count = cuda_device_count()
    if int(index or 0) >= count:
        raise InputError(f"device {device!r}: {count} GPUs can be used here; use device auto or cpu")
    return f"cuda:{int(index or 0)}"
