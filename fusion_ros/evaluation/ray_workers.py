"""Workers in a Ray cluster: one that is there, or one on this machine for the time of a run."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusion_ros.errors import InputError, JobError
from fusion_ros.evaluation.shard_worker import ShardWorker, WorkOrder
from fusion_ros.evaluation.work_queue import Ended, Job

# Results of shards pass through it one by one; they are rows and pictures, not frames.
_OBJECT_STORE_BYTES = 200_000_000
_CONNECT_S, _START_S, _START_ATTEMPTS = 5.0, 300.0, 3


@dataclass(frozen=True)
class Share:
    """What each worker gets.

    Attributes:
        workers: how many there are.
        cores: cores of each.
        gpus: GPUs of each.
    """

    workers: int
    cores: int
    gpus: int


class RayWorkers:
    """`ShardWorker`s as Ray actors. Use it in a `with` block; what it has started ends with the block.

    Args:
        address: of a cluster (`HOST:PORT`, or `auto` for the one that this machine belongs to); empty for a cluster on
            this machine, or the one that this process is connected to already.
        workers: how many; 0 for one for each core, or each GPU where GPUs are used.
        device: `EvaluationConfig.device`.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or it has fewer cores than workers.
    """

    def __init__(self, address: str, workers: int, device: str) -> None:
        self._ray = _import_ray()
        self._has_started = _connect(self._ray, address, workers)
        try:
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self.share = share_of(nodes, workers, device)
        except InputError:
            self.close()
            raise
        self._idle: list[Any] = []
        self._jobs: dict[Any, tuple[Any, Job]] = {}
        self._starting: dict[Any, Any] = {}

    def employ(self, order: WorkOrder) -> None:
        """Start the workers; they become idle as they come up."""
        self._order = self._ray.put(order)
        self._actor = self._ray.remote(
            num_cpus=self.share.cores, num_gpus=self.share.gpus, max_restarts=0, max_task_retries=0
        )(_Actor)
        for _ in range(self.share.workers):
            self._start_one()

    @property
    def has_idle(self) -> bool:
        """See `Workers`."""
        return bool(self._idle)

    @property
    def busy(self) -> int:
        """See `Workers`."""
        return len(self._jobs)

    def begin(self, job: Job) -> None:
        """See `Workers`."""
        actor = self._idle.pop()
        self._jobs[actor.work.remote(job.method, job.arguments)] = (actor, job)

    def wait(self) -> Ended | None:
        """See `Workers`. Raises JobError where no worker comes up."""
        pending = [*self._jobs, *self._starting]
        is_alone = not self._jobs and not self._idle
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=_START_S if is_alone else None)
        if not ready:
            raise JobError(
                f"--engine ray: no worker has come up in {_START_S:.0f} s: "
                f"the cluster has no {self.share.cores} cores free"
            )
        if ready[0] in self._jobs:
            return self._ended(ready[0])
        self._came_up(ready[0])
        return None

    def close(self) -> None:
        """End the workers, and the cluster where it was started here."""
        for actor in (*self._starting.values(), *(actor for actor, _ in self._jobs.values()), *self._idle):
            self._ray.kill(actor)
        self._starting, self._jobs, self._idle = {}, {}, []
        if self._has_started:
            self._ray.shutdown()

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_one(self) -> None:
        actor = self._actor.remote(self._order)
        self._starting[actor.is_up.remote()] = actor

    def _came_up(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise JobError(f"--engine ray: a worker cannot start: {_reason(error)}") from error
        self._idle.append(actor)

    def _ended(self, reference: Any) -> Ended:
        actor, job = self._jobs.pop(reference)
        errors = self._ray.exceptions
        try:
            result = self._ray.get(reference)
        except errors.RayTaskError as error:
            self._idle.append(actor)
            cause = error.cause
            return Ended(job, error=cause if isinstance(cause, (InputError, JobError)) else error)
        except errors.RayError as error:
            # Whatever else goes wrong between a worker and here: it may still be there, but not to be relied on.
            self._ray.kill(actor)
            self._start_one()
            return Ended(job, lost=_reason(error))
        self._idle.append(actor)
        return Ended(job, result)


class _Actor:
    """A `ShardWorker` in a process of its own."""

    def __init__(self, order: WorkOrder) -> None:
        self._worker = ShardWorker(order)

    def is_up(self) -> bool:
        """Answers once the process runs and has its models."""
        self._worker.get_ready()
        return True

    def work(self, method: str, arguments: Sequence[Any]) -> Any:
        """Do a job."""
        return getattr(self._worker, method)(*arguments)


def _import_ray() -> Any:
    # Ray reads these when it is imported: it is to report nothing to anyone, and to say nothing by itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    # Nor to put a function of its own in the place of print.
    os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise InputError(
            "--engine ray: Ray is not installed: pip install -r requirements/fleet.txt; --engine local needs none"
        ) from None
    # It warns of what is its default.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


def _connect(ray: Any, address: str, workers: int) -> bool:
    """Connect, and return whether it has to be ended again."""
    if ray.is_initialized():
        return False
    if address and address != "auto":
        _check_address(address)
    options: dict[str, Any] = {"address": address}
    if not address:
        options = {
            "address": "local",
            "num_cpus": workers or len(os.sched_getaffinity(0)),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    # On a machine that is very busy Ray gives up on itself after half a minute.
    for attempt in range(1 if address else _START_ATTEMPTS, 0, -1):
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=False)
            break
        except Exception as error:
            # Errors of sockets, versions, tokens and time limits, of many classes.
            ray.shutdown()
            where = f"the cluster at {address}" if address else "a cluster on this machine"
            if attempt == 1:
                raise InputError(f"--engine ray: {where} cannot be used: {_reason(error)}") from error
    return True


def _check_address(address: str) -> None:
    """Refuse at once what Ray would try for a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InputError(f"--ray-address {address!r}: is not HOST:PORT (as `ray start --head` prints it) or auto")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S):
            return
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--ray-address {address}: no cluster can be reached there: {reason}") from error


def share_of(nodes: Sequence[Mapping[str, float]], workers: int, device: str) -> Share:
    """Divide a cluster among its workers.

    Args:
        nodes: resources of each machine, `CPU` and `GPU`.
        workers: how many are asked for; 0 for one for each core, or each GPU where GPUs are used.
        device: `EvaluationConfig.device`.

    Raises:
        InputError: there are fewer cores or GPUs than workers.
    """
    cores = [int(node.get("CPU", 0)) for node in nodes]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    with_gpus = device != "cpu" and gpus > 0
    most = min(sum(cores), gpus) if with_gpus else sum(cores)
    count = workers or most
    if count > most or not count:
        there = f"{sum(cores)} cores" + (f" and {gpus} GPUs" if with_gpus else "")
        raise InputError(f"--workers {count}: the cluster has {there}; each worker needs one")
    # A worker has all its cores on one machine.
    each = next(some for some in range(sum(cores) // count, 0, -1) if sum(own // some for own in cores) >= count)
    return Share(count, each, 1 if with_gpus else 0)


def _reason(error: Exception) -> str:
    text = str(error).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
