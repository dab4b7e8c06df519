"""Fused images and masks go to disk as they arrive, so that memory does not grow with the length of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import JobError
from fusion_ros.replay.writer_thread import WriterThread
from fusion_ros.report.coco import fused_file_name

# Level 1 of 9: a third of the default's time for a tenth more bytes.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_WAITING_MAX = 64


class ImageFolder:
    """Writes `fused/<stamp>.png` and `masks/<stamp>.png` in a thread of its own; use it in a `with` block.

    Args:
        folder: the run's output folder.

    Raises:
        JobError: on leaving the block, where an image could not be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed: list[str] = []
        self._writer: WriterThread[tuple[Path, NDArray[np.uint8]]] = WriterThread("images", self._write, _WAITING_MAX)

    def __enter__(self) -> ImageFolder:
        for name in ("fused", "masks"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.finish()
        if self._failed and error is None:
            raise JobError(f"{self._failed[0]}: cannot be written ({len(self._failed)} in all); is the disk full?")

    def keep(self, kind: str, stamp_ns: int, image: NDArray[np.uint8]) -> None:
        """Queue a `fused` or `mask` image; waits where the disk is far behind."""
        self._writer.put((self.path(kind, stamp_ns), image))

    def path(self, kind: str, stamp_ns: int) -> Path:
        """Where the image is or will be."""
        name = fused_file_name(stamp_ns)
        return self._folder / (name if kind == "fused" else name.replace("fused/", "masks/", 1))

    def read(self, kind: str, stamp_ns: int) -> NDArray[np.uint8] | None:
        """The stored image, None where there is none."""
        image = cv2.imread(str(self.path(kind, stamp_ns)), cv2.IMREAD_UNCHANGED)
        return None if image is None else np.asarray(image, dtype=np.uint8)

    def _write(self, items: Iterator[tuple[Path, NDArray[np.uint8]]]) -> None:
        for path, image in items:
            try:
                written = cv2.imwrite(str(path), image, _PNG)
            except cv2.error:
                written = False
            if not written:
                self._failed.append(str(path))
