"""What a fusion network makes of the validation pairs, while it trains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fusion_ros.fusion.color import to_eight_bit
from fusion_ros.metrics import fusion_metrics
from fusion_ros.training.data.pairs import Pair, validation_tensors

# All the same size in the log, so that pictures of unequal pairs can stand in one stack.
_EXAMPLE_SIZE = (240, 320)
_EXAMPLES = 4


class FusionValidation:
    """Fuses a fixed selection of validation pairs and averages the `textbook` metrics over them.

    Args:
        sets: validation pairs by the set's name.
        count: how many pairs to take in all, in turn from each set and evenly spread over it.
    """

    def __init__(self, sets: Mapping[str, list[Pair]], count: int) -> None:
        self._pairs = spread(sets, count)
        self._pictures: list[Tensor] = []

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Mean of each metric over the pairs; `network` is in eval mode."""
        results: list[dict[str, float]] = []
        self._pictures = []
        for pair in self._pairs:
            visible, infrared = validation_tensors(pair)
            fused = _fuse(network, visible, infrared).cpu()
            gray = to_eight_bit(visible[0, 0].numpy())
            results.append(fusion_metrics(gray, pair.infrared, to_eight_bit(fused[0, 0].numpy())))
            if len(self._pictures) < _EXAMPLES:
                row = torch.cat([_shrunk(image) for image in (visible, infrared, fused)], dim=-1)
                self._pictures.append(row[0].clamp(0, 1))
        return {name: float(np.nanmean([result[name] for result in results])) for name in results[0]}

    def pictures(self) -> Tensor:
        """(N, 1, h, 3 w): visible, infrared and fused side by side, of the latest `measure`."""
        return torch.stack(self._pictures)


def _fuse(network: nn.Module, visible: Tensor, infrared: Tensor) -> Tensor:
    """The fused luminance of a pair of any size, (1, 1, H, W) float32."""
    device = next(network.parameters()).device
    multiple = getattr(network, "multiple_of", 1)
    height, width = visible.shape[-2:]
    margin = (0, -width % multiple, 0, -height % multiple)
    padded = [torch.nn.functional.pad(image.to(device), margin, mode="reflect") for image in (visible, infrared)]
    with torch.no_grad():
        fused: Tensor = network(*padded)
    return fused[..., :height, :width].float()


def _shrunk(image: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(image, _EXAMPLE_SIZE, mode="area")


def spread(sets: Mapping[str, list[Pair]], count: int) -> list[Pair]:
    """`count` pairs, evenly spread over each set; a set gives by the square root of its size."""
    wanted = {name: 0 for name, pairs in sets.items() if pairs}
    for _ in range(count):
        # The set with the smallest share of its pairs taken, so that large sets give more.
        open_sets = [name for name in wanted if wanted[name] < len(sets[name])]
        if not open_sets:
            break
        wanted[min(open_sets, key=lambda name: (wanted[name] / np.sqrt(len(sets[name])), name))] += 1
    chosen: list[Pair] = []
    for name, number in wanted.items():
        pairs = sets[name]
        chosen += [pairs[index * len(pairs) // number] for index in range(number)]
    return chosen
