"""The evaluation of one recording, from the first pair to the report."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from fusion_ros.bags.locations import is_url, shown
from fusion_ros.configuration import values_of
from fusion_ros.errors import InputError
from fusion_ros.evaluation import frames_file, fused_bag, tables
from fusion_ros.evaluation import perception as perception_file
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import ModeSpec, parse_modes
from fusion_ros.evaluation.engine import LOCAL, Engine, EngineConfig
from fusion_ros.evaluation.engines import open_engine
from fusion_ros.evaluation.fingerprint import changes
from fusion_ros.evaluation.frames_file import FramesTable
from fusion_ros.evaluation.gallery import Gallery, gallery_of, offer_again
from fusion_ros.evaluation.gate import check, read_gate
from fusion_ros.evaluation.live_config import LIVE, LiveConfig
from fusion_ros.evaluation.page import evaluation_page
from fusion_ros.evaluation.perception import FramePerception, PerceptionModels
from fusion_ros.evaluation.scoring_pass import Progress
from fusion_ros.evaluation.search_pictures import SearchPictures, search_pictures
from fusion_ros.evaluation.shard_store import SHARDS
from fusion_ros.evaluation.simulated_drives import simulated_drives
from fusion_ros.evaluation.summary import summarise
from fusion_ros.fusion.fallback import ModelLoader
from fusion_ros.report.page import write_page
from fusion_ros.report.provenance import machine, versions

FRAMES, PART, SETTINGS, SUMMARY = "frames.csv", "frames.csv.part", "settings.json", "summary.json"
REPORT, MARKDOWN, LATEX, PICTURES = "report.html", "table.md", "table.tex", "pictures"
SIMULATED, WEIGHTS = "simulated", "weights"
_OURS = (FRAMES, PART, SETTINGS, SUMMARY, REPORT, MARKDOWN, LATEX, perception_file.FILE)


def evaluate(
    inputs: Sequence[str | Path],
    out: str | Path,
    config: EvaluationConfig | None = None,
    *,
    engine: EngineConfig | None = None,
    live: LiveConfig | None = None,
    labels: str = "",
    gate: Path | None = None,
    resume: bool = False,
    progress: Progress = lambda done, total: None,
    loader: ModelLoader | None = None,
) -> dict[str, Any]:
    """Evaluate every mode over a recording and write frames.csv, summary.json, tables and report into `out`.

    An interrupted run leaves what it has scored; with `resume` it goes on there and ends with the same numbers as if
    it had not been interrupted, times aside.

    Args:
        inputs: see `open_source`; URLs that fsspec understands are fetched first.
        out: folder to write to; results of an earlier evaluation in it are replaced.
        config: what and how.
        engine: who does the work; the numbers do not depend on it.
        live: replay the recording through the running nodes, and score what they publish; None for without them.
        labels: a COCO file, or `bag` for the ground truth of the recording; empty for none.
        gate: file with limits (`read_gate`); whether they are kept is in the summary under `gate`.
        resume: continue the run in `out`.
        progress: called with pairs (with `ray`: shards) done and in all, None where that is not known.
        loader: takes the place of `fusion_ros.fusion.load_model`.

    Returns:
        What is in summary.json.

    Raises:
        InputError: the input, the modes, the range, the labels, the gate or the output cannot be used, or `resume`
            finds other settings.
    """
    config = config or EvaluationConfig()
    specs = parse_modes(config.modes) if live is None else _live_modes(config.modes, engine)
    modes = [spec.label for spec in specs]
    limits = read_gate(gate, modes) if gate is not None else []
    of_labels = next((limit for limit in limits if limit.needs_labels), None)
    if of_labels is not None and not labels:
        raise InputError(f"--gate {gate}: {of_labels.score} needs --labels")
    if is_url(out):
        raise InputError(f"--out {shown(out)}: results are written to a folder of this machine; copy them from there")
    out = Path(out)
    with ExitStack() as stack:
        stack.enter_context(_writable(out))
        places = [os.fspath(path) for path in (*inputs, *simulated_drives(out / SIMULATED, config.seeds))]
        scoring = stack.enter_context(
            closing(open_engine(engine or EngineConfig(), places, config, specs, labels, out, loader, live))
        )
        replaced = {path.resolve() for path in fused_bag.files_of(out)}
        if any(not is_url(place) and Path(place).resolve() in replaced for place in places):
            raise InputError(f"--out {out}: would replace the recording that is evaluated; name another folder")
        settings: dict[str, Any] = {"inputs": [shown(place) for place in places], "modes": modes, "labels": labels}
        settings |= {name: value for name, value in values_of(config).items() if name != "modes"}
        settings |= scoring.settings()
        settings[WEIGHTS] = dict(scoring.weights())
        # Only now: what cannot run must not cost the results of an earlier run.
        done = _resume(out, settings, modes) if resume else _begin(out, settings)
        gallery = gallery_of(config, modes, out / PICTURES)
        if not (out / FRAMES).exists():
            if done:
                offer_again(gallery, frames_file.read_frames(out / PART), config.pictures_by)
            unusable = scoring.score(out / PART, done, gallery, progress)
            table = frames_file.read_frames(out / PART)
            if not table.frames:
                raise InputError(f"{scoring.description}: no pair could be evaluated ({'; '.join(unusable)})")
            os.replace(out / PART, out / FRAMES)
            fused_bag.put_together(out)
            scoring.finish()
        else:
            unusable = _notes_of_before(out)
            table = frames_file.read_frames(out / FRAMES)
            offer_again(gallery, table, config.pictures_by)
        summary = _summary(scoring, settings, config, table, unusable) | dict(scoring.extra())
        found: list[FramePerception] = []
        if scoring.labelled:
            found = perception_file.read_perception(out / perception_file.FILE)
            summary["perception"] = _perception_summary(scoring, found, table)
        if limits:
            verdicts = check(limits, summary)
            summary["gate"] = [{"limit": str(v.limit), "value": v.value, "kept": v.kept} for v in verdicts]
        summary["bags"] = {path.name: path.stat().st_size for path in fused_bag.files_of(out)}
        searched = SearchPictures()
        if config.searched_pictures:
            models = PerceptionModels(config.device)
            searched = search_pictures(gallery, table.modes, config.searched_pictures, models, found)
        _write_all(out, summary, table, gallery, found, searched)
    return summary


def _live_modes(modes: str, engine: EngineConfig | None) -> list[ModeSpec]:
    if engine is not None and engine.engine != LOCAL:
        raise InputError(f"--live: runs on this machine; --engine {engine.engine} does not go with it")
    try:
        from fusion_ros.evaluation.engine_live import live_modes
    except ImportError as error:
        raise InputError(f"--live: ROS 2 is not here ({error}); source it, or install rclpy (`make setup`)") from error
    return live_modes(modes)


# -- files -----------------------------------------------------------------------------------------------------------


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if error.filename is not None else None
        if error.errno == errno.ENOSPC or (place is not None and (out == place or out in place.parents)):
            raise InputError(f"--out {out}: cannot be written: {error.strerror}") from error
        raise


def _begin(out: Path, settings: Mapping[str, Any]) -> list[str]:
    replaced = [out / name for name in (*_OURS, LIVE, PICTURES, SHARDS)] + fused_bag.files_of(out)
    foreign = [path.name for path in replaced if path.exists()]
    if foreign and not (out / SETTINGS).is_file():
        raise InputError(f"--out {out}: holds {', '.join(foreign)}, but not from an evaluation; name another folder")
    for name in _OURS:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / LIVE, ignore_errors=True)
    fused_bag.remove(out)
    for folder in (PICTURES, SHARDS):
        shutil.rmtree(out / folder, ignore_errors=True)
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
    other = [name for name in now if name != WEIGHTS and before.get(name) != now[name]]
    differences = [f"{name} was {before.get(name)!r}, now {now[name]!r}" for name in other]
    differences += changes(before.get(WEIGHTS), now[WEIGHTS])
    if differences:
        raise InputError(f"--resume: the run in {out} has other settings ({', '.join(differences)}); use another --out")
    if (out / FRAMES).exists():
        return []
    if not (out / PART).exists():
        frames_file.begin(out / PART)
    is_recorded = now["bag"] != fused_bag.NONE and now["engine"] == LOCAL
    return frames_file.keep_whole_frames(out / PART, modes, fused_bag.keys_in_parts(out) if is_recorded else None)


def _notes_of_before(out: Path) -> list[str]:
    try:
        return list(json.loads((out / SUMMARY).read_text(encoding="utf-8"))["unusable"])
    except (OSError, ValueError, KeyError):
        return []


def _summary(
    scoring: Engine,
    settings: Mapping[str, Any],
    config: EvaluationConfig,
    table: FramesTable,
    unusable: list[str],
) -> dict[str, Any]:
    return {
        "input": scoring.description,
        "profile": config.profile,
        **summarise(table),
        "dropped": dict(scoring.dropped),
        "lost": list(scoring.lost),
        "unusable": unusable,
        "settings": dict(settings),
        "notes": list(scoring.notes),
        "models": {mode: dict(facts) for mode, facts in scoring.models().items()},
        "versions": dict(versions()),
        "machine": dict(machine()),
    }


def _perception_summary(scoring: Engine, found: Sequence[FramePerception], table: FramesTable) -> dict[str, Any]:
    conditions = {frame.key: frame.condition for frame in table.frames}
    summary = perception_file.summarise_perception(
        found, table.modes, conditions, scoring.box_names, scoring.mask_names
    )
    return summary | {"box_names": list(scoring.box_names.values())}


def _write_all(
    out: Path,
    summary: Mapping[str, Any],
    table: FramesTable,
    gallery: Gallery,
    found: Sequence[FramePerception],
    searched: SearchPictures,
) -> None:
    write_page(evaluation_page(summary, table, gallery, searched), out / REPORT)
    _write_text(out / MARKDOWN, tables.markdown(summary))
    _write_text(out / LATEX, tables.latex(summary))
    _write_text(out / SUMMARY, json.dumps(summary, indent=1, allow_nan=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    """What was there stays until the new text is complete."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
