"""Reading the papers' released checkpoints into our own format. Nothing of a checkpoint is ever executed.

Each importer is `load(path) -> (tensors, configuration)`: tensors by our names and the network's configuration.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from fusion_ros.errors import InputError

# network name -> module with `load`, and the class the tensors are for
_IMPORTERS = {
    "caf": ("fusion_ros.fusion.importers.caf", "CAFNet"),
    "dfvo": ("fusion_ros.fusion.importers.dfvo", "DFVONet"),
    "epofusion": ("fusion_ros.fusion.importers.epofusion", "EPOFusionNet"),
}


def importer_names() -> list[str]:
    """Names of the networks whose released checkpoints can be imported."""
    return sorted(_IMPORTERS)


def import_checkpoint(name: str, source: Path, target: Path) -> None:
    """Convert the released checkpoint `source` of network `name` to a safetensors file.

    Raises:
        InputError: where there is no such importer, or the file is not such a checkpoint.
    """
    from fusion_ros import networks
    from fusion_ros.fusion.weights import check_state, write_safetensors

    if name not in _IMPORTERS:
        raise InputError(f"network {name!r}: has no importer ({', '.join(importer_names())})")
    if not source.is_file():
        raise InputError(f"{source}: is not a file")
    module_name, class_name = _IMPORTERS[name]
    tensors, configuration = importlib.import_module(module_name).load(source)
    network_class = getattr(networks, class_name)
    network = network_class(network_class.config_class(**configuration))
    check_state(source, tensors, network.state_dict())
    write_safetensors(target, tensors, class_name, configuration)
