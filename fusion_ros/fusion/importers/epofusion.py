"""EPOFusion checkpoints of its mmsegmentation-style code: backbone, neck, decode head, auxiliary head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fusion_ros.fusion.importers.renaming import Rule, renamed
from fusion_ros.fusion.importers.state_dicts import load_state_dict

BLOCK_PARTS = {
    "depthwise_conv": "conv_dw",
    "norm": "norm",
    "pointwise_conv1": "mlp.fc1",
    "pointwise_conv2": "mlp.fc2",
}
NORMED_CONVOLUTION = {"conv": "0", "gn": "1", "norm": "1"}
ATTENTION_PARTS = {
    "sampling_offsets": "offsets",
    "attention_weights": "weights",
    "value_proj": "value",
    "output_proj": "output",
}
LAYER_PARTS = {
    "norms.0": "norm_attention",
    "norms.1": "norm_feed_forward",
    "ffns.0.layers.0.0": "feed_forward.0",
    "ffns.0.layers.1": "feed_forward.2",
    "time_mlp.1": "modulation.1",
}
FIXED_NAMES = {
    "time_mlp.1": "time.layers.0",
    "time_mlp.3": "time.layers.2",
    "gt_down.0": "embed.0",
    "gt_down.2": "embed.2",
    "transform": "mix",
    "transform.conv": "mix",
    "decode_head.reconstruct.cross_fusion.0": "mscf.cross",
    "decode_head.reconstruct.cross_fusion.1": "mscf.cross_fusion.0",
    "decode_head.reconstruct.cross_fusion.3": "mscf.cross_fusion.2",
    "decode_head.reconstruct.cross_fusion.4": "mscf.cross_fusion.3",
    "decode_head.reconstruct.grouped_conv.0": "mscf.context.local.3",
    "decode_head.reconstruct.grouped_conv.1": "mscf.context.local.4",
    "auxiliary_head.convs.0.conv": "guidance.layers.0",
    "auxiliary_head.convs.0.bn": "guidance.layers.1",
    "auxiliary_head.conv_seg": "guidance.layers.4",
}
# The layers of these keep their place.
RECONSTRUCTION_PARTS = {
    "low_conv1": "context.reduce",
    "low_conv2": "context.local",
    "dilated_conv": "context.wide",
    "fusion_conv": "context.join",
    "high_conv": "high_fidelity",
    "output_conv": "paint",
    "se_block": "gain",
}
RULES: tuple[Rule, ...] = (
    (re.compile(r"backbone\.downsample_layers\.(\d)\.(\d)"), lambda m: f"encoder.down.{m[1]}.{m[2]}"),
    (
        re.compile(rf"backbone\.stages\.(\d)\.(\d+)\.({'|'.join(BLOCK_PARTS)})"),
        lambda m: f"encoder.stages.{m[1]}.{m[2]}.{BLOCK_PARTS[m[3]]}",
    ),
    (re.compile(r"backbone\.stages\.(\d)\.(\d+)"), lambda m: f"encoder.stages.{m[1]}.{m[2]}"),
    (re.compile(r"backbone\.norm(\d)"), lambda m: f"encoder.norms.{m[1]}"),
    (
        re.compile(r"neck\.(?:0\.)?lateral_convs\.(\d)\.(conv|gn|norm)"),
        lambda m: f"neck.lateral.{m[1]}.{NORMED_CONVOLUTION[m[2]]}",
    ),
    (
        re.compile(r"neck\.(?:0\.)?fpn_convs\.(\d)\.(conv|gn|norm)"),
        lambda m: f"neck.output.{m[1]}.{NORMED_CONVOLUTION[m[2]]}",
    ),
    (
        re.compile(r"neck\.(?:1\.|0\.merge\.|merge\.)down\.(conv|gn|norm)"),
        lambda m: f"neck.merge.{NORMED_CONVOLUTION[m[1]]}",
    ),
    (
        re.compile(rf"decode_head\.encoder\.layers\.(\d)\.attentions\.0\.({'|'.join(ATTENTION_PARTS)})"),
        lambda m: f"refine.{m[1]}.attention.{ATTENTION_PARTS[m[2]]}",
    ),
    (
        re.compile(rf"decode_head\.encoder\.layers\.(\d)\.({'|'.join(map(re.escape, LAYER_PARTS))})"),
        lambda m: f"refine.{m[1]}.{LAYER_PARTS[m[2]]}",
    ),
    (
        re.compile(rf"decode_head\.reconstruct\.({'|'.join(RECONSTRUCTION_PARTS)})\.(\d)"),
        lambda m: f"mscf.{RECONSTRUCTION_PARTS[m[1]]}.{m[2]}",
    ),
)
# A classifier that nothing calls, and what losses and pictures keep in the module.
UNUSED = ("decode_head.conv_seg.", "fusion_loss.", "enhance.")


def rename(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released tensors under our names; unknown names are kept, for the check of keys to report."""
    return {_our_name(key): tensor for key, tensor in released.items() if not key.startswith(UNUSED)}


def _our_name(key: str) -> str:
    if key == "time_mlp.0.weights":
        return "time.frequencies"
    layer, _, kind = key.rpartition(".")
    if layer in FIXED_NAMES:
        return f"{FIXED_NAMES[layer]}.{kind}"
    return renamed(key, RULES)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by our names, and the configuration they need.

    Raises:
        InputError: where the file holds no state dict.
    """
    ours = rename(load_state_dict(path))
    layers = {key.split(".")[1] for key in ours if key.startswith("refine.")}
    gain = any(key.startswith("mscf.gain.") for key in ours)
    return ours, {"layers": max(len(layers), 1), "output_gain": gain}
