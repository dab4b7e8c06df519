"""Fused images and masks of a replay go into a recording of their own as they arrive, lossless, and are read back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.decoding import read_frame
from fusion_ros.bags.reader import open_bag
from fusion_ros.bags.writer import BagWriter
from fusion_ros.errors import InputError, JobError
from fusion_ros.replay.writer_thread import WriterThread
from fusion_ros.types import Frame

FUSED, MASK = "/fusion/image", "/segmentation/mask"
_TOPICS = {"fused": FUSED, "mask": MASK}
_WAITING_MAX = 32


class LiveImages:
    """Writes the images in a thread of its own; use it in a `with` block.

    Args:
        folder: of the recording; it must not exist.

    Raises:
        JobError: on leaving the block, where they could not be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._problem: str | None = None
        self._writer: WriterThread[tuple[str, Frame, int]] = WriterThread("live images", self._write, _WAITING_MAX)

    def __enter__(self) -> LiveImages:
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.finish()
        if self._problem and error is None:
            raise JobError(f"{self._folder}: cannot be written: {self._problem}; is the disk full?")

    def keep(self, kind: str, stamp_ns: int, image: NDArray[np.uint8]) -> None:
        """Queue a `fused` or `mask` image; waits where the disk is far behind."""
        self._writer.put((_TOPICS[kind], Frame(image, stamp_ns), time.time_ns()))

    def _write(self, items: Iterator[tuple[str, Frame, int]]) -> None:
        try:
            with BagWriter(self._folder) as bag:
                for topic, frame, received_ns in items:
                    # By time of arrival, so that they are read back in the order in which they were published.
                    bag.write_image(topic, frame, received_ns)
        except (OSError, InputError) as error:
            self._problem = str(error)


def read_images(folder: Path, topic: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (header stamp in nanoseconds, image) in the order of arrival; (H, W, 3) BGR, or (H, W) for masks."""
    with open_bag(folder) as bag:
        if topic not in bag.topics:
            return
        for message in bag.messages([topic]):
            frame = read_frame(bag, message, "thermal" if topic == MASK else "rgb")
            yield frame.stamp_ns, np.asarray(frame.image, np.uint8)
