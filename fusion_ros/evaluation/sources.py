"""Pairs to evaluate, from pictures, clips or a recording, one at a time and always in the same order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Protocol

from fusion_ros.bags.pairs_folder import CLIP_SUFFIXES, Pair, PairsFolder, find_pairs, read_pairs
from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.types import NANOSECONDS_PER_SECOND, Frame, FramePair

# Still pictures have no time; in tables and plots they follow each other at this distance.
STILL_PERIOD_S = 1.0


@dataclass(frozen=True)
class SourcePair:
    """A pair that is to be read.

    Attributes:
        key: names the pair in tables: the RGB stamp in nanoseconds, or the file's name.
        seconds: time since the beginning of the source.
        begins: whether it has nothing to do with the pair before: a still picture, the first frame of a clip, or one
            after a pause of both cameras that makes the fusion node forget its past.
        load: reads the images; raises InputError where they are spoilt.
        recording: which of several inputs it belongs to, empty where there is one.
        passed: whether it lies between pairs that are asked for (`stride`): what comes after depends on it, as in the
            nodes, but it is not fused. It has no place among a source's keys.
    """

    key: str
    seconds: float
    begins: bool
    load: Callable[[], FramePair]
    recording: str = ""
    passed: bool = False


class Source(Protocol):
    """Where pairs come from.

    Attributes:
        description: what it is, for a person.
        in_time: whether neighbouring pairs follow each other in time.
        total: how many pairs `pairs` yields beside those that are passed, None where that is known only at the end.
        keys: of these pairs, None where they are known only at the end.
    """

    description: str
    in_time: bool
    total: int | None
    keys: list[str] | None

    @property
    def dropped(self) -> Mapping[str, int]:
        """Images that are in no pair, by reason."""

    @property
    def lost(self) -> list[str]:
        """What could not be read, in sentences; reading can add to it."""

    def pairs(self) -> Iterator[SourcePair]:
        """Yield the pairs that are asked for, and where they follow each other in time those between them, in order."""

    def close(self) -> None:
        """Let go of the files."""


def open_source(inputs: Sequence[Path], config: EvaluationConfig) -> Source:
    """Open what there is to evaluate.

    Args:
        inputs: rosbag2 folders, .mcap or .db3 files and folders with vi/ and ir/, one or several of them, or an RGB and
            a thermal video.
        config: range, stride, topics, pairing.

    Raises:
        InputError: nothing to evaluate there, or nothing in the range.
    """
    if not inputs:
        raise InputError("inputs: give a recording, a folder with vi/ and ir/, or an RGB and a thermal video")
    if are_two_videos(inputs):
        return ClipSource(_two_videos(*inputs), config)
    videos = [path for path in inputs if is_video(path)]
    if videos and len(inputs) > 1:
        raise InputError(
            f"{videos[0]}: a video among {len(inputs)} inputs has no partner; put videos into folders with vi/ and ir/"
        )
    if len(inputs) > 1:
        from fusion_ros.evaluation.several_sources import SeveralSources

        return SeveralSources(inputs, config)
    return open_recording(inputs[0], config)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a path or URL names a video, by its suffix."""
    return PurePath(path).suffix.lower() in CLIP_SUFFIXES


def are_two_videos(places: Sequence[str | os.PathLike[str]]) -> bool:
    """Whether two inputs belong together, as the RGB and the thermal video of one recording."""
    return len(places) == 2 and any(is_video(place) for place in places)


def open_recording(path: Path, config: EvaluationConfig) -> Source:
    """Open one recording or folder; as `open_source`."""
    if is_video(path):
        raise InputError(f"{path}: is one video; give two, RGB first, then thermal")
    if (path / "vi").is_dir() or (path / "ir").is_dir():
        folder = find_pairs(path)
        return ClipSource(folder, config) if folder.has_clips else StillSource(folder, config)
    from fusion_ros.evaluation.bag_source import BagSource

    return BagSource(path, config)


