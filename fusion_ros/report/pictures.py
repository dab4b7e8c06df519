"""Images for a page: shrunk, compressed and written into the HTML itself."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

# A JPEG at 85 of a 480 pixel wide road scene is about 35 kB: sixty of them stay under 3 MB.
JPEG_QUALITY = 85
MAX_WIDTH = 480


def data_uri(image: NDArray[np.uint8], max_width: int = MAX_WIDTH, quality: int = JPEG_QUALITY) -> str:
    """Compress a (H, W) or (H, W, 3) uint8 BGR image to a JPEG data URI no wider than `max_width`."""
    height, width = image.shape[:2]
    if width > max_width:
        image = np.asarray(
            cv2.resize(image, (max_width, max(1, round(height * max_width / width))), interpolation=cv2.INTER_AREA),
            dtype=np.uint8,
        )
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"image: shape {image.shape} dtype {image.dtype} cannot be written as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def picture(image: NDArray[np.uint8] | None, caption: str, alt: str, max_width: int = MAX_WIDTH) -> Markup:
    """A figure with a caption; a placeholder that says so where `image` is None."""
    if image is None:
        return Markup('<figure class="missing"><div>none</div><figcaption>{}</figcaption></figure>').format(caption)
    return Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
        data_uri(image, max_width), alt, caption
    )


def before_after(before: NDArray[np.uint8], after: NDArray[np.uint8], labels: tuple[str, str]) -> Markup:
    """Two images of one size on top of each other with a slider between them (arrow keys work)."""
    return Markup(
        '<figure class="slider"><div class="stack"><img src="{}" alt="{}"><img class="over" src="{}" alt="{}"></div>'
        '<input type="range" min="0" max="100" value="50" aria-label="share of {} shown" aria-valuetext="50 %">'
        "<figcaption><span>{}</span><span>{}</span></figcaption></figure>"
    ).format(data_uri(before), labels[0], data_uri(after), labels[1], labels[1], labels[0], labels[1])
