"""Writes what arrives in a thread of its own, so that whoever hands it over need not wait for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class WriterThread(Generic[Item]):
    """Hands items to `write`, in the order in which they were put.

    Args:
        name: of the thread.
        write: takes items from an iterator until there are no more; what comes after it has given up is thrown away.
        most_waiting: items that may wait; `put` waits where there are as many.
    """

    def __init__(self, name: str, write: Callable[[Iterator[Item]], None], most_waiting: int) -> None:
        self._waiting: queue.Queue[Item | None] = queue.Queue(most_waiting)
        self._write = write
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue an item."""
        self._waiting.put(item)

    def finish(self) -> None:
        """Wait until everything is written."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        items: Iterator[Item] = iter(self._waiting.get, None)  # type: ignore[arg-type]
        try:
            self._write(items)
        finally:
            # Whoever puts items must not wait for ever.
            for _ in items:
                pass
