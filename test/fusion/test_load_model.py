import subprocess
import sys

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion import ModelUnavailableError, is_available, list_models, load_model
from fusion_ros.fusion.backends import choose


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (35, 51, 3), dtype=np.uint8), random.integers(0, 256, (35, 51), dtype=np.uint8)


def test_names_are_networks_and_classical_methods():
    assert {"epofusion", "dfvo", "caf", "guided", "average", "rgb", "thermal"} <= set(list_models())


def test_classical_methods_are_always_available():
    assert all(is_available(name) for name in ("guided", "average", "rgb", "thermal"))


def test_unknown_name_lists_the_known():
    with pytest.raises(InputError, match=r"'densefuse': is not known \(.*caf.*guided"):
        load_model("densefuse")


def test_network_without_weights_can_be_told_from_bad_input(monkeypatch, tmp_path):
    (tmp_path / "manifest.yaml").write_text("models: {}\n")
    monkeypatch.setenv("FUSION_ROS_MODELS", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match="has no weights"):
        load_model("caf")


def test_weights_for_a_classical_method_are_refused():
    with pytest.raises(InputError, match="guided: has no weights"):
        load_model("guided", "some.safetensors")


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_backends_fuse_to_the_same_picture(caf_weights, pair, backend):
    reference = load_model("caf", caf_weights, device="cpu", backend="torch").fuse(*pair)
    model = load_model("caf", caf_weights, device="cpu", backend=backend)
    assert (model.backend, model.device, model.precision, model.weights) == (backend, "cpu", "fp32", caf_weights)
    fused = model.fuse(*pair)
    assert fused.shape == pair[0].shape
    assert fused.dtype == np.uint8
    assert np.abs(fused.astype(int) - reference).max() <= 1


@pytest.mark.parametrize("name", ["caf-s", "epofusion-s", "dfvo-s", "caf"])
def test_shipped_weights_give_the_same_picture_in_both_backends(pair, name):
    if not is_available(name):
        pytest.skip(f"no {name} weights are shipped")
    # "caf" alone would be the compact configuration.
    pictures = [load_model(name, name, device="cpu", backend=backend).fuse(*pair) for backend in ("torch", "onnx")]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


@pytest.mark.parametrize("mode", ["caf", "epofusion", "dfvo"])
def test_a_mode_runs_its_compact_network_unless_told_otherwise(mode):
    if not is_available(f"{mode}-s"):
        pytest.skip(f"no {mode}-s weights are shipped")
    model = load_model(mode, device="cpu")
    assert model.name == f"{mode}-s"
    assert model.weights is not None
    assert model.weights.name == f"{mode}-s.safetensors"


def test_weights_of_the_paper_configuration_are_told_by_name_and_by_file(caf_weights):
    assert load_model("caf", caf_weights, device="cpu", backend="torch").name == "caf"
    if is_available("caf-s"):
        assert load_model("caf", "caf", device="cpu", backend="torch").name == "caf"
        assert load_model("caf", "caf-s", device="cpu", backend="torch").name == "caf-s"


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_guidance_comes_with_the_picture_where_the_network_has_one(pair, backend):
    if not is_available("epofusion-s"):
        pytest.skip("no epofusion-s weights are shipped")
    model = load_model("epofusion-s", device="cpu", backend=backend)
    image, guidance = model.fuse_with_guidance(*pair)
    assert np.array_equal(image, model.fuse(*pair))
    assert guidance.shape == pair[1].shape
    assert set(np.unique(guidance)) <= {0, 255}
    assert load_model("guided").fuse_with_guidance(*pair)[1] is None


def test_auto_on_a_cpu_is_onnx_runtime_in_fp32():
    choice = choose("auto", "cpu", "auto")
    assert (choice.backend, choice.device, choice.precision) == ("onnx", "cpu", "fp32")


@pytest.mark.parametrize(
    ("backend", "device", "precision", "word"),
    [
        ("tflite", "cpu", "auto", "tflite"),
        ("auto", "tpu", "auto", "tpu"),
        ("auto", "cuda:x", "auto", "cuda:x"),
        ("auto", "cuda:99", "auto", "GPUs"),
        ("auto", "cpu", "int4", "int4"),
        ("torch", "cpu", "fp16", "needs a GPU"),
        ("onnx", "cpu", "bf16", "bf16"),
        ("tensorrt", "cpu", "auto", "needs a GPU"),
    ],
)
def test_what_cannot_run_is_refused(backend, device, precision, word):
    with pytest.raises(InputError, match=word):
        choose(backend, device, precision)


def test_bf16_on_a_cpu_is_close(caf_weights, pair):
    reference = load_model("caf", caf_weights, device="cpu", backend="torch").fuse(*pair)
    fused = load_model("caf", caf_weights, device="cpu", backend="torch", precision="bf16").fuse(*pair)
    # bf16 has 8 bits of mantissa: a few grey levels after seven layers.
    assert 0 < np.abs(fused.astype(int) - reference).max() <= 8


def test_onnx_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "noise.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"noise\.onnx"):
        load_model("caf", path)


def test_unequal_sizes_and_wrong_types_are_refused(pair):
    model = load_model("average")
    rgb, thermal = pair
    with pytest.raises(InputError, match="resize it onto the RGB grid"):
        model.fuse(rgb, thermal[:-1])
    with pytest.raises(InputError, match="thermal image: uint16"):
        model.fuse(rgb, thermal.astype(np.uint16))
    with pytest.raises(InputError, match="RGB image: uint8"):
        model.fuse(rgb[..., 0], thermal)
    with pytest.raises(InputError, match="luminance"):
        model.fuse_luminance(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.float32))


def test_every_size_from_one_pixel_up(caf_weights):
    model = load_model("caf", caf_weights, device="cpu")
    for height, width in ((1, 1), (7, 130), (64, 64)):
        assert model.fuse(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)).shape == (
            height,
            width,
            3,
        )


def test_padding_does_not_reach_the_picture(pair):
    from fusion_ros.fusion.model import FusionModel

    seen = []

    def fusion(visible, infrared):
        seen.append(visible.shape)
        return (visible + infrared) / 2

    padded = FusionModel("average", fusion, multiple_of=32).fuse(*pair)
    assert seen == [(64, 64)]
    np.testing.assert_array_equal(padded, load_model("average").fuse(*pair))


def test_noncontiguous_images_are_fused(caf_weights, pair):
    rgb, thermal = pair
    model = load_model("caf", caf_weights, device="cpu")
    flipped = model.fuse(rgb[:, ::-1], thermal[:, ::-1])
    np.testing.assert_array_equal(flipped, model.fuse(rgb[:, ::-1].copy(), thermal[:, ::-1].copy()))


def test_onnx_runtime_needs_no_torch(caf_weights, tmp_path):
    """A CPU-only start with an ONNX file must not pay for importing torch."""
    from fusion_ros.fusion.export import export_onnx

    export_onnx(caf_weights, "CAFNet", tmp_path / "caf.onnx")
    script = (
        "import sys; from fusion_ros.fusion import load_model; "
        f"load_model('caf', {str(tmp_path / 'caf.onnx')!r}, device='cpu').warm_up(16, 16); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
