"""Finding the state dict in a released checkpoint that is one, or wraps one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from fusion_ros.errors import InputError
from fusion_ros.fusion.importers.restricted_unpickler import Record, load_inert, module_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
PARALLEL_PREFIX = "module."


def load_state_dict(path: Path, module_classes: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Tensors of a checkpoint by their released names; nothing that the file names is run.

    Takes a state dict, a mapping that holds one under a usual name, or a whole pickled module of `module_classes`.

    Raises:
        InputError: where the file is none of these.
    """
    content = load_inert(path, module_classes)
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping | Record):
            content = content[name]
            break
    tensors = module_tensors(content) if isinstance(content, Record) else content
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{path}: holds no state dict (tensors by name)")
    return {str(key).removeprefix(PARALLEL_PREFIX): tensor for key, tensor in tensors.items()}
