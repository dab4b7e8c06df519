"""`NAME=VALUE` as users write it after `--set`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fusion_ros.errors import InputError


def read_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Settings by name; values are read as in YAML, and of one name the last counts.

    Raises:
        InputError: a text is not NAME=VALUE, or its value is not YAML.
    """
    import yaml

    values: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"--set {text!r}: is not NAME=VALUE")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or "wrong characters"
            raise InputError(f"--set {text!r}: the value cannot be read ({problem}); put text in quotes") from error
    return values
