"""Scores what the running nodes make of a recording that is replayed to them, one mode after the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.bags.reader import STORAGE_SUFFIXES
from fusion_ros.configuration import values_of
from fusion_ros.errors import InputError
from fusion_ros.evaluation import frames_file
from fusion_ros.evaluation import perception as perception_file
from fusion_ros.evaluation.bag_source import BagSource
from fusion_ros.evaluation.camera_stamps import CameraStamps, camera_stamps
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import BASELINES, Contenders, ModeSpec, parse_modes
from fusion_ros.evaluation.engine import ScoresHere
from fusion_ros.evaluation.fingerprint import fingerprint
from fusion_ros.evaluation.fused_bag import NONE, FusedBag, part_folder
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.labels import Labels, open_labels
from fusion_ros.evaluation.live_config import LIVE, LiveConfig
from fusion_ros.evaluation.live_merge import merge_found, merge_rows
from fusion_ros.evaluation.live_pass import LivePass
from fusion_ros.evaluation.live_perception import LivePerception
from fusion_ros.evaluation.live_record import LiveRecord, read_record, write_record
from fusion_ros.evaluation.live_replay import ReplayTask, replay
from fusion_ros.evaluation.perception import PerceptionModels, PerceptionScorer
from fusion_ros.evaluation.scoring_pass import Progress
from fusion_ros.evaluation.sources import within
from fusion_ros.fusion.fallback import ModelLoader
from fusion_ros.pairing import PairingConfig, pair_offline
from fusion_ros.pipeline import AUTO
from fusion_ros.ros import graph
from fusion_ros.types import NANOSECONDS_PER_SECOND

_RECORD, _ROWS, _IMAGES, _NOTES = "record.json", "frames.csv", "images", "notes.json"

Replay = Callable[[ReplayTask, Path, Callable[[int, "int | None"], None]], LiveRecord]


def live_modes(text: str) -> list[ModeSpec]:
    """What is replayed: the asked modes, `auto` where none is asked for; and the baselines, which are not."""
    wanted = text or AUTO
    named = {word.strip() for word in wanted.split(",")}
    specs = {spec.label: spec for spec in parse_modes(wanted)}
    asked = [spec for label, spec in specs.items() if label in named and label not in BASELINES]
    if not asked:
        raise InputError(f"--modes {text}: --live needs a mode that the nodes can run beside the baselines")
    return [*asked, *(specs[label] for label in BASELINES)]


class LiveEngine(ScoresHere):
    """See `Engine`. Every mode is a replay of its own; the baselines are computed beside the first one.

    Args:
        inputs: one recording.
        config: of the evaluation.
        live: of the replay.
        specs: of `live_modes`.
        labels: as `open_labels` takes them, empty for none.
        out: folder of the run.
        loader: takes the place of `fusion_ros.fusion.load_model` for what is computed here.
        replayer: takes the place of `replay`.

    Raises:
        InputError: not one recording, or it, the labels or a model cannot be used.
    """

    notes: Sequence[str] = ()

    def __init__(
        self,
        inputs: Sequence[Path],
        config: EvaluationConfig,
        live: LiveConfig,
        specs: Sequence[ModeSpec],
        labels: str,
        out: Path,
        loader: ModelLoader | None,
        replayer: Replay = replay,
    ) -> None:
        self._path = _one_recording(inputs)
        self._config = config
        self._live = live
        self._specs = specs
        self._labels = labels
        self._out = out
        self._loader = loader
        self._replayer = replayer
        self._summaries: dict[str, dict[str, Any]] = {}
        with ExitStack() as stack:
            self._source = stack.enter_context(closing(BagSource(self._path, config)))
            self._contenders = Contenders(specs, config, loader)
            self._models = PerceptionModels(config.device)
            self._perception: PerceptionScorer | None = None
            if labels:
                truth = stack.enter_context(closing(self._open_labels()))
                self._perception = PerceptionScorer(truth, out / perception_file.FILE, self._models)
            self._open = stack.pop_all()
        self._stamps = camera_stamps(self._path, config.rgb_topic, config.thermal_topic)
        self._pairs = _offline_pairs(self._stamps, config)

    @property
    def description(self) -> str:
        """See `Engine`."""
        return f"{self._source.description}, replayed through the nodes"

    @property
    def dropped(self) -> Mapping[str, int]:
        """See `Engine`: what the matcher leaves over; what the nodes dropped is in `extra`."""
        return self._source.dropped

    @property
    def lost(self) -> Sequence[str]:
        """See `Engine`."""
        shortfalls = [f"{mode}: {text}" for mode, summary in self._summaries.items() for text in summary["shortfalls"]]
        return [*self._source.lost, *shortfalls]

    def settings(self) -> Mapping[str, Any]:
        """See `Engine`."""
        return {"engine": LIVE} | values_of(self._live)

    def models(self) -> Mapping[str, Mapping[str, str]]:
        """See `Engine`: models of the same names and settings run here and in the nodes."""
        return self._contenders.describe()

    def weights(self) -> Mapping[str, str]:
        """See `Engine`."""
        return fingerprint(self._contenders.weights() | (self._perception.weights() if self._perception else {}))

    def extra(self) -> Mapping[str, Any]:
        """What the replays have to tell beside the scores, by mode."""
        return {LIVE: {label: self._summaries.get(label) or self._summary_of(label) for label in self._replayed()}}

    def score(self, rows: Path, done: Sequence[str], gallery: Gallery, progress: Progress) -> list[str]:
        """See `Engine`."""
        unscored: list[str] = []
        labels = self._replayed()
        total = 2 * len(self._pairs) * len(labels)
        for number, label in enumerate(labels):
            base = 2 * len(self._pairs) * number
            record = self._replay(label, lambda n, _: progress(base + n, total))  # noqa: B023 - called at once
            base += len(self._pairs)
            unscored += self._score(label, record, gallery, lambda n, _: progress(base + n, total))  # noqa: B023
            self._summaries[label] = self._summary_of(label)
        folders = [self._folder(label) for label in labels]
        frames_file.begin(rows)
        alike = merge_rows([folder / _ROWS for folder in folders], labels, rows)
        merge_found([folder / perception_file.FILE for folder in folders], labels, self._out / perception_file.FILE)
        if alike:
            unscored.append(f"{alike} frames were not delivered in every mode and are left out of all")
        progress(total, total)
        return unscored

    def finish(self) -> None:
        """See `Engine`: the lossless images go, record and logs stay."""
        for label in self._replayed():
            shutil.rmtree(self._folder(label) / _IMAGES, ignore_errors=True)

    def close(self) -> None:
        """See `Engine`."""
        self._open.close()

    # -- one mode ----------------------------------------------------------------------------------------------------

    def _replayed(self) -> list[str]:
        return [spec.label for spec in self._specs if spec.label not in BASELINES]

    def _folder(self, label: str) -> Path:
        plain = "".join(letter if letter.isalnum() else "_" for letter in label)[-40:]
        return self._out / LIVE / f"{self._replayed().index(label)}_{plain}"

    def _open_labels(self) -> Labels:
        return open_labels(self._labels, self._path, self._source.keys)

    def _replay(self, label: str, progress: Progress) -> LiveRecord:
        folder = self._folder(label)
        if (folder / _RECORD).is_file():
            return read_record(folder / _RECORD)
        nodes = [graph.FUSION]
        if self._perception is not None:
            nodes += [graph.DETECTION] if self._perception.box_names else []
            nodes += [graph.SEGMENTATION] if self._perception.mask_names else []
        spec = next(spec for spec in self._specs if spec.label == label)
        task = ReplayTask(
            path=self._path,
            spec=spec,
            config=self._config,
            live=self._live,
            stamps=self._stamps,
            nodes=nodes,
            box_confidence=perception_file.CONFIDENCE,
            pair_count=len(self._pairs),
        )
        record = self._replayer(task, folder, progress)
        if not record.pairs:
            raise InputError(f"--live: the fusion node has fused no pair of {self._path} (its log is in {folder}/logs)")
        write_record(folder / _RECORD, record)
        return record

    def _score(self, label: str, record: LiveRecord, gallery: Gallery, progress: Progress) -> list[str]:
        folder = self._folder(label)
        if (folder / _ROWS).is_file():
            table = frames_file.read_frames(folder / _ROWS)
            column = table.column(label, self._config.pictures_by)
            for index, frame in enumerate(table.frames):
                gallery.offer(frame.key, {label: float(column[index])})
            return list(json.loads((folder / _NOTES).read_text(encoding="utf-8"))["unscored"])
        part, found = folder / f"{_ROWS}.part", folder / perception_file.FILE
        frames_file.begin(part)
        found.unlink(missing_ok=True)
        specs = [spec for spec in self._specs if spec.label == label or spec.label in BASELINES]
        with ExitStack() as stack:
            perception = None
            if self._labels:
                truth = stack.enter_context(closing(self._open_labels()))
                perception = LivePerception(truth, found, self._models, folder / _IMAGES)
            fused, name = None, folder.name if len(self._replayed()) > 1 else ""
            if self._config.bag != NONE:
                shutil.rmtree(part_folder(self._out, name), ignore_errors=True)
                fused = stack.enter_context(FusedBag(self._out, [label], self._config.bag))
            contenders = Contenders(specs, self._config, self._loader)
            scoring = LivePass(contenders, label, self._config, part, gallery, perception, fused, name)
            scoring.run(self._path, record, folder / _IMAGES, self._stamps, progress)
        notes: dict[str, Any] = {
            "unscored": [f"{label}: {text}" for text in scoring.unscored.sentences],
            "agreement": asdict(scoring.agreement),
            "unanswered": perception.unanswered if perception else 0,
        }
        (folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
        part.replace(folder / _ROWS)
        return list(notes["unscored"])

    def _summary_of(self, label: str) -> dict[str, Any]:
        folder = self._folder(label)
        record = read_record(folder / _RECORD)
        notes = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
        is_whole = not (self._config.start or self._config.end)
        recorded = {"rgb": len(self._stamps.rgb), "thermal": len(self._stamps.thermal)}
        lost = {camera: count - record.received.get(camera, count) for camera, count in recorded.items()}
        frames = [frame for frame in record.frames if self._is_in_range(frame.stamp_ns)]
        pairs = [frame for frame in frames if not frame.alone]
        partners = [frame for frame in pairs if self._pairs.get(frame.stamp_ns) == frame.thermal_ns]
        rates = [rate for _, rate in record.rates]
        return {
            "pairs": sum(map(self._is_in_range, self._pairs)),
            "fused": len(pairs),
            "alone": len(frames) - len(pairs),
            "other_partner": len(pairs) - len(partners),
            "received": dict(record.received),
            "recorded": recorded,
            # Counters do not say when: what never came may lie outside of a range.
            "lost_before": {camera: count for camera, count in lost.items() if count > 0} if is_whole else {},
            "dropped": {node: dict(reasons) for node, reasons in record.dropped.items()},
            "latency_ms": _spread([frame.latency_ms for frame in pairs]),
            "processing_ms": _spread([frame.processing_ms for frame in pairs]),
            "switches": [
                {"time_s": self._seconds(now.stamp_ns), "from": before.mode, "to": now.mode}
                for before, now in pairwise(frames)
                if before.mode != now.mode
            ],
            "agreement": notes["agreement"],
            "unanswered": notes["unanswered"],
            "speed": [min(rates), max(rates)] if rates else [self._live.live_rate or 1.0] * 2,
            "replay_s": record.replay_s,
            "recording_s": record.recording_s,
            "time_jumps": record.time_jumps,
            "player": record.player,
            "exit_codes": dict(record.exit_codes),
            "shortfalls": list(record.shortfalls),
        }

    def _is_in_range(self, stamp_ns: int) -> bool:
        return within(self._seconds(stamp_ns), self._config)

    def _seconds(self, stamp_ns: int) -> float:
        return (stamp_ns - self._stamps.rgb[0]) / NANOSECONDS_PER_SECOND


def _one_recording(inputs: Sequence[Path]) -> Path:
    if len(inputs) != 1:
        raise InputError(f"--live: replays one recording, not {len(inputs)} inputs; evaluate them one by one")
    path = inputs[0]
    is_bag = path.suffix in STORAGE_SUFFIXES or not ((path / "vi").is_dir() or (path / "ir").is_dir())
    if not is_bag or (path.is_file() and path.suffix not in STORAGE_SUFFIXES):
        raise InputError(f"--live: {path} is no recording; make one of it with `fusion-ros bag make {path} OUT`")
    return path


def _offline_pairs(stamps: CameraStamps, config: EvaluationConfig) -> dict[int, int]:
    """Thermal stamp by RGB stamp, as the matcher pairs the whole recording."""
    pairing = PairingConfig(slop=config.slop, thermal_offset=config.thermal_offset)
    pairs, _ = pair_offline(stamps.rgb, stamps.thermal, pairing)
    return {stamps.rgb[i]: stamps.thermal[j] for i, j in pairs}


def _spread(values: Sequence[float | None]) -> dict[str, float]:
    there = [value for value in values if value is not None]
    if not there:
        return {}
    low, middle, high = (float(value) for value in np.percentile(there, (5, 50, 95)))
    return {"p5": low, "median": middle, "p95": high, "max": float(max(there)), "frames": len(there)}
