"""The report of an evaluation: one page, built from the rows of `frames.csv`, the summary and the kept pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from fusion_ros.evaluation.contenders import BASELINES
from fusion_ros.evaluation.frames_file import FrameFacts, FramesTable
from fusion_ros.evaluation.gallery import Chosen, Gallery
from fusion_ros.evaluation.live_config import LIVE
from fusion_ros.evaluation.live_page import LIVE_NOTE, live_part
from fusion_ros.evaluation.perception_page import perception_part
from fusion_ros.evaluation.scores import MEANING, RETENTION, TEMPORAL, TIME, lower_is_better
from fusion_ros.evaluation.search_pictures import Searched, SearchPictures
from fusion_ros.metrics import METRICS, PROFILES
from fusion_ros.pipeline import AUTO
from fusion_ros.report.page import Cell, Page, Section, Table, Tile, details
from fusion_ros.report.pictures import before_after, picture
from fusion_ros.report.plots import Band, ColourKey, Series, Spread, bars, nothing_to_plot, spreads, time_plot

# More points than this are not told apart in a plot; they are drawn as means of neighbours.
_POINTS = 400
_SHOWN_FIRST = ("VIF", "Qabf", "SSIM")
_BASELINE_NOTE = (
    "Best values are marked among the modes; the baselines are there to compare with: a copy of one source has a high "
    "MI and VIF by construction, and the plain average is nearly the best there can be in CC, PSNR and MSE."
)


def evaluation_page(
    summary: Mapping[str, Any],
    table: FramesTable,
    gallery: Gallery,
    searched: SearchPictures | None = None,
) -> Page:
    """Build the page."""
    searched = searched or SearchPictures()
    colours = ColourKey(table.modes)
    profile = PROFILES[summary["profile"]]
    heads = {score: f"{score} ({profile.header(score)})" for score in METRICS}
    sections = [
        Section("summary", "Means over all frames", _means(summary, METRICS, heads), _BASELINE_NOTE),
        Section("conditions", "By light", _by_condition(summary, heads), _condition_note(summary)),
        Section("glare", "Inside and outside the over-exposed part", _over_exposed(summary)),
        Section("time", "Steadiness and speed", _means(summary, (*TEMPORAL, TIME), MEANING), _temporal_note(summary)),
        Section("over-time", "Frame by frame", _over_time(table, colours, heads)),
        Section("distributions", "Distributions", _distributions(summary, colours, heads)),
        Section(
            "pictures", "Best and worst frames", _pictures(table, gallery, searched), _picture_note(summary, searched)
        ),
        Section("input", "What was evaluated", _input(summary)),
        Section("setup", "Configuration and versions", _setup(summary)),
    ]
    if "perception" in summary:
        sections.insert(3, Section("perception", "Detection and segmentation", perception_part(summary)))
    if LIVE in summary:
        sections.insert(1, Section("live", "Through the running nodes", live_part(summary, table), LIVE_NOTE))
    if summary["recordings"]:
        sections.insert(1, Section("recordings", "By recording", _by_recording(summary, heads)))
    if "gate" in summary:
        sections.insert(0, Section("gate", "Limits", _limits(summary)))
    return Page(
        title="Fusion modes compared",
        subtitle=f"{summary['input']}; profile {summary['profile']}: {profile.description}",
        tiles=_tiles(summary),
        sections=sections,
        warnings=_warnings(summary),
        links=[
            ("every frame (CSV)", "frames.csv"),
            ("numbers (JSON)", "summary.json"),
            ("table (Markdown)", "table.md"),
            ("table (LaTeX)", "table.tex"),
            *((f"fused images ({name}, {size / 1e6:.1f} MB)", quote(name)) for name, size in summary["bags"].items()),
        ],
    )


def _tiles(summary: Mapping[str, Any]) -> list[Tile]:
    conditions = {name: count for name, count in summary["conditions"].items() if count}
    modes = [mode for mode, facts in summary["modes"].items() if not facts["baseline"]]
    tiles = [
        Tile("Frames scored", str(summary["frames"]), ", ".join(f"{n} {c}" for n, c in conditions.items())),
        Tile("Modes", str(len(modes)), ", ".join(modes)),
    ]
    for score in _SHOWN_FIRST:
        best = summary["best"].get(score)
        if best:
            value = summary["modes"][best]["mean"][score]
            tiles.append(Tile(f"Best mean {score}", best, f"{value:.4g}", "good"))
    auto = summary["modes"].get(AUTO)
    if auto:
        used = ", ".join(f"{mode} {count}" for mode, count in auto["used"].items())
        tiles.append(Tile("Switches of auto", str(auto["switches"]), used))
    return tiles


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    notes = [*summary["lost"], *(f"{note}." for note in (*summary["unusable"], *summary["notes"]))]
    for mode, facts in summary["modes"].items():
        notes += [
            f"{mode}: another mode stood in for {count} frames ({reason})."
            for reason, count in facts["stood_in"].items()
        ]
    broken = [entry["limit"] for entry in summary.get("gate", []) if not entry["kept"]]
    return notes + [f"Limit not kept: {limit}." for limit in broken]


def _limits(summary: Mapping[str, Any]) -> Markup:
    rows: list[list[Cell]] = [
        [entry["limit"], entry["value"], "kept" if entry["kept"] else "NOT KEPT"] for entry in summary["gate"]
    ]
    return Table(["limit", "found", ""], rows).render()


def _means(
    summary: Mapping[str, Any], scores: Sequence[str], heads: Mapping[str, str], condition: str | None = None
) -> Markup:
    rows: list[list[Cell]] = []
    for mode, facts in summary["modes"].items():
        means = facts["mean"] if condition is None else facts["conditions"].get(condition, {}).get("mean", {})
        label = f"{mode} (baseline)" if facts["baseline"] else mode
        rows.append([label, *(means.get(score) for score in scores)])
    if not any(cell is not None for row in rows for cell in row[1:]):
        return Markup('<p class="empty">No frame has these scores.</p>')
    baselines = {index for index, facts in enumerate(summary["modes"].values()) if facts["baseline"]}
    best = {column: "min" if lower_is_better(score) else "max" for column, score in enumerate(scores, start=1)}
    return Table(["mode", *(heads[s] for s in scores)], rows, best=best, unranked=baselines).render()


def _by_condition(summary: Mapping[str, Any], heads: Mapping[str, str]) -> Markup:
    parts = [
        Markup("<h3>{}: {} frames</h3>").format(name, count) + _means(summary, METRICS, heads, name)
        for name, count in summary["conditions"].items()
        if count
    ]
    return Markup("").join(parts)


def _by_recording(summary: Mapping[str, Any], heads: Mapping[str, str]) -> Markup:
    """One table of a few scores, a row for each recording and mode; all of them under each recording's name."""
    rows: list[list[Cell]] = []
    for name, facts in summary["recordings"].items():
        rows += [
            [name, mode, facts["frames"], *(of_mode["mean"].get(score) for score in _SHOWN_FIRST)]
            for mode, of_mode in facts["modes"].items()
        ]
    parts = [Table(["recording", "mode", "frames", *(heads[score] for score in _SHOWN_FIRST)], rows).render()]
    for name, facts in summary["recordings"].items():
        lights = ", ".join(f"{light} {count}" for light, count in facts["conditions"].items() if count)
        of_recording = {**summary, "modes": {m: summary["modes"][m] | own for m, own in facts["modes"].items()}}
        parts.append(details(f"{name}: {facts['frames']} frames ({lights})", _means(of_recording, METRICS, heads)))
    return Markup("").join(parts)


