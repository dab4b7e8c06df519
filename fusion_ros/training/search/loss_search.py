"""The bi-level search (CAF, section 3.2 and Alg. 1): perception network, fusion network and weights take turns.

Lower level: the fusion network learns from the weighted terms, on one part of the training pairs; the perception
network learns from its pictures. Upper level: the weights follow the perception network's own loss on the other part.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusion_ros.errors import InputError, JobError
from fusion_ros.training.losses.caf import FIXED_TERMS, SEARCHED_TERMS, Sources, terms_of
from fusion_ros.training.losses.features import Features
from fusion_ros.training.run_folder import (
    CHECKPOINT_NAME,
    claim_folder,
    on_stop_signal,
    read_state,
    tensorboard_log,
    write_scalars,
    write_state,
)
from fusion_ros.training.search.config import CHANGEABLE, Config
from fusion_ros.training.search.hypergradient import Parameters, hypergradient
from fusion_ros.training.search.perception import PerceptionLoss, PerceptionNetwork, recoloured
from fusion_ros.training.search.scenes import LabelledScenes, SceneCrops

# All logits start here (released configuration); only their differences count.
FIRST_LOGIT = 0.0125
# Adam's usual 1e-8 is as large as the hypergradients of a late search, and would stop it.
ADAM_EPSILON = 1e-12
_TRAINING, _UPPER = 1, 2
_ALL_TERMS = (*SEARCHED_TERMS, *FIXED_TERMS)

Batch = Mapping[str, Tensor]


@dataclass
class Trajectory:
    """What a search noted at each step.

    Attributes:
        weights: (15,) weights after the step.
        upper: the perception network's loss on the upper part, after the unrolled step; NaN in the warm-up.
        lower: the fusion loss.
        perception: the perception network's loss on its training batch.
    """

    weights: list[list[float]] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    perception: list[float] = field(default_factory=list)


class LossSearch:
    """Searches into a folder: `checkpoint.pt`, `config.json`, TensorBoard logs. Resuming is exact.

    Raises:
        InputError: the folder holds a run and `resume` is not given, or that run had other settings.
    """

    def __init__(
        self,
        fusion: nn.Module,
        perception: PerceptionNetwork,
        scenes: LabelledScenes,
        features: Features,
        config: Config,
        settings: Mapping[str, Any],
        out: Path,
        resume: bool,
    ) -> None:
        self._config, self._out, self._features = config, out, features
        self._settings = dict(settings)
        claim_folder(out, self._settings, resume)
        self.device = choose_device(config.device)
        self.fusion, self.perception = fusion.to(self.device), perception.to(self.device)
        self._perception_loss = PerceptionLoss(self.perception)
        self.logits = torch.full((len(SEARCHED_TERMS),), FIRST_LOGIT, device=self.device, requires_grad=True)
        self.trajectory = Trajectory()
        self.step = 0
        self._stop_requested = False
        search = config.search
        learned = [parameter for parameter in self.perception.parameters() if parameter.requires_grad]
        self._optimisers = {
            "weights": torch.optim.Adam([self.logits], lr=search.rate, eps=ADAM_EPSILON),
            "fusion": torch.optim.Adam(self.fusion.parameters(), lr=search.fusion_rate),
            "perception": torch.optim.Adam(learned, lr=search.perception_rate),
        }
        passes = search.steps * config.batch
        crop, seed = config.data.crop, config.seed
        self._training = SceneCrops(scenes.training, crop, (seed, _TRAINING), passes)
        self._upper = SceneCrops(scenes.upper, crop, (seed, _UPPER), passes)
        if resume and (out / CHECKPOINT_NAME).is_file():
            self._load()

    @property
    def weights(self) -> dict[str, float]:
        """The searched weights, which add to one."""
        shares = torch.softmax(self.logits.detach(), dim=0).tolist()
        return dict(zip(SEARCHED_TERMS, shares, strict=True))

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self._config.search.steps

    def run(self, seconds: float = math.inf) -> None:
        """Search until the last step, the time limit or an interruption; each leaves a checkpoint.

        Raises:
            KeyboardInterrupt: after SIGINT or SIGTERM, once the checkpoint is written.
            JobError: a loss, a hypergradient or a network is no longer finite; the checkpoint before it stays.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        config, started = self._config, time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(tensorboard_log(self._out, self.step))
            stack.enter_context(on_stop_signal(self._request_stop))
            progress = stack.enter_context(Progress(*columns))
            bar = progress.add_task("search", total=config.search.steps, completed=self.step)
            while not self.finished and not self._stop_requested:
                self._take_step()
                leading = max(self.weights, key=self.weights.__getitem__)
                progress.update(bar, completed=self.step, description=f"search, most weight on {leading}")
                if self.step % config.log_every == 0:
                    self._log(log)
                if self.step % config.checkpoint_every == 0:
                    self._save()
                if time.monotonic() - started > seconds:
                    break
            self._save()
        if self._stop_requested:
            raise KeyboardInterrupt

    def _take_step(self) -> None:
        config, first = self._config, self.step * self._config.batch
        batch = self._on_device(self._training.batch(first, config.batch))
        sources = Sources(batch["visible"], batch["infrared"], self._features)
        self.fusion.train()
        with self._same_draw():
            fused = self.fusion(batch["visible"], batch["infrared"]).fused.float()
        self.trajectory.perception.append(self._learn_perception(fused.detach(), batch))
        weights = torch.softmax(self.logits.detach(), dim=0)
        terms, fixed = self._measure(fused, sources)
        loss = (weights * terms).sum() + fixed
        self._optimise("fusion", loss)
        self.trajectory.lower.append(float(loss.detach()))
        self.trajectory.upper.append(
            self._move_weights(batch, sources) if self.step >= config.search.warm_up else math.nan
        )
        self.trajectory.weights.append(list(self.weights.values()))
        self.step += 1
        self._check()

    def _learn_perception(self, fused: Tensor, batch: Batch) -> float:
        self.perception.train()
        pictures = recoloured(batch["color"], batch["visible"], fused)
        loss = self._perception_loss(self.perception(pictures), batch)
        self._optimise("perception", loss)
        return float(loss.detach())

    def _move_weights(self, batch: Batch, sources: Sources) -> float:
        config = self._config
        judged = self._on_device(self._upper.batch(self.step * config.batch, config.batch))
        self.perception.train_on_running_statistics()

        def lower(parameters: Parameters) -> tuple[Tensor, Tensor]:
            return self._measure(self._fused_with(parameters, batch), sources)

        def upper(parameters: Parameters) -> Tensor:
            fused = self._fused_with(parameters, judged)
            pictures = recoloured(judged["color"], judged["visible"], fused)
            return self._perception_loss(self.perception(pictures), judged)

        parameters = dict(self.fusion.named_parameters())
        search = config.search
        found = hypergradient(parameters, self.logits, lower, upper, search.fusion_rate, search.epsilon)
        self.logits.grad = found.gradient
        moves = self.step - search.warm_up
        for group in self._optimisers["weights"].param_groups:
            group["lr"] = search.rate * search.decay**moves
        self._optimisers["weights"].step()
        return found.upper

    def _measure(self, fused: Tensor, sources: Sources) -> tuple[Tensor, Tensor]:
        """The (15,) searched terms and the weighted sum of the fixed ones."""
        terms = terms_of(fused, sources, _ALL_TERMS)
        searched = torch.stack([terms[name] for name in SEARCHED_TERMS])
        return searched, self._config.search.fixed * torch.stack([terms[name] for name in FIXED_TERMS]).sum()

    def _fused_with(self, parameters: Parameters, batch: Batch) -> Tensor:
        # Copies, so that trying parameters out leaves no trace in the running statistics.
        buffers = {name: value.clone() for name, value in self.fusion.named_buffers()}
        with self._same_draw():
            output = torch.func.functional_call(
                self.fusion, (dict(parameters), buffers), (batch["visible"], batch["infrared"])
            )
        return output.fused.float()

    @contextlib.contextmanager
    def _same_draw(self) -> Any:
        """Random numbers by the step alone: a finite difference must not compare two draws of a network's noise."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(1_000_003 * self._config.seed + self.step)
            yield

    def _optimise(self, name: str, loss: Tensor) -> None:
        optimiser = self._optimisers[name]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def _check(self) -> None:
        latest = {
            "fusion loss": self.trajectory.lower[-1],
            "perception loss": self.trajectory.perception[-1],
            "upper loss": self.trajectory.upper[-1] if self.step > self._config.search.warm_up else 0.0,
            "weights": sum(self.trajectory.weights[-1]),
            "fusion network": _magnitude(self.fusion),
            "perception network": _magnitude(self.perception),
        }
        for name, value in latest.items():
            if not math.isfinite(value):
                raise JobError(
                    f"search: step {self.step}: the {name} is {value}; the checkpoint before it stays: start anew with "
                    "smaller search.fusion_rate, search.perception_rate or search.rate"
                )

    def _log(self, log: Any) -> None:
        trajectory = self.trajectory
        losses = {name: getattr(trajectory, name)[-1] for name in ("upper", "lower", "perception")}
        write_scalars(log, "search", {name: value for name, value in losses.items() if math.isfinite(value)}, self.step)
        write_scalars(log, "weights", self.weights, self.step)

    def _save(self) -> None:
        state = {
            "step": self.step,
            "logits": self.logits.detach(),
            "fusion": self.fusion.state_dict(),
            "perception": self.perception.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()},
            "trajectory": dict(vars(self.trajectory)),
        }
        write_state(self._out, state, self._settings)

    def _load(self) -> None:
        state = read_state(self._out, self._settings, CHANGEABLE, {})
        with torch.no_grad():
            self.logits.copy_(state["logits"])
        self.fusion.load_state_dict(state["fusion"])
        self.perception.load_state_dict(state["perception"])
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.trajectory = Trajectory(**state["trajectory"])
        self.step = state["step"]

    def _on_device(self, batch: Batch) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in batch.items()}

    def _request_stop(self) -> None:
        self._stop_requested = True


def choose_device(name: str) -> torch.device:
    """The device of a setting.

    Raises:
        InputError: `cuda` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda': torch finds no GPU here; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _magnitude(network: nn.Module) -> float:
    """Largest parameter or statistic; not finite where any is not."""
    values = [value for value in network.state_dict().values() if value.is_floating_point()]
    # A maximum would pass over NaN on some devices; a sum never does.
    return float(torch.stack([value.abs().sum().float() for value in values]).sum())
