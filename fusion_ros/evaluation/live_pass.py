"""Scores what the running nodes published, and holds it against what the same pairs give without them.

Gain control, hysteresis and fade depend on every pair that a pipeline has seen. The node's pipeline saw the pairs of
the record and no others, so a pipeline that is shown these, in this order, must make the same images; where it does,
offline and live agree. An evaluation without `--live` sees every pair of the recording: its numbers are those of a live
one up to the first pair that was dropped, and throughout where none was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.decoding import header_stamp_ns, read_frame
from fusion_ros.bags.reader import BagMessage, BagReader, open_bag
from fusion_ros.errors import InputError
from fusion_ros.evaluation.camera_stamps import CameraStamps
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import Contenders, Fused
from fusion_ros.evaluation.frames_file import FrameFacts, FramesWriter
from fusion_ros.evaluation.fused_bag import FusedBag
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.live_images import FUSED, read_images
from fusion_ros.evaluation.live_perception import LivePerception
from fusion_ros.evaluation.live_record import LiveFrame, LiveRecord
from fusion_ros.evaluation.perception import Answers
from fusion_ros.evaluation.scores import LATENCY, PROCESSING, FrameScorer, Scored
from fusion_ros.evaluation.scoring_pass import Progress, Unscored
from fusion_ros.evaluation.sources import within
from fusion_ros.types import NANOSECONDS_PER_SECOND, FramePair


@dataclass
class Agreement:
    """How the published images compare with those that the same pairs give without the nodes.

    Attributes:
        frames: that were compared.
        identical: that are equal to the last bit.
        largest_difference: of any pixel, grey levels.
        other_mode: frames on which another mode was in force.
    """

    frames: int = 0
    identical: int = 0
    largest_difference: int = 0
    other_mode: int = 0

    def note(self, live: NDArray[np.uint8], offline: NDArray[np.uint8], same_mode: bool) -> None:
        """Count one frame."""
        self.frames += 1
        self.other_mode += not same_mode
        if live.shape != offline.shape:
            self.largest_difference = 255
        elif np.array_equal(live, offline):
            self.identical += 1
        else:
            apart = int(np.abs(live.astype(np.int16) - offline.astype(np.int16)).max())
            self.largest_difference = max(self.largest_difference, apart)


class LivePass:
    """Scores one record.

    Args:
        contenders: the mode of the record, and the baselines.
        label: of the mode.
        config: profile, range, stride and pictures.
        rows: file to append the frames' rows to; it has its header.
        gallery: where best and worst frames go.
        perception: scores the nodes' detections and masks; None without labels.
        fused: recording of what is scored, None for none.
        recording: name of the mode's own recording in it.
    """

    def __init__(
        self,
        contenders: Contenders,
        label: str,
        config: EvaluationConfig,
        rows: Path,
        gallery: Gallery,
        perception: LivePerception | None,
        fused: FusedBag | None = None,
        recording: str = "",
    ) -> None:
        self._contenders = contenders
        self._label = label
        self._config = config
        self._rows = rows
        self._gallery = gallery
        self._perception = perception
        self._fused = fused
        self._recording = recording
        self.agreement = Agreement()
        self.unscored = Unscored()

    def run(self, path: Path, record: LiveRecord, images: Path, stamps: CameraStamps, progress: Progress) -> None:
        """Score the frames.

        Args:
            path: the recording that was replayed.
            record: what came.
            images: the recording of the fused images.
            stamps: of the recording's images.
            progress: called with frames done and in all.
        """
        workers = max(1, min(len(self._contenders.specs), len(os.sched_getaffinity(0))))
        published = read_images(images, FUSED)
        taken = 0
        with ThreadPoolExecutor(workers) as executor, FramesWriter(self._rows) as writer, open_bag(path) as bag:
            scorer = FrameScorer(self._config.profile, executor)
            before_ns: int | None = None
            for done, (frame, rgb, thermal) in enumerate(_with_sources(bag, record, self._topics), start=1):
                if before_ns is not None and stamps.jumped(before_ns, frame.stamp_ns):
                    self._contenders.reset()
                    scorer.reset()
                before_ns = frame.stamp_ns
                live = _image_of(published, frame.stamp_ns)
                seconds = (frame.stamp_ns - stamps.rgb[0]) / NANOSECONDS_PER_SECOND
                is_scored = not frame.alone and within(seconds, self._config) and live is not None
                if is_scored:
                    taken += 1
                try:
                    if live is not None and is_scored and (taken - 1) % self._config.stride == 0:
                        pair = FramePair(
                            read_frame(bag, _there(rgb), "rgb"), read_frame(bag, _there(thermal), "thermal")
                        )
                        self._score(frame, pair, seconds, live, scorer, writer)
                    else:
                        self._follow(bag, frame, rgb, thermal, scorer)
                except InputError as error:
                    self.unscored.unreadable.append(str(error))
                    scorer.forget()
                progress(done, len(record.frames))

    @property
    def _topics(self) -> tuple[str, str]:
        return self._config.rgb_topic, self._config.thermal_topic

    def _follow(
        self,
        bag: BagReader,
        frame: LiveFrame,
        rgb: BagMessage | None,
        thermal: BagMessage | None,
        scorer: FrameScorer,
    ) -> None:
        """Let the pipelines see what the node's pipeline saw."""
        if frame.alone:
            alone = read_frame(bag, _there(rgb if frame.alone == "rgb" else thermal), frame.alone)
            self._contenders.follow_alone(alone, frame.alone)
            scorer.forget()
            return
        pair = _pair(bag, rgb, thermal)
        scorer.light(pair)
        self._contenders.follow(pair)

    def _score(
        self,
        frame: LiveFrame,
        pair: FramePair,
        seconds: float,
        live: NDArray[np.uint8],
        scorer: FrameScorer,
        writer: FramesWriter,
    ) -> None:
        exposure, condition = scorer.light(pair)
        offline = self._contenders.fuse(pair)
        images = scorer.sources(offline)
        made = [self._published(one, frame, live) if one.label == self._label else one for one in offline]
        if images is None:
            own = next(one.frame for one in offline if one.label == self._label)
            self.unscored.without_thermal.append(own.fallback_reason or "thermal: no image")
            scorer.forget()
            return
        scored = [self._timed(one, frame) for one in scorer.score(made, images)]
        key = str(frame.stamp_ns)
        by_mode = {one.label: one.values[self._config.pictures_by] for one in scored}
        pictures = {one.label: one.frame.image for one in made} | {"/rgb": images.rgb, "/thermal": images.infrared}
        self._gallery.offer(key, by_mode, pictures)
        answers = Answers() if self._perception is None else self._perception.score_live(frame, live, made)
        if self._fused is not None:
            self._fused.write(key, seconds, self._recording, made, answers)
        writer.write(FrameFacts(key, seconds, condition, exposure), scored)

    def _published(self, offline: Fused, frame: LiveFrame, live: NDArray[np.uint8]) -> Fused:
        """What the node published in the place of what was computed here."""
        self.agreement.note(live, offline.frame.image, frame.mode == offline.frame.mode)
        return replace(offline, frame=replace(offline.frame, image=live, mode=frame.mode), milliseconds=float("nan"))

    def _timed(self, scored: Scored, frame: LiveFrame) -> Scored:
        if scored.label != self._label:
            return scored
        times = {LATENCY: frame.latency_ms, PROCESSING: frame.processing_ms}
        return replace(scored, values={**scored.values, **{n: t for n, t in times.items() if t is not None}})


