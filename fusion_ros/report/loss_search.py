"""The report of a search for loss weights: how they moved, where they ended, and what came of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fusion_ros.report.page import Page, Section, Table, Tile, details, write_page
from fusion_ros.report.pictures import picture
from fusion_ros.report.plots import ColourKey, Series, bars, time_plot
from fusion_ros.report.provenance import machine, versions

# More points than this are not told apart in a plot; they are drawn as means of neighbours.
_POINTS = 300
_RUNNING = 25
_UPPER_FIGURES = ("mAP50", "mIoU")


@dataclass(frozen=True)
class LossSearchRecord:
    """What there is to report.

    Attributes:
        task: `detection` or `segmentation`.
        network: name of the fusion network.
        features: what the perceptual terms compare.
        step, steps: how far the search is, and how far it goes.
        terms: searched terms with their descriptions, in the order of `weights`.
        weights: searched weights after each step, which add to one.
        losses: upper, lower and perception loss by step, NaN where there was none.
        loss_file: text of `loss.yaml`.
        train_command: how to train with it.
        fusion: metrics of the fusion network trained with the weights; empty where it is not.
        figures: upper-level figures on the validation part; empty where there are none yet.
        pictures: (H, W, 3) uint8 BGR fused validation pictures by name.
        data: what was searched on, in words.
        notes: what a reader has to know beyond that.
        settings: all settings by name.
    """

    task: str
    network: str
    features: str
    step: int
    steps: int
    terms: Mapping[str, str]
    weights: Sequence[Sequence[float]]
    losses: Mapping[str, Sequence[float]]
    loss_file: str
    train_command: str
    fusion: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    data: str = ""
    notes: Sequence[str] = ()
    settings: Mapping[str, object] = field(default_factory=dict)


def write_loss_search_report(record: LossSearchRecord, path: Path) -> None:
    """Write the page; one that was there stays until the new one is complete."""
    write_page(loss_search_page(record), path)


def loss_search_page(record: LossSearchRecord) -> Page:
    """Build the page."""
    sections = [
        Section("weights", "The weights found", _weights(record), _weights_note(record)),
        Section("trajectory", "How they moved", _trajectory(record)),
        Section("losses", "The losses meanwhile", _losses(record), _LOSSES_NOTE),
        Section("loss", "The loss", _loss(record)),
    ]
    if record.figures:
        note = "On the validation part, which neither the search nor a training has seen."
        sections.append(Section("figures", "After training with it", _figures(record), note))
    if record.pictures:
        sections.append(Section("pictures", "Fused pictures", _pictures(record)))
    sections.append(Section("setup", "Settings and versions", _setup(record)))
    return Page(
        title=f"Loss search: {record.network} for {record.task}",
        subtitle=record.data,
        tiles=_tiles(record),
        sections=sections,
        warnings=record.notes,
        links=[("the loss (YAML)", "loss.yaml"), ("every step (JSON)", "trajectory.json")],
    )


_LOSSES_NOTE = (
    "Upper: the perception network's loss on the part of the training pairs that judges the weights, after the "
    "unrolled step. Lower: the weighted fusion loss, whose scale moves with the weights. Each value is of one batch."
)


def _final(record: LossSearchRecord) -> dict[str, float]:
    return dict(zip(record.terms, record.weights[-1], strict=True))


def _tiles(record: LossSearchRecord) -> list[Tile]:
    final = _final(record)
    first = max(final, key=final.__getitem__)
    tiles = [
        Tile("search steps", f"{record.step} of {record.steps}", tone="" if record.step >= record.steps else "bad"),
        Tile("most weight", first, f"{final[first]:.3f}; equal weights would be {1 / len(final):.3f}"),
        Tile("perceptual terms", "VGG-16" if "VGG-16" in record.features else "detector", record.features),
    ]
    for name in (*_UPPER_FIGURES, "upper loss"):
        if name in record.figures:
            tiles.append(Tile(name, f"{record.figures[name]:.3f}", "validation part"))
    return tiles


def _weights(record: LossSearchRecord) -> Markup:
    final = _final(record)
    ordered = dict(sorted(final.items(), key=lambda entry: -entry[1]))
    rows = [(name, record.terms[name], weight) for name, weight in ordered.items()]
    table = Table(("term", "what it compares", "weight"), rows, digits=4)
    return bars({name: round(weight, 4) for name, weight in ordered.items()}, "", title="weights") + table.render()


def _weights_note(record: LossSearchRecord) -> str:
    share = sum(weight for name, weight in _final(record).items() if "infrared" in name)
    visible = sum(weight for name, weight in _final(record).items() if "visible" in name)
    return (
        f"The fifteen weights add to one. Infrared terms hold {share:.2f}, visible terms {visible:.2f}, terms on the "
        f"stronger of the two {max(0.0, 1 - share - visible):.2f}."
    )


def _trajectory(record: LossSearchRecord) -> Markup:
    kinds: dict[str, list[str]] = {}
    for name in record.terms:
        kinds.setdefault(name.split("_")[0], []).append(name)
    names = list(record.terms)
    highest = max(max(row) for row in record.weights)
    plots = []
    for kind, members in kinds.items():
        series = [
            Series(name, *thinned([row[names.index(name)] for row in record.weights]), "line") for name in members
        ]
        plots.append(Markup("<h3>{}</h3>").format(kind))
        plots.append(
            time_plot(
                series, "weight", x_label="step", y_max=highest * 1.05, height=180, colours=ColourKey(), title=kind
            )
        )
    return Markup("").join(plots)


def _losses(record: LossSearchRecord) -> Markup:
    plots = []
    for name, values in record.losses.items():
        if any(math.isfinite(value) for value in values):
            series = [
                Series("one batch", *thinned(values), "dots"),
                Series(f"mean of {_RUNNING} steps", *thinned(running_mean(values, _RUNNING))),
            ]
            plots.append(time_plot(series, f"{name} loss", x_label="step", title=f"{name} loss"))
    return Markup("").join(plots)


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Mean of each value and the `width` - 1 before it, NaN where one of them is missing or there are fewer."""
    return [
        math.nan if index + 1 < width else sum(values[index + 1 - width : index + 1]) / width
        for index in range(len(values))
    ]


