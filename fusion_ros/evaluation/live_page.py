"""The part of the report on the running nodes: what they delivered, how late, what was dropped, when modes changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from fusion_ros.evaluation.frames_file import FramesTable
from fusion_ros.evaluation.live_config import LIVE
from fusion_ros.evaluation.scores import LATENCY, PROCESSING
from fusion_ros.report.page import Cell, Table, details
from fusion_ros.report.plots import ColourKey, Series, bars, time_plot

LIVE_NOTE = (
    "The recording was replayed over DDS, and the published images are what is scored here. Latency runs from the "
    "publication of the pair's later image to that of the fused one, as a subscriber of both sees it."
)
_LISTED_SWITCHES = 100


def live_part(summary: Mapping[str, Any], table: FramesTable) -> Markup:
    """Tables of delivery, times and agreement, latency over time, drops by reason, mode switches."""
    replays: Mapping[str, Mapping[str, Any]] = summary[LIVE]
    parts = [_delivery(replays), _agreement(replays), _latency_plot(replays, table)]
    for mode, facts in replays.items():
        drops = {
            f"{node}: {reason}": float(count)
            for node, reasons in facts["dropped"].items()
            for reason, count in reasons.items()
        }
        drops |= {f"{camera}: never arrived": float(count) for camera, count in facts["lost_before"].items()}
        parts.append(Markup("<h3>{}: dropped, by reason</h3>").format(mode))
        parts.append(bars(drops, "messages", title=f"{mode}: dropped, by reason") if drops else _nothing("Nothing."))
        parts.append(_switches(mode, facts))
    return Markup("").join(parts)


def _delivery(replays: Mapping[str, Mapping[str, Any]]) -> Markup:
    heads = [
        "mode",
        "pairs in the recording",
        "fused",
        "one camera passed on",
        "latency, median (ms)",
        "latency, 95 % (ms)",
        "latency, largest (ms)",
        "node's compute time, median (ms)",
        "mode switches",
        "speed of the replay",
        "player",
    ]
    rows: list[list[Cell]] = []
    for mode, facts in replays.items():
        latency, (slow, fast) = facts[LATENCY], facts["speed"]
        speed = f"{slow:.2f}" if slow == fast else f"{slow:.2f} to {fast:.2f}"
        rows.append(
            [
                mode,
                facts["pairs"],
                facts["fused"],
                facts["alone"],
                *(latency.get(name) for name in ("median", "p95", "max")),
                facts[PROCESSING].get("median"),
                len(facts["switches"]),
                speed,
                facts["player"],
            ]
        )
    return Table(heads, rows, digits=1).render()


def _agreement(replays: Mapping[str, Mapping[str, Any]]) -> Markup:
    sentences = []
    for mode, facts in replays.items():
        found = facts["agreement"]
        text = (
            f"{mode}: {found['identical']} of {found['frames']} published images are, to the last bit, what the same "
            "pairs give without the nodes"
        )
        if found["identical"] < found["frames"]:
            text += (
                f"; the others differ by up to {found['largest_difference']} grey levels, another mode was in force on "
                f"{found['other_mode']}"
            )
        if facts["other_partner"]:
            text += f". {facts['other_partner']} RGB images had another thermal partner than the whole recording gives"
        if facts["unanswered"]:
            text += f". On {facts['unanswered']} labelled frames a node gave no answer; they are not counted"
        sentences.append(f"{text}.")
    return Markup("<h3>Offline and live</h3>") + Markup("").join(Markup("<p>{}</p>").format(s) for s in sentences)


def _latency_plot(replays: Mapping[str, Mapping[str, Any]], table: FramesTable) -> Markup:
    if len(table.frames) < 2:
        return Markup("")
    colours = ColourKey(table.modes)
    seconds = np.array([frame.seconds for frame in table.frames])
    series = []
    for mode in replays:
        column = table.column(mode, LATENCY)
        there = ~np.isnan(column)
        series.append(Series(mode, seconds[there].tolist(), column[there].tolist()))
    plot = time_plot(series, "latency (ms)", colours=colours, title="latency over time")
    return Markup("<h3>Latency over time</h3>") + plot


def _switches(mode: str, facts: Mapping[str, Any]) -> Markup:
    if not facts["switches"]:
        return Markup("")
    rows: list[list[Cell]] = [[one["time_s"], one["from"], one["to"]] for one in facts["switches"][:_LISTED_SWITCHES]]
    left = len(facts["switches"]) - len(rows)
    more = Markup('<p class="note">and {} more; they are in summary.json.</p>').format(left) if left else Markup("")
    body = Table(["time (s)", "from", "to"], rows).render() + more
    return details(f"{mode}: {len(facts['switches'])} mode switches", body, is_open=len(rows) < 12)


def _nothing(text: str) -> Markup:
    return Markup('<p class="empty">{}</p>').format(text)
