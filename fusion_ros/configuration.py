"""Settings described once: a frozen dataclass from which ROS parameters, YAML and command-line options are made.

A config class lies next to the class it configures and declares its fields with `setting`; a class that gathers others
holds them with `section`. `settings_of` lists what there is to set under dotted names (`sync.slop`), `configure` builds
a config from such names, and `validate` refuses what is out of range in words a user understands.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fusion_ros.errors import InputError

Value = bool | int | float | str | tuple[float, ...]
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Setting:
    """One thing a user can set.

    Attributes:
        name: dotted name, the ROS parameter's name.
        default: the default; its type (bool, int, float, str, or a tuple of float) is the setting's type.
        description: one sentence for a person.
        unit: unit of a number, empty where it has none.
        minimum: smallest allowed value (inclusive), None where there is no bound.
        maximum: largest allowed value (inclusive), None where there is no bound.
        choices: allowed words, empty where any text will do.
        length: number of elements of a tuple, None for the other types.
        runtime: whether it may change while the system runs.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None
    runtime: bool = True

    @property
    def allowed(self) -> str:
        """What is allowed, in words: `0.0 to 1.0 s`, `one of auto, caf`, `9 numbers`."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return "text"
        if isinstance(self.default, tuple):
            return "finite numbers" if self.length is None else f"{self.length} finite numbers"
        unit = f" {self.unit}" if self.unit else ""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum} to {self.maximum}{unit}"
        if self.minimum is not None:
            return f"{self.minimum}{unit} or more"
        if self.maximum is not None:
            return f"{self.maximum}{unit} or less"
        return "a whole number" if isinstance(self.default, int) else "a finite number"

    def check(self, value: object) -> Value:
        """Return `value` as this setting's type.

        Raises:
            InputError: wrong type, not finite, out of range, or not one of the choices.
        """
        checked = self._as_type(value)
        if isinstance(checked, str) and self.choices and checked not in self.choices:
            raise self._refusal(value)
        if isinstance(checked, (int, float)) and not isinstance(checked, bool):
            below = self.minimum is not None and checked < self.minimum
            above = self.maximum is not None and checked > self.maximum
            if below or above:
                raise self._refusal(value)
        return checked

    def _as_type(self, value: object) -> Value:
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
        elif isinstance(self.default, str):
            if isinstance(value, str):
                return value
        elif isinstance(self.default, tuple):
            return self._as_numbers(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            return value if isinstance(self.default, int) else float(value)
        elif isinstance(value, float) and isinstance(self.default, float) and math.isfinite(value):
            return value
        raise self._refusal(value)

    def _as_numbers(self, value: object) -> tuple[float, ...]:
        try:
            numbers = tuple(float(element) for element in value)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            raise self._refusal(value) from None
        wrong_length = self.length is not None and len(numbers) != self.length
        if isinstance(value, str) or wrong_length or not all(map(math.isfinite, numbers)):
            raise self._refusal(value)
        return numbers

    def _refusal(self, value: object) -> InputError:
        return InputError(f"{self.name}: {value!r} is not allowed; allowed: {self.allowed}")


def setting(
    default: Value,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    length: int | None = None,
    runtime: bool = True,
    parameter: str | None = None,
) -> Any:
    """A dataclass field that is a setting; `parameter` is its name for the user where that is not the field's name."""
    metadata = {
        "description": description,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": tuple(choices),
        "length": length,
        "runtime": runtime,
        "parameter": parameter,
    }
    return dataclasses.field(default=default, metadata=metadata)


def section(config_class: type, parameter: str) -> Any:
    """A dataclass field that holds another config; its settings are named `<parameter>.<setting>`.

    An empty `parameter` leaves the names of the settings as they are.
    """
    return dataclasses.field(default_factory=config_class, metadata={"section": config_class, "parameter": parameter})


def settings_of(config_class: type) -> list[Setting]:
    """Everything that `config_class` and the configs it holds let a user set, in the order of declaration."""
    return [found for found, _path in _walk(config_class, "", ())]


def values_of(config: object) -> dict[str, Value]:
    """The values of `config` by dotted name."""
    values: dict[str, Value] = {}
    for found, path in _walk(type(config), "", ()):
        value: Any = config
        for attribute in path:
            value = getattr(value, attribute)
        values[found.name] = value
    return values


def validate(config: object) -> None:
    """Check every setting of `config`.

    Raises:
        InputError: naming the setting, its value and what is allowed.
    """
    values = values_of(config)
    for found in settings_of(type(config)):
        found.check(values[found.name])


def configure(config_class: type[ConfigT], values: Mapping[str, object], base: ConfigT | None = None) -> ConfigT:
    """Build a config from values by dotted name; what is not named is as in `base`, or at its default.

    Raises:
        InputError: a name that does not exist, or a value that is not allowed.
    """
    known = {found.name: (found, path) for found, path in _walk(config_class, "", ())}
    config: Any = config_class() if base is None else base
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{name}: there is no such setting; there are {', '.join(known)}")
        found, path = known[name]
        branch = changes
        for attribute in path[:-1]:
            branch = branch.setdefault(attribute, {})
        branch[path[-1]] = found.check(value)
    return _replaced(config, changes)  # type: ignore[no-any-return]


def _replaced(config: Any, changes: Mapping[str, Any], prefix: str = "") -> Any:
    # All changes of one config are made at once, so that a check across two settings sees both new values.
    replaced = {
        name: _replaced(getattr(config, name), change, _section_prefix(type(config), name, prefix))
        if isinstance(change, dict)
        else change
        for name, change in changes.items()
    }
    try:
        return dataclasses.replace(config, **replaced)
    except InputError as error:
        # A config does not know under which name it is held.
        raise InputError(f"{prefix}{error}") from None


def _section_prefix(config_class: type, name: str, prefix: str) -> str:
    (parameter,) = (field.metadata["parameter"] for field in dataclasses.fields(config_class) if field.name == name)
    return f"{prefix}{parameter}." if parameter else prefix


def _walk(config_class: type, prefix: str, path: tuple[str, ...]) -> Iterator[tuple[Setting, tuple[str, ...]]]:
    for field in dataclasses.fields(config_class):
        metadata = dict(field.metadata)
        if "section" in metadata:
            name = _section_prefix(config_class, field.name, prefix)
            yield from _walk(metadata["section"], name, (*path, field.name))
        elif "description" in metadata:
            name = prefix + (metadata.pop("parameter") or field.name)
            default: Any = field.default
            yield Setting(name=name, default=default, **metadata), (*path, field.name)
