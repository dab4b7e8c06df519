"""Released names of layers to ours, by patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def renamed(key: str, rules: Sequence[Rule]) -> str:
    """Our name of a tensor: the first rule whose pattern is the whole layer name gives the layer's.

    Args:
        key: released name, LAYER.KIND, with kind `weight`, `bias`, `running_mean` ...
        rules: pattern of a layer's released name, and our name from the match.

    Returns:
        The new LAYER.KIND; `key` itself where no rule fits.
    """
    layer, _, kind = key.rpartition(".")
    for pattern, name in rules:
        match = pattern.fullmatch(layer)
        if match:
            return f"{name(match)}.{kind}"
    return key
