"""Parameters of a real node: declared from the table, refused with a reason, read as one config."""

from __future__ import annotations

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.ros.parameter_store import ParameterStore
from fusion_ros.ros.parameters import NODE_CONFIGS, parameter_table

from dataclasses import dataclass  # isort: skip


@dataclass(frozen=True)
class Config:
    mode: str = setting("auto", "what to do", choices=("auto", "caf"))
    slop: float = setting(0.03, "how far apart", unit="s", minimum=0.0, maximum=10.0)
    low: float = setting(1.0, "lower end")
    high: float = setting(99.0, "upper end")
    depth: int = setting(10, "how many", minimum=1, runtime=False)
    matrix: tuple[float, ...] = setting((1.0, 0.0), "a map", length=2)
    autostart: bool = setting(True, "by itself", runtime=False)

    def __post_init__(self):
        validate(self)
        if self.low >= self.high:
            raise InputError(f"low: {self.low} is not below high {self.high}")


@pytest.fixture
def make():
    """Make a node with overrides, and its store."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def build(config_class=Config, accept=None, **overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        node = Node("store", context=context, parameter_overrides=given)
        nodes.append(node)
        return node, ParameterStore(node, config_class, accept)

    yield build
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def put(node, **values):
    """Set parameters all at once."""
    return node.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()])


def test_config_follows_the_parameters_and_stays_the_same_object_otherwise(make):
    node, store = make(slop=0.5)
    assert store.config == Config(slop=0.5)
    assert store.config is store.config
    assert put(node, mode="caf", matrix=[2.0, 3.0]).successful
    assert store.config == Config(slop=0.5, mode="caf", matrix=(2.0, 3.0))


def test_a_change_that_fails_is_refused_and_nothing_is_raised(make):
    def accept(old, new, changed):
        raise MemoryError("the GPU is full")

    node, store = make(accept=accept)
    result = put(node, mode="caf")
    assert not result.successful
    assert "the GPU is full" in result.reason
    assert store.config == Config()


def test_a_misspelt_parameter_is_said_and_those_of_other_nodes_are_not(make, capfd):
    make(slopp=0.5, exit_at_end=False, **{"qos_overrides./rgb/image.subscription.depth": 1})
    log = capfd.readouterr().err
    assert "slopp: there is no such parameter, its value is ignored; did you mean slop?" in log
    assert "exit_at_end" not in log
    assert "qos_overrides" not in log


def test_half_of_a_change_is_not_read(make):
    node, store = make()
    read = []

    class Watched(dict):
        """Reads the config after each value that rclpy stores: a worker's thread may do so."""

        def __setitem__(self, name, value):
            super().__setitem__(name, value)
            read.append((self["low"].value, store.config))

    node._parameters = Watched(node._parameters)
    assert put(node, low=200.0, high=300.0).successful
    # `low` is there and its `high` is not.
    assert read[0] == (200.0, Config())
    assert store.config == Config(low=200.0, high=300.0)


def test_whole_number_on_the_command_line_is_taken_where_a_float_is_meant(make):
    node, store = make(slop=1)
    assert store.config.slop == 1.0
    assert store.refused == {}
    assert node.describe_parameter("slop").type == ParameterType.PARAMETER_DOUBLE


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"mode": "no such"}, "mode: 'no such' is not allowed; allowed: one of auto, caf"),
        ({"slop": -0.1}, "slop"),
        ({"slop": float("nan")}, "slop"),
        ({"matrix": [1.0]}, "matrix"),
        ({"low": 100.0}, "low: 100.0 is not below high 99.0"),
        ({"mode": "caf", "slop": 11.0}, "slop"),
        ({"autostart": False}, "read-only"),
    ],
)
def test_refused_value_leaves_store_and_config_as_they_were(make, values, reason):
    node, store = make()
    before = store.config
    result = put(node, **values)
    assert not result.successful
    assert reason in result.reason
    assert store.config is before


def test_values_that_depend_on_each_other_change_together(make):
    node, store = make()
    # One after the other would pass through low 200 >= high 99, which is refused.
    assert put(node, low=200.0, high=300.0).successful
    assert (store.config.low, store.config.high) == (200.0, 300.0)


def test_what_is_fixed_is_refused_while_the_node_is_configured(make):
    node, store = make()
    store.is_fixed = True
    result = put(node, depth=5)
    assert not result.successful
    assert "clean up" in result.reason
    # Saying again what is so already is no change.
    assert put(node, depth=10).successful
    store.is_fixed = False
    assert put(node, depth=5).successful


def test_bad_override_is_kept_as_a_reason_until_it_is_set_right(make):
    node, store = make(mode="no such", slop=-1.0)
    assert set(store.refused) == {"mode", "slop"}
    assert store.config == Config()
    assert put(node, mode="caf").successful
    assert set(store.refused) == {"slop"}


def test_refusal_by_the_node_itself_leaves_the_store_alone(make):
    asked = []

    def accept(old, new, changed):
        asked.append((old.mode, new.mode, changed))
        raise InputError("mode: not today")

    node, store = make(accept=accept)
    assert put(node, mode="caf").reason == "mode: not today"
    assert asked == [("auto", "caf", frozenset({"mode"}))]
    assert store.config.mode == "auto"


@pytest.mark.parametrize("name", NODE_CONFIGS)
def test_every_node_parameter_has_description_type_and_range(make, name):
    node, _store = make(NODE_CONFIGS[name])
    for found in parameter_table(name):
        described = node.describe_parameter(found.name)
        assert found.description in described.description
        assert described.type != ParameterType.PARAMETER_NOT_SET
        if described.type == ParameterType.PARAMETER_DOUBLE:
            assert described.floating_point_range[0].from_value <= found.default
        if described.type == ParameterType.PARAMETER_INTEGER:
            assert described.integer_range[0].to_value >= found.default
