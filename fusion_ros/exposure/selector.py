"""Which fusion mode the light calls for, without flicker between modes."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.types import NANOSECONDS_PER_SECOND, ExposureReading

GLARE_MODE = "epofusion"
DARK_MODE = "dfvo"
NORMAL_MODE = "caf"


@dataclass(frozen=True)
class SelectorConfig:
    """Shares of the image at which a mode is entered and left.

    The defaults are derived from real pairs by `benchmarks/exposure_thresholds.py`.

    Raises:
        InputError: a value out of range, or an exit threshold above its enter threshold.
    """

    glare_enter: float = setting(0.038, "over-exposed share that calls for epofusion", minimum=0.0, maximum=1.0)
    glare_exit: float = setting(0.035, "over-exposed share below which epofusion is left", minimum=0.0, maximum=1.0)
    dark_enter: float = setting(0.49, "dark share that calls for dfvo", minimum=0.0, maximum=1.0)
    dark_exit: float = setting(0.42, "dark share below which dfvo is left", minimum=0.0, maximum=1.0)
    dwell: float = setting(0.5, "time a change must be called for before it is made", unit="s", minimum=0.0, maximum=60)

    def __post_init__(self) -> None:
        validate(self)
        for name in ("glare", "dark"):
            enter, leave = getattr(self, f"{name}_enter"), getattr(self, f"{name}_exit")
            if leave > enter:
                raise InputError(f"{name}_exit: {leave} is above {name}_enter {enter}; it must not be")


class ModeSelector:
    """Follows the exposure readings; glare wins over darkness.

    Each condition has hysteresis: it begins at its enter threshold and ends below its exit threshold. A change of mode
    is made once the readings have called for the same new mode for `dwell`. The first reading decides at once, and so
    does the first after stamps that go back.
    """

    def __init__(self, config: SelectorConfig | None = None) -> None:
        self.config = SelectorConfig() if config is None else config
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next reading decides at once."""
        self._mode: str | None = None
        self._candidate: str | None = None
        self._since_ns = 0
        self._last_ns = 0

    def update(self, reading: ExposureReading, stamp_ns: int) -> str:
        """Take one reading and return the mode in force: `epofusion`, `dfvo` or `caf`."""
        if self._mode is not None and stamp_ns < self._last_ns:
            self.reset()
        self._last_ns = stamp_ns
        wanted = self._wanted(reading)
        if self._mode is None:
            self._mode = wanted
        if wanted == self._mode:
            self._candidate = None
            return self._mode
        if wanted != self._candidate:
            self._candidate, self._since_ns = wanted, stamp_ns
        if stamp_ns - self._since_ns >= self.config.dwell * NANOSECONDS_PER_SECOND:
            self._mode, self._candidate = wanted, None
        return self._mode

    def _wanted(self, reading: ExposureReading) -> str:
        config = self.config
        if _holds(reading.glare_fraction, self._mode == GLARE_MODE, config.glare_enter, config.glare_exit):
            return GLARE_MODE
        if _holds(reading.dark_fraction, self._mode == DARK_MODE, config.dark_enter, config.dark_exit):
            return DARK_MODE
        return NORMAL_MODE


def _holds(share: float, in_force: bool, enter: float, leave: float) -> bool:
    return share >= (leave if in_force else enter)
