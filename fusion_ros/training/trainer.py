"""The loop that trains any of the networks: a task brings network, loss and data, the trainer everything else.

Resuming is exact: a checkpoint holds model, optimiser, schedule and random states, and data are numbered, so that the
step after it sees the crop it would have seen. A checkpoint appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from fusion_ros.configuration import setting
from fusion_ros.errors import InputError, JobError
from fusion_ros.fusion.weights import write_safetensors
from fusion_ros.training.run_folder import (
    CHECKPOINT_NAME,
    claim_folder,
    on_stop_signal,
    read_state,
    tensorboard_log,
    write_scalars,
    write_state,
)

# Settings that a run may be resumed with another value of: none changes what a step does, but for the learning rate,
# which follows its schedule to the new last step.
CHANGEABLE = ("steps", "max_minutes", "threads", "workers", "validate_every", "checkpoint_every", "log_every")
WEIGHTS_NAME = "weights.safetensors"


class TrainingTask(Protocol):
    """What is trained. `network` is a class of `fusion_ros.networks` with a `config`."""

    network: nn.Module

    def training_set(self, seed: int, length: int) -> Dataset:
        """Samples by number; number n of a seed is always the same sample."""
        ...

    def loss(self, batch: Mapping[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the network in train mode on a batch: the loss and its terms, for the log."""
        ...

    def validate(self) -> dict[str, float]:
        """Metrics of the network in eval mode on the validation pairs, name to value."""
        ...

    def examples(self) -> Tensor:
        """(N, C, H, W) pictures in [0, 1] of some validation pairs, for the log."""
        ...


@dataclass(frozen=True)
class TrainerConfig:
    """How to train; optimiser and learning rate are the task's paper's unless said otherwise."""

    steps: int = setting(10000, "optimiser steps", minimum=1)
    batch: int = setting(8, "samples per device and pass", minimum=1)
    accumulate: int = setting(1, "passes whose gradients make one step", minimum=1)
    learning_rate: float = setting(1e-4, "highest learning rate", minimum=0.0)
    beta1: float = setting(0.9, "Adam's first decay", minimum=0.0, maximum=1.0)
    beta2: float = setting(0.999, "Adam's second decay", minimum=0.0, maximum=1.0)
    weight_decay: float = setting(0.0, "AdamW's decoupled decay; 0 is plain Adam", minimum=0.0)
    warm_up: int = setting(0, "steps over which the learning rate rises linearly", minimum=0)
    schedule: str = setting("constant", "learning rate after that", choices=("constant", "cosine", "linear"))
    clip: float = setting(0.0, "largest norm of the gradient; 0 is no limit", minimum=0.0)
    precision: str = setting("auto", "fp16 on a GPU, else fp32, where auto", choices=("auto", "fp32", "fp16", "bf16"))
    device: str = setting("auto", "a GPU where there is one", choices=("auto", "cpu", "cuda"))
    seed: int = setting(0, "seed of initial weights and data", minimum=0)
    workers: int = setting(0, "processes that prepare samples", minimum=0)
    threads: int = setting(0, "CPU threads; 0 leaves torch's choice", minimum=0)
    validate_every: int = setting(500, "steps between validations", minimum=1)
    checkpoint_every: int = setting(100, "steps between checkpoints", minimum=1)
    log_every: int = setting(20, "steps between log entries", minimum=1)
    max_minutes: float = setting(0.0, "stop with a checkpoint after so many minutes; 0 is no limit", minimum=0.0)


class _Numbers(Sampler):
    """Sample numbers of this process from one step on, in batches."""

    def __init__(self, first: int, last: int, batch: int, rank: int, world: int) -> None:
        self._range = range(first, last)
        self._batch, self._rank, self._world = batch, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for micro_step in self._range:
            start = (micro_step * self._world + self._rank) * self._batch
            yield list(range(start, start + self._batch))

    def __len__(self) -> int:
        return len(self._range)


