"""An mmsegmentation-style EPOFusion checkpoint, its names listed from that code's structure, read into our network."""

import pytest
import torch

from fusion_ros.errors import InputError
from fusion_ros.fusion.importers import epofusion, import_checkpoint
from fusion_ros.networks import EPOFusionConfig, EPOFusionNet

DEPTHS = (3, 3, 9, 3)


def convolution(name, bias=True):
    return {f"{name}.weight", *({f"{name}.bias"} if bias else ())}


def batch_norm(name):
    return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def released_names(layers=1):
    """Every key such a checkpoint has, listed from the structure of the released modules."""
    names = set()
    for stage, depth in enumerate(DEPTHS):
        for part in range(2):
            names |= convolution(f"backbone.downsample_layers.{stage}.{part}")
        for block in range(depth):
            prefix = f"backbone.stages.{stage}.{block}"
            names.add(f"{prefix}.gamma")
            for part in ("depthwise_conv", "norm", "pointwise_conv1", "pointwise_conv2"):
                names |= convolution(f"{prefix}.{part}")
        names |= convolution(f"backbone.norm{stage}")
        for kind in ("lateral_convs", "fpn_convs"):
            names |= convolution(f"neck.{kind}.{stage}.conv", bias=False) | convolution(f"neck.{kind}.{stage}.gn")
    names |= convolution("neck.merge.down.conv", bias=False) | convolution("neck.merge.down.gn")
    names |= {"time_mlp.0.weights"}
    for name in ("time_mlp.1", "time_mlp.3", "gt_down.0", "gt_down.2", "transform", "decode_head.conv_seg"):
        names |= convolution(name)
    for layer in range(layers):
        prefix = f"decode_head.encoder.layers.{layer}"
        for part in ("sampling_offsets", "attention_weights", "value_proj", "output_proj"):
            names |= convolution(f"{prefix}.attentions.0.{part}")
        for part in ("norms.0", "norms.1", "ffns.0.layers.0.0", "ffns.0.layers.1", "time_mlp.1"):
            names |= convolution(f"{prefix}.{part}")
    reconstruct = "decode_head.reconstruct"
    for part, index in (
        ("low_conv1", 0), ("low_conv1", 1), ("low_conv2", 0), ("dilated_conv", 0), ("grouped_conv", 0),
        ("fusion_conv", 0), ("high_conv", 0), ("high_conv", 3), ("cross_fusion", 0), ("cross_fusion", 3),
        ("output_conv", 0), ("output_conv", 3), ("se_block", 1), ("se_block", 3),
    ):  # fmt: skip
        names |= convolution(f"{reconstruct}.{part}.{index}")
    for part, index in (
        ("low_conv1", 2), ("low_conv2", 1), ("dilated_conv", 1), ("grouped_conv", 1), ("fusion_conv", 1),
        ("high_conv", 1), ("high_conv", 4), ("cross_fusion", 1), ("cross_fusion", 4), ("output_conv", 1),
    ):  # fmt: skip
        names |= batch_norm(f"{reconstruct}.{part}.{index}")
    names |= convolution("auxiliary_head.convs.0.conv", bias=False) | batch_norm("auxiliary_head.convs.0.bn")
    return names | convolution("auxiliary_head.conv_seg")


def our_shapes(layers=1):
    with torch.device("meta"):
        network = EPOFusionNet(EPOFusionConfig(layers=layers, output_gain=True))
    return {key: value.shape for key, value in network.state_dict().items()}


@pytest.mark.parametrize("layers", [1, 3])
def test_every_released_name_finds_its_own_place(layers):
    names = released_names(layers)
    renamed = epofusion.rename({name: torch.zeros(1) for name in names})
    unused = {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"}
    assert len(renamed) == len(names - unused)
    assert set(renamed) == set(our_shapes(layers))


def test_sizes_are_those_of_the_specification():
    shapes = our_shapes()
    wanted = {
        "backbone.stages.2.8.pointwise_conv1.weight": (1536, 384),
        "neck.merge.down.conv.weight": (256, 1024, 1, 1),
        "decode_head.encoder.layers.0.attentions.0.sampling_offsets.weight": (64, 256),
        "decode_head.encoder.layers.0.time_mlp.1.weight": (512, 1024),
        "decode_head.reconstruct.low_conv1.0.weight": (64, 4, 3, 3),
        "decode_head.reconstruct.grouped_conv.0.weight": (32, 16, 3, 3),
        "decode_head.reconstruct.cross_fusion.3.weight": (64, 128, 1, 1),
        "time_mlp.1.weight": (1024, 17),
        "auxiliary_head.conv_seg.weight": (2, 256, 1, 1),
    }
    for released, shape in wanted.items():
        (ours,) = epofusion.rename({released: torch.zeros(1)})
        assert tuple(shapes[ours]) == shape, released


def test_separate_neck_and_wrapped_convolution_are_read_as_well():
    names = ("neck.0.lateral_convs.1.conv.weight", "neck.1.down.gn.bias", "transform.conv.weight")
    renamed = epofusion.rename({name: torch.zeros(1) for name in names})
    assert list(renamed) == ["neck.lateral.1.0.weight", "neck.merge.1.bias", "mix.weight"]


def test_configuration_is_read_off_the_names(tmp_path):
    state = {name: torch.zeros(1) for name in released_names(layers=2)}
    torch.save({"meta": {"epoch": 1}, "state_dict": state}, tmp_path / "latest.pth")
    tensors, configuration = epofusion.load(tmp_path / "latest.pth")
    assert configuration == {"layers": 2, "output_gain": True}
    assert set(tensors) == set(our_shapes(layers=2))


def test_checkpoint_of_another_network_is_refused(tmp_path):
    torch.save({"state_dict": {"backbone.stem.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"backbone\.stem\.weight|missing"):
        import_checkpoint("epofusion", tmp_path / "other.pth", tmp_path / "out.safetensors")
