"""The pass over the pairs: fuse, score, write down."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import Contenders
from fusion_ros.evaluation.frames_file import FrameFacts, FramesWriter
from fusion_ros.evaluation.fused_bag import FusedBag
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.perception import Answers, PerceptionScorer
from fusion_ros.evaluation.scores import FrameScorer
from fusion_ros.evaluation.sources import Source, SourcePair
from fusion_ros.pipeline import PipelineMemory

Progress = Callable[[int, int | None], None]


@dataclass
class Unscored:
    """Pairs without scores.

    Attributes:
        unreadable: why each of those that could not be read was not.
        without_thermal: the same of those whose thermal image was unusable.
    """

    unreadable: list[str] = field(default_factory=list)
    without_thermal: list[str] = field(default_factory=list)

    def add(self, other: Unscored) -> None:
        """Take in those of another part of the source."""
        self.unreadable += other.unreadable
        self.without_thermal += other.without_thermal

    @property
    def sentences(self) -> list[str]:
        """How many there are, and why."""
        kinds = ((self.unreadable, "could not be read"), (self.without_thermal, "had no usable thermal image"))
        return [
            f"{len(reasons)} pair{'s' if len(reasons) > 1 else ''} {what}, first: {reasons[0]}"
            for reasons, what in kinds
            if reasons
        ]


class ScoringPass:
    """Scores pairs of a source, or a stretch of them, into one file.

    What a frame's scores depend on (gain control, hysteresis, the frame before) follows from the pairs before it in the
    source alone, so it does not matter in how many passes, or by how many processes, the pairs are scored.

    Args:
        contenders: the modes.
        config: profile and pictures.
        rows: file to append the frames' rows to; it has its header.
        gallery: where best and worst frames go.
        perception: detector and segmenter, None without labels.
        threads: how many modes are scored at a time, None for as many as there are cores.
        fused: recording of what the modes make, None for none.
    """

    def __init__(
        self,
        contenders: Contenders,
        config: EvaluationConfig,
        rows: Path,
        gallery: Gallery,
        perception: PerceptionScorer | None,
        threads: int | None = None,
        fused: FusedBag | None = None,
    ) -> None:
        self._contenders = contenders
        self._config = config
        self._rows = rows
        self._gallery = gallery
        self._perception = perception
        self._threads = threads or len(os.sched_getaffinity(0))
        self._fused = fused
        self._unscored = Unscored()

    def run(
        self,
        source: Source,
        before: Sequence[str],
        progress: Progress,
        memory: PipelineMemory | None = None,
    ) -> Unscored:
        """Score the pairs.

        Args:
            source: where they come from.
            before: keys of the pairs that are scored already or by others; they are only looked at.
            progress: called with pairs done and in all.
            memory: what the pairs before the source's first have left behind, None where there are none.

        Returns:
            What could not be scored.
        """
        unscored = self._unscored = Unscored()
        self._contenders.reset()
        seen, neighbour = set(before), before[-1] if before else None
        workers = max(1, min(len(self._contenders.specs), self._threads))
        with ThreadPoolExecutor(workers) as executor, FramesWriter(self._rows) as writer:
            scorer = FrameScorer(self._config.profile, executor)
            if memory is not None:
                self._contenders.recall(memory)
                scorer.recall(memory.selector)
            count = 0
            for item in source.pairs():
                if item.begins:
                    self._contenders.reset()
                    scorer.reset()
                if item.passed:
                    self._look_at(item, scorer, is_neighbour=False)
                    continue
                count += 1
                if item.key not in seen:
                    self._score(item, scorer, writer)
                elif source.in_time:
                    self._look_at(item, scorer, item.key == neighbour)
                progress(count, source.total)
        return unscored

    def _look_at(self, item: SourcePair, scorer: FrameScorer, is_neighbour: bool) -> None:
        """See a pair without scoring it; what it is made into is wanted of the last one only."""
        try:
            pair = item.load()
        except InputError:
            return
        scorer.light(pair)
        if not is_neighbour:
            self._contenders.follow(pair)
            return
        made = self._contenders.fuse(pair)
        images = scorer.sources(made)
        if images is not None:
            scorer.remember(made, images)

    def _score(self, item: SourcePair, scorer: FrameScorer, writer: FramesWriter) -> None:
        try:
            pair = item.load()
        except InputError as error:
            self._unscored.unreadable.append(str(error))
            scorer.forget()
            return
        exposure, condition = scorer.light(pair)
        made = self._contenders.fuse(pair)
        images = scorer.sources(made)
        if images is None:
            self._unscored.without_thermal.append(made[0].frame.fallback_reason or "thermal: no image")
            scorer.forget()
            return
        scored = scorer.score(made, images)
        by_mode = {one.label: one.values[self._config.pictures_by] for one in scored}
        pictures = {one.label: one.frame.image for one in made} | {"/rgb": images.rgb, "/thermal": images.infrared}
        self._gallery.offer(item.key, by_mode, pictures)
        answers = Answers() if self._perception is None else self._perception.score(item.key, made)
        if self._fused is not None:
            self._fused.write(item.key, item.seconds, item.recording, made, answers)
        # Last of all: its rows say that everything else of this frame is on the disk.
        writer.write(FrameFacts(item.key, item.seconds, condition, exposure, item.recording), scored)
