"""How much of each mode is in the picture after a switch, so that the picture does not jump with the mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.fusion.fallback import Answer, FallbackFusion
from fusion_ros.types import NANOSECONDS_PER_SECOND

# Half a grey level between black and white: less than this of a mode cannot be seen in 8 bit.
_INVISIBLE = 0.5 / 255.0


class ModeFade:
    """Follows the modes of a video and says which earlier ones are still to be seen in the next frame.

    Shares move by the stamps, at a rate that would take `seconds` from one mode to another. They thus do not depend on
    the frame rate or on how long a frame takes to compute, and between two frames that are dt apart no pixel moves by
    more than dt / `seconds` of the distance between two modes' pictures, however often and quickly the mode changes.

    There is nothing to fade over where the frame before is `seconds` or more away, lies in the future or was taken at
    the same moment: the picture then is the new mode's at once. A node that needs that long for a frame never pays for
    a second network.

    Attributes:
        seconds: length of a fade from one mode to another, 0 for none; it may change at any time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.reset()

    def reset(self) -> None:
        """Forget the pictures so far: the next frame is its own mode's alone."""
        self._earlier: dict[str, float] = {}
        self._mode: str | None = None
        self._stamp_ns = 0

    def update(self, mode: str, stamp_ns: int) -> Mapping[str, float]:
        """Take the next frame.

        Args:
            mode: the mode in force.
            stamp_ns: the frame's stamp in nanoseconds.

        Returns:
            Shares of the earlier modes that are still in the picture, above 0 and in sum below 1; the rest is `mode`'s.
        """
        step = self._step(stamp_ns)
        if self._mode is not None and mode != self._mode:
            self._earlier[self._mode] = 1.0 - sum(self._earlier.values())
            self._earlier.pop(mode, None)
        self._mode, self._stamp_ns = mode, stamp_ns
        before = sum(self._earlier.values())
        # Those in force before the last switch keep their proportions: what was to be seen fades as one picture.
        left = max(0.0, before - step) / before if before else 0.0
        self._earlier = {name: share * left for name, share in self._earlier.items() if share * left > _INVISIBLE}
        return dict(self._earlier)

    def leave_out(self, mode: str) -> None:
        """Stop to fade from a mode that can no longer be computed."""
        self._earlier.pop(mode, None)

    def _step(self, stamp_ns: int) -> float:
        elapsed = (stamp_ns - self._stamp_ns) / NANOSECONDS_PER_SECOND
        return elapsed / self.seconds if 0.0 < elapsed < self.seconds else 1.0


def fade_over(
    fusion: FallbackFusion,
    fade: ModeFade,
    answer: Answer,
    rgb_bgr: NDArray[np.uint8],
    thermal: NDArray[np.uint8],
    stamp_ns: int,
) -> tuple[Answer, Mapping[str, float]]:
    """Put what is left of earlier modes' pictures into the answer of the mode in force.

    Args:
        fusion: computes the earlier modes' pictures of the same pair.
        fade: follows the frames.
        answer: of the mode in force.
        rgb_bgr: (H, W, 3) uint8, the image that `answer` was made from.
        thermal: (H, W) uint8, likewise.
        stamp_ns: stamp of the pair in nanoseconds.

    Returns:
        The answer with the mixed image, and the shares of the earlier modes in it.
    """
    shares: dict[str, float] = {}
    pictures: list[tuple[NDArray[np.uint8], float]] = []
    for mode, share in fade.update(answer.mode, stamp_ns).items():
        earlier = fusion.fuse(mode, rgb_bgr, thermal)
        if earlier.mode == mode:
            shares[mode] = share
            pictures.append((earlier.image, share))
        else:
            # It has just failed, which may be why the mode has changed.
            fade.leave_out(mode)
    return (replace(answer, image=blend(answer.image, pictures)) if pictures else answer), shares


def blend(image: NDArray[np.uint8], earlier: Sequence[tuple[NDArray[np.uint8], float]]) -> NDArray[np.uint8]:
    """Mix pictures of one size.

    Args:
        image: (H, W, 3) uint8, its share is what `earlier` leaves of 1.
        earlier: pictures like it with their shares, in sum below 1.

    Returns:
        (H, W, 3) uint8, within half a grey level of the exact mix for each picture in `earlier`.
    """
    total = 1.0 - sum(share for _, share in earlier)
    for other, share in earlier:
        total += share
        image = np.asarray(cv2.addWeighted(image, 1.0 - share / total, other, share / total, 0.0), np.uint8)
    return image
