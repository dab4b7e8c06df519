"""A fleet that cannot work is one clear line and exit code 2, before anything is begun."""

from __future__ import annotations

import socket
import sys

import pytest
from recordings import write_bag

from fusion_ros.cli import main


@pytest.fixture
def free_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def refusal(capsys, *words):
    assert main(["evaluate", *map(str, words)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    return error


def test_ray_that_is_not_installed(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    bag = write_bag(tmp_path / "bag", frames=1)
    error = refusal(capsys, bag, "--out", tmp_path / "out", "--modes", "guided", "--engine", "ray")
    assert "Ray is not installed: pip install -r requirements/fleet.txt" in error


@pytest.mark.parametrize("address", ["somewhere", "ray://host:10001", "host:port"])
def test_an_address_that_is_none(tmp_path, capsys, address):
    pytest.importorskip("ray")
    bag = write_bag(tmp_path / "bag", frames=1)
    words = [bag, "--out", tmp_path / "out", "--modes", "guided", "--engine", "ray", "--ray-address", address]
    assert "is not HOST:PORT" in refusal(capsys, *words)


def test_a_cluster_that_is_not_there(tmp_path, capsys, free_port):
    pytest.importorskip("ray")
    bag = write_bag(tmp_path / "bag", frames=1)
    address = f"127.0.0.1:{free_port}"
    words = [bag, "--out", tmp_path / "out", "--modes", "guided", "--engine", "ray", "--ray-address", address]
    assert f"--ray-address {address}: no cluster can be reached there" in refusal(capsys, *words)


def test_settings_and_places_that_do_not_suit_the_engine(tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", frames=1)
    out = ["--out", tmp_path / "out", "--modes", "guided"]
    assert "--workers 2: goes with --engine ray" in refusal(capsys, bag, *out, "--workers", "2")
    assert "one of local, ray" in refusal(capsys, bag, *out, "--engine", "dask")
    words = ["memory://fleet/drive.mcap", *out, "--engine", "ray"]
    assert "lies in the memory of this process" in refusal(capsys, *words)
    assert "results are written to a folder" in refusal(capsys, bag, "--out", "s3://bucket/out", "--modes", "guided")


def test_a_recording_behind_a_url_is_evaluated(tmp_path, capsys, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("FUSION_ROS_CACHE", str(tmp_path / "cache"))
    bag = write_bag(tmp_path / "bag", frames=2)
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/fleet/drive.mcap", next(bag.glob("*.mcap")).read_bytes())
    try:
        words = ["memory://fleet/drive.mcap", f"file://{bag}", "--modes", "guided", "--out", str(tmp_path / "out")]
        assert main(["evaluate", *words]) == 0
    finally:
        filesystem.store.clear()
    printed = capsys.readouterr().out
    assert "4 frames" in printed
    # A line for each recording.
    assert [line.split()[:2] for line in printed.splitlines() if line.startswith(("drive", "bag"))] == [
        ["drive", "2"],
        ["bag", "2"],
    ]
    text = (tmp_path / "out" / "summary.json").read_text()
    assert '"2 recordings: drive, bag"' in text
    assert "memory://fleet/drive.mcap" in text
