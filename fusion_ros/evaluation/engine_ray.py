"""A fleet of recordings, divided into shards that workers score at the same time.

A shard's numbers depend on what came before it: gain control, frozen-sensor detection, the mode's hysteresis and fade,
and the frame before. So a chain of cheap jobs carries that memory through each recording without fusing anything, and
every shard begins with it and with the one pair before its first, which is fused and not scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusion_ros.bags.locations import is_in_this_process, shown
from fusion_ros.errors import InputError
from fusion_ros.evaluation import frames_file
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.engine import RAY, EngineConfig
from fusion_ros.evaluation.gallery import Gallery, offer_again
from fusion_ros.evaluation.ray_workers import RayWorkers
from fusion_ros.evaluation.scoring_pass import Progress
from fusion_ros.evaluation.several_sources import named
from fusion_ros.evaluation.shard_store import SHARDS, ShardStore
from fusion_ros.evaluation.shard_worker import Unusable, WorkerFacts, WorkOrder
from fusion_ros.evaluation.sources import are_two_videos
from fusion_ros.evaluation.survey import Shard, Survey, shards_of
from fusion_ros.evaluation.work_queue import Job, run_jobs
from fusion_ros.fusion.fallback import ModelLoader
from fusion_ros.pipeline import PipelineMemory
from fusion_ros.report.provenance import versions

# What makes other work possible comes first: no worker is to wait at the end for a chain of small jobs.
_SURVEY, _FOLLOW, _SCORE = 0, 1, 2


class RayEngine:
    """See `Engine`.

    Args:
        places: paths and URLs, as `open_source` takes them; workers must see them too.
        config: of the evaluation.
        engine: cluster, workers and length of a shard.
        labels: as `open_labels` takes them, empty for none.
        out: folder of the run.
        found: file for what detector and segmenter find.
        loader: takes the place of `fusion_ros.fusion.load_model`.
        workers: takes the place of those in a Ray cluster.

    Raises:
        InputError: Ray or the cluster, an input, the labels or a model cannot be used.
    """

    def __init__(
        self,
        places: Sequence[str],
        config: EvaluationConfig,
        engine: EngineConfig,
        labels: str,
        out: Path,
        found: Path,
        loader: ModelLoader | None,
        workers: RayWorkers | None = None,
    ) -> None:
        self._config = config
        self._engine = engine
        self._labels = labels
        self._found = found
        self._store = ShardStore(out / SHARDS)
        self._surveys: dict[int, Survey] = {}
        self._left_out: dict[str, str] = {}
        self._shards: dict[int, list[Shard]] = {}
        self._late_losses: list[str] = []
        self._notes: list[str] = []
        _refuse_memory(places)
        self._workers = workers or RayWorkers(engine.ray_address, engine.workers, config.device)
        try:
            share = self._workers.share
            threads = _torch_threads(config, labels)
            self._workers.employ(WorkOrder(config, labels, loader, share.cores, threads, str(Path.cwd())))
            self._look_at(places)
        except BaseException:
            self.close()
            raise

    @property
    def description(self) -> str:
        """See `Engine`."""
        surveys = list(self._surveys.values())
        if not surveys[0].name:
            return surveys[0].description
        return f"{len(surveys)} recordings: {', '.join(survey.name for survey in surveys)}"

    @property
    def dropped(self) -> Mapping[str, int]:
        """See `Engine`."""
        counts: Counter[str] = Counter()
        for survey in self._surveys.values():
            counts.update(survey.dropped)
        return counts

    @property
    def lost(self) -> Sequence[str]:
        """See `Engine`."""
        notes = [f"{name} is left out: {reason}" for name, reason in self._left_out.items()]
        if self._labels:
            notes += [f"{survey.name} brings no labels" for survey in self._surveys.values() if not survey.has_labels]
        for survey in self._surveys.values():
            notes += [_of(survey, note) for note in survey.lost]
        return notes + self._late_losses

    @property
    def labelled(self) -> bool:
        """See `Engine`."""
        return any(survey.has_labels for survey in self._surveys.values())

    @property
    def box_names(self) -> Mapping[int, str]:
        """See `Engine`."""
        return next((survey.box_names for survey in self._surveys.values() if survey.box_names), {})

    @property
    def mask_names(self) -> Mapping[int, str]:
        """See `Engine`."""
        return next((survey.mask_names for survey in self._surveys.values() if survey.mask_names), {})

    @property
    def notes(self) -> Sequence[str]:
        """See `Engine`."""
        return self._notes

    def settings(self) -> Mapping[str, Any]:
        """See `Engine`."""
        return {"engine": RAY, "shard_frames": self._engine.shard_frames}

    def models(self) -> Mapping[str, Mapping[str, str]]:
        """See `Engine`."""
        return self._facts.models

    def weights(self) -> Mapping[str, str]:
        """See `Engine`."""
        marks = dict(self._facts.weights)
        for survey in self._surveys.values():
            marks |= survey.weights
        return marks

    def score(self, rows: Path, done: Sequence[str], gallery: Gallery, progress: Progress) -> list[str]:
        """See `Engine`. Progress counts shards; shards that an earlier run has finished are taken as they are."""
        shards = [shard for own in self._shards.values() for shard in own]
        missing = {shard for shard in shards if not self._store.has(shard, self._surveys[shard.recording])}
        finished = len(shards) - len(missing)
        progress(finished, len(shards))

        def take(job: Job, result: Any) -> list[Job]:
            nonlocal finished
            survey, shard = job.arguments[0], job.arguments[1]
            if job.method == "follow":
                return self._jobs_from(self._shard_at(survey, job.arguments[2] + 1), result, missing)
            self._store.keep(shard, survey, result)
            finished += 1
            progress(finished, len(shards))
            return []

        first = [job for own in self._shards.values() for job in self._jobs_from(own[0], None, missing)]
        run_jobs(self._workers, first, take, self._notes.append)
        # What is there of an earlier putting together is put together again.
        frames_file.begin(rows)
        unscored = self._store.put_together(shards, rows, self._found, gallery.folder)
        offer_again(gallery, frames_file.read_frames(rows), self._config.pictures_by)
        gallery.keep_only_chosen()
        self._late_losses = self._losses_while_scoring(shards)
        return unscored.sentences

    def extra(self) -> Mapping[str, Any]:
        """See `Engine`: nothing."""
        return {}

    def finish(self) -> None:
        """See `Engine`."""
        self._store.remove()

    def close(self) -> None:
        """See `Engine`."""
        self._workers.close()

    def _look_at(self, places: Sequence[str]) -> None:
        """Survey all recordings, and learn what runs on the workers."""
        groups = [("", tuple(places))] if _is_one(places) else [(n, (str(p),)) for n, p in named(places).items()]
        jobs = [Job("facts", (), "loading the models", _SURVEY)]
        jobs += [
            Job("survey", (name, own), f"looking at {', '.join(map(shown, own))}", _SURVEY) for name, own in groups
        ]
        found: dict[str, Survey | Unusable] = {}

        def take(job: Job, result: Any) -> list[Job]:
            if isinstance(result, WorkerFacts):
                self._facts = result
            else:
                found[job.arguments[0]] = result
            return []

        run_jobs(self._workers, jobs, take, self._notes.append)
        for position, (name, _) in enumerate(groups):
            result = found[name]
            if isinstance(result, Survey):
                self._surveys[position] = result
                self._shards[position] = shards_of(position, result, self._engine.shard_frames)
            elif name:
                self._left_out[name] = result.reason
            else:
                raise InputError(result.reason)
        if not self._surveys:
            raise InputError(f"no input can be evaluated: {'; '.join(self._left_out.values())}")
        if self._labels and not self.labelled:
            raise InputError(f"--labels {self._labels}: none of the recordings has labels in it")
        self._compare_versions()

    def _compare_versions(self) -> None:
        here = dict(versions())
        other = [f"{k} {v} (here {here.get(k)})" for k, v in self._facts.versions.items() if here.get(k) != v]
        if other:
            self._notes.append(f"workers run other versions than this machine, numbers may differ: {', '.join(other)}")

    def _jobs_from(self, shard: Shard, memory: PipelineMemory | None, missing: set[Shard]) -> list[Job]:
        """Jobs that can be done once the memory at a shard is known: the shard, and the way to the next one."""
        survey, own = self._surveys[shard.recording], self._shards[shard.recording]
        title = survey.name or shown(survey.places[0])
        if len(own) > 1:
            title += f", pairs {shard.first} to {(shard.stop or 0) - 1}"
        jobs = [Job("score", (survey, shard, memory), title, _SCORE)] if shard in missing else []
        later = own[own.index(shard) + 1 :]
        if any(other in missing for other in later):
            if not survey.in_time:
                return jobs + [Job("score", (survey, o, None), f"{title} ff.", _SCORE) for o in later if o in missing]
            begin, end = max(0, shard.first - 1), later[0].first - 1
            jobs.append(Job("follow", (survey, begin, end, memory), f"{title} (looking ahead)", _FOLLOW))
        return jobs

    def _shard_at(self, survey: Survey, first: int) -> Shard:
        recording = next(position for position, other in self._surveys.items() if other is survey)
        return next(shard for shard in self._shards[recording] if shard.first == first)

    def _losses_while_scoring(self, shards: Sequence[Shard]) -> list[str]:
        """Of recordings that are read to the end only when they are scored."""
        notes = []
        for shard in shards:
            survey = self._surveys[shard.recording]
            notes += [_of(survey, note) for note in self._store.lost(shard) if note not in survey.lost]
        return list(dict.fromkeys(notes))


def _of(survey: Survey, note: str) -> str:
    return f"{survey.name}: {note}" if survey.name else note


def _is_one(places: Sequence[str]) -> bool:
    return len(places) == 1 or are_two_videos(places)


def _refuse_memory(places: Sequence[str]) -> None:
    for place in places:
        if is_in_this_process(place):
            raise InputError(f"{place}: lies in the memory of this process, where no worker can read it; write a file")


def _torch_threads(config: EvaluationConfig, labels: str) -> int:
    """Threads of torch in this process, which the workers' torch has to have too; 0 where they hardly use torch."""
    if config.backend != "torch" and not labels:
        return 0
    import torch

    return int(torch.get_num_threads())