def _condition_note(summary: Mapping[str, Any]) -> str:
    return (
        "Glare, dark and normal as auto tells them apart from the exposure of the RGB image, with hysteresis; "
        "each condition calls for one network."
    )


def _over_exposed(summary: Mapping[str, Any]) -> Markup:
    note = Markup(
        '<p class="note">Over frames in which at least 0.5 % of the pixels are saturated. Metrics under a mask are '
        "those of the profile textbook. A correlation of gradients alone is won by a faint copy: read it with the "
        "ratio of their magnitudes.</p>"
    )
    inside = {f"{name}_in": f"{name} inside" for name in METRICS}
    outside = {f"{name}_out": f"{name} outside" for name in METRICS}
    return (
        note
        + _means(summary, RETENTION, MEANING)
        + details("Twelve metrics inside", _means(summary, tuple(inside), inside))
        + details("Twelve metrics outside", _means(summary, tuple(outside), outside))
    )


def _temporal_note(summary: Mapping[str, Any]) -> str:
    return (
        "Flicker compares a frame with the one before; still pictures have none. Time is that of this machine, alone."
    )


def _over_time(table: FramesTable, colours: ColourKey, heads: Mapping[str, str]) -> Markup:
    if len(table.frames) < 2:
        return nothing_to_plot("a single frame has no course")
    seconds = course_of(table.frames)
    bands = _mode_bands(table, seconds)
    band_colours = ColourKey([*table.modes, *(band.label for band in bands)])
    modes = [mode for mode in table.modes if mode not in BASELINES]
    parts = [Markup('<p class="note">The tinted background is the mode that auto had in force.</p>')]
    for score in (*METRICS, "flicker", "retention_ratio"):
        columns = {mode: table.column(mode, score) for mode in modes}
        if all(np.isnan(column).all() for column in columns.values()):
            continue
        series = [Series(mode, *_thinned(seconds, column)) for mode, column in columns.items()]
        label = heads.get(score, score)
        plot = time_plot(series, label, bands=bands, colours=band_colours, title=f"{score} over time")
        parts.append(Markup("<h3>{}</h3>").format(label) + plot if score in _SHOWN_FIRST else details(label, plot))
    return Markup("").join(parts)


