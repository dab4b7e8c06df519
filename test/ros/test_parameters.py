"""One table of parameters: descriptors, YAML, documentation and nodes agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fusion_ros.ros.documentation import MARKDOWN_PATH, YAML_PATH, page
from fusion_ros.ros.parameters import NODE_CONFIGS, default_yaml, parameter_table, type_name

REPOSITORY = Path(__file__).resolve().parents[2]

# specs of the public interface: name -> (default, changes while running). `documented` defaults are not repeated here.
PUBLIC_FUSION = {
    "autostart": (True, False),
    "mode": ("auto", True),
    "device": ("auto", False),
    "backend": ("auto", False),
    "precision": ("auto", False),
    "models.epofusion": ("", True),
    "models.dfvo": ("", True),
    "models.caf": ("", True),
    "sync.policy": ("nearest", False),
    "sync.slop": (0.03, False),
    "sync.queue_size": (10, False),
    "sync.thermal_offset": (0.0, True),
    "max_age": (0.5, True),
    "thermal.agc": ("percentile", True),
    "registration.homography": ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), True),
    "timeout": (0.5, True),
    "on_missing": ("passthrough", True),
    "output_width": (0, False),
    "output_height": (0, False),
}


def test_public_parameters_have_their_names_defaults_and_times_of_change():
    table = {found.name: (found.default, found.runtime) for found in parameter_table("fusion")}
    assert {name: table.get(name) for name in PUBLIC_FUSION} == PUBLIC_FUSION
    assert {"selector.glare_enter", "selector.glare_exit", "selector.dark_enter", "selector.dark_exit"} <= set(table)
    assert {"rgb_transport", "thermal_transport", "selector.dwell"} <= set(table)


@pytest.mark.parametrize(
    ("node", "names"),
    [
        (
            "detection",
            {"weights", "device", "backend", "confidence", "iou", "classes", "max_detections", "input_size"},
        ),
        ("segmentation", {"weights", "device", "backend", "input_size", "palette"}),
    ],
)
def test_perception_nodes_have_their_public_parameters(node, names):
    assert names <= {found.name for found in parameter_table(node)}


@pytest.mark.parametrize("node", NODE_CONFIGS)
def test_every_parameter_is_described_once_and_its_default_is_allowed(node):
    table = parameter_table(node)
    assert len({found.name for found in table}) == len(table)
    for found in table:
        assert len(found.description) > 10, found.name
        assert found.check(found.default) == found.default


def test_yaml_on_disk_is_the_table():
    text = (REPOSITORY / YAML_PATH).read_text(encoding="utf-8")
    assert text == default_yaml(), "run python -m fusion_ros.ros.documentation"
    loaded = yaml.safe_load(text)
    for node in NODE_CONFIGS:
        values = loaded[f"/**/{node}"]["ros__parameters"]
        expected = {
            found.name: list(found.default) if isinstance(found.default, tuple) else found.default
            for found in parameter_table(node)
        }
        assert values == expected
        assert [type(value) for value in values.values()] == [type(value) for value in expected.values()]


def test_page_on_disk_is_the_table():
    text = (REPOSITORY / MARKDOWN_PATH).read_text(encoding="utf-8")
    assert text == page(), "run python -m fusion_ros.ros.documentation"
    for node in NODE_CONFIGS:
        for found in parameter_table(node):
            assert f"| `{found.name}` | {type_name(found.default)} |" in text


def test_page_lists_every_public_topic():
    text = page()
    for topic in (
        "rgb/image", "rgb/image/compressed", "thermal/image", "thermal/image/compressed", "rgb/camera_info",
        "fusion/image", "fusion/camera_info", "fusion/mode", "fusion/exposure", "fusion/guidance", "thermal/preview",
        "~/debug/overlay", "~/debug/processing_ms", "~/debug/latency_ms", "~/debug/pair_skew_ms", "image",
        "detections", "detections/image", "segmentation/mask", "segmentation/image", "~/label_info", "/diagnostics",
    ):  # fmt: skip
        assert f"| `{topic}` |" in text
