"""Pairing: nearest stamps, one to one, the same whatever arrives first, and the same on every pass of a loop."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_ros.errors import InputError
from fusion_ros.pairing import NearestStampMatcher, PairingConfig, pair_offline

MS = 1_000_000


def stream(rate, seconds, start_ms=0.0, jitter_ms=0.0, seed=0):
    """Stamps of a camera in nanoseconds."""
    noise = random.Random(seed)
    stamps = [int((start_ms + 1000.0 * i / rate + noise.gauss(0, jitter_ms)) * MS) for i in range(int(rate * seconds))]
    return sorted(max(0, stamp) for stamp in stamps)


def replay(matcher, rgb, thermal, rgb_latency_ms=0.0, thermal_latency_ms=0.0):
    """Deliver both streams in order of arrival; returns pairs of stamps and each pair's wait in ms."""
    arrivals = sorted(
        [(stamp + rgb_latency_ms * MS, "rgb", stamp) for stamp in rgb]
        + [(stamp + thermal_latency_ms * MS, "thermal", stamp) for stamp in thermal]
    )
    pairs, waits = [], []
    for now, which, stamp in arrivals:
        matches = matcher.add_rgb(stamp, stamp) if which == "rgb" else matcher.add_thermal(stamp, stamp)
        for match in matches:
            pairs.append((match.rgb, match.thermal))
            here = max(match.rgb + rgb_latency_ms * MS, match.thermal + thermal_latency_ms * MS)
            waits.append((now - here) / MS)
    return pairs, waits


def mean_error(pairs):
    return sum(abs(rgb - thermal) for rgb, thermal in pairs) / len(pairs)


def best_possible(rgb, thermal):
    """Each frame of the slower stream with the nearest of the faster one, by brute force."""
    slow, fast = (rgb, thermal) if len(rgb) < len(thermal) else (thermal, rgb)
    return sum(min(abs(one - other) for other in fast) for one in slow) / len(slow)


@pytest.mark.parametrize("slop", [0.02, 0.03, 0.1, 0.5])
@pytest.mark.parametrize(("rgb_latency", "thermal_latency"), [(30, 5), (5, 30)])
@pytest.mark.parametrize(("rgb_rate", "thermal_rate"), [(30, 9), (9, 30)])
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_error_is_as_small_as_it_can_be(slop, rgb_latency, thermal_latency, rgb_rate, thermal_rate, jitter):
    rgb = stream(rgb_rate, 20, jitter_ms=jitter, seed=1)
    thermal = stream(thermal_rate, 20, start_ms=3.7, jitter_ms=jitter, seed=2)
    matcher = NearestStampMatcher(PairingConfig(slop=slop))
    pairs, _ = replay(matcher, rgb, thermal, rgb_latency, thermal_latency)
    pairs += [(match.rgb, match.thermal) for match in matcher.flush()]
    assert len(pairs) == min(len(rgb), len(thermal))
    assert mean_error(pairs) <= 1.05 * best_possible(rgb, thermal)


def test_equal_stamps_are_paired_at_once():
    matcher = NearestStampMatcher(PairingConfig(slop=0.0))
    assert matcher.add_rgb(5 * MS, "a") == []
    (match,) = matcher.add_thermal(5 * MS, "b")
    assert (match.rgb, match.thermal, match.skew_ns) == ("a", "b", 0)


def test_streams_of_one_rate_do_not_wait_for_the_next_frame():
    # 8 ms apart at 30 Hz: the next frame, 33 ms later, cannot be nearer. The first few pairs, before the rate is known,
    # wait for it.
    rgb, thermal = stream(30, 5), stream(30, 5, start_ms=8.0)
    pairs, waits = replay(NearestStampMatcher(), rgb, thermal)
    assert pairs == list(zip(rgb, thermal, strict=True))
    assert max(waits[5:]) == 0.0


def test_early_release_can_be_turned_off():
    rgb, thermal = stream(30, 1), stream(30, 1, start_ms=8.0)
    _, waits = replay(NearestStampMatcher(early_release=False), rgb, thermal)
    # 33.3 - 8 ms until the next RGB frame, which is the proof.
    assert waits == pytest.approx([25.33] * len(waits), abs=0.1)


