"""Weights that are set while a node runs: loaded beside the frames, handed over between two of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadedWeights:
    """How a load has ended.

    Attributes:
        mode: the network.
        weights: what was to be loaded.
        error: why it could not be, or None.
    """

    mode: str
    weights: str
    error: Exception | None = None


class WeightsLoader:
    """Loads weights one after the other in a thread of its own, which lives only while there is something to load.

    `want` and `finished` belong to one thread, the executor's.

    Args:
        load: called in the loader's thread with mode and weights; raises where they cannot be used.
        in_force: weights by mode at the beginning.
    """

    def __init__(self, load: Callable[[str, str], None], in_force: Mapping[str, str]) -> None:
        self._load = load
        self._wanted = dict(in_force)
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {}
        self._ended: list[LoadedWeights] = []
        self._current: str | None = None
        self._thread: threading.Thread | None = None

    @property
    def modes_in_work(self) -> list[str]:
        """The modes whose weights are being loaded or wait for it."""
        with self._lock:
            return sorted({*self._waiting, *([] if self._current is None else [self._current])})

    def want(self, weights: Mapping[str, str]) -> None:
        """Load what differs from what was wanted before; of several for one mode, what was wanted last is loaded."""
        for mode, wanted in weights.items():
            if wanted == self._wanted[mode]:
                continue
            self._wanted[mode] = wanted
            with self._lock:
                self._waiting[mode] = wanted
                if self._thread is None:
                    # A daemon: a file system that does not answer must not keep the process from ending.
                    self._thread = threading.Thread(target=self._run, name="weights-loader", daemon=True)
                    self._thread.start()

    def keep(self, mode: str, weights: str) -> None:
        """Take note that `weights` are in force still, so that wanting them again is no reason to load them."""
        self._wanted[mode] = weights

    def finished(self) -> list[LoadedWeights]:
        """Return the loads that have ended since the last call, in order."""
        with self._lock:
            ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Load nothing more after what is being loaded."""
        with self._lock:
            self._waiting.clear()

    def _run(self) -> None:
        while (found := self._next()) is not None:
            mode, weights = found
            error = None
            try:
                self._load(mode, weights)
            except Exception as caught:
                # A full GPU, for instance, answers with its own kind; nothing of that may end the thread.
                error = caught
            with self._lock:
                self._ended.append(LoadedWeights(mode, weights, error))

    def _next(self) -> tuple[str, str] | None:
        with self._lock:
            self._current = next(iter(self._waiting), None)
            if self._current is None:
                self._thread = None
                return None
            return self._current, self._waiting.pop(self._current)
