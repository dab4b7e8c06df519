"""The README's quality tables: fusion networks against the released CAF and the methods without a network.

Validation pairs only: the last fifth of the sorted names of each set, never trained on. Metrics in the `textbook`
profile. Released CAF weights are read from ../shared/weights where they are (`--caf`).

    python benchmarks/fusion_quality.py ../shared/data
    python benchmarks/fusion_quality.py ../shared/data --tables glare --methods epofusion-s=runs/x/weights.safetensors

Methods that are no part of this package take part in the normal tables by what they made of the same pairs:
`--pictures NAME=DIR`, with DIR/SET/PAIR.png for each validation pair (`--write-pairs DIR` writes those pairs).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fusion_ros.errors import InputError
from fusion_ros.fusion import list_models, load_model
from fusion_ros.fusion.color import luminance, to_eight_bit, to_unit_range
from fusion_ros.fusion.registry import is_available
from fusion_ros.metrics import FusionScorer
from fusion_ros.training.conditions import darkness_figures, glare_figures, gray
from fusion_ros.training.data.darkness import DarknessConfig, darken
from fusion_ros.training.data.glare import GlareConfig, add_glare
from fusion_ros.training.data.pairs import Pair, matched_names, read_pairs, split_names

Image = NDArray[np.uint8]
Fuse = Callable[[Image, Image], Image]

NORMAL = ("EN", "MI", "VIF", "Qabf", "SSIM", "SD", "SCD", "SF", "AG", "CC")
RANKED = ("EN", "MI", "VIF", "Qabf", "SSIM", "SD", "SCD")
GLARE = ("correlation", "ratio", "saturated", "VIF outside", "Qabf outside", "VIF clean", "Qabf clean")
DARK = ("SF", "AG", "VIF", "CC", "light", "newly saturated", "noise gain", "light gain", "noise over light")
HIDDEN = ("IoU", "precision", "recall")
LARGEST_SIDE = 720
BURNT_SHARE = 0.05
# Night pairs by name; roadscene's and m3svd's are told from day by their luminance.
DARK_MEAN = 70


def maximum(visible: Image, infrared: Image) -> Image:
    """The brighter of the two at each pixel."""
    return np.asarray(cv2.max(gray(visible), infrared), np.uint8)


def method(name: str, weights: str | None, backend: str) -> Fuse:
    """A method as a function to a fused luminance."""
    if name == "max":
        return maximum
    model = load_model(name.removesuffix(" released"), weights, device="cpu", backend=backend)

    def fuse(visible: Image, infrared: Image) -> Image:
        return to_eight_bit(model.fuse_luminance(luminance(visible), to_unit_range(infrared)))

    return fuse


def validation(root: Path, name: str, limit: int) -> list[Pair]:
    """Validation pairs of a set, at most `limit`, evenly spread."""
    _, names = split_names(matched_names(root / name))
    pairs = read_pairs(root / name, names, LARGEST_SIDE, 20)
    wanted = min(limit, len(pairs)) if limit else len(pairs)
    return [pairs[index * len(pairs) // wanted] for index in range(wanted)]


def mean_rows(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean of each figure over images, those without it left out."""
    rows = list(rows)
    means = {}
    for key in rows[0]:
        values = [row[key] for row in rows if not math.isnan(row[key])]
        means[key] = float(np.mean(values)) if values else float("nan")
    return means


def mean_ranks(table: dict[str, dict[str, float]], columns: Sequence[str]) -> dict[str, float]:
    """Mean over `columns` of each method's rank (1 is best; every one of these is better when larger)."""
    ranks: dict[str, list[int]] = {name: [] for name in table}
    for column in columns:
        for place, name in enumerate(sorted(table, key=lambda n: -table[n][column]), start=1):
            ranks[name].append(place)
    return {name: float(np.mean(places)) for name, places in ranks.items()}


def print_table(title: str, table: dict[str, dict[str, float]], columns: Sequence[str]) -> None:
    """One Markdown table."""
    print(f"\n{title}\n")
    print("| method | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:.3f}" for column in columns) + " |", flush=True)


