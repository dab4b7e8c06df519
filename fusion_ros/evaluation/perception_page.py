"""The part of the report on detection and segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fusion_ros.report.page import Cell, Table

# Surer than this, a box is drawn; the curve of precision uses all of them.
_DRAWN_FROM = 0.25
_PICTURES = 6


def perception_part(summary: Mapping[str, Any]) -> Markup:
    """Tables of mAP and mIoU over all labelled frames and by light."""
    perception = summary["perception"]
    counts = (
        f"{perception['labelled_frames']} frames with labelled boxes ({perception['true_boxes']} boxes), "
        f"{perception['masked_frames']} with true masks. The shipped detector and segmenter see what each mode makes; "
        "average precision as COCO defines it."
    )
    parts = [Markup('<p class="note">{}</p>').format(counts)]
    if perception["unknown"]:
        unknown = ", ".join(f"{count} {name}" for name, count in perception["unknown"].items())
        parts.append(
            Markup('<p class="note">Not counted, classes that the detector does not know: {}.</p>').format(unknown)
        )
    lights = dict.fromkeys(light for by_light in perception["modes"].values() for light in by_light)
    for light in lights:
        rows = {mode: by_light.get(light, {}) for mode, by_light in perception["modes"].items()}
        parts.append(Markup("<h3>{}</h3>").format("all frames" if light == "all" else light) + _table(summary, rows))
    return Markup("").join(parts)


def _table(summary: Mapping[str, Any], rows: Mapping[str, Mapping[str, float]]) -> Markup:
    scores = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not scores:
        return Markup('<p class="empty">Nothing is labelled in these frames.</p>')
    cells: list[list[Cell]] = [
        [f"{mode} (baseline)" if summary["modes"][mode]["baseline"] else mode, *(row.get(name) for name in scores)]
        for mode, row in rows.items()
    ]
    # RGB or thermal alone can well be the best to detect on: here the baselines compete.
    return Table(["mode", *scores], cells, best=dict.fromkeys(range(1, len(scores) + 1), "max")).render()