def _with_sources(
    bag: BagReader, record: LiveRecord, topics: Sequence[str]
) -> Iterator[tuple[LiveFrame, BagMessage | None, BagMessage | None]]:
    """Each frame of a record with the recorded messages that it was made of; few are held at a time."""
    wanted = (
        {frame.stamp_ns for frame in record.frames if frame.alone != "thermal"},
        {_thermal_stamp(frame) for frame in record.frames if frame.alone != "rgb"},
    )
    held: tuple[dict[int, BagMessage], dict[int, BagMessage]] = ({}, {})
    messages = bag.messages(list(topics))
    for frame in record.frames:
        needed = (None if frame.alone == "thermal" else frame.stamp_ns, _thermal_stamp(frame))
        while any(stamp is not None and stamp not in held[side] for side, stamp in enumerate(needed)):
            message = next(messages, None)
            if message is None:
                break
            side = topics.index(message.topic)
            try:
                stamp_ns = header_stamp_ns(bag.decode(message))
            except InputError:
                continue
            if stamp_ns in wanted[side]:
                held[side].setdefault(stamp_ns, message)
        found = [None if stamp is None else held[side].pop(stamp, None) for side, stamp in enumerate(needed)]
        yield frame, found[0], found[1]


def _pair(bag: BagReader, rgb: BagMessage | None, thermal: BagMessage | None) -> FramePair:
    return FramePair(read_frame(bag, _there(rgb), "rgb"), read_frame(bag, _there(thermal), "thermal"))


def _thermal_stamp(frame: LiveFrame) -> int | None:
    return frame.stamp_ns if frame.alone == "thermal" else frame.thermal_ns


def _there(message: BagMessage | None) -> BagMessage:
    if message is None:
        raise InputError("an image that the node has fused is not in the recording")
    return message


def _image_of(published: Iterator[tuple[int, NDArray[np.uint8]]], stamp_ns: int) -> NDArray[np.uint8] | None:
    """The next image of this stamp; those before it that nobody asks for are passed over."""
    return next((image for stamp, image in published if stamp == stamp_ns), None)
