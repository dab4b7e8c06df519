"""The demo's report: from a `DemoRecord` to a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fusion_ros.report.highlights import Highlight, choose_highlights, mode_switches
from fusion_ros.report.page import Cell, Page, Section, Table, Tile, details
from fusion_ros.report.panels import annotated
from fusion_ros.report.pictures import picture
from fusion_ros.report.plots import (
    Band,
    ColourKey,
    Series,
    Threshold,
    band_timeline,
    bars,
    histogram,
    nothing_to_plot,
    time_plot,
)
from fusion_ros.report.recall import recall_by_class_and_condition
from fusion_ros.report.record import DemoRecord, FrameRecord
from fusion_ros.report.summary import latency_summary

LEVELS = {0: "ok", 1: "warning", 2: "error", 3: "stale"}


def demo_page(record: DemoRecord, links: Sequence[tuple[str, str]] = ()) -> Page:
    """Build the page; `links` are (text, relative address) of the files beside it."""
    colours = ColourKey([frame.mode for frame in record.frames])
    sections = [
        Section(
            "pictures", "Pictures", _pictures(record), "Frames chosen from every kind of scene and at changes of mode."
        ),
        Section("timeline", "Modes over time", _timeline(record, colours)),
        Section("exposure", "Exposure", _exposure(record, colours)),
        Section("latency", "Latency and compute time", _latency(record)),
        Section("drops", "Frames that were not used", _drops(record)),
        Section("pairs", "Pairs", _pairs(record)),
        Section("detections", "Detections", _detections(record)),
        Section("messages", "Diagnostics and log", _messages(record)),
        Section("setup", "What ran", _facts(record)),
    ]
    return Page(
        title="Thermal and RGB fusion: a replay through the nodes",
        subtitle=record.source,
        tiles=_tiles(record),
        sections=sections,
        warnings=record.shortfalls,
        links=links,
    )


def _tiles(record: DemoRecord) -> list[Tile]:
    frames = record.frames
    latency = latency_summary(frames)
    boxes = sum(len(frame.detections) for frame in frames if frame.detections is not None)
    detected = sum(frame.detections is not None for frame in frames)
    masks = sum(frame.has_mask for frame in frames)
    modes = Counter(frame.mode for frame in frames)
    dropped = sum(record.final_drops().get("fusion", {}).values())
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in record.final_drops().get("fusion", {}).items() if count
    )
    paired = sum(frame.skew_ms is not None for frame in frames)
    made_of = f"{paired} from pairs, {len(frames) - paired} from one camera while the other failed"
    tiles = [
        Tile(
            "Pairs in the recording",
            str(record.pair_count),
            f"{record.rgb_count} RGB, {record.thermal_count} thermal images",
        ),
        Tile("Fused images out", str(len(frames)), made_of, "good" if frames else "bad"),
        Tile("Not used by fusion", str(dropped), reasons or "none"),
        Tile("Frames searched for objects", str(detected), f"{boxes} boxes", "" if detected else "bad"),
        Tile("Frames segmented", str(masks), "", "" if masks else "bad"),
        Tile("Modes", str(len(modes)), ", ".join(f"{mode} {count}" for mode, count in modes.items())),
    ]
    if latency:
        note = f"95 % under {latency['p95']:.0f} ms; RGB published to fused published"
        tiles.insert(3, Tile("Mean latency", f"{latency['mean']:.0f} ms", note))
    return tiles


def _pictures(record: DemoRecord) -> Markup:
    chosen = [h for h in choose_highlights(record.frames) if h.frame.stamp_ns in record.pictures]
    if not chosen:
        return Markup('<p class="empty">No pictures: no fused frame was received.</p>')
    return Markup("").join(_picture_row(record, highlight) for highlight in chosen)


def _picture_row(record: DemoRecord, highlight: Highlight) -> Markup:
    frame = highlight.frame
    images = record.pictures[frame.stamp_ns]
    boxes = len(frame.detections) if frame.detections is not None else None
    masked = annotated(images.fused, None, images.mask, record.mask_class_names) if images.mask is not None else None
    boxed = annotated(images.fused, frame.detections, None, {}) if frame.detections is not None else None
    count = "not searched" if boxes is None else f"{boxes} box{'' if boxes == 1 else 'es'}"
    heading = f"{record.seconds(frame.stamp_ns):.2f} s, mode {frame.mode}"
    scene = f", scene {frame.condition}" if frame.condition else ""
    row = Markup("").join(
        [
            picture(images.rgb, "RGB", "RGB camera image"),
            picture(images.thermal, "thermal", "thermal camera image"),
            picture(images.fused, f"fused ({frame.mode})", "fused image"),
            picture(boxed, f"detections: {count}", "fused image with boxes"),
            picture(masked, _classes_in(images.mask, record), "fused image with coloured classes"),
        ]
    )
    return Markup('<h3>{}{} <span class="note">({})</span></h3><div class="pictures">{}</div>').format(
        heading, scene, highlight.reason, row
    )


def _classes_in(mask: NDArray[np.uint8] | None, record: DemoRecord) -> str:
    """Caption of the segmentation: the classes that cover a thousandth of the picture or more, the largest first."""
    if mask is None:
        return "segmentation: skipped"
    counts = np.bincount(mask.ravel(), minlength=1)
    found = [int(c) for c in np.argsort(-counts, kind="stable") if counts[c] >= max(1, mask.size // 1000)]
    return "segmentation: " + ", ".join(record.mask_class_names.get(c, str(c)) for c in found)


def _x_range(record: DemoRecord) -> tuple[float, float]:
    return 0.0, max(record.end_s, 1e-3)


def mode_bands(record: DemoRecord) -> list[Band]:
    """Stretches of one mode, from frame to frame."""
    return _bands([(record.seconds(frame.stamp_ns), frame.mode) for frame in record.frames], record.end_s)


def _bands(changes: Sequence[tuple[float, str]], end: float) -> list[Band]:
    bands: list[Band] = []
    for start, label in changes:
        if bands and bands[-1].label == label:
            continue
        if bands:
            bands[-1] = Band(bands[-1].start, start, bands[-1].label)
        bands.append(Band(start, max(end, start), label))
    return bands


def _timeline(record: DemoRecord, colours: ColourKey) -> Markup:
    truth = _bands([(record.seconds(stamp), label) for stamp, label in record.conditions], record.end_s)
    rows: list[tuple[str, Sequence[Band]]] = [("mode in force", mode_bands(record))]
    if truth:
        rows.append(("scene (ground truth of the simulation)", truth))
    plot = band_timeline(rows, x_range=_x_range(record), colours=colours, title="modes and scenes over time")
    switches = mode_switches(record.frames)
    if not switches:
        return plot + Markup('<p class="note">The mode did not change during this run.</p>')
    table = Table(
        ["time (s)", "from", "to", "glare fraction", "dark fraction", "mean luma"],
        [[record.seconds(f.stamp_ns), before, now, *_reading(f)] for f, before, now in switches],
        "Changes of mode, with the reading of the first frame in the new one",
    )
    return plot + table.render()


def _reading(frame: FrameRecord) -> tuple[float | None, float | None, float | None]:
    if frame.exposure is None:
        return None, None, None
    return frame.exposure.glare_fraction, frame.exposure.dark_fraction, frame.exposure.mean_luma


def _exposure(record: DemoRecord, colours: ColourKey) -> Markup:
    read = [(record.seconds(f.stamp_ns), f.exposure) for f in record.frames if f.exposure is not None]
    if not read:
        return nothing_to_plot("no exposure readings were received")
    xs = [x for x, _ in read]
    fractions = [
        Series("glare fraction", xs, [reading.glare_fraction for _, reading in read]),
        Series("dark fraction", xs, [reading.dark_fraction for _, reading in read]),
    ]
    marks = [Threshold(value, name) for name, value in record.thresholds.items()]
    bands = mode_bands(record)
    plot = time_plot(
        fractions[:1],
        "over-exposed share",
        bands=bands,
        thresholds=[mark for mark in marks if "glare" in mark.label],
        x_range=_x_range(record),
        colours=colours,
        title="share of over-exposed pixels",
    )
    dark = time_plot(
        fractions[1:],
        "too dark share",
        bands=bands,
        thresholds=[mark for mark in marks if "dark" in mark.label],
        x_range=_x_range(record),
        colours=colours,
        title="share of pixels too dark to see in",
    )
    luma = time_plot(
        [Series("mean luma", xs, [reading.mean_luma for _, reading in read])],
        "mean luma (0 to 255)",
        bands=bands,
        x_range=_x_range(record),
        y_max=255.0,
        colours=colours,
        title="mean luminance",
    )
    note = Markup('<p class="note">The tinted background is the mode in force; dashed lines are the thresholds.</p>')
    return note + plot + dark + luma


def _latency(record: DemoRecord) -> Markup:
    timed = [(record.seconds(f.stamp_ns), f.latency_ms) for f in record.frames if f.latency_ms is not None]
    latency = time_plot(
        [Series("latency", [x for x, _ in timed], [y for _, y in timed])],
        "latency (ms)",
        x_range=_x_range(record),
        title="RGB published to fused published",
    )
    compute = time_plot(
        [
            Series(n, [record.seconds(s.stamp_ns) for s in v], [s.value for s in v])
            for n, v in record.processing.items()
        ],
        "compute (ms)",
        x_range=_x_range(record),
        title="compute time of each node",
    )
    rows: list[list[Cell]] = []
    for node, samples in record.processing.items():
        if samples:
            values = [sample.value for sample in samples]
            rows.append([node, len(values), float(np.mean(values)), float(np.percentile(values, 95)), max(values)])
    table = Table(["node", "frames", "mean (ms)", "95 % under (ms)", "most (ms)"], rows, digits=1)
    return Markup("").join(
        [
            Markup("<h3>From the RGB image's publication to the fused image's</h3>"),
            Markup(
                '<p class="note">Wall time between the two publications, pairing included. A slowed replay stretches '
                "the wait for a partner frame, not the work.</p>"
            ),
            latency,
            histogram([y for _, y in timed], "latency (ms)"),
            Markup("<h3>Compute time in each node, as the node reports it</h3>"),
            compute,
            table.render() if rows else Markup(""),
        ]
    )


def _drops(record: DemoRecord) -> Markup:
    series: dict[str, tuple[list[float], list[float]]] = {}
    for drop in record.drops:
        for reason, count in drop.by_reason.items():
            xs, ys = series.setdefault(f"{drop.node}: {reason}", ([], []))
            xs.append(record.seconds(drop.stamp_ns))
            ys.append(float(count))
    moved = [Series(name, xs, ys, "step") for name, (xs, ys) in series.items() if any(ys)]
    totals = {
        f"{node}: {reason}": float(count)
        for node, reasons in record.final_drops().items()
        for reason, count in reasons.items()
        if count
    }
    if not totals:
        return Markup("<p>The nodes reported no dropped frames.</p>")
    colours = ColourKey(one.name for one in moved)
    note = Markup('<p class="note">Counters in the diagnostics of the nodes, once a second.</p>')
    return (
        note
        + time_plot(moved, "frames", x_range=_x_range(record), title="dropped so far", colours=colours)
        + bars(totals, "frames", colours=colours)
    )


def _pairs(record: DemoRecord) -> Markup:
    skews = [frame.skew_ms for frame in record.frames if frame.skew_ms is not None]
    return histogram(skews, "thermal minus RGB stamp (ms)", title="skew of the pairs")


def _detections(record: DemoRecord) -> Markup:
    found: Counter[str] = Counter()
    for frame in record.frames:
        if frame.detections is not None:
            found.update(record.class_names.get(int(c), str(c)) for c in frame.detections.class_id)
    xs = [record.seconds(f.stamp_ns) for f in record.frames if f.detections is not None]
    counts = [float(len(f.detections)) for f in record.frames if f.detections is not None]
    series = [Series("boxes found", xs, counts)]
    true = [(record.seconds(f.stamp_ns), float(len(f.truth))) for f in record.frames if f.truth is not None]
    if true:
        series.append(Series("boxes in the ground truth", [x for x, _ in true], [y for _, y in true], "step"))
    parts = [
        bars({name: float(count) for name, count in found.most_common()}, "boxes", title="boxes by class"),
        time_plot(series, "boxes a frame", x_range=_x_range(record), title="boxes in each frame"),
    ]
    by_class, by_condition = recall_by_class_and_condition(record.frames)
    if any(count.truth for count in by_class.values()):
        parts.append(
            Markup(
                '<p class="note">A plain count against the ground truth: a true box is found when a box of its class '
                "overlaps it by half or more (intersection over union 0.5) at the confidence the node runs with. It is "
                "not mAP. On a simulated drive it says how well the detector knows drawn scenes, not real roads.</p>"
            )
        )
        for title, counts_of in (("class", by_class), ("scene", by_condition)):
            counted: list[list[Cell]] = [
                [name, c.truth, c.found, c.claimed, c.recall, c.precision] for name, c in counts_of.items()
            ]
            headers = [title, "true boxes", "found", "claimed", "recall", "precision"]
            parts.append(Table(headers, counted, f"By {title}", digits=2).render())
    return Markup("").join(parts)


def _messages(record: DemoRecord) -> Markup:
    ordered = sorted(record.diagnostics, key=lambda note: (note.phase != "", -note.level, note.stamp_ns))
    rows: list[list[Cell]] = [
        [n.phase or record.seconds(n.stamp_ns), n.node, LEVELS.get(n.level, str(n.level)), n.message, n.count]
        for n in ordered
    ]
    headers = ["first at (s)", "node", "level", "message", "times"]
    diagnostics = (
        Table(headers, rows, "Diagnostics received", digits=1).render()
        if rows
        else Markup('<p class="empty">No diagnostics were received.</p>')
    )
    if not record.log_notes:
        return diagnostics + Markup("<p>No warnings or errors in the log.</p>")
    lines: list[list[Cell]] = [
        [note.process, Markup("<code>{}</code>").format(note.line), note.phase or "during", note.count]
        for note in sorted(record.log_notes, key=lambda note: note.phase != "")
    ]
    log = Table(["process", "line", "when", "times"], lines, "Warnings and errors in the log")
    return diagnostics + log.render()


def _facts(record: DemoRecord) -> Markup:
    tables = (
        details(heading, Table(["", ""], [list(row) for row in rows], sortable=False).render(), is_open=True)
        for heading, rows in record.facts.items()
    )
    return Markup("").join(tables)
