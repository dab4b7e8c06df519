"""Several recordings as one source, one after the other; each keeps its name, its pairs and its losses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from fusion_ros.bags.locations import is_url
from fusion_ros.bags.reader import STORAGE_SUFFIXES
from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.sources import Source, SourcePair, open_recording

PlaceT = TypeVar("PlaceT", str, Path)


class SeveralSources:
    """Recordings and folders side by side. Keys of their pairs are `<name>/<key in the recording>`.

    One that is there but cannot be used is left out and named in `lost`, so that it does not cost the others.

    Args:
        paths: recordings and folders with pairs.
        config: range, stride, topics, pairing; they count within each.

    Attributes:
        sources: those that can be used, by name.
        left_out: why the others cannot, by name.
        left_without_labels: names of those that have no labels where labels are asked for.

    Raises:
        InputError: a path that does not exist, or none of them can be used.
    """

    def __init__(self, paths: Sequence[Path], config: EvaluationConfig) -> None:
        self.sources: dict[str, Source] = {}
        self.left_out: dict[str, str] = {}
        self.left_without_labels: list[str] = []
        for name, path in named(paths).items():
            if not path.exists():
                raise InputError(f"{path}: there is no such recording or folder")
            try:
                self.sources[name] = open_recording(path, config)
            except InputError as error:
                self.left_out[name] = str(error)
        if not self.sources:
            raise InputError(f"no input can be evaluated: {'; '.join(self.left_out.values())}")
        self.description = f"{len(self.sources)} recordings: {', '.join(self.sources)}"
        self.in_time = any(source.in_time for source in self.sources.values())
        totals = [source.total for source in self.sources.values()]
        self.total: int | None = None if None in totals else sum(total or 0 for total in totals)
        keys = {name: source.keys for name, source in self.sources.items()}
        self.keys: list[str] | None = None
        if None not in keys.values():
            self.keys = [key_of(name, key) for name, own in keys.items() for key in own or ()]

    @property
    def dropped(self) -> Mapping[str, int]:
        """Images in no pair, of all of them."""
        counts: Counter[str] = Counter()
        for source in self.sources.values():
            counts.update(source.dropped)
        return counts

    @property
    def lost(self) -> list[str]:
        """What could not be read, with the name of the recording."""
        notes = [f"{name} is left out: {reason}" for name, reason in self.left_out.items()]
        notes += [f"{name} brings no labels" for name in self.left_without_labels]
        return notes + [f"{name}: {note}" for name, source in self.sources.items() for note in source.lost]

    def pairs(self) -> Iterator[SourcePair]:
        """Yield the pairs of one recording after the other."""
        for name, source in self.sources.items():
            is_first = True
            try:
                for pair in source.pairs():
                    yield replace(pair, key=key_of(name, pair.key), begins=pair.begins or is_first, recording=name)
                    is_first = False
            except InputError as error:
                self.left_out[name] = str(error)

    def close(self) -> None:
        """Close them all."""
        for source in self.sources.values():
            source.close()


def key_of(recording: str, key: str) -> str:
    """Key of a pair among those of several recordings; a recording's name has no slash."""
    return f"{recording}/{key}"


def split_key(key: str) -> tuple[str, str]:
    """Name of the recording and key within it."""
    recording, _, own = key.partition("/")
    return recording, own


def named(places: Sequence[PlaceT]) -> dict[str, PlaceT]:
    """Give each path or URL a short name of its own: that of the file or folder, with a number where two are alike."""
    names: dict[str, PlaceT] = {}
    for place in places:
        plain = _plain_name(place)
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain} ({number})"
        names[name] = place
    return names


def _plain_name(place: str | os.PathLike[str]) -> str:
    if is_url(place):
        path = PurePosixPath(urlsplit(os.fspath(place).split("::")[0]).path.rstrip("/") or "recording")
        return path.stem if path.suffix in STORAGE_SUFFIXES else path.name
    resolved = Path(place).resolve()
    return resolved.name if resolved.is_dir() else resolved.stem
