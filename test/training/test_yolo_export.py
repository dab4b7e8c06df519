"""Weights are stored in half precision; the network still computes in single precision and says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from fusion_ros.errors import JobError
from fusion_ros.training.yolo_export import export_onnx, store_in_half

WEIGHTS = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
BIAS = np.random.default_rng(1).normal(size=64).astype(np.float32)


def write(path: Path, weights: np.ndarray = WEIGHTS) -> Path:
    nodes = [helper.make_node("Gemm", ["x", "weights", "bias"], ["y"], transB=1)]
    helper.set_metadata_props(nodes[0], {"pkg.torch.onnx.stack_trace": "/home/someone/network.py"})
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(BIAS, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'car'}", "date": "today", "description": "/home/someone/data.yaml"})
    onnx.save(model, str(path))
    return path


def run(path: Path, x: np.ndarray) -> np.ndarray:
    return np.asarray(
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
    )


def test_stored_in_half_the_network_says_the_same_and_takes_half_the_space(tmp_path: Path) -> None:
    source, out = write(tmp_path / "full.onnx"), tmp_path / "half.onnx"
    store_in_half(source, out)
    x = np.random.default_rng(2).normal(size=(1, 32)).astype(np.float32)
    rounded = WEIGHTS.astype(np.float16).astype(np.float32)
    # Single precision throughout: as exact as a product with the rounded weights can be.
    np.testing.assert_allclose(run(out, x), x @ rounded.T + BIAS, rtol=1e-5, atol=1e-5)
    # Rounding to half precision changes a weight by at most 2^-11 of itself.
    assert np.abs(run(out, x) - run(source, x)).max() <= (np.abs(x) @ np.abs(WEIGHTS).T).max() * 2.0**-11
    assert out.stat().st_size < 0.7 * source.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.onnx", "half.onnx"]


def test_weights_beyond_half_precision_stay_as_they_are(tmp_path: Path) -> None:
    large = WEIGHTS * 1e6
    store_in_half(write(tmp_path / "full.onnx", large), tmp_path / "half.onnx")
    x = np.ones((1, 32), np.float32)
    np.testing.assert_allclose(run(tmp_path / "half.onnx", x), x @ large.T + BIAS, rtol=1e-4)


def test_paths_of_the_machine_are_not_stored_but_the_class_names_are(tmp_path: Path) -> None:
    store_in_half(write(tmp_path / "full.onnx"), tmp_path / "half.onnx")
    assert b"/home/someone" not in (tmp_path / "half.onnx").read_bytes()
    properties = onnx.load(str(tmp_path / "half.onnx")).metadata_props
    assert {entry.key: entry.value for entry in properties} == {"names": "{0: 'car'}"}


def test_a_checkpoint_that_cannot_be_exported_leaves_nothing_behind(tmp_path: Path) -> None:
    checkpoint = tmp_path / "damaged.pt"
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(JobError, match=r"damaged.pt: cannot be exported"):
        export_onnx(checkpoint, tmp_path / "out.onnx", 64)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.pt"]
