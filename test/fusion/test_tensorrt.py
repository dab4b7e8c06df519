import importlib.util

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.fusion.backends import cuda_device_count
from fusion_ros.fusion.backends.tensorrt import build_engine, engine_path

MACHINE = {
    "model_sha256": "0" * 64,
    "version": "10.3.0",
    "gpu": "Orin",
    "capability": "8.7",
    "precision": "fp16",
    "shape": "480x640",
}
needs_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is None or not cuda_device_count(), reason="needs TensorRT and a GPU"
)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("model_sha256", "1" * 64),
        ("version", "10.4.0"),
        ("gpu", "Xavier"),
        ("capability", "7.2"),
        ("precision", "fp32"),
        ("shape", "640x480"),
    ],
)
def test_an_engine_is_cached_for_one_model_machine_and_size(part, other):
    assert engine_path(**MACHINE) != engine_path(**{**MACHINE, part: other})
    assert engine_path(**MACHINE) == engine_path(**MACHINE)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_missing_tensorrt_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match="pip install tensorrt"):
        build_engine(tmp_path / "caf.onnx", tmp_path / "caf.engine", (48, 64))


def test_engine_file_needs_the_tensorrt_backend(tmp_path):
    (tmp_path / "caf.engine").write_bytes(b"")
    with pytest.raises(InputError, match="TensorRT engine"):
        load_model("caf", tmp_path / "caf.engine", backend="onnx")


@needs_tensorrt
def test_engine_fuses_to_the_same_picture_as_torch(caf_weights):
    random = np.random.default_rng(0)
    images = random.random((48, 64), dtype=np.float32), random.random((48, 64), dtype=np.float32)
    reference = load_model("caf", caf_weights, device="cpu", backend="torch").fuse_luminance(*images)
    fused = load_model("caf", caf_weights, backend="tensorrt", precision="fp32").fuse_luminance(*images)
    np.testing.assert_allclose(fused, reference, atol=1 / 255)
