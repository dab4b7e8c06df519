import json
from pathlib import Path

import pytest

from fusion_ros.cli import main

TINY = ["data.image_size=96", "data.crop=32", "device=cpu", "threads=1", "perception.init=random", "batch=2"]
TINY += ["search.steps=3", "search.warm_up=1", "fusion.steps=2", "adaptation.steps=2", "features=detector"]


@pytest.fixture
def options(tmp_path):
    """Options of a search that takes a second, and a labelled set of ten pairs."""
    import cv2
    import numpy as np

    folder = tmp_path / "data"
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(6):
        for part, shape in (("ir", (72, 96)), ("vi", (72, 96, 3))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / part / f"{number}.png"), random.integers(0, 256, shape).astype(np.uint8))
        images.append({"id": number, "file_name": f"{number}.png"})
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [20, 20, 30, 24]})
    labels = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "labels.coco.json").write_text(json.dumps(labels))
    return ["--data", str(folder), "--out", str(tmp_path / "run"), *(word for one in TINY for word in ("--set", one))]


def test_search_leaves_loss_report_and_networks(options, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["search", "caf", "--task", "detection", "--network", "caf-s", "--json", *options]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["step"], result["finished"]) == (3, True)
    assert (out / "fusion" / "weights.safetensors").is_file()
    assert (out / "adaptation" / "weights.safetensors").is_file()
    page = (out / "report.html").read_text()
    assert "Loss search: caf-s for detection" in page
    assert "the shipped detector" in page
    assert "l1_masked_infrared" in page
    # Self-contained: nothing is fetched.
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_searched_loss_trains_with_one_command(options, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["search", "caf", "--network", "caf-s", *options, "--set", "max_minutes=0.000001"]) == 0
    words = capsys.readouterr().out
    assert "continue with --resume" in words
    assert f"fusion-ros train caf-s --config {out / 'loss.yaml'}" in words
    assert "not finished" in (out / "report.html").read_text()
    data = tmp_path / "sets" / "set"
    data.parent.mkdir()
    data.symlink_to(tmp_path / "data")
    small = ["steps=1", "batch=1", "data.sets=set", "data.crop=64", "validation_pairs=1", "device=cpu"]
    for network in ("caf", "caf-s"):
        run = tmp_path / network
        words = ["train", network, "--config", str(out / "loss.yaml"), "--data", str(data.parent), "--out", str(run)]
        assert main([*words, *(word for one in small for word in ("--set", one))]) == 0
        settings = json.loads((run / "config.json").read_text())
        assert settings["searched.use"] is True
        assert settings["searched.l1_max"] == pytest.approx(1 / 15, abs=1e-5)


def test_shipped_settings_are_valid():
    from fusion_ros.commands.train import read_settings
    from fusion_ros.configuration import configure
    from fusion_ros.training.search.config import Config

    file = Path(__file__).resolve().parents[2] / "config" / "train" / "search_caf.yaml"
    assert configure(Config, read_settings(file)).search.decay == 0.998


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dfvo"], "'dfvo'"),
        (["caf", "--network", "resnet"], "resnet"),
        (["caf", "--task", "depth"], "depth"),
        (["caf", "--set", "search.stepz=3"], "search.stepz"),
        (["caf", "--set", "search.rate=-1"], "search.rate"),
        (["caf", "--data", "nowhere"], "nowhere"),
        (["caf", "--config", "none.yaml"], "none.yaml"),
        (["caf", "--set", "features=nowhere.onnx"], "nowhere.onnx"),
        (["caf", "--set", "perception.init=nowhere.pt"], "nowhere.pt"),
    ],
)
def test_bad_input_is_refused(options, capsys, arguments, message, tmp_path):
    assert main(["search", arguments[0], *options, *arguments[1:]]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
