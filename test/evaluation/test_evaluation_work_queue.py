"""Work for workers that can be lost: done once, in order of urgency, and again where a worker was lost."""

from __future__ import annotations

from collections import deque

import pytest

from fusion_ros.errors import InputError, JobError
from fusion_ros.evaluation.ray_workers import Share, share_of
from fusion_ros.evaluation.work_queue import Ended, Job, run_jobs


class OneByOne:
    """Workers in this process; `losses` says how often the worker is lost with a title, `errors` what is raised."""

    def __init__(self, count=1, losses=None, errors=None):
        self.free = count
        self.under_way = deque()
        self.losses = dict(losses or {})
        self.errors = errors or {}
        self.begun = []

    @property
    def has_idle(self):
        return self.free > 0

    @property
    def busy(self):
        return len(self.under_way)

    def begin(self, job):
        self.free -= 1
        self.begun.append(job.title)
        self.under_way.append(job)

    def wait(self):
        job = self.under_way.popleft()
        self.free += 1
        if self.losses.get(job.title, 0):
            self.losses[job.title] -= 1
            return Ended(job, lost="killed")
        if job.title in self.errors:
            return Ended(job, error=self.errors[job.title])
        return Ended(job, result=job.title.upper())


def job(title, urgency=0):
    return Job("score", (), title, urgency)


def test_jobs_that_a_result_makes_possible_are_done_and_urgent_ones_first():
    workers, results = OneByOne(), []

    def done(ended, result):
        results.append(result)
        return [job("c", 2), job("b", 1)] if result == "A" else []

    run_jobs(workers, [job("d", 3), job("a", 0)], done, pytest.fail)
    assert workers.begun == ["a", "b", "c", "d"]
    assert results == ["A", "B", "C", "D"]


def test_a_job_whose_worker_is_lost_is_done_again_and_said():
    workers, results, notes = OneByOne(2, losses={"a": 2}), [], []
    run_jobs(workers, [job("a"), job("b")], lambda ended, result: results.append(result) or [], notes.append)
    assert sorted(results) == ["A", "B"]
    assert notes == ["a: its worker was lost (killed); it is done again"] * 2


def test_a_job_that_loses_every_worker_ends_the_run():
    with pytest.raises(JobError, match=r"a: its worker was lost 3 times \(killed\).*--resume"):
        run_jobs(OneByOne(losses={"a": 9}), [job("a")], lambda ended, result: [], lambda text: None)


def test_what_a_job_raises_is_raised():
    error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        run_jobs(OneByOne(errors={"a": error}), [job("a")], lambda ended, result: [], lambda text: None)


@pytest.mark.parametrize(
    ("nodes", "workers", "device", "expected"),
    [
        ([{"CPU": 2.0}], 0, "auto", Share(2, 1, 0)),
        ([{"CPU": 8.0}], 3, "auto", Share(3, 2, 0)),
        # One worker has its cores on one machine, and four of three cores each do not fit on three machines of four.
        ([{"CPU": 4.0}, {"CPU": 4.0}], 1, "cpu", Share(1, 4, 0)),
        ([{"CPU": 4.0}] * 3, 4, "cpu", Share(4, 2, 0)),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 4.0}], 0, "auto", Share(2, 8, 1)),
        ([{"CPU": 16.0, "GPU": 2.0}], 0, "cpu", Share(16, 1, 0)),
    ],
)
def test_a_cluster_is_divided_among_its_workers(nodes, workers, device, expected):
    assert share_of(nodes, workers, device) == expected


def test_a_cluster_too_small_for_the_workers_is_refused():
    with pytest.raises(InputError, match="--workers 3: the cluster has 2 cores"):
        share_of([{"CPU": 2.0}], 3, "auto")
    with pytest.raises(InputError, match="16 cores and 1 GPUs"):
        share_of([{"CPU": 16.0, "GPU": 1.0}], 2, "cuda")
    with pytest.raises(InputError, match="0 cores"):
        share_of([{"CPU": 0.0}], 0, "auto")
