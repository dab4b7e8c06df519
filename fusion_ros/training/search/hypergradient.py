"""How the loss of a task changes with the weights of the fusion loss, through one step of the fusion network.

CAF (Liu et al., IJCAI 2024, section 3.2, Eq. 3), in the manner of DARTS (Liu et al., ICLR 2019): the fusion network w
takes one plain step on its loss, w' = w - r * grad_w L_f(w; b), and the task's loss is taken at w'. The weights b enter
the task's loss through that step alone, so that

    dL_task(w') / db = -r * grad_b grad_w L_f(w; b) . v        with v = grad_w' L_task(w'),

and the product with v is a central difference along v, at w + e v and w - e v with e = epsilon / |v|.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]
Lower = Callable[[Parameters], tuple[Tensor, Tensor]]
Upper = Callable[[Parameters], Tensor]


@dataclass(frozen=True)
class Hypergradient:
    """What one evaluation gives.

    Attributes:
        gradient: (n,) of the task's loss by the logits of the weights.
        lower: the fusion loss at w.
        upper: the task's loss at w'.
    """

    gradient: Tensor
    lower: float
    upper: float


def hypergradient(
    parameters: Parameters, logits: Tensor, lower: Lower, upper: Upper, rate: float, epsilon: float = 0.01
) -> Hypergradient:
    """Gradient of `upper` after one step on `lower` by the logits.

    Args:
        parameters: w, the fusion network's parameters by name; they are not changed.
        logits: (n,), softmax of which weighs the terms.
        lower: from parameters to the (n,) searched terms and the sum of what is fixed.
        upper: from parameters to the task's loss.
        rate: r, the size of the step.
        epsilon: length of the way from w at which the central difference is taken.
    """
    weights = torch.softmax(logits.detach(), dim=0)
    start = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    terms, fixed = lower(start)
    loss = (weights * terms).sum() + fixed
    moved = {
        name: (start[name] - rate * slope).detach().requires_grad_() for name, slope in _gradient(loss, start).items()
    }
    upper_loss = upper(moved)
    direction = _gradient(upper_loss, moved)
    length = torch.stack([value.square().sum() for value in direction.values()]).sum().sqrt()
    gradient = torch.zeros_like(weights)
    # No direction, no influence: the task does not look at what the network made of this batch.
    if length > 0:
        step = epsilon / length
        with torch.no_grad():
            forward, backward = (
                lower({name: start[name] + sign * step * value for name, value in direction.items()})[0]
                for sign in (1.0, -1.0)
            )
            along = (forward - backward) / (2 * step)
            # The chain rule through the softmax: db_i/dlogit_j = b_i (delta_ij - b_j).
            gradient = -rate * weights * (along - (weights * along).sum())
    return Hypergradient(gradient, float(loss.detach()), float(upper_loss.detach()))


def _gradient(loss: Tensor, parameters: Parameters) -> dict[str, Tensor]:
    values = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameters[name]) if value is None else value
        for name, value in zip(parameters, values, strict=True)
    }
