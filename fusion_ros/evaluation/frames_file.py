"""`frames.csv`: a row for each frame and mode, written as the frames are scored, so that a run can be resumed."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.evaluation.scores import SCORES, Scored
from fusion_ros.types import ExposureReading

EXPOSURE_COLUMNS = ("glare_fraction", "dark_fraction", "mean_luma")
FRAME_COLUMNS = ("frame", "recording", "time_s", "condition", *EXPOSURE_COLUMNS)
COLUMNS = (*FRAME_COLUMNS, "mode", "used", "reason", *SCORES)


@dataclass(frozen=True)
class FrameFacts:
    """What the rows of one frame have in common."""

    key: str
    seconds: float
    condition: str
    exposure: ExposureReading
    recording: str = ""


@dataclass
class FramesTable:
    """All rows of a run.

    Attributes:
        modes: labels, in the order of the rows of a frame.
        frames: facts of each frame.
        values: by mode (N, len(SCORES)) float64, NaN where a score does not apply.
        used: by mode, the mode in force on each frame.
        reasons: by mode, why another stood in, empty where none did.
    """

    modes: list[str]
    frames: list[FrameFacts] = field(default_factory=list)
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    used: dict[str, list[str]] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def column(self, mode: str, score: str) -> NDArray[np.float64]:
        """One score of one mode over the frames, (N,)."""
        return self.values[mode][:, SCORES.index(score)]


class FramesWriter:
    """Appends rows, a frame at a time; use it in a `with` block.

    Args:
        path: the file; it must exist with its header (`begin`), or hold whole frames (`keep_whole_frames`).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> FramesWriter:
        self._file = self._path.open("a", encoding="utf-8", newline="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, facts: FrameFacts, scored: Sequence[Scored]) -> None:
        """Write the rows of one frame and hand them to the system."""
        assert self._file is not None
        exposure = facts.exposure
        shared = [facts.key, facts.recording, repr(facts.seconds), facts.condition]
        shared += [repr(v) for v in (exposure.glare_fraction, exposure.dark_fraction, exposure.mean_luma)]
        writer = csv.writer(self._file, lineterminator="\n")
        for one in scored:
            writer.writerow([*shared, one.label, one.used, one.reason, *(_text(one.values[name]) for name in SCORES)])
        self._file.flush()


def begin(path: Path) -> None:
    """Start a file with its header."""
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")


def keep_whole_frames(path: Path, modes: Sequence[str], among: Collection[str] | None = None) -> list[str]:
    """Cut off what an interrupted run left unfinished at the end, and return the keys of the frames that are whole.

    Args:
        path: the file.
        modes: labels, in the order of the rows of a frame.
        among: keys of which the frames are; the first other one ends what is kept. None for any.

    Raises:
        InputError: the file is not one of this evaluation.
    """
    keys: list[str] = []
    whole = 0
    with path.open("rb") as file:
        header = file.readline()
        if header.decode("utf-8", "replace").rstrip("\n").split(",") != list(COLUMNS):
            raise InputError(f"{path}: has other columns than this version writes; begin anew without --resume")
        whole = position = len(header)
        waiting: list[str] = []
        for line in file:
            position += len(line)
            row = next(csv.reader([line.decode("utf-8", "replace")]), [])
            if not line.endswith(b"\n") or len(row) != len(COLUMNS):
                break
            waiting.append(row[COLUMNS.index("mode")])
            if waiting != list(modes[: len(waiting)]):
                raise InputError(f"{path}: rows of other modes ({', '.join(waiting)}); begin anew without --resume")
            if among is not None and row[0] not in among:
                break
            if len(waiting) == len(modes):
                keys.append(row[0])
                waiting, whole = [], position
    with path.open("r+b") as file:
        file.truncate(whole)
    return keys


def read_frames(path: Path) -> FramesTable:
    """Read a whole file.

    Raises:
        InputError: it cannot be read or has other columns.
    """
    table = FramesTable([])
    numbers: dict[str, list[list[float]]] = {}
    for row in _rows(path):
        mode = row["mode"]
        if mode not in numbers:
            table.modes.append(mode)
            numbers[mode], table.used[mode], table.reasons[mode] = [], [], []
        if mode == table.modes[0]:
            reading = ExposureReading(*(float(row[name]) for name in EXPOSURE_COLUMNS))
            facts = FrameFacts(row["frame"], float(row["time_s"]), row["condition"], reading, row["recording"])
            table.frames.append(facts)
        numbers[mode].append([float(row[name]) if row[name] else math.nan for name in SCORES])
        table.used[mode].append(row["used"])
        table.reasons[mode].append(row["reason"])
    table.values = {mode: np.array(rows, np.float64).reshape(-1, len(SCORES)) for mode, rows in numbers.items()}
    return table


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(f"{path}: is not the frames.csv of an evaluation by this version (other columns)")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}: line {reader.line_num} is not whole")
                yield row
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
