"""The compact networks: size, cost, range, and what the blend of the sources can do."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from fusion_ros import networks
from fusion_ros.networks.dfvo_s import CompactDetail, GradientMagnitude, Illumination
from fusion_ros.networks.epofusion_s import saturation
from fusion_ros.networks.source_selection import SourceSelection, detail_of, soft_clamp

NAMES = ("CAFSNet", "DFVOSNet", "EPOFusionSNet")
PREFERENCE, BY_INTENSITY, BY_SHARPNESS, VISIBLE_GAIN, INFRARED_GAIN, BASE_PREFERENCE, BASE_BY_INTENSITY, TONE = range(8)


def made(name):
    torch.manual_seed(0)
    return getattr(networks, name)().eval()


def images(height=64, width=96, batch=1):
    torch.manual_seed(1)
    return torch.rand(batch, 1, height, width), torch.rand(batch, 1, height, width)


@pytest.mark.parametrize("name", NAMES)
def test_cost_at_480x640_is_at_most_three_gigaflops(name):
    """Two operations per multiply-add, as torch counts them; on shapes alone, nothing is computed."""
    with torch.device("meta"):
        network = getattr(networks, name)().eval()
        visible, infrared = torch.rand(2, 1, 1, 480, 640)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(visible, infrared)
    assert 0.5e9 < counter.get_total_flops() <= 3e9


def test_weights_of_all_three_fit_in_12_megabytes_of_fp16():
    values = sum(tensor.numel() for name in NAMES for tensor in made(name).state_dict().values())
    assert 2 * values < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_untrained_network_averages_and_more_or_less_so_in_dfvo_s(name):
    network = made(name)
    visible, infrared = images()
    with torch.no_grad():
        fused = network(visible, infrared)
    if name == "CAFSNet":
        torch.testing.assert_close(fused, 0.5 * (visible + infrared))
    else:
        # Saturation or illumination already pull; with base and detail of their own shares, single pixels may leave
        # the sources' range, but not many and not by much.
        below = (torch.minimum(visible, infrared) - fused).clamp_min(0)
        assert below.mean() < 0.01
        assert 0 <= fused.min() <= fused.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_and_any_multiple_of_its_stride(name):
    network = made(name)
    multiple = network.multiple_of
    visible, infrared = images(3 * multiple, 2 * multiple, batch=2)
    with torch.no_grad():
        fused = network(visible, infrared)
        alone = network(visible[1:], infrared[1:])
    assert fused.shape == visible.shape
    torch.testing.assert_close(alone, fused[1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_of_the_scene_shifts_the_result(name):
    network = made(name)
    for parameter in network.selection.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    multiple = network.multiple_of
    visible, infrared = (F.interpolate(image, scale_factor=4.0) for image in images(12 * multiple, 2 * multiple))
    with torch.no_grad():
        fused = network(visible, infrared)
        rolled = network(visible.roll(multiple, 3), infrared.roll(multiple, 3))
    # Everything but attention is local: far from the border the answer only moves.
    middle = slice(3 * multiple, 5 * multiple)
    difference = (rolled[..., middle] - fused.roll(multiple, 3)[..., middle]).abs()
    assert difference.mean() < (0.02 if name == "DFVOSNet" else 1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_train_mode_reaches_every_parameter(name):
    network = made(name).train()
    for parameter in network.selection.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    output = network(*images(64, 64, batch=2))
    sum(value.square().mean() for value in output).backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


def selection_with(**controls):
    """A selection whose control maps are constants."""
    module = SourceSelection(1).eval()
    with torch.no_grad():
        for name, value in controls.items():
            module.controls.bias[globals()[name.upper()]] = value
    return module


def test_strong_intensity_contrast_gives_the_maximum():
    visible, infrared = images(16, 16)
    # One source brighter everywhere, so that base and detail agree on it.
    visible = 0.5 + 0.4 * visible
    infrared = 0.4 * infrared
    fused, _ = selection_with(by_intensity=1e4, base_by_intensity=1e4)(torch.zeros(1, 1, 8, 8), visible, infrared)
    torch.testing.assert_close(fused, visible, atol=1e-3, rtol=0)


def test_strong_detail_contrast_gives_the_sharper_source():
    visible = torch.zeros(1, 1, 16, 16)
    visible[..., ::2] = 1.0
    infrared = torch.full((1, 1, 16, 16), 0.3)
    fused, weight = selection_with(by_sharpness=1e4, base_preference=50.0)(torch.zeros(1, 1, 8, 8), visible, infrared)
    assert weight.min() > 0.99
    torch.testing.assert_close(fused, visible)


def test_preference_and_offset_choose_a_source():
    visible, infrared = images(16, 16)
    features = torch.zeros(1, 1, 8, 8)
    visible_only = selection_with(preference=50.0, base_preference=50.0)
    torch.testing.assert_close(visible_only(features, visible, infrared)[0], visible)
    pulled = visible_only(features, visible, infrared, torch.full((1, 1, 16, 16), -100.0))
    torch.testing.assert_close(pulled.fused, infrared)


def test_the_base_changes_slowly():
    """Flat sources and a choice that flips in the middle: the detail has no say, the base takes two dozen pixels."""
    module = SourceSelection(1).eval()
    with torch.no_grad():
        module.controls.weight[[PREFERENCE, BASE_PREFERENCE]] = 3.0
    features = torch.ones(1, 1, 32, 32)
    features[..., 16:] = -1.0
    visible, infrared = torch.full((1, 1, 64, 64), 0.8), torch.full((1, 1, 64, 64), 0.2)
    with torch.no_grad():
        fused, _ = module(features, visible, infrared)
    # sigmoid(3) = .953
    assert float(fused[0, 0, 0, 0]) == pytest.approx(0.2 + 0.6 * 0.953, abs=1e-3)
    assert float(fused[0, 0, 0, -1]) == pytest.approx(0.8 - 0.6 * 0.953, abs=1e-3)
    assert fused.diff(dim=-1).abs().max() < 0.05


def test_tone_shifts_the_base():
    visible, infrared = (0.4 + 0.2 * image for image in images(16, 16))
    fused, _ = selection_with(tone=0.2)(torch.zeros(1, 1, 8, 8), visible, infrared)
    torch.testing.assert_close(fused, 0.5 * (visible + infrared) + 0.5 * torch.tanh(torch.tensor(0.2)))


def test_gain_adds_the_detail_of_its_source():
    visible, infrared = (0.4 + 0.2 * image for image in images(16, 16))
    fused, _ = selection_with(visible_gain=0.5)(torch.zeros(1, 1, 8, 8), visible, infrared)
    expected = 0.5 * (visible + infrared) + torch.tanh(torch.tensor(0.5)) * detail_of(visible)
    torch.testing.assert_close(fused, expected)


def test_detail_of_a_constant_is_nothing_up_to_the_border():
    assert detail_of(torch.full((1, 1, 7, 9), 0.7)).abs().max() < 1e-6


def test_clamp_keeps_a_hundredth_of_the_excess_in_training():
    values = torch.tensor([-1.0, 0.5, 3.0])
    assert soft_clamp(values, training=False).tolist() == [0.0, 0.5, 1.0]
    assert soft_clamp(values, training=True).tolist() == pytest.approx([-0.01, 0.5, 1.02])


def test_guidance_sends_the_visible_image_away():
    network = made("EPOFusionSNet")
    visible, infrared = images()
    with torch.no_grad():
        network.guidance[1].weight.zero_()
        network.guidance[1].bias.copy_(torch.tensor([0.0, 20.0]))
        fused, guidance = network.forward_with_guidance(visible, infrared)
    assert guidance.min() > 0.99
    torch.testing.assert_close(fused, infrared, atol=1e-3, rtol=0)


def test_guidance_that_says_no_changes_nothing():
    network = made("EPOFusionSNet")
    visible, infrared = images()
    with torch.no_grad():
        network.guidance[1].weight.zero_()
        network.guidance[1].bias.copy_(torch.tensor([20.0, 0.0]))
        visible = 0.8 * visible  # nothing saturated
        fused, guidance = network.forward_with_guidance(visible, infrared)
    assert guidance.max() < 0.01
    torch.testing.assert_close(fused, 0.5 * (visible + infrared))


def test_saturation_is_that_of_the_brightest_neighbour():
    visible = torch.full((1, 1, 5, 5), 0.5)
    visible[..., 2, 2] = 0.94
    # Halfway between .9, where it begins, and .98, where it is complete.
    expected = torch.zeros(1, 1, 5, 5)
    expected[..., 1:4, 1:4] = 0.5
    torch.testing.assert_close(saturation(visible), expected)
    assert saturation(torch.ones(1, 1, 2, 2)).min() == 1


def test_enhanced_image_obeys_retinex_and_does_not_burn_out():
    torch.manual_seed(0)
    module = Illumination(8, darkest=0.08).eval()
    visible = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    illumination = module(torch.randn(1, 8, 16, 16) * 5, visible)
    enhanced = visible / illumination
    assert illumination.min() >= 0.08
    assert illumination.max() <= 1 + 1e-6
    assert enhanced.max() <= 1 + 1e-6
    assert (enhanced >= visible - 1e-6).all()


def test_noise_gain_of_the_enhancement_is_at_most_its_luminance_gain():
    # For one coarse illumination l: enhanced = v / (l + (1 - l) v); its slope is l / L^2, its gain 1 / L.
    coarse = torch.linspace(0.08, 1, 50)[:, None]
    visible = torch.linspace(0.001, 1, 200)[None].requires_grad_()
    illumination = coarse + (1 - coarse) * visible
    (slope,) = torch.autograd.grad((visible / illumination)[7].sum(), visible)
    assert (slope <= 1 / illumination[7] + 1e-5).all()
    assert (slope >= 0).all()


def test_detail_node_can_be_undone():
    torch.manual_seed(0)
    node = CompactDetail(8).double()
    features = torch.rand(1, 8, 6, 6, dtype=torch.float64)
    first, second = node(features).chunk(2, dim=1)
    log_scale, shift = node.rho_eta(second).chunk(2, dim=1)
    first = (first - shift) * torch.exp(-torch.tanh(log_scale))
    mixed = torch.cat([first, second - node.phi(first)], dim=1)
    torch.testing.assert_close(mixed, node.shuffle(features))


def test_gradient_magnitude_of_a_ramp_is_its_slope():
    ramp = torch.arange(8.0).expand(1, 2, 8, 8) * 0.1
    assert GradientMagnitude(2)(ramp)[..., 2:6, 2:6].flatten().tolist() == pytest.approx([0.1] * 32)
