"""A drive that never took place: thermal and RGB frames of a procedural road with ground truth, the same for a seed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.simulation.layers import MASK_NAMES, VisibleLayers
from fusion_ros.simulation.road_users import CLASS_NAMES
from fusion_ros.simulation.schedule import Schedule
from fusion_ros.simulation.sensors import NoiseBank, RgbCamera, ThermalCamera
from fusion_ros.simulation.world import SeenUser, World
from fusion_ros.types import NANOSECONDS_PER_SECOND, Detections, Frame, SegmentationMask

RGB_FRAME_ID = "rgb_camera"
THERMAL_FRAME_ID = "thermal_camera"


@dataclass(frozen=True)
class DriveConfig:
    """What kind of drive to simulate."""

    seed: int = setting(7, "Number that the whole drive follows from", minimum=0)
    width: int = setting(320, "Image width", unit="px", minimum=64, maximum=1920)
    height: int = setting(240, "Image height", unit="px", minimum=48, maximum=1200)
    duration: float = setting(
        28.0, "Length of the drive; its scenes stretch with it", unit="s", minimum=2.0, maximum=600.0
    )
    rgb_rate: float = setting(10.0, "Frame rate of the RGB camera", unit="Hz", minimum=0.5, maximum=60.0)
    thermal_rate: float = setting(9.0, "Frame rate of the thermal camera", unit="Hz", minimum=0.5, maximum=60.0)
    rgb_latency: float = setting(
        0.030, "Time from the RGB camera's exposure to its message", unit="s", minimum=0.0, maximum=1.0
    )
    thermal_latency: float = setting(
        0.005, "Time from the thermal camera's exposure to its message", unit="s", minimum=0.0, maximum=1.0
    )
    jitter: float = setting(
        0.0015, "Standard deviation of the frame times of both cameras", unit="s", minimum=0.0, maximum=0.01
    )
    baseline: float = setting(
        0.0,
        "How far to the right of the RGB camera the thermal one is mounted; 0 for one common grid",
        unit="m",
        minimum=-1.0,
        maximum=1.0,
    )
    start: float = setting(1_760_000_000.0, "Time of the first frame since the epoch", unit="s", minimum=0.0)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class GroundTruth:
    """What is to be seen in an RGB frame.

    Attributes:
        boxes: what can be seen of persons, bicycles and cars; `confidence` holds the share that nothing covers.
        identities: the same name for the same object in every frame.
        mask: class of every pixel.
    """

    boxes: Detections
    identities: tuple[str, ...]
    mask: SegmentationMask


@dataclass(frozen=True)
class DriveEvent:
    """One moment at which a camera takes a picture.

    Attributes:
        sensor: `rgb` or `thermal`.
        frame: the picture; None where the camera is silent. A thermal image is uint16 in hundredths of a kelvin.
        stamp_ns: time of exposure in nanoseconds.
        received_ns: when its message arrives.
        condition: label of the scene.
        truth: what is in an RGB frame, None for a thermal one.
    """

    sensor: str
    frame: Frame | None
    stamp_ns: int
    received_ns: int
    condition: str
    truth: GroundTruth | None = None


class SimulatedDrive:
    """Iterate over it for the events of the drive in the order of exposure. The same config gives the same events."""

    # What is smaller or more covered than this is not in the ground truth: nobody could tell what it is.
    SMALLEST_HEIGHT_PX = 9
    SMALLEST_WIDTH_PX = 3
    LEAST_VISIBILITY = 0.25

    def __init__(self, config: DriveConfig | None = None) -> None:
        self.config = config or DriveConfig()
        self.schedule = Schedule.of_length(self.config.duration)

    def __iter__(self) -> Iterator[DriveEvent]:
        config = self.config
        world_seed, rgb_seed, thermal_seed, jitter_seed = np.random.SeedSequence(config.seed).spawn(4)
        world = World(np.random.default_rng(world_seed), self.schedule)
        pixels = config.width * config.height
        rgb_camera = RgbCamera(NoiseBank(np.random.default_rng(rgb_seed), 3 * pixels))
        thermal_generator = np.random.default_rng(thermal_seed)
        thermal_camera = ThermalCamera(
            NoiseBank(thermal_generator, pixels), thermal_generator, config.height, config.width
        )
        jitter = np.random.default_rng(jitter_seed)
        # The thermal camera is not started together with the other one.
        ticks = heapq.merge(
            _ticks("rgb", 0.0, config.rgb_rate, config), _ticks("thermal", 0.021, config.thermal_rate, config)
        )
        last_rgb = 0.0
        frozen: NDArray[np.uint16] | None = None
        for nominal, sensor in ticks:
            seconds = max(0.0, nominal + config.jitter * float(np.clip(jitter.standard_normal(), -3, 3)))
            if sensor == "rgb":
                yield self._rgb_event(world, rgb_camera, seconds, seconds - last_rgb)
                last_rgb = seconds
                continue
            event = self._thermal_event(world, thermal_camera, seconds, frozen)
            assert event.frame is not None
            frozen = event.frame.image.astype(np.uint16, copy=False)
            yield event

    def _rgb_event(self, world: World, camera: RgbCamera, seconds: float, since_last: float) -> DriveEvent:
        config = self.config
        scene = self.schedule.scene_at(seconds)
        stamp_ns, received_ns = self._stamps(seconds, config.rgb_latency)
        if scene.rgb_silent:
            return DriveEvent("rgb", None, stamp_ns, received_ns, scene.condition)
        view = world.viewpoint(seconds, config.width, config.height)
        layers, seen = world.paint_visible(view, seconds)
        image = camera.expose(layers, view, self.schedule.atmosphere_at(seconds), since_last)
        frame = Frame(image, stamp_ns, RGB_FRAME_ID)
        return DriveEvent("rgb", frame, stamp_ns, received_ns, scene.condition, self._truth(layers, seen))

    def _thermal_event(
        self, world: World, camera: ThermalCamera, seconds: float, last: NDArray[np.uint16] | None
    ) -> DriveEvent:
        config = self.config
        scene = self.schedule.scene_at(seconds)
        stamp_ns, received_ns = self._stamps(seconds, config.thermal_latency)
        if scene.thermal_frozen and last is not None:
            image = last
        else:
            view = world.viewpoint(seconds, config.width, config.height).moved_right(config.baseline)
            image = camera.expose(world.paint_thermal(view, seconds))
        return DriveEvent("thermal", Frame(image, stamp_ns, THERMAL_FRAME_ID), stamp_ns, received_ns, scene.condition)

    def _stamps(self, seconds: float, latency: float) -> tuple[int, int]:
        stamp_ns = int(self.config.start) * NANOSECONDS_PER_SECOND + round(seconds * NANOSECONDS_PER_SECOND)
        return stamp_ns, stamp_ns + round(latency * NANOSECONDS_PER_SECOND)

    def _truth(self, layers: VisibleLayers, seen: list[SeenUser]) -> GroundTruth:
        boxes, scores, classes, identities = [], [], [], []
        visible = np.bincount(layers.owner.reshape(-1), minlength=len(layers.painted) + 1)
        for user in seen:
            count, painted = int(visible[user.number]), layers.painted[user.number - 1].pixels
            if count == 0 or count < self.LEAST_VISIBILITY * painted:
                continue
            rows, columns = np.nonzero(layers.owner == user.number)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            if box[3] - box[1] < self.SMALLEST_HEIGHT_PX or box[2] - box[0] < self.SMALLEST_WIDTH_PX:
                continue
            boxes.append(box)
            scores.append(count / painted)
            classes.append(user.class_id)
            identities.append(user.identity)
        detections = Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32),
            np.array(classes, np.int64),
            CLASS_NAMES,
        )
        return GroundTruth(detections, tuple(identities), SegmentationMask(layers.class_id, MASK_NAMES))


def _ticks(sensor: str, first: float, rate: float, config: DriveConfig) -> Iterator[tuple[float, str]]:
    for index in range(int(np.ceil((config.duration - first) * rate))):
        yield first + index / rate, sensor
