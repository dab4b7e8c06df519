"""A fleet of workers ends with the numbers of one pass in one process, whatever happens to a worker."""

from __future__ import annotations

import csv
import os
import signal

import cv2
import numpy as np
import pytest
from recordings import write_bag

from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.engine import EngineConfig
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.scores import TIME
from fusion_ros.fusion import load_model

CONFIG = EvaluationConfig(modes="guided,caf=x")
RAY = EngineConfig(engine="ray", workers=2, shard_frames=3)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One cluster for all tests here; the engine uses the one that the process is connected to."""
    pytest.importorskip("ray", reason="Ray is not installed (pip install -r requirements/fleet.txt)")
    from fusion_ros.evaluation.ray_workers import RayWorkers

    with RayWorkers("", 2, "cpu"):
        yield


def without_times(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name != TIME} for row in csv.DictReader(file)]


def pictures(out):
    return {path.name: path.read_bytes() for path in (out / "pictures").iterdir()}


def comparable(summary):
    kept = {name: summary[name] for name in ("input", "frames", "conditions", "dropped", "lost", "unusable", "models")}
    means = {mode: {k: v for k, v in facts["mean"].items() if k != TIME} for mode, facts in summary["modes"].items()}
    recordings = {name: (facts["frames"], facts["conditions"]) for name, facts in summary["recordings"].items()}
    return kept | {"means": means, "recordings": recordings}


def test_shards_end_with_the_numbers_of_one_pass(tmp_path, pairs_folder, loader):
    long = write_bag(tmp_path / "long", frames=11, raw_counts=True)
    short = write_bag(tmp_path / "short", frames=2, raw_counts=True)
    inputs = [long, short, pairs_folder]
    local, fleet = tmp_path / "local", tmp_path / "fleet"
    expected = evaluate(inputs, local, CONFIG, loader=loader)
    steps = []
    got = evaluate(inputs, fleet, CONFIG, engine=RAY, loader=loader, progress=lambda *step: steps.append(step))
    # 11 pairs in four shards, 2 in one, 4 pictures in two.
    assert steps == [(done, 7) for done in range(8)]
    assert without_times(fleet / "frames.csv") == without_times(local / "frames.csv")
    assert comparable(got) == comparable(expected)
    assert pictures(fleet) == pictures(local)
    assert not (fleet / "shards").exists()


def test_an_interrupted_fleet_goes_on_with_what_is_missing(tmp_path, loader):
    bag = write_bag(tmp_path / "bag", frames=11, raw_counts=True)
    local, fleet = tmp_path / "local", tmp_path / "fleet"
    evaluate([bag], local, CONFIG, loader=loader)

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([bag], fleet, CONFIG, engine=RAY, loader=loader, progress=interrupt)
    assert not (fleet / "frames.csv").exists()
    with pytest.raises(InputError, match="engine was 'ray', now 'local'"):
        evaluate([bag], fleet, CONFIG, loader=loader, resume=True)
    other = EngineConfig(engine="ray", workers=1, shard_frames=5)
    with pytest.raises(InputError, match="shard_frames was 3, now 5"):
        evaluate([bag], fleet, CONFIG, engine=other, loader=loader, resume=True)
    # The second run works on with one worker only, and on shards that are not there yet.
    steps = []
    one = EngineConfig(engine="ray", workers=1, shard_frames=3)
    evaluate([bag], fleet, CONFIG, engine=one, loader=loader, resume=True, progress=lambda *step: steps.append(step))
    assert steps == [(2, 4), (3, 4), (4, 4)]
    assert without_times(fleet / "frames.csv") == without_times(local / "frames.csv")
    assert pictures(fleet) == pictures(local)


def test_the_loss_of_a_worker_costs_time_and_is_said(tmp_path, loader):
    bag = write_bag(tmp_path / "bag", frames=11, raw_counts=True)
    local, fleet = tmp_path / "local", tmp_path / "fleet"
    expected = evaluate([bag], local, CONFIG, loader=loader)
    here, killed = os.getpid(), tmp_path / "killed"

    class Deadly:
        """Kills its process once, in the middle of a shard, as the kernel does where memory is short."""

        def __init__(self):
            self.frames = 0

        def fuse(self, rgb, thermal):
            self.frames += 1
            if self.frames == 2 and os.getpid() != here and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return np.asarray(cv2.max(rgb, cv2.merge([thermal] * 3)), np.uint8)

        def warm_up(self, height, width):
            return 0.0

    def deadly(name, weights, device, backend, precision):
        return Deadly() if name in ("epofusion", "dfvo", "caf") else load_model(name, weights, device)

    got = evaluate([bag], fleet, CONFIG, engine=RAY, loader=deadly)
    assert killed.exists()
    assert len(got["notes"]) == 1
    assert "bag, pairs" in got["notes"][0]
    assert "its worker was lost" in got["notes"][0]
    assert without_times(fleet / "frames.csv") == without_times(local / "frames.csv")
    assert comparable(got) == comparable(expected)


def test_a_recording_that_cannot_be_used_costs_the_others_nothing(tmp_path, loader):
    bag = write_bag(tmp_path / "bag", frames=3)
    other = write_bag(tmp_path / "other", frames=3, rgb_topic="/front/image")
    expected = evaluate([other, bag], tmp_path / "local", CONFIG, loader=loader)
    got = evaluate([other, bag], tmp_path / "fleet", CONFIG, engine=RAY, loader=loader)
    assert "other is left out" in got["lost"][0]
    assert got["lost"] == expected["lost"]
    assert without_times(tmp_path / "fleet" / "frames.csv") == without_times(tmp_path / "local" / "frames.csv")
    # Alone, it is bad input; and so is one that does not exist.
    with pytest.raises(InputError, match="no topic '/rgb/image'"):
        evaluate([other], tmp_path / "alone", CONFIG, engine=RAY, loader=loader)
    with pytest.raises(InputError, match="missing: there is no such"):
        evaluate([bag, tmp_path / "missing"], tmp_path / "alone", CONFIG, engine=RAY, loader=loader)
