"""Synchronisers as message filters."""

from __future__ import annotations

import importlib.util
from collections import Counter

import pytest
from sensor_msgs.msg import Image

from fusion_ros.errors import InputError
from fusion_ros.pairing import PairingConfig
from fusion_ros.ros.filters import SimpleFilter
from fusion_ros.ros.images import header_of, stamp_of
from fusion_ros.ros.synchroniser import make_synchroniser

MILLISECOND = 1_000_000
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("message_filters") is None, reason="message_filters is not installed"
)


def wired(policy, **config):
    """A synchroniser between two filters, and the pairs it hands out as (rgb ms, thermal ms, skew ms)."""
    rgb, thermal, pairs = SimpleFilter(), SimpleFilter(), []
    synchroniser = make_synchroniser(policy, rgb, thermal, PairingConfig(**config))

    def collect(first, second, skew_ns, *extra):
        pairs.append((in_ms(first), in_ms(second), skew_ns // MILLISECOND, *extra))

    synchroniser.registerCallback(collect)
    return synchroniser, rgb, thermal, pairs


def in_ms(message):
    return stamp_of(message.header) // MILLISECOND


def image(milliseconds):
    return Image(header=header_of(milliseconds * MILLISECOND, ""))


def test_nearest_waits_for_the_better_partner():
    synchroniser, rgb, thermal, pairs = wired("nearest")
    thermal.signalMessage(image(1000))
    rgb.signalMessage(image(980))
    assert pairs == []
    rgb.signalMessage(image(1005))
    thermal.signalMessage(image(1100))
    assert pairs == [(1005, 1000, -5)]
    assert synchroniser.dropped["rgb_unpaired"] == 1


def test_nearest_lets_go_after_its_patience():
    synchroniser, rgb, thermal, pairs = wired("nearest", patience=0.0)
    rgb.signalMessage(image(1000))
    thermal.signalMessage(image(1004))
    synchroniser.expire()
    assert pairs == [(1000, 1004, 4)]


def test_offset_may_change_while_running():
    synchroniser, rgb, thermal, pairs = wired("nearest", thermal_offset=-0.5)
    for shift in (500, 700):
        rgb.signalMessage(image(1000 + shift))
        thermal.signalMessage(image(1000 + shift + shift))
        synchroniser.thermal_offset = -0.7
    assert pairs == [(1500, 2000, 0), (1700, 2400, 0)]


def test_reset_forgets_what_waits():
    synchroniser, rgb, thermal, pairs = wired("nearest")
    rgb.signalMessage(image(1000))
    synchroniser.reset()
    thermal.signalMessage(image(1000))
    assert pairs == []


def test_callback_gets_its_own_arguments_as_in_message_filters():
    rgb, thermal, heard = SimpleFilter(), SimpleFilter(), []
    synchroniser = make_synchroniser("nearest", rgb, thermal, PairingConfig())
    synchroniser.registerCallback(lambda *arguments: heard.append(arguments[2:]), "mine")
    rgb.signalMessage(image(1))
    thermal.signalMessage(image(1))
    assert heard == [(0, "mine")]


@pytest.mark.skipif(importlib.util.find_spec("message_filters") is not None, reason="message_filters is installed")
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_policy_of_a_missing_library_is_refused_with_a_way_out(policy):
    with pytest.raises(InputError, match=r"not installed; .*nearest"):
        wired(policy)


def test_unknown_policy_is_refused():
    with pytest.raises(InputError, match=r"sync\.policy: 'fastest'.*nearest, approximate, exact"):
        wired("fastest")


@needs_library
def test_exact_pairs_equal_stamps_only():
    synchroniser, rgb, thermal, pairs = wired("exact", queue_size=2)
    for stamp in (1000, 1033, 1066):
        rgb.signalMessage(image(stamp))
        thermal.signalMessage(image(stamp if stamp != 1033 else stamp + 1))
    assert pairs == [(1000, 1000, 0), (1066, 1066, 0)]
    assert synchroniser.dropped == Counter()


@needs_library
def test_approximate_gives_the_same_pairs_on_every_pass_of_a_loop():
    synchroniser, rgb, thermal, pairs = wired("approximate", slop=0.01)
    for _ in range(3):
        for index in range(100):
            rgb.signalMessage(image(10_000 + index * 33))
            if index % 3 == 0:
                thermal.signalMessage(image(10_000 + index * 33 + 4))
    assert len(pairs) == 3 * 34
    assert pairs[:34] == pairs[34:68] == pairs[68:]
    assert synchroniser.time_jumps >= 2


@needs_library
def test_exception_of_a_callback_does_not_lock_the_library_for_ever():
    synchroniser, rgb, thermal, pairs = wired("exact")

    def fail(*_):
        raise RuntimeError("broken")

    synchroniser.registerCallback(fail)
    for stamp in (1000, 1033):
        rgb.signalMessage(image(stamp))
        with pytest.raises(RuntimeError):
            thermal.signalMessage(image(stamp))
    assert len(pairs) == 2