def test_slop_is_inclusive():
    matcher = NearestStampMatcher(PairingConfig(slop=0.03))
    matcher.add_rgb(0, "near")
    matcher.add_thermal(30 * MS, "near")
    assert len(matcher.flush()) == 1
    matcher.add_rgb(1000 * MS, "far")
    matcher.add_thermal(1030 * MS + 1, "far")
    assert matcher.flush() == []
    assert matcher.dropped == {"rgb_unpaired": 1, "thermal_unpaired": 1}


def test_waits_for_a_better_partner():
    matcher = NearestStampMatcher(PairingConfig(slop=0.1))
    assert matcher.add_rgb(0, "early") == []
    assert matcher.add_thermal(60 * MS, "thermal") == []
    # Now the thermal frame has its partner, but a thermal frame at 66 ms would suit the RGB frame better.
    assert matcher.add_rgb(66 * MS, "better") == []
    (match,) = matcher.add_thermal(171 * MS, "next thermal")
    assert match.rgb == "better"
    assert matcher.dropped == {"rgb_unpaired": 1}


def test_expire_ends_the_wait():
    matcher = NearestStampMatcher(PairingConfig(slop=0.1, patience=0.1))
    matcher.add_rgb(0, "rgb", now_ns=1000 * MS)
    matcher.add_thermal(60 * MS, "thermal", now_ns=1050 * MS)
    assert matcher.expire(1149 * MS) == []
    assert [match.rgb for match in matcher.expire(1150 * MS)] == ["rgb"]
    assert matcher.expire(9999 * MS) == []


def test_thermal_offset_moves_thermal_stamps():
    matcher = NearestStampMatcher(PairingConfig(slop=0.0, thermal_offset=-0.05))
    matcher.add_rgb(100 * MS, "rgb")
    (match,) = matcher.add_thermal(150 * MS, "thermal")
    assert match.thermal_stamp_ns == 100 * MS
    matcher.thermal_offset = 0.0
    matcher.add_rgb(200 * MS, "rgb")
    assert len(matcher.add_thermal(200 * MS, "thermal")) == 1


@pytest.mark.parametrize("clock_error", [5.0, 0.2, -0.2, -5.0])
def test_an_offset_that_is_set_while_running_brings_pairs_at_once(clock_error):
    rgb = [stamp + 20_000 * MS for stamp in stream(30, 10)]
    matcher = NearestStampMatcher(PairingConfig(slop=0.01))
    found = []
    for number, stamp in enumerate(rgb):
        if number == 150:
            matcher.thermal_offset = -clock_error
        found += matcher.add_rgb(stamp, number)
        # Thermal is the faster one, so that it notices the jump some frames before RGB goes on.
        for later in (0, 11, 22):
            found += matcher.add_thermal(stamp + later * MS + int(clock_error * 1000) * MS, (number, later))
    right = {match.rgb for match in found if match.thermal == (match.rgb, 0)}
    # All but what had to be found out first: that the stamps have moved, and what waited meanwhile.
    assert set(range(170, 300)) <= right
    assert matcher.time_jumps <= 1


@pytest.mark.parametrize("slop", [0.01, 0.03])
def test_every_pass_of_a_loop_gives_the_same_pairs(slop):
    # The case that breaks message_filters' queues: a 10 s recording, RGB 30 Hz, thermal 10 Hz, slop 10 ms. The last
    # thermal frames arrive after RGB has already begun again.
    rgb, thermal = stream(30, 10), stream(10, 10)
    one_pass = sorted([(s + 5 * MS, "rgb", s) for s in rgb] + [(s + 60 * MS, "thermal", s) for s in thermal])
    length = 10_000 * MS
    arrivals = sorted((at + k * length, k, which, s) for k in range(4) for at, which, s in one_pass)
    matcher = NearestStampMatcher(PairingConfig(slop=slop))
    passes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    found = []
    for _, k, which, stamp in arrivals:
        item = (k, stamp)
        found += matcher.add_rgb(stamp, item) if which == "rgb" else matcher.add_thermal(stamp, item)
    found += matcher.flush()
    for match in found:
        passes.setdefault((match.rgb[0], match.thermal[0]), []).append((match.rgb[1], match.thermal[1]))
    assert sorted(passes) == [(k, k) for k in range(4)]
    assert passes[0, 0] == list(zip(rgb[::3], thermal, strict=True))
    assert all(pairs == passes[0, 0] for pairs in passes.values())
    assert matcher.time_jumps == 3


