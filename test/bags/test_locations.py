"""Recordings behind URLs: fetched once, named clearly where they cannot be."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import threading
from pathlib import Path

import pytest

from fusion_ros.bags.locations import cache_folder, is_in_this_process, is_url, local_path, shown
from fusion_ros.errors import InputError

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (pip install -r requirements/runtime.txt)")


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def test_a_path_is_left_alone(tmp_path):
    assert local_path(tmp_path / "drive.mcap", tmp_path / "cache") == tmp_path / "drive.mcap"
    assert local_path("drive.mcap") == Path("drive.mcap")
    assert not (tmp_path / "cache").exists()


def test_a_file_url_is_read_where_it_lies(tmp_path):
    (tmp_path / "drive.mcap").write_bytes(b"bag")
    assert local_path(f"file://{tmp_path}/drive.mcap", tmp_path / "cache") == tmp_path / "drive.mcap"
    assert not (tmp_path / "cache").exists()


def test_a_file_is_fetched_once_and_again_when_it_changes(tmp_path, memory):
    memory.pipe("/fleet/drive.mcap", b"first")
    path = local_path("memory://fleet/drive.mcap", tmp_path)
    assert path.name == "drive.mcap"
    assert path.read_bytes() == b"first"
    path.write_bytes(b"the copy")
    assert local_path("memory://fleet/drive.mcap", tmp_path) == path
    assert path.read_bytes() == b"the copy"
    memory.pipe("/fleet/drive.mcap", b"second")
    assert local_path("memory://fleet/drive.mcap", tmp_path).read_bytes() == b"second"


def test_a_folder_is_fetched_with_all_that_is_in_it(tmp_path, memory):
    memory.pipe({"/fleet/drive/metadata.yaml": b"m", "/fleet/drive/drive_0.mcap": b"0", "/fleet/other/x": b"x"})
    path = local_path("memory://fleet/drive", tmp_path)
    assert path.name == "drive"
    assert {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()} == {
        "metadata.yaml": b"m",
        "drive_0.mcap": b"0",
    }


def test_an_interrupted_copy_is_fetched_again(tmp_path, memory, monkeypatch):
    memory.pipe("/fleet/drive.mcap", b"bag")
    whole = type(memory).get_file

    def cut_off(self, source, target, *arguments, **keywords):
        with open(target, "wb") as file:
            file.write(b"b")
        raise OSError("connection reset")

    monkeypatch.setattr(type(memory), "get_file", cut_off)
    with pytest.raises(InputError, match=r"memory://fleet/drive.mcap: cannot be read: connection reset"):
        local_path("memory://fleet/drive.mcap", tmp_path)
    monkeypatch.setattr(type(memory), "get_file", whole)
    assert local_path("memory://fleet/drive.mcap", tmp_path).read_bytes() == b"bag"


@pytest.mark.skipif(importlib.util.find_spec("aiohttp") is None, reason="aiohttp is not installed (development.txt)")
def test_a_file_on_a_web_server(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "drive.mcap").write_bytes(b"bag" * 1000)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        assert local_path(f"{root}/drive.mcap", tmp_path / "cache").read_bytes() == b"bag" * 1000
        with pytest.raises(InputError, match=r"missing\.mcap"):
            local_path(f"{root}/missing.mcap", tmp_path / "cache")
    finally:
        server.shutdown()
        server.server_close()


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    def without(url, **options):
        raise ImportError("Install something to access it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    cases = {
        "s3://bucket/drive.mcap": "pip install s3fs",
        "gs://bucket/drive.mcap": "pip install gcsfs",
        "simplecache::abfs://box/drive.mcap": "pip install adlfs",
        "https://host/drive.mcap": "pip install aiohttp requests",
        "lakefs://repository/drive.mcap": "Install something to access it",
    }
    for url, cure in cases.items():
        with pytest.raises(InputError) as caught:
            local_path(url, tmp_path)
        assert str(caught.value).endswith(cure)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("memory://fleet/missing.mcap", "there is nothing at this URL"),
        ("nonsense://fleet/drive.mcap", "nonsense"),
    ],
)
def test_a_url_without_a_recording_is_one_clear_line(tmp_path, memory, url, expected):
    with pytest.raises(InputError, match=expected) as caught:
        local_path(url, tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_a_url_and_how_it_is_shown(monkeypatch, tmp_path):
    assert is_url("s3://bucket/drive.mcap")
    assert not is_url("/data/drive.mcap")
    assert is_in_this_process("zip://drive.mcap::memory://fleet.zip")
    assert not is_in_this_process("s3://memory/drive.mcap")
    assert shown("sftp://me:secret@host:22/drive.mcap") == "sftp://host:22/drive.mcap"
    monkeypatch.setenv("FUSION_ROS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
