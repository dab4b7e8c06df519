"""Settings as users write them: `NAME=VALUE` after `--set`, and YAML."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fusion_ros.configuration import settings_of
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
            values[name] = load_yaml(value)
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or "wrong characters"
            raise InputError(f"--set {text!r}: the value cannot be read ({problem}); put text in quotes") from error
    return values


def with_text(config_class: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with whole numbers as text where `config_class` wants text: `device=0` is a number only to YAML.

    Parameters of nodes are not read this way: ROS has types of its own.
    """
    wants_text = {found.name for found in settings_of(config_class) if isinstance(found.default, str)}
    return {name: str(value) if name in wants_text and type(value) is int else value for name, value in values.items()}


def load_yaml(text: str) -> Any:
    """Plain YAML, with `1e-3` as the number it is in YAML 1.2 (PyYAML follows 1.1, where it is text).

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    import yaml

    return yaml.load(text, Loader=_loader())


@functools.cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """A safe loader of its own: resolvers belong to a class."""

    power = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", power, list("-+0123456789"))
    return Loader