def thinned(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Steps and values of a row, as means of neighbours where there are too many; NaN counts as missing."""
    width = max(1, -(-len(values) // _POINTS))
    steps, means = [], []
    for first in range(0, len(values), width):
        known = [value for value in values[first : first + width] if math.isfinite(value)]
        if known:
            steps.append(first + (len(values[first : first + width]) + 1) / 2)
            means.append(sum(known) / len(known))
    return steps, means


def _loss(record: LossSearchRecord) -> Markup:
    return Markup("<p>To train with it:</p><pre>{}</pre>").format(record.train_command) + details(
        "loss.yaml", Markup("<pre>{}</pre>").format(record.loss_file)
    )


def _figures(record: LossSearchRecord) -> Markup:
    upper = Table(
        ("upper level", "value"), list(record.figures.items()), caption="Perception network on fused pictures"
    )
    fused = Table(("metric", "value"), list(record.fusion.items()), caption="Fusion network, against both sources")
    return upper.render() + fused.render()


def _pictures(record: LossSearchRecord) -> Markup:
    shown = (picture(image, name, f"fused picture of {name}") for name, image in record.pictures.items())
    return Markup('<div class="pictures">{}</div>').format(Markup("").join(shown))


def _setup(record: LossSearchRecord) -> Markup:
    settings = Table(("setting", "value"), [(name, str(value)) for name, value in record.settings.items()])
    facts = Table(("", ""), [*versions(), *machine()], sortable=False)
    return details("settings", settings.render()) + details("versions and machine", facts.render())
