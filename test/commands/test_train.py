import json

import cv2
import numpy as np
import pytest

from fusion_ros.cli import main
from fusion_ros.commands.assignment import read_assignments, with_text
from fusion_ros.commands.train import read_settings
from fusion_ros.errors import InputError


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(0)
    for part in ("vi", "ir"):
        (tmp_path / "data" / "set" / part).mkdir(parents=True)
        for number in range(3):
            small = random.integers(0, 256, (6, 8), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "data" / "set" / part / f"{number}.png"), cv2.resize(small, (64, 48)))
    return tmp_path / "data"


def test_sections_and_dotted_names_are_the_same(tmp_path):
    (tmp_path / "a.yaml").write_text("steps: 5\nloss:\n  l1_max: 2.0\ndata.crop: 32\n")
    assert read_settings(tmp_path / "a.yaml") == {"steps": 5, "loss.l1_max": 2.0, "data.crop": 32}


@pytest.mark.parametrize("text", ["- a list", "a: [unclosed"])
def test_files_that_are_no_settings_are_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml"):
        read_settings(tmp_path / "a.yaml")


@pytest.mark.parametrize("name", ["caf", "caf_s", "dfvo", "dfvo_s", "epofusion", "epofusion_s"])
def test_shipped_settings_are_valid(name):
    import importlib
    from pathlib import Path

    from fusion_ros.configuration import configure, validate

    folder = Path(__file__).resolve().parents[2] / "config" / "train"
    config_class = importlib.import_module(f"fusion_ros.training.{name}").Config
    files = [path for path in folder.glob("*.yaml") if path.stem in (name, f"{name}_quick", f"{name}_finish")]
    assert files
    for path in files:
        validate(configure(config_class, read_settings(path)))


def test_training_writes_weights_and_says_where(data, tmp_path, capsys):
    out = tmp_path / "run"
    small = ["steps=2", "batch=1", "data.sets=set", "data.crop=16", "validation_pairs=1", "device=cpu"]
    settings = [word for text in small for word in ("--set", text)]
    assert main(["train", "caf", "--data", str(data), "--out", str(out), "--json", *settings]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["step"], result["finished"]) == (2, True)
    assert (out / "weights.safetensors").is_file()
    assert main(["train", "caf", "--data", str(data), "--out", str(out), *settings]) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet"], "resnet"),
        (["caf", "--set", "steps"], "NAME=VALUE"),
        (["caf", "--set", "steps={"], "steps={"),
        (["caf", "--set", "stepz=3"], "stepz"),
        (["caf", "--set", "steps=-3"], "steps"),
        (["caf", "--data", "nowhere"], "nowhere"),
        (["caf", "--init", "first.safetensors"], "--init: caf has no setting to start from"),
        (["detector", "--init", "first.pt", "--data", "nowhere"], "nowhere"),
        (["caf", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_bad_input_is_refused(capsys, arguments, message, tmp_path):
    assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_powers_of_ten_are_numbers_with_and_without_a_point(tmp_path):
    # PyYAML follows YAML 1.1, where 1e-3 is text; everyone writes learning rates so.
    texts = ["a=1e-3", "b=-2.5E+4", "c=[1e2, 3]", "d=1e", "e=0x1e3"]
    assert read_assignments(texts) == {"a": 0.001, "b": -25000.0, "c": [100.0, 3], "d": "1e", "e": 0x1E3}
    (tmp_path / "settings.yaml").write_text("learning_rate: 1e-3\n")
    assert read_settings(tmp_path / "settings.yaml") == {"learning_rate": 0.001}


def test_whole_number_is_text_where_text_is_meant():
    from fusion_ros.configuration import configure
    from fusion_ros.training.detector import Config

    values = with_text(Config, read_assignments(["device=0", "seed=3", "init=true"]))
    assert values == {"device": "0", "seed": 3, "init": True}
    assert configure(Config, {"device": values["device"], "seed": 3}).device == "0"
    # A truth value is no text; parameters of nodes, which do not pass through here, stay strict about numbers, too.
    with pytest.raises(InputError, match="init: True is not allowed"):
        configure(Config, values)
    with pytest.raises(InputError, match="device: 0 is not allowed"):
        configure(Config, {"device": 0})


def test_init_gives_a_fusion_network_its_first_weights(data, tmp_path, capsys):
    from fusion_ros.fusion.weights import read_safetensors

    small = ["steps=1", "batch=1", "data.sets=set", "data.crop=32", "validation_pairs=1", "device=cpu"]
    settings = ["--data", str(data), *(word for text in small for word in ("--set", text))]
    first = tmp_path / "first"
    assert main(["train", "caf-s", "--out", str(first), *settings]) == 0
    start = str(first / "weights.safetensors")
    again = ["--out", str(tmp_path / "second"), *settings, "--init", start, "--set", "learning_rate=1e-9"]
    assert main(["train", "caf-s", *again, "--set", "seed=5"]) == 0
    before, _ = read_safetensors(first / "weights.safetensors")
    after, _ = read_safetensors(tmp_path / "second" / "weights.safetensors")
    # One step of 1e-9 leaves them as they were; other seeds draw others.
    learned = [name for name in before if name.endswith("weight")]
    assert learned
    assert all((before[name].float() - after[name].float()).abs().max() < 1e-6 for name in learned)
    assert (
        main(
            ["train", "caf-s", "--out", str(tmp_path / "third"), *settings, "--init", str(tmp_path / "no.safetensors")]
        )
        == 2
    )
    assert "no.safetensors" in capsys.readouterr().err
