"""Fusion metrics (`textbook` profile) of models on the validation pairs: the last fifth of every set's sorted names.

    python benchmarks/fusion_quality.py [--data ../shared/data] [--models max,average,guided,caf]
        [--weights NAME=FILE ...] [--pairs 40] [--json]

`max` is max(Y, IR), beside `average` and `guided` the control that every learned method must be seen against. A row of
its own for other weights: `--weights released=caf:detection.safetensors` fuses with network `caf` and that file.
MI and VIF are sums over the two sources, SSIM the mean. `--pairs` limits how many pairs of all sets are taken, evenly
spread and more from larger sets; 0 takes all.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from fusion_ros.errors import InputError
from fusion_ros.fusion import FusionModel, load_model
from fusion_ros.fusion.color import luminance, to_eight_bit, to_unit_range
from fusion_ros.metrics import fusion_metrics
from fusion_ros.training.data.pairs import Pair, PairsConfig, load_validation
from fusion_ros.training.validation import spread

SHOWN = ("EN", "MI", "VIF", "Qabf", "SSIM", "SD", "SCD", "SF", "AG", "CC")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--sets", default=PairsConfig.sets)
    parser.add_argument("--models", default="max,average,guided,caf")
    parser.add_argument("--weights", action="append", default=[], metavar="ROW=NETWORK:FILE")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        sets = load_validation(PairsConfig(folder=arguments.data, sets=arguments.sets))
        models = {
            name: maximum() if name == "max" else load_model(name) for name in arguments.models.split(",") if name
        }
        for text in arguments.weights:
            row, _, source = text.partition("=")
            network, _, path = source.partition(":")
            models[row] = load_model(network, path, threads=arguments.threads)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    pairs = [pair for own in sets.values() for pair in own]
    if arguments.pairs:
        pairs = spread(sets, arguments.pairs)
    results = {name: mean_metrics(model, pairs) for name, model in models.items()}
    if arguments.json:
        print(json.dumps({"pairs": len(pairs), "metrics": results}))
        return 0
    print(f"{len(pairs)} pairs\n{'model':<12}" + "".join(f"{name:>8}" for name in SHOWN))
    for name, metrics in results.items():
        print(f"{name:<12}" + "".join(f"{metrics[key]:>8.3f}" for key in SHOWN))
    return 0


def maximum() -> FusionModel:
    """max(Y, IR): no mode of the package, since it takes the glare of either camera, but hard to beat on VIF."""
    return FusionModel("max", lambda visible, infrared: np.maximum(visible, infrared))


def mean_metrics(model: FusionModel, pairs: list[Pair]) -> dict[str, float]:
    """Mean of each metric over the pairs, on 8 bit luminance."""
    rows = []
    for pair in pairs:
        visible = luminance(pair.visible)
        fused = model.fuse_luminance(visible, to_unit_range(pair.infrared))
        rows.append(fusion_metrics(to_eight_bit(visible), pair.infrared, to_eight_bit(fused)))
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


if __name__ == "__main__":
    sys.exit(main())
