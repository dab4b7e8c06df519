"""DFVO's blocks against plain formulas, its sizes against its parameter count, its savings against the direct way."""

import dataclasses

import pytest
import torch

from fusion_ros.networks import DFVOConfig, DFVONet
from fusion_ros.networks.dfvo import attention
from fusion_ros.networks.dfvo.attention import DepthwiseSobel, HyperCrossAttention, attend
from fusion_ros.networks.dfvo.detail import InvertibleNode
from fusion_ros.networks.dfvo.network import HALO, Strip, Upsample

SMALL = DFVOConfig(channels=(4, 4, 8, 8), attention_channels=16, key_channels=4)


def pair(height, width, batch=1):
    torch.manual_seed(1)
    return torch.rand(batch, 1, height, width).double(), torch.rand(batch, 1, height, width).double()


def made(config=SMALL):
    torch.manual_seed(0)
    network = DFVONet(config).double().eval()
    for module in network.modules():
        # Statistics that let every layer's answer through to the image.
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.01, 0.1)
    return network


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


def test_parameters_of_both_topologies():
    with torch.device("meta"):
        released, repaired = DFVONet(DFVOConfig(topology="released")), DFVONet()
    # In the released file another 147,584 belong to a convolution that nothing calls: 9,720,449 and 10,105,316.
    assert count(released.inference_parameters()) == 9_720_449 - 147_584
    assert count(released.parameters()) == 10_105_316 - 147_584
    # The dense Sobel layers: 2 x 9 x (512^2 + 2 x 256^2).
    assert count(repaired.inference_parameters()) == 9_572_865 - 7_077_888


def test_attention_in_slices_is_attention(monkeypatch):
    torch.manual_seed(0)
    query, key = torch.randn(2, 2, 4, 5, 7, dtype=torch.float64)
    value = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    logits = torch.einsum("ndl,ndm->nlm", query.flatten(2), key.flatten(2)) * 0.5
    expected = torch.einsum("nlm,ncm->ncl", logits.softmax(dim=2), value.flatten(2)).reshape(value.shape)
    for elements in (1, 2 * 35 * 4, 2**24):
        monkeypatch.setattr(attention, "MAP_ELEMENTS", elements)
        torch.testing.assert_close(attend(query, key, value, 0.5), expected)


