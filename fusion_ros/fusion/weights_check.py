"""A quick look at weights before they are loaded: what would be refused after seconds is refused at once."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import BinaryIO

from fusion_ros.errors import InputError
from fusion_ros.fusion.registry import COMPACT, NETWORKS
from fusion_ros.fusion.weights import find_weights, read_manifest

SUFFIXES = (".safetensors", ".onnx", ".engine")
_LENGTH = struct.Struct("<Q")
# As the safetensors library has it: more is no header but something else.
_LARGEST_HEADER = 100_000_000
# Wire types of protocol buffers, and the field of ONNX's ModelProto that holds the graph.
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_GRAPH = 7


def check_weights(name: str, weights: str) -> None:
    """Look at what `load_model(name, weights)` is to load, without loading it: neither torch nor ONNX Runtime is used.

    Args:
        name: a network's name, such as `caf`; weights of its compact configuration will do.
        weights: a file or a name from the manifest; empty for the shipped ones, which are not looked at.

    Raises:
        InputError: there is no such file or name, a shipped file's checksum is wrong, the file is not of the kind that
            its name says or not whole, or it says that it is for another network.
    """
    if not weights:
        return
    entry = read_manifest().get(weights) if not Path(weights).suffix else None
    family = (name, COMPACT.get(name, name))
    path = find_weights(entry.network if entry is not None and entry.network in family else name, weights)
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path}: is not a file of weights ({', '.join(SUFFIXES)}); import checkpoints with "
            "`fusion-ros weights import`"
        )
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            if path.suffix == ".safetensors":
                _check_network(path, _safetensors_network(path, file, size), family)
            elif path.suffix == ".onnx":
                _check_onnx(path, file, size)
            elif not size:
                raise InputError(f"{path}: is empty")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _check_network(path: Path, network: str | None, family: tuple[str, str]) -> None:
    allowed = [NETWORKS[member].network for member in family]
    if network is not None and network not in allowed:
        raise InputError(f"{path}: is for {network}, not for {' or '.join(filter(None, dict.fromkeys(allowed)))}")


def _safetensors_network(path: Path, file: BinaryIO, size: int) -> str | None:
    """The network that the file's header names; the header is checked against the file's length."""
    start = file.read(_LENGTH.size)
    length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else _LARGEST_HEADER
    data_size = size - _LENGTH.size - length
    if length >= _LARGEST_HEADER or data_size < 0:
        raise InputError(f"{path}: cannot be read as safetensors: its header is not whole")
    try:
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", None) or {}
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
        network = metadata.get("network")
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: its header is spoilt ({error})") from None
    if max(ends, default=0) != data_size:
        raise InputError(
            f"{path}: cannot be read as safetensors: its tensors take {max(ends, default=0)} bytes, it has {data_size}"
        )
    return None if network is None else str(network)


def _check_onnx(path: Path, file: BinaryIO, size: int) -> None:
    """Walk over the outermost fields of the file's protocol buffer (https://protobuf.dev/programming-guides/encoding).

    A file that was cut off, or that is something else, does not end where a field ends.
    """
    fields = set()
    try:
        while file.tell() < size:
            tag = _varint(file)
            fields.add(tag >> 3)
            kind = tag & 7
            if kind == _VARINT:
                _varint(file)
            else:
                length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind) or (_varint(file) if kind == _DELIMITED else size)
                file.seek(length, 1)
        whole = file.tell() == size
    except (EOFError, OverflowError, OSError):
        whole = False
    if not whole or _GRAPH not in fields:
        raise InputError(f"{path}: is not a whole ONNX file")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise OverflowError
