"""From what the subscriber received and the bag it came from to the record that is reported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fusion_ros.configuration import values_of
from fusion_ros.demo.truth import BagContent
from fusion_ros.exposure import SelectorConfig
from fusion_ros.replay.timing import FrameClock, pairs_of, phase_of, value_after, value_in_force
from fusion_ros.report.record import (
    DemoRecord,
    DiagnosticsNote,
    DropCount,
    FrameRecord,
    LogNote,
    Pictures,
    Sample,
)
from fusion_ros.ros import graph
from fusion_ros.ros.received import Received

_DROPPED = "dropped."
_NUMBER = re.compile(r"\d+(\.\d+)?")


def frame_records(received: Received, content: BagContent) -> list[FrameRecord]:
    """One record a fused frame, in order of stamps."""
    skews = pairs_of(received.skews)
    records = []
    published = sorted(received.fused.values())
    after = dict(zip(published, [*published[1:], None], strict=True))
    for stamp_ns, published_ns in sorted(received.fused.items()):
        shown_ns = received.rgb.get(stamp_ns, received.thermal.get(stamp_ns))
        records.append(
            FrameRecord(
                stamp_ns=stamp_ns,
                mode=value_in_force(received.modes, published_ns) or "unknown",
                size=received.sizes.get(stamp_ns, (0, 0)),
                exposure=value_after(received.exposures, published_ns, after[published_ns]),
                condition=content.condition_at(stamp_ns),
                latency_ms=None if shown_ns is None else (published_ns - shown_ns) / 1e6,
                skew_ms=value_after(skews, published_ns, after[published_ns]),
                detections=received.detections.get(stamp_ns),
                has_mask=stamp_ns in received.masks,
                truth=content.truth.get(stamp_ns),
            )
        )
    return records


def build_record(
    source: str,
    frames: Sequence[FrameRecord],
    received: Received,
    content: BagContent,
    *,
    pictures: Mapping[int, Pictures],
    facts: Mapping[str, Sequence[tuple[str, str]]],
    log_notes: Sequence[LogNote] = (),
    shortfalls: Sequence[str] = (),
) -> DemoRecord:
    """Put everything together."""
    clock = FrameClock(received, content.start_ns)
    selector = values_of(SelectorConfig())
    return DemoRecord(
        source=source,
        frames=frames,
        start_ns=content.start_ns,
        rgb_count=len(content.rgb_stamps),
        thermal_count=len(content.thermal_stamps),
        pair_count=content.pair_count,
        pictures=pictures,
        conditions=content.conditions,
        processing={
            node: [Sample(clock.stamp_at(timed.published_ns), timed.value) for timed in values]
            for node, values in received.processing.items()
        },
        drops=_drops(received, clock),
        diagnostics=_notes(received, clock),
        log_notes=log_notes,
        class_names=received.labels.get(graph.DETECTION, {}),
        mask_class_names=received.labels.get(graph.SEGMENTATION, {}),
        thresholds={
            name: value
            for name, value in selector.items()
            if isinstance(value, float) and name.endswith(("enter", "exit"))
        },
        facts=facts,
        shortfalls=shortfalls,
    )


def _drops(received: Received, clock: FrameClock) -> list[DropCount]:
    drops = []
    for health in received.health:
        counts = {
            key[len(_DROPPED) :].replace("_", " "): int(value)
            for key, value in health.values.items()
            if key.startswith(_DROPPED) and value.isdigit()
        }
        if any(reason.startswith(("rgb ", "thermal ")) for reason in counts):
            # The sum of the counts by camera, which are there as well.
            counts.pop("unpaired", None)
        drops.append(DropCount(clock.stamp_at(health.published_ns), health.node, counts))
    return drops


def _notes(received: Received, clock: FrameClock) -> list[DiagnosticsNote]:
    """Messages that differ in their numbers only count as one."""
    notes: dict[tuple[str, int, str, str], DiagnosticsNote] = {}
    for health in received.health:
        phase = phase_of(received, health.published_ns)
        key = (health.node, health.level, _NUMBER.sub("#", health.message), phase)
        before = notes.get(key)
        count = before.count + 1 if before else 1
        first_ns = before.stamp_ns if before else clock.stamp_at(health.published_ns)
        message = before.message if before else health.message
        notes[key] = DiagnosticsNote(health.node, health.level, message, first_ns, count, phase)
    return list(notes.values())
