"""EPOFusion's blocks against the paper's equations, its sizes against its parameter count."""

import math

import pytest
import torch
import torch.nn.functional as F

from fusion_ros.networks import EPOFusionConfig, EPOFusionNet
from fusion_ros.networks.epofusion.diffusion import (
    coefficients,
    constant_coefficients,
    ddim_step,
    log_snr,
    sampling_times,
)
from fusion_ros.networks.epofusion.mscf import MSCF
from fusion_ros.networks.epofusion.refinement import DeformableAttention, sine_position

TINY = EPOFusionConfig(depths=(1, 1, 1, 1), widths=(8, 8, 16, 16), channels=64)


def pair(height=64, width=96, batch=1):
    torch.manual_seed(1)
    return torch.rand(batch, 1, height, width), torch.rand(batch, 1, height, width)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return EPOFusionNet(TINY).eval()


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


def test_parameters_of_the_paper_configuration():
    with torch.device("meta"):
        network = EPOFusionNet(EPOFusionConfig(output_gain=True))
        default = EPOFusionNet()
    # The released code's inference core; with its guidance head and a classifier (514) that nothing calls, 34,228,998.
    assert count(network.core_parameters()) == 33_637_634
    assert count(network.parameters()) == 34_228_998 - 514
    # Ours has no gain after the sigmoid: 1x1 from 1 to 8 and back, with biases.
    assert count(default.core_parameters()) == 33_637_634 - 25
    sizes = {name: count(part.parameters()) for name, part in network.named_children()}
    assert sizes == {
        "encoder": 27_819_936,
        "neck": 2_994_688,
        "guidance": 590_850,
        "time": 1_068_040,
        "embed": 148_352,
        "mix": 131_328,
        "refine": 1_207_648,
        "mscf": 267_642,
    }


def test_schedule_is_the_cosine_one():
    # log-SNR of a cosine schedule: signal^2 = cos^2(angle), where nothing is clamped.
    time = torch.tensor([1 / 3, 1 / 2, 2 / 3], dtype=torch.float64)
    angle = (time + 0.0002) / 1.00025 * math.pi / 2
    signal, noise = coefficients(time)
    torch.testing.assert_close(signal, torch.cos(angle))
    torch.testing.assert_close(noise, torch.sin(angle))
    # At t = 0 the clamp holds: log-SNR = -log(1e-5).
    assert log_snr(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(5 * math.log(10))


@pytest.mark.parametrize("time", [0.0, 1 / 3, 2 / 3, 1.0])
def test_constants_are_the_schedule(time):
    signal, noise = coefficients(torch.tensor(time, dtype=torch.float64))
    assert constant_coefficients(time) == pytest.approx((signal.item(), noise.item()), rel=1e-9)


def test_three_steps_walk_the_released_times():
    assert [value for step in sampling_times(3) for value in step] == pytest.approx([1, 1 / 3, 2 / 3, 0, 1 / 3, 0])


def test_a_perfect_estimate_comes_back_from_noise():
    torch.manual_seed(0)
    clean, latent = torch.randn(2, 1, 4, 5, 5, dtype=torch.float64)
    for now, after in [(1.0, 2 / 3), (2 / 3, 1 / 3), (1 / 3, 0.0)]:
        latent = ddim_step(latent, clean, now, after)
    # At t = 0 the schedule keeps a noise of s = sqrt(1e-5 / (1 + 1e-5)).
    assert (latent - clean).abs().max() < 4 * math.sqrt(1e-5) * 1.1


def test_a_step_stays_on_the_path_of_its_noise():
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 5, 5, dtype=torch.float64)
    (signal_now, noise_now), (signal_next, noise_next) = constant_coefficients(0.8), constant_coefficients(0.3)
    stepped = ddim_step(signal_now * clean + noise_now * noise, clean, 0.8, 0.3)
    torch.testing.assert_close(stepped, signal_next * clean + noise_next * noise)


def test_split_convolution_is_the_whole_one():
    torch.manual_seed(0)
    network = MSCF(64).eval().double()
    features, images = torch.rand(1, 64, 8, 8).double(), torch.rand(1, 2, 32, 32).double()
    stacked = torch.cat([network.context(features), network.high_fidelity(images)], dim=1)
    expected = network.paint(network.cross_fusion(network.cross(stacked)))
    torch.testing.assert_close(network(features, network.high_fidelity_share(images)), expected)


