"""Settings that detector and segmenter share, each written once."""

from __future__ import annotations

from typing import Any

from fusion_ros.configuration import setting
from fusion_ros.perception.model_files import BACKENDS


def weights_setting(model: str) -> Any:
    """Where the weights of a `model` (detector, segmenter) come from."""
    return setting(
        "",
        f"a .onnx, .pt or .engine file or a name from models/manifest.yaml; empty: the shipped {model}. Of a .pt, "
        "which is a pickle, ultralytics' own layers are read and nothing else",
        runtime=False,
    )


def device_setting() -> Any:
    """Where it runs."""
    return setting("auto", "auto, cpu, cuda or cuda:N", runtime=False)


def backend_setting() -> Any:
    """What runs it."""
    return setting(
        "auto", "what runs the model; each file format has one, auto takes it", choices=BACKENDS, runtime=False
    )


def input_size_setting() -> Any:
    """How large the network's input is."""
    return setting(
        0,
        "longer side of the network's input, a multiple of 32; 0: the model's own",
        unit="pixels",
        minimum=0,
        maximum=4096,
        runtime=False,
    )
