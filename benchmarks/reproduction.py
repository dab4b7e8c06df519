"""The measured half of docs/reproduction.md: the papers' tables beside the same metrics on sample pairs, as Markdown.

    python benchmarks/reproduction.py DATA --caf caf-released.safetensors --figures out/reproduction.json

DATA holds folders of `vi/` and `ir/`: `msrs`, `llvip`, `m3fd`; those that are missing are left out. Of sets with more
than ten pairs the last fifth of the sorted names is taken, which no shipped network has seen. What `--figures` holds
already, of the same weights and pairs, is not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fusion_ros.bags.pairs_folder import Pair, find_pairs, read_pairs
from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.fusion.model import FusionModel
from fusion_ros.fusion.weights import sha256_of
from fusion_ros.metrics import PROFILES, FusionScorer

METHODS = ("epofusion-s", "dfvo-s", "caf-s", "guided", "average")
FEW = 10


@dataclass(frozen=True)
class Table:
    """One table of a paper.

    Attributes:
        title: of the paper's table.
        folder: the sample set that stands in for its test set.
        profile: of the metrics, as the paper computes them.
        metrics: its columns.
        reported: its rows by what they are of; None where the paper has no number.
    """

    title: str
    folder: str
    profile: str
    metrics: tuple[str, ...]
    reported: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


TABLES = (
    Table(
        "EPOFusion, general fusion on MSRS",
        "msrs",
        "tang2023",
        ("EN", "MI", "VIF", "Qabf", "SSIM"),
        {
            "EPOFusion, paper, 361 pairs": (6.671, 4.579, 1.064, 0.700, 0.487),
            "EMMA, same paper, 361 pairs": (6.718, 4.241, 0.973, 0.642, 0.479),
            "TDFusion, same paper, 361 pairs": (6.734, 3.663, 0.991, 0.659, 0.507),
        },
    ),
    Table(
        "DFVO, LLVIP",
        "llvip",
        "tang2022",
        ("EN", "PSNR", "MSE", "SF", "SD", "VIF", "AG", "CC"),
        {"DFVO, paper, 50 pairs": (7.172, 63.258, 0.032, 0.082, 9.413, 0.961, 6.783, 0.724)},
    ),
    Table(
        "DFVO, MSRS",
        "msrs",
        "tang2022",
        ("PSNR", "MSE", "MI", "CC", "AG"),
        {"DFVO, paper, 183 pairs": (65.038, 0.022, 2.201, 0.594, 4.770)},
    ),
    Table("CAF, M3FD", "m3fd", "textbook", ("MI", "VIF"), {"CAF, paper": (1.432, 0.983)}),
    Table("CAF, M3FD", "m3fd", "cddfuse", ("MI", "VIF"), {"CAF, paper": (1.432, 0.983)}),
)

Figures = dict[str, Any]


def pairs_of(folder: Path) -> Iterator[Pair]:
    """All pairs of a small set, the last fifth of a larger one."""
    count = len(find_pairs(folder))
    first = 0 if count <= FEW else -(-4 * count // 5)
    for index, pair in enumerate(read_pairs(folder)):
        if index >= first:
            yield pair


def grey(bgr: np.ndarray) -> np.ndarray:
    """Luminance of an image as it would be saved."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def rows_of(folder: Path, methods: Mapping[str, FusionModel], profiles: Sequence[str]) -> dict[str, Figures]:
    """By method the means over the pairs, in each profile."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {p: [] for p in profiles} for name in methods}
    names = []
    for pair in pairs_of(folder):
        names.append(pair.name)
        thermal = np.asarray(pair.thermal, np.uint8)
        fused = [grey(model.fuse(pair.rgb, thermal)) for model in methods.values()]
        for profile in profiles:
            scored = FusionScorer(grey(pair.rgb), thermal, profile).score_all(fused)
            for name, values in zip(methods, scored, strict=True):
                found[name][profile].append(values)
        print(f"{folder.name}: {pair.name}", file=sys.stderr, flush=True)
    return {
        name: {
            "weights": checksum(methods[name]),
            "pairs": names,
            **{p: {m: float(np.mean([row[m] for row in rows])) for m in rows[0]} for p, rows in by_profile.items()},
        }
        for name, by_profile in found.items()
    }


def checksum(model: FusionModel) -> str:
    """The first digits of the weights' SHA-256; empty for a classical method."""
    return sha256_of(model.weights)[:12] if model.weights else ""


def measure(data: Path, methods: Mapping[str, FusionModel], figures: dict[str, dict[str, Figures]]) -> None:
    """Fill `figures`, by set and method, with what it does not hold of these weights and pairs."""
    for folder in dict.fromkeys(table.folder for table in TABLES):
        if not (data / folder).is_dir():
            continue
        profiles = list(dict.fromkeys(table.profile for table in TABLES if table.folder == folder))
        known = figures.setdefault(folder, {})
        fresh = {
            name: model
            for name, model in methods.items()
            if name not in known
            or known[name]["weights"] != checksum(model)
            or any(profile not in known[name] for profile in profiles)
        }
        if fresh:
            known.update(rows_of(data / folder, fresh, profiles))


def print_table(table: Table, rows: Mapping[str, Figures]) -> None:
    """One Markdown table: the paper's rows, then ours."""
    profile = PROFILES[table.profile]
    print(f"\n**{table.title}**, profile `{table.profile}`\n")
    heads = [f"{metric} ({profile.header(metric)})" for metric in table.metrics]
    print("| | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for name, values in table.reported.items():
        print(f"| {name} | " + " | ".join("" if value is None else f"{value:.3f}" for value in values) + " |")
    for name, figures in rows.items():
        values = figures[table.profile]
        print(
            f"| {name}, {len(figures['pairs'])} sample pairs | "
            + " | ".join(f"{values[m]:.3f}" for m in table.metrics)
            + " |"
        )


def main() -> int:
    """Print the tables, the pairs and the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with msrs/, llvip/, m3fd/")
    parser.add_argument("--caf", type=Path, help="released CAF weights, imported with `fusion-ros weights import`")
    parser.add_argument("--figures", type=Path, help="JSON file with what was measured before, written anew")
    parser.add_argument("--backend", default="auto")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    methods = {name: load_model(name, device="cpu", backend=arguments.backend) for name in METHODS}
    if arguments.caf:
        methods["CAF, released weights"] = load_model(
            "caf", str(arguments.caf), device="cpu", backend=arguments.backend
        )
    known = arguments.figures and arguments.figures.is_file()
    figures: dict[str, dict[str, Figures]] = json.loads(arguments.figures.read_text()) if known else {}
    measure(arguments.data, methods, figures)
    if arguments.figures:
        arguments.figures.parent.mkdir(parents=True, exist_ok=True)
        arguments.figures.write_text(json.dumps(figures, indent=1) + "\n")
    for table in TABLES:
        if table.folder in figures:
            print_table(table, {name: figures[table.folder][name] for name in methods})
    for folder, rows in figures.items():
        print(f"\nPairs of `{folder}`: " + ", ".join(next(iter(rows.values()))["pairs"]) + ".")
    weights = [f"`{name}` {checksum(model)}" for name, model in methods.items() if model.weights]
    print("\nWeights (SHA-256 begins): " + ", ".join(weights) + ".")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"reproduction: {error}")
