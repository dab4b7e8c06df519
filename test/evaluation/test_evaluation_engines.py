"""A fleet of workers ends with the numbers of one pass in one process, whatever happens to a worker."""

from __future__ import annotations

import csv

import pytest
from recordings import write_bag

from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.engine import EngineConfig
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.scores import TIME

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