def test_a_recording_shorter_than_a_jump_does_not_starve():
    rgb, thermal = stream(30, 0.25), stream(30, 0.25)
    matcher = NearestStampMatcher()
    counts = []
    for _ in range(12):
        pairs, _ = replay(matcher, rgb, thermal)
        counts.append(len(pairs))
    # Each pass of 7 frames loses those that it takes to notice that time has jumped.
    assert min(counts[-4:]) > 0
    assert matcher.time_jumps > 0


def test_large_jump_forward_counts_once_and_pairing_goes_on():
    matcher = NearestStampMatcher()
    before, after = stream(30, 1), [stamp + 100_000 * MS for stamp in stream(30, 1)]
    pairs, _ = replay(matcher, before + after, before + after)
    assert pairs == [(stamp, stamp) for stamp in before + after]
    assert matcher.time_jumps == 1


def test_one_camera_that_was_silent_has_not_jumped():
    rgb = stream(30, 10)
    thermal = [stamp for stamp in stream(30, 10) if not 2000 * MS < stamp < 7000 * MS]
    matcher = NearestStampMatcher()
    pairs, _ = replay(matcher, rgb, thermal, rgb_latency_ms=5, thermal_latency_ms=30)
    assert [thermal_stamp for _, thermal_stamp in pairs] == thermal
    assert matcher.time_jumps == 0


def test_one_wrong_stamp_does_not_stop_pairing():
    rgb, thermal = stream(30, 2), stream(30, 2)
    matcher = NearestStampMatcher()
    first, _ = replay(matcher, rgb[:30], thermal[:30])
    matcher.add_rgb(0, "stamp of a driver that forgot it")
    matcher.add_rgb(10**18, "stamp in the future")
    second, _ = replay(matcher, rgb[30:], thermal[30:])
    assert first + second == list(zip(rgb, thermal, strict=True))


def test_a_late_frame_in_time_is_used_and_counted():
    matcher = NearestStampMatcher(PairingConfig(slop=0.005))
    matcher.add_rgb(33 * MS, "second")
    matcher.add_rgb(0, "first")
    assert matcher.out_of_order == {"rgb": 1}
    assert [match.rgb for match in matcher.add_thermal(1 * MS, "t1") + matcher.add_thermal(33 * MS, "t2")] == [
        "first",
        "second",
    ]


def test_a_frame_older_than_a_released_pair_is_late():
    matcher = NearestStampMatcher()
    matcher.add_rgb(100 * MS, "a")
    matcher.add_thermal(100 * MS, "b")
    assert matcher.add_rgb(90 * MS, "c") == []
    assert matcher.dropped == {"rgb_late": 1}


def test_a_repeated_stamp_is_a_duplicate():
    matcher = NearestStampMatcher()
    matcher.add_rgb(100 * MS, "first")
    matcher.add_rgb(100 * MS, "second")
    (match,) = matcher.add_thermal(100 * MS, "t")
    matcher.add_thermal(100 * MS, "u")
    assert match.rgb == "first"
    assert matcher.dropped == {"rgb_duplicate": 1, "thermal_duplicate": 1}


def test_queues_are_bounded_while_one_camera_is_silent():
    matcher = NearestStampMatcher(PairingConfig(queue_size=4))
    for stamp in stream(30, 10):
        matcher.add_rgb(stamp, stamp)
    assert matcher.pending == {"rgb": 4, "thermal": 0}
    assert matcher.dropped == {"rgb_overflow": 296}


def test_a_full_queue_releases_the_pair_that_waits_in_it():
    matcher = NearestStampMatcher(PairingConfig(slop=0.1, queue_size=2))
    # Thermal then silent: nothing proves that no thermal frame between 0 and 40 ms will come.
    assert matcher.add_thermal(0, "t") + matcher.add_rgb(20 * MS, "r") == []
    assert matcher.add_rgb(200 * MS, "r2") == []
    assert [(match.rgb, match.thermal) for match in matcher.add_rgb(233 * MS, "r3")] == [("r", "t")]


def test_reset_forgets_frames_and_keeps_counters():
    matcher = NearestStampMatcher()
    matcher.add_rgb(0, "a")
    matcher.reset()
    assert matcher.pending == {"rgb": 0, "thermal": 0}
    assert matcher.add_thermal(0, "b") == []
    assert matcher.dropped == {"rgb_reset": 1}
    assert matcher.time_jumps == 0


@pytest.mark.parametrize(
    "values",
    [{"slop": -0.001}, {"slop": float("nan")}, {"queue_size": 0}, {"patience": -1.0}, {"thermal_offset": 99.0}],
)
def test_bad_configuration_is_refused(values):
    (name,) = values
    with pytest.raises(InputError, match=name):
        PairingConfig(**values)


