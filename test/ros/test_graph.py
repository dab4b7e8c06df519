"""The one description of the node graph."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fusion_ros.ros.graph import command, fusion_pipeline


def by_name(specs):
    return {spec.name: spec for spec in specs}


def test_default_is_three_processes_wired_by_the_fused_image():
    nodes = by_name(fusion_pipeline())
    assert list(nodes) == ["fusion", "detection", "segmentation"]
    assert nodes["fusion"].remappings == ()
    assert nodes["detection"].remappings == nodes["segmentation"].remappings == (("image", "fusion/image"),)


def test_topics_are_remapped_with_their_compressed_form():
    (fusion,) = fusion_pipeline(rgb_topic="/front/image", detection=False, segmentation=False)
    assert dict(fusion.remappings) == {
        "rgb/image": "/front/image",
        "rgb/image/compressed": "/front/image/compressed",
    }


def test_what_is_not_given_is_left_to_the_parameter_file():
    nodes = by_name(fusion_pipeline(params_file="my.yaml", backend="onnx"))
    assert dict(nodes["fusion"].parameters) == {"use_sim_time": False, "backend": "onnx"}
    assert nodes["fusion"].params_file == nodes["detection"].params_file == "my.yaml"


def test_mode_is_the_fusion_nodes_alone():
    nodes = by_name(fusion_pipeline(mode="caf"))
    assert nodes["fusion"].parameters["mode"] == "caf"
    assert "mode" not in nodes["detection"].parameters


def test_bag_brings_its_own_clock_and_a_player_that_starts_last():
    specs = fusion_pipeline(bag="drive.mcap", bag_rate=2.0, bag_loop=True)
    assert specs[-1].executable == "player_node"
    assert dict(specs[-1].parameters) == {"bag": "drive.mcap", "rate": 2.0, "loop": True}
    assert all(spec.parameters["use_sim_time"] is True for spec in specs[:-1])


def test_one_process_hosts_the_same_nodes_under_their_own_names():
    (spec,) = fusion_pipeline(composed=True, segmentation=False, rgb_topic="/front/image", namespace="car")
    assert spec.executable == "pipeline_node"
    assert spec.name is None
    assert spec.arguments == ("--nodes", "fusion", "detection")
    assert ("fusion:rgb/image", "/front/image") in spec.remappings
    assert ("detection:image", "fusion/image") in spec.remappings
    arguments = spec.ros_arguments()
    assert "__ns:=/car" in arguments
    assert not any(argument.startswith("__node") for argument in arguments)


@pytest.mark.parametrize(
    ("value", "written"), [("10", '"10"'), (True, "true"), (0.5, "0.5"), ("it's", '"it\'s"')], ids=str
)
def test_values_keep_their_type_on_the_command_line(value, written):
    (spec,) = fusion_pipeline(mode=value, detection=False, segmentation=False)
    assert f"mode:={written}" in command(spec)


def test_description_needs_neither_rclpy_nor_torch():
    code = "import sys, fusion_ros.ros.graph; print(sorted({'rclpy', 'torch', 'launch'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
