"""Runs one of ultralytics' trainers from its beginning or from where it stopped."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion_ros.errors import InputError, JobError

_DEFAULT_NETWORK = "yolo11n.yaml"
# Plain ultralytics settings that detector and segmenter share.
_COMMON: Mapping[str, object] = {
    "data": "pairs.yaml",  # never read: the trainers have the pairs
    "exist_ok": True,
    "optimizer": "AdamW",
    "lrf": 0.02,
    "cos_lr": True,
    "weight_decay": 0.01,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,
    "hsv_h": 0.015,
    "hsv_s": 0.5,
    "hsv_v": 0.3,
    "amp": False,
    "plots": False,
    "save": True,
    "val": False,
    "patience": 0,
    "deterministic": True,
    "workers": 0,
}


def checkpoint_of(out: Path) -> Path:
    """Where a run in `out` keeps its checkpoint; the averaged weights, once it is done."""
    return out / "weights" / "last.pt"


def check_start(out: Path, init: str, resume: bool) -> None:
    """Check that there is something to resume or nothing to overwrite, and that `init`, where given, is a file.

    Raises:
        InputError: where not.
    """
    if not resume and checkpoint_of(out).is_file():
        raise InputError(f"{out}: holds a run already; continue it with --resume, or name another folder with --out")
    if resume and not checkpoint_of(out).is_file():
        raise InputError(f"{checkpoint_of(out)}: no such file; there is nothing to resume, start without --resume")
    if init and not Path(init).is_file():
        raise InputError(f"init: {init} is no file; name a checkpoint to start from, or none")
    # Looked at from outside: what is in it is unpickled by ultralytics alone.
    if init and not zipfile.is_zipfile(init):
        raise InputError(f"init: {init} is no checkpoint that torch has written; name a .pt of ultralytics, or none")


def run_trainer(
    trainer_class: Any, out: Path, network: str, init: str, resume: bool, settings: Mapping[str, object]
) -> Path:
    """Train and return the checkpoint.

    Args:
        trainer_class: ultralytics' trainer, bound to its data.
        out: the run's folder.
        network: ultralytics' description of the network; empty: that of `init`, else `yolo11n.yaml`.
        init: a checkpoint whose weights are taken over where they fit, or empty.
        resume: go on from the run's checkpoint.
        settings: ultralytics' settings beyond those that every run has; each step takes one batch.

    Raises:
        InputError: the run is done already, or `init` holds a network of another task and `network` is empty.
        JobError: training did not leave a checkpoint.
    """
    checkpoint = checkpoint_of(out)
    overrides = {
        **_COMMON,
        **settings,
        "nbs": settings["batch"],  # no batches are gathered: steps are what a short training lacks
        "project": str(out.resolve().parent),
        "name": out.name,
        "model": str(checkpoint) if resume else network or init or _DEFAULT_NETWORK,
        "resume": str(checkpoint) if resume else False,
        "pretrained": init or False,
    }
    try:
        trainer_class(overrides=overrides).train()
    except AssertionError as error:
        # ultralytics' way of saying that a finished run has nothing left to train.
        raise InputError(f"{checkpoint}: cannot be resumed: {error}") from error
    if not checkpoint.is_file():
        raise JobError(f"{out}: training ended without a checkpoint")
    return checkpoint


def check_head(description: Mapping[str, Any], *allowed: str) -> None:
    """Check that the last layer of ultralytics' `description` is one of `allowed`.

    Raises:
        InputError: it is that of a network for another task.
    """
    head = description["head"][-1][2]
    if head not in allowed:
        raise InputError(
            f"network: ends in {head}, not in {' or '.join(allowed)}; name another, such as --set "
            f"network={_DEFAULT_NETWORK}, which takes over the weights of init where they fit"
        )


def epochs_done(out: Path) -> int:
    """Number of epochs that the run in `out` has noted."""
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1
