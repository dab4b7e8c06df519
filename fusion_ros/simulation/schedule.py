"""What happens when: the scenes of a drive in their order, and which sensor fails in which."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.simulation.light import DAY, LOW_SUN, NIGHTFALL, UNLIT_NIGHT, Atmosphere


@dataclass(frozen=True)
class Scene:
    """A stretch of the drive.

    Attributes:
        condition: its label in the ground truth.
        duration: its length in seconds, in a drive of the default length.
        atmosphere: light and temperature.
        oncoming: cars that come towards us.
        pedestrians: people on the sidewalks and on the road.
        cyclists: cyclists before us or coming towards us.
        tunnel: whether this stretch is a tunnel.
        thermal_frozen: whether the thermal camera repeats its last image, as during a flat-field correction.
        rgb_silent: whether the RGB camera sends nothing.
    """

    condition: str
    duration: float
    atmosphere: Atmosphere
    oncoming: int = 1
    pedestrians: int = 3
    cyclists: int = 0
    tunnel: bool = False
    thermal_frozen: bool = False
    rgb_silent: bool = False


# In the order of the demo: good light, then each thing that one of the two cameras cannot cope with.
SCENES = (
    Scene("day", 5.0, DAY, oncoming=1, pedestrians=5, cyclists=1),
    Scene("tunnel", 2.5, LOW_SUN, oncoming=0, pedestrians=0, tunnel=True),
    Scene("glare", 4.0, LOW_SUN, oncoming=1, pedestrians=5, cyclists=1),
    Scene("headlights", 4.5, NIGHTFALL, oncoming=4, pedestrians=5, cyclists=1),
    Scene("dark", 4.5, UNLIT_NIGHT, oncoming=0, pedestrians=7, cyclists=1),
    Scene("frozen_thermal", 2.5, DAY, oncoming=1, pedestrians=4, cyclists=0, thermal_frozen=True),
    Scene("dropped_rgb", 2.0, DAY, oncoming=1, pedestrians=4, cyclists=1, rgb_silent=True),
    Scene("day", 3.0, DAY, oncoming=1, pedestrians=4, cyclists=1),
)

# The light changes over this time at the start of a scene.
TRANSITION_S = 0.6


@dataclass(frozen=True)
class Schedule:
    """Scenes with the times at which they start.

    Attributes:
        scenes: in order.
        starts: start of each scene in seconds from the start of the drive.
        duration: length of the whole drive in seconds.
    """

    scenes: tuple[Scene, ...]
    starts: tuple[float, ...]
    duration: float

    @classmethod
    def of_length(cls, duration: float, scenes: tuple[Scene, ...] = SCENES) -> Schedule:
        """Stretch or squeeze `scenes` to a drive of `duration` seconds."""
        scale = duration / sum(scene.duration for scene in scenes)
        starts, now = [], 0.0
        for scene in scenes:
            starts.append(now)
            now += scene.duration * scale
        return cls(scenes, tuple(starts), duration)

    def index_at(self, seconds: float) -> int:
        """Return the index of the scene that is on at `seconds`."""
        return max((index for index, start in enumerate(self.starts) if start <= seconds), default=0)

    def scene_at(self, seconds: float) -> Scene:
        """Return the scene that is on at `seconds`."""
        return self.scenes[self.index_at(seconds)]

    def end_of(self, index: int) -> float:
        """Return when the scene of that index ends."""
        return self.starts[index + 1] if index + 1 < len(self.starts) else self.duration

    def atmosphere_at(self, seconds: float) -> Atmosphere:
        """Return light and temperature at `seconds`, in transition where a scene has just begun."""
        index = self.index_at(seconds)
        scene = self.scenes[index]
        into = (seconds - self.starts[index]) / TRANSITION_S
        if index == 0 or into >= 1.0:
            return scene.atmosphere
        return self.scenes[index - 1].atmosphere.blended(scene.atmosphere, into)
