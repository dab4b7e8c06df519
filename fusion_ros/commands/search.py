"""`fusion-ros search caf`: let a perception task find the weights of the fusion loss, and train with them."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.commands.assignment import read_assignments, with_text
from fusion_ros.commands.train import read_settings
from fusion_ros.errors import InputError

if TYPE_CHECKING:
    from fusion_ros.report.loss_search import LossSearchRecord
    from fusion_ros.training.search.config import Config
    from fusion_ros.training.search.run import SearchOutcome

METHODS = ("caf",)
REPORT_NAME = "report.html"
_PICTURES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `fusion-ros search`."""
    parser.add_argument("name", metavar="METHOD", help="whose terms are weighed: caf")
    parser.add_argument("--task", help="what the fused images are for: detection (default) or segmentation")
    parser.add_argument("--network", help="fusion network: caf (default), caf-s, dfvo, dfvo-s, epofusion, epofusion-s")
    parser.add_argument("--config", type=Path, help="YAML file with settings; what it leaves out has its default")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, such as batch=16 (repeatable)"
    )
    parser.add_argument("--data", type=Path, help="folder with vi/, ir/ and the task's labels (setting data.folder)")
    parser.add_argument("--out", type=Path, help="folder of the run (default runs/search-NETWORK-TASK)")
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder, from where it stopped")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Search, train with what was found, write the report, and print where everything is.

    Raises:
        InputError: for an unknown method, network, task or setting, data without the task's labels, or a folder that
            holds another run.
        JobError: the search or a training diverged; the latest checkpoint stays.
    """
    if arguments.name not in METHODS:
        raise InputError(f"search {arguments.name!r}: is not one of {', '.join(METHODS)}")
    from fusion_ros.configuration import configure
    from fusion_ros.report.loss_search import write_loss_search_report
    from fusion_ros.training.search.config import Config
    from fusion_ros.training.search.run import run_search

    config = configure(Config, with_text(Config, _values(arguments)))
    out = arguments.out or Path("runs") / f"search-{config.network}-{config.task}"
    outcome = run_search(config, out, arguments.resume)
    write_loss_search_report(_record(outcome, config, out), out / REPORT_NAME)
    summary = {
        "step": outcome.step,
        "finished": outcome.finished,
        "loss": str(out / "loss.yaml"),
        "report": str(out / REPORT_NAME),
        "weights": dataclasses.asdict(outcome.weights),
        "fusion": dict(outcome.fusion),
        "figures": dict(outcome.figures),
    }
    print(json.dumps(summary) if arguments.json else _in_words(summary, config, out))
    return 0


def _values(arguments: argparse.Namespace) -> dict[str, Any]:
    values = read_settings(arguments.config) if arguments.config else {}
    values |= read_assignments(arguments.set)
    named = {"task": arguments.task, "network": arguments.network, "data.folder": arguments.data}
    return values | {name: str(value) for name, value in named.items() if value is not None}


def _train_command(config: Config, out: Path) -> str:
    return f"fusion-ros train {config.network} --config {out / 'loss.yaml'} --data ../shared/data --out runs/searched"


def _record(outcome: SearchOutcome, config: Config, out: Path) -> LossSearchRecord:
    from fusion_ros.configuration import settings_of, values_of
    from fusion_ros.report.loss_search import LossSearchRecord
    from fusion_ros.training.losses.caf import SEARCHED_TERMS, CAFLossWeights

    described = {found.name: found.description for found in settings_of(CAFLossWeights)}
    scenes, trajectory = outcome.scenes, outcome.trajectory
    parts = f"{len(scenes.training)} pairs to learn from, {len(scenes.upper)} to judge the weights"
    notes = []
    if not outcome.finished:
        notes.append("The run is not finished: the same command with --resume goes on.")
    if scenes.estimated:
        notes.append("The masks were estimated from boxes: they are right about where objects are, not about outlines.")
    return LossSearchRecord(
        task=config.task,
        network=config.network,
        features=outcome.features,
        step=outcome.step,
        steps=config.search.steps,
        terms={name: described[name] for name in SEARCHED_TERMS},
        weights=trajectory.weights,
        losses={"upper": trajectory.upper, "lower": trajectory.lower, "perception": trajectory.perception},
        loss_file=(out / "loss.yaml").read_text(encoding="utf-8"),
        train_command=_train_command(config, out),
        fusion=outcome.fusion,
        figures=outcome.figures,
        pictures=_pictures(outcome),
        data=f"{config.data.folder}: {parts}, {len(scenes.validation)} for figures ({', '.join(scenes.class_names)})",
        notes=notes,
        settings=values_of(config),
    )


def _pictures(outcome: SearchOutcome) -> dict[str, Any]:
    if outcome.fused is None:
        return {}
    import numpy as np
    import torch

    from fusion_ros.training.search.judging import fused_picture

    scenes = outcome.scenes.validation
    shown = {}
    for scene in scenes[:: max(1, len(scenes) // _PICTURES)][:_PICTURES]:
        with torch.no_grad():
            picture = fused_picture(outcome.fused, scene)[0].cpu().numpy()
        bgr = np.rint(255 * picture[::-1].transpose(1, 2, 0)).astype(np.uint8)
        shown[scene.name] = np.ascontiguousarray(bgr)
    return shown


def _in_words(summary: dict[str, Any], config: Config, out: Path) -> str:
    state = "done" if summary["finished"] else f"stopped; continue with --resume --out {out}"
    leading = sorted(summary["weights"].items(), key=lambda entry: -entry[1])
    named = ", ".join(f"{name} {weight:.3f}" for name, weight in leading if not name.startswith("mse_masked_"))
    lines = [f"step {summary['step']} of {config.search.steps}: {state}", f"weights: {named}"]
    if summary["figures"]:
        lines.append("validation: " + ", ".join(f"{name} {value:.3f}" for name, value in summary["figures"].items()))
    lines += [f"loss: {summary['loss']}", f"report: {summary['report']}", f"train: {_train_command(config, out)}"]
    return "\n".join(lines)
