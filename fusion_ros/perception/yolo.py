"""A model run by ultralytics: what `Detector` and `Segmenter` have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.perception.model_files import backend_for
from fusion_ros.perception.ultralytics_environment import import_ultralytics, kept_torch_threads

WARM_UP_SHAPE = (480, 640)


class YoloModel:
    """One loaded model.

    Args:
        path: `.onnx`, `.pt` or `.engine`. A `.pt` is read with an allow-list of layers; see `import_ultralytics`.
        task: `detect` or `semantic`, ultralytics' words.
        device: `auto` (the first GPU where the backend has one, else the CPU), `cpu`, `cuda` or `cuda:N`.
        backend: `auto`, `onnx`, `torch` or `tensorrt`; has to suit the file.
        input_size: pixels of the network's longer side, a multiple of 32; 0 takes the file's own.

    Raises:
        InputError: the file cannot be loaded or is for another task, or the device is not there.
    """

    def __init__(self, path: Path, task: str, device: str, backend: str, input_size: int) -> None:
        self.path = path
        self.backend = backend_for(path, backend)
        ultralytics = import_ultralytics()
        self.device = _resolve_device(device, self.backend)
        self._options: dict[str, Any] = {"device": self.device.replace("cuda:", ""), "verbose": False, "save": False}
        with kept_torch_threads():
            try:
                self._model = ultralytics.YOLO(str(path), task=task)
                self._model.predict(np.zeros((*WARM_UP_SHAPE, 3), np.uint8), **self._options)
                network = self._model.predictor.model
            except Exception as error:
                # A damaged file fails in as many ways as there are readers of it, with no common class of error.
                raise InputError(f"weights: {path} cannot be loaded: {_first_line(error)}") from error
        found = getattr(network, "task", None) or self._model.task
        if found != task:
            raise InputError(f"weights: {path} is a model for '{found}', needed is one for '{task}'")
        if self.backend == "onnx" and self.device == "cpu":
            _share_cores(network, path)
        self.class_names: Mapping[int, str] = MappingProxyType({int(k): str(v) for k, v in network.names.items()})
        self.input_size = self._choose_input_size(network, input_size)
        self._options["imgsz"] = self.input_size

    def predict(self, bgr: NDArray[np.uint8], **options: Any) -> Any:
        """Run the model on one (H, W, 3) uint8 BGR image and return ultralytics' `Results`.

        Raises:
            InputError: for another shape or dtype.
        """
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8 or 0 in bgr.shape:
            raise InputError(f"image: {bgr.shape} {bgr.dtype} is not a colour image; expected (H, W, 3) uint8, BGR")
        with kept_torch_threads():
            return self._model.predict(np.ascontiguousarray(bgr), **self._options, **options)[0]

    def _choose_input_size(self, network: Any, wanted: int) -> int:
        own = network.imgsz if hasattr(network, "imgsz") else self._model.overrides.get("imgsz", 640)
        own = max(own) if isinstance(own, (list, tuple)) else int(own)
        if not wanted:
            return own
        fixed = self.backend != "torch" and not getattr(network, "dynamic", False)
        if fixed and wanted != own:
            raise InputError(
                f"input_size: {wanted} is not possible, {self.path.name} was exported for {own} alone; use 0, or a "
                "model exported with a dynamic size"
            )
        if wanted % 32:
            raise InputError(f"input_size: {wanted} is not a multiple of 32, which the network's steps need")
        return wanted


class RunsYolo:
    """What `Detector` and `Segmenter` say of their model alike."""

    _model: YoloModel

    @property
    def class_names(self) -> Mapping[int, str]:
        """Name of every class the model knows."""
        return self._model.class_names

    @property
    def device(self) -> str:
        """Where it runs: `cpu` or `cuda:N`."""
        return self._model.device

    @property
    def backend(self) -> str:
        """What runs it: `onnx`, `torch` or `tensorrt`."""
        return self._model.backend

    @property
    def input_size(self) -> int:
        """Longer side of the network's input, pixels."""
        return self._model.input_size


def _resolve_device(device: str, backend: str) -> str:
    import torch

    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not index.isdigit()) or (index and kind != "cuda"):
        raise InputError(f"device: '{device}' is not one of auto, cpu, cuda, cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if backend == "onnx" and count:
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            count = 0
    if kind == "auto":
        kind = "cuda" if count else "cpu"
    if kind == "cpu":
        if backend == "tensorrt":
            raise InputError("device: a TensorRT engine needs a GPU, and there is none; use a .onnx file")
        return "cpu"
    if int(index or 0) >= count:
        extra = " (for a .onnx file, onnxruntime-gpu is needed)" if backend == "onnx" else ""
        raise InputError(f"device: '{device}' is not there, {count} GPUs can be used{extra}; use auto or cpu")
    return f"cuda:{index or 0}"


def _share_cores(network: Any, path: Path) -> None:
    """Give the session threads that sleep between two images: spinning ones take whole cores from the other nodes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    network.backend.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