def test_attention_without_offsets_averages_its_own_value():
    torch.manual_seed(0)
    attention = DeformableAttention(16, heads=4, points=2)
    with torch.no_grad():
        attention.offsets.bias.zero_()
    features = torch.rand(2, 6 * 5, 16)
    expected = attention.output(attention.value(features))
    torch.testing.assert_close(attention(features, features, 6, 5), expected)


def test_attention_offset_is_in_pixels_and_x_comes_first():
    torch.manual_seed(0)
    attention = DeformableAttention(16, heads=2, points=1)
    with torch.no_grad():
        attention.offsets.bias.copy_(torch.tensor([1.0, 0.0] * 2))
    features = torch.rand(1, 4 * 5, 16)
    attended = attention(features, features, 4, 5)
    values = attention.value(features).transpose(1, 2).reshape(1, 16, 4, 5)
    # The pixel to the right, zeros beyond the border.
    shifted = F.pad(values, (0, 1))[..., 1:]
    torch.testing.assert_close(attended, attention.output(shifted.flatten(2).transpose(1, 2)))


def test_heads_look_in_their_own_directions_at_first():
    attention = DeformableAttention(16, heads=8, points=4)
    offsets = attention.offsets.bias.detach().reshape(8, 4, 2)
    # Deformable DETR: head 0 to the right, head 2 down, the i-th point i pixels away.
    torch.testing.assert_close(offsets[0], torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(offsets[2], torch.tensor([[0, 1.0], [0, 2], [0, 3], [0, 4]]), atol=1e-6, rtol=0)


def test_position_of_the_first_pixel():
    encoding = sine_position(4, 8, 8, torch.zeros(()))
    # Row 0 of 4: phase 2 pi .5 / 4; column 0 of 8: 2 pi .5 / 8; the second pair of channels has period 100.
    row, column = math.pi / 4, math.pi / 8
    expected = [math.sin(row), math.cos(row), math.sin(row / 100), math.cos(row / 100)]
    expected += [math.sin(column), math.cos(column), math.sin(column / 100), math.cos(column / 100)]
    assert encoding[0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_eval_mode_gives_an_image_and_the_same_one_each_time(tiny):
    visible, infrared = pair(32, 64, batch=2)
    with torch.no_grad():
        fused = tiny(visible, infrared)
        again = tiny(visible, infrared)
        alone = tiny(visible[:1], infrared[:1])
    assert fused.shape == visible.shape
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert torch.equal(fused, again)
    torch.testing.assert_close(alone, fused[:1])


def test_start_of_the_sampler_can_be_given(tiny):
    visible, infrared = pair(32, 32)
    with torch.no_grad():
        fused, guidance = tiny.forward_with_guidance(visible, infrared)
        other, _ = tiny.forward_with_guidance(visible, infrared, start=torch.ones(1, 64, 8, 8))
        assert torch.equal(fused, tiny(visible, infrared))
    assert not torch.equal(fused, other)
    assert guidance.shape == visible.shape
    assert guidance.min() >= 0
    assert guidance.max() <= 1


def test_train_mode_gives_what_the_losses_need():
    torch.manual_seed(0)
    network = EPOFusionNet(TINY).train()
    visible, infrared = pair(32, 64, batch=3)
    output = network(visible, infrared)
    assert output.fused.shape == visible.shape
    assert output.guidance.shape == (3, 2, 8, 16)
    assert output.noise.shape == output.predicted_noise.shape == output.embedding.shape == (3, 64, 8, 16)
    assert output.signal_to_noise.shape == (3,)
    assert not output.embedding.requires_grad


def test_predicted_noise_is_right_for_a_perfect_image(monkeypatch):
    torch.manual_seed(0)
    network = EPOFusionNet(TINY).train()
    visible, infrared = pair(32, 32)
    monkeypatch.setattr(network, "_step", lambda *_: 0.5 * (visible + infrared))
    output = network(visible, infrared)
    torch.testing.assert_close(output.predicted_noise, output.noise, atol=1e-3, rtol=1e-3)


def test_encoder_sees_the_augmented_image_and_the_target_the_clean_one():
    torch.manual_seed(0)
    network = EPOFusionNet(TINY).train()
    visible, infrared = pair(32, 32, batch=2)
    torch.manual_seed(5)
    plain = network(visible, infrared)
    torch.manual_seed(5)
    augmented = network(visible * 0.5, infrared, clean_visible=visible)
    assert torch.equal(plain.embedding, augmented.embedding)
    assert not torch.equal(plain.guidance, augmented.guidance)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps: 0"):
        EPOFusionConfig(steps=0)
