"""What the numbers of a run depend on beside its settings: the weights, by their checksums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fusion_ros.fusion.weights import sha256_of

_DIGITS = 16


def fingerprint(weights: Mapping[str, Path]) -> dict[str, str]:
    """Shortened sha256 of each model's file, by the name of the model; of its ONNX form too where one lies beside it.

    Args:
        weights: file by name of the model.
    """
    marks = {}
    for name, path in sorted(weights.items()):
        files = dict.fromkeys((path, path.with_suffix(".onnx")))
        marks[name] = " ".join(sha256_of(file)[:_DIGITS] for file in files if file.is_file())
    return marks


def changes(before: object, now: Mapping[str, str]) -> list[str]:
    """What is other than in an earlier run, in sentences; a model that only one of the two runs has is no change."""
    if not isinstance(before, Mapping):
        return []
    return [
        f"the weights of {name} have changed (sha256 was {before[name]}, now {mark})"
        for name, mark in now.items()
        if name in before and before[name] != mark
    ]