@dataclass(frozen=True)
class TrainingResult:
    """Where training ended.

    Attributes:
        step: optimiser steps done so far, all runs together.
        finished: whether that is all of them.
        weights: the network's file.
        metrics: latest validation.
    """

    step: int
    finished: bool
    weights: Path
    metrics: Mapping[str, float]


class Trainer:
    """Trains a task into a folder: `checkpoint.pt`, `weights.safetensors`, `config.json`, TensorBoard logs.

    `settings` describe the run; a checkpoint goes on with the same ones only. `defaults` say what a setting counts as
    that a checkpoint is older than.

    Raises:
        InputError: where the folder holds a run and `resume` is not given, or that run had other settings.
    """

    def __init__(
        self,
        task: TrainingTask,
        config: TrainerConfig,
        settings: Mapping[str, Any],
        out: Path,
        resume: bool,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        from accelerate import Accelerator
        from accelerate.utils import set_seed

        if config.threads:
            torch.set_num_threads(config.threads)
        self._config = config
        self._out = out
        self._task = task
        self._settings = dict(settings)
        self._defaults = dict(defaults or {})
        self._step = 0
        self._metrics: dict[str, float] = {}
        self._stop_requested = False
        claim_folder(out, self._settings, resume)
        use_gpu = config.device != "cpu" and torch.cuda.is_available()
        if config.device == "cuda" and not use_gpu:
            raise InputError("device 'cuda': torch finds no GPU here; use auto or cpu")
        precision = {"auto": "fp16" if use_gpu else "no", "fp32": "no"}.get(config.precision, config.precision)
        if precision == "fp16" and not use_gpu:
            raise InputError("precision 'fp16': needs a GPU; use fp32 or bf16")
        self._accelerator = Accelerator(mixed_precision=precision, cpu=not use_gpu)
        set_seed(config.seed + self._accelerator.process_index)
        optimiser_class = torch.optim.AdamW if config.weight_decay else torch.optim.Adam
        optimiser = optimiser_class(
            task.network.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )
        self._network, self._optimiser = self._accelerator.prepare(task.network, optimiser)
        # The task calls the network, so it must be the one that averages gradients across devices.
        task.network = self._network
        if resume and (out / CHECKPOINT_NAME).is_file():
            self._load_checkpoint()

    def run(self) -> TrainingResult:
        """Train until the last step, the time limit or an interruption; each leaves a checkpoint.

        Raises:
            KeyboardInterrupt: after SIGINT or SIGTERM, once the checkpoint is written.
            JobError: where the loss is not finite or the disk is full.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        config = self._config
        started = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(tensorboard_log(self._out, self._step, self._accelerator.is_main_process))
            stack.enter_context(on_stop_signal(self._request_stop))
            progress = stack.enter_context(Progress(*columns, disable=not self._accelerator.is_main_process))
            bar = progress.add_task("training", total=config.steps, completed=self._step)
            batches = iter(self._batches())
            while self._step < config.steps and not self._any(self._stop_requested):
                loss, terms = self._take_step(batches)
                progress.update(bar, completed=self._step, description=f"loss {loss:.4f}")
                if self._step % config.log_every == 0:
                    write_scalars(log, "loss", {"total": loss, **terms}, self._step)
                    write_scalars(log, "schedule", {"learning_rate": self._rate(self._step - 1)}, self._step)
                if self._step % config.validate_every == 0 or self._step == config.steps:
                    self._validate(log)
                if self._step % config.checkpoint_every == 0:
                    self._save()
                if config.max_minutes and self._any(time.monotonic() - started > 60 * config.max_minutes):
                    break
            self._save()
        if self._any(self._stop_requested):
            raise KeyboardInterrupt
        return TrainingResult(self._step, self._step >= config.steps, self._out / WEIGHTS_NAME, self._metrics)

    def _any(self, flag: bool) -> bool:
        """Whether the flag is up in any process: all must stop after the same step, or some wait for gradients."""
        if self._accelerator.num_processes == 1:
            return flag
        flags = torch.tensor(float(flag), device=self._accelerator.device)
        return bool(self._accelerator.reduce(flags, "sum") > 0)

    def _take_step(self, batches: Iterator[dict[str, Tensor]]) -> tuple[float, dict[str, float]]:
        config = self._config
        self._network.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate(self._step)
        total = 0.0
        terms: dict[str, Tensor] = {}
        for _ in range(config.accumulate):
            batch = {key: value.to(self._accelerator.device) for key, value in next(batches).items()}
            with self._accelerator.autocast():
                loss, terms = self._task.loss(batch, self._step)
            self._accelerator.backward(loss / config.accumulate)
            total += float(loss.detach()) / config.accumulate
        if self._any(not math.isfinite(total)):
            raise JobError(f"step {self._step}: the loss is {total}; lower the learning rate or set clip")
        if config.clip:
            self._accelerator.clip_grad_norm_(self._network.parameters(), config.clip)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._step += 1
        return total, {name: float(term) for name, term in terms.items()}

    def _rate(self, step: int) -> float:
        config = self._config
        if step < config.warm_up:
            return config.learning_rate * (step + 1) / config.warm_up
        share = (step - config.warm_up) / max(1, config.steps - config.warm_up)
        factor = {"constant": 1.0, "linear": 1 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share))}
        return config.learning_rate * factor[config.schedule]

    def _batches(self) -> DataLoader:
        config, accelerator = self._config, self._accelerator
        passes = config.steps * config.accumulate
        samples = self._task.training_set(config.seed, passes * config.batch * accelerator.num_processes)
        first = self._step * config.accumulate
        numbers = _Numbers(first, passes, config.batch, accelerator.process_index, accelerator.num_processes)
        return DataLoader(samples, batch_sampler=numbers, num_workers=config.workers)

    @torch.no_grad()
    def _validate(self, log: Any) -> None:
        if not self._accelerator.is_main_process:
            return
        # Only this process validates: through the wrapper that averages across devices it would wait for the others.
        network = self._accelerator.unwrap_model(self._network)
        network.eval()
        self._task.network = network
        try:
            self._metrics = self._task.validate()
            write_scalars(log, "validation", self._metrics, self._step)
            for index, picture in enumerate(self._task.examples()):
                log.add_image(f"examples/{index}", picture, self._step)
        finally:
            self._task.network = self._network

    def _save(self) -> None:
        if not self._accelerator.is_main_process:
            return
        network = self._accelerator.unwrap_model(self._network)
        state = {
            "step": self._step,
            "processes": self._accelerator.num_processes,
            "metrics": dict(self._metrics),
            "network": network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._accelerator.scaler.state_dict() if self._accelerator.scaler else {},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        write_state(self._out, state, self._settings)
        config = dataclasses.asdict(network.config)
        path = self._out / WEIGHTS_NAME
        try:
            write_safetensors(path, network.state_dict(), type(network).__name__, config)
        except OSError as error:
            raise JobError(
                f"{path}: cannot be written at step {self._step} ({error}); make room and continue with --resume"
            ) from error

    def _load_checkpoint(self) -> None:
        state = read_state(self._out, self._settings, CHANGEABLE, self._defaults)
        processes = state.get("processes", self._accelerator.num_processes)
        if processes != self._accelerator.num_processes:
            raise InputError(
                f"{self._out}: was made by {processes} processes, here are {self._accelerator.num_processes}; "
                "each has its share of the samples: resume with as many"
            )
        self._accelerator.unwrap_model(self._network).load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._accelerator.scaler and state["scaler"]:
            self._accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] and torch.cuda.device_count() == len(state["random_cuda"]):
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self._step = state["step"]
        self._metrics = state["metrics"]

    def _request_stop(self) -> None:
        self._stop_requested = True