def file_name(pair: Pair) -> str:
    """Name of a pair's picture; a frame of a clip is CLIP.mp4:NUMBER."""
    return pair.name.replace(":", "_") + ".png"


def pictures(folder: Path, sets: dict[str, list[Pair]]) -> Fuse:
    """A method whose fused luminance images lie in `folder`, as a function like the others'.

    Raises:
        InputError: where one is missing or of another size.
    """
    found = {}
    for set_name, pairs in sets.items():
        for pair in pairs:
            path = folder / set_name / file_name(pair)
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if image is None or image.shape != pair.infrared.shape:
                raise InputError(f"{path}: is no picture of {pair.infrared.shape} pixels")
            found[id(pair.infrared)] = np.asarray(image, np.uint8)

    return lambda _visible, infrared: found[id(infrared)]


def write_pairs(folder: Path, sets: dict[str, list[Pair]]) -> None:
    """Write the validation pairs as `folder`/SET/vi and ir."""
    for set_name, pairs in sets.items():
        for part in ("vi", "ir"):
            (folder / set_name / part).mkdir(parents=True, exist_ok=True)
        for pair in pairs:
            for part, image in (("vi", pair.visible), ("ir", pair.infrared)):
                cv2.imwrite(str(folder / set_name / part / file_name(pair)), image)


def normal_tables(methods: dict[str, Fuse], sets: dict[str, list[Pair]]) -> dict[str, dict[str, dict[str, float]]]:
    """The general metrics by set."""
    tables = {}
    for set_name, pairs in sets.items():
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
        for pair in pairs:
            scorer = FusionScorer(gray(pair.visible), pair.infrared)
            for name, fuse in methods.items():
                rows[name].append(scorer.score(fuse(pair.visible, pair.infrared)))
        table = {name: mean_rows(found) for name, found in rows.items()}
        ranks = mean_ranks(table, RANKED)
        tables[set_name] = {name: {**row, "mean rank": ranks[name]} for name, row in table.items()}
        print_table(f"{set_name}: {len(pairs)} pairs as they are", tables[set_name], (*NORMAL, "mean rank"))
    return tables


def hidden_figures(found: Image, hidden: NDArray[np.bool_]) -> dict[str, float]:
    """How well a guidance mask (255: yes) meets the hidden objects; NaN where nothing is hidden."""
    if not hidden.any():
        return dict.fromkeys(HIDDEN, math.nan)
    yes = found > 0
    both = float((yes & hidden).sum())
    return dict(
        zip(HIDDEN, (both / (yes | hidden).sum(), both / max(int(yes.sum()), 1), both / hidden.sum()), strict=True)
    )


def guidance_table(arguments: argparse.Namespace, pairs: list[Pair]) -> None:
    """The guidance masks of networks that have one, on the pairs with one added spot."""
    config = GlareConfig(spots=1, weakest=1.2, veil=0.0)
    glared = [add_glare(p.visible, p.infrared, np.random.default_rng(i), config) for i, p in enumerate(pairs)]
    table = {}
    for text in arguments.methods:
        name, _, weights = text.partition("=")
        if not name.startswith("epofusion"):
            continue
        model = load_model(name, weights or None, device="cpu", backend=arguments.backend)
        masks = [model.fuse_with_guidance(g.visible, p.infrared)[1] for g, p in zip(glared, pairs, strict=True)]
        rows = (hidden_figures(m, g.hidden) for m, g in zip(masks, glared, strict=True) if m is not None)
        table[name] = mean_rows(rows)
    if table:
        some = sum(bool(g.hidden.any()) for g in glared)
        print_table(f"guidance on the {some} of these pairs that hide an object", table, HIDDEN)


