"""One thread that does the work of a node, on the newest item only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class LatestWorker(Generic[ItemT]):
    """A thread with a slot of one: what arrives while it works replaces what waits.

    Args:
        process: called in the thread with each item taken; it must not raise.
        name: name of the thread.

    Attributes:
        is_busy: whether an item is in work.
    """

    def __init__(self, process: Callable[[ItemT], None], name: str) -> None:
        self._process = process
        self._name = name
        self._changed = threading.Condition()
        self._waiting: list[ItemT] = []
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.is_busy = False

    def start(self) -> None:
        """Start the thread; does nothing where it runs already."""
        if self._thread is not None:
            return
        self._stopping = False
        # A daemon: an inference that never ends must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def offer(self, item: ItemT) -> bool:
        """Leave `item` for the thread. Return whether an older item that nobody had taken yet was thrown away."""
        with self._changed:
            superseded = bool(self._waiting)
            self._waiting[:] = [item]
            self._changed.notify()
        return superseded

    def clear(self) -> bool:
        """Throw away the waiting item. Return whether there was one."""
        with self._changed:
            waited = bool(self._waiting)
            self._waiting.clear()
        return waited

    def stop(self, timeout: float) -> bool:
        """End the thread after the item in work; what waits is thrown away.

        Args:
            timeout: how long to wait for the item in work, in seconds.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        self._thread = None
        return True

    def _run(self) -> None:
        while (item := self._take()) is not None:
            self.is_busy = True
            self._process(item[0])
            self.is_busy = False

    def _take(self) -> list[ItemT] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting)
            if self._stopping:
                return None
            taken = self._waiting[:]
            self._waiting.clear()
            return taken
