"""The processes of a replay: started with a log file each, watched, and always ended."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from fusion_ros.errors import JobError
from fusion_ros.report.record import LogNote

# Nodes promise to be gone four seconds after SIGINT; where processor time is short they may notice it late.
GRACE = 15.0
_TAIL_LINES = 15
# rclpy writes `[WARN] [1700000000.123456789] [fusion]: text`; without the time, repeats are one line.
_TIME = re.compile(r"\[(\d+\.\d+)\] ?")
_LOUD = ("[WARN]", "[ERROR]", "[FATAL]", "Traceback", "Error:")


class ProcessGroup:
    """Processes by name; leaving the `with` block ends them all: SIGINT first, SIGKILL for what stays.

    Args:
        log_folder: every process's output goes to `<name>.log` in it.
        environment: variables set for all of them beside this process's own.
    """

    def __init__(self, log_folder: Path, environment: Mapping[str, str]) -> None:
        self.log_folder = log_folder
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "RCUTILS_COLORIZED_OUTPUT": "0", **environment}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process in a session of its own, so that Ctrl-C reaches it through `stop` only.

        Raises:
            JobError: the command cannot be run.
        """
        self.log_folder.mkdir(parents=True, exist_ok=True)
        # Between the start of a process and its entry here nothing may break off: nobody would end it.
        with self.log_path(name).open("wb") as log, _interrupts_later():
            try:
                self._processes[name] = subprocess.Popen(
                    [*_dying_with_us(command[0]), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise JobError(f"{name}: cannot run {command[0]}: {error}") from error

    def log_path(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.log_folder / f"{name}.log"

    def tail(self, name: str, lines: int = _TAIL_LINES) -> str:
        """The last lines of a process's output."""
        try:
            text = self.log_path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.rstrip().splitlines()[-lines:]) or "(the log is empty)"

    def exit_code(self, name: str) -> int | None:
        """Exit code of a process, negative for a signal; None while it runs."""
        return self._processes[name].poll()

    def ended(self) -> dict[str, int]:
        """Exit codes of the processes that have ended."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def stop(self, grace: float = GRACE) -> dict[str, int]:
        """End all processes and return their exit codes."""
        for process in self._processes.values():
            _signal(process, signal.SIGINT)
        deadline = time.monotonic() + grace
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self._processes.values():
            _signal(process, signal.SIGKILL)
            process.wait()
        return {name: process.returncode for name, process in self._processes.items()}

    def warnings(self, phase_of: Callable[[int], str]) -> list[LogNote]:
        """Warning and error lines of all logs, each distinct line of a process and phase once, with its count.

        Args:
            phase_of: names the phase of a time in nanoseconds since the epoch; asked for lines that carry a time.
        """
        notes: list[LogNote] = []
        for name in self._processes:
            text = self.log_path(name).read_text(encoding="utf-8", errors="replace")
            loud: Counter[tuple[str, str]] = Counter()
            for line in text.splitlines():
                if any(mark in line for mark in _LOUD):
                    time_ns = _time_ns(line)
                    loud[_TIME.sub("", line.strip(), count=1), "" if time_ns is None else phase_of(time_ns)] += 1
            notes += [LogNote(name, line, count, phase) for (line, phase), count in loud.items()]
        return notes

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """SIGINT and SIGTERM that arrive in the block take effect at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    # Handlers rather than a mask: the new process would inherit that.
    before = {
        number: signal.signal(number, lambda number, _: arrived.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


def _dying_with_us(program: str) -> list[str]:
    """What to put before a command so that it does not outlive this process even where that is killed."""
    # By a program: a function run between fork and exec can hang where other threads hold locks. A program that is not
    # there is left to Popen, which says so.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv and shutil.which(program) else []


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        # The whole session: a node's own children (OpenCV, loaders) must not outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _time_ns(line: str) -> int | None:
    found = _TIME.search(line)
    return None if found is None else int(float(found[1]) * 1e9)
