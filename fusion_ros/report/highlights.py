"""Which frames of a run deserve a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fusion_ros.report.record import FrameRecord

# Two frames of one mode that are closer than this look alike.
_APART_NS = 400_000_000


@dataclass(frozen=True)
class Highlight:
    """A frame chosen for the report and why."""

    frame: FrameRecord
    reason: str


def mode_switches(frames: Sequence[FrameRecord]) -> list[tuple[FrameRecord, str, str]]:
    """Frames whose mode differs from the one before, with the old and the new mode."""
    return [(now, before.mode, now.mode) for before, now in pairwise(frames) if before.mode != now.mode]


def choose_highlights(frames: Sequence[FrameRecord], limit: int = 12) -> list[Highlight]:
    """Choose at most `limit` frames, in order of time.

    Every scene condition comes first, with a frame of its middle, then mode switches. Where that gives few (pictures
    without ground truth), frames spread evenly over the run are added, those that carry boxes preferred.
    """
    if not frames:
        return []
    chosen: dict[int, Highlight] = {}

    def take(frame: FrameRecord, reason: str) -> None:
        shows_the_same = any(
            abs(other.frame.stamp_ns - frame.stamp_ns) < _APART_NS and other.frame.mode == frame.mode
            for other in chosen.values()
        )
        if len(chosen) < limit and not shows_the_same:
            chosen[frame.stamp_ns] = Highlight(frame, reason)

    stretches = _condition_stretches(frames)
    seen: set[str] = set()
    for stretch in stretches:
        condition = stretch[0].condition
        if condition is not None and condition not in seen:
            seen.add(condition)
            take(_richest(stretch[len(stretch) // 4 : max(1, len(stretch) * 3 // 4)] or stretch), f"scene: {condition}")
    for frame, before, now in _spread(mode_switches(frames), max(2, limit // 2)):
        take(frame, f"switch from {before} to {now}")
    if len(chosen) < min(limit, 6):
        wanted = min(limit, 6) - len(chosen)
        for part in range(wanted):
            begin, end = part * len(frames) // wanted, (part + 1) * len(frames) // wanted
            take(_richest(frames[begin:end] or frames[:1]), "along the way")
    return sorted(chosen.values(), key=lambda highlight: highlight.frame.stamp_ns)


def _condition_stretches(frames: Sequence[FrameRecord]) -> list[list[FrameRecord]]:
    stretches: list[list[FrameRecord]] = []
    for frame in frames:
        if stretches and stretches[-1][-1].condition == frame.condition:
            stretches[-1].append(frame)
        else:
            stretches.append([frame])
    return stretches


def _richest(frames: Sequence[FrameRecord]) -> FrameRecord:
    """The frame with most boxes among those with a mask; the middle one where all are equal."""
    middle = len(frames) // 2

    def worth(index: int) -> tuple[bool, int, int]:
        frame = frames[index]
        boxes = len(frame.detections) if frame.detections is not None else -1
        return frame.has_mask, boxes, -abs(index - middle)

    return frames[max(range(len(frames)), key=worth)]


def _spread(items: list[tuple[FrameRecord, str, str]], limit: int) -> list[tuple[FrameRecord, str, str]]:
    if len(items) <= limit:
        return items
    return [items[round(index * (len(items) - 1) / (limit - 1))] for index in range(limit)]
