"""What the two cameras make of the world: exposure, clipping, bloom and noise; counts, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.simulation.layers import VisibleLayers
from fusion_ros.simulation.light import Atmosphere
from fusion_ros.simulation.viewpoint import Viewpoint

_LAMP_COLOUR = (0.62, 0.88, 1.0)
_LUMINANCE = np.array([0.114, 0.587, 0.299], np.float32)

# A radiometric camera's counts are hundredths of a kelvin (Lepton and Boson, TLinear).
COUNTS_PER_KELVIN = 100.0
ZERO_CELSIUS_KELVIN = 273.15


def counts_from_celsius(celsius: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return raw counts, hundredths of a kelvin, of temperatures in degrees Celsius."""
    counts = (celsius + ZERO_CELSIUS_KELVIN) * COUNTS_PER_KELVIN
    return np.clip(np.round(counts), 0, 65535).astype(np.uint16)


class NoiseBank:
    """Normal noise that is drawn once and read from a different place for every frame: drawing anew takes long."""

    def __init__(self, generator: np.random.Generator, size: int) -> None:
        self._values = generator.standard_normal(3 * size, dtype=np.float32)
        self._generator = generator

    def take(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return normal noise of variance 1 in `shape`."""
        count = int(np.prod(shape))
        start = int(self._generator.integers(0, len(self._values) - count))
        return self._values[start : start + count].reshape(shape)


@dataclass(frozen=True)
class RgbResponse:
    """How the RGB camera exposes.

    Attributes:
        target: mean of the exposed image that the automatic exposure aims at, linear, 0 to 1.
        settling_s: time constant of the automatic exposure in seconds.
        lowest_gain: gain at the shortest exposure.
        highest_gain: gain at the longest exposure; what is too dark for it stays dark.
        shot_noise: variance per unit of signal at gain 1.
        read_noise: standard deviation at gain 1.
    """

    target: float = 0.22
    settling_s: float = 0.55
    lowest_gain: float = 0.35
    highest_gain: float = 7.0
    shot_noise: float = 1.2e-4
    read_noise: float = 5e-4


class RgbCamera:
    """Turns layers into (H, W, 3) uint8 BGR frames, each exposed by what the ones before looked like."""

    def __init__(self, noise: NoiseBank, response: RgbResponse | None = None) -> None:
        self._noise = noise
        self._response = response or RgbResponse()
        self._gain: float | None = None
        self._to_linear = np.power(np.arange(256, dtype=np.float32) / 255, 2.2)
        levels = np.linspace(0, 1, 4097)
        self._to_display = np.round(255 * levels ** (1 / 2.2)).astype(np.uint8)

    def expose(
        self, layers: VisibleLayers, view: Viewpoint, atmosphere: Atmosphere, seconds_since_last: float
    ) -> NDArray[np.uint8]:
        """Take one picture."""
        radiance = self._radiance(layers, atmosphere)
        if atmosphere.glare > 0.02:
            _add_sun(radiance, layers.sky, view, atmosphere.glare)
        gain = self._exposed_gain(radiance, seconds_since_last)
        signal = radiance * np.float32(gain)
        _add_bloom(signal)
        response = self._response
        variance = np.maximum(signal, 0) * np.float32(response.shot_noise * gain)
        variance += np.float32((response.read_noise * gain) ** 2)
        signal += self._noise.take(signal.shape) * np.sqrt(variance)
        levels = np.clip(signal, 0, 1)
        # A lens is never quite sharp; that also softens the edges of what was painted.
        levels = cv2.GaussianBlur(levels, (3, 3), 0.45)
        picture: NDArray[np.uint8] = self._to_display[(levels * 4096).astype(np.uint16)]
        return picture

    def _radiance(self, layers: VisibleLayers, atmosphere: Atmosphere) -> NDArray[np.float32]:
        # Plane by plane: numpy is slow along an axis of three.
        light = cv2.merge(
            [
                layers.sky_light * np.float32(daylight) + layers.lamp_light * np.float32(lamp)
                for daylight, lamp in zip(atmosphere.daylight_colour, _LAMP_COLOUR, strict=True)
            ]
        )
        radiance: NDArray[np.float32] = np.asarray(cv2.LUT(layers.albedo, self._to_linear), np.float32)
        radiance *= np.asarray(light, np.float32)
        radiance += layers.glow
        return radiance

    def _exposed_gain(self, radiance: NDArray[np.float32], seconds: float) -> float:
        """Move the gain towards the one that gives the target mean, and return it."""
        response = self._response
        # Metered on a coarse picture, as a camera's own statistics are.
        coarse = cv2.resize(radiance, (40, 30), interpolation=cv2.INTER_AREA) @ _LUMINANCE
        rounds, share = (12, 1.0) if self._gain is None else (1, 1 - float(np.exp(-seconds / response.settling_s)))
        gain = 1.0 if self._gain is None else self._gain
        for _ in range(rounds):
            mean = max(float(np.minimum(coarse * gain, 1).mean()), 1e-4)
            gain *= (response.target / mean) ** share
            gain = min(max(gain, response.lowest_gain), response.highest_gain)
        self._gain = gain
        return gain


SUN_DIRECTION = (0.10, -0.155)


def _add_sun(radiance: NDArray[np.float32], sky: NDArray[np.bool_], view: Viewpoint, strength: float) -> None:
    """Add a low sun with its halo, its mirror in the road, and the veil it throws over the lens."""
    x = view.center_x + view.focal_px * SUN_DIRECTION[0]
    y = view.center_y + view.focal_px * SUN_DIRECTION[1]
    row, column, reach = int(y), int(x), max(3, view.width // 40)
    around = sky[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    # Behind a house or under a roof only the bright sky around it counts.
    seen = strength * float(around.mean()) if around.size else 0.0
    rows = (np.arange(view.height, dtype=np.float32) - y)[:, None]
    columns = (np.arange(view.width, dtype=np.float32) - x)[None, :]
    distance = (rows**2 + columns**2) / np.float32((0.05 * view.width) ** 2)
    colour = np.array([0.78, 0.93, 1.0], np.float32)
    halo = np.float32(26.0 * seen) / (1 + distance) ** 1.5 + np.float32(0.42 * seen) / (1 + 0.02 * distance)
    halo += np.float32(0.05 * strength)
    bright_sky = sky * (np.float32(2.6 * strength) / (1 + 0.05 * distance) + np.float32(0.25 * strength))
    across = np.exp(-((columns / (0.055 * view.width)) ** 2))
    mirror = np.float32(1.9 * seen) * across * np.clip((rows + y - view.center_y - 2) / (0.1 * view.height), 0, 1)
    mirror = mirror * np.exp(-np.clip(rows + y - view.center_y, 0, None) / np.float32(0.32 * view.height))
    radiance += (halo + bright_sky + mirror)[:, :, None] * colour
    _add_flare(radiance, view, x, y, seen)


def _add_flare(radiance: NDArray[np.float32], view: Viewpoint, x: float, y: float, seen: float) -> None:
    """Add the ghosts that the sun leaves between a lens's surfaces, on the line through the image's middle."""
    if seen < 0.05:
        return
    middle_x, middle_y = view.width / 2, view.height / 2
    ghosts = np.zeros((view.height // 2, view.width // 2, 3), np.float32)
    for place, size, tint in (
        (0.55, 0.020, (0.5, 0.9, 0.5)),
        (1.35, 0.034, (0.9, 0.6, 0.4)),
        (1.8, 0.06, (0.4, 0.6, 0.9)),
    ):
        center = (int((x + (middle_x - x) * place) / 2), int((y + (middle_y - y) * place) / 2))
        colour = tuple(0.10 * seen * channel for channel in tint)
        cv2.circle(ghosts, center, max(2, int(size * view.width / 2)), colour, -1)
    radiance += cv2.resize(cv2.blur(ghosts, (3, 3)), (view.width, view.height), interpolation=cv2.INTER_LINEAR)


def _add_bloom(signal: NDArray[np.float32]) -> None:
    """Spread what is over full scale to its surroundings, as glass and sensor do."""
    excess = np.clip(signal - 1, 0, 300)
    if float(excess.max()) < 0.2:
        return
    height, width = signal.shape[:2]
    small = cv2.resize(excess, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    near = cv2.GaussianBlur(small, (0, 0), max(1.0, width / 320))
    far = cv2.GaussianBlur(cv2.resize(small, (width // 8, height // 8)), (0, 0), 3.2 * width / 320)
    streak = cv2.blur(small, (max(3, width // 14) | 1, 1))
    spread = 0.18 * near + 0.02 * streak + 0.16 * cv2.resize(far, (width // 4, height // 4))
    signal += cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)


class ThermalCamera:
    """Turns temperatures into (H, W) uint16 raw counts."""

    def __init__(self, noise: NoiseBank, generator: np.random.Generator, height: int, width: int) -> None:
        self._noise = noise
        # The part of the noise that stays: columns with their own amplifiers, and each pixel's own offset.
        self._pattern = (
            0.05 * generator.standard_normal((1, width), dtype=np.float32)
            + 0.03 * generator.standard_normal((height, width), dtype=np.float32)
        ).astype(np.float32)

    def expose(self, temperature: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Take one picture; noise equivalent temperature difference 60 mK."""
        blurred = cv2.GaussianBlur(temperature, (5, 5), 0.75)
        noisy = blurred + self._pattern + np.float32(0.06) * self._noise.take(temperature.shape)
        return counts_from_celsius(np.asarray(noisy, np.float32))
