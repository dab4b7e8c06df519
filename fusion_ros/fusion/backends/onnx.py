"""Running a network in ONNX Runtime: the choice on a CPU, several times as fast there as eager torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError


def available_cores() -> int:
    """Number of CPU cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxBackend:
    """A network in one ONNX Runtime session. See `Backend`.

    Args:
        model: the ONNX file.
        device: `cpu` or `cuda:N`.
        precision: what the file was exported in.
        threads: threads of one inference; None takes every core the process may use.
    """

    name = "onnx"

    def __init__(self, model: Path, device: str, precision: str, threads: int | None = None) -> None:
        import onnxruntime

        self.device = device
        self.precision = precision
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        # Spinning threads would take whole cores from the other nodes between two frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=_providers(device))
        except Exception as error:
            # onnxruntime raises classes of its own that share no base with each other.
            raise InputError(f"{model}: ONNX Runtime cannot load it: {error}") from error
        self._inputs = [value.name for value in self._session.get_inputs()]
        if self._inputs != ["visible", "infrared"]:
            raise InputError(f"{model}: has inputs {self._inputs}; a fusion network has 'visible' and 'infrared'")
        self._has_guidance = "guidance" in [value.name for value in self._session.get_outputs()]

    def __call__(self, visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._run(["fused"], visible, infrared)[0]

    def with_guidance(
        self, visible: NDArray[np.float32], infrared: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        if not self._has_guidance:
            return self(visible, infrared), None
        fused, guidance = self._run(["fused", "guidance"], visible, infrared)
        return fused, guidance

    def _run(
        self, outputs: list[str], visible: NDArray[np.float32], infrared: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        feed = {"visible": visible[None, None], "infrared": infrared[None, None]}
        return [np.asarray(output[0, 0], np.float32) for output in self._session.run(outputs, feed)]


def _providers(device: str) -> list[Any]:
    import onnxruntime

    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise InputError(f"backend 'onnx' on {device}: this onnxruntime is for the CPU only; install onnxruntime-gpu")
    index = int(device.partition(":")[2] or 0)
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]
