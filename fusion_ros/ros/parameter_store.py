"""The parameters of a node: declared from its table, validated when set, read as one config.

Humble has no callback after a parameter is set, so nobody is told of a change: who works with the config reads it again
between two frames. What the store holds and what the node does thus never differ for longer than one frame.
"""

from __future__ import annotations

import contextlib
import difflib
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from fusion_ros.configuration import Setting, Value, configure, settings_of
from fusion_ros.errors import InputError
from fusion_ros.ros.parameters import NODE_CONFIGS

ConfigT = TypeVar("ConfigT")

# Set through the constructor only, so that changing it later could not have an effect.
_READ_ONLY = frozenset({"autostart"})
_LARGEST_INTEGER = 2**63 - 1


class ParameterStore(Generic[ConfigT]):
    """The parameters of one node.

    Args:
        node: declares the parameters on it.
        config_class: dataclass of settings that the parameters are made from.
        accept: called with the old config, the new one and the changed names before anything is stored; refuses by
            raising InputError. It must leave the node as it is.

    Attributes:
        refused: reasons by name for what the command line or a YAML file gave that is not allowed. The parameter is
            at its default then; setting it to something allowed removes the entry.
        is_fixed: True while settings that do not change at runtime are refused.
    """

    def __init__(
        self,
        node: Node,
        config_class: type[ConfigT],
        accept: Callable[[ConfigT, ConfigT, frozenset[str]], None] | None = None,
    ) -> None:
        self._node = node
        self._config_class = config_class
        self._accept = accept
        self._settings = {found.name: found for found in settings_of(config_class)}
        self._names = list(self._settings)
        self.refused: dict[str, str] = {}
        self.is_fixed = False
        for found in self._settings.values():
            self._declare(found)
        self._lock = threading.Lock()
        self._raw: tuple[object, ...] = ()
        self._config: ConfigT = self._config_at_start()
        node.add_on_set_parameters_callback(self._on_set)
        self._warn_of_unknown_overrides()

    @property
    def config(self) -> ConfigT:
        """The config as the parameters are now; the same object as long as none has changed. Call it from any thread.

        Parameters that are set at once are stored one after the other. Read in between, where the two halves do not
        suit each other, the config is still the one before.
        """
        with self._lock:
            with contextlib.suppress(InputError):
                self._reread()
            return self._config

    def _reread(self) -> None:
        raw = tuple(self._read(name) for name in self._names)
        if raw != self._raw:
            self._config = configure(self._config_class, dict(zip(self._names, raw, strict=True)))
            self._raw = raw

    def _read(self, name: str) -> object:
        value = self._node.get_parameter(name).value
        return tuple(value) if isinstance(self._settings[name].default, tuple) else value

    def _declare(self, found: Setting) -> None:
        # An override of another type or out of range would end the process in declare_parameter: look at it first.
        name = found.name
        given = self._node.declare_parameter(
            name, _stored(found.default), ParameterDescriptor(dynamic_typing=True)
        ).value
        self._node.undeclare_parameter(name)
        try:
            value = found.check(tuple(given) if isinstance(given, list) or hasattr(given, "typecode") else given)
        except InputError as error:
            self.refused[name] = str(error)
            value = found.default
        self._node.declare_parameter(name, _stored(value), descriptor(found), ignore_override=True)

    def _warn_of_unknown_overrides(self) -> None:
        # What is given on the command line goes to every node of a process, so other nodes' parameters are no mistake.
        known = {found.name for table in NODE_CONFIGS.values() for found in settings_of(table)} | set(self._names)
        for name in getattr(self._node, "_parameter_overrides", ()):
            # Those of quality of service are declared with their publishers and subscriptions.
            if name in known or name.startswith("qos_overrides.") or self._node.has_parameter(name):
                continue
            close = difflib.get_close_matches(name, self._names, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            self._node.get_logger().warning(f"{name}: there is no such parameter, its value is ignored{hint}")

    def _config_at_start(self) -> ConfigT:
        try:
            self._reread()
        except InputError as error:
            # Values that are allowed one by one but not together.
            self.refused["parameters"] = str(error)
            return self._config_class()
        return self._config

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        ours = {parameter.name: parameter.value for parameter in parameters if parameter.name in self._settings}
        if not ours:
            return SetParametersResult(successful=True)
        try:
            self._validate(ours)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:
            # A GPU that is full, for instance. What leaves a callback ends the process.
            self._node.get_logger().error(traceback.format_exc())
            return SetParametersResult(successful=False, reason=f"{type(error).__name__}: {error}")
        for name in (*ours, "parameters"):
            self.refused.pop(name, None)
        return SetParametersResult(successful=True)

    def _validate(self, given: dict[str, Any]) -> None:
        before = {name: self._read(name) for name in self._names}
        after = before | {name: self._settings[name].check(value) for name, value in given.items()}
        changed = frozenset(name for name in given if before[name] != after[name])
        for name in changed:
            if self.is_fixed and not self._settings[name].runtime:
                raise InputError(
                    f"{name}: is fixed while the node is configured; deactivate and clean up the node first"
                )
        config = configure(self._config_class, after)
        if self._accept is not None and changed:
            self._accept(self._config, config, changed)


def descriptor(found: Setting) -> ParameterDescriptor:
    """Return the descriptor of a setting: type, range, and a description that says what is allowed."""
    fixed = "" if found.runtime else "; fixed while the node is configured"
    described = ParameterDescriptor(
        name=found.name,
        type=_parameter_type(found.default),
        description=f"{found.description} ({found.allowed}{fixed})",
        read_only=found.name in _READ_ONLY,
    )
    if found.choices:
        described.additional_constraints = found.allowed
    if isinstance(found.default, bool):
        return described
    if isinstance(found.default, int):
        low = -_LARGEST_INTEGER if found.minimum is None else int(found.minimum)
        high = _LARGEST_INTEGER if found.maximum is None else int(found.maximum)
        described.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    elif isinstance(found.default, float):
        lowest = -sys.float_info.max if found.minimum is None else float(found.minimum)
        highest = sys.float_info.max if found.maximum is None else float(found.maximum)
        described.floating_point_range = [FloatingPointRange(from_value=lowest, to_value=highest)]
    return described


def _parameter_type(value: Value) -> int:
    if isinstance(value, tuple):
        return int(ParameterType.PARAMETER_DOUBLE_ARRAY)
    types = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE,
        str: ParameterType.PARAMETER_STRING,
    }
    return int(types[type(value)])


def _stored(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value
