"""Pieces of work for workers that can be lost: each is done once, and again where its worker was lost."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fusion_ros.errors import JobError

# A piece of work that takes three workers with it will take the fourth as well.
MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes:
        method: of `ShardWorker`.
        arguments: of the method.
        title: what it is, for a person.
        urgency: jobs with a smaller one are begun first.
    """

    method: str
    arguments: Sequence[Any]
    title: str
    urgency: int = 0


@dataclass(frozen=True)
class Ended:
    """A job that has come to an end.

    Attributes:
        job: which.
        result: what it returned.
        error: what it raised, None where it returned.
        lost: why its worker is gone, None where it is not.
    """

    job: Job
    result: Any = None
    error: Exception | None = None
    lost: str | None = None


class Workers(Protocol):
    """Workers that do a job at a time each."""

    @property
    def has_idle(self) -> bool:
        """Whether one of them has nothing to do."""

    @property
    def busy(self) -> int:
        """How many jobs are under way."""

    def begin(self, job: Job) -> None:
        """Give a job to an idle worker."""

    def wait(self) -> Ended | None:
        """Wait until a job ends, or a worker becomes idle, which is None. A worker that is lost is replaced."""


def run_jobs(
    workers: Workers,
    jobs: Iterable[Job],
    done: Callable[[Job, Any], Sequence[Job]],
    note: Callable[[str], None],
) -> None:
    """Do jobs, and those that they make possible, until none is left.

    Args:
        workers: who does them.
        jobs: to begin with.
        done: takes a job and its result, and returns jobs that can now be done.
        note: told in a sentence when a worker is lost.

    Raises:
        JobError: a job has lost its worker `MOST_ATTEMPTS` times.
        Exception: the first that a job raises.
    """
    order = itertools.count()
    waiting = [(job.urgency, next(order), job) for job in jobs]
    heapq.heapify(waiting)
    attempts: dict[int, int] = {}
    while waiting or workers.busy:
        while waiting and workers.has_idle:
            workers.begin(heapq.heappop(waiting)[2])
        ended = workers.wait()
        if ended is None:
            continue
        job = ended.job
        if ended.lost is not None:
            attempts[id(job)] = attempts.get(id(job), 0) + 1
            if attempts[id(job)] == MOST_ATTEMPTS:
                raise JobError(
                    f"{job.title}: its worker was lost {MOST_ATTEMPTS} times ({ended.lost}); what is finished is kept, "
                    "--resume goes on from there"
                )
            note(f"{job.title}: its worker was lost ({ended.lost}); it is done again")
            heapq.heappush(waiting, (job.urgency, next(order), job))
            continue
        if ended.error is not None:
            raise ended.error
        for following in done(job, ended.result):
            heapq.heappush(waiting, (following.urgency, next(order), following))
