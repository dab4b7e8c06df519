"""The released DFVO checkpoint's names and shapes, filled with random numbers, read into our network."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from fusion_ros.errors import InputError
from fusion_ros.fusion.importers import import_checkpoint
from fusion_ros.fusion.importers.dfvo import rename
from fusion_ros.fusion.network_loading import load_network


def random_state(shapes):
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        else:
            noise = torch.randn(shape, generator=generator) * 0.05
            state[key] = noise.abs() + 0.5 if key.endswith("running_var") else noise
    return state


@pytest.fixture(scope="module", params=["dfvo_released_inference", "dfvo_released_training"])
def released(request, shared_data):
    """A random state dict of the released form, and whether it is the training model's."""
    shapes = json.loads((shared_data / "specs" / "checkpoints.json").read_text())[request.param]
    return random_state(shapes), request.param.endswith("training")


def test_every_released_tensor_finds_its_place(released, tmp_path):
    state, training = released
    torch.save(state, tmp_path / "DFModel.pth")
    import_checkpoint("dfvo", tmp_path / "DFModel.pth", tmp_path / "dfvo.safetensors")
    network = load_network(tmp_path / "dfvo.safetensors", "DFVONet")
    assert network.config.topology == "released"
    assert network.config.training_heads is training
    # What the released file has beyond that is a convolution nothing calls (128 x 128 x 9 + 128).
    assert sum(parameter.numel() for parameter in network.inference_parameters()) == 9_720_449 - 147_584


def test_file_of_a_parallel_model_in_a_wrapper_is_read(released, tmp_path):
    state, _ = released
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "wrapped.pth")
    torch.save(state, tmp_path / "plain.pth")
    for name in ("wrapped", "plain"):
        import_checkpoint("dfvo", tmp_path / f"{name}.pth", tmp_path / f"{name}.safetensors")
    # All but the order of the header's entries, which safetensors does not fix.
    with (
        safe_open(tmp_path / "wrapped.safetensors", "pt") as wrapped,
        safe_open(tmp_path / "plain.safetensors", "pt") as plain,
    ):
        assert wrapped.metadata() == plain.metadata()
        assert set(wrapped.keys()) == set(plain.keys())
        assert all(torch.equal(wrapped.get_tensor(key), plain.get_tensor(key)) for key in plain.keys())  # noqa: SIM118


def test_turned_kernel_is_the_transposed_convolution(released):
    state, _ = released
    renamed = rename(state)
    features = torch.rand(1, 32, 6, 7)
    expected = F.conv_transpose2d(features, state["FuDecode4.Conv.weight"], state["FuDecode4.Conv.bias"], padding=1)
    weight, bias = renamed["decode_fused.0.3.conv.weight"], renamed["decode_fused.0.3.conv.bias"]
    torch.testing.assert_close(F.conv2d(features, weight, bias, padding=1), expected, atol=1e-5, rtol=1e-5)


def test_square_kernels_go_where_they_belong(released):
    """Shapes alone could not tell these apart."""
    state, _ = released
    renamed = rename(state)
    pairs = {
        "CSA.ViSK_conv.convx.weight": "attention.key_visible.sobel.horizontal.weight",
        "CSA.IrSK_conv.convy.weight": "attention.key_infrared.sobel.vertical.weight",
        "CSA.IrV_conv.weight": "attention.value_infrared.weight",
        "ViDetail.net.1.theta_rho.bottleneckBlock.3.weight": "detail_visible.1.rho.3.weight",
        "IrDetail.net.2.theta_eta.bottleneckBlock.0.weight": "detail_infrared.2.eta.0.weight",
        "ViDeConv.weight": "remove_speckle.weight",
        "IrEncode2.Bn.running_mean": "encode_infrared.1.norm.running_mean",
    }
    assert all(torch.equal(state[theirs], renamed[ours]) for theirs, ours in pairs.items())


def test_missing_tensor_is_named(released, tmp_path):
    state, _ = released
    state = {key: value for key, value in state.items() if key != "ViConv.weight"}
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(InputError, match=r"down_visible\.0\.weight"):
        import_checkpoint("dfvo", tmp_path / "cut.pth", tmp_path / "dfvo.safetensors")


def test_file_without_a_state_dict_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="holds no state dict"):
        import_checkpoint("dfvo", tmp_path / "other.pth", tmp_path / "dfvo.safetensors")
