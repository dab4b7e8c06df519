"""Replays a recording through the running nodes in one mode, and records what they publish."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fusion_ros.bags.message_types import COMPRESSED_IMAGE
from fusion_ros.bags.reader import open_bag
from fusion_ros.errors import InputError
from fusion_ros.evaluation.camera_stamps import CameraStamps
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import ModeSpec
from fusion_ros.evaluation.live_config import ROS2, LiveConfig
from fusion_ros.evaluation.live_images import LiveImages
from fusion_ros.evaluation.live_record import LiveFrame, LiveRecord
from fusion_ros.fusion.fallback import NETWORK_MODES
from fusion_ros.replay.domain import choose_domain, domain_environment
from fusion_ros.replay.pace import first_rate, frame_period_s
from fusion_ros.replay.processes import ProcessGroup
from fusion_ros.replay.session import Pace, Player, Session, SessionOutcome
from fusion_ros.replay.timing import pairs_of, value_after, value_in_force
from fusion_ros.ros import graph
from fusion_ros.ros.received import Received
from fusion_ros.types import NANOSECONDS_PER_SECOND, Detections

_DROPPED = "dropped."
_COMPRESSED = "/compressed"
# Where the replay waits for slow nodes, cameras seem silent by the wall clock that are not by the recording's.
_PATIENT_TIMEOUT = 10.0
_LONGEST_PERIOD_S = 8.0
# So long may a pair wait for a better partner by the recording's clock; the node counts on the wall clock.
_PATIENCE_S = 0.1
# `ros2 bag play` begins by itself: everybody must have found it before.
_DISCOVERY_S = 3.0


@dataclass(frozen=True)
class ReplayTask:
    """What is to be replayed, and with which nodes.

    Attributes:
        path: the recording.
        spec: the mode that the fusion node is asked for.
        config: topics, range, pairing, device.
        live: speed and player.
        stamps: of the recording's images.
        nodes: `fusion`, and `detection` and `segmentation` where their answers are scored.
        box_confidence: least confidence of the boxes that are wanted.
        pair_count: pairs that the matcher makes of the recording.
    """

    path: Path
    spec: ModeSpec
    config: EvaluationConfig
    live: LiveConfig
    stamps: CameraStamps
    nodes: Sequence[str]
    box_confidence: float
    pair_count: int


def replay(task: ReplayTask, folder: Path, progress: Callable[[int, int | None], None]) -> LiveRecord:
    """Start the nodes, replay, and end them again; images go to `folder/images`, logs to `folder/logs`.

    Raises:
        InputError: the player or ROS is not installed, or the topics cannot be replayed.
        JobError: a node died, or nothing moved.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    domain = choose_domain()
    # The subscriber lives in this process, and its middleware reads the environment when it starts.
    os.environ.update(domain_environment(domain))
    pace = _pace(task)
    specs, transports = _graph(task, pace)
    player = _ros2_player(task, folder) if task.live.live_player == ROS2 else Player(graph.command(_player(task, pace)))
    until_ns = task.stamps.rgb[0] + round(task.config.end * NANOSECONDS_PER_SECOND) if task.config.end else None

    def is_enough(received: Received) -> bool:
        return until_ns is not None and any(stamp_ns >= until_ns for stamp_ns in list(received.fused)[-3:])

    def tell(phase: str, done: int, total: int) -> None:
        if phase == "replay":
            progress(done, total)

    with (
        LiveImages(folder / "images") as images,
        ProcessGroup(folder / "logs", domain_environment(domain)) as processes,
    ):
        session = Session(
            specs,
            task.nodes,
            player,
            processes,
            images.keep,
            domain,
            task.pair_count,
            pace,
            tell,
            (transports["rgb"], transports["thermal"]),
            is_enough,
        )
        outcome = session.run()
    return _record(task, outcome)


# -- the graph -------------------------------------------------------------------------------------------------------


