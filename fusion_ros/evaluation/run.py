"""The evaluation of one recording, from the first pair to the report."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fusion_ros.configuration import values_of
from fusion_ros.errors import InputError
from fusion_ros.evaluation import frames_file, tables
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import BASELINES, Contenders, Fused, parse_modes
from fusion_ros.evaluation.frames_file import FrameFacts, FramesTable, FramesWriter
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.page import evaluation_page
from fusion_ros.evaluation.scores import FrameScorer, Scored, SourceImages, lower_is_better
from fusion_ros.evaluation.sources import Source, SourcePair, open_source
from fusion_ros.evaluation.summary import summarise
from fusion_ros.fusion.fallback import ModelLoader
from fusion_ros.report.page import write_page
from fusion_ros.report.provenance import machine, versions

FRAMES, PART, SETTINGS, SUMMARY = "frames.csv", "frames.csv.part", "settings.json", "summary.json"
REPORT, MARKDOWN, LATEX, PICTURES = "report.html", "table.md", "table.tex", "pictures"
_OURS = (FRAMES, PART, SETTINGS, SUMMARY, REPORT, MARKDOWN, LATEX)

Progress = Callable[[int, int | None], None]


def evaluate(
    inputs: Sequence[Path],
    out: Path,
    config: EvaluationConfig | None = None,
    *,
    resume: bool = False,
    progress: Progress = lambda done, total: None,
    loader: ModelLoader | None = None,
) -> dict[str, Any]:
    """Evaluate every mode over a recording and write frames.csv, summary.json, tables and report into `out`.

    An interrupted run leaves what it has scored; with `resume` it goes on there and ends with the same numbers as if
    it had not been interrupted, times aside.

    Args:
        inputs: see `open_source`.
        out: folder to write to; results of an earlier evaluation in it are replaced.
        config: what and how.
        resume: continue the run in `out`.
        progress: called with pairs done and in all, None where that is not known.
        loader: takes the place of `fusion_ros.fusion.load_model`.

    Returns:
        What is in summary.json.

    Raises:
        InputError: the input, the modes, the range or the output cannot be used, or `resume` finds other settings.
    """
    config = config or EvaluationConfig()
    specs = parse_modes(config.modes)
    labels = [spec.label for spec in specs]
    settings = {"inputs": [str(path) for path in inputs], "modes": labels} | {
        name: value for name, value in values_of(config).items() if name != "modes"
    }
    with closing(open_source(inputs, config)) as source, _writable(out):
        done = _resume(out, settings, labels) if resume else _begin(out, settings)
        contenders = Contenders(specs, config, loader)
        shown = [label for label in labels if label not in BASELINES]
        gallery = Gallery(out / PICTURES, config.pictures, shown, lower_is_better(config.pictures_by))
        if not (out / FRAMES).exists():
            unusable = _score_all(source, contenders, config, out, done, gallery, progress)
            os.replace(out / PART, out / FRAMES)
        else:
            unusable = _notes_of_before(out)
            _offer_again(gallery, frames_file.read_frames(out / FRAMES), config)
        table = frames_file.read_frames(out / FRAMES)
        summary = _summary(source, contenders, settings, config, table, unusable)
        _write_all(out, summary, table, gallery)
    return summary


def _score_all(
    source: Source,
    contenders: Contenders,
    config: EvaluationConfig,
    out: Path,
    done: Sequence[str],
    gallery: Gallery,
    progress: Progress,
) -> list[str]:
    """Score what is not scored yet; returns what could not be."""
    scored_before, last = set(done), done[-1] if done else None
    if done:
        _offer_again(gallery, frames_file.read_frames(out / PART), config)
    notes = _Notes()
    workers = max(1, min(len(contenders.specs), len(os.sched_getaffinity(0))))
    with ThreadPoolExecutor(workers) as executor, FramesWriter(out / PART) as writer:
        scorer = FrameScorer(config.profile, executor)
        for count, item in enumerate(source.pairs(), start=1):
            is_done = item.key in scored_before
            if item.begins:
                contenders.reset()
                scorer.reset()
            if not (is_done and item.begins and not source.in_time):
                _one_pair(item, contenders, scorer, writer, gallery, config, notes, is_done, item.key == last)
            progress(count, source.total)
    if not done and notes.scored == 0:
        raise InputError(f"{source.description}: no pair could be evaluated ({'; '.join(notes.sentences())})")
    return notes.sentences()


def _one_pair(
    item: SourcePair,
    contenders: Contenders,
    scorer: FrameScorer,
    writer: FramesWriter,
    gallery: Gallery,
    config: EvaluationConfig,
    notes: _Notes,
    is_done: bool,
    is_last_done: bool,
) -> None:
    try:
        pair = item.load()
    except InputError as error:
        notes.unreadable.append(str(error))
        return
    if is_done and not is_last_done:
        contenders.follow(pair)
        scorer.follow(pair)
        return
    made = contenders.fuse(pair)
    images = scorer.sources(made)
    if images is None:
        notes.unusable.append(made[0].frame.fallback_reason or "thermal: no image")
        return
    condition = scorer.condition(images.exposure, pair.rgb.stamp_ns)
    if is_done:
        scorer.remember(made, images)
        return
    scored = scorer.score(made, images)
    _keep_pictures(gallery, item.key, scored, config, made, images)
    writer.write(FrameFacts(item.key, item.seconds, condition, images.exposure), scored)
    notes.scored += 1


class _Notes:
    """Frames that could not be scored."""

    def __init__(self) -> None:
        self.scored = 0
        self.unreadable: list[str] = []
        self.unusable: list[str] = []

    def sentences(self) -> list[str]:
        """One for each kind, with the first reason."""
        kinds = ((self.unreadable, "could not be read"), (self.unusable, "had no usable thermal image"))
        return [f"{len(reasons)} pairs {what}, first: {reasons[0]}" for reasons, what in kinds if reasons]


def _keep_pictures(
    gallery: Gallery,
    key: str,
    scored: Sequence[Scored],
    config: EvaluationConfig,
    made: Sequence[Fused],
    images: SourceImages,
) -> None:
    pictures = {one.label: one.frame.image for one in made} | {"/rgb": images.rgb, "/thermal": images.infrared}
    gallery.offer(key, {one.label: one.values[config.pictures_by] for one in scored}, pictures)


def _offer_again(gallery: Gallery, table: FramesTable, config: EvaluationConfig) -> None:
    columns = {mode: table.column(mode, config.pictures_by) for mode in table.modes}
    for index, frame in enumerate(table.frames):
        gallery.offer(frame.key, {mode: float(column[index]) for mode, column in columns.items()})


# -- files -----------------------------------------------------------------------------------------------------------


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error}") from error


def _begin(out: Path, settings: Mapping[str, Any]) -> list[str]:
    for name in _OURS:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / PICTURES, ignore_errors=True)
    _write_text(out / SETTINGS, json.dumps(settings, indent=1))
    frames_file.begin(out / PART)
    return []


def _resume(out: Path, settings: Mapping[str, Any], modes: Sequence[str]) -> list[str]:
    try:
        before = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"--resume: there is no evaluation in {out} to continue; leave --resume out") from None
    except ValueError as error:
        raise InputError(f"--resume: {out / SETTINGS} is not readable ({error}); leave --resume out") from None
    now = json.loads(json.dumps(settings))
    other = [name for name in now if before.get(name) != now[name]]
    if other:
        differences = ", ".join(f"{name} was {before.get(name)!r}, now {now[name]!r}" for name in other)
        raise InputError(f"--resume: the run in {out} has other settings ({differences}); use another --out")
    if (out / FRAMES).exists():
        return []
    if not (out / PART).exists():
        frames_file.begin(out / PART)
    return frames_file.keep_whole_frames(out / PART, modes)


def _notes_of_before(out: Path) -> list[str]:
    try:
        return list(json.loads((out / SUMMARY).read_text(encoding="utf-8"))["unusable"])
    except (OSError, ValueError, KeyError):
        return []


def _summary(
    source: Source,
    contenders: Contenders,
    settings: Mapping[str, Any],
    config: EvaluationConfig,
    table: FramesTable,
    unusable: list[str],
) -> dict[str, Any]:
    return {
        "input": source.description,
        "profile": config.profile,
        **summarise(table),
        "dropped": dict(source.dropped),
        "lost": list(source.lost),
        "unusable": unusable,
        "settings": dict(settings),
        "models": contenders.describe(),
        "versions": dict(versions()),
        "machine": dict(machine()),
    }


def _write_all(out: Path, summary: Mapping[str, Any], table: FramesTable, gallery: Gallery) -> None:
    write_page(evaluation_page(summary, table, gallery), out / REPORT)
    _write_text(out / MARKDOWN, tables.markdown(summary))
    _write_text(out / LATEX, tables.latex(summary))
    _write_text(out / SUMMARY, json.dumps(summary, indent=1, allow_nan=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    """What was there stays until the new text is complete."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
