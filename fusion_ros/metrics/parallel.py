"""Independent parts of one computation on several cores: numpy and OpenCV let go of the interpreter while they work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

# Beside the caller's own thread; more than this wait for memory rather than compute.
_MOST_HELPERS = 3
_PARTS = 4
_most_threads = sys.maxsize

Item = TypeVar("Item")


def in_parallel(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the jobs in their order. A job must not call this function itself.

    Raises:
        Exception: the first that a job raises, in the order of the jobs.
    """
    pool = _pool(os.getpid())
    if pool is None:
        return [job() for job in jobs]
    futures = [pool.submit(job) for job in jobs]
    # The caller takes what nobody has begun, from the end, so that it does not wait beside idle work.
    own: dict[int, Any] = {}
    for index in reversed(range(len(jobs))):
        if futures[index].cancel():
            own[index] = jobs[index]()
    return [own[index] if index in own else future.result() for index, future in enumerate(futures)]


def use_threads(count: int) -> None:
    """Use at most so many threads from now on, where other processes are to have the other cores."""
    global _most_threads
    _most_threads = count
    _pool.cache_clear()


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor | None:
    """Threads of this process (a fork does not inherit them); None where there is one core only."""
    cores = min(_most_threads, len(os.sched_getaffinity(process)))
    return ThreadPoolExecutor(min(cores - 1, _MOST_HELPERS), thread_name_prefix="metrics") if cores > 1 else None


def parts(items: Sequence[Item]) -> list[Sequence[Item]]:
    """The items in runs, enough of them to keep every thread busy to the end; how many has no influence on results."""
    size = max(1, -(-len(items) // _PARTS))
    return [items[first : first + size] for first in range(0, len(items), size)]
