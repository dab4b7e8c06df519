import dataclasses
import json

import pytest

from fusion_ros.cli import main


@pytest.fixture
def untrained(tmp_path):
    import torch

    from fusion_ros.fusion.weights import write_safetensors
    from fusion_ros.networks import CAFNet

    torch.manual_seed(0)
    network = CAFNet()
    path = tmp_path / "run" / "weights.safetensors"
    write_safetensors(path, network.state_dict(), "CAFNet", dataclasses.asdict(network.config))
    return path


@pytest.fixture
def models(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "other.onnx").write_bytes(b"other")
    (folder / "manifest.yaml").write_text(
        "models:\n  other:\n    task: detection\n    files:\n"
        # sha256 of b"other"
        "      other.onnx: d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa\n"
    )
    monkeypatch.setenv("FUSION_ROS_MODELS", str(folder))
    return folder


def test_shipped_weights_verify():
    assert main(["weights", "verify"]) == 0


def test_list_names_files_and_licence(models, capsys):
    assert main(["weights", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["directory"] == str(models)
    assert [(row["name"], row["task"], row["files"]) for row in listed["models"]] == [
        ("other", "detection", ["other.onnx"])
    ]


def test_verify_names_what_is_damaged(models, capsys):
    assert main(["weights", "verify"]) == 0
    (models / "other.onnx").write_bytes(b"changed")
    assert main(["weights", "verify", "--json"]) == 1
    captured = capsys.readouterr()
    assert "other.onnx" in captured.err
    assert "restore" in captured.err


def test_added_weights_are_loaded_by_name(models, untrained, capsys):
    import numpy as np

    from fusion_ros.fusion import load_model

    assert main(["weights", "add", "caf", str(untrained), "--licence", "Apache-2.0", "--training", "a command"]) == 0
    assert main(["weights", "verify"]) == 0
    capsys.readouterr()
    main(["weights", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows["caf"]["training"] == "a command"
    assert rows["other"]["files"] == ["other.onnx"]
    random = np.random.default_rng(0)
    rgb, thermal = random.integers(0, 256, (24, 32, 3), np.uint8), random.integers(0, 256, (24, 32), np.uint8)
    model = load_model("caf", device="cpu")
    assert model.weights == models / "caf.safetensors"
    # fp16 storage moves no pixel by more than a grey level.
    original = load_model("caf", untrained, device="cpu", backend="torch")
    assert np.abs(model.fuse(rgb, thermal).astype(int) - original.fuse(rgb, thermal)).max() <= 1
    # The ONNX beside the weights is used as it is.
    assert model.backend == "onnx"


def test_facts_of_the_old_file_do_not_outlive_it(models, untrained, tmp_path):
    import torch
    import yaml

    from fusion_ros.fusion.weights import read_safetensors, write_safetensors

    (tmp_path / "figures.json").write_text('{"VIF": 0.9}')
    facts = ["--data", "RoadScene", "--training", "a command", "--figures", str(tmp_path / "figures.json")]
    assert main(["weights", "add", "caf", str(untrained), "--licence", "Apache-2.0", "--card", "caf.md", *facts]) == 0

    def entry():
        return yaml.safe_load((models / "manifest.yaml").read_text())["models"]["caf"]

    first = entry()
    assert (first["data"], first["training"], first["figures"]) == ("RoadScene", "a command", {"VIF": 0.9})
    tensors, metadata = read_safetensors(untrained)
    other = tmp_path / "other.safetensors"
    changed = {name: torch.zeros_like(value) for name, value in tensors.items()}
    write_safetensors(other, changed, "CAFNet", json.loads(metadata["config"]))
    assert main(["weights", "add", "caf", str(other), "--training", "another command"]) == 0
    second = entry()
    assert second["files"] != first["files"]
    assert (second["licence"], second["card"], second["training"]) == ("Apache-2.0", "caf.md", "another command")
    assert not {"data", "figures"} & set(second)


def test_facts_of_a_file_stay_while_it_is_the_same(models, tmp_path):
    import yaml

    from fusion_ros.fusion.release import add_onnx

    source = tmp_path / "best.onnx"
    source.write_bytes(b"first")
    facts = {"licence": "AGPL-3.0", "data": "RoadScene", "training": "a command", "figures": {"mAP50": 0.3}}
    add_onnx("finder", "detection", source, facts)
    add_onnx("finder", "detection", source, {"card": "finder.md"})
    entry = yaml.safe_load((models / "manifest.yaml").read_text())["models"]["finder"]
    assert {key: entry[key] for key in facts} == facts
    source.write_bytes(b"second")
    add_onnx("finder", "detection", source, {"figures": {"mAP50": 0.4}})
    entry = yaml.safe_load((models / "manifest.yaml").read_text())["models"]["finder"]
    assert (entry["licence"], entry["card"], entry["figures"]) == ("AGPL-3.0", "finder.md", {"mAP50": 0.4})
    assert not {"data", "training"} & set(entry)


def test_an_entry_of_another_task_is_not_replaced(models, untrained, capsys):
    assert main(["weights", "add", "other", str(untrained), "--network", "caf"]) == 2
    assert "detection" in capsys.readouterr().err


def test_released_checkpoint_is_imported(shared_data, tmp_path, capsys):
    from fusion_ros.fusion.network_loading import load_network

    source = shared_data / "weights" / "caf_official_Seg_final.pth"
    out = tmp_path / "segmentation.safetensors"
    assert main(["weights", "import", "caf", str(source), "-o", str(out)]) == 0
    assert load_network(out, "CAFNet").config.activation == "tanh"


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("caf", "x.pth", "safetensors"),
        ("vgg", "x.safetensors", "vgg"),
        ("caf", "x.safetensors", "not a torch checkpoint"),
    ],
)
def test_what_cannot_be_imported_is_refused(tmp_path, capsys, name, output, message):
    (tmp_path / "x.pth").write_bytes(b"nothing")
    assert main(["weights", "import", name, str(tmp_path / "x.pth"), "-o", str(tmp_path / output)]) == 2
    assert message in capsys.readouterr().err
