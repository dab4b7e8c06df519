"""The loop on a network that trains in a second; what it promises holds for every network."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from fusion_ros.configuration import configure
from fusion_ros.errors import InputError, JobError
from fusion_ros.training import caf
from fusion_ros.training.trainer import CHECKPOINT_NAME, Trainer


@pytest.fixture
def config(pairs_folder):
    values = {"data.folder": str(pairs_folder), "data.sets": "set", "data.crop": 16, "device": "cpu", "threads": 1}
    values |= {"steps": 6, "batch": 2, "learning_rate": 1e-3, "validate_every": 6, "checkpoint_every": 2}
    values |= {"schedule": "cosine", "warm_up": 2, "validation_pairs": 1}

    def make(**changes):
        return configure(caf.Config, {**values, **changes})

    return make


def _weights(folder):
    return load_file(folder / "weights.safetensors")


def test_training_lowers_the_loss(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = caf.train(config(steps=60, log_every=1, validate_every=60, schedule="constant"), tmp_path / "run", False)
    assert result.finished
    assert {"VIF", "Qabf", "SSIM"} <= result.metrics.keys()
    log = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    log.Reload()
    losses = [entry.value for entry in log.Scalars("loss/total")]
    # Most of the fall is in the first few steps: the mean of the last 20 against that of the first 5.
    assert sum(losses[-20:]) / 20 < 0.85 * sum(losses[:5]) / 5
    assert {"examples/0"} <= set(log.Tags()["images"])
    assert {"loss/l1_max", "validation/VIF", "schedule/learning_rate"} <= set(log.Tags()["scalars"])


def test_resumed_training_is_bit_for_bit_the_uninterrupted_one(config, tmp_path):
    caf.train(config(), tmp_path / "whole", False)
    partly = caf.train(config(max_minutes=1e-9), tmp_path / "parts", False)
    assert (partly.step, partly.finished) == (1, False)
    assert caf.train(config(), tmp_path / "parts", True).finished
    whole, parts = _weights(tmp_path / "whole"), _weights(tmp_path / "parts")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_killed_between_two_checkpoints_it_ends_in_the_same_weights(config, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    caf.train(config(), whole, False)

    class Killed(BaseException):
        """Nothing of the trainer may catch it, as nothing catches SIGKILL."""

    take_step = Trainer._take_step

    def killed_in_step_four(trainer, batches):
        if trainer._step == 3:
            raise Killed
        return take_step(trainer, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", killed_in_step_four)
        with pytest.raises(Killed):
            caf.train(config(), tmp_path / "parts", False)
    # Checkpoints are at steps 2, 4 and 6: step 3 is lost and done again.
    assert torch.load(tmp_path / "parts" / CHECKPOINT_NAME, weights_only=True)["step"] == 2
    assert caf.train(config(), tmp_path / "parts", True).finished
    first, second = _weights(whole), _weights(tmp_path / "parts")
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_checkpoint_of_more_processes_is_refused(config, tmp_path):
    caf.train(config(steps=2), tmp_path, False)
    path = tmp_path / CHECKPOINT_NAME
    state = torch.load(path, weights_only=True)
    torch.save({**state, "processes": 4}, path)
    with pytest.raises(InputError, match="was made by 4 processes"):
        caf.train(config(steps=4), tmp_path, True)


def test_two_small_passes_make_one_large_step(config, tmp_path):
    from fusion_ros.training.data.pairs import load_sets
    from fusion_ros.training.validation import FusionValidation

    def trained(**changes):
        settings = config(steps=1, warm_up=0, **changes)
        torch.manual_seed(0)
        training, held_out = load_sets(settings.data)
        task = caf.CAFTask(settings, training, FusionValidation(held_out, 1))
        for module in task.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                # Statistics of a batch differ from those of its halves; without them the gradients must agree.
                module.momentum, module.track_running_stats = 0.0, False
                module.forward = lambda features: features
        out = tmp_path / str(settings.trainer.batch)
        Trainer(task, settings.trainer, {}, out, False).run()
        return _weights(out)

    once, twice = trained(batch=4), trained(batch=2, accumulate=2)
    for key in once:
        torch.testing.assert_close(once[key], twice[key], atol=2e-5, rtol=1e-3)


def test_a_second_run_does_not_overwrite_the_first(config, tmp_path):
    caf.train(config(steps=1), tmp_path / "run", False)
    with pytest.raises(InputError, match="--resume"):
        caf.train(config(steps=1), tmp_path / "run", False)


def test_resuming_with_other_settings_names_them(config, tmp_path):
    caf.train(config(steps=1), tmp_path / "run", False)
    with pytest.raises(InputError, match=r"another learning_rate, loss\.l1_max"):
        caf.train(config(steps=1, learning_rate=1e-4, **{"loss.l1_max": 3.0}), tmp_path / "run", True)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["loss.l1_max"] != 3.0


def test_a_run_can_be_lengthened(config, tmp_path):
    caf.train(config(steps=2), tmp_path / "run", False)
    assert caf.train(config(steps=3), tmp_path / "run", True).step == 3
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 3


def test_damaged_checkpoint_is_refused(config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT_NAME).write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        caf.train(config(), tmp_path / "run", True)


def test_interruption_leaves_a_checkpoint(config, tmp_path, monkeypatch):
    steps = []
    take_step = Trainer._take_step

    def interrupted(self, batches):
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(self, batches)

    monkeypatch.setattr(Trainer, "_take_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        caf.train(config(checkpoint_every=100), tmp_path / "run", False)
    state = torch.load(tmp_path / "run" / CHECKPOINT_NAME, weights_only=True)
    assert state["step"] == 3


def test_full_disk_keeps_the_checkpoint_before(config, tmp_path, monkeypatch):
    caf.train(config(steps=2), tmp_path / "run", False)
    before = (tmp_path / "run" / CHECKPOINT_NAME).read_bytes()

    def full(state, file):
        file.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(JobError, match="No space left"):
        caf.train(config(steps=4), tmp_path / "run", True)
    assert (tmp_path / "run" / CHECKPOINT_NAME).read_bytes() == before
    assert sorted(path.suffix for path in (tmp_path / "run").iterdir() if path.is_file()) == [
        ".json",
        ".pt",
        ".safetensors",
    ]


def test_exploding_loss_is_a_failed_job(config, tmp_path, monkeypatch):
    monkeypatch.setattr(caf.CAFTask, "loss", lambda self, batch, step: (torch.tensor(float("nan")), {}))
    monkeypatch.setattr("accelerate.Accelerator.backward", lambda self, loss: None)
    with pytest.raises(JobError, match="the loss is nan"):
        caf.train(config(), tmp_path / "run", False)


def test_settings_out_of_range_are_refused(config, tmp_path):
    with pytest.raises(InputError, match="schedule"):
        config(schedule="sawtooth")


def test_settings_are_kept_beside_the_weights(config, tmp_path):
    caf.train(config(steps=1), tmp_path / "run", False)
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["steps"] == 1
    assert kept["loss.gradient_max"] == 10.0
