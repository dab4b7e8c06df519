"""Tiny networks with a known answer, run by the real ONNX Runtime through the real post-processing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

NAMES = ("person", "bicycle", "car")
# What the fake detector says of the bright rectangle: class and score of three anchors. The second lies one pixel
# beside the first and is of the same class, so that it has to be suppressed; the third is of another class.
ANCHORS = ((0, 0.9), (0, 0.8), (2, 0.6))


@pytest.fixture(scope="session")
def make_detector(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a detector whose boxes are the bounding box of what is brighter than half."""

    def make(name: str = "detector.onnx", size: int = 64, dynamic: bool = True) -> Path:
        return _write(tmp_path_factory.mktemp("models") / name, _detector_nodes(), "detect", NAMES, size, dynamic)

    return make


@pytest.fixture(scope="session")
def make_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a segmenter that gives class 1 to what is brighter than half and class 0 to the rest."""

    def make(name: str = "segmenter.onnx", size: int = 64, dynamic: bool = True) -> Path:
        names = ("background", "bright")
        return _write(tmp_path_factory.mktemp("models") / name, _segmenter_nodes(), "semantic", names, size, dynamic)

    return make


def _bright() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceMax", ["images", "axis_1"], ["grey"], keepdims=0),
        helper.make_node("Greater", ["grey", "half"], ["is_bright"]),
        helper.make_node("Cast", ["is_bright"], ["bright"], to=TensorProto.FLOAT),
    ]


def _segmenter_nodes() -> list[onnx.NodeProto]:
    return [*_bright(), helper.make_node("Cast", ["is_bright"], ["output0"], to=TensorProto.UINT8)]


def _detector_nodes() -> list[onnx.NodeProto]:
    nodes = _bright()
    for side, axis in (("x", "axis_1"), ("y", "axis_2")):
        nodes += [
            helper.make_node("ReduceMax", ["bright", axis], [f"{side}_profile"], keepdims=0),
            helper.make_node("ArgMax", [f"{side}_profile"], [f"{side}_first"], axis=1, keepdims=1),
            helper.make_node("ArgMax", [f"{side}_profile"], [f"{side}_last"], axis=1, keepdims=1, select_last_index=1),
            helper.make_node("Cast", [f"{side}_first"], [f"{side}_min"], to=TensorProto.FLOAT),
            helper.make_node("Cast", [f"{side}_last"], [f"{side}_last_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", [f"{side}_last_float", "one"], [f"{side}_max"]),
            helper.make_node("Add", [f"{side}_min", f"{side}_max"], [f"{side}_sum"]),
            helper.make_node("Mul", [f"{side}_sum", "half"], [f"{side}_centre"]),
            helper.make_node("Sub", [f"{side}_max", f"{side}_min"], [f"{side}_size"]),
        ]
    return [
        *nodes,
        helper.make_node("Concat", ["x_centre", "y_centre", "x_size", "y_size"], ["xywh"], axis=1),
        helper.make_node("Unsqueeze", ["xywh", "axis_2"], ["box"]),
        helper.make_node("Add", ["box", "shifts"], ["boxes"]),  # (1, 4, 3)
        helper.make_node("ReduceMax", ["bright", "axes_12"], ["any"], keepdims=1),
        helper.make_node("Mul", ["any", "scores"], ["classes"]),  # (1, 3, 3)
        helper.make_node("Concat", ["boxes", "classes"], ["output0"], axis=1),
    ]


def _constants() -> list[onnx.TensorProto]:
    scores = np.zeros((1, len(NAMES), len(ANCHORS)), np.float32)
    for anchor, (class_id, score) in enumerate(ANCHORS):
        scores[0, class_id, anchor] = score
    shifts = np.zeros((1, 4, len(ANCHORS)), np.float32)
    shifts[0, 0, 1] = 1.0
    values = {
        "axis_1": np.array([1], np.int64),
        "axis_2": np.array([2], np.int64),
        "axes_12": np.array([1, 2], np.int64),
        "half": np.array(0.5, np.float32),
        "one": np.array(1.0, np.float32),
        "scores": scores,
        "shifts": shifts,
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def _write(
    path: Path, nodes: list[onnx.NodeProto], task: str, names: tuple[str, ...], size: int, dynamic: bool
) -> Path:
    used = {name for node in nodes for name in node.input}
    batch, sides = ("batch", ["height", "width"]) if dynamic else (1, [size, size])
    detects = task == "detect"
    shape = [batch, 4 + len(names), len(ANCHORS)] if detects else [batch, *sides]
    graph = helper.make_graph(
        nodes,
        task,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *sides])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT if detects else TensorProto.UINT8, shape)],
        [tensor for tensor in _constants() if tensor.name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    # What ultralytics writes into its exports and reads back.
    helper.set_model_props(
        model,
        {
            "task": task,
            "names": str(dict(enumerate(names))),
            "stride": "32",
            "batch": "1",
            "channels": "3",
            "imgsz": str([size, size]),
            "args": str({"dynamic": dynamic, "nms": False}),
        },
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
