"""The simulated drive: the same for a seed, true to its ground truth, and with every fault it promises."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.simulation.drive import DriveConfig, SimulatedDrive
from fusion_ros.simulation.layers import BICYCLE_MASK, MASK_NAMES, PERSON_MASK, ROAD, VEHICLE_MASK
from fusion_ros.simulation.road_users import BICYCLE, CAR, CLASS_NAMES, PERSON
from fusion_ros.simulation.schedule import Schedule
from fusion_ros.simulation.sensors import counts_from_celsius
from fusion_ros.simulation.world import World

SMALL = DriveConfig(width=160, height=120, duration=14.0, rgb_rate=4.0, thermal_rate=3.6)
MASK_OF_CLASS = {PERSON: PERSON_MASK, BICYCLE: BICYCLE_MASK, CAR: VEHICLE_MASK}

HASH_PROGRAM = """
import hashlib
from fusion_ros.simulation.drive import DriveConfig, SimulatedDrive
digest = hashlib.sha256()
for event in SimulatedDrive(DriveConfig(seed={seed}, width=96, height=72, duration=3.0, rgb_rate=4.0)):
    digest.update(str(event.stamp_ns).encode())
    if event.frame is not None:
        digest.update(event.frame.image.tobytes())
    if event.truth is not None:
        digest.update(event.truth.boxes.xyxy.tobytes() + event.truth.mask.class_id.tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def events():
    return list(SimulatedDrive(SMALL))


def by_sensor(events, sensor):
    return [event for event in events if event.sensor == sensor]


def test_a_seed_gives_the_same_bytes_in_two_processes_and_another_seed_others():
    digests = [
        subprocess.run(
            [sys.executable, "-c", HASH_PROGRAM.format(seed=seed)], check=True, capture_output=True, text=True
        ).stdout.strip()
        for seed in (5, 5, 6)
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert len(digests[0]) == len(hashlib.sha256().hexdigest())


def test_both_cameras_keep_their_rates_and_are_never_exposed_together(events):
    rgb, thermal = by_sensor(events, "rgb"), by_sensor(events, "thermal")
    # 14 s at 4 Hz; the thermal camera starts 21 ms later.
    assert len(rgb) == 56
    assert len(thermal) == 51
    for frames, rate in ((rgb, 4.0), (thermal, 3.6)):
        stamps = np.array([event.stamp_ns for event in frames])
        assert (np.diff(stamps) > 0).all()
        # Three standard deviations of jitter at both ends.
        np.testing.assert_allclose(np.diff(stamps) / 1e9, 1 / rate, atol=0.0091)
    assert not {event.stamp_ns for event in rgb} & {event.stamp_ns for event in thermal}


def test_messages_arrive_after_the_latency_of_their_camera(events):
    assert {event.received_ns - event.stamp_ns for event in by_sensor(events, "rgb")} == {30_000_000}
    assert {event.received_ns - event.stamp_ns for event in by_sensor(events, "thermal")} == {5_000_000}


def test_frames_have_the_types_that_real_cameras_send(events):
    for event in events:
        if event.frame is None:
            continue
        image = event.frame.image
        expected = ((120, 160, 3), np.uint8) if event.sensor == "rgb" else ((120, 160), np.uint16)
        assert (image.shape, image.dtype) == expected
        assert event.frame.frame_id == f"{event.sensor}_camera"


def test_every_condition_comes_in_its_order(events):
    seen = [event.condition for event in events]
    order = [condition for condition, before in zip(seen, [None, *seen], strict=False) if condition != before]
    assert order == ["day", "tunnel", "glare", "headlights", "dark", "frozen_thermal", "dropped_rgb", "day"]


def test_boxes_lie_in_the_image_and_hold_pixels_of_their_class(events):
    count = 0
    for event in by_sensor(events, "rgb"):
        if event.truth is None:
            continue
        mask = event.truth.mask.class_id
        for box, class_id in zip(event.truth.boxes.xyxy.astype(int), event.truth.boxes.class_id, strict=True):
            left, top, right, bottom = box
            assert 0 <= left < right <= 160
            assert 0 <= top < bottom <= 120
            inside = mask[top:bottom, left:right] == MASK_OF_CLASS[int(class_id)]
            # A box is as tight as it can be: something of its class touches each of its sides.
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
            count += 1
    assert count > 100


def test_everything_there_is_to_find_occurs(events):
    classes = {int(class_id) for event in events if event.truth for class_id in event.truth.boxes.class_id}
    assert classes == set(CLASS_NAMES)
    mask_values = set.union(*(set(np.unique(event.truth.mask.class_id)) for event in events if event.truth))
    assert {int(value) for value in mask_values} == set(MASK_NAMES)
    visible = np.concatenate([event.truth.boxes.confidence for event in events if event.truth])
    assert visible.min() >= SimulatedDrive.LEAST_VISIBILITY
    assert visible.max() == 1.0


def test_an_object_keeps_its_name_while_it_is_in_sight(events):
    sightings = {}
    for index, event in enumerate(by_sensor(events, "rgb")):
        if event.truth is not None:
            assert len(set(event.truth.identities)) == len(event.truth.identities)
            for identity in event.truth.identities:
                sightings.setdefault(identity, []).append(index)
    assert any(len(frames) > 5 for frames in sightings.values())


def mean_luma(event):
    return float(event.frame.image.mean())


def test_the_light_is_that_of_the_condition(events):
    luma = {}
    saturated = {}
    for event in by_sensor(events, "rgb"):
        if event.frame is not None:
            luma.setdefault(event.condition, []).append(mean_luma(event))
            saturated.setdefault(event.condition, []).append(float((event.frame.image.min(axis=2) >= 250).mean()))
    middle = {name: float(np.median(values)) for name, values in luma.items()}
    # By day the exposure is settled in the middle of the range; unlit road is beyond the longest exposure.
    assert 80 < middle["day"] < 160
    assert middle["dark"] < 40
    # The sun clips a good part of the image, day does not.
    assert np.median(saturated["glare"]) > 0.05
    assert np.median(saturated["day"]) < 0.01


def test_people_are_warmer_than_the_night_around_them(events):
    thermal = by_sensor(events, "thermal")
    compared = 0
    for event in by_sensor(events, "rgb"):
        if event.condition != "dark" or event.truth is None:
            continue
        near = min(thermal, key=lambda other, stamp=event.stamp_ns: abs(other.stamp_ns - stamp))
        if abs(near.stamp_ns - event.stamp_ns) > 30_000_000:
            continue
        # Hundredths of a kelvin.
        celsius = near.frame.image / 100 - 273.15
        mask = event.truth.mask.class_id
        if np.count_nonzero(mask == PERSON_MASK) < 30:
            continue
        compared += 1
        assert np.median(celsius[mask == PERSON_MASK]) > np.median(celsius[mask == ROAD]) + 4
        # In hundredths of a kelvin, nothing on a road is hotter than boiling water or colder than a deep-freezer.
        assert celsius.min() > -40
        assert celsius.max() < 100
    assert compared >= 1


def test_the_thermal_camera_freezes_with_stamps_going_on(events):
    frozen = [event for event in by_sensor(events, "thermal") if event.condition == "frozen_thermal"]
    assert len(frozen) >= 3
    assert len({event.frame.image.tobytes() for event in frozen}) == 1
    assert len({event.stamp_ns for event in frozen}) == len(frozen)
    others = [event for event in by_sensor(events, "thermal") if event.condition == "glare"]
    assert len({event.frame.image.tobytes() for event in others}) == len(others)


def test_the_rgb_camera_falls_silent_and_comes_back(events):
    rgb = by_sensor(events, "rgb")
    for event in rgb:
        assert (event.frame is None) == (event.condition == "dropped_rgb")
        assert (event.truth is None) == (event.frame is None)
    assert rgb[-1].frame is not None


def test_a_camera_further_right_sees_the_road_shifted_by_the_parallax():
    """By focal length times baseline over distance, which for a row is focal length times height over its drop."""
    world = World(np.random.default_rng(1), Schedule.of_length(28.0))
    view = world.viewpoint(0.0, 160, 120)
    left, right = (world.paint_thermal(view.moved_right(metres), 0.0) for metres in (0.0, 0.5))
    rows = np.arange(85, 110)
    lags = np.arange(-60, 61)
    shifts = []
    for row in rows:
        first, second = np.diff(left[row]), np.diff(right[row])
        shifts.append(lags[int(np.argmax([float((np.roll(second, lag) * first).sum()) for lag in lags]))])
    expected = 0.5 * (rows - view.center_y) / view.mount_height
    assert np.median(np.abs(np.array(shifts) - expected)) <= 1.0


def test_the_baseline_moves_the_thermal_camera_only():
    plain, moved = (
        list(SimulatedDrive(DriveConfig(width=96, height=72, duration=2.0, rgb_rate=1.0, baseline=baseline)))
        for baseline in (0.0, 0.5)
    )
    for one, other in zip(plain, moved, strict=True):
        if one.frame is not None:
            assert np.array_equal(one.frame.image, other.frame.image) == (one.sensor == "rgb")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 10}, "width: 10 is not allowed"),
        ({"rgb_rate": 0.0}, "rgb_rate: 0.0 is not allowed"),
        ({"duration": 1e6}, "duration: 1000000.0 is not allowed"),
        ({"seed": -1}, "seed: -1 is not allowed"),
    ],
)
def test_settings_out_of_range_are_refused(changes, reason):
    with pytest.raises(InputError, match=reason):
        DriveConfig(**changes)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 49), (1920, 48), (64, 1200), (321, 241)])
def test_every_pixel_has_a_temperature_whatever_the_size(width, height):
    drive = SimulatedDrive(DriveConfig(width=width, height=height))
    world = World(np.random.default_rng(3), drive.schedule)
    # Open road, tunnel and night.
    for seconds in np.linspace(0.5, drive.schedule.duration - 0.5, 5):
        temperature = world.paint_thermal(world.viewpoint(float(seconds), width, height), float(seconds))
        counts = counts_from_celsius(temperature)
        # From a clear sky to an engine.
        assert -60.0 < temperature.min() <= temperature.max() < 120.0
        assert np.abs(counts / 100 - 273.15 - temperature).max() <= 0.006
