"""Training in several processes, as torchrun or accelerate start them; on CPUs through gloo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from fusion_ros.cli import main

ROOT = Path(__file__).parents[2]
SETTINGS = ("data.sets=set", "data.crop=48", "steps=3", "batch=2", "learning_rate=0.001", "validation_pairs=1")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _words(data: Path, out: Path, *more: str) -> list[str]:
    settings = (*SETTINGS, "device=cpu", "threads=1", "log_every=1", *more)
    return ["train", "caf-s", "--data", str(data), "--out", str(out), *(w for s in settings for w in ("--set", s))]


def _launch(words: list[str]) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    launcher += ["-m", "fusion_ros.cli"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [*launcher, *words], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_two_processes_take_the_steps_of_one_that_accumulates_two_passes(pairs_folder, tmp_path):
    run = _launch(_words(pairs_folder, tmp_path / "two"))
    assert run.returncode == 0, (run.stdout + run.stderr)[:3000]
    assert main(_words(pairs_folder, tmp_path / "one", "accumulate=2")) == 0
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for key in one:
        # Batch norm's statistics are the first process's own: it has seen half of the samples.
        if not key.endswith(STATISTICS):
            torch.testing.assert_close(one[key], two[key], atol=2e-5, rtol=1e-3)
    # The same folder, but one process: its samples would be others than those of the steps before.
    longer = _words(pairs_folder, tmp_path / "two", "steps=4")
    assert main([*longer, "--resume"]) == 2
