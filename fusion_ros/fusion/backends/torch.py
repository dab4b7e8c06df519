"""Running a network in eager torch: the reference, and the choice on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusion_ros.fusion.network_loading import fold_batch_norm, load_network

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchBackend:
    """A network on a torch device. See `Backend`."""

    name = "torch"

    def __init__(self, weights: Path, network: str, device: str, precision: str) -> None:
        self.device = device
        self.precision = precision
        self._dtype = _DTYPES[precision]
        module = fold_batch_norm(load_network(weights, network))
        # channels_last is the layout tensor cores and oneDNN convolve in; anything else is copied into it and back.
        self._module: nn.Module = module.to(device, self._dtype).to(memory_format=torch.channels_last)

    def __call__(self, visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            fused = self._module(self._tensor(visible), self._tensor(infrared))
            return _array(fused)

    def with_guidance(
        self, visible: NDArray[np.float32], infrared: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        both = getattr(self._module, "forward_with_guidance", None)
        if both is None:
            return self(visible, infrared), None
        with torch.inference_mode():
            fused, guidance = both(self._tensor(visible), self._tensor(infrared))
        return _array(fused), _array(guidance)

    def _tensor(self, image: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(image))[None, None].to(self.device, self._dtype)


def _array(image: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(image[0, 0].float().cpu().numpy(), np.float32)
