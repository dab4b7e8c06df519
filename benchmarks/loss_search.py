"""CAF's Table 3: searched loss weights against uniform, random and hand-set ones, by what the perception network makes
of the fused images.

    python benchmarks/loss_search.py ../shared/data/roadscene --out runs/loss-search --minutes 60

For every seed: a search on the training part, then for every strategy the same fusion training from the same initial
weights on the same crops, the same perception training from the shipped network on its pictures, and the figures on the
validation part (last fifth of the sorted names), which neither search nor training has seen. It continues where it
stopped, and prints the table of what is done.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fusion_ros.commands.assignment import read_assignments
from fusion_ros.configuration import configure, values_of
from fusion_ros.training.losses.caf import FIXED_TERMS, SEARCHED_TERMS, CAFLossWeights
from fusion_ros.training.losses.features import Features, load_features, resolve_features
from fusion_ros.training.search.config import Config, search_settings
from fusion_ros.training.search.hierarchy import adapt_perception, train_fusion_with
from fusion_ros.training.search.loss_search import LossSearch
from fusion_ros.training.search.perception import load_perception
from fusion_ros.training.search.run import loss_weights, new_fusion_network
from fusion_ros.training.search.scenes import LabelledScenes, read_scenes

# What fits half an hour of one CPU core with two seeds and a draw; see --set for the rest.
SMALL: dict[str, Any] = {
    "network": "caf-s",
    "device": "cpu",
    "threads": 1,
    "batch": 6,
    "data.crop": 128,
    "search.steps": 250,
    "search.warm_up": 30,
    "fusion.steps": 200,
    "fusion.learning_rate": 2e-3,
    "fusion.schedule": "cosine",
    "adaptation.steps": 160,
    "adaptation.learning_rate": 3e-4,
    "adaptation.schedule": "cosine",
    "checkpoint_every": 25,
}
FIGURES_NAME = "figures.json"
Row = dict[str, float]


class OutOfTimeError(Exception):
    """The time given has passed; everything is on disk."""


def searched_weights(
    config: Config, scenes: LabelledScenes, features: Features, out: Path, minutes: float
) -> dict[str, float]:
    """Search, or go on searching."""
    perception = load_perception(config.perception, config.task, len(scenes.class_names))
    settings = search_settings(values_of(config))
    search = LossSearch(new_fusion_network(config), perception, scenes, features, config, settings, out, True)
    search.run(60 * minutes)
    if not search.finished:
        raise OutOfTimeError
    (out / "weights.json").write_text(json.dumps(search.weights, indent=1) + "\n")
    return search.weights


def strategies(config: Config, draws: int) -> Iterator[tuple[str, CAFLossWeights | None]]:
    """The losses that searched weights are compared with, by name; None for pictures that are not fused."""
    fixed = config.search.fixed
    yield "uniform", loss_weights(dict.fromkeys(SEARCHED_TERMS, 1 / len(SEARCHED_TERMS)), fixed)
    yield "hand-set", CAFLossWeights(**dict.fromkeys(FIXED_TERMS, fixed))
    for draw in range(draws):
        # Uniform over all weights that add to one.
        shares = np.random.default_rng((config.seed, draw)).dirichlet(np.ones(len(SEARCHED_TERMS)))
        yield f"random-{draw + 1}", loss_weights(dict(zip(SEARCHED_TERMS, shares.tolist(), strict=True)), fixed)
    yield "infrared", None
    yield "visible", None


class OneSource(nn.Module):
    """No fusion: the luminance of one source, to say what fusing is worth."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        # What asks for a network's device asks for a parameter.
        self.unused = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """(N, 1, H, W) in and out."""
        return infrared if self._name == "infrared" else visible


def measured(
    config: Config,
    weights: CAFLossWeights | None,
    scenes: LabelledScenes,
    features: Features,
    out: Path,
    minutes: float,
) -> Row:
    """Both trainings with these weights, and the figures at their end; without weights, of the source `out` names."""
    if (out / FIGURES_NAME).is_file():
        return dict(json.loads((out / FIGURES_NAME).read_text()))
    network, metrics = new_fusion_network(config), {"VIF": float("nan"), "Qabf": float("nan")}
    if weights is None:
        network = OneSource(out.name)
    else:
        fused = train_fusion_with(network, weights, features, scenes, config, out / "fusion", True, minutes)
        metrics = dict(fused.metrics)
        if not fused.finished:
            raise OutOfTimeError
    perception = load_perception(config.perception, config.task, len(scenes.class_names))
    adapted = adapt_perception(perception, network, scenes, config, out / "adaptation", True, minutes)
    if not adapted.finished:
        raise OutOfTimeError
    row = {**adapted.metrics, "VIF": metrics["VIF"], "Qabf": metrics["Qabf"]}
    (out / FIGURES_NAME).write_text(json.dumps(row, indent=1) + "\n")
    return row


def print_table(rows: dict[str, list[Row]], seeds: list[int]) -> None:
    """Mean over seeds (and draws) of each figure, and its standard deviation where there are several."""
    wanted = ("upper loss", "mAP50", "mIoU", "AP50 person", "AP50 car", "VIF", "Qabf")
    headers = [name for name in wanted if name in next(iter(rows.values()))[0]]
    print(f"\n{'weights':<12}{'runs':>5}" + "".join(f"{name:>17}" for name in headers))
    for name, found in rows.items():
        cells = []
        for header in headers:
            values = [row[header] for row in found]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}".rjust(17))
        print(f"{name:<12}{len(found):>5}" + "".join(cells))
    print(f"seeds {seeds}; ± is the standard deviation over runs")


def main() -> None:
    """Run what is left and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with vi/, ir/ and the task's labels")
    parser.add_argument("--out", type=Path, default=Path("runs/loss-search"))
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many, to be continued")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--draws", type=int, default=2, help="random weights for each seed")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="strategies to run, such as searched uniform random-1"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as in fusion-ros search")
    arguments = parser.parse_args()

    deadline = time.monotonic() + 60 * arguments.minutes
    values = {**SMALL, "data.folder": str(arguments.data), **read_assignments(arguments.set)}
    values["features"] = resolve_features(str(values.get("features", "auto")))
    config = configure(Config, values)
    if config.threads:
        torch.set_num_threads(config.threads)
    features, scenes = load_features(config.features), read_scenes(config.data, config.task)
    rows: dict[str, list[Row]] = {}

    def minutes_left() -> float:
        left = (deadline - time.monotonic()) / 60
        if left <= 0:
            raise OutOfTimeError
        return left

    try:
        for seed in arguments.seeds:
            seeded = configure(Config, {"seed": seed}, config)
            folder = arguments.out / f"seed-{seed}"
            compared = dict(strategies(seeded, arguments.draws))
            if not arguments.only or "searched" in arguments.only:
                found = searched_weights(seeded, scenes, features, folder / "search", minutes_left())
                compared = {"searched": loss_weights(found, seeded.search.fixed), **compared}
            for name, weights in compared.items():
                if arguments.only and name not in arguments.only:
                    continue
                row = measured(seeded, weights, scenes, features, folder / name, minutes_left())
                rows.setdefault("random" if name.startswith("random") else name, []).append(row)
                print(f"seed {seed}, {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in row.items()))
    except OutOfTimeError:
        print("out of time: run the same command again to go on")
    if rows:
        print_table(rows, arguments.seeds)


if __name__ == "__main__":
    main()
