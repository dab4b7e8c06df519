"""The hypergradient against brute force, and the search on tiny pairs: resuming, divergence, what it leaves."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import yaml
from torch import nn

from fusion_ros.configuration import configure
from fusion_ros.errors import InputError, JobError
from fusion_ros.training.losses.caf import FIXED_TERMS, SEARCHED_TERMS, Sources, terms_of
from fusion_ros.training.losses.features import load_features
from fusion_ros.training.run_folder import CHECKPOINT_NAME
from fusion_ros.training.search import loss_search
from fusion_ros.training.search.config import NETWORKS, Config
from fusion_ros.training.search.hypergradient import hypergradient
from fusion_ros.training.search.loss_search import LossSearch
from fusion_ros.training.search.perception import load_perception, recoloured
from fusion_ros.training.search.run import new_fusion_network, run_search
from fusion_ros.training.search.scenes import read_scenes

RATE = 0.1


class TinyFusion(nn.Module):
    """Two sources to one image, smooth in its five parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 1, 1)
        self.tone = nn.Conv2d(1, 1, 1)

    def forward(self, visible: torch.Tensor, infrared: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.tone(torch.tanh(self.mix(torch.cat([visible, infrared], dim=1)))))


class Problem:
    """A fusion network of five parameters and all seventeen terms in double precision, and a task with its own loss."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = TinyFusion().double()
        visible, infrared, self.judged_visible, self.judged_infrared = torch.rand(4, 2, 1, 20, 20, dtype=torch.float64)
        self.batch = visible, infrared
        torch.manual_seed(1)
        kernel = torch.randn(4, 3, 3, 3, dtype=torch.float64)
        self.sources = Sources(visible, infrared, lambda image: [torch.tanh(nn.functional.conv2d(image, kernel))])
        self.task = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 1, 3)).double()
        self.wanted = torch.rand(2, 1, 16, 16, dtype=torch.float64)
        self.logits = torch.linspace(-1, 1, len(SEARCHED_TERMS), dtype=torch.float64)
        self.parameters = dict(self.network.named_parameters())

    def lower(self, parameters: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        fused = torch.func.functional_call(self.network, dict(parameters), self.batch)
        terms = terms_of(fused, self.sources, (*SEARCHED_TERMS, *FIXED_TERMS))
        searched = torch.stack([terms[name] for name in SEARCHED_TERMS])
        return searched, 0.5 * torch.stack([terms[name] for name in FIXED_TERMS]).sum()

    def upper(self, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        sources = (self.judged_visible, self.judged_infrared)
        fused = torch.func.functional_call(self.network, dict(parameters), sources)
        return ((self.task(fused) - self.wanted) ** 2).mean()

    def unrolled(self, logits: torch.Tensor, *, create_graph: bool = False) -> torch.Tensor:
        """The task's loss after one step of the fusion network on the weighted loss."""
        terms, fixed = self.lower(self.parameters)
        loss = (torch.softmax(logits, dim=0) * terms).sum() + fixed
        slopes = torch.autograd.grad(loss, list(self.parameters.values()), create_graph=create_graph)
        moved = {
            name: value - RATE * slope for (name, value), slope in zip(self.parameters.items(), slopes, strict=True)
        }
        return self.upper(moved)


def test_hypergradient_is_that_of_autograd_through_the_step() -> None:
    problem = Problem()
    logits = problem.logits.clone().requires_grad_()
    value = problem.unrolled(logits, create_graph=True)
    (exact,) = torch.autograd.grad(value, logits)
    found = hypergradient(problem.parameters, problem.logits, problem.lower, problem.upper, RATE, epsilon=1e-4)
    # A central difference errs by the square of its width; the terms' own third derivatives are of order one.
    torch.testing.assert_close(found.gradient, exact, rtol=1e-3, atol=1e-3 * float(exact.abs().max()))
    assert found.upper == pytest.approx(float(value.detach()), rel=1e-12)


def test_hypergradient_is_that_of_finite_differences_of_the_upper_loss() -> None:
    problem = Problem()
    found = hypergradient(problem.parameters, problem.logits, problem.lower, problem.upper, RATE, epsilon=1e-4).gradient
    width = 1e-4
    for index in range(len(SEARCHED_TERMS)):
        shift = torch.zeros_like(problem.logits)
        shift[index] = width
        ahead, behind = problem.unrolled(problem.logits + shift), problem.unrolled(problem.logits - shift)
        difference = float((ahead - behind).detach()) / (2 * width)
        assert float(found[index]) == pytest.approx(difference, rel=2e-3, abs=2e-3 * float(found.abs().max()))


def test_width_of_the_papers_difference_keeps_the_direction() -> None:
    problem = Problem()
    fine = hypergradient(problem.parameters, problem.logits, problem.lower, problem.upper, RATE, epsilon=1e-4).gradient
    coarse = hypergradient(problem.parameters, problem.logits, problem.lower, problem.upper, RATE).gradient
    assert float(nn.functional.cosine_similarity(fine, coarse, dim=0)) > 0.99


