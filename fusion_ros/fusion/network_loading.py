"""From a safetensors file to a network that is ready to run."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fusion_ros import networks
from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import check_state, read_safetensors


def load_network(path: Path, network: str) -> nn.Module:
    """Build the class `network` of `fusion_ros.networks` as the file's metadata says and load the file into it.

    Returns:
        The module in fp32, in eval mode, without gradients.

    Raises:
        InputError: where the file cannot be read, is another network's, or holds NaN.
    """
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path}: weights are read from .safetensors only (released checkpoints: fusion-ros weights import)"
        )
    tensors, metadata = read_safetensors(path)
    found = metadata.get("network")
    if found is not None and found != network:
        raise InputError(f"{path}: is a checkpoint of another network: {found}, not {network}")
    network_class = getattr(networks, network)
    try:
        configuration = json.loads(metadata.get("config", "{}"))
        # JSON has no tuples, and a frozen configuration should hold nothing that can change.
        configuration = {
            key: tuple(value) if isinstance(value, list) else value for key, value in configuration.items()
        }
        module: nn.Module = network_class(network_class.config_class(**configuration))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: its configuration is not one of {network}: {error}") from error
    check_state(path, tensors, module.state_dict())
    module.load_state_dict({key: _widened(tensor) for key, tensor in tensors.items()})
    return module.eval().requires_grad_(False)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy of an eval-mode network with each batch norm folded into the convolution before it.

    Only blocks that hold the two as `conv` and `norm` are folded; the result is the same up to rounding.
    """
    folded = copy.deepcopy(module)
    for block in folded.modules():
        convolution, norm = getattr(block, "conv", None), getattr(block, "norm", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block.conv = fuse_conv_bn_eval(convolution, norm)
            block.norm = nn.Identity()
    return folded
