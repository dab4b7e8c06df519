"""What stands still: the road with its markings, house fronts and trees, as textures made once from the seed.

Each texture has a look (BGR, in daylight) and a warmth (0 to 1: how much of the sun's warming the material takes on).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LANE_WIDTH_M = 3.5
ROAD_HALF_WIDTH_M = 3.6
KERB_M = 5.6
FACADE_X_M = 9.5

GROUND_HALF_WIDTH_M = 20.0
GROUND_LENGTH_M = 72.0
GROUND_PIXELS_PER_M = 16
FACADE_LENGTH_M = 144.0
FACADE_HEIGHT_M = 14.0
FACADE_PIXELS_PER_M = 10

_ASPHALT, _PAINT, _KERB = (116, 114, 112), (222, 226, 228), (172, 175, 177)
_HOUSES = ((112, 138, 168), (150, 170, 190), (120, 125, 132), (96, 110, 150), (160, 158, 150), (130, 150, 158))


@dataclass(frozen=True)
class Texture:
    """A surface seen in daylight and through a thermal camera.

    Attributes:
        look: (h, w, 4) uint8 BGR and opacity.
        warmth: (h, w, 2) float32, share of the sun's warming and opacity (0 to 1).
        glow: (h, w) float32, light of lit windows, 0 where there is none.
    """

    look: NDArray[np.uint8]
    warmth: NDArray[np.float32]
    glow: NDArray[np.float32]

    def coarser(self, factor: int) -> Texture:
        """Return the texture blurred for seeing it from afar, at the same size."""
        kernel = (factor, factor)
        return Texture(
            np.asarray(cv2.blur(self.look, kernel), np.uint8),
            np.asarray(cv2.blur(self.warmth, kernel), np.float32),
            np.asarray(cv2.blur(self.glow, kernel), np.float32),
        )


@dataclass(frozen=True)
class Front:
    """The wall of a house that faces down the road.

    Attributes:
        z: where along the road, in metres, within one length of the facades.
        height: in metres.
        colour: BGR in daylight.
    """

    z: float
    height: float
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Facades:
    """Houses along one side of the road.

    Attributes:
        texture: the walls along the road; columns run with Z, the last row is at the ground.
        fronts: the walls across, which are seen through the gaps.
    """

    texture: Texture
    fronts: tuple[Front, ...]


def blotches(generator: np.random.Generator, height: int, width: int, size: int) -> NDArray[np.float32]:
    """Return (height, width) smooth noise of about -1 to 1 with spots of `size` pixels; it wraps round in both axes."""
    rows, columns = max(2, round(height / size)), max(2, round(width / size))
    coarse = generator.uniform(-1, 1, (rows, columns)).astype(np.float32)
    wrapped = np.pad(coarse, 2, mode="wrap")
    scale_x, scale_y = width / columns, height / rows
    grown = cv2.resize(
        wrapped, (round((columns + 4) * scale_x), round((rows + 4) * scale_y)), interpolation=cv2.INTER_CUBIC
    )
    top, left = round(2 * scale_y), round(2 * scale_x)
    return np.asarray(grown[top : top + height, left : left + width], np.float32)


def make_ground(generator: np.random.Generator) -> Texture:
    """Make the road with its strips at both sides; rows run with Z, columns with X."""
    height = int(GROUND_LENGTH_M * GROUND_PIXELS_PER_M)
    width = int(2 * GROUND_HALF_WIDTH_M * GROUND_PIXELS_PER_M)
    x = (np.arange(width, dtype=np.float32) + 0.5) / GROUND_PIXELS_PER_M - GROUND_HALF_WIDTH_M
    z = (np.arange(height, dtype=np.float32) + 0.5) / GROUND_PIXELS_PER_M
    across = np.abs(x)[None, :]
    look = np.empty((height, width, 3), np.float32)
    warmth = np.empty((height, width), np.float32)

    def lay(where: NDArray[np.bool_], colour: tuple[int, int, int], warm: float) -> None:
        where = np.broadcast_to(where, (height, width))
        look[where] = colour
        warmth[where] = warm

    lay(across >= 0, (62, 112, 84), 0.10)
    lay(across < FACADE_X_M + 0.6, (150, 152, 154), 0.62)
    slab_joint = ((z[:, None] % 1.5) < 0.07) | (((across - KERB_M) % 1.3) < 0.07)
    lay((across < FACADE_X_M + 0.6) & slab_joint, (120, 122, 124), 0.60)
    lay(across < KERB_M + 0.25, _KERB, 0.55)
    lay(across < KERB_M, (130, 128, 126), 0.86)
    lay(across < ROAD_HALF_WIDTH_M, _ASPHALT, 1.0)
    for track in (-2.5, -1.0, 1.0, 2.5):
        worn = np.exp(-(((x - track) / 0.28) ** 2))[None, :, None]
        look *= 1 - 0.10 * worn
    warmth += 0.04 * np.exp(-(((across - 1.75) / 1.1) ** 2)) * (across < ROAD_HALF_WIDTH_M)
    dashes = (across < 0.08) & ((z[:, None] % 9.0) < 4.0)
    edges = np.broadcast_to(np.abs(across - ROAD_HALF_WIDTH_M + 0.15) < 0.07, (height, width))
    bays = (across > ROAD_HALF_WIDTH_M) & (across < KERB_M) & ((z[:, None] % 6.0) < 0.12)
    crossing = ((z > 50.0) & (z < 53.0))[:, None] & (across < ROAD_HALF_WIDTH_M - 0.2) & ((across % 1.0) < 0.5)
    lay(dashes | edges | bays | crossing, _PAINT, 0.78)
    grain = 9 * blotches(generator, height, width, 2) + 7 * blotches(generator, height, width, 40)
    look += grain[:, :, None]
    look += (across > FACADE_X_M)[:, :, None] * 22 * blotches(generator, height, width, 6)[:, :, None]
    warmth += 0.03 * blotches(generator, height, width, 30)
    opaque = np.full((height, width, 1), 255, np.uint8)
    return Texture(
        np.concatenate([np.clip(look, 0, 255).astype(np.uint8), opaque], axis=2),
        np.dstack([warmth, np.ones_like(warmth)]).astype(np.float32),
        np.zeros((height, width), np.float32),
    )


def make_facades(generator: np.random.Generator) -> Facades:
    """Make the houses of one side, with gaps between them that show the sky."""
    height = int(FACADE_HEIGHT_M * FACADE_PIXELS_PER_M)
    width = int(FACADE_LENGTH_M * FACADE_PIXELS_PER_M)
    look = np.zeros((height, width, 4), np.uint8)
    warmth = np.zeros((height, width, 2), np.float32)
    glow = np.zeros((height, width), np.float32)
    fronts = []
    z = 0.0
    while z < FACADE_LENGTH_M - 7.0:
        length = min(float(generator.uniform(8.0, 17.0)), FACADE_LENGTH_M - z)
        tall = float(generator.uniform(5.0, 12.0))
        colour = _HOUSES[int(generator.integers(len(_HOUSES)))]
        first, last = int(z * FACADE_PIXELS_PER_M), int((z + length) * FACADE_PIXELS_PER_M)
        _build_house(generator, look[:, first:last], warmth[:, first:last], glow[:, first:last], tall, colour)
        fronts.append(Front(z, tall, colour))
        gap = float(generator.uniform(3.0, 9.0))
        # A hedge closes the gap to the height of a man's chest.
        hedge = slice(last, min(width, int((z + length + gap) * FACADE_PIXELS_PER_M)))
        top = height - int(1.3 * FACADE_PIXELS_PER_M)
        look[top:, hedge] = (46, 84, 58, 255)
        warmth[top:, hedge] = (0.06, 1.0)
        z += length + gap
    noise = 10 * blotches(generator, height, width, 3) + 8 * blotches(generator, height, width, 25)
    look[:, :, :3] = np.clip(look[:, :, :3] + noise[:, :, None], 0, 255).astype(np.uint8)
    warmth[:, :, 0] += 0.05 * blotches(generator, height, width, 20)
    return Facades(Texture(look, warmth, glow), tuple(fronts))


def _build_house(
    generator: np.random.Generator,
    look: NDArray[np.uint8],
    warmth: NDArray[np.float32],
    glow: NDArray[np.float32],
    tall: float,
    colour: tuple[int, int, int],
) -> None:
    scale = FACADE_PIXELS_PER_M
    height, width = look.shape[:2]
    eaves = height - int(tall * scale)
    look[eaves:] = (*colour, 255)
    warmth[eaves:] = (0.45, 1.0)
    look[eaves : eaves + 4] = (70, 72, 90, 255)
    look[-6:] = (*(int(0.7 * channel) for channel in colour), 255)
    for row in range(int(tall // 3.0)):
        # Windows sit a metre over each floor.
        top = height - int((row * 3.0 + 2.5) * scale)
        for column in range(int(1.0 * scale), width - int(1.6 * scale), int(2.6 * scale)):
            window = (slice(top, top + int(1.5 * scale)), slice(column, column + int(1.3 * scale)))
            pane = (slice(top + 1, top + int(1.5 * scale) - 1), slice(column + 1, column + int(1.3 * scale) - 1))
            look[window] = (205, 208, 210, 255)
            look[pane] = (78, 66, 56, 255)
            # Glass shows a camera the cold sky, and a heated room by night; the sky wins.
            warmth[pane][:, :, 0] = 0.12
            if generator.random() < 0.3:
                glow[pane] = generator.uniform(0.4, 1.0)
    if generator.random() < 0.7:
        door = (slice(height - int(2.1 * scale), height), slice(width // 2, width // 2 + scale))
        look[door] = (50, 60, 92, 255)
        glow[door] = 0.0


def make_tree(generator: np.random.Generator, height: int = 160, width: int = 128) -> NDArray[np.uint8]:
    """Draw a tree of a trunk and many leafy blobs: (height, width, 4) uint8 BGR and opacity."""
    tree = np.zeros((height, width, 4), np.uint8)
    middle = width // 2
    cv2.rectangle(tree, (middle - 4, height // 2), (middle + 4, height), (42, 54, 70, 255), -1)
    for layer in range(3):
        shade = 0.65 + 0.2 * layer
        for _blob in range(46):
            angle, reach = generator.uniform(0, 2 * np.pi), np.sqrt(generator.uniform(0, 1))
            x = int(middle + reach * np.cos(angle) * width * 0.38)
            y = int(height * 0.36 + reach * np.sin(angle) * height * 0.27 - 5 * layer)
            green = generator.uniform(0.8, 1.15) * shade
            colour = (int(52 * green), int(100 * green), int(80 * green), 255)
            cv2.circle(tree, (x, y), int(generator.integers(5, 13)), colour, -1, cv2.LINE_AA)
    return tree