def course_of(frames: Sequence[FrameFacts]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Time of each frame, (N,) seconds; several recordings follow each other."""
    seconds = np.array([frame.seconds for frame in frames])
    names = [frame.recording for frame in frames]
    for index in range(1, len(names)):
        if names[index] != names[index - 1]:
            seconds[index:] += seconds[index - 1] - seconds[index] + 1.0
    return seconds


def _mode_bands(table: FramesTable, seconds: np.ndarray[Any, np.dtype[np.float64]]) -> list[Band]:
    bands: list[Band] = []
    for start, label in zip(seconds, table.used.get(AUTO, []), strict=False):
        if bands and bands[-1].label == label:
            bands[-1] = Band(bands[-1].start, float(start), label)
            continue
        if bands:
            bands[-1] = Band(bands[-1].start, float(start), bands[-1].label)
        bands.append(Band(float(start), float(start), label))
    return bands


def _thinned(
    seconds: np.ndarray[Any, np.dtype[np.float64]], column: np.ndarray[Any, np.dtype[np.float64]]
) -> tuple[list[float], list[float]]:
    there = ~np.isnan(column)
    xs, ys = seconds[there], column[there]
    if len(xs) > _POINTS:
        edges = np.linspace(0, len(xs), _POINTS + 1).astype(int)
        counts = np.diff(edges)
        xs, ys = np.add.reduceat(xs, edges[:-1]) / counts, np.add.reduceat(ys, edges[:-1]) / counts
    return xs.tolist(), ys.tolist()


def _distributions(summary: Mapping[str, Any], colours: ColourKey, heads: Mapping[str, str]) -> Markup:
    parts = [Markup('<p class="note">Bars reach from the 5th to the 95th percentile, the mark is the median.</p>')]
    for score in (*METRICS, *RETENTION, *TEMPORAL, TIME):
        rows = {
            mode: Spread(spread["p5"], spread["median"], spread["p95"])
            for mode, facts in summary["modes"].items()
            if (spread := facts["spread"].get(score)) is not None
        }
        if rows:
            plot = spreads(rows, heads.get(score, MEANING.get(score, score)), colours=colours)
            parts.append(details(score, plot, is_open=score in _SHOWN_FIRST))
    return Markup("").join(parts)


def _pictures(table: FramesTable, gallery: Gallery, searched: SearchPictures) -> Markup:
    seconds = {frame.key: (index, frame) for index, frame in enumerate(table.frames)}
    parts = []
    for mode in (mode for mode in table.modes if mode not in BASELINES):
        rows = []
        for title, chosen in (("best", gallery.best(mode)), ("worst", gallery.worst(mode))):
            for one in chosen:
                if one.key not in seconds:
                    # Of a replay whose frame another replay did not deliver.
                    continue
                index, frame = seconds[one.key]
                used = table.used[mode][index]
                by = f", by {used}" if used != mode else ""
                caption = f"{title}: {one.score:.3g} at {frame.seconds:.2f} s ({frame.condition}{by}), frame {one.key}"
                rows.append(_picture_row(gallery, mode, one, caption, searched.by_frame.get((mode, one.key))))
        if rows:
            parts.append(Markup("<h3>{}</h3>").format(mode) + Markup("").join(rows))
    return Markup("").join(parts) or Markup('<p class="empty">No pictures were asked for.</p>')


def _picture_row(gallery: Gallery, mode: str, chosen: Chosen, caption: str, searched: Searched | None) -> Markup:
    rgb, fused = gallery.picture(chosen.key, "/rgb"), gallery.picture(chosen.key, mode)
    if rgb is None or fused is None:
        return Markup('<p class="empty">{}: its pictures are gone.</p>').format(caption)
    pictures = before_after(rgb, fused, ("RGB", mode)) + picture(
        gallery.picture(chosen.key, "/thermal"), "thermal", "thermal image"
    )
    if searched is not None:
        pictures += picture(searched.image, searched.caption, f"{mode} with boxes and classes drawn on it")
    return Markup('<p class="note">{}</p><div class="pictures large">{}</div>').format(caption, pictures)


def _picture_note(summary: Mapping[str, Any], searched: SearchPictures) -> str:
    by = summary["settings"]["pictures_by"]
    note = f"By {by}. Drag the slider, or move it with the arrow keys: RGB to the left of it, fused to the right."
    if searched.problem:
        return f"{note} Detector and segmenter could not be run: {searched.problem}"
    if not searched.by_frame:
        return note
    return f"{note} Where there is a third picture, it shows what the shipped detector and segmenter find."


def _input(summary: Mapping[str, Any]) -> Markup:
    facts: list[list[Cell]] = [["input", summary["input"]], ["frames scored", summary["frames"]]]
    dropped = {name.replace("_", " "): float(count) for name, count in summary["dropped"].items() if count}
    unpaired = (
        bars(dropped, "images", title="images in no pair") if dropped else Markup("<p>Every image is in a pair.</p>")
    )
    return Table(["", ""], facts, sortable=False).render() + Markup("<h3>Images in no pair</h3>") + unpaired


def _setup(summary: Mapping[str, Any]) -> Markup:
    models: list[list[Cell]] = [
        [mode, *(facts.get(name) for name in ("name", "weights", "backend", "device", "precision"))]
        for mode, facts in summary["models"].items()
    ]
    tables = {
        "Models": Table(["mode", "network", "weights", "backend", "device", "precision"], models, sortable=False),
        "Settings": _facts(summary["settings"]),
        "Versions": _facts(summary["versions"]),
        "Machine": _facts(summary["machine"]),
    }
    return Markup("").join(details(heading, table.render(), is_open=True) for heading, table in tables.items())


def _facts(facts: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [[name, _in_words(value)] for name, value in facts.items()]
    return Table(["", ""], rows, sortable=False)


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