def test_attention_in_slices_has_the_gradient_of_attention(monkeypatch):
    torch.manual_seed(0)
    parts = [torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    whole = torch.autograd.grad(attend(*parts, 1.0).square().sum(), parts)
    monkeypatch.setattr(attention, "MAP_ELEMENTS", 3 * 16)
    sliced = torch.autograd.grad(attend(*parts, 1.0).square().sum(), parts)
    for one, other in zip(whole, sliced, strict=True):
        torch.testing.assert_close(one, other)


def test_no_slice_of_the_map_is_larger_than_allowed(monkeypatch):
    sizes = []
    slice_attention = attention._attend_slice
    monkeypatch.setattr(attention, "MAP_ELEMENTS", 500)
    monkeypatch.setattr(
        attention,
        "_attend_slice",
        lambda query, key, *rest: sizes.append(query.shape[1] * key.shape[1]) or slice_attention(query, key, *rest),
    )
    maps = torch.rand(1, 3, 10, 10)
    attend(maps, maps, maps, 1.0)
    assert max(sizes) <= 500
    assert sum(sizes) == 100 * 100


@pytest.mark.parametrize("released", [False, True])
def test_attention_is_crossed_and_scaled_when_repaired(released):
    torch.manual_seed(0)
    module = HyperCrossAttention(8, 4, released=released).double()
    visible, infrared = torch.rand(2, 1, 8, 5, 5, dtype=torch.float64) * 0.1
    query = module.query(torch.cat([visible, infrared], 1)).flatten(2)
    key = module.key_infrared(infrared).flatten(2)
    scale = 1.0 if released else 0.5
    weights = (torch.einsum("ndl,ndm->nlm", query, key) * scale).softmax(dim=2)
    expected = torch.einsum("nlm,ncm->ncl", weights, module.value_visible(visible).flatten(2)).reshape(1, 8, 5, 5)
    torch.testing.assert_close(module(visible, infrared)[0], expected)


def test_sobel_of_a_ramp_is_eight_in_each_channel():
    ramp = torch.arange(6.0).expand(1, 2, 6, 6) * torch.tensor([1.0, 3.0])[None, :, None, None]
    magnitude = DepthwiseSobel(2)(ramp)[0, :, 2:4, 2:4]
    assert magnitude[0].unique().tolist() == [8.0]
    assert magnitude[1].unique().tolist() == [24.0]


def test_node_loses_nothing():
    torch.manual_seed(0)
    node = InvertibleNode(8).double()
    features = torch.rand(1, 8, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(node.inverse(node(features)), features)


def test_released_way_up_reaches_a_quarter_of_the_pixels_and_ours_all():
    released, repaired = (Upsample(4, 4, released=value) for value in (True, False))
    tokens = torch.rand(1, 4, 6, 6) + 0.5
    with torch.no_grad():
        for module in (released, repaired):
            module.layer.weight.fill_(1.0)
            module.layer.bias.zero_()
        # Kernel taps two apart on a stride of four: the inner pixels come from one of two rows and one of two columns.
        assert (released(tokens)[:, :, 4:-4, 4:-4] != 0).double().mean() == 0.25
        assert (repaired(tokens) != 0).all()
    assert released(tokens).shape == repaired(tokens).shape == (1, 4, 24, 24)


@pytest.mark.parametrize("topology", ["repaired", "released"])
def test_strips_give_the_whole_image(topology):
    config = dataclasses.replace(SMALL, topology=topology)
    network = made(config)
    visible, infrared = pair(100, 24)
    with torch.no_grad():
        whole = network(visible, infrared)
        for rows in (1, 64):
            network.config = dataclasses.replace(config, strip_pixels=24 * rows)
            assert len(network._strips(visible)) > 1
            torch.testing.assert_close(network(visible, infrared), whole, atol=1e-9, rtol=0)
    # The test would be blind on a flat image.
    assert whole.std() > 0.01


def test_a_strip_computes_its_halo_and_keeps_its_core():
    strip = Strip.around(32, 64, 100)
    assert (strip.start, strip.stop) == (32 - HALO, 64 + HALO)
    rows = torch.arange(strip.start, strip.stop)[None, None, :, None]
    assert strip.core(rows).flatten().tolist() == list(range(32, 64))


def test_eval_mode_gives_an_image():
    network = made()
    visible, infrared = pair(32, 20, batch=2)
    with torch.no_grad():
        fused = network(visible, infrared)
    assert fused.shape == visible.shape
    assert fused.min() >= 0
    assert fused.max() <= 1


def test_inference_does_not_run_the_training_heads():
    network = made()
    whole = network(*pair(16, 16))
    for name in ("decode_enhanced", "decode_infrared", "illumination"):
        delattr(network, name)
    assert torch.equal(network(*pair(16, 16)), whole)


def test_train_mode_gives_what_the_losses_need():
    network = made().train()
    visible, infrared = pair(16, 24, batch=2)
    output = network(visible, infrared)
    assert output._fields == ("fused", "enhanced", "illumination", "infrared")
    assert all(image.shape == visible.shape for image in output)


def test_train_and_eval_mode_fuse_alike():
    network = made()
    visible, infrared = pair(16, 24)
    with torch.no_grad():
        torch.testing.assert_close(network._train_forward(visible, infrared).fused, network(visible, infrared))


def test_without_training_heads_there_is_no_training():
    network = DFVONet(dataclasses.replace(SMALL, training_heads=False)).train()
    with pytest.raises(RuntimeError, match="training heads"):
        network(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))


def test_unknown_topology_is_refused():
    with pytest.raises(ValueError, match="topology: 'other'"):
        DFVOConfig(topology="other")
