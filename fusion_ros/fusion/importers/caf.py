"""The released CAF checkpoints (`Det_final.pth`, `Seg_final.pth`): whole modules, pickled under the key `fuse`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fusion_ros.errors import InputError
from fusion_ros.fusion.importers.restricted_unpickler import Record, load_inert, module_tensors

EXPECTED_CLASSES = ("models.Ours", "torch.nn.modules.")

# The released layer names, which give a position, and ours, which give a purpose.
LAYER_NAMES = {
    "encoder1.0": "encode_infrared.conv",
    "encoder1.1": "encode_infrared.norm",
    "encoder2.0": "encode_visible.conv",
    "encoder2.1": "encode_visible.norm",
    "dense.0.0": "dense.0.conv",
    "dense.0.1": "dense.0.norm",
    "dense.1.0": "dense.1.conv",
    "dense.1.1": "dense.1.norm",
    "dense.2.0": "dense.2.conv",
    "dense.2.1": "dense.2.norm",
    "fuse.0.0": "reduce",
    "fuse.1.0": "refine.conv",
    "fuse.1.1": "refine.norm",
    "fuse.2.0": "reconstruct",
}


def rename(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released tensors under our names; unknown names are kept, for the check of keys to report."""
    renamed = {}
    for key, tensor in released.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{LAYER_NAMES[layer]}.{kind}" if layer in LAYER_NAMES else key] = tensor
    return renamed


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by our names, and the configuration they need (the released network ends in tanh).

    Raises:
        InputError: where the file is not a released CAF checkpoint.
    """
    content = load_inert(path, EXPECTED_CLASSES)
    module = content.get("fuse") if isinstance(content, Mapping) else content
    if not isinstance(module, Record):
        raise InputError(f"{path}: holds no fusion network; a released CAF checkpoint has one under the key 'fuse'")
    return rename(module_tensors(module)), {"activation": "tanh"}