def _pace(task: ReplayTask) -> Pace:
    period = frame_period_s(task.stamps.rgb)
    longest = max(period, _LONGEST_PERIOD_S)
    rate: float | None = task.live.live_rate or None
    if rate is None and task.live.live_player == ROS2:
        rate = 1.0
    return Pace(rate, period, longest, quiet_s=3.0)


def _graph(task: ReplayTask, pace: Pace) -> tuple[list[graph.NodeSpec], dict[str, str]]:
    """The nodes, and the topics on which a subscriber hears the raw images of the cameras."""
    config = task.config
    topics = {"rgb": config.rgb_topic, "thermal": config.thermal_topic}
    extra: dict[str, graph.ParameterScalar] = {
        "sync.slop": config.slop,
        "sync.thermal_offset": config.thermal_offset,
        "precision": config.precision,
        "output_width": config.width,
    }
    with open_bag(task.path) as bag:
        for name, topic in topics.items():
            if bag.topics[topic].msgtype == COMPRESSED_IMAGE:
                if not topic.endswith(_COMPRESSED):
                    raise InputError(f"--live: {topic} is compressed; the node takes it as <topic>{_COMPRESSED} only")
                topics[name] = topic.removesuffix(_COMPRESSED)
                extra[f"{name}_transport"] = "compressed"
    if pace.rate is None:
        extra |= {"timeout": _PATIENT_TIMEOUT, "sync.patience": _patience(pace)}
    weights = task.spec.weights or (task.spec.name if task.spec.name != task.spec.mode else "")
    if weights and task.spec.mode in NETWORK_MODES:
        extra[f"models.{task.spec.mode}"] = str(Path(weights).resolve()) if Path(weights).is_file() else weights
    made = graph.fusion_pipeline(
        rgb_topic=topics["rgb"],
        thermal_topic=topics["thermal"],
        mode=task.spec.mode,
        device=config.device,
        backend=config.backend,
        detection=graph.DETECTION in task.nodes,
        segmentation=graph.SEGMENTATION in task.nodes,
        bag=str(task.path),
    )
    more: dict[str, dict[str, graph.ParameterScalar]] = {
        graph.FUSION: extra,
        graph.DETECTION: {"confidence": task.box_confidence},
    }
    nodes = [spec for spec in made if spec.name != graph.PLAYER]
    return [replace(spec, parameters={**spec.parameters, **more.get(spec.name or "", {})}) for spec in nodes], topics


def _patience(pace: Pace) -> float:
    """The patience of the recording's clock on the wall clock, at the speed at which the replay begins."""
    rate = first_rate(pace.period_s, pace.longest_period_s) if pace.rate is None else pace.rate
    return min(2.0, _PATIENCE_S / rate)


def _player(task: ReplayTask, pace: Pace) -> graph.NodeSpec:
    rate = first_rate(pace.period_s, pace.longest_period_s) if pace.rate is None else pace.rate
    parameters: dict[str, graph.ParameterScalar] = {
        "bag": str(task.path),
        "rate": rate,
        "loop": False,
        "autostart": False,
        # A recording from a vehicle may hold the nodes' own topics as well.
        "topics": ",".join(_played(task)),
        "start": task.config.start,
    }
    return graph.NodeSpec(executable="player_node", name=graph.PLAYER, parameters=parameters)


def _ros2_player(task: ReplayTask, folder: Path) -> Player:
    ros2 = shutil.which("ros2")
    if ros2 is None:
        raise InputError("--live-player ros2: `ros2` is not on the path; source ROS, or leave the option out")
    # JSON is YAML. Sensor data recorded as best effort would lose large images.
    profile = {"history": "keep_last", "depth": 10, "reliability": "reliable", "durability": "volatile"}
    overrides = folder / "player_qos.yaml"
    overrides.write_text(json.dumps(dict.fromkeys(_played(task), profile)), encoding="utf-8")
    words = ["bag", "play", str(task.path), "--clock", "100", "--rate", f"{task.live.live_rate or 1.0:g}"]
    words += ["--delay", f"{_DISCOVERY_S:g}", "--read-ahead-queue-size", "1000", "--disable-keyboard-controls"]
    words += ["--qos-profile-overrides-path", str(overrides)]
    if task.config.start:
        words += ["--start-offset", f"{task.config.start:g}"]
    return Player([ros2, *words, "--topics", *_played(task)], is_ours=False)


