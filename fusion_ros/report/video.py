"""MP4 video that browsers play: H.264, 4:2:0 colour, frames shown at the times they were taken."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError, JobError

MILLISECOND = Fraction(1, 1000)


class VideoWriter:
    """Writes BGR frames with their times to a video; all frames have the size of the first.

    Args:
        path: file to write, `.mp4`, `.mov` or `.mkv`.
        nominal_rate: frames per second that players may show; the frames' own times decide when each is shown.
        quality: constant rate factor of x264, 0 (lossless) to 51 (worst).

    Raises:
        JobError: the file cannot be written or the encoder is missing.
    """

    def __init__(self, path: Path, nominal_rate: float = 10.0, quality: int = 23) -> None:
        self._path = path
        self._rate = Fraction(nominal_rate).limit_denominator(1000)
        self._quality = quality
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._size: tuple[int, int] = (0, 0)
        self._last_ms = -1
        self.frame_count = 0

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Add a (H, W, 3) uint8 BGR frame to be shown from `time_s` seconds after the start.

        Raises:
            InputError: odd sides, or another size than the first frame.
            JobError: the file cannot be written or the encoder is missing.
        """
        height, width = image.shape[:2]
        if self._stream is None or self._container is None:
            self._open(height, width)
        assert self._stream is not None
        if (height, width) != self._size:
            raise InputError(
                f"video frame: size {width}x{height} differs from the first, {self._size[1]}x{self._size[0]}"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        # Two frames at one millisecond would be refused by the container.
        self._last_ms = max(self._last_ms + 1, round(time_s * 1000))
        frame.pts = self._last_ms
        frame.time_base = MILLISECOND
        self._mux(self._stream.encode(frame))
        self.frame_count += 1

    def close(self) -> None:
        """Finish the file; a writer without frames leaves none."""
        if self._container is None or self._stream is None:
            return
        try:
            self._mux(self._stream.encode(None))
        finally:
            container, self._container = self._container, None
            container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mux(self, packets: Iterable[Any]) -> None:
        assert self._container is not None
        try:
            self._container.mux(packets)
        except (OSError, av.error.FFmpegError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> JobError:
        return JobError(f"{self._path}: cannot write H.264 video: {error}")

    def _open(self, height: int, width: int) -> None:
        if height % 2 or width % 2:
            raise InputError(f"video frame: size {width}x{height} has an odd side; 4:2:0 colour needs even ones")
        # The index before the pictures, so that a browser need not load all of it first.
        options = {} if self._path.suffix.lower() == ".mkv" else {"movflags": "faststart"}
        try:
            self._container = av.open(str(self._path), mode="w", options=options)
            stream = self._container.add_stream("libx264", rate=self._rate)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            raise self._failure(error) from error
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        # One encoder thread: the nodes may still be busy, and the frames are small.
        stream.options = {"crf": str(self._quality), "preset": "veryfast", "threads": "1"}
        self._stream, self._size = stream, (height, width)
