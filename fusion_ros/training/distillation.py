"""Distillation: a compact network also imitates what a trained paper configuration makes of the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fusion_ros.configuration import setting
from fusion_ros.errors import InputError
from fusion_ros.fusion.network_loading import load_network
from fusion_ros.training.losses.terms import mean_absolute, sobel


@dataclass(frozen=True)
class DistillationConfig:
    """Whom to imitate, and how much."""

    teacher: str = setting("", "safetensors file of the trained paper configuration to learn from; empty for none")
    teacher_intensity: float = setting(1.0, "L1 to the teacher's fused image", minimum=0.0)
    teacher_gradient: float = setting(10.0, "L1 to its derivatives along x and y", minimum=0.0)


class Teacher:
    """A frozen network whose fused images another one imitates.

    Args:
        config: the file and the weights of the two terms.
        network: class name of the network in the file.
        side: side of the training crops in pixels.

    Raises:
        InputError: the file is missing or another network's, or the crops do not fit that network.
    """

    def __init__(self, config: DistillationConfig, network: str, side: int) -> None:
        self._config = config
        self._network: nn.Module = load_network(Path(config.teacher), network)
        multiple = int(getattr(self._network, "multiple_of", 1))
        if side % multiple:
            raise InputError(f"data.crop: {side} is no multiple of {multiple}, which the teacher's {network} needs")

    def distance(self, fused: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
        """How far a fused image is from the teacher's.

        Args:
            fused: (N, 1, H, W), with gradient.
            visible: (N, 1, H, W) in [0, 1], what the student saw.
            infrared: the same.

        Returns:
            The weighted sum of both distances, a scalar.
        """
        self._network.to(fused.device)
        with torch.no_grad():
            wanted = self._network(visible, infrared).to(fused.dtype)
        slopes = (mean_absolute(own, other) for own, other in zip(sobel(fused), sobel(wanted), strict=True))
        return self._config.teacher_intensity * mean_absolute(fused, wanted) + self._config.teacher_gradient * sum(
            slopes, fused.new_zeros(())
        )


def load_teacher(config: DistillationConfig, network: str, side: int) -> Teacher | None:
    """The teacher that `config` names, or None where it names none. Raises as `Teacher`."""
    return Teacher(config, network, side) if config.teacher else None


def with_teacher(
    total: Tensor, terms: dict[str, Tensor], teacher: Teacher | None, fused: Tensor, visible: Tensor, infrared: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """A loss and its terms with the distance to the teacher added, where there is one."""
    if teacher is None:
        return total, terms
    distance = teacher.distance(fused, visible, infrared)
    return total + distance, terms | {"teacher": distance.detach()}
