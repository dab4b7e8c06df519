"""Memory for intermediate results, taken again and again: fresh pages cost more than the arithmetic done in them."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class _Buffers(threading.local):
    """Every thread has its own."""

    def __init__(self) -> None:
        self.held: dict[str, NDArray[np.uint8]] = {}


_buffers = _Buffers()


def scratch(name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """An array of this thread with undefined content, valid until the same thread asks for that name again.

    Args:
        name: what it is for. What is in use at the same time has different names.
        shape: any; a buffer that is too small is replaced.
        dtype: any.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    held = _buffers.held.get(name)
    if held is None or held.size < needed:
        held = _buffers.held[name] = np.empty(needed, np.uint8)
    return held[:needed].view(dtype).reshape(shape)
