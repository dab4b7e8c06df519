"""What the running nodes did with a recording in one mode: kept as a file, so that it can be scored again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fusion_ros.errors import InputError

Alone = Literal["", "rgb", "thermal"]


@dataclass(frozen=True)
class LiveFrame:
    """One image on `fusion/image`.

    Attributes:
        stamp_ns: header stamp: that of the RGB image, or of the thermal one that was passed on alone.
        thermal_ns: header stamp of the thermal image in the pair, None without one.
        alone: which camera's image was passed on while the other was silent; empty for a pair.
        mode: in force, as `fusion/mode` said.
        latency_ms: from the publication of the pair's later image to that of the fused one; None where unknown.
        processing_ms: the node's compute time; None where it did not come.
        boxes: what the detection node answered: x_min, y_min, x_max, y_max, confidence, class; None without an answer.
        has_mask: whether the segmentation node answered.
    """

    stamp_ns: int
    thermal_ns: int | None
    alone: Alone
    mode: str
    latency_ms: float | None = None
    processing_ms: float | None = None
    boxes: Sequence[Sequence[float]] | None = None
    has_mask: bool = False


@dataclass(frozen=True)
class LiveRecord:
    """One replay.

    Attributes:
        mode: label of the mode that the fusion node was asked for.
        frames: in the order in which they were published.
        received: images of each camera that the fusion node has counted.
        dropped: by node and reason, as the nodes' diagnostics say.
        time_jumps: that the fusion node saw.
        rates: (seconds since the start, speed) at each change of speed.
        replay_s: how long the replay took.
        recording_s: how long the recording is.
        exit_codes: of all processes.
        shortfalls: what did not go as asked, in sentences.
        health: last diagnostics of each node.
        player: what replayed the recording.
    """

    mode: str
    frames: Sequence[LiveFrame]
    received: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    time_jumps: int = 0
    rates: Sequence[Sequence[float]] = ()
    replay_s: float = 0.0
    recording_s: float = 0.0
    exit_codes: Mapping[str, int] = field(default_factory=dict)
    shortfalls: Sequence[str] = ()
    health: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    player: str = ""

    @property
    def pairs(self) -> list[LiveFrame]:
        """The frames that were fused of two images."""
        return [frame for frame in self.frames if not frame.alone]


def write_record(path: Path, record: LiveRecord) -> None:
    """Write a record; what was there stays until it is complete."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
    partial.replace(path)


def read_record(path: Path) -> LiveRecord:
    """Read a record.

    Raises:
        InputError: it is none of this version.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        frames = [LiveFrame(**frame) for frame in content.pop("frames")]
        return LiveRecord(frames=frames, **content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: is not the record of a replay ({error}); begin anew without --resume") from error
