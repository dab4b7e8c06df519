"""A recording in shards: each reads its own part of the file and ends with the numbers of one pass."""

from __future__ import annotations

import csv
import io
import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
from recordings import PERIOD, START, scene, write_bag

from fusion_ros.bags.writer import BagWriter
from fusion_ros.errors import InputError
from fusion_ros.evaluation.bag_source import BagSource
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.scores import TIME
from fusion_ros.evaluation.shard_store import ShardStore
from fusion_ros.evaluation.shard_worker import ShardResult, ShardWorker, Unusable, WorkOrder
from fusion_ros.evaluation.survey import Survey, shards_of
from fusion_ros.fusion import load_model
from fusion_ros.types import Frame

CONFIG = EvaluationConfig(modes="caf=x,guided", pictures=0)
FRAMES = 26
# What compares a frame with the one scored before it.
BETWEEN_FRAMES = {"flicker", "pumping"}


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """Glare, darkness and neither in turn; counts that drift; a sensor that freezes and one useless thermal image."""
    path = tmp_path_factory.mktemp("shards") / "drive"
    with BagWriter(path) as bag:
        for index in range(FRAMES):
            rgb, thermal = scene(index)
            rgb = np.clip(rgb.astype(int) + (0, 140, -140)[index // 8 % 3], 0, 255).astype(np.uint8)
            counts = thermal.astype(np.float32) * 20 + 7000 + 90 * index
            if 10 <= index < 17:
                counts = np.tile(np.arange(64, dtype=np.float32), (48, 1)) + 7000
            if index == 19:
                counts[:] = np.nan
            stamp = START + index * PERIOD
            bag.write_image("/rgb/image", Frame(rgb, stamp))
            bag.write_image("/thermal/image", Frame(counts, stamp + 10_000_000))
    return path


@pytest.fixture(scope="module")
def in_one_pass(drive):
    """Rows of the local engine."""
    evaluate([drive], drive.parent / "whole", CONFIG, loader=tints)
    with (drive.parent / "whole" / "frames.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != TIME} for row in csv.DictReader(file)]


def tints(name, weights, device, backend, precision):
    """Networks that differ, so that a fade shows."""
    floors = {"epofusion": 90, "dfvo": 140, "caf": 30}

    class Tint:
        def fuse(self, rgb, thermal):
            return cv2.max(rgb // 2, np.maximum(cv2.merge([thermal] * 3), floors[name]))

        def warm_up(self, height, width):
            return 0.0

    return Tint() if name in floors else load_model(name, weights, device)


def in_shards(survey, size, worker):
    """Rows of all shards, each from a memory that has travelled."""
    rows, memory = [], None
    shards = shards_of(0, survey, size)
    for shard in shards:
        result = worker.score(survey, shard, memory)
        rows += list(csv.DictReader(io.StringIO(result.rows.decode())))
        if shard is not shards[-1]:
            assert shard.stop is not None
            memory = worker.follow(survey, max(0, shard.first - 1), shard.stop - 1, memory)
            memory = pickle.loads(pickle.dumps(memory))
    return [{name: value for name, value in row.items() if name != TIME} for row in rows]


@pytest.mark.parametrize("size", [5, 13])
def test_shards_have_the_numbers_of_one_pass(drive, in_one_pass, size):
    expected = in_one_pass
    # There is something to get wrong: all modes come up, and pairs are left out.
    assert {row["used"] for row in expected if row["mode"] == "auto"} >= {"caf", "epofusion", "dfvo"}
    assert len({row["frame"] for row in expected}) < FRAMES
    worker = ShardWorker(WorkOrder(CONFIG, loader=tints))
    survey = worker.survey("", [str(drive)])
    assert in_shards(pickle.loads(pickle.dumps(survey)), size, worker) == expected


@pytest.mark.parametrize("stride", [2, 3])
def test_pairs_between_those_that_are_scored_count_for_all_that_has_a_memory(drive, in_one_pass, tmp_path, stride):
    keys = [str(START + index * PERIOD) for index in range(0, FRAMES, stride)]
    expected = [row for row in in_one_pass if row["frame"] in keys]
    assert {row["used"] for row in expected if row["mode"] == "auto"} >= {"caf", "epofusion", "dfvo"}
    config = replace(CONFIG, stride=stride)
    out = tmp_path / "out"

    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([drive], out, config, loader=tints, progress=interrupt)
    summary = evaluate([drive], out, config, loader=tints, resume=True)
    with (out / "frames.csv").open(newline="") as file:
        rows = [{name: value for name, value in row.items() if name != TIME} for row in csv.DictReader(file)]
    assert without(BETWEEN_FRAMES, rows) == without(BETWEEN_FRAMES, expected)
    assert summary["frames"] == len({row["frame"] for row in expected})
    worker = ShardWorker(WorkOrder(config, loader=tints))
    survey = worker.survey("", [str(drive)])
    assert survey.keys == keys
    assert in_shards(survey, 4, worker) == rows


def without(columns, rows):
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize(("first", "stop"), [(0, 1), (0, 5), (3, 7), (8, None), (9, 10)])
def test_a_stretch_of_a_bag_has_the_pairs_of_the_whole(tmp_path, storage, first, stop):
    # The recorder gets the images late and out of their order.
    rng = np.random.default_rng(0)
    with BagWriter(tmp_path / "bag", storage=storage) as bag:
        arrivals = sorted(
            (START + index * PERIOD + int(rng.integers(0, 3 * PERIOD)), index, side)
            for index in range(10)
            for side in (0, 1)
        )
        for received, index, side in arrivals:
            stamp = START + index * PERIOD + side * 10_000_000
            topic = ("/rgb/image", "/thermal/image")[side]
            bag.write_image(topic, Frame(scene(index)[side], stamp), received)
    config = EvaluationConfig(slop=0.02)
    whole = BagSource(tmp_path / "bag", config)
    part = BagSource(tmp_path / "bag", config, pickle.loads(pickle.dumps(whole.plan)))
    try:
        expected = [(pair.key, pair.seconds, pair.load()) for pair in whole.pairs()][first:stop]
        got = [(pair.key, pair.seconds, pair.load()) for pair in part.pairs(first, stop)]
    finally:
        whole.close()
        part.close()
    assert [pair[:2] for pair in got] == [pair[:2] for pair in expected]
    for (_, _, one), (_, _, other) in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one.rgb.image, other.rgb.image)
        np.testing.assert_array_equal(one.thermal.image, other.thermal.image)


def test_a_stretch_reads_no_more_than_its_part(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "bag", frames=30)
    source = BagSource(bag, EvaluationConfig())
    seen = []
    messages = source._bag.messages
    monkeypatch.setattr(source._bag, "messages", lambda *limits: (seen.append(m) or m for m in messages(*limits)))
    assert len(list(source.pairs(20, 24))) == 4
    source.close()
    assert len(seen) == 8


@pytest.mark.parametrize(("total", "size"), [(1, 2), (100, 100), (101, 100), (250, 100), (7, 2)])
def test_shards_are_even_and_leave_nothing_out(total, size):
    survey = Survey("", ("bag",), "bag", True, [str(index) for index in range(total)], {}, [], None)
    shards = shards_of(3, survey, size)
    lengths = [(total if shard.stop is None else shard.stop) - shard.first for shard in shards]
    assert sum(lengths) == total
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len({shard.name for shard in shards}) == len(shards)


def test_what_is_not_known_beforehand_is_not_divided():
    survey = Survey("", ("rgb.mp4", "thermal.mp4"), "video", True, None, {}, [], None)
    assert [(shard.first, shard.stop) for shard in shards_of(0, survey, 2)] == [(0, None)]


def test_a_kept_shard_is_of_the_recording_as_it_is_now(tmp_path):
    survey = Survey("", ("bag",), "bag", True, ["1", "2", "3"], {}, [], None)
    changed = Survey("", ("bag",), "bag", True, ["1", "2", "4"], {}, [], None)
    first, last = shards_of(0, survey, 2)
    store = ShardStore(tmp_path / "shards")
    assert not store.has(last, survey)
    store.keep(last, survey, ShardResult(b"header\nrow\n", b"", {}))
    assert store.has(last, survey)
    assert not store.has(last, changed)
    assert not store.has(first, survey)
    store.remove()
    assert not store.has(last, survey)


def test_a_survey_tells_what_is_not_there_from_what_cannot_be_used(tmp_path):
    worker = ShardWorker(WorkOrder(CONFIG))
    other = write_bag(tmp_path / "other", frames=1, rgb_topic="/front/image")
    found = worker.survey("other", [str(other)])
    assert isinstance(found, Unusable)
    assert "no topic '/rgb/image'" in found.reason
    with pytest.raises(InputError, match="missing: there is no such recording"):
        worker.survey("missing", [str(tmp_path / "missing")])
