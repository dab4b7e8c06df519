"""Settings: what a user may set is described once and refused in words when it is out of range."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from fusion_ros.configuration import configure, section, setting, settings_of, validate, values_of
from fusion_ros.errors import InputError


@dataclass(frozen=True)
class Inner:
    slop: float = setting(0.03, "largest stamp difference", unit="s", minimum=0.0, maximum=10.0)
    method: str = setting("percentile", "how counts become grey", choices=("none", "percentile"), parameter="agc")
    low: float = setting(1.0, "lower limit")
    high: float = setting(2.0, "upper limit")

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise InputError(f"low: {self.low} is not below high {self.high}")


@dataclass(frozen=True)
class Outer:
    size: int = setting(0, "width", unit="px", minimum=0, runtime=False)
    flag: bool = setting(True, "a switch")
    matrix: tuple[float, ...] = setting((1.0, 0.0), "two numbers", length=2)
    inner: Inner = section(Inner, "sync")


def test_settings_have_dotted_names_in_order_of_declaration():
    assert [found.name for found in settings_of(Outer)] == [
        "size",
        "flag",
        "matrix",
        "sync.slop",
        "sync.agc",
        "sync.low",
        "sync.high",
    ]


def test_setting_carries_its_description():
    slop = next(found for found in settings_of(Outer) if found.name == "sync.slop")
    assert (slop.default, slop.unit, slop.minimum, slop.maximum, slop.runtime) == (0.03, "s", 0.0, 10.0, True)
    assert slop.allowed == "0.0 to 10.0 s"


def test_values_round_trip_through_names():
    config = Outer(size=3, flag=False, matrix=(2.0, 5.0), inner=Inner(slop=1.0, method="none"))
    assert configure(Outer, values_of(config)) == config


def test_unnamed_values_stay_as_in_base():
    base = Outer(size=3, inner=Inner(slop=1.0))
    assert configure(Outer, {"sync.agc": "none"}, base) == Outer(size=3, inner=Inner(slop=1.0, method="none"))


def test_two_settings_that_depend_on_each_other_change_together():
    # One after the other would pass through low 5 >= high 2, which is refused.
    assert configure(Outer, {"sync.low": 5.0, "sync.high": 6.0}).inner == Inner(low=5.0, high=6.0)


def test_whole_number_is_taken_where_a_float_is_meant():
    value = configure(Outer, {"sync.slop": 1}).inner.slop
    assert value == 1.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sync.slop", -0.1),
        ("sync.slop", 11.0),
        ("sync.slop", float("nan")),
        ("sync.slop", "0.1"),
        ("sync.slop", True),
        ("sync.agc", "histogram"),
        ("sync.agc", 3),
        ("size", -1),
        ("size", 1.5),
        ("flag", 1),
        ("matrix", (1.0,)),
        ("matrix", (1.0, float("inf"))),
        ("matrix", "12"),
        ("matrix", 7.0),
    ],
)
def test_bad_value_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"^{name}: .*allowed"):
        configure(Outer, {name: value})


def test_settings_that_do_not_go_together_are_named_as_the_user_sets_them():
    @dataclasses.dataclass(frozen=True)
    class Range:
        low: float = setting(1.0, "lower end")
        high: float = setting(2.0, "upper end")

        def __post_init__(self):
            if self.low >= self.high:
                raise InputError(f"low: {self.low} is not below high {self.high}")

    @dataclasses.dataclass(frozen=True)
    class Whole:
        part: Range = section(Range, "grey")

    @dataclasses.dataclass(frozen=True)
    class Node:
        whole: Whole = section(Whole, "thermal")

    with pytest.raises(InputError, match=r"^thermal\.grey\.low: 3\.0 is not below high 2\.0$"):
        configure(Node, {"thermal.grey.low": 3.0})


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"sync\.slap: .*sync\.slop"):
        configure(Outer, {"sync.slap": 1.0})


def test_validate_names_the_setting_of_a_nested_config():
    validate(Outer())
    with pytest.raises(InputError, match=r"^sync\.slop: -1\.0 is not allowed; allowed: 0\.0 to 10\.0 s$"):
        validate(dataclasses.replace(Outer(), inner=Inner(slop=-1.0)))
