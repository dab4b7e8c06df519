"""Recordings that lie elsewhere: a URL that fsspec understands becomes a path on this machine.

Nothing is fetched but what a user names. What is fetched is kept, so that a second run, or a second process on the same
machine, reads the copy.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fusion_ros.errors import InputError

CACHE_VARIABLE = "FUSION_ROS_CACHE"
# What to install for the usual protocols; fsspec names some of them, in sentences of its own.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "adl": "adlfs",
    "http": "aiohttp requests",
    "https": "aiohttp requests",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "hdfs": "pyarrow",
    "oss": "ossfs",
    "webdav": "webdav4",
    "dropbox": "dropboxdrivefs",
}
_IN_THIS_PROCESS = "memory"
_COMPLETE = ".complete"


def is_url(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a URL (`s3://bucket/drive.mcap`, `zip://drive.mcap::s3://...`) rather than a path."""
    return "://" in os.fspath(place)


def is_in_this_process(place: str | os.PathLike[str]) -> bool:
    """Whether a place lies in the memory of this process, out of reach of any other."""
    return is_url(place) and _IN_THIS_PROCESS in {part.partition("://")[0] for part in os.fspath(place).split("::")}


def shown(place: str | os.PathLike[str]) -> str:
    """A place as it may be written down: without a password in it."""
    text = os.fspath(place)
    if not is_url(text):
        return text
    host = urlsplit(text.split("::")[-1]).netloc
    return text.replace(host, host.rpartition("@")[2], 1) if "@" in host else text


def local_path(place: str | os.PathLike[str], cache: Path | None = None) -> Path:
    """The path of a place on this machine; a URL is fetched first, a file or a folder with all that is in it.

    A copy is used again as long as the original is the same by what its storage says of it (size, time, ETag).

    Args:
        place: a path, which is returned as it is, or a URL of any protocol of fsspec.
        cache: folder to keep copies in; None for `cache_folder()`.

    Raises:
        InputError: unknown protocol, a package that the protocol needs is missing, or nothing can be read there.
    """
    if not is_url(place):
        return Path(place)
    url = os.fspath(place)
    filesystem, path = _open_filesystem(url)
    if _is_local(filesystem):
        return Path(path)
    try:
        name, mark = _name_of(path), _mark(filesystem, path)
        folder = (cache or cache_folder()) / hashlib.sha256(f"{url}\0{mark}".encode()).hexdigest()[:20]
        with _one_at_a_time(folder):
            if not (folder / _COMPLETE).exists():
                _fetch(filesystem, path, folder / name)
                (folder / _COMPLETE).touch()
        return folder / name
    except InputError:
        raise
    except Exception as error:
        # Every storage has errors of its own, most of them without a common base.
        raise InputError(f"{shown(url)}: cannot be read: {_one_line(error)}") from error


def cache_folder() -> Path:
    """Where copies are kept: FUSION_ROS_CACHE, or fusion_ros/recordings in the user's cache folder (XDG_CACHE_HOME)."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fusion_ros" / "recordings"


def _open_filesystem(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise InputError(f"{shown(url)}: a URL needs fsspec: pip install fsspec") from None
    protocol = url.split("::")[-1].partition("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = next((_PACKAGES[name] for name in _protocols(url) if name in _PACKAGES), None)
        cure = f"pip install {package}" if package else _one_line(error)
        raise InputError(f"{shown(url)}: reading {protocol}:// needs a package that is not installed: {cure}") from None
    except ValueError as error:
        raise InputError(f"{shown(url)}: {_one_line(error)}; give a path or a URL that fsspec knows") from None
    except Exception as error:
        raise InputError(f"{shown(url)}: cannot be opened: {_one_line(error)}") from error
    return filesystem, str(path)


def _protocols(url: str) -> list[str]:
    return [part.partition("://")[0] for part in url.split("::")]


def _is_local(filesystem: Any) -> bool:
    protocol = filesystem.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else tuple(protocol))


def _name_of(path: str) -> str:
    return path.split("?")[0].rstrip("/").rpartition("/")[2] or "recording"


def _mark(filesystem: Any, path: str) -> str:
    """What changes when the original does."""
    if not filesystem.exists(path):
        raise InputError(f"{path}: there is nothing at this URL")
    if not filesystem.isdir(path):
        return str(filesystem.ukey(path))
    # `find` of an empty folder or of a page without links is empty: there is nothing to fetch then.
    files = filesystem.find(path)
    if not files:
        raise InputError(f"{path}: the folder at this URL is empty, or its files cannot be listed; name a file")
    return ";".join(f"{file} {filesystem.ukey(file)}" for file in sorted(files))


def _fetch(filesystem: Any, path: str, target: Path) -> None:
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    if filesystem.isdir(path):
        filesystem.get(path.rstrip("/") + "/", str(target) + "/", recursive=True)
    else:
        filesystem.get_file(path, str(target))


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let only one process of this machine fetch into a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
