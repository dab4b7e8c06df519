"""The released DFVO checkpoint: 180 tensors of the inference model or 270 of the training model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fusion_ros.fusion.importers.renaming import Rule, renamed
from fusion_ros.fusion.importers.state_dicts import load_state_dict

SENSORS = {"Vi": "visible", "Ir": "infrared"}
DECODERS = {"Fu": "decode_fused", "En": "decode_enhanced", "Ir": "decode_infrared"}
PARTS = {"Conv": "conv", "Bn": "norm"}
SOBEL = {"convx": "sobel.horizontal", "convy": "sobel.vertical", "Conv": "project"}
PROJECTIONS = {"CrossSQ_conv": "query", "ViSK_conv": "key_visible", "IrSK_conv": "key_infrared"}
# Our illumination net counts its pools and its decoder as layers.
ILLUMINATION_ENCODER = {"1": "0", "2": "2", "3": "3"}
ILLUMINATION_DECODER = "5"
# Dead in the released network: its infrared detail passes the visible one's convolution.
DEAD = "IrDeConv."


def _encoder(match: re.Match[str]) -> str:
    return f"encode_{SENSORS[match[1]]}.{int(match[2]) - 1}.{PARTS[match[3]]}"


def _decoder(match: re.Match[str]) -> str:
    return f"{DECODERS[match[1]]}.0.{int(match[2]) - 1}.{PARTS[match[3]]}"


RULES: tuple[Rule, ...] = (
    (re.compile(r"(Vi|Ir)Encode(\d)\.(Conv|Bn)"), _encoder),
    (re.compile(r"(Vi|Ir)Conv"), lambda m: f"down_{SENSORS[m[1]]}.0"),
    (re.compile(r"(Vi|Ir)UpConv"), lambda m: f"up_{SENSORS[m[1]]}.layer"),
    (re.compile(r"ViDeConv"), lambda _: "remove_speckle"),
    (re.compile(r"CSA\.(Vi|Ir)V_conv"), lambda m: f"attention.value_{SENSORS[m[1]]}"),
    (re.compile(r"CSA\.(\w+K_conv|CrossSQ_conv)\.(\w+)"), lambda m: f"attention.{PROJECTIONS[m[1]]}.{SOBEL[m[2]]}"),
    (re.compile(r"(Vi|Ir)Detail\.net\.(\d)\.shffleconv"), lambda m: f"detail_{SENSORS[m[1]]}.{m[2]}.shuffle"),
    (
        re.compile(r"(Vi|Ir)Detail\.net\.(\d)\.theta_(\w+)\.bottleneckBlock\.(\d)"),
        lambda m: f"detail_{SENSORS[m[1]]}.{m[2]}.{m[3]}.{m[4]}",
    ),
    (re.compile(r"(Fu|En|Ir)Decode(\d)\.(Conv|Bn)"), _decoder),
    (re.compile(r"(Fu|En|Ir)Sigmoid\.Conv"), lambda m: f"{DECODERS[m[1]]}.1"),
    (re.compile(r"IL\.Encode(\d)\.(Conv|Bn)"), lambda m: f"illumination.{ILLUMINATION_ENCODER[m[1]]}.{PARTS[m[2]]}"),
    (
        re.compile(r"IL\.Decode(\d)\.(Conv|Bn)"),
        lambda m: f"illumination.{ILLUMINATION_DECODER}.0.{int(m[1]) - 1}.{PARTS[m[2]]}",
    ),
    (re.compile(r"IL\.Sigmoid\.Conv"), lambda _: f"illumination.{ILLUMINATION_DECODER}.1"),
)
TRANSPOSED = re.compile(r"(\w+|IL\.)Decode\d\.Conv\.weight")


def rename(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released tensors under our names; unknown names are kept, for the check of keys to report.

    The released decoders are transposed convolutions of stride 1, ours are convolutions: the same function with input
    and output swapped and the kernel turned by 180 degrees.
    """
    ours = {}
    for key, tensor in released.items():
        if key.startswith(DEAD):
            continue
        if TRANSPOSED.fullmatch(key):
            tensor = tensor.transpose(0, 1).flip(2, 3).contiguous()
        ours[renamed(key, RULES)] = tensor
    return ours


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by our names, and the configuration they need.

    Raises:
        InputError: where the file holds no state dict.
    """
    released = load_state_dict(path, ("modules.", "models.", "model.", "torch.nn.modules."))
    heads = any(key.startswith("IL.") for key in released)
    return rename(released), {"topology": "released", "training_heads": heads}
