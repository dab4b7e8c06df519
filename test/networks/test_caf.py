import pytest
import torch

from fusion_ros.networks import CAFConfig, CAFNet


def test_parameter_count_is_that_of_the_released_network():
    assert sum(parameter.numel() for parameter in CAFNet().parameters()) == 148_321


@torch.no_grad()
def test_eval_returns_one_channel_of_any_size_within_range():
    network = CAFNet().eval()
    for height, width in ((1, 1), (17, 31), (32, 48)):
        fused = network(torch.rand(2, 1, height, width), torch.rand(2, 1, height, width))
        assert fused.shape == (2, 1, height, width)
        assert 0 <= float(fused.min()) <= float(fused.max()) <= 1


@torch.no_grad()
def test_tanh_is_clamped_in_eval_and_not_in_training():
    torch.manual_seed(0)
    network = CAFNet(CAFConfig(activation="tanh"))
    torch.nn.init.constant_(network.reconstruct.bias, -10.0)
    images = torch.rand(2, 1, 16, 16)
    assert float(network.train()(images, images).fused.max()) < -0.9
    assert float(network.eval()(images, images).abs().max()) == 0.0


@torch.no_grad()
def test_sources_are_not_interchangeable():
    torch.manual_seed(0)
    network = CAFNet().eval()
    visible, infrared = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    assert not torch.allclose(network(visible, infrared), network(infrared, visible))


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="relu"):
        CAFConfig(activation="relu")
