"""What a node says about its health on /diagnostics, and the figures it is made from."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class HealthReport:
    """Figures of the time since the report before.

    Attributes:
        seconds: length of that time.
        outputs: frames published in it.
        means: mean of every figure that was noted in it, by name.
        dropped: drops by reason since the start.
        newly_dropped: drops by reason since the report before.
        errors: exceptions since the start.
        new_error: text of the last exception since the report before, or None.
        time_jumps: time jumps since the start.
    """

    seconds: float
    outputs: int
    means: Mapping[str, float]
    dropped: Mapping[str, int]
    newly_dropped: Mapping[str, int]
    errors: int
    new_error: str | None
    time_jumps: int

    @property
    def rate(self) -> float:
        """Frames published per second."""
        return self.outputs / self.seconds if self.seconds > 0 else 0.0


class StreamHealth:
    """Counts what happens to the frames of one node; used from the executor's and the worker's thread."""

    def __init__(self, now_ns: int) -> None:
        self._lock = threading.Lock()
        self._since_ns = now_ns
        self._outputs = 0
        self._sums: dict[str, tuple[float, int]] = {}
        self._dropped: Counter[str] = Counter()
        self._dropped_before: Counter[str] = Counter()
        self._errors = 0
        self._new_error: str | None = None
        self._time_jumps = 0
        self._last_jump_ns: int | None = None

    def published(self, **figures: float) -> None:
        """Note a published frame with its figures."""
        with self._lock:
            self._outputs += 1
            for name, value in figures.items():
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + value, count + 1)

    def dropped(self, reason: str, count: int = 1) -> None:
        """Note frames that were not processed."""
        with self._lock:
            self._dropped[reason] += count

    def failed(self, error: str) -> None:
        """Note an exception."""
        with self._lock:
            self._errors += 1
            self._new_error = error

    def jumped(self, now_ns: int) -> None:
        """Note a time jump. The clock and the stamps of both cameras tell of the same one, so a second counts once."""
        with self._lock:
            if self._last_jump_ns is None or now_ns - self._last_jump_ns > SECOND_NS:
                self._time_jumps += 1
            self._last_jump_ns = now_ns

    def report(self, now_ns: int) -> HealthReport:
        """Return the figures since the last report and start anew."""
        with self._lock:
            report = HealthReport(
                seconds=(now_ns - self._since_ns) / SECOND_NS,
                outputs=self._outputs,
                means={name: total / count for name, (total, count) in self._sums.items()},
                dropped=dict(self._dropped),
                newly_dropped=dict(self._dropped - self._dropped_before),
                errors=self._errors,
                new_error=self._new_error,
                time_jumps=self._time_jumps,
            )
            self._since_ns = now_ns
            self._outputs = 0
            self._sums = {}
            self._dropped_before = self._dropped.copy()
            self._new_error = None
        return report


@dataclass
class StatusBuilder:
    """Collects values and complaints; the worst complaint makes the level, all of them the message."""

    values: dict[str, str] = field(default_factory=dict)
    complaints: list[tuple[int, str]] = field(default_factory=list)

    def add(self, name: str, value: object) -> None:
        """Add a value; floats with two decimals."""
        self.values[name] = f"{value:.2f}" if isinstance(value, float) else str(value)

    def warn(self, text: str) -> None:
        """Add a complaint of level WARN."""
        self.complaints.append((1, text))

    def error(self, text: str) -> None:
        """Add a complaint of level ERROR."""
        self.complaints.append((2, text))

    def build(self, name: str, hardware_id: str) -> DiagnosticStatus:
        """Return the message."""
        worst_first = sorted(self.complaints, key=lambda complaint: -complaint[0])
        level = worst_first[0][0] if worst_first else 0
        return DiagnosticStatus(
            level=(DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)[level],
            name=name,
            hardware_id=hardware_id,
            message="; ".join(text for _, text in worst_first) or "OK",
            values=[KeyValue(key=key, value=value) for key, value in self.values.items()],
        )


def memory_mb() -> float:
    """Return the resident memory of this process in megabytes, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def gpu_memory_mb() -> float | None:
    """Return the GPU memory that torch has allocated in megabytes; None where torch is not loaded or has no GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.memory_allocated()) / 1e6
