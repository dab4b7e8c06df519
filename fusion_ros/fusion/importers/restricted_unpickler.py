"""Reading tensors out of a torch checkpoint without running any code that the checkpoint names.

A pickle is a program: it may name any importable function and have it called. Here a name is only looked up in a
short list. Tensors and plain containers are built by functions of this file; classes that a caller expects (a pickled
module and its layers) become inert records of their state; every other name is refused before anything is called.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusion_ros.errors import InputError

# torch storage class -> how its bytes are read
_STORAGE_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# A checkpoint is megabytes; a claim of more than this is a decompression bomb or not ours to read.
_LARGEST_CHECKPOINT = 8 << 30


class Record:
    """Stands in for an object of a class that is not loaded: keeps what the pickle would have given it."""

    class_path = ""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = {}

    def __new__(cls, *arguments: Any) -> Record:
        record = super().__new__(cls)
        record.arguments, record.state = arguments, {}
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_ignored: Any
) -> Tensor:
    if not isinstance(storage, Tensor):
        raise pickle.UnpicklingError("a tensor without a storage")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True) if length)
    if min((offset, *size, *stride), default=0) < 0 or (0 not in size and last >= storage.numel()):
        raise pickle.UnpicklingError("a tensor that reaches beyond its storage")
    return storage.as_strided(size, stride, offset).clone()


def _rebuild_parameter(data: Tensor, *_ignored: Any) -> Tensor:
    return data


def _make_set(items: Iterable[Any] = ()) -> set[Any]:
    return set(items)


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): _make_set,
    ("__builtin__", "set"): _make_set,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): name for name in _STORAGE_TYPES},
}


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str, expected: Iterable[str], source: Path) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive = archive
        self._root = root
        self._expected = tuple(expected)
        self._source = source
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        path = f"{module}.{name}"
        if any(path == entry or (entry.endswith(".") and path.startswith(entry)) for entry in self._expected):
            return type(name, (Record,), {"class_path": path})
        raise InputError(f"{self._source}: names {path}, which is not part of such a checkpoint; it was not loaded")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage_type, key, _location, count = pid
        if kind != "storage" or storage_type not in _STORAGE_TYPES:
            raise pickle.UnpicklingError(f"unknown storage {kind!r} {storage_type!r}")
        if key not in self._storages:
            dtype = _STORAGE_TYPES[storage_type]
            data = np.frombuffer(self._archive.read(f"{self._root}/data/{key}"), np.uint8).copy()
            storage = torch.from_numpy(data).view(dtype)
            if storage.numel() != count:
                raise pickle.UnpicklingError(f"storage {key} has {storage.numel()} values, not {count}")
            self._storages[key] = storage
        return self._storages[key]


def load_inert(path: Path, expected_classes: Iterable[str]) -> Any:
    """What a torch checkpoint (zip format) holds, with every expected class as a `Record`.

    Args:
        path: the file.
        expected_classes: dotted class paths that may appear; one that ends in a dot allows all below it. Their code
            is not imported.

    Raises:
        InputError: where the file is not such a checkpoint, is damaged, or names anything that is not expected.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST_CHECKPOINT:
                raise InputError(f"{path}: claims to unpack to over {_LARGEST_CHECKPOINT >> 30} GiB; it was not loaded")
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise InputError(f"{path}: is not a torch checkpoint (zip format, torch 1.6 or later)")
            return _RestrictedUnpickler(archive, pickles[0].rsplit("/", 1)[0], expected_classes, path).load()
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: is not a torch checkpoint (zip format, torch 1.6 or later)") from error
    except InputError:
        raise
    except Exception as error:
        # A damaged pickle fails in as many ways as it has opcodes; all of them mean the same to the user.
        raise InputError(f"{path}: is damaged or no checkpoint of this kind: {error}") from error


def module_tensors(module: Record, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a pickled `torch.nn.Module` that was read as a `Record`: parameters and buffers by name.

    Raises:
        InputError: where the record is not that of a module.
    """
    state = module.state
    if not isinstance(state, Mapping) or not {"_parameters", "_buffers", "_modules"} <= state.keys():
        raise InputError(f"{module.class_path or 'checkpoint'}: is not a pickled torch module")
    tensors = {
        prefix + key: value
        for group in ("_parameters", "_buffers")
        for key, value in state[group].items()
        if isinstance(value, Tensor)
    }
    for name, child in state["_modules"].items():
        if isinstance(child, Record):
            tensors |= module_tensors(child, f"{prefix}{name}.")
    return tensors
