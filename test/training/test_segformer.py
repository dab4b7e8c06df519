"""SegFormer of the transformers library, where it is installed."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusion_ros.configuration import configure
from fusion_ros.errors import InputError
from fusion_ros.perception import Segmenter, SegmenterConfig
from fusion_ros.training import segmenter
from fusion_ros.training.data.masked_pairs import MaskedPair
from fusion_ros.training.segformer import CHECKPOINT_NAME, SegFormer, class_weights, fit_segformer

NAMES = ("background", "thing")
TINY: dict[str, Any] = {"network": "segformer-b0", "epochs": 1, "views": 1, "batch": 2, "crop": 64, "image_size": 96}


@pytest.fixture(scope="module")
def pairs() -> segmenter.MaskedSet:
    found = []
    for number in range(4):
        mask = np.zeros((72, 96), np.uint8)
        mask[20:50, 10 + number : 40 + number] = 1
        visible = np.dstack([mask * 200] * 3)
        box = np.array([[10 + number, 20, 40 + number, 50]], np.float32)
        found.append(MaskedPair(str(number), visible, visible[:, :, 0].copy(), mask, box))
    return segmenter.MaskedSet(found, found[:2], NAMES)


def test_without_the_library_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def absent(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "transformers":
            raise ImportError(name)
        return genuine(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match="segformer-b0 needs the transformers library, which is not"):
        SegFormer("segformer-b0", 2)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError, match="'segformer-b9' is not one of segformer-b0"):
        SegFormer("segformer-b9", 2)


def test_rare_classes_weigh_more_as_far_as_asked(pairs: segmenter.MaskedSet) -> None:
    assert class_weights(pairs, 0.0).tolist() == [1.0, 1.0]
    background, thing = class_weights(pairs, 1.0).tolist()
    # 30 x 30 of 72 x 96 pixels are things: ENet's 1 / ln(1.02 + p) for p = 0.13 and 0.87.
    assert thing / background == pytest.approx(np.log(1.02 + 0.8698) / np.log(1.02 + 0.1302), rel=1e-3)


def test_training_ends_in_a_file_that_the_segmenter_runs_at_any_size(
    pairs: segmenter.MaskedSet, tmp_path: Path
) -> None:
    pytest.importorskip("transformers", reason="SegFormer is in the transformers library, which is optional")
    config = configure(segmenter.Config, {**TINY, "threads": 1})
    weights, steps = fit_segformer(pairs, tmp_path / "run", config, resume=False)
    assert steps == 2  # 4 pairs in batches of 2
    assert (tmp_path / "run" / CHECKPOINT_NAME).is_file()
    loaded = Segmenter(SegmenterConfig(weights=str(weights)))
    assert tuple(loaded.class_names.values()) == NAMES
    assert loaded.input_size == 96
    assert loaded.segment(pairs.training[0].visible).class_id.shape == (72, 96)
    assert loaded.segment(np.zeros((120, 50, 3), np.uint8)).class_id.shape == (120, 50)
    with pytest.raises(InputError, match="holds a run already"):
        fit_segformer(pairs, tmp_path / "run", config, resume=False)
    longer = configure(segmenter.Config, {"epochs": 2}, config)
    assert fit_segformer(pairs, tmp_path / "run", longer, resume=True)[1] == 4


def test_the_file_computes_what_the_network_does(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="SegFormer is in the transformers library, which is optional")
    import onnxruntime

    from fusion_ros.training.segformer import export_segformer

    torch.manual_seed(0)
    network = SegFormer("segformer-b0", 3).eval()
    path = export_segformer(network, tmp_path / "s.onnx", ("a", "b", "c"), 64)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    # Another size than the one that was traced.
    images = torch.rand(1, 3, 96, 160)
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        logits = network(images)[0]
    expected = logits.argmax(0).numpy()
    # Weights stored in half precision: classes may differ where two logits are nearly equal.
    two = logits.topk(2, 0).values
    sure = ((two[0] - two[1]) > 0.01).numpy()
    assert sure.mean() > 0.5
    assert (found[0] == expected)[sure].mean() > 0.99