# -- properties ------------------------------------------------------------------------------------------------------

stamps = st.lists(st.integers(0, 400), max_size=25)


def oracle(rgb, thermal, slop):
    """The closest two frames belong together; what is left of them and what is right of them is solved alike."""
    candidates = [(abs(a - b), a, b) for a in rgb for b in thermal if abs(a - b) <= slop]
    if not candidates:
        return []
    _, a, b = min(candidates)
    left = oracle([x for x in rgb if x < a], [y for y in thermal if y < b], slop)
    right = oracle([x for x in rgb if x > a], [y for y in thermal if y > b], slop)
    return [*left, (a, b), *right]


@settings(deadline=None)
@given(
    rgb=st.sets(st.integers(0, 250), max_size=20),
    thermal=st.sets(st.integers(0, 250), max_size=20),
    slop=st.integers(0, 60),
)
def test_offline_pairs_are_those_of_the_definition(rgb, thermal, slop):
    rgb, thermal = sorted(rgb), sorted(thermal)
    config = PairingConfig(slop=slop / 1000)
    pairs, dropped = pair_offline([s * MS for s in rgb], [s * MS for s in thermal], config)
    found = [(rgb[i], thermal[j]) for i, j in pairs]
    wanted = oracle(rgb, thermal, slop)
    # Ties can be broken either way; the distances cannot.
    assert sorted(abs(a - b) for a, b in found) == sorted(abs(a - b) for a, b in wanted)
    assert dropped["rgb_unpaired"] == len(rgb) - len(pairs)
    assert dropped["thermal_unpaired"] == len(thermal) - len(pairs)


@settings(deadline=None)
@given(
    rgb=st.sets(st.integers(0, 250), max_size=20),
    thermal=st.sets(st.integers(0, 250), max_size=20),
    latencies=st.tuples(st.integers(0, 80), st.integers(0, 80)),
)
def test_pairs_do_not_depend_on_which_stream_is_late(rgb, thermal, latencies):
    rgb, thermal = [s * MS for s in sorted(rgb)], [s * MS for s in sorted(thermal)]
    results = []
    for latency in ((0, 0), latencies):
        matcher = NearestStampMatcher(PairingConfig(queue_size=100), early_release=False)
        pairs, _ = replay(matcher, rgb, thermal, *latency)
        results.append(pairs + [(match.rgb, match.thermal) for match in matcher.flush()])
    assert results[0] == results[1]


@settings(deadline=None)
@given(
    events=st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=80),
    slop=st.integers(0, 50),
    queue_size=st.integers(1, 6),
    early=st.booleans(),
)
def test_frames_are_conserved_whatever_arrives(events, slop, queue_size, early):
    matcher = NearestStampMatcher(PairingConfig(slop=slop / 1000, queue_size=queue_size), early_release=early)
    added: Counter[str] = Counter()
    matches = []
    for number, (is_rgb, stamp) in enumerate(events):
        added["rgb" if is_rgb else "thermal"] += 1
        add = matcher.add_rgb if is_rgb else matcher.add_thermal
        matches += add(stamp * MS, number)
        for side in ("rgb", "thermal"):
            lost = sum(count for name, count in matcher.dropped.items() if name.startswith(side))
            assert len(matches) + matcher.pending[side] + lost == added[side]
            assert matcher.pending[side] <= 2 * queue_size
    matches += matcher.flush()
    assert matcher.pending == {"rgb": 0, "thermal": 0}
    assert len({match.rgb for match in matches}) == len({match.thermal for match in matches}) == len(matches)
    assert all(abs(match.skew_ns) <= slop * MS for match in matches)
    if matcher.time_jumps == 0:
        assert all(
            before.rgb_stamp_ns < after.rgb_stamp_ns and before.thermal_stamp_ns < after.thermal_stamp_ns
            for before, after in itertools.pairwise(matches)
        )


def test_offline_takes_stamps_in_any_order_and_a_long_silence():
    rgb = [stamp * MS for stamp in range(0, 60_000, 33)]
    thermal = [0, 59_994 * MS]
    pairs, dropped = pair_offline(rgb[::-1], thermal)
    assert [(rgb[::-1][i], thermal[j]) for i, j in pairs] == [(0, 0), (59_994 * MS, 59_994 * MS)]
    assert dropped == {"rgb_unpaired": len(rgb) - 2}
