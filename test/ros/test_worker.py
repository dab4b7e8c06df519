"""The worker: newest item only, one thread."""

from __future__ import annotations

import threading

from fusion_ros.ros.worker import LatestWorker

PATIENCE = 5.0


class Gate:
    """Work that waits to be let through."""

    def __init__(self):
        self.begun, self.free, self.done = threading.Semaphore(0), threading.Semaphore(0), []

    def __call__(self, item):
        self.begun.release()
        assert self.free.acquire(timeout=PATIENCE)
        self.done.append(item)


def test_newest_of_what_came_during_the_work_is_next():
    gate = Gate()
    worker = LatestWorker(gate, "test")
    worker.start()
    assert worker.offer(1) is False
    assert gate.begun.acquire(timeout=PATIENCE)
    assert [worker.offer(item) for item in (2, 3, 4)] == [False, True, True]
    gate.free.release(2)
    assert gate.begun.acquire(timeout=PATIENCE)
    assert worker.stop(PATIENCE)
    assert gate.done == [1, 4]


def test_stop_drops_what_waits_and_says_whether_the_work_has_ended():
    gate = Gate()
    worker = LatestWorker(gate, "test")
    worker.start()
    worker.offer(1)
    assert gate.begun.acquire(timeout=PATIENCE)
    worker.offer(2)
    assert worker.stop(0.01) is False
    gate.free.release()
    assert worker.stop(PATIENCE) is True
    assert gate.done == [1]


def test_worker_can_start_again_and_clear_says_what_waited():
    gate = Gate()
    worker = LatestWorker(gate, "test")
    assert worker.stop(0.0) is True
    assert worker.offer(1) is False
    assert worker.clear() is True
    assert worker.clear() is False
    for item in (5, 6):
        worker.start()
        worker.offer(item)
        assert gate.begun.acquire(timeout=PATIENCE)
        gate.free.release()
        assert worker.stop(PATIENCE)
    assert gate.done == [5, 6]