def glare_tables(
    methods: dict[str, Fuse], pairs: list[Pair], natural: list[Pair]
) -> dict[str, dict[str, dict[str, float]]]:
    """Added glare on `pairs`, and the glare that was there of `natural`."""
    config = GlareConfig(spots=1, weakest=1.2, veil=0.0)
    glared = [add_glare(p.visible, p.infrared, np.random.default_rng(i), config) for i, p in enumerate(pairs)]
    tables: dict[str, dict[str, dict[str, float]]] = {"added": {}, "natural": {}}
    for name, fuse in methods.items():
        tables["added"][name] = mean_rows(
            glare_figures(fuse, g.visible, p.infrared, p.visible) for g, p in zip(glared, pairs, strict=True)
        )
        if natural:
            tables["natural"][name] = mean_rows(glare_figures(fuse, p.visible, p.infrared) for p in natural)
    print_table(f"roadscene: {len(pairs)} pairs with one added spot", tables["added"], GLARE)
    if natural:
        print_table(f"roadscene: {len(natural)} pairs with over 5% saturated by nature", tables["natural"], GLARE[:5])
    return tables


def dark_tables(methods: dict[str, Fuse], sets: dict[str, list[Pair]]) -> dict[str, dict[str, dict[str, float]]]:
    """Night pairs, and day made night."""
    dark = {
        "llvip": sets.get("llvip", []),
        "msrs nights": [p for p in sets.get("msrs", []) if gray(p.visible).mean() < DARK_MEAN],
        "roadscene darkened": [
            Pair(p.name, darken(p.visible, np.random.default_rng(i), DarknessConfig(weakest=2.0)), p.infrared)
            for i, p in enumerate(sets.get("roadscene", []))
        ],
    }
    tables = {}
    for set_name, pairs in dark.items():
        if not pairs:
            continue
        tables[set_name] = {
            name: mean_rows(darkness_figures(fuse, p.visible, p.infrared) for p in pairs)
            for name, fuse in methods.items()
        }
        print_table(f"{set_name}: {len(pairs)} dark pairs", tables[set_name], DARK)
    return tables


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the sets")
    parser.add_argument("--tables", default="normal,glare,dark")
    parser.add_argument("--sets", default="roadscene,llvip,msrs,m3fd,m3svd")
    parser.add_argument("--methods", nargs="*", help="names, each with =WEIGHTS where not the shipped ones")
    parser.add_argument("--caf", type=Path, help="released CAF weights, imported with `fusion-ros weights import`")
    parser.add_argument("--pictures", nargs="*", default=[], help="NAME=DIR of fused pictures made elsewhere")
    parser.add_argument("--write-pairs", type=Path, help="write the validation pairs here and stop")
    parser.add_argument("--limit", type=int, default=0, help="pairs of each set, 0 for all")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.methods is None:
        shipped = [name for name in list_models() if name not in ("rgb", "thermal") and is_available(name)]
        arguments.methods = [*shipped, "max"]
    methods = {}
    for text in arguments.methods:
        name, _, weights = text.partition("=")
        methods[name] = method(name, weights or None, arguments.backend)
    if arguments.caf:
        methods["caf released"] = method("caf released", str(arguments.caf), arguments.backend)
    sets = {name: validation(arguments.data, name, arguments.limit) for name in arguments.sets.split(",")}
    if arguments.write_pairs:
        write_pairs(arguments.write_pairs, sets)
        return 0
    wanted = arguments.tables.split(",")
    figures = {}
    if "normal" in wanted:
        others = [text.partition("=") for text in arguments.pictures]
        made = {name: pictures(Path(folder), sets) for name, _, folder in others}
        figures["normal"] = normal_tables(methods | made, sets)
    if "glare" in wanted and "roadscene" in sets:
        every = validation(arguments.data, "roadscene", 0)
        natural = [pair for pair in every if (gray(pair.visible) >= 250).mean() > BURNT_SHARE]
        figures["glare"] = glare_tables(methods, sets["roadscene"], natural[: arguments.limit or None])
        guidance_table(arguments, sets["roadscene"])
    if "dark" in wanted:
        figures["dark"] = dark_tables(methods, sets)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"fusion_quality: {error}")
