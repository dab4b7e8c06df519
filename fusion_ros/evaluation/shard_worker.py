"""What one worker of a fleet does: look at a recording, carry its memory forward, score a shard of it.

Nothing here knows how the work reaches the worker or how its results travel.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from fusion_ros.bags.locations import is_url, local_path, shown
from fusion_ros.errors import InputError
from fusion_ros.evaluation import frames_file
from fusion_ros.evaluation import perception as perception_file
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import Contenders, parse_modes
from fusion_ros.evaluation.fingerprint import fingerprint
from fusion_ros.evaluation.gallery import gallery_of
from fusion_ros.evaluation.labels import Labels, open_labels
from fusion_ros.evaluation.perception import PerceptionModels, PerceptionScorer
from fusion_ros.evaluation.scoring_pass import ScoringPass, Unscored
from fusion_ros.evaluation.several_labels import SeveralLabels
from fusion_ros.evaluation.sources import open_source
from fusion_ros.evaluation.survey import Shard, ShardSource, Survey, open_again, stretch, surveyed
from fusion_ros.fusion.fallback import ModelLoader
from fusion_ros.fusion.registry import load_model
from fusion_ros.pipeline import PipelineMemory
from fusion_ros.report.provenance import versions


@dataclass(frozen=True)
class WorkOrder:
    """What all shards of a run have in common; it can be pickled.

    Attributes:
        config: of the evaluation.
        labels: as `open_labels` takes them, empty for none.
        loader: takes the place of `fusion_ros.fusion.load_model`.
        threads: threads of one worker.
        torch_threads: threads of torch, 0 for its own choice. Its sums depend on them in the last digit.
        folder: where relative paths begin.
    """

    config: EvaluationConfig
    labels: str = ""
    loader: ModelLoader | None = None
    threads: int = 1
    torch_threads: int = 0
    folder: str = ""


@dataclass(frozen=True)
class WorkerFacts:
    """What runs on a worker.

    Attributes:
        models: as `Contenders.describe`.
        weights: fingerprints by network.
        versions: of the software.
    """

    models: Mapping[str, Mapping[str, str]]
    weights: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Unusable:
    """A recording that is there but cannot be evaluated, and why."""

    reason: str


@dataclass(frozen=True)
class ShardResult:
    """A shard's scores.

    Attributes:
        rows: the frames' rows, with their header.
        perception: lines of perception.jsonl.
        pictures: JPEG files of its best and worst frames, by file name.
        unscored: pairs without scores.
        lost: what could not be read, in sentences.
    """

    rows: bytes
    perception: bytes
    pictures: Mapping[str, bytes]
    unscored: Unscored = field(default_factory=Unscored)
    lost: Sequence[str] = ()


class ShardWorker:
    """Does one piece of work after the other; models are loaded with the first that needs them."""

    def __init__(self, order: WorkOrder) -> None:
        self._order = order
        self._config = order.config
        if order.folder and Path(order.folder).is_dir():
            os.chdir(order.folder)
        _limit_threads(order.threads, order.torch_threads)

    @cached_property
    def _contenders(self) -> Contenders:
        loader = self._order.loader or partial(load_model, threads=self._order.threads)
        return Contenders(parse_modes(self._config.modes), self._config, loader)

    @cached_property
    def _perception(self) -> PerceptionModels:
        return PerceptionModels(self._config.device)

    def get_ready(self) -> None:
        """Load the models, so that all workers do so at the same time. What is wrong with them is left to `facts`."""
        with suppress(InputError):
            _ = self._contenders

    def facts(self) -> WorkerFacts:
        """What runs here. Raises InputError where weights, device or backend cannot be used."""
        return WorkerFacts(self._contenders.describe(), fingerprint(self._contenders.weights()), dict(versions()))

    def survey(self, name: str, places: Sequence[str]) -> Survey | Unusable:
        """Look at a recording without scoring anything.

        Raises:
            InputError: there is nothing at its place.
        """
        paths = [local_path(place) for place in places]
        for path, place in zip(paths, places, strict=True):
            if not path.exists():
                raise InputError(f"{shown(place)}: there is no such recording or folder")
        try:
            with closing(open_source(paths, self._config)) as source:
                survey = surveyed(name, places, source)
                if is_url(places[0]):
                    own = source.description.replace(str(paths[0]), shown(places[0]))
                    survey = replace(survey, description=own)
        except InputError as error:
            return Unusable(str(error))
        return self._with_labels(survey) if self._order.labels else survey

    def _with_labels(self, survey: Survey) -> Survey | Unusable:
        try:
            labels = self._labels(survey)
        except InputError as error:
            return Unusable(str(error)) if not survey.name else survey
        with closing(labels), tempfile.TemporaryDirectory() as folder:
            scorer = PerceptionScorer(labels, Path(folder) / perception_file.FILE, self._perception)
            return replace(
                survey,
                has_labels=True,
                box_names=scorer.box_names,
                mask_names=scorer.mask_names,
                weights=fingerprint(scorer.weights()),
            )

    def follow(self, survey: Survey, first: int, stop: int, memory: PipelineMemory | None) -> PipelineMemory:
        """Carry the memory of the pairs before `first` on over those before `stop`, without fusing any."""
        self._contenders.reset()
        if memory is not None:
            self._contenders.recall(memory)
        with closing(open_again(survey, self._config)) as source:
            for pair in stretch(source, first, stop):
                if pair.begins:
                    self._contenders.reset()
                try:
                    frames = pair.load()
                except InputError:
                    continue
                self._contenders.follow(frames)
        return self._contenders.memory()

    def score(self, survey: Survey, shard: Shard, memory: PipelineMemory | None) -> ShardResult:
        """Score the pairs of a shard.

        Args:
            survey: of its recording.
            shard: which pairs.
            memory: what the pairs but the last before the shard have left behind, None where there is at most one.
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fusion_ros_shard_")))
            source = ShardSource(open_again(survey, self._config), survey, shard)
            stack.enter_context(closing(source))
            rows, found = folder / "frames.csv", folder / perception_file.FILE
            frames_file.begin(rows)
            perception = None
            if survey.has_labels:
                labels = stack.enter_context(closing(self._labels(survey)))
                perception = PerceptionScorer(labels, found, self._perception)
            gallery = gallery_of(self._config, [spec.label for spec in self._contenders.specs], folder / "pictures")
            scoring = ScoringPass(
                self._contenders, self._config, rows, gallery, perception, threads=self._order.threads
            )
            unscored = scoring.run(source, source.before, lambda done, total: None, memory)
            return ShardResult(
                rows.read_bytes(),
                found.read_bytes() if found.exists() else b"",
                {path.name: path.read_bytes() for path in sorted((folder / "pictures").glob("*.jpg"))},
                unscored,
                tuple(source.lost),
            )

    def _labels(self, survey: Survey) -> Labels:
        keys = None if survey.keys is None else list(survey.keys)
        labels = open_labels(self._order.labels, local_path(survey.places[0]), keys)
        return SeveralLabels({survey.name: labels}) if survey.name else labels


def _limit_threads(threads: int, torch_threads: int) -> None:
    import cv2

    from fusion_ros.metrics.parallel import use_threads

    cv2.setNumThreads(threads)
    use_threads(threads)
    if torch_threads:
        import torch

        torch.set_num_threads(torch_threads)
