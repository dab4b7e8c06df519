"""ROS arguments that cannot be used end a node with one line and exit code 2, not with a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")


def run(executable, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "fusion_ros.ros.start", executable, "--ros-args", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("executable", ["player_node", "pipeline_node"])
def test_a_broken_parameter_file_is_named(tmp_path, executable):
    broken = tmp_path / "broken.yaml"
    broken.write_text("/**:\n  ros__parameters: [1\n")
    ended = run(executable, "--params-file", str(broken))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("ROS arguments: ")
    assert str(broken) in last
    assert ".c:" not in last


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--params-file", "/nowhere/at_all.yaml"], "/nowhere/at_all.yaml"),
        (["-p", "rate:=[1"], "rate:=[1"),
        (["--bogus"], "--bogus"),
        (["-p", "use_sim_time:=perhaps"], "use_sim_time"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_in_one_line(arguments, named):
    ended = run("player_node", *arguments)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    ours = [line for line in ended.stderr.splitlines() if line.startswith("ROS arguments: ")]
    assert len(ours) == 1
    assert named in ours[0]
