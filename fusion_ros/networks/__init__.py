"""The papers' networks as plain torch modules: `net(visible, infrared)` with (N, 1, H, W) tensors in [0, 1].

In eval mode a network returns the fused luminance, (N, 1, H, W) in [0, 1]; in train mode a named tuple with what its
losses need. Nothing here reads files, converts colours or pads.

Names are loaded on first use, so that importing this package does not import torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "CAFConfig": "fusion_ros.networks.caf",
    "CAFNet": "fusion_ros.networks.caf",
    "CAFSConfig": "fusion_ros.networks.caf_s",
    "CAFSNet": "fusion_ros.networks.caf_s",
    "DFVOConfig": "fusion_ros.networks.dfvo",
    "DFVONet": "fusion_ros.networks.dfvo",
    "DFVOSConfig": "fusion_ros.networks.dfvo_s",
    "DFVOSNet": "fusion_ros.networks.dfvo_s",
    "EPOFusionConfig": "fusion_ros.networks.epofusion",
    "EPOFusionNet": "fusion_ros.networks.epofusion",
    "EPOFusionSConfig": "fusion_ros.networks.epofusion_s",
    "EPOFusionSNet": "fusion_ros.networks.epofusion_s",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
