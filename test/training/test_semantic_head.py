"""Both of ultralytics' ways to a semantic segmenter."""

from __future__ import annotations

import pytest
import torch

from fusion_ros.perception.ultralytics_environment import import_ultralytics

import_ultralytics()
from ultralytics.nn.tasks import SemanticSegmentationModel, yaml_model_load  # noqa: E402

from fusion_ros.training.segmenter_trainer import with_semantic_head  # noqa: E402


@pytest.mark.parametrize("network", ["yolo11n.yaml", "yolo26n-sem.yaml"])
def test_a_description_becomes_a_network_with_a_score_for_every_class_of_every_cell(network: str) -> None:
    model = SemanticSegmentationModel(with_semantic_head(yaml_model_load(network)), nc=5, verbose=False).eval()
    with torch.no_grad():
        scores = model(torch.zeros(1, 3, 64, 96))
    scores = scores[0] if isinstance(scores, (tuple, list)) else scores
    assert scores.shape[:2] == (1, 5)
    # A grid of an eighth of the input, or already enlarged to it.
    assert scores.shape[2] * 96 == scores.shape[3] * 64


def test_a_detectors_backbone_and_neck_stay_where_they_are() -> None:
    detector = yaml_model_load("yolo11n.yaml")
    semantic = with_semantic_head(detector)
    assert semantic["backbone"] == detector["backbone"]
    kept = len(semantic["head"]) - 1
    assert semantic["head"][:kept] == detector["head"][:kept]
    assert semantic["head"][-1][2] == "SemanticSegment"
    own = yaml_model_load("yolo26n-sem.yaml")
    assert with_semantic_head(own) == own
