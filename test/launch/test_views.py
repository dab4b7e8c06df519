"""The RViz view and the Foxglove layout show the same five image streams, by the names the nodes publish."""

import json
from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).resolve().parent.parent.parent / "config"
IMAGES = {"/rgb/image", "/thermal/preview", "/fusion/image", "/detections/image", "/segmentation/image"}


def test_rviz_view_shows_the_five_images():
    displays = yaml.safe_load((CONFIG / "fusion.rviz").read_text())["Visualization Manager"]["Displays"]
    assert {display["Topic"]["Value"] for display in displays} == IMAGES
    assert all(display["Enabled"] for display in displays)
    # Cameras publish best effort: a reliable subscription would show nothing. Of our own images none is to be lost.
    for display in displays:
        expected = "Best Effort" if display["Topic"]["Value"] == "/rgb/image" else "Reliable"
        assert display["Topic"]["Reliability Policy"] == expected


def test_foxglove_layout_shows_the_five_images():
    panels = json.loads((CONFIG / "fusion_foxglove.json").read_text())["configById"]
    shown = {panel["imageMode"]["imageTopic"] for panel in panels.values() if "imageMode" in panel}
    assert shown == IMAGES


def panels_of(layout: object) -> set[str]:
    """Return the ids of the panels that a Foxglove layout tree places."""
    if isinstance(layout, dict):
        return panels_of(layout["first"]) | panels_of(layout["second"])
    return {str(layout)}


def test_foxglove_layout_places_every_panel_it_configures():
    document = json.loads((CONFIG / "fusion_foxglove.json").read_text())
    assert panels_of(document["layout"]) == set(document["configById"])


@pytest.mark.parametrize("node", ["fusion", "detection", "segmentation"])
def test_foxglove_layout_plots_the_latency_of_every_node(node: str):
    panels = json.loads((CONFIG / "fusion_foxglove.json").read_text())["configById"]
    plotted = {path["value"] for panel in panels.values() for path in panel.get("paths", [])}
    assert f"/{node}/debug/latency_ms.data" in plotted