def _played(task: ReplayTask) -> list[str]:
    return [task.config.rgb_topic, task.config.thermal_topic]


# -- what came -------------------------------------------------------------------------------------------------------


def _record(task: ReplayTask, outcome: SessionOutcome) -> LiveRecord:
    received = outcome.received
    last = {health.node: health.values for health in received.health}
    fusion = last.get(graph.FUSION, {})
    return LiveRecord(
        mode=task.spec.label,
        frames=_frames(task, received),
        received={camera: int(fusion.get(f"{camera}.received", 0)) for camera in ("rgb", "thermal")},
        dropped={node: drops for node, values in last.items() if (drops := _drops(values))},
        time_jumps=int(fusion.get("time_jumps", 0)),
        rates=[list(rate) for rate in outcome.rates],
        replay_s=outcome.replay_s,
        recording_s=task.stamps.duration_s,
        exit_codes=dict(outcome.exit_codes),
        shortfalls=list(outcome.shortfalls),
        health={node: dict(values) for node, values in sorted(last.items())},
        player=task.live.live_player,
    )


def _frames(task: ReplayTask, received: Received) -> list[LiveFrame]:
    published = sorted((published_ns, stamp_ns) for stamp_ns, published_ns in received.fused.items())
    skews, times = pairs_of(received.skews), pairs_of(received.processing.get(graph.FUSION, []))
    offset_ms = task.config.thermal_offset * 1e3
    frames = []
    for index, (published_ns, stamp_ns) in enumerate(published):
        next_ns = published[index + 1][0] if index + 1 < len(published) else None
        mode = value_in_force(received.modes, published_ns) or "unknown"
        skew_ms = value_after(skews, published_ns, next_ns)
        thermal_ns = None
        # Where the figure was lost on its way, the mode still tells that there was a partner.
        is_pair = skew_ms is not None or mode not in ("rgb", "thermal")
        if is_pair:
            thermal_ns = task.stamps.nearest_thermal(stamp_ns + round(((skew_ms or 0.0) - offset_ms) * 1e6))
        frames.append(
            LiveFrame(
                stamp_ns=stamp_ns,
                thermal_ns=thermal_ns,
                alone="" if is_pair else "thermal" if mode == "thermal" else "rgb",
                mode=mode,
                latency_ms=_latency_ms(received, stamp_ns, thermal_ns, published_ns),
                processing_ms=value_after(times, published_ns, next_ns),
                boxes=_rows(received.detections.get(stamp_ns)),
                has_mask=stamp_ns in received.masks,
            )
        )
    return frames


def _latency_ms(received: Received, stamp_ns: int, thermal_ns: int | None, published_ns: int) -> float | None:
    """From the publication of the later of the two images: before that there is no pair."""
    times = [received.rgb.get(stamp_ns), received.thermal.get(stamp_ns if thermal_ns is None else thermal_ns)]
    known = [time_ns for time_ns in times if time_ns is not None]
    return (published_ns - max(known)) / 1e6 if known else None


def _rows(found: Detections | None) -> list[list[float]] | None:
    if found is None:
        return None
    return [
        [*(float(edge) for edge in box), float(score), float(number)]
        for box, score, number in zip(found.xyxy, found.confidence, found.class_id, strict=True)
    ]


def _drops(values: Mapping[str, str]) -> dict[str, int]:
    """Counts by reason, none of them zero; the sum over the cameras is left out where they are counted apart."""
    counts = {
        key.removeprefix(_DROPPED).replace("_", " "): int(value)
        for key, value in values.items()
        if key.startswith(_DROPPED) and value.isdigit()
    }
    if any(reason.startswith(("rgb ", "thermal ")) for reason in counts):
        counts.pop("unpaired", None)
    return {reason: count for reason, count in counts.items() if count}
