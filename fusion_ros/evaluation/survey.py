"""What is known of a recording before any of its pairs is scored, and how it is divided into shards."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from fusion_ros.bags.locations import local_path
from fusion_ros.evaluation.bag_source import BagPlan, BagSource
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.several_sources import key_of
from fusion_ros.evaluation.sources import Source, SourcePair, StillSource, open_source


@dataclass(frozen=True)
class Survey:
    """One recording, seen but not scored; it can be pickled.

    Attributes:
        name: its name among several, empty where it is alone.
        places: what `open_source` takes: paths or URLs, two for a pair of videos.
        description: what it is, for a person.
        in_time: whether neighbouring pairs follow each other in time.
        keys: of its pairs, None where they are known only at the end, which is where it cannot be divided.
        dropped: images that are in no pair, by reason.
        lost: what could not be read, in sentences.
        plan: how to read a part of it, for a bag.
        has_labels: whether it has labels, where they are asked for.
        box_names: classes of boxes that are compared.
        mask_names: classes of masks that are compared.
        weights: fingerprints of the detector and the segmenter.
    """

    name: str
    places: tuple[str, ...]
    description: str
    in_time: bool
    keys: Sequence[str] | None
    dropped: Mapping[str, int]
    lost: Sequence[str]
    plan: BagPlan | None
    has_labels: bool = False
    box_names: Mapping[int, str] = field(default_factory=dict)
    mask_names: Mapping[int, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """Pairs of a recording that are scored in one go.

    Attributes:
        recording: position of the recording among the inputs.
        first: position of its first pair.
        stop: position to stop before, None for the recording's end.
    """

    recording: int
    first: int
    stop: int | None

    @property
    def name(self) -> str:
        """Names it among the shards of a run."""
        return f"{self.recording:05d}-{self.first:08d}-{'end' if self.stop is None else f'{self.stop:08d}'}"


def surveyed(name: str, places: Sequence[str], source: Source) -> Survey:
    """What an open source shows."""
    plan = source.plan if isinstance(source, BagSource) else None
    return Survey(
        name,
        tuple(places),
        source.description,
        source.in_time,
        source.keys,
        dict(source.dropped),
        list(source.lost),
        plan,
    )


def open_again(survey: Survey, config: EvaluationConfig) -> Source:
    """Open a recording without a second look at all of it."""
    paths = [local_path(place) for place in survey.places]
    return BagSource(paths[0], config, survey.plan) if survey.plan is not None else open_source(paths, config)


def shards_of(recording: int, survey: Survey, size: int) -> list[Shard]:
    """Divide a recording into shards of about the same length, none longer than `size` pairs.

    Where a shard ends does not depend on how many workers there are, so that a run can be resumed by more or fewer.
    """
    if survey.keys is None or len(survey.keys) <= size:
        return [Shard(recording, 0, None)]
    total = len(survey.keys)
    count = math.ceil(total / size)
    edges = [total * number // count for number in range(count + 1)]
    return [Shard(recording, first, stop) for first, stop in pairwise(edges)]


def mark_of(shard: Shard, survey: Survey) -> str:
    """Changes when the shard's pairs do, as when a recording has been replaced since."""
    keys = None if survey.keys is None else list(survey.keys[shard.first : shard.stop])
    return hashlib.sha256(repr((survey.name, survey.places, keys)).encode()).hexdigest()


class ShardSource:
    """The pairs of a shard, and where they follow each other in time the one before, which the first is compared with.

    Args:
        source: the recording.
        survey: of the recording.
        shard: which part.

    Attributes:
        before: keys of the pairs that are not to be scored.
    """

    def __init__(self, source: Source, survey: Survey, shard: Shard) -> None:
        self._source = source
        self._name = survey.name
        self._shard = shard
        self._begin = shard.first - 1 if survey.in_time and shard.first else shard.first
        self.description = source.description
        self.in_time = source.in_time
        self.dropped: Mapping[str, int] = {}
        keys = None if survey.keys is None else survey.keys[self._begin : shard.stop]
        self.keys: list[str] | None = None if keys is None else [self._key(key) for key in keys]
        self.total = None if self.keys is None else len(self.keys)
        self.before: list[str] = (self.keys or [])[: shard.first - self._begin]

    @property
    def lost(self) -> list[str]:
        """What could not be read."""
        return self._source.lost

    def pairs(self) -> Iterator[SourcePair]:
        """Yield the pairs; the recording's first begins anew where it is one of several."""
        is_first = bool(self._name) and self._shard.first == 0
        for pair in stretch(self._source, self._begin, self._shard.stop):
            yield replace(pair, key=self._key(pair.key), begins=pair.begins or is_first, recording=self._name)
            is_first = False

    def close(self) -> None:
        """Close the recording."""
        self._source.close()

    def _key(self, key: str) -> str:
        return key_of(self._name, key) if self._name else key


def stretch(source: Source, first: int, stop: int | None) -> Iterator[SourcePair]:
    """Pairs of a source by their positions."""
    if first == 0 and stop is None:
        return source.pairs()
    assert isinstance(source, (BagSource, StillSource)), "only what knows its keys beforehand is divided"
    return source.pairs(first, stop)
