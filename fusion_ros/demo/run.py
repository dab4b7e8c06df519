"""The demo from beginning to end."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from fusion_ros.demo import outputs
from fusion_ros.demo.assembly import build_record, frame_records
from fusion_ros.demo.config import DemoConfig
from fusion_ros.demo.delivery import behind, silent_stages
from fusion_ros.demo.facts import describe_run
from fusion_ros.demo.images_on_disk import ImageFolder
from fusion_ros.demo.recording import make_recording
from fusion_ros.demo.truth import BagContent, read_content
from fusion_ros.errors import JobError
from fusion_ros.replay.domain import choose_domain, domain_environment
from fusion_ros.replay.pace import first_rate, frame_period_s
from fusion_ros.replay.processes import ProcessGroup
from fusion_ros.replay.session import Pace, Player, Progress, Session, SessionOutcome
from fusion_ros.replay.timing import phase_of
from fusion_ros.ros import graph

# Nodes take a camera for silent after two seconds without an image, whatever /clock says.
LONGEST_PERIOD = 1.5
_PATIENT_TIMEOUT = 10.0
NODES = (graph.FUSION, graph.DETECTION, graph.SEGMENTATION)


def run_demo(config: DemoConfig, progress: Progress) -> dict[str, object]:
    """Make a bag, replay it through the nodes, write everything to `config.out`, and return the summary.

    Raises:
        InputError: the pairs cannot be used.
        JobError: a stage failed or delivered nothing; the message names it and shows the end of its log.
    """
    begun = time.monotonic()
    prepare_folder(config.out)
    domain = choose_domain()
    # The subscriber lives in this process, and its middleware reads the environment when it starts.
    os.environ.update(domain_environment(domain))
    with _bag_folder(config) as folder, _terminate_as_interrupt():
        source, bag = make_recording(config, folder, lambda done, total: progress("record", done, total))
        content = read_content(bag)
        with ImageFolder(config.out) as images, ProcessGroup(config.out / "logs", domain_environment(domain)) as group:
            outcome = _replay(config, bag, content, domain, group, images, progress)
        return _report(config, source, bag, content, outcome, group, images, progress, begun)


def prepare_folder(out: Path) -> None:
    """Make the output folder, and remove what an earlier demo left in it; nothing else is touched.

    Raises:
        JobError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("fused", "masks", "logs", "bag"):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in (outputs.REPORT, outputs.VIDEO, outputs.DETECTIONS, outputs.SUMMARY):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise JobError(f"{out}: cannot be written: {error}") from error


def _replay(
    config: DemoConfig,
    bag: Path,
    content: BagContent,
    domain: int,
    group: ProcessGroup,
    images: ImageFolder,
    progress: Progress,
) -> SessionOutcome:
    period = frame_period_s(content.rgb_stamps)
    longest = LONGEST_PERIOD if config.pairs is None else _PATIENT_TIMEOUT
    longest = max(period, min(longest, config.replay_limit * period * 1e9 / max(1, content.end_ns - content.start_ns)))
    specs = graph.fusion_pipeline(
        mode=config.mode,
        device=config.device,
        backend=config.backend,
        composed=config.composed,
        bag=str(bag),
        bag_rate=first_rate(period, longest) if config.rate is None else config.rate,
        bag_loop=False,
    )
    *nodes, player = (_told(spec, content.slop, config) for spec in specs)
    pace = Pace(config.rate, period, longest, config.start_timeout, config.stall_timeout)
    session = Session(
        nodes, NODES, Player(graph.command(player)), group, images.keep, domain, content.pair_count, pace, progress
    )
    return session.run()


def _told(spec: graph.NodeSpec, slop: float, config: DemoConfig) -> graph.NodeSpec:
    """Add what a demo needs beyond the defaults: a player that waits for us, a slop that suits the recording."""
    extra: dict[str, graph.ParameterScalar] = {}
    if spec.name == graph.PLAYER:
        extra["autostart"] = False
    elif spec.executable in ("fusion_node", "pipeline_node"):
        extra["sync.slop"] = slop
        if config.pairs is not None:
            # Both cameras are always there; slow hardware must not make them seem silent.
            extra["timeout"] = _PATIENT_TIMEOUT
    return replace(spec, parameters={**spec.parameters, **extra})


def _report(
    config: DemoConfig,
    source: str,
    bag: Path,
    content: BagContent,
    outcome: SessionOutcome,
    group: ProcessGroup,
    images: ImageFolder,
    progress: Progress,
    begun: float,
) -> dict[str, object]:
    received = outcome.received
    silent = silent_stages(received, NODES)
    frames = frame_records(received, content)
    pictures = {}
    if frames:
        names = received.labels.get(graph.SEGMENTATION, {})
        tell: Callable[[int, int], None] = lambda done, total: progress("report", done, total)  # noqa: E731
        pictures = outputs.write_video(config.out / outputs.VIDEO, bag, frames, images, names, tell)
    shortfalls = [f"{stage} delivered nothing." for stage in silent]
    shortfalls += behind(received, NODES, content.pair_count) + outcome.shortfalls
    if content.damage:
        shortfalls.append(f"The recording is damaged: {content.damage}.")
    measures = {
        "replay speed": _speed(config, outcome),
        "largest stamp difference of a pair": f"{content.slop * 1e3:.0f} ms (sync.slop)",
        "nodes active after": f"{outcome.start_s:.1f} s",
        "replay took": f"{outcome.replay_s:.1f} s for {(content.end_ns - content.start_ns) / 1e9:.1f} s of recording",
        "everything took": f"{time.monotonic() - begun:.1f} s",
    }
    record = build_record(
        source,
        frames,
        received,
        content,
        pictures=pictures,
        facts=describe_run(config, received, measures),
        log_notes=group.warnings(lambda time_ns: phase_of(received, time_ns)),
        shortfalls=shortfalls,
    )
    numbers = outputs.write_documents(config.out, record)
    if silent:
        stage = silent[0] if group.log_path(silent[0]).exists() else "pipeline"
        raise JobError(f"{silent[0]}: delivered nothing; the end of {group.log_path(stage)}:\n{group.tail(stage)}")
    return numbers


def _speed(config: DemoConfig, outcome: SessionOutcome) -> str:
    if config.rate is not None:
        return f"{config.rate:g} times real time"
    if not outcome.rates:
        return "slow: no node told how long it takes for a frame"
    rates = [rate for _, rate in outcome.rates]
    return f"{min(rates):.2f} to {max(rates):.2f} times real time, so that the nodes keep up"


@contextmanager
def _bag_folder(config: DemoConfig) -> Iterator[Path]:
    if config.keep_bag:
        yield config.out / "bag"
        return
    with tempfile.TemporaryDirectory(prefix="fusion_ros_demo_") as folder:
        yield Path(folder) / "bag"


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: with its processes."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
