"""One replay: nodes up, player on, everything collected, everything down again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fusion_ros.errors import JobError
from fusion_ros.replay.pace import sustainable_rate
from fusion_ros.replay.processes import ProcessGroup
from fusion_ros.ros import topics
from fusion_ros.ros.collector import Collector, ImageSink
from fusion_ros.ros.graph import PLAYER, NodeSpec, command
from fusion_ros.ros.received import Received

# Called with (phase, done, total): phases are `start`, `replay` and `finish`.
Progress = Callable[[str, int, int], None]

_POLL = 0.1
_PACE_PERIOD = 1.0
_DRAIN_LIMIT = 20.0
_ERROR = 2
_PLAYER_TIMEOUT = 30.0
# Nobody tells whether the nodes' subscriptions have met the player: on an idle machine that takes a tenth of a second,
# on a busy one more than one.
_MATCHING = 3.0


@dataclass(frozen=True)
class Player:
    """What replays the recording.

    Attributes:
        command: of its process, which ends when everything is played.
        is_ours: whether it is `player_node`, started with `autostart` off: it waits to be told, and changes its speed.
    """

    command: Sequence[str]
    is_ours: bool = True


@dataclass(frozen=True)
class Pace:
    """How fast to replay, and how long to wait for what.

    Attributes:
        rate: speed, 1.0 for real time; None to slow down to what this machine can keep up with.
        period_s: time from pair to pair in the recording.
        longest_period_s: longest wall time from pair to pair.
        start_timeout: seconds that the nodes may take until they are active.
        stall_timeout: seconds without any new message after which the replay is given up.
        quiet_s: seconds without an answer after which nothing more is expected at the end.
    """

    rate: float | None
    period_s: float
    longest_period_s: float
    start_timeout: float = 120.0
    stall_timeout: float = 45.0
    quiet_s: float = 1.5


@dataclass
class SessionOutcome:
    """What a replay gave.

    Attributes:
        received: everything the subscriber got.
        rates: (seconds since the start of the replay, rate) at each change of speed.
        start_s: seconds until all nodes were active.
        replay_s: seconds from the start of the player to the last message.
        exit_codes: of all processes, after they were asked to end.
        shortfalls: sentences about what did not go as asked.
        was_cut_short: whether the replay was ended before the recording.
    """

    received: Received
    rates: list[tuple[float, float]] = field(default_factory=list)
    start_s: float = 0.0
    replay_s: float = 0.0
    exit_codes: Mapping[str, int] = field(default_factory=dict)
    shortfalls: list[str] = field(default_factory=list)
    was_cut_short: bool = False


class Session:
    """Runs the graph once.

    Args:
        specs: the processes of the graph, without the player.
        nodes: names of the nodes in these processes.
        player: what replays the recording.
        processes: starts and ends them.
        keep_image: called in the subscriber's thread, as `Collector` says.
        domain: ROS domain of all of them.
        pair_count: pairs in the recording, for the progress.
        pace: speed and time limits.
        progress: told how far it is.
        inputs: topics of the RGB and the thermal images.
        is_enough: looked at during the replay; True ends it before the recording does.
    """

    def __init__(
        self,
        specs: Sequence[NodeSpec],
        nodes: Sequence[str],
        player: Player,
        processes: ProcessGroup,
        keep_image: ImageSink,
        domain: int,
        pair_count: int,
        pace: Pace,
        progress: Progress,
        inputs: tuple[str, str] = (topics.RGB_IMAGE, topics.THERMAL_IMAGE),
        is_enough: Callable[[Received], bool] = lambda received: False,
    ) -> None:
        self._specs = specs
        self._nodes = nodes
        self._player = player
        self._processes = processes
        self._keep_image = keep_image
        self._domain = domain
        self._pair_count = pair_count
        self._pace = pace
        self._progress = progress
        self._inputs = inputs
        self._is_enough = is_enough

    def run(self) -> SessionOutcome:
        """Start, replay, wait for the last answer, end.

        Raises:
            JobError: a process died, or nothing moved for longer than the time limits.
        """
        with Collector(self._domain, self._nodes, self._keep_image, *self._inputs) as collector:
            outcome = SessionOutcome(collector.received)
            begun = time.monotonic()
            for spec in self._specs:
                self._processes.start(spec.name or "pipeline", command(spec))
            self._wait_until_active(collector)
            outcome.start_s = time.monotonic() - begun
            begun = time.monotonic()
            self._start_player(collector)
            self._replay(collector, outcome, begun)
            self._drain(collector)
            outcome.replay_s = time.monotonic() - begun
            outcome.exit_codes = self._processes.stop()
            outcome.shortfalls += [f"The subscriber failed: {error}" for error in collector.errors]
        for name, code in outcome.exit_codes.items():
            if code != 0 and not (name == PLAYER and (outcome.was_cut_short or not self._player.is_ours)):
                outcome.shortfalls.append(f"{name} ended with exit code {code} when it was asked to end.")
        return outcome

    def _wait_until_active(self, collector: Collector) -> None:
        deadline = time.monotonic() + self._pace.start_timeout
        while True:
            active = collector.active_nodes()
            self._progress("start", len(active), len(self._nodes))
            missing = [name for name in self._nodes if name not in active]
            if not missing:
                return
            self._refuse_dead()
            self._refuse_failed(collector.received, missing)
            if time.monotonic() > deadline:
                raise JobError(
                    f"{missing[0]}: not active after {self._pace.start_timeout:g} s; {self._last_words(missing[0])}"
                )
            time.sleep(_POLL)

    def _start_player(self, collector: Collector) -> None:
        """Start the player, let its publishers and everybody's subscriptions find each other, then let it play."""
        self._processes.start(PLAYER, self._player.command)
        if not self._player.is_ours:
            return
        if not collector.move_player("configure", _PLAYER_TIMEOUT):
            raise JobError(f"{PLAYER}: cannot be configured; {self._last_words(PLAYER)}")
        time.sleep(_MATCHING)
        if not collector.move_player("activate", _PLAYER_TIMEOUT):
            raise JobError(f"{PLAYER}: cannot be activated; {self._last_words(PLAYER)}")

    def _replay(self, collector: Collector, outcome: SessionOutcome, begun: float) -> None:
        """Follow the replay until the player has ended."""
        counts, moved = collector.received.counts(), time.monotonic()
        paced = begun
        while self._processes.exit_code(PLAYER) is None:
            time.sleep(_POLL)
            self._refuse_dead()
            now, before = time.monotonic(), counts
            counts = collector.received.counts()
            if any(counts[kind] != before[kind] for kind in ("rgb", "thermal", "fused")):
                moved = now
            elif now - moved > self._pace.stall_timeout:
                stage = PLAYER if not counts["rgb"] + counts["thermal"] else self._nodes[0]
                raise JobError(
                    f"{stage}: nothing has moved for {self._pace.stall_timeout:g} s; {self._last_words(stage)}"
                )
            self._progress("replay", counts["fused"], self._pair_count)
            if self._is_enough(collector.received):
                outcome.was_cut_short = True
                return
            if (
                self._player.is_ours
                and self._pace.rate is None
                and now - paced > (_PACE_PERIOD if outcome.rates else 0.0)
            ):
                paced = now
                self._adapt(collector, outcome, now - begun)
        code = self._processes.exit_code(PLAYER)
        if code != 0:
            raise JobError(f"{PLAYER}: ended with exit code {code}; {self._last_words(PLAYER)}")

    def _adapt(self, collector: Collector, outcome: SessionOutcome, elapsed: float) -> None:
        rate = sustainable_rate(
            collector.received, self._pace.period_s, self._pace.longest_period_s, len(os.sched_getaffinity(0))
        )
        last = outcome.rates[-1][1] if outcome.rates else 0.0
        if rate is not None and abs(rate - last) > 0.1 * last:
            collector.set_replay_rate(rate)
            outcome.rates.append((elapsed, rate))

    def _drain(self, collector: Collector) -> None:
        """Wait until the nodes have answered what was sent."""
        deadline = time.monotonic() + _DRAIN_LIMIT
        counts, moved = collector.received.counts(), time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - moved < self._pace.quiet_s:
            time.sleep(_POLL)
            before, counts = counts, collector.received.counts()
            if any(counts[kind] != before[kind] for kind in ("fused", "detections", "masks")):
                moved = time.monotonic()
            self._progress("finish", counts["masks"], counts["fused"])

    def _refuse_dead(self) -> None:
        for name, code in self._processes.ended().items():
            if name != PLAYER:
                raise JobError(
                    f"{name}: ended with exit code {code} before the replay was over; {self._last_words(name)}"
                )

    def _refuse_failed(self, received: Received, missing: Sequence[str]) -> None:
        """A node that could not be configured lives on and waits for a cure that will not come here."""
        with received.lock:
            last = {health.node: health for health in received.health}
        for name in missing:
            health = last.get(name)
            if health is not None and health.level >= _ERROR and health.values.get("state") == "unconfigured":
                raise JobError(f"{name}: {health.message}; {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        path = self._processes.log_path(name)
        if not path.exists():
            name, path = "pipeline", self._processes.log_path("pipeline")
        return f"the end of {path}:\n{self._processes.tail(name)}"
