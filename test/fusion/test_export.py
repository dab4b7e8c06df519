import numpy as np
import onnx
import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.fusion.export import cache_directory, export_onnx, onnx_for
from fusion_ros.fusion.weights import sha256_of


@pytest.fixture(scope="module")
def exported(caf_weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "caf.onnx"
    export_onnx(caf_weights, "CAFNet", path)
    return path


def test_any_batch_height_and_width(exported):
    graph = onnx.load(exported).graph
    assert [value.name for value in graph.input] == ["visible", "infrared"]
    for value in graph.input:
        assert [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim][1] == 1
        assert all(value.type.tensor_type.shape.dim[axis].dim_param for axis in (0, 2, 3))


def test_batch_norms_are_folded(exported):
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(exported).graph.node}


def test_model_says_what_it_was_made_from_and_nothing_of_where(exported, caf_weights):
    model = onnx.load(exported)
    notes = {entry.key: entry.value for entry in model.metadata_props}
    assert notes == {"network": "CAFNet", "weights_sha256": sha256_of(caf_weights), "precision": "fp32"}
    assert b"site-packages" not in exported.read_bytes()
    assert b".py" not in exported.read_bytes()


def test_exports_of_own_weights_are_cached(caf_weights):
    first = onnx_for(caf_weights, "CAFNet", "fp32")
    written = first.stat().st_mtime_ns
    assert first.is_relative_to(cache_directory())
    assert onnx_for(caf_weights, "CAFNet", "fp32").stat().st_mtime_ns == written


def test_half_precision_inside_float_outside(caf_weights, tmp_path):
    path = tmp_path / "half.onnx"
    export_onnx(caf_weights, "CAFNet", path, "fp16")
    model = onnx.load(path)
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {onnx.TensorProto.FLOAT}
    assert {value.data_type for value in model.graph.initializer if len(value.dims) == 4} == {onnx.TensorProto.FLOAT16}
    random = np.random.default_rng(0)
    images = random.random((24, 40), dtype=np.float32), random.random((24, 40), dtype=np.float32)
    reference = load_model("caf", caf_weights, device="cpu", backend="torch").fuse_luminance(*images)
    # 11 bits of mantissa through seven layers: within two grey levels.
    np.testing.assert_allclose(load_model("caf", path, device="cpu").fuse_luminance(*images), reference, atol=2 / 255)


def test_failed_export_leaves_nothing_behind(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    with pytest.raises(InputError):
        export_onnx(tmp_path / "bad.safetensors", "CAFNet", tmp_path / "out" / "caf.onnx")
    assert not list(tmp_path.glob("out/*"))
