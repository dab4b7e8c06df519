"""Which stage is to blame."""

from __future__ import annotations

from fusion_ros.demo.delivery import behind, silent_stages
from fusion_ros.ros.received import Received

NODES = ("fusion", "detection", "segmentation")


def test_the_first_silent_stage_comes_first():
    assert silent_stages(Received(), NODES) == ["player", "fusion", "detection", "segmentation"]
    assert silent_stages(Received(rgb={1: 1}, fused={1: 2}, masks={1}), NODES) == ["detection"]


def test_a_stage_that_was_not_started_is_not_missed():
    assert silent_stages(Received(rgb={1: 1}, fused={1: 2}), ["fusion"]) == []


def test_a_stage_that_is_behind_is_named_with_its_numbers():
    received = Received(rgb={1: 1}, fused={stamp: stamp for stamp in range(10)}, masks=set(range(10)))
    said = behind(received, NODES, pair_count=20)
    assert len(said) == 2
    assert said[0].startswith("fusion answered 10 of 20 pairs")
    assert said[1].startswith("detection answered 0 of 10 fused images")