def test_a_task_that_does_not_look_moves_no_weight() -> None:
    problem = Problem()

    def blind(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return 0.0 * torch.stack([value.sum() for value in parameters.values()]).sum()

    found = hypergradient(problem.parameters, problem.logits, problem.lower, blind, RATE)
    assert not found.gradient.any()


def test_a_task_prefers_the_terms_that_ask_for_what_it_wants() -> None:
    """A task that wants the infrared image: its hypergradient prefers the terms that ask for it to their siblings."""
    problem = Problem()

    def wants_infrared(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        sources = (problem.judged_visible, problem.judged_infrared)
        fused = torch.func.functional_call(problem.network, dict(parameters), sources)
        return ((fused - problem.judged_infrared) ** 2).mean()

    equal = torch.zeros_like(problem.logits)
    found = hypergradient(problem.parameters, equal, problem.lower, wants_infrared, RATE).gradient
    slope = dict(zip(SEARCHED_TERMS, found.tolist(), strict=True))
    for kind in ("l1", "mse", "perceptual"):
        # Descending, the weight of the smaller slope grows faster.
        assert slope[f"{kind}_infrared"] < slope[f"{kind}_visible"]


def test_recolouring_replaces_the_luminance() -> None:
    torch.manual_seed(0)
    color = 0.4 + 0.2 * torch.rand(2, 3, 8, 8)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    fused = 0.4 + 0.2 * torch.rand(2, 1, 8, 8)
    result = recoloured(color, (weights * color).sum(1, keepdim=True), fused)
    torch.testing.assert_close((weights * result).sum(1, keepdim=True), fused)
    # Differences between channels are what YCbCr keeps as chroma.
    torch.testing.assert_close(result[:, 0] - result[:, 2], color[:, 0] - color[:, 2])


@pytest.fixture
def config(labelled_set):
    values = {"data.folder": str(labelled_set), "data.image_size": 96, "data.crop": 32, "device": "cpu", "threads": 1}
    values |= {"network": "caf-s", "perception.init": "random", "features": "detector", "batch": 2}
    values |= {"search.steps": 4, "search.warm_up": 1, "fusion.steps": 2, "adaptation.steps": 2, "checkpoint_every": 2}

    def make(**changes):
        return configure(Config, {**values, **changes})

    return make


def test_a_run_ends_in_a_loss_that_training_takes(config, tmp_path) -> None:
    from fusion_ros.commands.train import read_settings
    from fusion_ros.training import caf, caf_s

    outcome = run_search(config(), tmp_path / "run", resume=False)
    assert outcome.finished
    weights = dataclasses.asdict(outcome.weights)
    assert sum(weights[name] for name in SEARCHED_TERMS) == pytest.approx(1.0, abs=1e-5)
    assert len({round(weights[name], 6) for name in SEARCHED_TERMS}) > 5
    assert math.isnan(outcome.trajectory.upper[0])
    assert all(math.isfinite(value) for value in outcome.trajectory.upper[1:])
    # In the warm-up the weights stay equal.
    assert outcome.trajectory.weights[0] == pytest.approx([1 / 15] * 15)
    assert {"mAP50", "upper loss", "AP50 car"} <= outcome.figures.keys()
    settings = read_settings(tmp_path / "run" / "loss.yaml")
    for module in (caf, caf_s):
        read = configure(module.Config, settings)
        searched = read.searched if module is caf else read.task.searched
        assert searched.use
        assert searched.weights.l1_max == pytest.approx(weights["l1_max"], abs=1e-6)


def test_resumed_search_is_bit_for_bit_the_uninterrupted_one(config, tmp_path) -> None:
    run_search(config(), tmp_path / "whole", resume=False)
    partly = run_search(config(max_minutes=1e-9), tmp_path / "parts", resume=False)
    assert (partly.step, partly.finished) == (1, False)
    assert run_search(config(), tmp_path / "parts", resume=True).finished
    whole, parts = (_state(tmp_path / name / "search") for name in ("whole", "parts"))
    assert torch.equal(whole["logits"], parts["logits"])
    for kind in ("fusion", "perception"):
        assert all(torch.equal(whole[kind][name], parts[kind][name]) for name in whole[kind])
    assert whole["trajectory"]["lower"] == parts["trajectory"]["lower"]
    trained = [_state(tmp_path / name / "adaptation")["network"] for name in ("whole", "parts")]
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def _state(folder):
    return torch.load(folder / CHECKPOINT_NAME, weights_only=True)


def test_trying_steps_out_leaves_the_network_alone(config, tmp_path) -> None:
    """Batch norm's statistics belong to the batches that were learned from, not to those that were tried."""

    def fusion_after(out, **changes):
        settings = config(**changes)
        scenes = read_scenes(settings.data, settings.task)
        perception = load_perception(settings.perception, settings.task, len(scenes.class_names))
        network, features = new_fusion_network(settings), load_features(settings.features)
        LossSearch(network, perception, scenes, features, settings, {}, out, False).run()
        return network.state_dict()

    none = fusion_after(tmp_path / "none", **{"search.warm_up": 4})
    tried = fusion_after(tmp_path / "tried", **{"search.warm_up": 0, "search.rate": 0.0})
    assert all(torch.equal(none[name], tried[name]) for name in none)


@pytest.mark.parametrize("what", ["weights", "loss"])
def test_divergence_is_a_failed_job_that_keeps_the_last_good_checkpoint(config, tmp_path, monkeypatch, what) -> None:
    run_search(config(max_minutes=1e-9), tmp_path / "run", resume=False)
    before = (tmp_path / "run" / "search" / CHECKPOINT_NAME).read_bytes()
    loss_before = (tmp_path / "run" / "loss.yaml").read_text()

    def broken(parameters, logits, *_rest):
        from fusion_ros.training.search.hypergradient import Hypergradient

        poison = float("nan")
        return Hypergradient(logits.detach() * poison if what == "weights" else logits.detach(), 0.0, poison)

    monkeypatch.setattr(loss_search, "hypergradient", broken)
    with pytest.raises(JobError, match=r"step 2: the (weights|upper loss) .* nan"):
        run_search(config(), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "search" / CHECKPOINT_NAME).read_bytes() == before
    assert (tmp_path / "run" / "loss.yaml").read_text() == loss_before


def test_a_second_search_does_not_overwrite_the_first(config, tmp_path) -> None:
    run_search(config(max_minutes=1e-9), tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="--resume"):
        run_search(config(), tmp_path / "run", resume=False)
    with pytest.raises(InputError, match=r"another search\.rate"):
        run_search(config(**{"search.rate": 0.1}), tmp_path / "run", resume=True)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_fusion_network_can_be_searched(network) -> None:
    """In train mode each takes parameters from outside and gives a fused image that a gradient goes through."""
    module = NETWORKS[network]().train()
    visible, infrared = torch.rand(2, 2, 1, 32, 32)
    parameters = {name: value.detach().requires_grad_() for name, value in module.named_parameters()}
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    fused = torch.func.functional_call(module, (parameters, buffers), (visible, infrared)).fused
    assert fused.shape == (2, 1, 32, 32)
    slopes = torch.autograd.grad(fused.sum(), list(parameters.values()), allow_unused=True)
    assert any(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes)


def test_segmentation_can_be_searched_from_boxes_and_from_masks(config, masked_set, tmp_path) -> None:
    outcome = run_search(config(task="segmentation"), tmp_path / "boxes", resume=False)
    assert outcome.scenes.estimated
    assert 0 <= outcome.figures["mIoU"] <= 1
    settings = config(task="segmentation", **{"data.folder": str(masked_set)})
    outcome = run_search(settings, tmp_path / "masks", resume=False)
    assert not outcome.scenes.estimated
    assert outcome.scenes.class_names == ("class 0", "class 1")
    assert 0 <= outcome.figures["mIoU"] <= 1


def test_data_without_the_tasks_labels_is_refused(config, pairs_folder, tmp_path) -> None:
    plain = {"data.folder": str(pairs_folder / "set")}
    with pytest.raises(InputError, match=r"labels\.coco\.json"):
        run_search(config(**plain), tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="no folder of masks"):
        run_search(config(task="segmentation", **plain), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def test_folders_that_do_not_match_are_refused(config, labelled_set, masked_set, tmp_path) -> None:
    (labelled_set / "ir" / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png"):
        run_search(config(), tmp_path / "run", resume=False)
    (masked_set / "ir" / "3.png").unlink()
    with pytest.raises(InputError, match=r"1 names"):
        run_search(config(task="segmentation", **{"data.folder": str(masked_set)}), tmp_path / "run", resume=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": "nowhere.onnx"}, r"nowhere\.onnx"),
        ({"features": "vgg16"}, "nothing is downloaded"),
        ({"perception.init": "nowhere.pt"}, r"nowhere\.pt"),
        ({"perception.network": "resnet.yaml"}, r"resnet\.yaml"),
        ({"data.crop": 48}, "multiple of 32"),
        ({"start": "nowhere.safetensors"}, "nowhere"),
    ],
)
def test_what_cannot_be_used_is_named(config, tmp_path, monkeypatch, changes, message) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=message):
        run_search(config(**changes), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "value"), [("network", "resnet"), ("task", "depth")])
def test_unknown_networks_and_tasks_are_named(config, name, value) -> None:
    with pytest.raises(InputError, match=value):
        config(**{name: value})


def test_a_term_that_does_not_exist_is_named(tmp_path) -> None:
    from fusion_ros.training import caf

    text = yaml.safe_dump({"searched": {"use": True, "l1_average": 0.1}})
    with pytest.raises(InputError, match="l1_average"):
        configure(caf.Config, {f"searched.{name}": value for name, value in yaml.safe_load(text)["searched"].items()})
