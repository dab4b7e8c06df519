"""The one description of the node graph."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fusion_ros.ros.graph import command, fusion_pipeline, resolved


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


def test_mode_and_backend_are_the_fusion_nodes_alone():
    nodes = by_name(fusion_pipeline(mode="caf", backend="torch", device="cpu"))
    assert nodes["fusion"].parameters.items() >= {"mode": "caf", "backend": "torch", "device": "cpu"}.items()
    # The shipped detector is a .onnx file, which no other backend can run.
    assert not {"mode", "backend"} & set(nodes["detection"].parameters)
    assert nodes["detection"].parameters["device"] == "cpu"
    (process,) = fusion_pipeline(backend="torch", composed=True)
    assert process.arguments[-2:] == ("--backend", "torch")
    assert "backend" not in process.parameters


def test_bag_brings_its_own_clock_and_a_player_that_starts_last():
    specs = fusion_pipeline(bag="drive.mcap", bag_rate=2.0, bag_loop=True)
    assert specs[-1].executable == "player_node"
    assert dict(specs[-1].parameters) == {"bag": "drive.mcap", "rate": 2.0, "loop": True}
    assert all(spec.parameters["use_sim_time"] is True for spec in specs[:-1])


def reliable_inputs(spec):
    """Topics that a process is told to subscribe to reliably."""
    before, after = "qos_overrides.", ".subscription.reliability"
    return {name[len(before) : -len(after)] for name, value in spec.parameters.items() if value == "reliable"}


def test_links_between_our_own_nodes_are_reliable():
    nodes = by_name(fusion_pipeline(namespace="car"))
    assert reliable_inputs(nodes["detection"]) == reliable_inputs(nodes["segmentation"]) == {"/car/fusion/image"}
    # A camera's driver usually publishes best effort, which a reliable subscriber does not hear.
    assert reliable_inputs(nodes["fusion"]) == set()


@pytest.mark.parametrize("composed", [False, True])
def test_a_replayed_bag_is_heard_reliably_under_the_topics_it_plays(composed):
    fusion = fusion_pipeline(bag="drive", rgb_topic="/front/image", namespace="car", composed=composed)[0]
    assert {"/front/image", "/front/image/compressed", "/car/thermal/image"} <= reliable_inputs(fusion)


def test_a_parameter_file_that_sets_the_reliability_has_the_last_word(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(
        "/**/detection:\n  ros__parameters:\n    qos_overrides./fusion/image.subscription.reliability: best_effort\n"
    )
    nodes = by_name(fusion_pipeline(params_file=str(file)))
    assert reliable_inputs(nodes["detection"]) == set()
    assert reliable_inputs(by_name(fusion_pipeline(params_file=str(file), namespace="car"))["detection"])


@pytest.mark.parametrize(
    ("namespace", "topic", "name"),
    [
        ("", "rgb/image", "/rgb/image"),
        ("front", "rgb/image", "/front/rgb/image"),
        ("/front/", "rgb/image", "/front/rgb/image"),
        ("front", "/camera/image_raw", "/camera/image_raw"),
    ],
)
def test_topics_are_resolved_as_nodes_do(namespace, topic, name):
    assert resolved(topic, namespace) == name


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
