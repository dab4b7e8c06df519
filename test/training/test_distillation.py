"""Distillation on tiny networks."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fusion_ros import networks
from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import write_safetensors
from fusion_ros.training.distillation import DistillationConfig, Teacher, load_teacher, with_teacher

TEACHERS = {"caf-s": "CAFNet", "epofusion-s": "EPOFusionNet", "dfvo-s": "DFVONet"}
SMALL = {
    "CAFNet": networks.CAFConfig(),
    "EPOFusionNet": networks.EPOFusionConfig(depths=(1, 1, 1, 1), widths=(8, 8, 8, 8), channels=64),
    "DFVONet": networks.DFVOConfig(channels=(4, 4, 8, 8), attention_channels=16, key_channels=4),
}


@pytest.fixture(scope="module")
def pair_set(tmp_path_factory):
    """A folder with one set of three pairs of 80x96."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part in ("vi", "ir"):
        (root / "set" / part).mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(
                str(root / "set" / part / f"{index}.png"), random.integers(0, 256, (80, 96, 3)).astype(np.uint8)
            )
    return root


def _save(path, name):
    torch.manual_seed(0)
    network = getattr(networks, name)(SMALL[name])
    write_safetensors(path, network.state_dict(), name, dataclasses.asdict(network.config))
    return network.eval()


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)


def test_the_distance_to_the_teachers_own_picture_is_nothing(tmp_path, images):
    network = _save(tmp_path / "caf.safetensors", "CAFNet")
    teacher = Teacher(DistillationConfig(teacher=str(tmp_path / "caf.safetensors")), "CAFNet", 32)
    with torch.no_grad():
        fused = network(*images)
    assert float(teacher.distance(fused, *images)) == pytest.approx(0, abs=1e-5)


def test_a_brighter_picture_is_as_far_as_it_is_brighter(tmp_path, images):
    network = _save(tmp_path / "caf.safetensors", "CAFNet")
    config = DistillationConfig(str(tmp_path / "caf.safetensors"), teacher_intensity=2.0, teacher_gradient=7.0)
    with torch.no_grad():
        fused = network(*images) + 0.25
    fused.requires_grad_()
    distance = Teacher(config, "CAFNet", 32).distance(fused, *images)
    # Constant offset: L1 is .25, weighted 2; no derivative changes.
    assert float(distance.detach()) == pytest.approx(0.5, abs=1e-4)
    distance.backward()
    assert fused.grad is not None
    assert float(fused.grad.abs().sum()) > 0


def test_gradients_are_compared_with_their_signs(tmp_path, images):
    network = _save(tmp_path / "caf.safetensors", "CAFNet")
    config = DistillationConfig(str(tmp_path / "caf.safetensors"), teacher_intensity=0.0, teacher_gradient=1.0)
    with torch.no_grad():
        fused = network(*images)
    ramp = torch.arange(32.0).view(1, 1, 1, 32) * 0.01
    # The ramp adds .01 to the derivative along x; repeated borders halve it in 2 of 32 columns.
    assert float(Teacher(config, "CAFNet", 32).distance(fused + ramp, *images)) == pytest.approx(0.01 * 31 / 32, 1e-3)


def test_without_a_teacher_the_loss_stays(images):
    assert load_teacher(DistillationConfig(), "CAFNet", 96) is None
    total, terms = with_teacher(torch.tensor(1.5), {"a": torch.tensor(1.0)}, None, *images, images[0])
    assert float(total) == 1.5
    assert list(terms) == ["a"]


def test_another_networks_file_is_refused(tmp_path):
    _save(tmp_path / "caf.safetensors", "CAFNet")
    with pytest.raises(InputError, match="another network"):
        Teacher(DistillationConfig(teacher=str(tmp_path / "caf.safetensors")), "DFVONet", 96)


def test_crops_must_fit_the_teacher(tmp_path):
    _save(tmp_path / "epo.safetensors", "EPOFusionNet")
    with pytest.raises(InputError, match="no multiple of 32"):
        Teacher(DistillationConfig(teacher=str(tmp_path / "epo.safetensors")), "EPOFusionNet", 80)


@pytest.mark.parametrize("name", TEACHERS)
def test_every_compact_training_takes_a_teacher(name, tmp_path, pair_set):
    teacher = TEACHERS[name]
    _save(tmp_path / "teacher.safetensors", teacher)
    settings = ["data.sets=set", "data.crop=64", "batch=2", "steps=2", "log_every=1", "validation_pairs=1", "threads=1"]
    settings.append(f"teacher={tmp_path / 'teacher.safetensors'}")
    words = [word for text in settings for word in ("--set", text)]
    out = tmp_path / "run"
    assert main(["train", name, "--data", str(pair_set), "--out", str(out), *words]) == 0
    log = EventAccumulator(str(out / "tensorboard"))
    log.Reload()
    values = [event.value for event in log.Scalars("loss/teacher")]
    assert len(values) == 2
    assert all(value > 0 for value in values)