def _two_videos(rgb: Path, thermal: Path) -> PairsFolder:
    for path in (rgb, thermal):
        if not is_video(path):
            raise InputError(f"{path}: is not a video ({', '.join(CLIP_SUFFIXES)}); a video goes with a video")
        if not path.is_file():
            raise InputError(f"{path}: there is no such video")
    return PairsFolder(rgb, {rgb.stem: rgb}, {rgb.stem: thermal})


def within(seconds: float, config: EvaluationConfig) -> bool:
    """Whether a time lies in the range that is asked for."""
    return seconds >= config.start and (not config.end or seconds < config.end)


def range_text(config: EvaluationConfig) -> str:
    """The range in words."""
    return f"{config.start:g} s to {f'{config.end:g} s' if config.end else 'the end'}"


@dataclass
class StillSource:
    """Pictures of a pairs folder; `start` and `end` count them as one a second."""

    folder: PairsFolder
    config: EvaluationConfig
    in_time: bool = False
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [(i * STILL_PERIOD_S, name) for i, name in enumerate(self.folder.visible)]
        self._names = [entry for entry in names if within(entry[0], self.config)][:: self.config.stride]
        self.description = f"{self.folder.path} (pictures)"
        self.total: int | None = len(self._names)
        self.keys: list[str] | None = [name for _, name in self._names]
        if not self._names:
            raise InputError(
                f"{self.folder.path}: no pairs in the range {range_text(self.config)}; "
                f"it has {len(names)} pictures, counted as one a second"
            )

    def pairs(self, first: int = 0, stop: int | None = None) -> Iterator[SourcePair]:
        """Yield the pictures by name, those from position `first` to `stop`; a file is opened when it is loaded."""
        for seconds, name in self._names[first:stop]:
            yield SourcePair(name, seconds, True, partial(self._load, name))

    def _load(self, name: str) -> FramePair:
        one = replace(self.folder, visible={name: self.folder.visible[name]}, infrared=self.folder.infrared)
        return _as_frames(next(read_pairs(one)), 0)

    def close(self) -> None:
        """Do nothing: no file stays open."""


@dataclass
class ClipSource:
    """Clips of a pairs folder, or two videos, one clip after the other."""

    folder: PairsFolder
    config: EvaluationConfig
    in_time: bool = True
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    total: int | None = None
    keys: list[str] | None = None

    def __post_init__(self) -> None:
        self.description = f"{self.folder.path} (video)"

    def pairs(self) -> Iterator[SourcePair]:
        """Yield the frames of every clip; a clip that breaks off is noted in `lost`."""
        base = last = 0.0
        seen = found = 0
        for name, path in self.folder.visible.items():
            one = replace(self.folder, visible={name: path}, infrared={name: self.folder.infrared[name]})
            begins = True
            try:
                for pair in read_pairs(one):
                    last = base + (pair.seconds or 0.0)
                    seen += 1
                    if within(last, self.config):
                        frames = _as_frames(pair, round(last * NANOSECONDS_PER_SECOND))
                        passed = found % self.config.stride != 0
                        yield SourcePair(pair.name, last, begins, partial(_same, frames), passed=passed)
                        begins = False
                        found += 1
            except InputError as error:
                if begins and len(self.folder) == 1:
                    raise
                self.lost.append(f"{error}; what comes before is evaluated")
            base = last + 0.04 if seen else 0.0
        if not found:
            raise InputError(
                f"{self.folder.path}: no pairs in the range {range_text(self.config)}; it ends at {last:.2f} s"
            )

    def close(self) -> None:
        """Do nothing: clips are closed as they end."""


def _same(frames: FramePair) -> FramePair:
    return frames


def _as_frames(pair: Pair, stamp_ns: int) -> FramePair:
    return FramePair(Frame(pair.rgb, stamp_ns), Frame(pair.thermal, stamp_ns))
