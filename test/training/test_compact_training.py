"""Trainings of the compact networks: they start, they end, their files load, their losses see what they should."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.fusion.network_loading import load_network
from fusion_ros.networks.dfvo.network import DFVOOutput
from fusion_ros.networks.dfvo_s import DFVOSOutput
from fusion_ros.training import caf_s, dfvo
from fusion_ros.training.data.dark_crops import CropDarknessConfig, DarkCrops
from fusion_ros.training.data.glare_crops import GlareCrops
from fusion_ros.training.data.pairs import Pair, PairsConfig
from fusion_ros.training.data.variation import VariationConfig
from fusion_ros.training.dfvo_s import brightened, fused_with_and_without_noise
from fusion_ros.training.epofusion_s import overexposed_terms
from fusion_ros.training.trainer import TrainerConfig

CLASSES = {"caf-s": "CAFSNet", "epofusion-s": "EPOFusionSNet", "dfvo-s": "DFVOSNet"}


UNVARIED = VariationConfig(gamma=0, contrast=0, blur=0, polarity=0, displacement=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part in ("vi", "ir"):
        (root / "set" / part).mkdir(parents=True)
        for index in range(3):
            image = cv2.GaussianBlur(random.integers(0, 256, (80, 96, 3)).astype(np.uint8), (0, 0), 2)
            cv2.imwrite(str(root / "set" / part / f"{index}.png"), image)
    return root


@pytest.fixture
def pairs() -> dict[str, list[Pair]]:
    random = np.random.default_rng(1)
    visible = random.integers(60, 160, (96, 96, 3)).astype(np.uint8)
    return {"set": [Pair("0", visible, random.integers(0, 200, (96, 96)).astype(np.uint8))]}


@pytest.mark.parametrize("name", CLASSES)
def test_two_steps_end_in_a_file_that_fuses(name, data, tmp_path):
    small = ["data.sets=set", "data.crop=64", "batch=2", "steps=2", "validation_pairs=1", "threads=1"]
    settings = [word for text in small for word in ("--set", text)]
    out = tmp_path / "run"
    assert main(["train", name, "--data", str(data), "--out", str(out), *settings]) == 0
    load_network(out / "weights.safetensors", CLASSES[name])
    model = load_model(name, out / "weights.safetensors", device="cpu", backend="torch")
    assert model.fuse(np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40), np.uint8)).shape == (30, 40, 3)
    again = [*settings, "--set", f"start={out / 'weights.safetensors'}", "--set", "learning_rate=0.0"]
    assert main(["train", name, "--data", str(data), "--out", str(tmp_path / "next"), *again]) == 0
    before, after = (load_network(run / "weights.safetensors", CLASSES[name]) for run in (out, tmp_path / "next"))
    # Without a learning rate only batch norm's statistics move: the weights are those it started from.
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_starting_from_another_networks_weights_is_refused(data, tmp_path, capsys):
    wrong = Path(__file__).parents[2] / "models" / "caf-s.safetensors"
    if not wrong.is_file():
        pytest.skip("no caf-s weights are shipped")
    arguments = ["train", "dfvo-s", "--data", str(data), "--out", str(tmp_path / "x"), "--set", "data.sets=set"]
    assert main([*arguments, "--set", "data.crop=64", "--set", f"start={wrong}"]) == 2
    assert "another network" in capsys.readouterr().err


def test_glare_crops_are_numbered_and_their_masks_fit(pairs):
    config = PairsConfig(crop=64, variation=UNVARIED)
    crops = GlareCrops(pairs, config, seed=0, length=40)
    items = [crops[index] for index in range(40)]
    assert all(torch.equal(crops[3][key], items[3][key]) for key in items[3])
    dazzled = [item for item in items if item["overexposed"].any()]
    assert 5 < len(dazzled) < 40
    for item in dazzled:
        burnt = item["overexposed"] == 1
        assert item["visible"][burnt].min() > 0.95
        assert item["clean"].max() < 0.7
        assert not (item["hidden"].bool() & ~burnt).any()


def test_dark_crops_differ_from_their_noiseless_selves_by_noise_only(pairs):
    crops = DarkCrops(pairs, PairsConfig(crop=64, variation=UNVARIED), seed=0, length=40)
    for index in range(10):
        item = crops[index]
        assert abs(float((item["visible"] - item["noiseless"]).mean())) < 0.01
        assert float((item["visible"] - item["noiseless"]).std()) < 0.05


def test_chroma_of_dark_crops_is_cut_and_darkened_as_the_picture(pairs):
    pair = pairs["set"][0]
    pair.visible[..., :2], pair.visible[..., 2] = 0, pair.infrared
    lit, dark = (DarkCrops(pairs, PairsConfig(crop=64, variation=UNVARIED), seed=0, length=40) for _ in range(2))
    lit.darkness, dark.darkness = CropDarknessConfig(share=0.0), CropDarknessConfig(share=1.0)
    for index in range(10):
        item = lit[index]
        # All light is red, as bright as the infrared image: Cr = 0.5 + 0.713 (1 - 0.299) R, wherever the crop is.
        np.testing.assert_allclose(item["chroma"][1], 0.5 + 0.713 * 0.701 * item["clean_infrared"][0], atol=1e-3)
        assert (dark[index]["chroma"][1] - 0.5).mean() < 0.8 * (item["chroma"][1] - 0.5).mean()
        assert torch.equal(dark[index]["chroma"], dark[index]["chroma"])


@pytest.mark.parametrize(("coloured", "least", "most"), [(True, 1e-3, 1.0), (False, -1e-6, 1e-6)])
def test_colour_counts_in_the_training_of_dfvo(pairs, coloured, least, most):
    if not coloured:
        pairs["set"][0].visible[:] = pairs["set"][0].visible[..., :1]
    # Darkness has a cast of its own: a grey crop stays grey in light only.
    crops = DarkCrops(pairs, PairsConfig(crop=64, variation=UNVARIED), seed=0, length=40)
    crops.darkness = CropDarknessConfig(share=float(coloured))
    batch = torch.utils.data.default_collate([crops[0], crops[1]])

    class Brighter(torch.nn.Module):
        def forward(self, visible, infrared):
            return DFVOOutput(visible, (2 * visible).clamp(0, 1), torch.full_like(visible, 0.5), infrared)

    config = dfvo.Config(epoch_samples=1, trainer=TrainerConfig(batch=2))
    _, terms = dfvo.training_loss(config)(Brighter(), batch, 5)
    assert least < terms["colour"].item() < most


def test_salience_is_that_of_the_whole_image():
    # A warm block that fills a crop of 64 is salient in an image of 400, where 15% of the area is the largest object.
    infrared = np.full((400, 400), 40, np.uint8)
    infrared[150:250, 150:250] = 220
    pair = Pair("0", np.full((400, 400, 3), 255, np.uint8), infrared)
    crops = GlareCrops({"set": [pair]}, PairsConfig(crop=64, native=1.0, variation=UNVARIED), seed=0, length=200)
    inside = [item for item in map(crops.__getitem__, range(60)) if float(item["clean_infrared"].min()) > 0.8]
    assert inside
    assert all(bool(item["hidden"].all()) for item in inside)


def test_frozen_norms_keep_their_statistics_and_weights_still_learn(data, tmp_path):
    small = ["data.sets=set", "data.crop=64", "batch=2", "steps=2", "validation_pairs=1", "threads=1"]
    settings = [word for text in small for word in ("--set", text)]
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", "caf-s", "--data", str(data), "--out", str(first), *settings]) == 0
    settings += ["--set", f"start={first / 'weights.safetensors'}", "--set", "frozen_norms=true"]
    assert main(["train", "caf-s", "--data", str(data), "--out", str(second), *settings]) == 0
    before, after = (load_network(run / "weights.safetensors", "CAFSNet") for run in (first, second))
    assert all(torch.equal(a, b) for a, b in zip(before.buffers(), after.buffers(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_noise_is_told_from_the_same_pictures_without_it():
    class Sum(torch.nn.Module):
        def forward(self, visible, infrared):
            total = visible + infrared
            return DFVOSOutput(total, visible, visible, infrared, visible)

    batch = {name: torch.rand(5, 1, 4, 4) for name in ("visible", "noiseless", "infrared", "clean_infrared")}
    output, quiet = fused_with_and_without_noise(Sum(), batch)
    torch.testing.assert_close(output.fused, batch["visible"] + batch["infrared"])
    # A quarter of five, rounded up: two.
    torch.testing.assert_close(quiet, (batch["noiseless"] + batch["clean_infrared"])[:2])


def test_overexposed_terms_by_hand():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    infrared = torch.arange(8.0).expand(1, 1, 8, 8) * 0.1
    visible = torch.ones(1, 1, 8, 8)
    same = overexposed_terms(infrared.clone(), visible, infrared, mask)
    assert float(same["gradient"]) == 0.0
    # Columns 2 to 5: infrared .2 .. .5, half-and-half .6 .. .75, mean distance .325.
    assert float(same["intensity"]) == pytest.approx(0.325)
    # A negative has the same magnitudes and the opposite signs: |-.1 - .1| everywhere.
    assert float(overexposed_terms(1 - infrared, visible, infrared, mask)["gradient"]) == pytest.approx(0.2, abs=1e-6)
    assert float(overexposed_terms(visible, visible, infrared, mask)["saturation"]) == pytest.approx(0.06, abs=1e-6)
    assert float(overexposed_terms(visible, visible, infrared, 0 * mask)["saturation"]) == 0.0


def test_brightened_lifts_the_dark_and_leaves_the_light():
    dark = torch.full((1, 1, 32, 32), 0.04)
    # .04^.5 = .2, five times: more than the largest gain of 4.
    assert float(brightened(dark, 0.5).mean()) == pytest.approx(0.16)
    assert float(brightened(torch.full((1, 1, 32, 32), 0.25), 0.5).mean()) == pytest.approx(0.5)
    assert float(brightened(torch.ones(1, 1, 32, 32), 0.5).mean()) == 1.0


def test_bad_settings_name_what_is_wrong(data, tmp_path):
    config = caf_s.Config(data=PairsConfig(folder=str(data), sets="set", crop=512))
    with pytest.raises(InputError, match=r"data\.crop"):
        caf_s.train(config, tmp_path / "run", resume=False)
