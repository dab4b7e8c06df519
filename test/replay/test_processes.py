"""Processes are logged, named when they fail, and gone afterwards."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fusion_ros.errors import JobError
from fusion_ros.replay.processes import ProcessGroup

POLITE = "import signal, sys, time\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(0))\nprint('up')\ntime.sleep(60)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('up')\ntime.sleep(60)"


def wait_for(group, name, text):
    deadline = time.monotonic() + 20
    while text not in group.tail(name):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_sigint_ends_the_polite_and_sigkill_the_stubborn(tmp_path):
    with ProcessGroup(tmp_path / "logs", {}) as group:
        group.start("polite", [sys.executable, "-c", POLITE])
        group.start("stubborn", [sys.executable, "-c", STUBBORN])
        wait_for(group, "polite", "up")
        wait_for(group, "stubborn", "up")
        assert group.ended() == {}
        codes = group.stop(grace=1.0)
    assert codes == {"polite": 0, "stubborn": -9}


def test_an_exception_in_the_block_ends_the_processes(tmp_path):
    group = ProcessGroup(tmp_path, {})

    def interrupted():
        with group:
            group.start("polite", [sys.executable, "-c", POLITE])
            wait_for(group, "polite", "up")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert group.exit_code("polite") == 0


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_processes_do_not_outlive_a_killed_parent(tmp_path):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\nfrom pathlib import Path\nfrom fusion_ros.replay.processes import ProcessGroup\n"
            f"group = ProcessGroup(Path({str(tmp_path)!r}), {{}})\n"
            "group.start('child', [sys.executable, '-c', 'import os, time; print(os.getpid()); time.sleep(60)'])\n"
            "time.sleep(60)",
        ]
    )
    log, deadline = tmp_path / "child.log", time.monotonic() + 20
    while not (log.is_file() and log.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = int(log.read_text())
    parent.kill()
    parent.wait()
    # A process that has ended may wait, as a zombie, for whoever inherits it.
    while _state_of(child) not in (None, "Z"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return None


def test_an_interrupt_while_a_process_starts_leaves_none_behind(tmp_path, monkeypatch):
    started, popen = [], subprocess.Popen

    def interrupted(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt), ProcessGroup(tmp_path, {}) as group:
        group.start("child", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert started[0].returncode is not None


def test_environment_and_output_reach_the_process_and_its_log(tmp_path):
    with ProcessGroup(tmp_path, {"ROS_DOMAIN_ID": "77"}) as group:
        group.start(
            "echo", [sys.executable, "-c", "import os; print(os.environ['ROS_DOMAIN_ID']); raise SystemExit(3)"]
        )
        wait_for(group, "echo", "77")
        while group.exit_code("echo") is None:
            time.sleep(0.02)
        assert group.ended() == {"echo": 3}


def test_warnings_are_counted_without_their_times(tmp_path):
    lines = "\n".join(
        [
            "[INFO] [1700000000.1] [fusion]: hello",
            "[WARN] [1700000001.5] [fusion]: caf stands in",
            "[WARN] [1700000002.5] [fusion]: caf stands in",
            "[WARN] [1700000009.5] [fusion]: caf stands in",
            "[ERROR] [1700000003.5] [fusion]: bad step",
        ]
    )
    with ProcessGroup(tmp_path, {}) as group:
        group.start("fusion", [sys.executable, "-c", f"print({lines!r})"])
        wait_for(group, "fusion", "bad step")
        notes = group.warnings(lambda time_ns: "late" if time_ns > 1_700_000_005 * 10**9 else "")
    assert [(note.line, note.count, note.phase) for note in notes] == [
        ("[WARN] [fusion]: caf stands in", 2, ""),
        ("[WARN] [fusion]: caf stands in", 1, "late"),
        ("[ERROR] [fusion]: bad step", 1, ""),
    ]


def test_a_command_that_is_not_there_is_named(tmp_path):
    with ProcessGroup(tmp_path, {}) as group, pytest.raises(JobError, match="player: cannot run /no/such/program"):
        group.start("player", ["/no/such/program"])


def test_tail_is_the_end_of_the_log(tmp_path):
    (tmp_path / "x.log").write_text("\n".join(map(str, range(100))), encoding="utf-8")
    group = ProcessGroup(tmp_path, {})
    assert group.tail("x", lines=3) == "97\n98\n99"
    assert "no log" in group.tail("y")
