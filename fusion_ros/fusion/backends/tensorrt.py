"""Running a network as a TensorRT engine, built once per model, machine and image size and kept in a cache.

An engine is a program for one GPU model and one TensorRT version: both are part of its name in the cache, so that a
file from another machine is never loaded. Networks are strongly typed: the precision is that of the exported ONNX.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError, JobError
from fusion_ros.fusion.export import cache_directory, engine_key, onnx_for
from fusion_ros.fusion.weights import sha256_of

_INPUTS = ("visible", "infrared")


def engine_path(model_sha256: str, version: str, gpu: str, capability: str, precision: str, shape: str) -> Path:
    """Where the engine of a model is cached.

    Args:
        model_sha256: checksum of the ONNX file.
        version: TensorRT's version.
        gpu: name of the GPU.
        capability: its compute capability, such as `8.7`.
        precision: `fp32` or `fp16`.
        shape: `HxW` of the images.
    """
    parts = {"tensorrt": version, "gpu": gpu, "capability": capability, "precision": precision, "shape": shape}
    return cache_directory() / "tensorrt" / f"{engine_key(model_sha256, parts)}.engine"


def _import_tensorrt() -> Any:
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise InputError(
            f"backend 'tensorrt': the tensorrt package cannot be imported ({error}); install it (pip install tensorrt; "
            "on Jetson it comes with JetPack), or use backend onnx or torch"
        ) from error


class TensorRTBackend:
    """A network as TensorRT engines, one per image size. See `Backend`.

    The first image of a new size builds its engine, which takes up to minutes, unless it is in the cache:
    `FusionModel.warm_up` is the place for that.

    Args:
        weights: `.safetensors` or `.onnx` (an engine is built), or `.engine` (one size only).
        network: the network's class name.
        device: `cuda:N`.
        precision: `fp32` or `fp16`.
    """

    name = "tensorrt"

    def __init__(self, weights: Path, network: str, device: str, precision: str) -> None:
        self._tensorrt = _import_tensorrt()
        import torch

        self._torch = torch
        self.device = device
        self.precision = precision
        self._logger = self._tensorrt.Logger(self._tensorrt.Logger.ERROR)
        self._contexts: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._stream = torch.cuda.Stream(device)
        self._fixed_engine = weights if weights.suffix == ".engine" else None
        self._onnx = None if self._fixed_engine else onnx_for(weights, network, precision)
        self._onnx_sha256 = sha256_of(self._onnx) if self._onnx else ""

    def __call__(self, visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.with_guidance(visible, infrared)[0]

    def with_guidance(
        self, visible: NDArray[np.float32], infrared: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        torch = self._torch
        shape = (visible.shape[0], visible.shape[1])
        with torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            context, engine = self._context(shape)
            images = [torch.from_numpy(np.ascontiguousarray(image)).to(self.device) for image in (visible, infrared)]
            outputs = {"fused": torch.empty(shape, dtype=torch.float32, device=self.device)}
            # TensorRT runs only where every output has an address, wanted or not.
            if "guidance" in [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]:
                size = tuple(context.get_tensor_shape("guidance"))[-2:]
                outputs["guidance"] = torch.empty(size, dtype=torch.float32, device=self.device)
            for name, tensor in (*zip(_INPUTS, images, strict=True), *outputs.items()):
                context.set_tensor_address(name, tensor.data_ptr())
            if not context.execute_async_v3(self._stream.cuda_stream):
                raise JobError(f"backend 'tensorrt': the engine for {shape} did not run")
            self._stream.synchronize()
            made = {name: np.asarray(tensor.cpu().numpy(), np.float32) for name, tensor in outputs.items()}
        return made["fused"], made.get("guidance")

    def _context(self, shape: tuple[int, int]) -> tuple[Any, Any]:
        if shape not in self._contexts:
            path = self._fixed_engine or self._engine_for(shape)
            engine = self._tensorrt.Runtime(self._logger).deserialize_cuda_engine(path.read_bytes())
            if engine is None:
                raise InputError(f"{path}: TensorRT {self._tensorrt.__version__} cannot load it on this GPU; remove it")
            context = engine.create_execution_context()
            for name in _INPUTS:
                if not context.set_input_shape(name, (1, 1, *shape)):
                    raise InputError(f"{path}: the engine was not built for images of {shape[1]}x{shape[0]}")
            # The context does not keep its engine alive by itself in every version.
            self._contexts[shape] = context, engine
        return self._contexts[shape]

    def _engine_for(self, shape: tuple[int, int]) -> Path:
        assert self._onnx is not None
        properties = self._torch.cuda.get_device_properties(self.device)
        path = engine_path(
            self._onnx_sha256,
            self._tensorrt.__version__,
            properties.name,
            f"{properties.major}.{properties.minor}",
            self.precision,
            f"{shape[0]}x{shape[1]}",
        )
        if not path.is_file():
            build_engine(self._onnx, path, shape)
        return path


def build_engine(model: Path, target: Path, shape: tuple[int, int]) -> None:
    """Build an engine from an ONNX file for images of one size (height, width); it appears whole or not at all.

    Raises:
        InputError: where TensorRT is not installed.
        JobError: where the model cannot be parsed or built.
    """
    tensorrt = _import_tensorrt()
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    # TensorRT 10 needs the flag to keep the model's types; from 11 on it is always so, and the flag is ignored.
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        errors = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise JobError(f"{model}: TensorRT cannot parse it: {errors}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name in _INPUTS:
        profile.set_shape(name, *[(1, 1, *shape)] * 3)
    config.add_optimization_profile(profile)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise JobError(f"{model}: TensorRT could not build an engine for {shape[1]}x{shape[0]}")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_bytes(bytes(serialized))
        temporary.replace(target)
    except OSError as error:
        raise JobError(f"{target}: cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
