"""Light and temperature of the world: what changes from scene to scene while the road goes on."""

from __future__ import annotations

from dataclasses import dataclass, fields

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Atmosphere:
    """Light in units of full daylight, temperature in degrees Celsius. Colours are linear and in BGR order.

    Attributes:
        daylight: light on surfaces under the open sky.
        daylight_colour: tint of that light.
        zenith: radiance of the sky overhead.
        horizon: radiance of the sky at the horizon.
        glare: strength of a low sun ahead, 0 for none to 1.
        headlights: light of our own headlights on something 10 m ahead.
        lamps: strength of the street lamps and of lit windows.
        air: air temperature.
        sun_warming: how much hotter than the air asphalt is.
        sky: apparent temperature of the sky overhead.
        engine: how much hotter than the air engines, tyres and exhausts are.
    """

    daylight: float
    daylight_colour: Colour
    zenith: Colour
    horizon: Colour
    glare: float
    headlights: float
    lamps: float
    air: float
    sun_warming: float
    sky: float
    engine: float

    def blended(self, other: Atmosphere, share: float) -> Atmosphere:
        """Return what lies between this and `other`; light changes by ratio, since that is how eyes and cameras see."""
        values: dict[str, float | Colour] = {}
        for field in fields(self):
            first, second = getattr(self, field.name), getattr(other, field.name)
            if isinstance(first, tuple):
                values[field.name] = (
                    _between(first[0], second[0], share),
                    _between(first[1], second[1], share),
                    _between(first[2], second[2], share),
                )
            elif field.name == "daylight":
                values[field.name] = float(first ** (1 - share) * second**share)
            else:
                values[field.name] = _between(first, second, share)
        return Atmosphere(**values)  # type: ignore[arg-type]


def _between(first: float, second: float, share: float) -> float:
    return first + (second - first) * share


DAY = Atmosphere(
    daylight=1.0,
    daylight_colour=(0.92, 1.0, 1.06),
    zenith=(0.62, 0.38, 0.22),
    horizon=(0.80, 0.74, 0.68),
    glare=0.0,
    headlights=0.0,
    lamps=0.0,
    air=17.0,
    sun_warming=3.0,
    sky=6.0,
    engine=20.0,
)
LOW_SUN = Atmosphere(
    daylight=0.85,
    daylight_colour=(0.66, 0.92, 1.14),
    zenith=(0.75, 0.62, 0.50),
    horizon=(0.85, 1.0, 1.12),
    glare=1.0,
    headlights=0.0,
    lamps=0.0,
    air=15.0,
    sun_warming=2.0,
    sky=6.0,
    engine=20.0,
)
NIGHTFALL = Atmosphere(
    daylight=0.009,
    daylight_colour=(1.45, 1.0, 0.8),
    zenith=(0.020, 0.010, 0.006),
    horizon=(0.030, 0.022, 0.026),
    glare=0.0,
    headlights=0.10,
    lamps=1.0,
    air=13.0,
    sun_warming=2.0,
    sky=2.0,
    engine=26.0,
)
UNLIT_NIGHT = Atmosphere(
    daylight=0.0007,
    daylight_colour=(1.3, 1.0, 0.85),
    zenith=(0.0008, 0.0005, 0.0004),
    horizon=(0.0014, 0.0011, 0.0010),
    glare=0.0,
    headlights=0.016,
    lamps=0.0,
    air=10.0,
    sun_warming=3.0,
    sky=0.0,
    engine=26.0,
)
